"""The files of a study: one a run in <out>/<name>/ while it is incomplete, and then its record, <out>/<name>.json."""

import contextlib
import hashlib
import json
import statistics
from pathlib import Path
from typing import NamedTuple

from padam import files, records
from padam.studies.study import key


def path(name, out=None):
    """Where the record of a study lies: out/<name>.json; default padam/records/studies, installed ./studies."""
    return (Path(out) if out else records.default_root().with_name("studies")) / f"{name}.json"


def place(study, setting, out=None):
    """The file of one run of a study. Its name only tells runs apart; the setting stands inside."""
    digest = hashlib.sha256(key(setting).encode()).hexdigest()[:12]
    return path(study.name, out).with_suffix("") / f"{digest}.json"


def read(name, out=None):
    """The record of a study. Raises FileNotFoundError, saying how to make it, where there is none."""
    source = path(name, out)
    if not source.exists():
        raise FileNotFoundError(f"{source} is not there; `python -m padam study {name}` makes it.")
    return records.read(source)


def measured(study, out=None):
    """{key of the setting: run} of what is measured of a study whose record is not there, whoever measured it.

    Raises ValueError for a file that is of another study, or of this one as it was before it changed.
    """
    folder = path(study.name, out).with_suffix("")
    found, fixed = {}, json.loads(json.dumps(study.fixed))
    for source in sorted(folder.glob("*.json")):
        run = records.read(source)
        if (run.get("study"), run.get("fixed")) != (study.name, fixed):
            raise ValueError(
                f"{source} was begun with other settings of the study {study.name}, so it cannot go on as the same "
                f"study. Remove {folder} to start again, or choose another --out."
            )
        found[key(run["setting"])] = run
    return found


class Progress(NamedTuple):
    """How far a study is: how many runs are measured, the settings that are not, and about the seconds of one run."""

    measured: int
    left: tuple
    seconds: float


def progress(study, out=None):
    """The `Progress` of a study, as far as its settings are known."""
    if path(study.name, out).exists():
        return Progress(len(read(study.name, out)["runs"]), (), 0.0)
    found = measured(study, out)
    settings = study.all_settings(found.values())
    left = tuple(setting for setting in settings if key(setting) not in found)
    known = [run["seconds"] for run in found.values()]
    seconds = statistics.fmean(known) if known else 60 * study.minutes / len(study.settings)
    return Progress(len(settings) - len(left), left, seconds)


def gather(study, out=None):
    """Write the record of a study out of its runs' files, all of which are there, and remove those; the record."""
    found, target = measured(study, out), path(study.name, out)
    settings = study.all_settings(found.values())
    record = _record(study, [found[key(setting)] for setting in settings])
    files.write(target, records.dumps(record).encode(), exclusive=True)
    for setting in settings:
        place(study, setting, out).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        target.with_suffix("").rmdir()
    return record


def _record(study, runs):
    """The record of a study from its runs. Where they differ in device, each run says its own."""

    def _all(name):
        return list(dict.fromkeys(run[name] for run in runs))

    devices = _all("device")
    kept = ("setting", "result", "seconds") + (("device",) if len(devices) > 1 else ())
    return {
        "schema": 1,
        "study": study.name,
        "question": study.question,
        "fixed": study.fixed,
        "runs": [{name: run[name] for name in kept} for run in runs],
        "precision": "fp32",
        "device": ", ".join(devices),
        "threads": max(_all("threads")),
        "versions": runs[-1]["versions"],
        "commit": ", ".join(filter(None, _all("commit"))) or None,
        "source_hash": _all("source_hash"),
        "started": min(_all("started")),
        "finished": max(_all("finished")),
    }
