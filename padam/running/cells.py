"""The runs behind a table of the paper: which are there, which are to be made, and with which command."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from padam import recipes, records
from padam.training import checkpoint, cost
from padam.training.progress import duration


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


def only(found, words):
    """The cells that match every kind of word given: networks ("vgg16"), optimizers ("padam-p0.25"), seeds ("seed0").

    Of several words of one kind each is enough. Raises ValueError for a word that matches none of the cells, with what
    there is.
    """
    wanted = {}
    kinds = {
        "networks": lambda cell: {cell.recipe.cell, *cell.recipe.cell.split("/"), cell.recipe.model},
        "optimizers": lambda cell: {cell.recipe.id.rpartition("/")[2]},
        "seeds": lambda cell: {f"seed{cell.seed}"},
    }
    known = {kind: set().union(*map(names, found)) for kind, names in kinds.items()}
    for word in words:
        kind = next((kind for kind, names in known.items() if word in names), None)
        if kind is None:
            there = "; ".join(f"{kind} {', '.join(sorted(names))}" for kind, names in known.items())
            raise ValueError(f"nothing here is called {word!r}. There are the {there}.")
        wanted.setdefault(kind, set()).add(word)
    return [cell for cell in found if all(kinds[kind](cell) & some for kind, some in wanted.items())]


def command(cell, options=()):
    """The words after "python" that make a cell's record; `options` are further words for `train`."""
    changes = [word for name, value in cell.recipe.changes.items() for word in ("--set", f"{name}={_word(value)}")]
    id = cell.recipe.id.removesuffix(f"-{cell.recipe.variant}") if changes else cell.recipe.id
    words = ["-m", "padam", "train", id, "--profile", cell.recipe.profile, *changes, "--seed", str(cell.seed), *options]
    return tuple(words)


def _word(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def speed(recipe, out=None):
    """Seconds of an epoch of a recipe as records of the same network under `out` have it; None where there are none."""
    there = records.path(recipe, 0, out).parent.parent.glob("*/seed*.json")
    found = [records.read(path) for path in there]
    known = [
        statistics.median(record["history"]["seconds"])
        for record in found
        if all(record["recipe"][name] == getattr(recipe, name) for name in ("dataset", "model", "train_size"))
    ]
    return statistics.fmean(known) if known else None


def seconds_left(cell, out=None):
    """How long a cell will take, by the `speed` of its network; 0 if it is recorded, None if that is not known."""
    if cell.state not in ("missing", "begun"):
        return 0.0
    each = speed(cell.recipe, out)
    return None if each is None else each * (cell.recipe.epochs - cell.epoch)


def time_left(cells, jobs, out=None):
    """ ", about 7 h 12 min": what is to do, as far as records of the same networks say how long an epoch takes."""
    todo = [cell for cell in cells if cell.state in ("missing", "begun")]
    known = [seconds for seconds in (seconds_left(cell, out) for cell in todo) if seconds is not None]
    rest = f" for {len(known)} of them, the others' speed is not known" if len(known) < len(todo) else ""
    return f", about {duration(sum(known) / jobs)}{rest}" if known else ""


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


def in_flops(operations):
    """ "3.6e16 FLOPs"."""
    return f"{operations:.1e} FLOPs".replace("e+", "e")


def flops_left(cells, data=None):
    """ ", 1.1e18 FLOPs": what is to do, as far as it is known; `data` is the folder of the data sets."""
    todo = [cell for cell in cells if cell.state in ("missing", "begun")]
    shares = [(cost.flops(cell.recipe, data), 1 - cell.epoch / cell.recipe.epochs) for cell in todo]
    known = [operations * share for operations, share in shares if operations is not None]
    rest = f" for {len(known)} of them" if len(known) < len(todo) else ""
    return f", {in_flops(sum(known))}{rest}" if known else ""


def in_words(cell, out=None, data=None):
    """A cell in a sentence, for --plan: what it is, what it costs, how far it is, and where its record is or will be.

    Args:
        cell: `Cell`.
        out: folder of the records, which say how long an epoch of such a network takes.
        data: folder of the data sets; default the environment's PADAM_DATA, else "data".
    """
    recipe = cell.recipe
    operations = cost.flops(recipe, data)
    counted = "" if operations is None else f", {in_flops(operations)}"
    run = f"{recipe.model} on {recipe.dataset}, {recipe.epochs} epochs{counted}"
    how = {
        "filled": "is recorded",
        "diverged": "is recorded: it diverged",
        "running": f"is running, past epoch {cell.epoch}",
        "begun": f"goes on from epoch {cell.epoch}",
        "missing": "is to be trained",
    }[cell.state]
    if cell.seconds:
        how += f", {duration(cell.seconds * cell.epoch)}"
    elif left := seconds_left(cell, out):
        how += f", about {duration(left)}"
    return f"{cell.label} ({run}) {how}: {cell.path}"
