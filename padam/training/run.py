"""A recipe trained to its record: resumed where it was left, stopped when asked, never lost."""

import contextlib
import datetime
import time
import warnings

import torch

from padam import data as datasets
from padam import files, models, optim, records
from padam.records import check
from padam.training import checkpoint, provenance, workers
from padam.training import precision as formats
from padam.training.authors import AuthorsTrainer
from padam.training.device import (
    deterministic,
    flushed_denormals,
    large_blocks_stay,
    on_card,
    own_generators,
    seed_generators,
)
from padam.training.engine import Trainer, diverged
from padam.training.progress import bar
from padam.training.signals import Signals, Stopped

# What a recipe's optimizer is called in the catalog, where that differs: Amsgrad runs as torch's Adam(amsgrad=True).
_BUILT_AS = {"amsgrad": "adam"}
_TRAINER = ("epoch", "model", "optimizer", "order", "augmentation", "cpu")
_KEYS = (  # of a checkpoint
    *("recipe", "data", "history", "threads", "precision", "sources", "devices", "started", "status"),
    *(f"trainer.{key}" for key in _TRAINER),
)
_SETTINGS = ("precision", "processes")  # with others, the next epoch would not be the one that follows


def build(recipe, data, device):
    """(network, optimizer) as a run of the recipe begins, drawn from torch's global generator.

    `data` are those of the recipe, which say how many classes or words there are.
    """
    if isinstance(data, datasets.Text):
        settings = recipe.text or {}
        kept = {key: settings[key] for key in models.Regularisation._fields if key in settings}
        model = models.build(
            recipe.model, vocabulary=len(data.vocabulary), regularisation=models.Regularisation(**kept)
        )
    else:
        classes = 1 + max(int(labels.max()) for _, labels in (data.train, data.test))
        model = models.build(recipe.model, classes, data.resized or data.train[0].shape[-1])
    model.to(device, memory_format=torch.channels_last)
    return model, _optimizer(recipe, model.parameters())


def _optimizer(recipe, parameters):
    return optim.build(_BUILT_AS.get(recipe.optimizer, recipe.optimizer), parameters, **recipe.hyper)


def train(
    recipe,
    seed=0,
    out=None,
    *,
    data=None,
    device=None,
    precision="auto",
    threads=None,
    budget=None,
    keep=False,
):
    """Train a recipe and return its record; go on where an earlier call was interrupted.

    Args:
        recipe: `padam.recipes.Recipe`, from `padam.recipes.get`.
        seed: of the initial weights, the order of the batches and the augmentation.
        out: folder of the records; default `padam.records.default_root()`. The record is
            out/<profile>/<dataset>/<model>/<optimizer>[-variant]/seed<k>.json, by the recipe's id, and beside it, while
            the run lasts, a folder seed<k> holds the checkpoints. A record that is there is returned, not made again.
        data: folder of the data sets; default the environment's PADAM_DATA, else "data".
        device: "cpu", "cuda", "cuda:1"; default CUDA where there is one. Packed pictures too large for its memory are
            streamed to it (`padam.training.prefetch`; the environment's PADAM_RESIDENT sets from how many GB on).
        precision: "auto", "fp32", "bf16" or "fp16", see `padam.training.precision.choose`.
        threads: of the CPU; default those the run was begun with, else all of torch's. A run may go on with another
            number, and its record lists all. On a CPU a warning says what that changes: sums are taken in another
            order, so what follows is not, bit for bit, what would have followed.
        budget: seconds after which to stop, at the end of the last epoch that fits; default none.
        keep: keep the last checkpoint, which holds the trained weights, when the run is finished.

    Under torchrun all its processes call this and get the record, which process 0 writes, as well as the checkpoints.
    Each takes its share of every batch, so that the gradient is the whole batch's; batch norm sees a process's share
    only, and its running averages are those of process 0; each draws dropout of its own. Pictures only; the machines,
    if several, share `out`.

    On the same device a resumed run ends in the same weights, bit for bit, as one that was never interrupted. What the
    first signal or the budget stops loses nothing. What is killed, or stopped by a second signal within an epoch, has
    to train again what came after its last checkpoint: on a CPU, where every epoch is written, no more than the epoch
    that was running; on a GPU perhaps some before it, for there one is written only when 20 times as long has passed as
    writing takes. A loss that is no number ends the run: a "diverged" record.

    Raises:
        Stopped: by Ctrl-C, SIGTERM or the budget; the checkpoint is there, and the same call goes on.
        ValueError: the recipe, the data or the number of processes are not those of the checkpoint or of the record
            that is there; torchrun trains texts, or in the authors' loop.
        padam.training.workers.Lost: another process of the run has ended; the same call goes on from the last
            checkpoint.
        padam.files.Busy: another process trains this run.
        OSError: the disk is full, or `out` cannot be written; the checkpoints before are still there.
    """
    begun, device = time.monotonic(), workers.place(device)
    _optimizer(recipe, [torch.zeros(1, requires_grad=True)])  # settings out of range are an error before data are read
    path = records.find(recipe, seed, out) or records.path(recipe, seed, out)
    with on_card(device), workers.joined(device) as group:

        def _begin():
            loaded = datasets.load(recipe.dataset, data)
            return _Run(recipe, seed, path, loaded, device, precision, threads, group)

        return _recorded(_begin, recipe, path, group, device, keep, budget, begun)


def _recorded(begin, recipe, path, group, device, keep, budget, begun):
    """The record that is there, or that of the run which `begin` begins; the process is left as it was."""
    if found := group.first(lambda: _existing(path, recipe, keep)):
        return found
    with contextlib.ExitStack() as held:
        group.first(lambda: held.enter_context(checkpoint.locked(path.with_suffix(""))))
        for meanwhile in (own_generators(device), flushed_denormals(), deterministic(device)):
            held.enter_context(meanwhile)
        # Another process may have finished it before we had the lock.
        if found := group.first(lambda: _existing(path, recipe, keep)):
            return found
        held.callback(torch.set_num_threads, torch.get_num_threads())
        record = group.in_turn(begin).to_the_end(budget, begun)
        return group.first(lambda: _written(record, path, keep))


def _written(record, path, keep):
    """The record, once it is checked and on the disk, and its checkpoints are gone."""
    check.check(record)
    files.write(path, records.dumps(record).encode(), exclusive=True)
    if not keep:
        checkpoint.remove(path.with_suffix(""))
    return record


def _existing(path, recipe, keep):
    """The record that is there, if it is of this recipe; None where there is none."""
    if not path.exists():
        return None
    record = records.read(path)
    differs = _differences(record["recipe"], recipe.values())
    if differs:
        raise ValueError(
            f"{path} is the record of another recipe ({differs}), and a record is never overwritten. Choose another "
            f"folder with out= (--out)."
        )
    if not keep:
        checkpoint.remove(path.with_suffix(""))
    return record


def _differences(old, new):
    """ "batch_size is 64 there and 128 here", for every value that differs."""
    keys = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    return ", ".join(f"{key} is {old.get(key)} there and {new.get(key)} here" for key in keys)


class _Run:
    """One recipe, one seed, between its epochs."""

    def __init__(self, recipe, seed, path, data, device, precision, threads, group):
        self.recipe, self.seed, self.folder, self.group = recipe, seed, path.with_suffix(""), group
        self.saved_at, self.cost = time.monotonic(), 0.0  # of the last checkpoint: when, and how long it took
        self.data = datasets.split(data, recipe.train_size, recipe.holdout)
        saved = checkpoint.load(self.folder, _KEYS)
        large_blocks_stay()
        torch.set_num_threads(threads or (saved or {}).get("threads") or torch.get_num_threads())
        self.trainer = self._trainer(device, formats.choose(precision, device, isinstance(data, datasets.Text)))
        source = provenance.source_hash()
        self.state = {
            "recipe": recipe.values(),
            "seed": seed,
            "data": provenance.data_hash(self.data),
            "history": {},
            "threads": torch.get_num_threads(),
            "threads_used": [torch.get_num_threads()],
            "precision": self.trainer.precision,
            "sources": [source],
            "devices": [provenance.device_name(device)],
            "started": now(),
            "status": "running",
            "processes": group.count,
        }
        if saved:
            self._resume(saved, source)

    def _trainer(self, device, precision):
        recipe = self.recipe
        seed_generators(self.seed, device)
        model, optimizer = build(recipe, self.data, device)
        trainer = AuthorsTrainer if recipe.loop == "authors" else Trainer
        return trainer(
            model,
            self.data,
            optimizer,
            batch_size=recipe.batch_size,
            milestones=recipe.milestones,
            gamma=recipe.gamma,
            seed=self.seed,
            device=device,
            precision=precision,
            text=recipe.text,
            group=self.group,
        )

    def _resume(self, saved, source):
        """Take over a checkpoint, if it is of this recipe, these data and these `_SETTINGS`."""
        for what, old, new in (
            ("recipe", saved["recipe"], self.state["recipe"]),
            ("data", {"sha256": saved["data"]}, {"sha256": self.state["data"]}),
            (
                "settings",
                {"processes": 1} | {k: saved[k] for k in _SETTINGS if k in saved},
                {k: self.state[k] for k in _SETTINGS},
            ),
        ):
            if differs := _differences(old, new):
                raise ValueError(
                    f"the {what} changed since the checkpoint in {self.folder} ({differs}), so the run cannot go on as "
                    f"the same run. Give it what it was started with, or remove that folder to start again."
                )
        if saved["sources"][-1] != source:
            warnings.warn(
                f"the code changed since the checkpoint in {self.folder}; the record will list both versions.",
                stacklevel=7,
            )
        threads, used = self.state["threads"], saved.get("threads_used", [saved["threads"]])
        if threads != saved["threads"] and self.trainer.device.type == "cpu":
            warnings.warn(
                f"the number of threads changed since the checkpoint in {self.folder} ({saved['threads']} there and "
                f"{threads} here): sums are taken in another order, so what follows is not, bit for bit, what would "
                f"have followed. The record will list both numbers.",
                stacklevel=7,
            )
        used = used + [threads] * (threads != used[-1])
        devices = saved["devices"] + [d for d in self.state["devices"] if d != saved["devices"][-1]]
        sources = saved["sources"] + [source] * (saved["sources"][-1] != source)
        try:
            self.trainer.load_state_dict(saved["trainer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"the checkpoint in {self.folder} is not one of this network and its optimizer "
                f"({type(error).__name__}), so the run cannot go on. Remove that folder to start it again from the "
                f"first epoch."
            ) from error
        self.state = {
            **{key: value for key, value in saved.items() if key != "trainer"},
            **{"devices": devices, "sources": sources, "threads": threads, "threads_used": used},
        }

    def to_the_end(self, budget, begun):
        """Train what is left and return the record; raises `Stopped` before `budget` seconds after `begun`."""
        label, speaks = f"{self.recipe.id}, seed {self.seed}", self.group.rank == 0
        shown = bar(self.trainer, self.recipe.epochs, label, lines=True) if speaks else contextlib.nullcontext(_unseen)
        with Signals(label, quiet=not speaks) as signals, shown as progress:
            while self.trainer.epoch < self.recipe.epochs and self.state["status"] != "diverged":
                self.group.first(lambda: self._stop_if_due(signals, budget, begun))
                with signals.interruptible():
                    row = self.trainer.run_epoch()
                self._keep(row)
                self.group.first(self._save_if_due)
                progress(row)
            self.group.first(self._save_if_new)
        return self._record()

    def _stop_if_due(self, signals, budget, begun):
        spent, last = time.monotonic() - begun, self.state["history"].get("seconds", [0.0])[-1]
        if signals.asked or (budget is not None and spent + 1.1 * last > budget):
            self._save_if_new()
            why = "as asked" if signals.asked else "before its budget is spent"
            raise Stopped(self._where(why), interrupted=bool(signals.asked))

    def _save_if_due(self):
        # On a GPU an epoch may be shorter than writing a checkpoint: then not every epoch is written.
        if self.trainer.device.type == "cpu" or time.monotonic() - self.saved_at > 20 * self.cost:
            at = time.monotonic()
            self._save_if_new()
            self.saved_at, self.cost = time.monotonic(), time.monotonic() - at

    def _keep(self, row):
        for key, value in row.items():
            self.state["history"].setdefault(key, []).append(value)
        if diverged(row):
            self.state["status"] = "diverged"

    def _save_if_new(self):
        newest = checkpoint.found(self.folder)[:1]
        if self.trainer.epoch and (not newest or newest[0][0] < self.trainer.epoch):
            state = self.state | {"trainer": self.trainer.state_dict()}
            checkpoint.save(self.folder, self.trainer.epoch, state)

    def _where(self, why):
        at = f"after epoch {self.trainer.epoch} of" if self.trainer.epoch else "before the first epoch of"
        return f"{self.recipe.id}, seed {self.seed}: stopped {why} {at} {self.recipe.epochs}; the same command goes on."

    def _record(self):
        state = self.state
        history = {key: [records.plain(v) for v in values] for key, values in state["history"].items()}
        more = {"processes": self.group.count} if self.group.count > 1 else {}
        more |= {"tf32": provenance.tf32()} if self.trainer.device.type == "cuda" else {}
        more |= {"threads_used": state["threads_used"]} if len(state["threads_used"]) > 1 else {}
        return {
            "schema": records.SCHEMA,
            "seed": self.seed,
            "recipe": state["recipe"],
            "history": history,
            "outcome": "diverged" if state["status"] == "diverged" else "finished",
            "precision": state["precision"],
            "device": ", ".join(state["devices"]),
            "threads": state["threads"],
            "versions": provenance.versions(),
            "commit": provenance.commit(),
            "source_hash": state["sources"],
            "data_sha256": state["data"],
            "started": state["started"],
            "finished": now(),
        } | more


def _unseen(row):
    """The progress of a process that shows none."""


def now():
    """The time as records have it: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
