"""The runs behind a table of the paper: which are there, and filling those that are missing, several at a time."""

import contextlib
import signal
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from padam import recipes, records
from padam.training import checkpoint
from padam.training.progress import duration

START = 10  # seconds that a process takes to begin: less than that is no use
FINISHED, STOPPED, BUSY, INTERRUPTED = 0, 3, 4, 130  # what `python -m padam train` ends with
# Anything else is a failure; the last is Ctrl-C before a run has begun.
IN_ORDER = (FINISHED, STOPPED, BUSY, INTERRUPTED, -signal.SIGINT)


@dataclass(frozen=True)
class Cell:
    """One run of a table: its recipe, seed, the path of its record, and how far it is.

    state is "filled", "diverged", "running", "begun" (a checkpoint waits at `epoch`) or "missing"; seconds is what an
    epoch took, as far as that is known, else None.
    """

    recipe: recipes.Recipe
    seed: int
    path: Path
    state: str
    epoch: int = 0
    seconds: float | None = None

    @property
    def label(self):
        """ "cifar10/vgg16/padam, seed 0"."""
        return f"{self.recipe.id}, seed {self.seed}"


def look(recipe, seed, out=None):
    """The `Cell` of a recipe and seed, as it is on the disk now."""
    path = records.path(recipe, seed, out)
    if there := records.find(recipe, seed, out):
        record = records.read(there)
        state = "filled" if record["outcome"] == "finished" else "diverged"
        seconds = statistics.median(record["history"]["seconds"])
        return Cell(recipe, seed, there, state, records.epochs_run(record), seconds)
    folder = path.with_suffix("")
    there = checkpoint.found(folder)
    epoch = there[0][0] if there else 0
    state = "running" if checkpoint.running(folder) else "begun" if epoch else "missing"
    return Cell(recipe, seed, path, state, epoch)


def cells(what, profile, seeds=3, out=None):
    """Every `Cell` of a table or figure, most wanted first (`padam.recipes.wanted`)."""
    return [look(recipes.get(id, profile), seed, out) for id, seed in recipes.wanted(what, profile, seeds)]


def time_left(cells, jobs):
    """ ", about 7 h 12 min": what is to do, as far as records of the same networks say how long an epoch takes."""
    known = {}
    for cell in cells:
        if cell.seconds:
            known.setdefault((cell.recipe.dataset, cell.recipe.model), []).append(cell.seconds)
    todo = [cell for cell in cells if cell.state in ("missing", "begun")]
    epochs = [((c.recipe.dataset, c.recipe.model), c.recipe.epochs - c.epoch) for c in todo]
    seconds = sum(sum(known[key]) / len(known[key]) * count for key, count in epochs if key in known)
    told = sum(key in known for key, _ in epochs)
    rest = f" for {told} of them, the others' speed is not known" if told < len(todo) else ""
    return f", about {duration(seconds / jobs)}{rest}" if seconds else ""


def summary(cells):
    """ "2/3", "1/3 †1", "epoch 34/60*", "-": how far the seeds of one cell are."""
    there = [cell for cell in cells if cell.state in ("filled", "diverged")]
    diverged = sum(cell.state == "diverged" for cell in there)
    said = [f"{len(there)}/{len(cells)}"] if there else []
    said += [f"†{diverged}"] if diverged else []
    for cell in cells:
        if cell.state in ("running", "begun"):
            said.append(f"epoch {cell.epoch}/{cell.recipe.epochs}{'*' if cell.state == 'running' else ''}")
    return " ".join(said) or "-"


def told(cell):
    """A cell in a sentence, for --plan."""
    recipe = cell.recipe
    run = f"{recipe.model} on {recipe.dataset}, {recipe.epochs} epochs"
    how = {
        "filled": "is recorded",
        "diverged": "is recorded: it diverged",
        "running": f"is running, past epoch {cell.epoch}",
        "begun": f"goes on from epoch {cell.epoch}",
        "missing": "is to be trained",
    }[cell.state]
    took = f", {duration(cell.seconds * cell.epoch)}" if cell.seconds else ""
    return f"{cell.label} ({run}) {how}{took}: {cell.path}"


class Queue:
    """Runs one after another, or `jobs` at a time, each in a process of its own.

    Args:
        todo: the cells to fill, in order.
        options: further arguments of `python -m padam train`, as strings.
        jobs: how many processes.
        budget: seconds for all of it; every process is told what is left.
        say: called with each line that a process writes.
    """

    def __init__(self, todo, options, jobs=1, budget=None, say=lambda line: None):
        self.todo, self.options, self.jobs, self.say = list(todo), list(options), jobs, say
        self.deadline = None if budget is None else time.monotonic() + budget
        self.lock, self.running, self.stopped, self.interrupted = threading.RLock(), set(), 0, False
        self.ended = []  # (cell, exit status)

    def run(self):
        """Work until all is done, the budget is spent, Ctrl-C or a failure; returns [(cell, exit status), ...]."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self.jobs)]
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.1)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self.ended

    def _stop(self, number, frame):
        """Pass a signal on: the first lets every run finish its epoch, the second ends it at once."""
        with self.lock:  # no process is just being started then
            self.stopped, self.interrupted = self.stopped + 1, True
            for process in self.running:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)

    def _work(self):
        while (cell := self._next()) is not None:
            status = self._train(cell)
            with self.lock:
                self.ended.append((cell, status))
                if status not in (FINISHED, BUSY):
                    self.stopped += 1  # what went wrong here would go wrong with the next, too

    def _next(self):
        with self.lock:
            late = self.deadline is not None and time.monotonic() > self.deadline - START
            return None if self.stopped or late or not self.todo else self.todo.pop(0)

    def _train(self, cell):
        command = [sys.executable, "-m", "padam", "train", cell.recipe.id, "--profile", cell.recipe.profile]
        command += ["--seed", str(cell.seed), *self.options]
        if self.deadline is not None:
            command += ["--budget", f"{max(self.deadline - time.monotonic(), 1):.0f}s"]
        # In a session of its own, Ctrl-C reaches it through us alone, once for each time it was pressed.
        with self.lock:
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
            self.running.add(process)
            if self.interrupted:  # since the cell was taken
                process.send_signal(signal.SIGINT)
        with process:
            for line in filter(str.strip, process.stderr):
                self.say(line.rstrip("\n"))
            with self.lock:
                self.running.discard(process)
        return process.returncode
