"""Which rate the miniature on text was found to want, by the study `text-rates`: chosen on held out text alone."""

import json

from padam.records import HERE

RECORD = HERE / "studies" / "text-rates.json"


def variants(record=None):
    """{optimizer: variant of its recipe}, "" for the recipe's own rate: the lowest held out loss at the study's end.

    Args:
        record: path of the study's record; default the package's own.

    A run whose loss is no number is not chosen. {} where the study is not recorded.
    """
    record = record or RECORD
    best = {}
    for run in json.loads(record.read_text())["runs"] if record.exists() else ():
        name, loss = run["setting"]["optimizer"], run["result"]["valid_loss"][-1]
        if loss is not None and loss < best.get(name, (float("inf"),))[0]:
            best[name] = loss, run["setting"]["variant"].lstrip("-")
    return {name: variant for name, (_, variant) in best.items()}
