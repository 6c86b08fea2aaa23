"""Whether a record can be believed: what a schema cannot say."""

import math
from datetime import datetime

from padam import recipes
from padam.records import FORM, SCHEMA, epochs_run


def faults(record):
    """What is wrong with a record, one sentence each; [] if nothing is.

    The keys that the schema requires, at every depth; lengths of the history; seconds above 0; errors between 0 and 1;
    the rates against the schedule; the recipe against `padam.recipes.get`; started before finished; the outcome against
    the numbers.
    """
    if missing := _missing(record, FORM):
        return [f"keys are missing: {', '.join(missing)}"]
    found = []
    if record["schema"] != SCHEMA:
        found.append(f"schema is {record['schema']}, not {SCHEMA}")
    processes = record.get("processes", 1)
    if not isinstance(processes, int) or processes < 1:
        found.append(f"processes is {processes}, not a number from 1 on")
    used = record.get("threads_used", [0, record["threads"]])
    if len(used) < 2 or used[-1] != record["threads"]:
        found.append(f"threads_used is {used}, not several numbers of which the last is threads")
    return found + _recipe(record) + _history(record) + _outcome(record) + _times(record)


def check(record, name="the record"):
    """Raise ValueError that lists what is wrong with a record."""
    if found := faults(record):
        raise ValueError(f"{name} cannot be kept: {'; '.join(found)}.")


def _missing(value, form, at=""):
    """The keys that a part of the schema requires and a value lacks, as in "history.lr"."""
    missing = [f"{at}{key}" for key in form.get("required", ()) if key not in value]
    for key, part in form.get("properties", {}).items():
        if isinstance(value.get(key), dict):
            missing += _missing(value[key], part, f"{at}{key}.")
    return missing


def _recipe(record):
    found, kept = [], record["recipe"]
    try:
        now = recipes.of_record(kept)
    except (KeyError, ValueError) as error:
        return [f"the recipe is unknown: {error}"]
    for key in now.values() | kept:
        value = now.values().get(key)
        if kept.get(key) != value:
            found.append(f"recipe.{key} is {kept.get(key)}, but the recipe says {value}")
    return found


def _history(record):
    found, history, run = [], record["history"], epochs_run(record)
    for key, values in history.items():
        if len(values) != run:
            found.append(f"history.{key} has {len(values)} entries, but {run} epochs were run")
    if history.get("epoch") != list(range(1, run + 1)):
        found.append("history.epoch does not count from 1")
    if not all(isinstance(s, int | float) and s > 0 for s in history.get("seconds", [])):
        found.append("history.seconds holds what is not above 0")
    for key, values in history.items():
        if key.endswith(("_error", "_error_top5")) and any(v is not None and not 0 <= v <= 1 for v in values):
            found.append(f"history.{key} leaves [0, 1]")
    kept = record["recipe"]
    decays = [sum(epoch > m for m in kept["milestones"]) for epoch in range(1, run + 1)]
    rates = [kept["hyper"]["lr"] * kept["gamma"] ** k for k in decays]
    if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(rates, history.get("lr", []), strict=False)):
        found.append("history.lr does not follow the recipe's schedule")
    return found


def _outcome(record):
    status, found = record["outcome"], []
    losses = [v for key, values in record["history"].items() if key.endswith("_loss") for v in values]
    if status == "finished" and (None in losses or epochs_run(record) != record["recipe"]["epochs"]):
        found.append("a finished run has all its epochs, and numbers in them")
    if status == "diverged" and None not in losses:
        found.append("a diverged run has a loss that is no number")
    return found


def _times(record):
    started, finished = (datetime.fromisoformat(record[key]) for key in ("started", "finished"))
    if not started < finished:
        return ["started is not before finished"]
    return []
