"""The miniature at other rates, other weight decays, other corrections: is it the optimizer?"""

from padam import recipes
from padam.catalog import CATALOG
from padam.evidence.tables.entries import EMPTY, beside, cell, number, runs_of

_ABLATED = ("sgdm", "padam", "adam", "amsgrad")
_RATES = {"-lr0.33": "rate ÷ 3", "": "the recipe's", "-lr3": "rate × 3"}
_DECAYS = {"-wd5e-4": "5e-4", "-wd1e-4": "1e-4"}  # an optimizer is asked for one of them at most
_KINDS = _RATES | {kind: f"weight decay {value}" for kind, value in _DECAYS.items()}


def ablation(found, network="cifar10/vgg16"):
    """Rates at a third of the recipe's and at three times, and other optimizers' weight decays, in small.

    A cell has the training error of the last epoch, the held out one if the miniature holds pictures out, the test
    error, and how many seeds that is.
    """
    decays = {name: [kind for kind in _DECAYS if kind in _asked(network, name)] for name in _ABLATED}
    tried = " or ".join(value for kind, value in _DECAYS.items() if [kind] in decays.values())
    held = " / held out" if recipes.get(f"{network}/padam", "small").holdout else ""
    header, body = (f"training{held} / test (seeds), %", *_RATES.values(), f"weight decay {tried}"), []
    for name in _ABLATED:
        known = recipes.get(f"{network}/{name}", "small").hyper
        title = f"{CATALOG[name].title} ({known['lr']:g}, decay {known['weight_decay']:g})"
        cells = [_errors(found, network, f"{name}{kind}") for kind in (*_RATES, *decays[name])]
        body.append((title, *cells, *[""] * (not decays[name])))  # it has this decay by its recipe
    return header, *body


def tuned(found, network="cifar10/vgg16", seed=0):
    """What choosing among the runs of `ablation` by the held out error does to the test error, on one seed.

    A row is complete only when all of its runs are there.
    """
    body = []
    for name in _ABLATED:
        runs = {kind: _of_seed(found, network, f"{name}{kind}", seed) for kind in _asked(network, name)}
        there = {kind: run for kind, run in runs.items() if run is not None and not run.diverged}
        first = f"{there[''].last:.1f}" if "" in there else EMPTY
        if None in runs.values() or not there:
            body.append((CATALOG[name].title, first, EMPTY, EMPTY))
            continue
        best = min(there, key=lambda kind: there[kind].history["valid_error"][-1])
        body.append((CATALOG[name].title, first, _KINDS[best], f"{there[best].last:.1f}"))
    return (f"test error in %, seed {seed}", "the recipe's", "chosen on the held out pictures", "there"), *body


def _of_seed(found, network, name, seed):
    return next((run for run in runs_of(found, "small", network, name) if run.seed == seed), None)


def _asked(network, name):
    return [kind for kind in _KINDS if f"{network}/{name}{kind}" in recipes.ids()]


def _errors(found, network, name):
    runs = runs_of(found, "small", network, name)
    if any(run.diverged for run in runs):
        return cell(runs)
    parts = [part for part in ("train", "valid", "test") if runs and f"{part}_error" in runs[0].history]
    values = [[100 * run.history[f"{part}_error"][-1] for run in runs] for part in parts]
    return beside([number(each, 1) for each in values], len(runs)) if runs else EMPTY


_OTHERS = {
    ("padam", "padam-none"): "Padam without correction (Algorithm 1)",
    ("padam", "padam-exact"): "Padam, correction exact",
    ("adamw", "adamw-literal"): "AdamW, the paper's factor as torch's weight_decay",
    ("padam", "padam-authors"): "Padam in the loop of the authors' script",
}


def variants(found, network="cifar10/vgg16"):
    """The other ablations of the miniature, each beside the recipe that it changes."""
    pairs = [(base, name) for base, name in _OTHERS if f"{network}/{name}" in recipes.ids()]
    header = ("training / held out / test (seeds), %", "this", "the recipe's")
    return header, *(
        (_OTHERS[base, name], _errors(found, network, name), _errors(found, network, base)) for base, name in pairs
    )
