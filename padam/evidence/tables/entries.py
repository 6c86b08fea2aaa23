"""What all tables share: names, numbers, and what stands in a cell."""

from fractions import Fraction

from padam import evidence, recipes
from padam.catalog import CATALOG
from padam.evidence import statistics

EMPTY, UNBROKEN = "–", "\u00a0"  # the second is a space at which no line ends
_NO_END = "\u2060"  # no line ends here
NAMES = {
    "vgg16": "VGG-16",
    "resnet18": "ResNet-18",
    "wrn16-4": "WRN-16-4",
    "vgg11": "VGG-11",
    "resnet34": "ResNet-34",
    "densenet121": "DenseNet-121",
    "googlenet": "GoogLeNet",
    "lstm1": "1 layer",
    "lstm2": "2 layers",
    "lstm3": "3 layers",
}
DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet", "ptb": "Penn Treebank"}
P = {  # the exponents of Figure 1, by the names of their recipes, as the paper writes them
    name: str(Fraction(recipes.get(f"cifar10/resnet18/{name}", "full").hyper["p"]).limit_denominator(100))
    for name in recipes.DIAL
}
_DECIMALS = {"small": 1, "chosen": 1}  # others: 2


def number(values, decimals):
    """ "21.4 ± 0.1": mean and standard deviation; without the latter for a single value."""
    sd = statistics.spread(values)
    spread = "" if sd is None else f" ± {sd:.{decimals}f}"
    return f"{sum(values) / len(values):.{decimals}f}{spread}"


def cell(runs, counted=True):
    """ "21.4 ± 0.1 / 21.3 ± 0.1 (3)": last and best epoch of one optimizer on one network, and how many runs that is.

    Without the last where the runs are not to be `counted`. `runs` are those of one source
    (`padam.evidence.runs.Run`). A single run has no ±. EMPTY stands where there is no run, or where the source does
    not state that reading.
    """
    if not runs:
        return EMPTY
    decimals = _DECIMALS.get(runs[0].source, 2)
    if lost := sum(run.diverged for run in runs):
        return f"diverged{UNBROKEN}({lost})" if lost == len(runs) else f"{lost} of {len(runs)} diverged"
    if runs[0].sd is not None:
        (run,) = runs
        return beside([EMPTY, f"{run.best:.{decimals}f} ± {run.sd:.{decimals}f}"], run.runs, counted)
    both = [
        f"{EMPTY}{_NO_END}" if None in (values := [getattr(run, at) for run in runs]) else number(values, decimals)
        for at in ("last", "best")
    ]
    return beside(both, len(runs), counted)


def top1_top5(runs, counted=True):
    """ "29.9 ± 0.2 / 10.5 ± 0.1 (2)": top-1 and top-5 errors after the last epoch, and how many runs that is.

    `runs`, `counted` and what a single run, a diverged one or none look like: see `cell`.
    """
    if not runs or any(run.diverged for run in runs):
        return cell(runs, counted)
    decimals = _DECIMALS.get(runs[0].source, 2)
    both = (number([getattr(run, at) for run in runs], decimals) for at in ("last", "last_top5"))
    return beside(both, len(runs), counted)


def beside(numbers, count, counted=True):
    """ "29.9 / 10.5 (1)": what is told of so many runs, and their count."""
    stroke = " / " if count == 1 else f"{UNBROKEN}/ "  # with deviations in it a line may end at the stroke
    return stroke.join(numbers) + (f"{UNBROKEN}({count})" if counted else "")


def runs_of(found, source, network, optimizer):
    """The `padam.evidence.runs.Run`s of an optimizer on a network in one source, by seed; [] if there are none."""
    return evidence.by_network(found[source]).get(network, {}).get(optimizer, [])


def network_name(cell):
    """ "CIFAR-10, ResNet-18, 90 epochs" for a cell of `padam.evidence.runs`."""
    dataset, _, model = cell.partition("/")
    name, comma, rest = model.partition(",")
    return f"{DATA[dataset]}, {NAMES.get(name, name)}{comma}{rest}"


def optimizer_name(name):
    """ "Padam, p = 1/16" for an optimizer's name with its variant."""
    optimizer = name.partition("-")[0]
    return f"{CATALOG[optimizer].title}, p = {P[name]}" if name in P and name != "padam" else CATALOG[optimizer].title


def difference(network, name, profile="small"):
    """{setting: (value, the plain recipe's)} in which a variant, such as "padam-lr3", is another recipe.

    AdamW's weight decay follows its rate (`padam.recipes.normalised`), so beside the rate it is not told. `loop` is
    among the settings.
    """
    recipe, plain = (recipes.get(f"{network}/{each}", profile) for each in (name, name.partition("-")[0]))
    changed = {key: (value, plain.hyper[key]) for key, value in recipe.hyper.items() if value != plain.hyper[key]}
    if "lr" in changed:
        changed.pop("weight_decay", None)
    if recipe.loop != plain.loop:
        changed["loop"] = recipe.loop, plain.loop
    return changed


def label(changed):
    """ "rate × 3", "rate ÷ 3", "weight decay 0.0005", "correction exact": what `difference` found, in words."""
    return ", ".join(_changed(key, *values) for key, values in changed.items())


def _changed(key, value, plain):
    if key == "lr":
        return f"rate × {value / plain:.2g}" if value > plain else f"rate ÷ {plain / value:.2g}"
    if key == "loop":
        return f"{value}' loop"
    return f"{key.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{key} {value}"
