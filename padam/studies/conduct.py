"""Running a study: what is not yet measured, several at a time, kept after every run; one record at the end."""

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

from padam import records
from padam.training import checkpoint, provenance
from padam.training.run import now
from padam.training.stopping import Stopped


def conduct(study, out=None, *, data=None, jobs=1, budget=None, say=lambda line: None):
    """Measure what is missing of a study and return its record.

    Args:
        study: `padam.studies.Study`.
        out: folder of the records; default padam/records/studies in a checkout, ./studies elsewhere. The record is
            out/<name>.json; while it is incomplete, out/<name>.partial.json holds the runs that are measured. A record
            that is there is returned, not made again.
        data: folder of the data sets; default the environment's PADAM_DATA, else "data".
        jobs: how many processes, each with one thread.
        budget: seconds after which to stop.
        say: called with a line after each run.

    Ctrl-C and the budget end it with `padam.training.Stopped`: the runs in hand are given up (a long one goes on from
    its last epoch), those before are kept, and the same call goes on.
    """
    target = path(study.name, out)
    if target.exists():
        return read(study.name, out)
    with checkpoint.locked(target.with_suffix("")):
        partial = target.with_suffix(".partial.json")
        kept = _kept(partial, study)
        _work(study, kept, partial, data, jobs, budget, say)
        record = _record(study, kept)
        checkpoint.write(target, records.dumps(record).encode(), exclusive=True)
        partial.unlink(missing_ok=True)
    return record


def read(name, out=None):
    """The record of a study. Raises FileNotFoundError, saying how to make it, where there is none."""
    source = path(name, out)
    if not source.exists():
        raise FileNotFoundError(f"{source} is not there; `python -m padam study {name}` makes it.")
    return records.read(source)


def progress(study, out=None):
    """(runs measured, runs in all) of a study."""
    target = path(study.name, out)
    if target.exists():
        return len(study.settings), len(study.settings)
    return len(_kept(target.with_suffix(".partial.json"), study)["runs"]), len(study.settings)


def path(name, out=None):
    """Where the record of a study lies: out/<name>.json."""
    return (Path(out) if out else records.default_root().with_name("studies")) / f"{name}.json"


def _key(setting):
    return json.dumps(setting, sort_keys=True)


def _kept(partial, study):
    """What an earlier call has left: {"runs": {key of the setting: run}, "sources": [...], "started"}."""
    kept = {"runs": {}, "sources": [], "fixed": study.fixed, "started": now()}
    if partial.exists():
        kept = json.loads(partial.read_text())
        if kept["fixed"] != study.fixed:
            raise ValueError(
                f"{partial} was begun with other settings of the study {study.name}, so it cannot go on as the same "
                f"study. Remove it to start again, or choose another --out."
            )
    wanted = {_key(setting) for setting in study.settings}
    kept["runs"] = {key: run for key, run in kept["runs"].items() if key in wanted}
    return kept


def _work(study, kept, partial, data, jobs, budget, say):
    todo = [setting for setting in study.settings if _key(setting) not in kept["runs"]]
    begun, source = time.monotonic(), provenance.source_hash()
    if todo and source not in kept["sources"]:
        kept["sources"].append(source)
    context = multiprocessing.get_context("spawn")
    with _interruptible(), ProcessPoolExecutor(jobs, context, _alone) as pool:
        running = {}
        try:
            while todo or running:
                while todo and len(running) < jobs:
                    setting = todo.pop(0)
                    folder = partial.with_name(study.name) / hashlib.sha256(_key(setting).encode()).hexdigest()[:12]
                    running[pool.submit(_measured, study.name, study.measure, setting, data, folder)] = setting
                left = None if budget is None else budget - (time.monotonic() - begun)
                if left is not None and left <= 0:
                    raise KeyboardInterrupt
                for done in wait(running, left, FIRST_COMPLETED).done:
                    setting = running.pop(done)
                    kept["runs"][_key(setting)] = run = done.result()
                    checkpoint.write(partial, json.dumps(kept).encode())
                    words = ", ".join(f"{key} {value}" for key, value in setting.items())
                    say(f"{study.name}: {words}: {run['seconds']:.1f} s, {len(todo) + len(running)} to go")
        except KeyboardInterrupt:
            for process in pool._processes.values():
                process.kill()
            there = f"{len(kept['runs'])} of {len(study.settings)} runs are measured"
            raise Stopped(f"{study.name}: stopped; {there}; the same command goes on.", interrupted=budget is None
                          or time.monotonic() - begun < budget) from None  # fmt: skip
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


def _measured(name, measure, setting, data, folder):
    begun = time.perf_counter()
    result = measure(setting, data, folder)
    checkpoint.remove(folder)
    return {"setting": setting, "result": _plain(result), "seconds": records.plain(time.perf_counter() - begun)}


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return records.plain(value)


def _record(study, kept):
    return {
        "schema": 1, "study": study.name, "question": study.question, "fixed": study.fixed,
        "runs": [kept["runs"][_key(setting)] for setting in study.settings],
        "precision": "fp32", "device": provenance.device_name(torch.device("cpu")), "threads": 1,
        "versions": provenance.versions(), "commit": provenance.commit(), "source_hash": kept["sources"],
        "started": kept["started"], "finished": now(),
    }  # fmt: skip
