"""What others measured at full scale: JSON in records/published, facts with their source, kept apart from ours."""

import json

from padam.records import HERE

FOLDER = HERE / "published"
SOURCE = ("title", "authors", "year", "repository", "commit", "licence", "paper", "how", "settings", "notes")
_MEASURED = ("test_error", "train_error", "test_error_top5", "test_perplexity", "train_perplexity")


def load():
    """{name: {"source": ..., "runs": [...]}} of every published source.

    A source has title, authors, year, repository, commit, licence, paper, how it was read, the settings that depart
    from the paper's protocol, and notes. A run has dataset, model, optimizer and either lists of one entry an epoch
    (errors are fractions, objectives nats, perplexities per word) or, from a table, best_test_error_mean and _sd.
    """
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def faults(source):
    """What is wrong with one source, one sentence each; [] if nothing is."""
    missing = [key for key in SOURCE if not source["source"].get(key)]
    found = [f"the source does not say: {', '.join(missing)}"] if missing else []
    for run in source["runs"]:
        name = f"{run.get('dataset')}/{run.get('model')}/{run.get('optimizer')} ({run.get('file', 'table')})"
        if not all(run.get(key) for key in ("dataset", "model", "optimizer")):
            found.append(f"{name}: it does not say what was trained")
        found += [f"{name}: {fault}" for fault in (_curve(run) if "epoch" in run else _table(run))]
    return found


def _curve(run):
    epochs, found = run["epoch"], []
    if any(b <= a for a, b in zip(epochs, epochs[1:], strict=False)) or epochs[0] < 1:
        found.append("its epochs do not increase from 1")
    for key in _MEASURED:
        values = run.get(key)
        if values is None:
            continue
        if len(values) != len(epochs):
            found.append(f"{key} has {len(values)} entries for {len(epochs)} epochs")
        if any(v is not None and not (0 <= v <= 1 if "error" in key else v >= 1) for v in values):
            found.append(f"{key} holds what cannot be")
    if not any(key in run for key in _MEASURED):
        found.append("nothing was measured")
    return found


def _table(run):
    if not 0 < run.get("best_test_error_mean", -1) < 1 or not run.get("best_test_error_sd", -1) >= 0:
        return ["its best test error is no fraction"]
    return []
