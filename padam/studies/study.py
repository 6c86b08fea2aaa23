"""What a study is, and the one way in which its networks are trained."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from padam.training import checkpoint
from padam.training.device import flushed_denormals, large_blocks_stay
from padam.training.engine import Trainer, diverged
from padam.training.signals import Signals, Stopped


@dataclass(frozen=True)
class Study:
    """A question, the settings it is asked of, and the measurement.

    `settings` is a tuple of dicts of plain values, each of which is one run; `measure(setting, data, run)` returns
    what a record keeps of it: plain numbers, None for what is none, lists and dicts of them. `data` is the folder of
    the data sets, `run` the `Run`. `fixed` says what all runs share, `minutes` about how long all of it takes on one
    core.

    Where later settings depend on what was measured, `following(runs)` returns them when all before are measured, from
    [{"setting": …, "result": …}, …]; it is asked again after those, until it names nothing new.
    """

    name: str
    question: str
    fixed: dict
    settings: tuple
    measure: callable
    minutes: float
    following: callable = None

    def all_settings(self, runs=()):
        """The settings that are known now, in order: those of the beginning, and what follows from `runs`."""
        known = list(self.settings)
        result = {key(run["setting"]): run for run in runs}
        while self.following and all(key(setting) in result for setting in known):
            new = [setting for setting in self.following([result[key(s)] for s in known]) if setting not in known]
            if not new:
                break
            known += new
        return tuple(known)


@dataclass(frozen=True)
class Run:
    """What a run knows of where it runs: the folder of its checkpoints, if it keeps any; the signals that may stop it;
    when it is to stop at the latest, by time.monotonic(); and what it is called.
    """

    folder: Path | None = None
    signals: Signals = Signals("a run")
    deadline: float | None = None
    label: str = "a run"

    def due(self, seconds=0.0):
        """Why the run is to stop, if it is, rather than go on for so many seconds."""
        if self.signals.asked:
            return "as asked"
        late = self.deadline is not None and time.monotonic() + seconds > self.deadline
        return "before its budget is spent" if late else None


def key(setting):
    """A setting as one string, the same whatever the order of its keys."""
    return json.dumps(setting, sort_keys=True)


def trained(model, data, optimizer, observe, run=Run(), *, epochs, along=None, **options):
    """Train `epochs` epochs and return the rows that `observe(trainer, row, before)` makes of each epoch's row.

    `before` are the weights before the epoch; `options` are the Trainer's. `along` is what else changes with the
    training: checkpoints hold its state_dict, too. A diverged run stops.

    Raises `Stopped` after the epoch in which Ctrl-C or SIGTERM came, and before one that would end after the deadline
    of `run`, a `Run`. A checkpoint is written then, and after every epoch of ten seconds or more; the same call goes on
    from it, with the same result.
    """
    large_blocks_stay()
    trainer, rows = Trainer(model, data, optimizer, **options), []
    saved = checkpoint.load(run.folder) if run.folder else None
    if saved:
        trainer.load_state_dict(saved["trainer"])
        rows = saved["rows"]
        if along is not None:
            along.load_state_dict(saved["along"])
    kept, seconds = trainer.epoch, 0.0  # the newest checkpoint's epoch; what the last epoch took

    def _save():
        if run.folder and trainer.epoch > kept:
            more = {} if along is None else {"along": along.state_dict()}
            checkpoint.save(run.folder, trainer.epoch, {"trainer": trainer.state_dict(), "rows": rows} | more)
        return trainer.epoch

    with flushed_denormals():
        while trainer.epoch < epochs and not (rows and rows[-1]["diverged"]):
            if why := run.due(seconds):
                _save()
                raise Stopped(
                    f"{run.label}: stopped {why} after epoch {trainer.epoch} of {epochs}; the same command goes on.",
                    interrupted=bool(run.signals.asked),
                )
            before = weights(model)
            with run.signals.interruptible():
                row = trainer.run_epoch()
            seconds = row["seconds"]
            rows.append({**observe(trainer, row, before), "diverged": diverged(row)})
            if seconds > 10:
                kept = _save()
    return rows


def weights(model):
    """The convolutions' and matrices' weights as one vector: what weight decay and movement are about."""
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.ndim > 1])


def movement(model, before):
    """Length of the way from the weights `before` to those now, over the length of the former; None if not finite."""
    moved = (weights(model) - before).norm().item() / before.norm().item()
    return moved if math.isfinite(moved) else None


def halved(images):
    """uint8 (N, C, H, W) -> (N, C, H/2, W/2): the mean of each 2x2 block, rounded."""
    return torch.nn.functional.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def columns(rows):
    """A list of rows with the same keys -> {key: list}."""
    return {key: [row[key] for row in rows] for key in rows[0]}
