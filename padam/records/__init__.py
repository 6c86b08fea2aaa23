"""What runs produced: one JSON file a run, written once, judged before it is written and again by a test.

Nothing here trains. A record's keys are described in `schema.json` beside this file.
"""

import json
import math
from pathlib import Path

from padam import recipes

HERE = Path(__file__).parent
FORM = json.loads((HERE / "schema.json").read_text())  # the keys of a run's record; studies and benchmarks have theirs
SCHEMA = FORM["properties"]["schema"]["const"]


def default_root():
    """Where records go and are looked for: padam/records/runs in a checkout, ./padam-runs when installed."""
    return HERE / "runs" if (HERE.parents[1] / "pyproject.toml").is_file() else Path("padam-runs")


def path(recipe, seed, root=None):
    """root/<profile>/<id>/seed<k>.json: the id is the paper's cell, "dataset/model/optimizer[-variant]".

    What was trained for it, the profile's own data set and network, stands inside.
    """
    return Path(root or default_root()) / recipe.profile / recipe.id / f"seed{seed}.json"


def find(recipe, seed, root=None):
    """Where the record of a run lies: at `path`, or where version 1 put it; None if there is none.

    That was <dataset>/<model>/<optimizer>[-variant] of the profile's own data set and network, which several recipes
    share, so the recipe inside decides.
    """
    if (here := path(recipe, seed, root)).exists():
        return here
    name = recipe.optimizer + (f"-{recipe.variant}" if recipe.variant else "")
    old = Path(root or default_root()) / recipe.dataset / recipe.model / name / f"seed{seed}.json"
    if old.exists():
        kept = read(old)["recipe"]
        if (kept["id"], kept["profile"]) == (recipe.id, recipe.profile):
            return old
    return None


def read(path):
    """A record of a run, one of version 1 brought to the present form; or of a study.

    Raises ValueError, with the path, for a file that holds none.
    """
    try:
        record = json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no record: it is not JSON ({error}).") from error
    if not isinstance(record, dict) or record.get("schema") not in (1, SCHEMA):
        raise ValueError(f"{path} is no record of schema {SCHEMA} or 1.")
    return _brought_up(record) if record["schema"] == 1 and "history" in record else record


def _brought_up(record):
    """A run's record of version 1 in the present form: it kept more, all of which follows from what is kept now."""
    kept = {key: value for key, value in record.items() if key in FORM["properties"]}
    return kept | {"schema": SCHEMA, "outcome": record["outcome"]["status"]}


def epochs_run(record):
    """How many epochs a run's record has."""
    return len(record["history"]["epoch"])


def final(record):
    """The last entry of every list of a run's history but seconds."""
    return {key: values[-1] for key, values in record["history"].items() if key != "seconds"}


def collect(root=None):
    """{path: record} of every record under a folder, in the order of their paths."""
    return {path: read(path) for path in sorted(Path(root or default_root()).rglob("seed*.json"))}


def dumps(record):
    """A record as text: a key a line, a list a line, so that two records can be compared with diff."""

    def _lines(value, depth):
        if not isinstance(value, dict) or not value:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
        pad = " " * depth
        inner = ",\n".join(f"{pad} {json.dumps(key)}: {_lines(part, depth + 1)}" for key, part in value.items())
        return "{\n" + inner + "\n" + pad + "}"

    return _lines(record, 0) + "\n"


def plain(value):
    """A number as a record keeps it: seven digits, None for what is not a number."""
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value


def shortened(record):
    """Why a record is not the paper's run, in words, or "" if it is: fewer epochs, another model, fewer data."""
    recipe, why = record["recipe"], []
    dataset, model, _ = recipe["id"].split("/")
    wanted = recipes.paper_epochs(recipe["id"])
    if epochs_run(record) < recipe["epochs"]:
        why.append(f"{epochs_run(record)} of {recipe['epochs']} epochs")
    if recipe["epochs"] != wanted:
        why.append(f"{recipe['epochs']} epochs instead of {wanted}")
    if recipe["model"] != model:
        why.append(f"{recipe['model']} instead of {model}")
    if recipe["dataset"] != dataset:
        why.append(f"{recipe['dataset']} instead of {dataset}")
    if recipe["train_size"] is not None or recipe["holdout"]:
        why.append(f"{recipe['train_size'] or 'all but the held out'} training examples")
    return ", ".join(why)
