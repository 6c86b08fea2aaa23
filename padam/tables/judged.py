"""The paper's sentences judged, and the numbers that the judgements are read from."""

from padam import recipes
from padam.catalog import CATALOG
from padam.records import claims, evidence, judge
from padam.tables.cells import DATA, EMPTY, NAMES, UNBROKEN, network_name, number, optimizer_name, runs_of


def verdicts(found, dataset="cifar10", final=None):
    """The paper's sentences, judged on every source that has runs on a data set, by itself.

    `final` keeps the claims about end values (True) or those about curves (False); default all.
    """
    sources = [source for source in found if any(run.cell.startswith(f"{dataset}/") for run in found[source])]
    wanted = [claim for claim in claims.CLAIMS if final in (None, claim.final)]
    header = ("the paper says", *(evidence.SOURCES[source].partition(" (")[0] for source in sources))
    return header, *(
        (f"“{claim.text}” ({claim.section})", *(told(judge.summary(claim, found[s], dataset)) for s in sources))
        for claim in wanted
    )


def told(summary):
    """ "holds (3 of 3)", "**fails** (1 of 3)", "open, holds on 2 of 3", or EMPTY: a `padam.records.judge.Summary`."""
    if not summary.networks:
        return EMPTY
    if summary.verdict == judge.FAILS:
        return f"**fails** {_of(summary.fails, summary.networks)}"
    if summary.verdict == judge.HOLDS:
        return f"holds {_of(summary.holds, summary.networks)}"
    return f"open, holds on {_of(summary.holds, summary.networks)[1:-1]}" if summary.holds else "open"


def _of(some, all_of_them):
    return f"({some}{UNBROKEN}of{UNBROKEN}{all_of_them})"


def disagreements(found):
    """Where a sentence about end values is judged otherwise at the best epoch than at the last."""
    body = []
    for claim in (claim for claim in claims.CLAIMS if claim.final):
        for source, runs in found.items():
            for dataset, title in DATA.items():
                at = [judge.summary(each, runs, dataset) for each in (claim, claim.at_best())]
                if source != "paper" and at[0].verdict != at[1].verdict:
                    body.append((f"“{claim.text}”", f"{evidence.SOURCES[source]}, {title}", *map(told, at)))
    return ("the paper says", "source", "last epoch", "best epoch"), *body


def compared(claim, source, found, dataset="cifar10"):
    """The comparisons behind a verdict: differences in points with their 95% intervals, and what these rest on."""
    body = []
    for network, judged in claim(found[source]).items():
        for each in judged if network.startswith(f"{dataset}/") else ():
            pair = f"{optimizer_name(each.less.one)} – {optimizer_name(each.less.other)}"
            seeds = ", ".join(map(str, each.seeds)) if None not in each.seeds else "not named"
            number = f"{each.difference:+.2f} ± {each.half:.2f}"
            body.append((network_name(network), pair, number, each.verdict, f"{each.how}, {each.runs} of each", seeds))
    return ("network", "one minus other", "points", f"below {claim.comparisons[0].limit:g}", "interval", "seeds"), *body


def behind(found, sources, networks=claims.CELLS, base="sgdm"):
    """How far each optimizer ends behind `base`, for `padam.plots.differences`: [(name, network, {source: ...}), ...].

    A source's entry is (points of test error, half the width of the 95% interval).
    """
    body = []
    for name in (name for name in recipes.OPTIMIZERS if name != base):
        for network in networks:
            less, judged = judge.Less(judge.last, name, base), {}
            for source in sources:
                row = evidence.cells(found[source]).get(network, {})
                if each := judge.compare(less, row, found[source], network):
                    judged[source] = each.difference, each.half
            if judged:
                body.append((name, NAMES[network.split("/")[1]], judged))
    return body


def on_the_way(found, source):
    """What the sentences about curves are read from: parts of the curves of Table 1's networks, in one source."""
    header, body = ("error in %", "optimizer (runs)", *_QUANTITIES), []
    for network in claims.CELLS:
        for name in recipes.OPTIMIZERS:
            if runs := [run for run in runs_of(found, source, network, name) if run.history]:
                values = [[quantity(run) for run in runs] for quantity in _QUANTITIES.values()]
                numbers = [EMPTY if None in each else number(each, 1) for each in values]
                body.append((NAMES[network.split("/")[1]], f"{CATALOG[name].title} ({len(runs)})", *numbers))
    return header, *body


_QUANTITIES = {
    "training, early": judge.early_train,
    "test, early": judge.early_test,
    "training, until decay 1": judge.converging,
    "test, between decays": judge.between,
    "points gained at decay 1": lambda run: judge.gain(run, 0),
    "at decay 2": lambda run: judge.gain(run, 1),
}
