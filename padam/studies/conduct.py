"""Running a study: what is not yet measured, several at a time, one file a run; gathered in one record at the end."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from padam import files, records
from padam.studies.study import key
from padam.training import Busy, checkpoint, provenance
from padam.training.run import now
from padam.training.signals import Stopped


def conduct(study, out=None, *, data=None, jobs=1, budget=None, say=lambda line: None):
    """Measure what is missing of a study and return its record.

    Args:
        study: `padam.studies.Study`.
        out: folder of the records; default padam/records/studies in a checkout, ./studies elsewhere. The record is
            out/<name>.json; while it is incomplete, out/<name>/ holds a file for every run that is measured. A record
            that is there is returned, not made again.
        data: folder of the data sets; default the environment's PADAM_DATA, else "data".
        jobs: how many processes, each with one thread.
        budget: seconds after which to stop.
        say: called with a line after each run.

    Several calls may work on one study at once, on one machine or several that share `out`: each run is locked.

    Raises:
        Stopped: by Ctrl-C, SIGTERM or the budget: the runs in hand are given up (a long one goes on from its last
            epoch), those before are kept, and the same call goes on.
        padam.files.Busy: other processes are at the runs that are left.
        ValueError: a file in out/<name>/ is of another study, or of this one as it was before it changed.
    """
    target = path(study.name, out)
    if target.exists():
        return read(study.name, out)
    begun, folder, tried = time.monotonic(), target.with_suffix(""), set()
    while True:
        kept = _kept(folder, study)
        settings = study.all_settings(kept.values())
        todo = [setting for setting in settings if key(setting) not in kept]
        free = [setting for setting in todo if key(setting) not in tried]
        if not todo:
            break
        if not free:
            raise Busy(f"{study.name}: the {len(todo)} runs that are left are measured by other processes.")
        left = None if budget is None else budget - (time.monotonic() - begun)
        tried |= {key(setting) for setting in free}
        _work(study, free, len(settings), folder, data, jobs, left, say)
    record = _gathered(study, [kept[key(setting)] for setting in settings])
    files.write(target, records.dumps(record).encode(), exclusive=True)
    for setting in settings:
        _place(folder, setting).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return record


def read(name, out=None):
    """The record of a study. Raises FileNotFoundError, saying how to make it, where there is none."""
    source = path(name, out)
    if not source.exists():
        raise FileNotFoundError(f"{source} is not there; `python -m padam study {name}` makes it.")
    return records.read(source)


def progress(study, out=None):
    """(runs measured, runs in all as far as they are known) of a study."""
    target = path(study.name, out)
    if target.exists():
        count = len(read(study.name, out)["runs"])
        return count, count
    kept = _kept(target.with_suffix(""), study)
    settings = study.all_settings(kept.values())
    return sum(key(setting) in kept for setting in settings), len(settings)


def path(name, out=None):
    """Where the record of a study lies: out/<name>.json."""
    return (Path(out) if out else records.default_root().with_name("studies")) / f"{name}.json"


def _place(folder, setting):
    """The file of one run. Its name only tells runs apart; the setting stands inside."""
    return folder / f"{hashlib.sha256(key(setting).encode()).hexdigest()[:12]}.json"


def _kept(folder, study):
    """{key of the setting: run} of what is measured, whoever measured it."""
    kept, fixed = {}, json.loads(json.dumps(study.fixed))
    for source in sorted(folder.glob("*.json")):
        run = records.read(source)
        if (run.get("study"), run.get("fixed")) != (study.name, fixed):
            raise ValueError(
                f"{source} was begun with other settings of the study {study.name}, so it cannot go on as the same "
                f"study. Remove {folder} to start again, or choose another --out."
            )
        kept[key(run["setting"])] = run
    return kept


def _work(study, todo, total, folder, data, jobs, budget, say):
    """Measure these settings, but for those that another process holds."""
    todo, done_before, begun = list(todo), total - len(todo), time.monotonic()
    context = multiprocessing.get_context("spawn")
    with _interruptible(), ProcessPoolExecutor(jobs, context, _alone) as pool:
        running, measured = {}, 0
        try:
            while todo or running:
                while todo and len(running) < jobs:
                    setting = todo.pop(0)
                    running[pool.submit(_measured, study, setting, folder, data)] = setting
                left = None if budget is None else budget - (time.monotonic() - begun)
                if left is not None and left <= 0:
                    raise KeyboardInterrupt
                for done in wait(running, left, FIRST_COMPLETED).done:
                    setting = running.pop(done)
                    seconds = done.result()
                    if seconds is None:
                        continue
                    measured += 1
                    words = ", ".join(f"{name} {value}" for name, value in setting.items())
                    say(f"{study.name}: {words}: {seconds:.1f} s, {len(todo) + len(running)} to go")
        except KeyboardInterrupt:
            for process in pool._processes.values():
                process.kill()
            there = f"{done_before + measured} of {total} runs are measured"
            raise Stopped(
                f"{study.name}: stopped; {there}; the same command goes on.",
                interrupted=budget is None or time.monotonic() - begun < budget,
            ) from None
        except BrokenProcessPool as error:
            raise OSError(
                f"{study.name}: a process ended before its run did, perhaps for want of memory. What was measured is "
                f"kept; the same command goes on, with fewer --jobs if need be."
            ) from error
        except BaseException:
            for process in pool._processes.values():
                process.kill()
            raise


@contextlib.contextmanager
def _interruptible():
    """SIGINT and SIGTERM are KeyboardInterrupt meanwhile, whatever they were before."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _alone():
    """In a worker: one thread; signals are the parent's to answer; a parent that is killed takes the worker with it."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_follow, args=[multiprocessing.parent_process()], daemon=True).start()


def _follow(parent):
    parent.join()
    os._exit(1)


def _measured(study, setting, folder, data):
    """Measure a setting into its file; the seconds it took, 0 if it was there, None if another process is at it."""
    target = _place(folder, setting)
    try:
        with checkpoint.locked(target.with_suffix("")):
            if target.exists():
                return 0.0
            started, begun = now(), time.perf_counter()
            result = study.measure(setting, data, target.with_suffix(""))
            seconds = records.plain(time.perf_counter() - begun)
            run = {
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
            files.write(target, records.dumps(run).encode(), exclusive=True)
            checkpoint.remove(target.with_suffix(""))
            return seconds
    except Busy:
        return None


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return records.plain(value)


def _gathered(study, runs):
    """The record of a study from its runs' files. Where they differ in device, each run says its own."""

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
