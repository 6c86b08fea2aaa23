"""Tables of results, made from records alone: the paper's numbers, others', and ours, side by side.

Each function returns a header and rows, for `padam.show.rows`; `found` is always `padam.records.evidence.collect()`.
Errors are in percent. An empty cell is a run that nobody made: a dash.
"""

import math

from padam import recipes, records
from padam.catalog import CATALOG
from padam.records import claims, evidence, judge, statistics

EMPTY = "–"
NAMES = {"vgg16": "VGG-16", "resnet18": "ResNet-18", "wrn16-4": "WRN-16-4"}
_DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}
_P = {"padam-p0.4": "2/5", "padam-p0.25": "1/4", "padam-p0.2": "1/5", "padam": "1/8", "padam-p0.0625": "1/16"}
_ABLATED = ("sgdm", "padam", "adam", "amsgrad")
_DECIMALS = {"small": 1}  # others: 2


def _number(values, decimals):
    """ "21.4 ± 0.1": mean and standard deviation; without the latter for a single value."""
    if not all(map(math.isfinite, values)):
        return "diverged"
    sd = statistics.spread(values)
    spread = "" if sd is None else f" ± {sd:.{decimals}f}"
    return f"{sum(values) / len(values):.{decimals}f}{spread}"


def cell(runs):
    """ "21.4 ± 0.1 / 21.3 ± 0.1 (3)": last and best epoch of one optimizer on one network, and how many runs that is.

    `runs` are those of one source (`padam.records.evidence.Run`). A single run has no ±. EMPTY stands where
    there is no run, or where the source does not state that reading.
    """
    if not runs:
        return EMPTY
    decimals = _DECIMALS.get(runs[0].source, 2)
    if runs[0].sd is not None:
        (run,) = runs
        return f"{EMPTY} / {run.best:.{decimals}f} ± {run.sd:.{decimals}f} ({run.runs})"
    both = [
        EMPTY if None in (values := [getattr(run, at) for run in runs]) else _number(values, decimals)
        for at in ("last", "best")
    ]
    return f"{both[0]} / {both[1]} ({len(runs)})"


def _row(found, source, network, optimizer):
    return evidence.cells(found[source]).get(network, {}).get(optimizer, [])


def table1(network, found):
    """A network of Table 1, such as "cifar10/vgg16", in four columns: the paper, others, ours full, ours small."""
    header = (
        "test error in %",
        "the paper, last",
        "others, last / best",
        "ours, full",
        f"ours, small: {small(network)}",
    )
    body = []
    for name in recipes.OPTIMIZERS:
        (printed,) = _row(found, "paper", network, name)
        others = [
            f"{cell(runs)} {evidence.SOURCES[source]}"
            for source in ("reproduction-2019", "adai-pnm")
            if (runs := _row(found, source, network, name))
        ]
        ours = [cell(_row(found, source, network, name)) for source in ("full", "small")]
        body.append((CATALOG[name].title, f"{printed.last:.2f}", "<br>".join(others) or EMPTY, *ours))
    return header, *body


def small(network):
    """ "vgg16-w16, 10,000 pictures, 60 epochs": what the miniature of a cell is."""
    recipe = recipes.get(f"{network}/padam", "small")
    return f"{recipe.model}, {recipe.train_size:,} pictures, {recipe.epochs} epochs"


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


def settings(cell, profile="full"):
    """The optimizers' settings on a cell such as "cifar10/vgg16", each value with where it comes from, in a letter."""
    body = []
    for name in recipes.OPTIMIZERS:
        recipe = recipes.get(f"{cell}/{name}", profile)
        told = {
            key: f"{_shown(value)} {_letter(recipe.sources[f'hyper.{key}'])}" for key, value in recipe.hyper.items()
        }
        rest = ", ".join(f"{key} {told[key]}" for key in told if key not in ("lr", "weight_decay"))
        body.append((CATALOG[name].title, told["lr"], told["weight_decay"], rest))
    return ("optimizer", "lr", "weight decay", "other settings"), *body


def _shown(value):
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _letter(source):
    return {"paper": "(p)", "authors' code": "(a)", "reproduction": "(r)", "chosen here": "(c)"}[source.split(":")[0]]


def on_the_way(found, source):
    """What the sentences about curves are read from: parts of the curves of Table 1's networks, in one source."""
    header, body = ("error in %", "optimizer (runs)", *_QUANTITIES), []
    for network in claims.CELLS:
        for name in recipes.OPTIMIZERS:
            if runs := [run for run in _row(found, source, network, name) if run.history]:
                values = [[quantity(run) for run in runs] for quantity in _QUANTITIES.values()]
                numbers = [EMPTY if None in each else _number(each, 1) for each in values]
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


def elsewhere(found):
    """What others measured on CIFAR with networks or data that Table 1 does not have."""
    body = []
    for source, runs in found.items():
        for network, by_optimizer in evidence.cells(runs).items():
            dataset, model = network.split("/")
            if source in ("paper", "full", "small") or network in claims.CELLS or "," in model:
                continue
            numbers = (cell(by_optimizer.get(name, [])) for name in recipes.OPTIMIZERS)
            body.append((f"{_DATA[dataset]}, {NAMES.get(model, model)}, {evidence.SOURCES[source]}", *numbers))
    return ("last / best (runs), %", *(CATALOG[name].title for name in recipes.OPTIMIZERS)), *sorted(body)


def figure1(dataset, found):
    """The p of Figure 1 on ResNet-18, by others and by us; `dataset` is "cifar10" or "cifar100"."""
    network = f"{dataset}/resnet18"
    columns = (("reproduction-2019", f"{network}, 90 epochs"), ("full", network), ("small", network))
    header = (
        "p, last / best (runs), %",
        "Mittal et al. (2019), 90 epochs",
        "ours, full",
        f"ours, small: {small(network)}",
    )
    return header, *((_P[name], *(cell(_row(found, source, at, name)) for source, at in columns)) for name in _P)


def ablation(found, network="cifar10/vgg16"):
    """Rates at a third of the recipe's and at three times, and SGD's weight decay for Adam and Amsgrad, in small.

    A cell is held out error / test error after the last epoch (seeds).
    """
    header = ("held out / test (seeds), %", "rate ÷ 3", "the recipe's", "rate × 3", "weight decay 5e-4")
    kinds = ("-lr0.33", "", "-lr3", "-wd5e-4")
    body = []
    for name in _ABLATED:
        known = recipes.get(f"{network}/{name}", "small").hyper
        title = f"{CATALOG[name].title} ({known['lr']:g}, decay {known['weight_decay']:g})"
        body.append((title, *(_held_out(found, network, f"{name}{kind}") for kind in kinds)))
    return header, *body


def _held_out(found, network, name):
    if f"{network}/{name}" not in recipes.ids():
        return ""  # no such run is asked for: SGD-momentum and Padam have this decay
    runs = _row(found, "small", network, name)
    values = [[100 * run.history[f"{part}_error"][-1] for run in runs] for part in ("valid", "test")]
    return f"{' / '.join(_number(each, 1) for each in values)} ({len(runs)})" if runs else EMPTY


def variants(found, network="cifar10/vgg16"):
    """The other ablations of the miniature, each beside the recipe that it changes."""
    pairs = [(base, name) for base, name in _OTHERS if f"{network}/{name}" in recipes.ids()]
    header = ("held out / test (seeds), %", "this", "the recipe's")
    return header, *(
        (_OTHERS[base, name], _held_out(found, network, name), _held_out(found, network, base)) for base, name in pairs
    )


_OTHERS = {
    ("padam", "padam-none"): "Padam without correction (Algorithm 1)",
    ("padam", "padam-exact"): "Padam, correction exact",
    ("adamw", "adamw-literal"): "AdamW, the paper's factor as torch's weight_decay",
    ("padam", "padam-authors"): "Padam in the loop of the authors' script",
}


def verdicts(found, dataset="cifar10", final=None):
    """The paper's sentences, judged on every source that has runs on a data set, by itself.

    `final` keeps the claims about end values (True) or those about curves (False); default all.
    """
    sources = [source for source in found if any(run.cell.startswith(f"{dataset}/") for run in found[source])]
    wanted = [claim for claim in claims.CLAIMS if final in (None, claim.final)]
    header = ("the paper says", *(evidence.SOURCES[source] for source in sources))
    return header, *(
        (f"“{claim.text}” ({claim.section})", *(told(judge.summary(claim, found[s], dataset)) for s in sources))
        for claim in wanted
    )


def disagreements(found):
    """Where a sentence about end values is judged otherwise at the best epoch than at the last."""
    body = []
    for claim in (claim for claim in claims.CLAIMS if claim.final):
        for source, runs in found.items():
            for dataset, title in _DATA.items():
                at = [judge.summary(each, runs, dataset) for each in (claim, claim.at_best())]
                if source != "paper" and at[0].verdict != at[1].verdict:
                    body.append((f"“{claim.text}”", f"{evidence.SOURCES[source]}, {title}", *map(told, at)))
    return ("the paper says", "source", "last epoch", "best epoch"), *body


def compared(claim, source, found, dataset="cifar10"):
    """The comparisons behind a verdict: differences in points with their 95% intervals, and what these rest on."""
    body = []
    for network, judged in claim(found[source]).items():
        for each in judged if network.startswith(f"{dataset}/") else ():
            pair = f"{_title(each.less.one)} – {_title(each.less.other)}"
            seeds = ", ".join(map(str, each.seeds)) if None not in each.seeds else "not named"
            number = f"{each.difference:+.2f} ± {each.half:.2f}"
            body.append((network, pair, number, each.verdict, f"{each.how}, {each.runs} of each", seeds))
    return ("network", "one minus other", "points", f"below {claim.comparisons[0].limit:g}", "interval", "seeds"), *body


def _title(name):
    """ "Padam, p = 1/16" for an optimizer's name with its variant."""
    optimizer = name.partition("-")[0]
    return f"{CATALOG[optimizer].title}, p = {_P[name]}" if name in _P and name != "padam" else CATALOG[optimizer].title


def told(summary):
    """ "holds (3 of 3)", "**fails** (1 of 3)", "open (holds on 2 of 3)", or EMPTY: a `padam.records.judge.Summary`."""
    if not summary.networks:
        return EMPTY
    if summary.verdict == judge.FAILS:
        return f"**fails** ({summary.fails} of {summary.networks})"
    counted = f"{summary.holds} of {summary.networks}"
    return f"holds ({counted})" if summary.verdict == judge.HOLDS else f"open ({counted} hold)"


def commands(found, profile):
    """What fills the empty cells of Table 1 and Figure 1, one command a line; [] when nothing is missing."""
    known = {(run.cell, run.optimizer) for run in found[profile]}
    missing = {
        what: any(tuple(id.rsplit("/", 1)) not in known for id, _ in recipes.wanted(what, profile, 1))
        for what in ("table1", "figure1")
    }
    return [f"python -m padam reproduce {what} --profile {profile}" for what, empty in missing.items() if empty]


def provenance(root=None):
    """What our runs ran on, one row for every profile, network, device and version of torch."""
    found = {}
    for record in records.collect(root).values():
        key = (record["profile"], record["dataset"], record["model"], record["device"], record["precision"])
        found.setdefault((*key, record["versions"]["torch"].split("+")[0]), []).append(record["history"]["seconds"])
    header = ("profile", "data", "network", "device", "precision", "torch", "runs", "seconds an epoch, median")
    return header, *(
        (*key, len(several), f"{sorted(s for each in several for s in each)[sum(map(len, several)) // 2]:.1f}")
        for key, several in sorted(found.items())
    )
