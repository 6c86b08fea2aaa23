"""How a sentence about optimizers is judged by evidence: holds, fails, or not enough evidence.

A sentence is a list of comparisons of one quantity between two optimizers on one network. Each is judged with the
uncertainty that its source allows (`Judged.how`), each source by itself; the sentence holds on a network if all its
comparisons do, and fails if one does. `padam.records.claims` has the sentences, `padam.records.evidence` the sources.
"""

import functools
import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from padam.records import evidence, statistics

HOLDS, FAILS, OPEN = "holds", "fails", "not enough evidence"
CURVE = 1.0  # points that two single curves must differ by before we call it a difference: chosen here
EARLY = 0.5  # "early" is this share of the epochs before the first decay: chosen here
AROUND = 0.05  # a decay's gain is a mean over this share of all epochs before it, minus one after it: chosen here


# --- quantities of a run, in points of error; None where the run does not have them


def _mean(run, key, first, last):
    values = run.history.get(key, [])[first:last] if run.history else []
    known = [100 * v for v in values if v is not None]
    return sum(known) / len(known) if known else None


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
    return _mean(run, "train_error", 0, round(EARLY * run.milestones[0])) if run.milestones else None


def early_test(run):
    """Test error, mean over the first half of the epochs before the first decay."""
    return _mean(run, "test_error", 0, round(EARLY * run.milestones[0])) if run.milestones else None


def converging(run):
    """Training error, mean over all epochs before the first decay: the area under its curve."""
    return _mean(run, "train_error", 0, run.milestones[0]) if run.milestones else None


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


# --- comparisons


class Less(NamedTuple):
    """`one`'s quantity is below `other`'s plus `limit` points, if both were run."""

    quantity: object
    one: str
    other: str
    limit: float = 0.0


class Judged(NamedTuple):
    """A comparison on one network of one source.

    `difference` is one minus other, in points; `half` half the width of its 95% interval; `seeds` those that it rests
    on, (None,) where the source names none, and `runs` how many runs of each; `how` where the interval is from: "as
    printed" (none), "paired seeds", "Welch", or "single runs" with a borrowed spread.
    """

    less: Less
    verdict: str
    difference: float
    half: float
    seeds: tuple
    runs: int
    how: str


def _spreads(runs, quantity, dataset):
    """[(standard deviation, runs), ...] of what has several seeds among the runs of a source, or states a spread."""
    found = []
    for cell, by_optimizer in evidence.cells(runs).items():
        if cell.split("/")[0] != dataset:
            continue
        for several in by_optimizer.values():
            values = [v for run in several if (v := quantity(run)) is not None and math.isfinite(v)]
            found += [(statistics.spread(values), len(values))] if len(values) > 1 else []
            found += [(run.sd, run.runs) for run in several if run.sd is not None]
    return found


@functools.cache
def _published_spread(dataset):
    return statistics.pooled(_spreads(evidence.published_runs("adai-pnm"), best, dataset))


def borrowed(runs, quantity, dataset):
    """Half the width of the 95% interval of a difference between two single runs of one source.

    The spread of a run is pooled over what the source ran with several seeds; where there is nothing of that kind, over
    the table of Xie et al. for end values, and for parts of curves it is `CURVE` points in all.
    """
    sd = statistics.pooled(_spreads(runs, quantity, dataset))
    if sd is None and quantity in (last, best):
        sd = _published_spread(dataset)
    return CURVE if sd is None else statistics.NORMAL95 * math.sqrt(2) * sd


def compare(less, row, runs, cell):
    """`Judged` for one comparison, or None if one side was not run or the source does not have the quantity.

    Args:
        less: `Less`.
        row: {optimizer: [Run, ...]} of one network.
        runs: all runs of the source, for its spread.
        cell: the network's id, "dataset/model".
    """
    sides = [row.get(less.one, []), row.get(less.other, [])]
    values = [{run.seed: v for run in side if (v := less.quantity(run)) is not None} for side in sides]
    seeds = [seed for seed in values[0] if seed in values[1]]
    if not seeds:
        return None
    one, other = (side[0] for side in sides)
    differences = [_minus(values[0][seed], values[1][seed]) for seed in seeds]
    if one.source == "paper":
        (difference,), half, how = differences, 0.0, "as printed"
    elif one.sd is not None and other.sd is not None:
        (difference, half), how = statistics.welch(*((run.best, run.sd, run.runs) for run in (one, other))), "Welch"
    else:
        (difference, half), how = statistics.interval(differences), "paired seeds"
        if half is None:
            half, how = borrowed(runs, less.quantity, cell.split("/")[0]), "single runs"
    count = one.runs if how == "Welch" else len(seeds)
    return Judged(less, _verdict(difference, half, less.limit), difference, half, tuple(seeds), count, how)


def _minus(one, other):
    return 0.0 if one == other else one - other  # two diverged runs are level


def _verdict(difference, half, limit):
    if not math.isfinite(difference):  # a diverged run
        return HOLDS if difference < 0 else FAILS
    difference = round(difference, 9)  # 6.22 - 6.29 + 0.2 is no matter of the last bit
    if difference + half < limit:
        return HOLDS
    return FAILS if difference - half >= limit else OPEN


# --- claims


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper.

    `section` is where it stands, `text` what it says, in the paper's words where they are quoted; `reading` how it is
    read, with its tolerance; `final` whether it is about end values alone; `models` the beginnings of the names of the
    networks it speaks of, all if empty.
    """

    name: str
    section: str
    text: str
    reading: str
    comparisons: tuple
    final: bool = False
    models: tuple = ()

    def at_best(self):
        """The same claim with end values read at the best epoch, where the two readings can differ."""
        read = tuple(less._replace(quantity=best) if less.quantity is last else less for less in self.comparisons)
        return replace(self, comparisons=read)

    def __call__(self, runs):
        """{cell: [Judged, ...]} for the runs of one source; a network without evidence has an empty list."""
        found = {}
        for cell, row in evidence.cells(runs).items():
            if not self.models or cell.split("/")[1].startswith(self.models):
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
    """A claim on one data set of one source: over its networks, how many of them hold and fail, on how many runs."""

    verdict: str
    holds: int
    fails: int
    networks: int
    runs: int


def summary(claim, runs, dataset="cifar10"):
    """`Summary` of a claim over the networks of a data set that a source has evidence on.

    It fails if it fails on one network, and holds if it holds on all; `runs` is the smallest number of runs (or seeds)
    that a comparison rests on, 0 without evidence.
    """
    judged = {cell: each for cell, each in claim(runs).items() if each and cell.split("/")[0] == dataset}
    verdicts = [verdict(each) for each in judged.values()]
    counts = [each.runs for network in judged.values() for each in network]
    over_all = OPEN if not verdicts else verdict(verdicts)
    return Summary(over_all, verdicts.count(HOLDS), verdicts.count(FAILS), len(verdicts), min(counts, default=0))
