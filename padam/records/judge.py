"""How a sentence about optimizers is judged by evidence: holds, fails, or not enough evidence.

A sentence is a list of comparisons of one quantity between two optimizers on one network. Each source is judged by
itself, with the uncertainty that it allows; where it has single runs, it borrows how much runs differ (`borrowed`). The
sentence holds on a network if all its comparisons that can be made do, and fails if one does.
`padam.records.claims` has the sentences, `padam.records.evidence` the sources.
"""

import functools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from padam.records import evidence, statistics

HOLDS, FAILS, OPEN = "holds", "fails", "not enough evidence"
PAIRED = 3  # so many seeds make an interval of their own; with fewer it would be chance how narrow it is
EARLY = 0.5  # "early" is this share of the epochs before the first decay: chosen here
AROUND = 0.05  # a decay's gain is a mean over this share of all epochs before it, minus one after it: chosen here
_LENDER = "adai-pnm"  # the one source at full scale that says how much runs differ


# --- quantities of a run, in points of error; None where the run does not have them


def _mean(run, key, first, last):
    values = run.history.get(key, [])[first:last] if run.history else []
    known = [100 * v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _begun(run, key, share):
    """The mean over a share of the epochs before the first decay."""
    return _mean(run, key, 0, round(share * run.milestones[0])) if run.milestones and not run.false_start else None


def _decay(run, number):
    return run.milestones[number] if len(run.milestones) > number else None


def last(run):
    """Test error after the last epoch; a source that states the best epoch alone is read there."""
    return run.best if run.last is None else run.last


def best(run):
    """Test error at the best epoch, which is chosen on the test set."""
    return run.best


def early_train(run):
    """Training error, mean over the first half of the epochs before the first decay."""
    return _begun(run, "train_error", EARLY)


def early_test(run):
    """Test error, mean over the first half of the epochs before the first decay."""
    return _begun(run, "test_error", EARLY)


def converging(run):
    """Training error, mean over all epochs before the first decay: the area under its curve."""
    return _begun(run, "train_error", 1)


def between(run):
    """Test error, mean over the epochs between the first decay and the second, or the end where there is no second."""
    return _mean(run, "test_error", run.milestones[0], _decay(run, 1)) if run.milestones else None


def gain(run, number):
    """Points of test error that a decay brings, the mean before it minus the mean after it."""
    at = _decay(run, number)
    if at is None or not run.history:
        return None
    window = max(1, round(AROUND * len(run.history["epoch"])))
    before, after = (_mean(run, "test_error", *part) for part in ((at - window, at), (at, at + window)))
    return None if before is None or after is None else before - after


def first_gain(run):
    """What the first decay brings, as a loss: the less, the better."""
    return None if (value := gain(run, 0)) is None else -value


def second_gain(run):
    """What the second decay brings, as a loss: the less, the better."""
    return None if (value := gain(run, 1)) is None else -value


def second_points(run):
    """The points of test error that the second decay brings."""
    return gain(run, 1)


# --- comparisons


class Less(NamedTuple):
    """`one`'s quantity is below `other`'s plus `limit` points; without an other, below `limit` itself."""

    quantity: object
    one: str
    other: str | None
    limit: float = 0.0


class Judged(NamedTuple):
    """A comparison on one network of one source.

    `difference` is one minus other, in points; `half` half the width of its 95% interval, infinite where nothing says
    how much runs differ; `seeds` those that it rests on, (None,) where the source names none, and `runs` how many runs
    of each; `how` where the interval is from: "as printed" (none), "paired seeds", "Welch", or "borrowed".
    """

    less: Less
    verdict: str
    difference: float
    half: float
    seeds: tuple
    runs: int
    how: str


def _spread(runs, quantity, dataset):
    """(standard deviation, degrees of freedom) of a run of a source: over seeds, and stated ones; None without."""
    found = []
    for cell, by_optimizer in evidence.cells(runs).items():
        for several in by_optimizer.values() if cell.startswith(f"{dataset}/") else ():
            values = [v for run in several if not run.diverged and (v := quantity(run)) is not None]
            found += [(statistics.spread(values), len(values))] if len(values) > 1 else []
            found += [(run.sd, run.runs) for run in several if run.sd is not None]
    return statistics.pooled(found)


@functools.cache
def _packaged():
    """The sources with the records that the package brings, whatever other records are judged."""
    return evidence.collect(evidence.records.HERE / "runs")


def borrowed(runs, quantity, dataset, pair=()):
    """Half the width of the 95% interval of a difference between two single runs of one source.

    The spread of a run is pooled over what the source ran with several seeds. Where it has nothing of that kind, the
    spread of end values is that of the table of Xie et al., at their best epochs, and what the errors of the two runs
    of `pair` themselves do over the last twentieth of their epochs comes on top; that of parts of curves is the one of
    our miniature, the only one that is known. The miniature borrows nothing: infinite.
    """
    own, wobbles = _spread(runs, quantity, dataset), []
    if own is None and runs[0].source != "small":
        if quantity in (last, best):
            own = _spread(_packaged()[_LENDER], best, dataset)
            wobbles = [_wobble(run) for run in pair] if quantity is last else []
        else:
            own = _spread(_packaged()["small"], quantity, "cifar10")
    if own is None:
        return math.inf
    sd, freedom = own
    return statistics.quantile(freedom) * math.sqrt(2 * sd**2 + sum(w**2 for w in wobbles))


def _wobble(run):
    """Standard deviation of the test error over the last epochs, in points."""
    errors = run.history.get("test_error", [])
    return statistics.spread([100 * e for e in errors[-max(2, round(AROUND * len(errors))) :]]) or 0.0


def compare(less, row, runs, cell):
    """`Judged` for one comparison, or None if one side was not run or the source does not have the quantity.

    Args:
        less: `Less`.
        row: {optimizer: [Run, ...]} of one network.
        runs: all runs of the source, for its spread.
        cell: the network's id, "dataset/model".
    """
    ones, others = (_values(less.quantity, row.get(name, [])) for name in (less.one, less.other))
    if less.other is None:
        others = {seed: (0.0, run) for seed, (_, run) in ones.items()}
    seeds = [seed for seed in ones if seed in others]
    if not seeds:
        return None
    differences = [_minus(ones[seed][0], others[seed][0]) for seed in seeds]
    one, other = ones[seeds[0]][1], others[seeds[0]][1]
    mean, count, how = sum(differences) / len(differences), len(seeds), "paired seeds"
    if one.source == "paper":
        half, how = 0.0, "as printed"
    elif one.sd is not None and other.sd is not None:
        (mean, half), how = statistics.welch(*((run.best, run.sd, run.runs) for run in (one, other))), "Welch"
        count = one.runs
    elif not math.isfinite(mean):
        half = 0.0
    elif count >= PAIRED:
        mean, half = statistics.interval(differences)
    else:
        half, how = borrowed(runs, less.quantity, cell.split("/")[0], (one, other)) / math.sqrt(count), "borrowed"
        half = half / math.sqrt(2) if less.other is None else half
    return Judged(less, _verdict(mean, half, less.limit), mean, half, tuple(seeds), count, how)


def _values(quantity, runs):
    """{seed: (the quantity, the run)}; a diverged run's is infinite."""
    found = {}
    for run in runs:
        value = math.inf if run.diverged else quantity(run)
        if value is not None:
            if run.seed in found:
                raise ValueError(f"{run.source} has two runs of {run.optimizer} on {run.cell}, seed {run.seed}")
            found[run.seed] = value, run
    return found


def _minus(one, other):
    return math.nan if one == other == math.inf else one - other  # two diverged runs: nothing can be said


def _verdict(difference, half, limit):
    if math.isnan(difference):
        return OPEN
    difference = round(difference, 9) if math.isfinite(difference) else difference  # 6.22 - 6.29 + 0.2 is exact
    if difference + half < limit:
        return HOLDS
    return FAILS if difference - half >= limit else OPEN


# --- claims


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper.

    `section` is where it stands, `text` what it says, in the paper's words where they are quoted; `reading` how it is
    read, with its tolerance; `final` whether it is about end values alone, `figure1` whether about the exponents of
    Figure 1; `models` the beginnings of the names of the networks it speaks of, all if empty, and `datasets` likewise.
    """

    name: str
    section: str
    text: str
    reading: str
    comparisons: tuple
    final: bool = False
    figure1: bool = False
    models: tuple = ()
    datasets: tuple = ()

    def at_best(self):
        """The same claim with end values read at the best epoch instead of the last."""
        read = tuple(less._replace(quantity=best) if less.quantity is last else less for less in self.comparisons)
        return replace(self, comparisons=read)

    def __call__(self, runs):
        """{cell: [Judged, ...]} for the runs of one source; a network without evidence has an empty list."""
        found = {}
        for cell, row in evidence.cells(runs).items():
            dataset, model = cell.split("/")
            if (not self.models or model.startswith(self.models)) and dataset in (self.datasets or (dataset,)):
                judged = [compare(less, row, runs, cell) for less in self.comparisons]
                found[cell] = [each for each in judged if each is not None]
        return found


def verdict(judged):
    """The verdict over the comparisons of one network, or over the verdicts of several networks."""
    found = {each if isinstance(each, str) else each.verdict for each in judged}
    if FAILS in found:
        return FAILS
    return HOLDS if found == {HOLDS} else OPEN


class Summary(NamedTuple):
    """A claim on one data set of one source: over its networks, how many of them hold and fail, on how many runs.

    `partly`: some of the comparisons could not be made, for the source did not run all the optimizers.
    """

    verdict: str
    holds: int
    fails: int
    networks: int
    runs: int
    partly: bool = False


def summary(claim, runs, dataset="cifar10"):
    """`Summary` of a claim over the networks of a data set that a source has evidence on.

    It fails if it fails on one network, and holds if it holds on all; `runs` is the smallest number of runs (or seeds)
    that a comparison rests on, 0 without evidence.
    """
    judged = {cell: each for cell, each in claim(runs).items() if each and cell.split("/")[0] == dataset}
    verdicts = [verdict(each) for each in judged.values()]
    counts = [each.runs for network in judged.values() for each in network]
    return Summary(
        verdict(verdicts), verdicts.count(HOLDS), verdicts.count(FAILS), len(verdicts), min(counts, default=0),
        any(len(each) < len(claim.comparisons) for each in judged.values()),
    )  # fmt: skip
