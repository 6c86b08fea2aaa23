"""The paper's sentences judged, and the numbers that the judgements are read from."""

import math

from padam import evidence, recipes
from padam.catalog import CATALOG
from padam.evidence import claims, metrics
from padam.evidence.tables.entries import DATA, EMPTY, NAMES, UNBROKEN, network_name, number, optimizer_name, runs_of
from padam.evidence.verdicts import FAILS, HOLDS, Less, compare, summary


def verdicts(found, dataset="cifar10", about="final"):
    """The paper's sentences, judged on every source that compares optimizers on a data set, by itself.

    `about` chooses those about "final" values, about "curves" or about "figure 1".
    """
    sources = [
        source
        for source, runs in found.items()
        if len({run.optimizer for run in runs if run.cell.startswith(f"{dataset}/")}) > 1
    ]
    wanted = [claim for claim in claims.CLAIMS if _about(claim) == about and dataset in claim.datasets]
    header = ("the paper says", *(evidence.SOURCES[source].partition(" (")[0] for source in sources))
    return header, *(
        (f"“{claim.text}” ({claim.section})", *(in_words(summary(claim, found[s], dataset)) for s in sources))
        for claim in wanted
    )


def _about(claim):
    return "figure 1" if claim.figure1 else "final" if claim.final else "curves"


def in_words(found):
    """ "holds (3 of 3)", "**fails** (1 of 3), holds on 2", "open, holds on 2 of 3", "open", or EMPTY without evidence.

    With "in part" where some of the optimizers were not run: a `padam.evidence.verdicts.Summary`.
    """
    if not found.networks:
        return EMPTY
    if found.verdict == HOLDS:
        text = f"holds {_of(found.holds, found.networks)}"
    elif found.verdict == FAILS:
        holds = f", holds on {found.holds}" if found.holds else ""
        text = f"**fails** {_of(found.fails, found.networks)}{holds}"
    else:
        holds = f", holds on {_of(found.holds, found.networks)[1:-1]}" if found.holds else ""
        text = f"open{holds}"
    return f"{text}, in part" if found.partly and found.verdict == HOLDS else text


def _of(some, all_of_them):
    return f"({some}{UNBROKEN}of{UNBROKEN}{all_of_them})"


def disagreements(found, datasets=tuple(DATA)):
    """Where a sentence about end values is judged otherwise at the best epoch, on some network, than at the last."""
    body = []
    for claim in (claim for claim in claims.CLAIMS if claim.final):
        for source, runs in found.items():
            for dataset in datasets:
                at = [summary(each, runs, dataset) for each in (claim, claim.at_best())]
                if source != "paper" and at[0][:3] != at[1][:3]:
                    body.append((f"“{claim.text}”", f"{evidence.SOURCES[source]}, {DATA[dataset]}", *map(in_words, at)))
    return ("the paper says", "source", "last epoch", "best epoch"), *body


def compared(claim, source, found, dataset="cifar10"):
    """The comparisons behind a verdict: differences in points with their 95% intervals, and what these rest on."""
    body = []
    for network, judged in claim(found[source]).items():
        for each in judged if network.startswith(f"{dataset}/") else ():
            less = each.less
            pair = " – ".join(optimizer_name(name) for name in (less.one, less.other) if name)
            seeds = f", {each.runs} of each" if source != "paper" else ""
            points = f"{each.difference:+.2f} ± {each.half:.2f}"
            body.append((network_name(network), pair, points, f"{less.limit:g}", each.verdict, f"{each.how}{seeds}"))
    return ("network", "one minus other", "points", "below", "verdict", "interval"), *body


def behind(found, sources, networks=claims.CELLS, base="sgdm", metric=metrics.last):
    """How far each optimizer ends behind `base`, for `padam.plots.differences`: [(name, network, {source: ...}), ...].

    A source's entry is (points of test error, half the width of the 95% interval, None where nobody knows it); of
    texts, with the metric `padam.evidence.metrics.end_loss`, hundredths of a nat: about per cent of perplexity.
    """
    body = []
    for name in (name for name in recipes.OPTIMIZERS if name != base):
        for network in networks:
            less, judged = Less(metric, name, base), {}
            for source in sources:
                row = evidence.by_network(found[source]).get(network, {})
                if each := compare(less, row, found[source], network):
                    judged[source] = each.difference, each.half if math.isfinite(each.half) else None
            if judged:
                body.append((name, NAMES[network.split("/")[1]], judged))
    return body


def on_the_way(found, source, networks=claims.CELLS):
    """What the sentences about curves are read from: parts of the curves of some networks, in one source."""
    header, body = ("error in %", "optimizer (runs)", *_METRICS), []
    for network in networks:
        for name in recipes.OPTIMIZERS:
            if runs := [run for run in runs_of(found, source, network, name) if run.history and not run.diverged]:
                values = [[metric(run) for run in runs] for metric in _METRICS.values()]
                numbers = [EMPTY if None in each else number(each, 1) for each in values]
                body.append((NAMES[network.split("/")[1]], f"{CATALOG[name].title} ({len(runs)})", *numbers))
    return header, *body


_METRICS = {
    "training, early": metrics.early_train,
    "test, early": metrics.early_test,
    "training, until decay 1": metrics.converging,
    "test, between decays": metrics.between,
    "points gained at decay 1": lambda run: metrics.gain(run, 0),
    "at decay 2": lambda run: metrics.gain(run, 1),
}
