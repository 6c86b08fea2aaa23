"""What runs produced: one JSON file a run, written once, judged before it is written and again by a test.

Nothing here trains. A record's keys are described in `schema.json` beside this file.
"""

import json
import math
from pathlib import Path

SCHEMA = 1
HERE = Path(__file__).parent


def default_root():
    """Where records go and are looked for: padam/records/runs in a checkout, ./padam-runs when installed."""
    return HERE / "runs" if (HERE.parents[1] / "pyproject.toml").is_file() else Path("padam-runs")


def path(recipe, seed, root=None):
    """root/<dataset>/<model>/<optimizer>[-variant]/seed<k>.json, with the profile's own data set and model."""
    name = recipe.optimizer + (f"-{recipe.variant}" if recipe.variant else "")
    return Path(root or default_root()) / recipe.dataset / recipe.model / name / f"seed{seed}.json"


def read(path):
    """A record. Raises ValueError, with the path, for a file that holds none."""
    try:
        record = json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no record: it is not JSON ({error}).") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise ValueError(f"{path} is no record of schema {SCHEMA}.")
    return record


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
    if record["epochs_run"] < record["epochs_planned"]:
        why.append(f"{record['epochs_run']} of {record['epochs_planned']} epochs")
    if record["epochs_planned"] != record["epochs_paper"]:
        why.append(f"{record['epochs_planned']} epochs instead of {record['epochs_paper']}")
    if record["model"] != model:
        why.append(f"{record['model']} instead of {model}")
    if record["dataset"] != dataset:
        why.append(f"{record['dataset']} instead of {dataset}")
    if recipe["train_size"] is not None or recipe["holdout"]:
        why.append(f"{recipe['train_size'] or 'all but the held out'} training examples")
    return ", ".join(why)
