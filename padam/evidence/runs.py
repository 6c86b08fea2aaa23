"""Test errors and perplexities from every source in one form: the paper's tables, what others published, our records.

Nothing is mixed: each run keeps its source, and `padam.evidence.verdicts` takes each source by itself. All errors here
are percentages, all differences of them percentage points.
"""

import math
from dataclasses import dataclass, field, replace

from padam import recipes, records
from padam.evidence import chosen, paper, published

# Source -> what tables call it. The last three are ours: the paper's runs, the miniature, and the miniature of texts at
# the rates that `padam.evidence.chosen` names.
SOURCES = {
    "paper": "the paper",
    "reproduction-2019": "Mittal et al. (2019)",
    "adai-pnm": "Xie et al. (2021, 2022)",
    "adabound": "Luo et al. (2019)",
    "adabelief": "Zhuang et al. (2020)",
    "torchvision": "torchvision",
    "full": "ours, full",
    "small": "ours, small",
    "chosen": "ours, small, rates chosen",
}
MINIATURES = ("small", "chosen")
# Runs that are left out: their rate went up again in the middle, and two of them ended early, so that the source's
# notes forbid to compare the ends; and a sweep of p that gave each p another rate.
_UNUSABLE = (
    ("reproduction-2019", "main", "cifar100", "resnet18"),
    ("reproduction-2019", "p-sweep", "cifar100", "resnet18"),
)
# Networks whose weights started so large that the first epochs went into shrinking them, say the source's notes: what
# happens before the first decay says nothing of the optimizers. (Their last stage is half as wide, too.)
_FALSE_START = (("reproduction-2019", "wrn16-4"),)
# The exponents of Figure 1 -> the names of their recipes.
_DIAL = {recipes.get(f"cifar10/resnet18/{name}", "full").hyper["p"]: name for name in recipes.DIAL}
# Where a source does not say it by run: adabound and adabelief decay x0.1 in epoch 151 of CIFAR, and no more.
_DECAYS = {"cifar10": (150,), "ptb": (100, 145)}


@dataclass(frozen=True)
class Run:
    """One run, or one entry of a table.

    `cell` is "dataset/model", of the paper's cell where the run is one of its, whatever the profile; `optimizer` may
    carry a variant. `last` and `best` are test errors (%), or perplexities of a `text`, after the last epoch and at the
    best one, None where the source does not say; `last_top5` and `best_top5` are ImageNet's errors with five guesses.
    `sd` is the standard deviation (points) over `runs` runs where the source has the mean alone. `history` has the
    lists of a record, errors as fractions; `milestones` the epochs after which the rate fell. A run that `diverged` is
    behind every other. `false_start`: its epochs before the first decay cannot be compared.
    """

    source: str
    cell: str
    optimizer: str
    seed: int | None = None
    last: float | None = None
    best: float | None = None
    last_top5: float | None = None
    best_top5: float | None = None
    sd: float | None = None
    runs: int = 1
    milestones: tuple = ()
    history: dict = field(default_factory=dict, repr=False)
    diverged: bool = False
    false_start: bool = False

    @property
    def text(self):
        """Whether it is of a text, and so has perplexities."""
        return self.cell.startswith("ptb/")


def curve(source, cell, optimizer, history, **more):
    """A `Run` with a history, whose ends are read from its test errors, or perplexities."""
    ends = history.get("test_perplexity") or [100 * error for error in history["test_error"]]
    five = [100 * error for error in history.get("test_error_top5", []) if error is not None] or [None]
    known = [end for end in ends if end is not None]
    return Run(
        source,
        cell,
        optimizer,
        last=ends[-1],
        best=min(known, default=None),
        last_top5=five[-1],
        best_top5=min(five),
        history=history,
        **more,
    )


def collect(root=None):
    """{source: [Run, ...]} over CIFAR-10, CIFAR-100, ImageNet and the Penn Treebank.

    Args:
        root: folder of our records; default `padam.records.default_root()`.
    """
    found = {name: [] for name in SOURCES}
    found["paper"] = [
        Run("paper", cell, name, last=paper.error(accuracy))
        for cell, row in paper.TABLE1.items()
        for name, accuracy in row.items()
    ]
    found["paper"] += [
        Run("paper", cell, name, last=paper.error(accuracy), last_top5=paper.error(paper.TABLE2_TOP5[cell][name]))
        for cell, row in paper.TABLE2_TOP1.items()
        for name, accuracy in row.items()
    ]
    found["paper"] += [
        Run("paper", cell, name, last=perplexity)
        for cell, row in paper.TABLE3.items()
        for name, perplexity in row.items()
    ]
    for name, source in published.load().items():
        found[name] = [run for each in source["runs"] if (run := _published(name, each))]
    for record in records.collect(root).values():
        if record["recipe"]["id"].startswith(("cifar", "imagenet", "ptb")) and _counts(record):
            found[record["recipe"]["profile"]].append(_ours(record))
    found["chosen"] = at_chosen_rates(found["small"])
    return found


def at_chosen_rates(runs):
    """The miniature's runs of texts at the rates that were chosen for it, each under its optimizer's bare name."""
    names = {f"{name}-{variant}" if variant else name: name for name, variant in chosen.variants().items()}
    return [
        replace(run, source="chosen", optimizer=names[run.optimizer])
        for run in runs
        if run.text and run.optimizer in names
    ]


def _counts(record):
    """Whether a record is of the miniature, or a full run of the paper's: to its end, or until it diverged."""
    profile, epochs = record["recipe"]["profile"], record["recipe"]["epochs"]
    if _diverged(record):
        record = record | {"history": {"epoch": range(epochs)}}
    return profile == "small" or (profile == "full" and not records.shortened(record))


def _diverged(record):
    return record["outcome"] == "diverged"


def _ours(record):
    recipe = record["recipe"]
    dataset, model, name = recipe["id"].split("/")
    return curve(
        recipe["profile"],
        f"{dataset}/{model}",
        name,
        record["history"],
        seed=record["seed"],
        milestones=tuple(recipe["milestones"]),
        diverged=_diverged(record),
    )


def _published(name, run):
    """A published run as a `Run`; None for what is not of the seven (on a text: or plain SGD), or not comparable."""
    group, optimizer = run.get("group", "main"), run["optimizer"]
    if optimizer not in recipes.OPTIMIZERS and (run["dataset"], optimizer) != ("ptb", "sgd"):
        return None
    if group not in ("main", "p-sweep") or (name, group, run["dataset"], run["model"]) in _UNUSABLE:
        return None
    cell = f"{run['dataset']}/{run['model']}"
    if run["dataset"] == "imagenet":
        top1, top5 = (round(100 * run[key][-1], 3) for key in ("test_error", "test_error_top5"))
        return Run(name, cell, optimizer, last=top1, last_top5=top5)
    if "epoch" not in run:
        mean, sd = (round(100 * run[f"best_test_error_{part}"], 4) for part in ("mean", "sd"))
        return Run(name, cell, optimizer, best=mean, sd=sd, runs=run["runs"])
    if group == "p-sweep":
        cell, optimizer = f"{cell}, 90 epochs", _DIAL[run["hyper"]["p"]]
    decays = tuple(start - 1 for start, _ in run["schedule"][1:]) if "schedule" in run else _DECAYS[run["dataset"]]
    if run["dataset"] == "ptb":
        run = run | {"test_loss": [math.log(perplexity) for perplexity in run["test_perplexity"]]}
    false_start = (name, run["model"]) in _FALSE_START
    return curve(name, cell, optimizer, run, milestones=decays, false_start=false_start)


def by_network(runs):
    """{cell: {optimizer: [Run, ...]}} of the runs of one source, in their order."""
    found = {}
    for run in runs:
        found.setdefault(run.cell, {}).setdefault(run.optimizer, []).append(run)
    return found
