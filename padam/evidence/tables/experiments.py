"""The paper's tables and figures in columns: the paper, others, ours full, ours small; and the settings behind them."""

from statistics import median

from padam import evidence, recipes, records
from padam.catalog import CATALOG
from padam.evidence import chosen, claims
from padam.evidence.tables.entries import EMPTY, UNBROKEN, P, cell, difference, label, network_name, runs_of, top1_top5

OTHERS = {"reproduction-2019": "M", "adai-pnm": "X"}  # who ran Table 1's networks with Padam, and their letters
_STAR = r"\*"


def table1(network, found):
    """A network of Table 1, such as "cifar10/vgg16", in four columns: the paper, others, ours full, ours small.

    The others are M, Mittal, Pandey and Kant (2019), with a star on the network that did not start as it should, and X,
    Xie et al. (2021, 2022).
    """
    header = (
        "test error in %",
        "the paper, last",
        "others (M, X), last / best",
        "ours, full",
        f"ours, small ({small(network)})",
    )
    body = []
    for name in recipes.OPTIMIZERS:
        (printed,) = runs_of(found, "paper", network, name)
        others = [
            f"{letter}{_STAR * runs[0].false_start}{UNBROKEN}{cell(runs)}"
            for source, letter in OTHERS.items()
            if (runs := runs_of(found, source, network, name))
        ]
        ours = [cell(runs_of(found, source, network, name)) for source in ("full", "small")]
        body.append((CATALOG[name].title, f"{printed.last:.2f}", "<br>".join(others) or EMPTY, *ours))
    return header, *body


def table2(network, found):
    """A network of Table 2, "imagenet/resnet18" or "imagenet/vgg16": the paper, torchvision, ours full and small.

    All are errors after the last epoch, top-1 / top-5. One more column, which the paper does not have, is the full
    recipe on the 50 classes of our subset, at 64 pixels.
    """
    subset = network.replace("imagenet", "imagenet-subset")
    columns = (("full", network), ("full", subset), ("small", network))
    header = (
        "top-1 / top-5 error in %",
        "the paper",
        "torchvision",
        "ours, full",
        "ours, 50 classes",
        f"ours, small ({small(network)})",
    )
    body = []
    for name in recipes.OPTIMIZERS:
        theirs = [
            top1_top5(runs_of(found, source, network, name), counted=False) for source in ("paper", "torchvision")
        ]
        ours = [top1_top5(runs_of(found, source, cell, name)) for source, cell in columns]
        body.append((CATALOG[name].title, *theirs, *ours))
    return header, *body


def table3(network, found):
    """A network of Table 3, "ptb/lstm2" or "ptb/lstm3", in columns: the paper, others, ours full, ours small.

    The others are Zhuang et al. (2020), who also ran SGD without momentum. The miniature has two columns: at the
    paper's rates, and at the rate that is chosen for it on the validation text (`padam.evidence.chosen`).
    """
    small_one, rates = small(network), chosen.variants()
    header = (
        "test perplexity",
        "the paper, last",
        "Zhuang et al., last / best",
        "ours, full",
        f"ours, small ({small_one})",
        "small, rate chosen",
    )
    body = []
    for name in (*recipes.OPTIMIZERS, "sgd"):
        paper, others, full, ours, best = (
            runs_of(found, source, network, name) for source in ("paper", "adabelief", "full", "small", "chosen")
        )
        printed = f"{paper[0].last:.2f}" if paper else EMPTY
        early = f", {len(others[0].history['epoch'])} epochs" if others and _short(others[0]) else ""
        title = "SGD" if name == "sgd" else CATALOG[name].title
        at_best = f"{_rate(network, name, rates[name])}: {cell(best)}" if best else EMPTY
        body.append((title, printed, cell(others, counted=False) + early, cell(full), cell(ours), at_best))
    return header, *body


def _rate(network, name, variant):
    return label(difference(network, f"{name}-{variant}", "small")) if variant else "the paper's"


def _short(run):
    return len(run.history["epoch"]) < 200


def small(network):
    """ "vgg16-w16": the network of a cell's miniature."""
    return recipes.get(f"{network}/padam", "small").model


def settings(cell, profile="full"):
    """The optimizers' settings on a cell such as "cifar10/vgg16", each value with where it comes from, in a letter."""
    body = []
    for name in recipes.OPTIMIZERS:
        recipe = recipes.get(f"{cell}/{name}", profile)
        values = {
            key: f"{_shown(value)} {_letter(recipe.sources[f'hyper.{key}'])}" for key, value in recipe.hyper.items()
        }
        rest = ", ".join(f"{key} {values[key]}" for key in values if key not in ("lr", "weight_decay"))
        body.append((CATALOG[name].title, values["lr"], values["weight_decay"], rest))
    return ("optimizer", "lr", "weight decay", "other settings"), *body


def _shown(value):
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _letter(source):
    return {"paper": "(p)", "authors' code": "(a)", "reproduction": "(r)", "chosen here": "(c)"}[source.split(":")[0]]


def elsewhere(found, dataset):
    """What others measured on CIFAR with networks (CIFAR-10) or data (CIFAR-100) that Table 1 does not have.

    A column for each network and who trained it, in how many runs of each optimizer.
    """
    measured = {
        (network, source): row
        for source, runs in found.items()
        for network, row in evidence.by_network(runs).items()
        if source not in ("paper", "full", "small")
        and network.startswith(f"{dataset}/")
        and network not in claims.CELLS
        and "," not in network
    }
    header, columns = ["last / best, %"], []
    for (network, source), row in sorted(measured.items()):
        count = next(iter(row.values()))[0].runs
        header.append(f"{network_name(network).partition(', ')[2]}, {evidence.SOURCES[source]}, {count} each")
        columns.append(row)
    names = [name for name in recipes.OPTIMIZERS if any(name in row for row in columns)]
    body = ((CATALOG[name].title, *(_narrow(row.get(name, [])) for row in columns)) for name in names)
    return tuple(header), *body


def _narrow(runs):
    """A `cell` in two lines where the table is wider than the page."""
    return cell(runs, counted=False).replace(" / ", f"{UNBROKEN}/ ")


def figure1(dataset, found):
    """The p of Figure 1 on ResNet-18, by others and by us; `dataset` is "cifar10" or "cifar100"."""
    network = f"{dataset}/resnet18"
    columns = (("reproduction-2019", f"{network}, 90 epochs"), ("full", network), ("small", network))
    header = (
        "p, last / best (runs), %",
        "Mittal et al. (2019), 90 epochs",
        "ours, full",
        f"ours, small ({small(network)})",
    )
    return header, *((P[name], *(cell(runs_of(found, source, at, name)) for source, at in columns)) for name in P)


def commands(found, profile):
    """What fills the empty cells of the tables and of Figure 1, one command a line; [] when nothing is missing."""
    known = {(run.cell, run.optimizer) for run in found[profile]}
    missing = {
        what: any(tuple(id.rsplit("/", 1)) not in known for id, _ in recipes.wanted(what, profile, 1))
        for what in ("table1", "table2", "table3", "figure1")
    }
    return [f"python -m padam reproduce {what} --profile {profile}" for what, empty in missing.items() if empty]


def provenance(root=None):
    """What our runs ran on, one row for every profile, network, device and version of torch."""
    found = {}
    for record in records.collect(root).values():
        recipe = record["recipe"]
        key = (recipe["profile"], recipe["dataset"], recipe["model"], record["device"], record["precision"])
        found.setdefault((*key, record["versions"]["torch"].split("+")[0]), []).append(record["history"]["seconds"])
    header = ("profile", "data", "network", "device", "precision", "torch", "runs", "seconds an epoch, median")
    return header, *(
        (*key, len(several), f"{median(seconds for each in several for seconds in each):.1f}")
        for key, several in sorted(found.items())
    )
