"""Section 5 of the paper as data: what each experiment trains, on what, for how long, with which settings.

Each value carries its source: "paper", "authors' code" (uclaml/Padam), "reproduction" (yashkant/padam-tensorflow,
arXiv:1901.09517) or "chosen here", with the reason. Nothing here runs anything.
"""

import difflib
import os
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import isfinite, sqrt
from typing import NamedTuple

from padam.recipes import section5

OPTIMIZERS = ("padam", "sgdm", "adam", "amsgrad", "adamw", "yogi", "adabound")  # most wanted first
PROFILES = ("quick", "small", "full")


@dataclass(frozen=True)
class Recipe:
    """One training run but for its seed, complete.

    `id` is the paper's cell, "dataset/model/optimizer[-variant]", whatever the profile; dataset and model are the
    profile's own. `hyper` are the optimizer's settings by their torch names. train_size is None for all training
    examples; the `holdout` examples after them are never trained on. The rate is multiplied by `gamma` after each of
    the `milestones`, in epochs. `sources` says where each value comes from; a setting's key there is "hyper.lr". `loop`
    is "plain", or "authors": as their script does it, see `padam.training.engine.Trainer`. `text` says how a text is
    read and its network regularised, see `padam.training.tasks.TextTask`; None for pictures. `changes` are the settings
    that `get` was given beyond the id, {name: value}; they make the variant, and so the id.
    """

    id: str
    profile: str
    dataset: str
    model: str
    optimizer: str
    variant: str | None
    hyper: dict
    batch_size: int
    train_size: int | None
    epochs: int
    milestones: tuple
    gamma: float
    holdout: int
    sources: dict
    loop: str = "plain"
    text: dict | None = None
    changes: dict = field(default_factory=dict)

    @property
    def cell(self):
        """ "dataset/model" of the paper's cell."""
        return self.id.rpartition("/")[0]

    def values(self):
        """Everything but the sources, as JSON has it: what a record keeps and what two runs must share to be one.

        `loop` is left out where it is the plain one, `text` for pictures, `changes` where there are none.
        """
        values = asdict(self)
        del values["sources"]
        if self.changes:
            values["changes"] = {name: _plain(value) for name, value in self.changes.items()}
        else:
            del values["changes"]
        if self.loop == "plain":
            del values["loop"]
        if self.text is None:
            del values["text"]
        return values | {"milestones": list(self.milestones), "hyper": {k: _plain(v) for k, v in self.hyper.items()}}


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


class Times(NamedTuple):
    """A setting that a variant has as a multiple of the plain recipe's."""

    factor: float


_RATES = {"lr3": Times(3.0), "lr0.33": Times(0.33), "lr10": Times(10.0), "lr30": Times(30.0)}
_EXPONENTS = {"p0.4": 0.4, "p0.25": 0.25, "p0.2": 0.2, "p0.0625": 0.0625}


def _variants(dataset, optimizer):
    """Variant -> the settings it changes, {name: (a value or `Times`, source)}."""
    # AdamW's normalised decay of a step does not depend on the rate, so torch's weight_decay follows these.
    names = tuple(_RATES) if dataset == "ptb" else ("lr3", "lr0.33")
    found = {name: {"lr": (_RATES[name], section5.ABLATION)} for name in names}
    if optimizer == "padam":
        found |= {kind: {"correction": (kind, section5.ABLATION)} for kind in ("none", "exact")}
        found |= {"authors": {}} if dataset.startswith("cifar") else {}  # the loop is theirs, see `get`
        if dataset != "ptb":
            found |= {name: {"p": (p, section5.GRID)} for name, p in _EXPONENTS.items()}
    if optimizer == "adamw":
        literal = {"cifar10": 2.5e-2, "cifar100": 2.5e-2, "ptb": 4e-4}.get(dataset, 5e-2)
        found["literal"] = {"weight_decay": (literal, "chosen here: the paper's factor read as torch's weight_decay")}
    if optimizer in ("adam", "amsgrad") and dataset != "ptb":
        found["wd5e-4"] = {"weight_decay": (5e-4, "chosen here: an ablation, SGD-momentum's decay on CIFAR")}
    if dataset.startswith("imagenet") and optimizer == "sgdm":
        found["wd5e-4"] = {"weight_decay": (5e-4, "chosen here: an ablation, Padam's decay")}
    if dataset.startswith("imagenet") and optimizer == "padam":
        found["wd1e-4"] = {"weight_decay": (1e-4, "chosen here: an ablation, SGD-momentum's decay")}
    return found


def _settings(dataset, model, optimizer, variant):
    """{setting: (value, source)} before the normalised weight decay is worked out."""
    found = dict(section5.CIFAR[optimizer])
    if dataset.startswith("imagenet"):
        found |= section5.IMAGENET.get(optimizer, {})
    elif dataset == "ptb":
        found |= section5.PTB[optimizer] | section5.LAYERS[model].get(optimizer, {})
    for name, (value, source) in _variants(dataset, optimizer).get(variant, {}).items():
        found[name] = (found[name][0] * value.factor if isinstance(value, Times) else value, source)
    return found


def normalised(factor, lr, batch_size, train_size, epochs):
    """torch's weight_decay of AdamW for Loshchilov and Hutter's normalised factor: factor * sqrt(b / (B T)) / lr."""
    return factor * sqrt(batch_size / (train_size * epochs)) / lr


def ids():
    """Every recipe's id, the paper's tables first in their order, then their variants."""
    cells = [(data, model, name) for data, models in section5.MODELS.items() for model in models for name in OPTIMIZERS]
    plain = tuple("/".join(cell) for cell in cells)
    return plain + tuple(f"{'/'.join(cell)}-{kind}" for cell in cells for kind in _variants(cell[0], cell[2]))


def default_profile():
    """The environment's PADAM_PROFILE, else "quick"."""
    return os.environ.get("PADAM_PROFILE") or "quick"


def _check(id, profile):
    if profile not in PROFILES:
        raise ValueError(f"no profile is called {profile!r}; there are {', '.join(PROFILES)}.")
    if id not in ids():
        near = difflib.get_close_matches(id, ids(), 3)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise ValueError(f"no recipe is called {id!r}; {hint}`python -m padam list` shows them all.")


def get(id, profile=None, changes=None):
    """The recipe called `id`, or that recipe with other settings.

    Args:
        id: "dataset/model/optimizer" or "dataset/model/optimizer-variant", one of `ids()`.
        profile: "quick" (seconds, no download), "small" (a miniature for a machine without a GPU) or "full" (the
            paper's); default the environment's PADAM_PROFILE, else "quick".
        changes: {name: value} of settings that differ from the recipe's, each a number, a string or a tuple of numbers:
            one of the optimizer's (lr, betas, weight_decay, …), or batch_size, epochs. They become the variant, with
            the source "command line". Only a recipe that is no variant itself can be changed.

    Raises ValueError for an unknown id or profile, and for a change of what the recipe does not have or to a value that
    is out of its range.
    """
    profile = profile or default_profile()
    _check(id, profile)
    dataset, model, name = id.split("/")
    optimizer, _, variant = name.partition("-")
    batch, paper_epochs, paper_milestones, points = section5.SCHEDULES[dataset]
    place = (dataset, {}, None, paper_epochs, None, 0, points, "")
    data, endings, own, epochs, train_size, holdout, points, why = section5.MINIATURES.get((dataset, profile), place)
    batch = own or batch
    settings = _settings(dataset, model, optimizer, variant)
    changes = dict(sorted((changes or {}).items()))
    if changes:
        _check_changes(id, variant, settings, changes)
        variant = ",".join(f"{name}={_written(value)}" for name, value in changes.items())
        id = f"{id}-{variant}"
        settings |= {name: (value, COMMAND_LINE) for name, value in changes.items() if name not in _SCHEDULE}
        batch, epochs = changes.get("batch_size", batch), changes.get("epochs", epochs)
    hyper = {key: value for key, (value, _) in settings.items()}
    if isinstance(hyper["weight_decay"], tuple):
        examples = batch * (section5.AWD_LSTM["bptt"] if dataset == "ptb" else 1)  # a batch of text is so many words
        hyper["weight_decay"] = normalised(hyper["weight_decay"][1], hyper["lr"], examples, points, epochs)
    sources = {f"hyper.{key}": source for key, (_, source) in settings.items()}
    sources |= dict.fromkeys(("dataset", "model", "batch_size", "epochs", "milestones", "gamma"), section5.PAPER)
    sources |= dict.fromkeys(("train_size", "holdout"), "chosen here: everything, for the paper holds nothing out")
    if profile != "full":
        chosen = ("dataset", "model", "train_size", "epochs", "holdout", *["batch_size"] * (own is not None))
        sources |= dict.fromkeys(chosen, f"chosen here: {why}")
        sources["milestones"] = "chosen here: the paper's, in proportion to the epochs"
    loop = "authors" if variant == "authors" else "plain"
    if loop != "plain":
        sources["loop"] = "authors' code: run_cnn_test_cifar10.py"
    text, because = section5.TEXTS[profile] if dataset == "ptb" else (None, "")
    sources |= dict.fromkeys((f"text.{key}" for key in text or ()), because)
    sources |= {name: COMMAND_LINE for name in changes if name in _SCHEDULE}
    if dataset in section5.BORROWED and not id.startswith("cifar100/resnet18/padam"):
        sources |= {key: section5.BORROWED[dataset] for key, source in sources.items() if source.startswith("paper")}
    return Recipe(
        id=id,
        profile=profile,
        dataset=data,
        model=model + endings.get(model, ""),
        optimizer=optimizer,
        variant=variant or None,
        hyper=hyper,
        batch_size=batch,
        train_size=train_size,
        epochs=epochs,
        milestones=_in_proportion(paper_milestones, epochs / paper_epochs),
        gamma=0.1,
        holdout=holdout,
        sources=sources,
        loop=loop,
        text=text,
        changes=changes,
    )


def _in_proportion(milestones, share):
    """The milestones of a shorter or longer run; so short a run that two fall together has one of them, or none."""
    return tuple(dict.fromkeys(after for m in milestones if (after := round(m * share)) > 0))


COMMAND_LINE = "command line"
_SCHEDULE = {"batch_size": int, "epochs": int}  # what can be changed beside the optimizer's settings


def _check_changes(id, variant, settings, changes):
    """ValueError for changes that the recipe cannot have; the ranges of the optimizer's are its own to check."""
    if variant:
        plain = id.removesuffix(f"-{variant}")
        raise ValueError(f"{id} is a variant itself; change {plain} instead, {variant} among the changes.")
    known = {name: value for name, (value, _) in settings.items()} | _SCHEDULE
    for name, value in changes.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ValueError(f"{id} has no setting {name!r}; it has {', '.join(known)}.{hint}")
        if name in _SCHEDULE and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ValueError(f"{name} must be a whole number from 1 on, not {value!r}.")
        numbers = [part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, float)]
        if not all(map(isfinite, numbers)) or (name == "lr" and not (isinstance(value, float | int) and value > 0)):
            raise ValueError(f"{name} must be a number{' above 0' if name == 'lr' else ''}, not {value!r}.")


def _written(value):
    return "x".join(map(repr, value)) if isinstance(value, tuple) else str(value)


def change(id, text):
    """(name, value) of a change as one writes it: "lr=0.03", "p=1/8", "betas=0.9,0.99", "correction=exact".

    Args:
        id: the recipe's, for the kind of value that it has there.
        text: NAME=VALUE.

    Raises ValueError where there is no "=", for a name that the recipe does not have, or another kind of value.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name or not value:
        raise ValueError(f"{text!r} is no change; write NAME=VALUE, as in lr=0.03.")
    before = get(id, "full").hyper.get(name, 1 if name in _SCHEDULE else None)
    if before is None:
        return name, value  # which `get` refuses, and says what there is
    try:
        if isinstance(before, bool):
            return name, {"true": True, "false": False}[value.lower()]
        if isinstance(before, tuple):
            return name, tuple(float(Fraction(part.strip())) for part in value.split(","))
        if isinstance(before, str):
            return name, value
        return name, int(value) if name in _SCHEDULE else float(Fraction(value))
    except (ValueError, KeyError, ZeroDivisionError):
        kinds = {bool: "true or false", tuple: "numbers with commas between them", int: "a whole number"}
        raise ValueError(f"{name} must be {kinds.get(type(before), 'a number')}, not {value!r}.") from None


def of_record(kept):
    """The recipe that a record's "recipe" is of, as it is now. Raises ValueError where there is none any more."""
    changes = {
        name: tuple(value) if isinstance(value, list) else value for name, value in kept.get("changes", {}).items()
    }
    id = "/".join((*kept["id"].split("/")[:2], kept["optimizer"])) if changes else kept["id"]
    return get(id, kept["profile"], changes)


def paper_epochs(id):
    """How many epochs the paper trains the cell `id`."""
    return section5.SCHEDULES[id.split("/")[0]][1]


TABLES = {
    "table1": tuple(f"cifar10/{model}" for model in section5.MODELS["cifar10"]),
    "table2": tuple(f"imagenet/{model}" for model in section5.MODELS["imagenet"]),
    "table3": tuple(f"ptb/{model}" for model in section5.MODELS["ptb"]),
    "figure1": ("cifar10/resnet18", "cifar100/resnet18"),
}
TABLES |= {"figure2": TABLES["table1"], "figure3": TABLES["table2"] + TABLES["table3"]}
DIAL = ("padam-p0.4", "padam-p0.25", "padam-p0.2", "padam", "padam-p0.0625")  # of Figure 1, the largest p first


def wanted(what, profile, seeds):
    """[(id, seed), ...] of the runs behind a table or figure of the paper, most wanted first.

    Args:
        what: a key of `TABLES`.
        profile: the small runs begin with the row whose miniature is the one measured, VGG's on CIFAR, and finish a
            row before the next; the full ones begin with ResNet-18, and a seed is finished before the next.
        seeds: how many seeds, counted from 0.
    """
    if what not in TABLES:
        raise ValueError(f"no table or figure is called {what!r}; there are {', '.join(TABLES)}.")
    columns = DIAL if what == "figure1" else OPTIMIZERS
    rows = TABLES[what]
    if profile != "full":
        rows = sorted(rows, key=lambda row: row.startswith("cifar") and "vgg16" not in row)
        return [(f"{row}/{column}", seed) for row in rows for seed in range(seeds) for column in columns]
    return [(f"{row}/{column}", seed) for seed in range(seeds) for row in rows for column in columns]
