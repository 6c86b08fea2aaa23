"""Measuring a study: some of its runs in this process, or all that are missing in several."""

import json
import math
import time

import torch

from padam import files, records, running
from padam.studies import store
from padam.studies.study import Run, key
from padam.training import Busy, Stopped, checkpoint, provenance
from padam.training.run import now
from padam.training.signals import Signals

_TOGETHER = 300  # seconds: short runs share a process, which takes some to begin, for about so long


def measure(study, settings, out=None, *, data=None, budget=None, say=lambda line: None):
    """Measure runs of a study in this process, with one thread, each into a file of its own; those there are left.

    Args:
        study: `padam.studies.Study`.
        settings: those of the runs, dicts as in `study.settings`.
        out: folder of the records, see `fill`.
        data: folder of the data sets; default the environment's PADAM_DATA, else "data".
        budget: seconds after which to stop.
        say: called with a line after each run.

    Raises:
        Stopped: by Ctrl-C, SIGTERM or the budget, at the end of an epoch; the same call goes on from it.
        padam.files.Busy: another process is at one of the runs; the others are measured.
        ValueError: a setting has not the names that those of the study have.
    """
    deadline, busy = None if budget is None else time.monotonic() + budget, None
    known = {tuple(sorted(setting)) for setting in study.settings}
    for setting in settings:
        if tuple(sorted(setting)) not in known:
            names = " or ".join(", ".join(names) for names in sorted(known))
            raise ValueError(f"a run of the study {study.name} has the settings {names}, not {', '.join(setting)}.")
    torch.set_num_threads(1)
    with Signals(study.name) as signals:
        for number, setting in enumerate(settings):
            run = Run(store.place(study, setting, out).with_suffix(""), signals, deadline, in_words(setting))
            if run.due():
                raise Stopped(
                    f"stopped {run.due()}; {len(settings) - number} runs are left, and the same command goes on.",
                    interrupted=bool(signals.asked),
                )
            try:
                seconds = _measured(study, setting, out, data, run)
            except Busy as error:
                busy = error
            except Stopped:
                raise
            except Exception:
                say(f"{run.label}: failed")
                raise
            else:
                if seconds is not None:
                    say(f"{run.label}: {seconds:.1f} s")
    if busy:
        raise busy


def in_words(setting):
    """ "p 0.25, lr 0.1, seed 0"."""
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def _measured(study, setting, out, data, run):
    """Measure a setting into its file; the seconds it took, None if the file was there."""
    target = store.place(study, setting, out)
    with checkpoint.locked(run.folder):
        if target.exists():
            return None
        started, begun = now(), time.perf_counter()
        result = study.measure(setting, data, run)
        seconds = records.plain(time.perf_counter() - begun)
        kept = {
            "schema": 1,
            "study": study.name,
            "fixed": study.fixed,
            "setting": setting,
            "result": _plain(result),
            "seconds": seconds,
            "precision": "fp32",
            "device": provenance.device_name(torch.device("cpu")),
            "threads": torch.get_num_threads(),
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "source_hash": provenance.source_hash(study.measure.__module__),
            "started": started,
            "finished": now(),
        }
        files.write(target, records.dumps(kept).encode(), exclusive=True)
        checkpoint.remove(run.folder)
        return seconds


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return records.plain(value)


def command(study, settings, options=()):
    """The words after "python" that measure runs of a study; `options` are further words for `study`."""
    runs = [word for setting in settings for word in ("--run", json.dumps(setting))]
    return ("-m", "padam", "study", study.name, *options, *runs)


def fill(study, out=None, *, jobs=1, budget=None, options=(), say=lambda line: None):
    """Measure what is missing of a study, in processes of one thread each, and gather its record when all is there.

    Args:
        study: `padam.studies.Study`, one of `padam.studies.STUDIES`.
        out: folder of the records; default padam/records/studies in a checkout, ./studies elsewhere. The record is
            out/<name>.json; while it is incomplete, out/<name>/ holds a file for every run that is measured.
        jobs: how many processes at a time.
        budget: seconds after which to stop.
        options: words for the command line of each process, such as ("--data", "/scratch").
        say: called with each line of the processes, which is one for each run.

    Returns the `padam.running.Local` that has done it, whose `outcomes` have the failures. Several calls may work on
    one study at once, on one machine or several that share `out`: each run is locked. A run that fails does not stop
    the others, but for those that only follow when all before are measured.

    Raises ValueError if a file in out/<name>/ is of another study, or of this one as it was before it changed.
    """
    waiting, given_up = {}, set()  # the settings of each job; those that failed or are made elsewhere

    def _more(outcomes):
        for outcome in outcomes:
            left = [setting for setting in waiting.pop(outcome.job, ()) if not _there(study, setting, out)]
            # A process goes through its runs in order, so the first that is not there is what it ended with.
            given_up.update(key(setting) for setting in (left if outcome.status == running.BUSY else left[:1]))
        progress = store.progress(study, out)
        todo = [setting for setting in progress.left if key(setting) not in given_up]
        new = {_job(study, group, options): group for group in _groups(todo, progress.seconds, jobs)}
        waiting.update(new)
        return list(new)

    runner = running.Local(_more(()), jobs, budget, say=say, more=_more)
    if not store.path(study.name, out).exists():
        runner.run()
        if not store.progress(study, out).left:
            store.gather(study, out)
    return runner


def _there(study, setting, out):
    return store.place(study, setting, out).exists()


def _groups(settings, seconds, jobs):
    """Settings, which take so many seconds each, in groups of so many as one process measures."""
    size = max(1, min(round(_TOGETHER / max(seconds, 0.1)), math.ceil(len(settings) / jobs)))
    return [settings[at : at + size] for at in range(0, len(settings), size)]


def _job(study, settings, options):
    more = f" and {len(settings) - 1} more" * (len(settings) > 1)
    return running.Job(f"{study.name}: {in_words(settings[0])}{more}", command(study, settings, options))
