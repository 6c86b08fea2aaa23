"""The miniature at other rates, other weight decays, other corrections: is it the optimizer?"""

from padam import recipes
from padam.catalog import CATALOG
from padam.evidence.tables.entries import EMPTY, beside, cell, difference, label, number, runs_of

_ABLATED = ("sgdm", "padam", "adam", "amsgrad")
_PLAIN = "the recipe's"


def ablation(found, network="cifar10/vgg16"):
    """Other rates than the recipe's, and other optimizers' weight decays, in small.

    A cell has the training error of the last epoch, the held out one if the miniature holds pictures out, the test
    error, and how many seeds that is. It is blank where the optimizer has no such recipe.
    """
    tried = {name: _tried(network, name) for name in _ABLATED}
    columns = _columns(list(tried.values()))
    held = " / held out" if recipes.get(f"{network}/padam", "small").holdout else ""
    body = []
    for name, variants in tried.items():
        known = recipes.get(f"{network}/{name}", "small").hyper
        title = f"{CATALOG[name].title} ({known['lr']:g}, decay {known['weight_decay']:g})"
        ours = [[variants[label] for label in column if label in variants] for column in columns]
        body.append((title, *(_errors(found, network, *names) if names else "" for names in ours)))
    return (f"training{held} / test (seeds), %", *map(" or ".join, columns)), *body


def tuned(found, network="cifar10/vgg16", seed=0):
    """What choosing among the runs of `ablation` by the held out error does to the test error, on one seed.

    A row is complete only when all of its runs are there.
    """
    body = []
    for name in _ABLATED:
        runs = {title: _of_seed(found, network, each, seed) for title, each in _tried(network, name).items()}
        there = {title: run for title, run in runs.items() if run is not None and not run.diverged}
        first = f"{there[_PLAIN].last:.1f}" if _PLAIN in there else EMPTY
        if None in runs.values() or not there:
            body.append((CATALOG[name].title, first, EMPTY, EMPTY))
            continue
        best = min(there, key=lambda title: there[title].history["valid_error"][-1])
        body.append((CATALOG[name].title, first, best, f"{there[best].last:.1f}"))
    return (f"test error in %, seed {seed}", "the recipe's", "chosen on the held out pictures", "there"), *body


def variants(found, network="cifar10/vgg16"):
    """The other ablations of the miniature, each beside the recipe that it changes, and where the change is from."""
    body = []
    for name in recipes.OPTIMIZERS:
        for variant in _variants(network, name):
            changed = difference(network, variant)
            elsewhere = ({"lr"}, {"p"}, {"weight_decay"} if name in _ABLATED else None)  # `ablation` and Figure 1
            if set(changed) not in elsewhere:
                sources = recipes.get(f"{network}/{variant}", "small").sources
                source = ", ".join(sources.get(key) or sources[f"hyper.{key}"] for key in changed)
                title = f"{CATALOG[name].title}, {label(changed)}"
                body.append((title, source, _errors(found, network, variant), _errors(found, network, name)))
    return ("training / held out / test (seeds), %", "source", "this", _PLAIN), *body


def _variants(network, name):
    """The names of an optimizer's variants on a network: ["padam-lr3", ...]."""
    return [id.rpartition("/")[2] for id in recipes.ids() if id.startswith(f"{network}/{name}-")]


def _tried(network, name):
    """{label: name} of an optimizer's recipes that differ in the rate or in the weight decay alone, in that order.

    The lowest rate comes first; the recipe's own stands among the rates.
    """
    rates, decays = {1.0: (_PLAIN, name)}, {}
    for variant in _variants(network, name):
        changed = difference(network, variant)
        if set(changed) == {"lr"}:
            rate, plain = changed["lr"]
            rates[rate / plain] = label(changed), variant
        elif set(changed) == {"weight_decay"}:
            decays[changed["weight_decay"][0]] = label(changed), variant
    return dict(entry for kind in (rates, decays) for _, entry in sorted(kind.items()))


def _columns(tried):
    """The labels of several optimizers as columns of a narrow table: those of all of them, each in one, come first.

    The others share a column if no optimizer has two of them.
    """
    titles = dict.fromkeys(title for labels in tried for title in labels)
    shared = [(title,) for title in titles if all(title in labels for labels in tried)]
    others = [title for title in titles if (title,) not in shared]
    alone = all(sum(title in labels for title in others) < 2 for labels in tried)
    return shared + ([tuple(others)] if others and alone else [(title,) for title in others])


def _of_seed(found, network, name, seed):
    return next((run for run in runs_of(found, "small", network, name) if run.seed == seed), None)


def _errors(found, network, name):
    runs = runs_of(found, "small", network, name)
    if any(run.diverged for run in runs):
        return cell(runs)
    parts = [part for part in ("train", "valid", "test") if runs and f"{part}_error" in runs[0].history]
    values = [[100 * run.history[f"{part}_error"][-1] for run in runs] for part in parts]
    return beside([number(each, 1) for each in values], len(runs)) if runs else EMPTY
