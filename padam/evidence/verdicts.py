"""How a sentence about optimizers is judged by evidence: holds, fails, or not enough evidence.

A sentence is a list of comparisons of one metric between two optimizers on one network. Each source is judged by
itself, with the uncertainty that it allows; where it has single runs, it borrows how much runs differ (`borrowed`). The
sentence holds on a network if all its comparisons that can be made do, and fails if one does.
`padam.evidence.claims` has the sentences, `padam.evidence.runs` the sources, `padam.evidence.metrics` what is read
from a run.
"""

import functools
import math
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple

from padam import evidence, records
from padam.evidence import statistics
from padam.evidence.metrics import BEST, best, last, wobble

HOLDS, FAILS, OPEN = "holds", "fails", "not enough evidence"
PAIRED = 3  # so many seeds make an interval of their own; with fewer it would be chance how narrow it is
_LENDER = "adai-pnm"  # the one source at full scale that says how much runs differ


# --- comparisons


class Less(NamedTuple):
    """`one`'s metric is below `other`'s plus `limit` points; without an other, below `limit` itself."""

    metric: object
    one: str
    other: str | None
    limit: float = 0.0


class Judgment(NamedTuple):
    """A comparison on one network of one source.

    `difference` is one minus other, in the metric's unit; `half` half the width of its 95% interval, infinite where
    nothing says how much runs differ; `seeds` those that it rests on, (None,) where the source names none, and `runs`
    how many runs of each; `how` where the interval is from: "as printed" (none), "paired seeds", "Welch", or
    "borrowed"; `partly` whether it is made on some of what it speaks of.
    """

    less: Less
    verdict: str
    difference: float
    half: float
    seeds: tuple
    runs: int
    how: str
    partly: bool = False


def _spread(runs, metric, dataset):
    """(standard deviation, degrees of freedom) of a run of a source: over seeds, and stated ones; None without."""
    found = []
    for cell, by_optimizer in evidence.by_network(runs).items():
        for several in by_optimizer.values() if cell.startswith(f"{dataset}/") else ():
            values = [v for run in several if not run.diverged and (v := metric(run)) is not None]
            found += [(statistics.spread(values), len(values))] if len(values) > 1 else []
            found += [(run.sd, run.runs) for run in several if run.sd is not None]
    return statistics.pooled(found)


@functools.cache
def _packaged():
    """The sources with the records that the package brings, whatever other records are judged."""
    return evidence.collect(records.HERE / "runs")


def borrowed(runs, metric, dataset, pair=()):
    """Half the width of the 95% interval of a difference between two single runs of one source.

    The spread of a run is pooled over what the source ran with several seeds. Where it has nothing of that kind, the
    spread of end values is that of the table of Xie et al., at their best epochs; that of parts of curves, of ImageNet
    and of texts is the one of our miniature, the only one that is known. What the errors (losses) of the two runs of
    `pair` themselves do over the last twentieth of their epochs comes on top where last epochs are compared. A
    miniature borrows nothing: infinite.
    """
    own, wobbles = _spread(runs, metric, dataset), []
    if own is None and runs[0].source not in evidence.MINIATURES:
        ours = dataset if dataset in ("imagenet", "ptb") else "cifar10"
        own = _spread(
            *(_packaged()[_LENDER], best, dataset)
            if metric in (last, best) and ours == "cifar10"
            else (_packaged()["small"], metric, ours)
        )
        wobbles = [wobble(run) for run in pair] if metric in BEST else []
    if own is None:
        return math.inf
    sd, freedom = own
    return statistics.quantile(freedom) * math.sqrt(2 * sd**2 + sum(w**2 for w in wobbles))


def compare(less, row, runs, cell):
    """`Judgment` for one comparison, or None if one side was not run or the source does not have the metric.

    Args:
        less: `Less`.
        row: {optimizer: [Run, ...]} of one network.
        runs: all runs of the source, for its spread.
        cell: the network's id, "dataset/model".
    """
    ones, others = (_values(less.metric, row.get(name, [])) for name in (less.one, less.other))
    if less.other is None:
        others = {seed: (0.0, run) for seed, (_, run) in ones.items()}
    seeds = [seed for seed in ones if seed in others]
    if not seeds:
        return None
    differences = [_minus(ones[seed][0], others[seed][0]) for seed in seeds]
    one, other = ones[seeds[0]][1], others[seeds[0]][1]
    mean, count, how = sum(differences) / len(differences), len(seeds), "paired seeds"  # inf - inf: fmean raises
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
        half, how = borrowed(runs, less.metric, cell.split("/")[0], (one, other)) / math.sqrt(count), "borrowed"
        half = half / math.sqrt(2) if less.other is None else half
    return Judgment(less, _verdict(mean, half, less.limit), mean, half, tuple(seeds), count, how)


def _values(metric, runs):
    """{seed: (the metric, the run)}; a diverged run's is infinite."""
    found = {}
    for run in runs:
        value = math.inf if run.diverged else metric(run)
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


CIFAR = ("cifar10", "cifar100")
IMAGES = (*CIFAR, "imagenet")


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper.

    `section` is where it stands, `text` what it says, in the paper's words where they are quoted; `reading` how it is
    read, with its tolerance; `final` whether it is about end values alone, `figure1` whether about the exponents of
    Figure 1; `models` the beginnings of the names of the networks it speaks of, all if empty; `datasets` the data.
    """

    name: str
    section: str
    text: str
    reading: str
    comparisons: tuple
    final: bool = False
    figure1: bool = False
    models: tuple = ()
    datasets: tuple = CIFAR

    def at_best(self):
        """The same claim with end values read at the best epoch instead of the last."""
        read = tuple(less._replace(metric=BEST.get(less.metric, less.metric)) for less in self.comparisons)
        return replace(self, comparisons=read)

    def __call__(self, runs):
        """{cell: [Judgment, ...]} for the runs of one source; a network without evidence has an empty list."""
        found = {}
        for cell, row in evidence.by_network(runs).items():
            dataset, model = cell.split("/")
            if (not self.models or model.startswith(self.models)) and dataset in self.datasets:
                judged = [compare(less, row, runs, cell) for less in self.comparisons]
                found[cell] = [each for each in judged if each is not None]
        return found


@dataclass(frozen=True)
class Wider(Claim):
    """A sentence that optimizers differ more on one network than on another: by the range of a metric over them.

    `comparisons` is empty; `narrow` and `wide` are the two cells, `optimizers` those it speaks of. What was not run on
    both is left out.
    """

    optimizers: tuple = ()
    metric: object = last
    narrow: str = ""
    wide: str = ""

    def at_best(self):
        """The same sentence read at the best epoch."""
        return replace(self, metric=BEST[self.metric])

    def __call__(self, runs):
        """{"<wide> against <narrow>": [`Judgment` of the narrow range minus the wide one]}; [] without evidence."""
        rows, cell = evidence.by_network(runs), f"{self.wide} against {self.narrow.split('/')[1]}"
        both = [rows.get(one, {}) for one in (self.narrow, self.wide)]
        names = [name for name in self.optimizers if all(_values(self.metric, row.get(name, [])) for row in both)]
        if len(names) < 2:
            return {cell: []} if any(both) else {}
        ranges = [self._range(row, names, runs, one) for row, one in zip(both, (self.narrow, self.wide), strict=True)]
        difference, half = ranges[0].difference - ranges[1].difference, math.hypot(*(each.half for each in ranges))
        less = Less(self.metric, self.narrow, self.wide)
        count, partly = min(each.runs for each in ranges), len(names) < len(self.optimizers)
        return {
            cell: [
                Judgment(
                    less, _verdict(difference, half, 0), difference, half, ranges[0].seeds, count, ranges[0].how, partly
                )
            ]
        }

    def _range(self, row, names, runs, cell):
        means = {name: fmean(value for value, _ in _values(self.metric, row[name]).values()) for name in names}
        return compare(Less(self.metric, max(means, key=means.get), min(means, key=means.get)), row, runs, cell)


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
        verdict(verdicts),
        verdicts.count(HOLDS),
        verdicts.count(FAILS),
        len(verdicts),
        min(counts, default=0),
        any(len(each) < len(claim.comparisons) or any(one.partly for one in each) for each in judged.values()),
    )
