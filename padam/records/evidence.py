"""Test errors from every source in one form: the paper's tables, what others published, our own records.

Nothing is mixed: each run keeps its source, and `padam.records.judge` takes each source by itself. All errors here are
percentages, all differences percentage points.
"""

import math
from dataclasses import dataclass, field

from padam import recipes, records
from padam.records import paper, published

# Source -> what tables call it. The last two are ours: the paper's runs, and the miniature.
SOURCES = {
    "paper": "the paper",
    "reproduction-2019": "Mittal et al. (2019)",
    "adai-pnm": "Xie et al. (2021, 2022)",
    "adabound": "Luo et al. (2019)",
    "adabelief": "Zhuang et al. (2020)",
    "full": "ours, full",
    "small": "ours, small",
}
# Runs whose rate went up again in the middle, and that ended early, so that the source's notes forbid to compare the
# ends; and a sweep of p that gave each p another rate.
_UNUSABLE = (
    ("reproduction-2019", "main", "cifar100", "resnet18"),
    ("reproduction-2019", "p-sweep", "cifar100", "resnet18"),
)
_DECAY_ONCE = (150,)  # adabound and adabelief: x0.1 in epoch 151, and no more


@dataclass(frozen=True)
class Run:
    """One run, or one entry of a table.

    `cell` is "dataset/model", of the paper's cell where the run is one of its, whatever the profile; `optimizer` may
    carry a variant. `last` and `best` are test errors (%) after the last epoch and at the best one, None where the
    source does not say; `sd` is the standard deviation (points) over `runs` runs where the source has the mean alone.
    `history` has the lists of a record, errors as fractions; `milestones` the epochs after which the rate fell.
    """

    source: str
    cell: str
    optimizer: str
    seed: int | None = None
    last: float | None = None
    best: float | None = None
    sd: float | None = None
    runs: int = 1
    milestones: tuple = ()
    history: dict = field(default_factory=dict, repr=False)

    def __post_init__(self):
        if errors := [e for e in self.history.get("test_error", ()) if e is not None]:
            lost = self.history["test_error"][-1] is None  # a diverged run is behind every other
            object.__setattr__(self, "last", math.inf if lost else 100 * errors[-1])
            object.__setattr__(self, "best", 100 * min(errors))


def collect(root=None):
    """{source: [Run, ...]} over CIFAR-10 and CIFAR-100.

    Args:
        root: folder of our records; default `padam.records.default_root()`.
    """
    found = {name: [] for name in SOURCES}
    found["paper"] = [
        Run("paper", cell, name, last=paper.error(accuracy))
        for cell, row in paper.TABLE1.items()
        for name, accuracy in row.items()
    ]
    for name in published.load():
        found[name] = published_runs(name)
    for record in records.collect(root).values():
        if record["profile"] in ("full", "small") and record["recipe"]["id"].startswith("cifar"):
            if records.shortened(record) and record["profile"] == "full":
                continue
            found[record["profile"]].append(_ours(record))
    return found


def published_runs(name):
    """The `Run`s of one published source."""
    return [run for each in published.load()[name]["runs"] if (run := _published(name, each))]


def _ours(record):
    recipe = record["recipe"]
    dataset, model, name = recipe["id"].split("/")
    return Run(
        record["profile"], f"{dataset}/{model}", name, seed=record["seed"], milestones=tuple(recipe["milestones"]),
        history=record["history"],
    )  # fmt: skip


def _published(name, run):
    """A published run as a `Run`; None for what is not of CIFAR, not one of the seven, or not comparable."""
    group, optimizer = run.get("group", "main"), run["optimizer"]
    if not run["dataset"].startswith("cifar") or optimizer not in recipes.OPTIMIZERS:
        return None
    if group not in ("main", "p-sweep") or (name, group, run["dataset"], run["model"]) in _UNUSABLE:
        return None
    cell = f"{run['dataset']}/{run['model']}"
    if "epoch" not in run:
        mean, sd = (round(100 * run[f"best_test_error_{part}"], 4) for part in ("mean", "sd"))
        return Run(name, cell, optimizer, best=mean, sd=sd, runs=run["runs"])
    if group == "p-sweep":
        cell, p = f"{cell}, 90 epochs", run["hyper"]["p"]
        optimizer = "padam" if p == 1 / 8 else f"padam-p{p:g}"
    decays = tuple(start - 1 for start, _ in run["schedule"][1:]) if "schedule" in run else _DECAY_ONCE
    return Run(name, cell, optimizer, milestones=decays, history=run)


def cells(runs):
    """{cell: {optimizer: [Run, ...]}} of the runs of one source, in their order."""
    found = {}
    for run in runs:
        found.setdefault(run.cell, {}).setdefault(run.optimizer, []).append(run)
    return found
