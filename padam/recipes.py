"""Section 5 of the paper as data: what each experiment trains, on what, for how long, with which settings.

Each value carries its source: "paper", "authors' code" (uclaml/Padam), "reproduction" (yashkant/padam-tensorflow,
arXiv:1901.09517) or "chosen here", with the reason. Nothing here runs anything.
"""

import difflib
import os
from dataclasses import asdict, dataclass
from math import sqrt

OPTIMIZERS = ("padam", "sgdm", "adam", "amsgrad", "adamw", "yogi", "adabound")  # most wanted first
PROFILES = ("quick", "small", "full")


@dataclass(frozen=True)
class Recipe:
    """One training run but for its seed, complete.

    `id` is the paper's cell, "dataset/model/optimizer[-variant]", whatever the profile; dataset and model are the
    profile's own. `hyper` are the optimizer's settings by their torch names. train_size is None for all training
    examples; the `holdout` examples after them are never trained on. The rate is multiplied by `gamma` after each of
    the `milestones`, in epochs. `sources` says where each value comes from; a setting's key there is "hyper.lr". `loop`
    is "plain", or "authors": as their script does it, see `padam.training.engine.Trainer`.
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

    def values(self):
        """Everything but the sources, as JSON has it: what a record keeps and what two runs must share to be one.

        `loop` is left out where it is the plain one.
        """
        values = asdict(self)
        del values["sources"]
        if self.loop == "plain":
            del values["loop"]
        return values | {"milestones": list(self.milestones), "hyper": {k: _plain(v) for k, v in self.hyper.items()}}


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


_PAPER = "paper: Section 5"
_TORCH = "chosen here: torch's default"

# Data set -> the paper's schedule: batch size, epochs, milestones, training examples.
_SCHEDULES = {
    "cifar10": (128, 200, (100, 150), 50_000),
    "cifar100": (128, 200, (100, 150), 50_000),
    "imagenet": (256, 100, (30, 60, 80), 1_281_167),
    "imagenet-subset": (256, 100, (30, 60, 80), 1_281_167),
    "ptb": (20, 200, (100, 150), 929_589),
}
_MODELS = {
    "cifar10": ("resnet18", "vgg16", "wrn16-4"),
    "cifar100": ("resnet18", "vgg16", "wrn16-4"),
    "imagenet": ("resnet18", "vgg16"),
    "imagenet-subset": ("resnet18", "vgg16"),
    "ptb": ("lstm2", "lstm3"),
}

# (data set, profile) -> the profile's own data set, endings of the models' names, epochs, training examples to use
# (None: all), held out, how many training examples that makes, and why.
_CIFAR_SMALL = ({"vgg16": "-w16", "resnet18": "-w8", "wrn16-4": "-w16"}, 60, 10_000, 5_000, 10_000)
_IMAGENET_SMALL = (
    "imagenet-subset", {"vgg16": "-w16", "resnet18": "-w16"}, 40, None, 0, 25_000,
    "a first guess at 64 pixels, not measured yet",
)  # fmt: skip
_QUICK_IMAGES = (
    "mnist5k", {"vgg16": "-w8", "resnet18": "-w4", "wrn16-4": "-w4"}, 4, None, 0, 4_000, "runs in seconds anywhere",
)  # fmt: skip
_MINIATURES = {
    ("cifar10", "small"): (
        "cifar10", *_CIFAR_SMALL, "training error ends well below test error here, so there is a gap to compare",
    ),
    ("cifar100", "small"): ("cifar100", *_CIFAR_SMALL, "as CIFAR-10's"),
    ("imagenet", "small"): _IMAGENET_SMALL,
    ("imagenet-subset", "small"): _IMAGENET_SMALL,
    ("ptb", "small"): (
        "ptb", {"lstm2": "-h128", "lstm3": "-h128"}, 12, None, 0, 929_589,
        "a first guess at a narrow network, not measured yet",
    ),
    **{(data, "quick"): _QUICK_IMAGES for data in ("cifar10", "cifar100", "imagenet", "imagenet-subset")},
    ("ptb", "quick"): ("pydoc", {"lstm2": "-h64", "lstm3": "-h64"}, 4, None, 0, 60_000, "runs in seconds anywhere"),
}  # fmt: skip

# Optimizer -> {setting: (value, source)}. CIFAR first; the others say what they change.
_BETAS = ((0.9, 0.999), _PAPER)
_CIFAR = {
    "sgdm": {
        "lr": (0.1, _PAPER),
        "momentum": (0.9, "authors' code: run_cnn_test_cifar10.py"),
        "weight_decay": (5e-4, "authors' code: the script's default"),
    },
    "adam": {
        "lr": (1e-3, _PAPER),
        "betas": ((0.9, 0.99), _PAPER),
        "eps": (1e-8, _TORCH),
        "weight_decay": (1e-4, "reproduction: as stated there; its Keras l2 acts as 2e-4"),
    },
    "adamw": {
        "lr": (1e-3, _PAPER),
        "betas": _BETAS,
        "eps": (1e-8, _TORCH),
        "weight_decay": (("normalised", 2.5e-2), "paper: the normalised factor 2.5e-2 of Loshchilov and Hutter"),
    },
    "yogi": {
        "lr": (1e-3, _PAPER),
        "betas": _BETAS,
        "eps": (1e-3, _PAPER),
        "initial_accumulator": (1e-6, "chosen here: the default of optax's Yogi"),
        "correction": ("exact", "chosen here: as optax computes it; the paper's Yogi was not released"),
        "weight_decay": (1e-4, "chosen here: the paper names none; Adam's, for the rate is Adam's"),
    },
    "adabound": {
        "lr": (1e-3, _PAPER),
        "betas": _BETAS,
        "final_lr": (0.1, _PAPER),
        "gamma": (1e-3, "chosen here: the default of AdaBound's own code"),
        "eps": (1e-8, "chosen here: the default of AdaBound's own code"),
        "correction": ("folded", "chosen here: as AdaBound's own code computes it"),
        "weight_decay": (5e-4, "chosen here: the paper names none; AdaBound's own code takes this on CIFAR-10"),
    },
    "padam": {
        "lr": (0.1, _PAPER),
        "betas": _BETAS,
        "eps": (1e-8, "authors' code: its default"),
        "p": (1 / 8, _PAPER),
        "correction": ("folded", "authors' code"),
        "weight_decay": (5e-4, "authors' code: its README"),
    },
}
_CIFAR["amsgrad"] = {**_CIFAR["adam"], "amsgrad": (True, "paper: Amsgrad, here torch's Adam(amsgrad=True)")}

_FOR_IMAGENET = "chosen here: the paper names none; CIFAR's"
_IMAGENET = {
    "sgdm": {"weight_decay": (1e-4, "authors' code: their answer in issue 5 of uclaml/Padam")},
    "adamw": {"weight_decay": (("normalised", 5e-2), "paper: the normalised factor 5e-2 of Loshchilov and Hutter")},
    **{
        name: {"weight_decay": (_CIFAR[name]["weight_decay"][0], _FOR_IMAGENET)}
        for name in ("adam", "amsgrad", "padam")
    },
}
_NO_CODE = "chosen here: AWD-LSTM's 1.2e-6, for the paper names none"
_PTB = {
    name: {"betas": _BETAS, "weight_decay": (1.2e-6, _NO_CODE)}
    for name in ("adam", "amsgrad", "yogi", "adabound", "padam")
}
_PTB["sgdm"] = {"momentum": (0.9, _PAPER), "weight_decay": (1.2e-6, _NO_CODE)}
_PTB["adamw"] = {
    "weight_decay": (
        ("normalised", 4e-4),
        "paper: the normalised factor 4e-4 of Loshchilov and Hutter, for batches of 20 x 70 words, AWD-LSTM's 70",
    )
}
# What differs between the two and the three layers.
_LAYERS = {
    "lstm2": {
        "sgdm": {"lr": (1.0, _PAPER)}, "yogi": {"lr": (1e-2, _PAPER)}, "adabound": {"final_lr": (10.0, _PAPER)},
        "padam": {"lr": (0.01, _PAPER), "p": (0.4, _PAPER)},
    },
    "lstm3": {
        "sgdm": {"lr": (10.0, _PAPER)}, "yogi": {"lr": (0.1, _PAPER)}, "adabound": {"final_lr": (100.0, _PAPER)},
        "padam": {"lr": (1.0, _PAPER), "p": (0.2, _PAPER)},
    },
}  # fmt: skip

# Data sets on which the paper did not run these, Figure 1's ResNet-18 with Padam on CIFAR-100 excepted.
_BORROWED = {
    "cifar100": "chosen here: the paper's for CIFAR-10",
    "imagenet-subset": "chosen here: the paper's for ImageNet, weight decay included, however large the subset",
}
_BPTT = 70  # words read at a time, AWD-LSTM's
_GRID = "paper: one of the p of its grid, Figure 1"
_ABLATION = "chosen here: an ablation"


def _variants(dataset, optimizer):
    """Variant -> the settings it changes, {name: a value or a factor as "x3"}, each with its source."""
    # AdamW's normalised decay of a step does not depend on the rate, so torch's weight_decay follows these.
    found = {f"lr{text}": {"lr": (f"x{text}", _ABLATION)} for text in ("3", "0.33")}
    if optimizer == "padam":
        found |= {kind: {"correction": (kind, _ABLATION)} for kind in ("none", "exact")}
        found |= {"authors": {}} if dataset.startswith("cifar") else {}  # the loop is theirs, see `get`
        if dataset != "ptb":
            found |= {f"p{p:g}": {"p": (p, _GRID)} for p in (0.4, 0.25, 0.2, 0.0625)}
    if optimizer == "adamw":
        literal = {"cifar10": 2.5e-2, "cifar100": 2.5e-2, "ptb": 4e-4}.get(dataset, 5e-2)
        found["literal"] = {"weight_decay": (literal, "chosen here: the paper's factor read as torch's weight_decay")}
    if optimizer in ("adam", "amsgrad") and dataset != "ptb":
        found["wd5e-4"] = {"weight_decay": (5e-4, "chosen here: an ablation, SGD-momentum's decay")}
    return found


def _settings(dataset, model, optimizer, variant):
    """{setting: (value, source)} before the normalised weight decay is worked out."""
    found = dict(_CIFAR[optimizer])
    if dataset.startswith("imagenet"):
        found |= _IMAGENET.get(optimizer, {})
    elif dataset == "ptb":
        found |= _PTB[optimizer] | _LAYERS[model].get(optimizer, {})
    for name, (value, source) in _variants(dataset, optimizer).get(variant, {}).items():
        factor = isinstance(value, str) and value.startswith("x")
        found[name] = (found[name][0] * float(value[1:]) if factor else value, source)
    return found


def normalised(factor, lr, batch_size, train_size, epochs):
    """torch's weight_decay of AdamW for Loshchilov and Hutter's normalised factor: factor * sqrt(b / (B T)) / lr."""
    return factor * sqrt(batch_size / (train_size * epochs)) / lr


def ids():
    """Every recipe's id, the paper's tables first in their order, then their variants."""
    cells = [(data, model, name) for data, models in _MODELS.items() for model in models for name in OPTIMIZERS]
    plain = tuple("/".join(cell) for cell in cells)
    return plain + tuple(f"{'/'.join(cell)}-{kind}" for cell in cells for kind in _variants(cell[0], cell[2]))


def default_profile():
    """The environment's PADAM_PROFILE, else "quick"."""
    return os.environ.get("PADAM_PROFILE") or "quick"


def get(id, profile=None):
    """The recipe called `id`.

    Args:
        id: "dataset/model/optimizer" or "dataset/model/optimizer-variant", one of `ids()`.
        profile: "quick" (seconds, no download), "small" (a miniature for a machine without a GPU) or "full" (the
            paper's); default the environment's PADAM_PROFILE, else "quick".

    Raises ValueError for an unknown id or profile.
    """
    profile = profile or default_profile()
    if profile not in PROFILES:
        raise ValueError(f"no profile is called {profile!r}; there are {', '.join(PROFILES)}.")
    if id not in ids():
        near = difflib.get_close_matches(id, ids(), 3)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise ValueError(f"no recipe is called {id!r}; {hint}`python -m padam list` shows them all.")
    dataset, model, name = id.split("/")
    optimizer, _, variant = name.partition("-")
    batch, paper_epochs, paper_milestones, points = _SCHEDULES[dataset]
    place = (dataset, {}, paper_epochs, None, 0, points, "")
    data, endings, epochs, train_size, holdout, points, why = _MINIATURES.get((dataset, profile), place)
    settings = _settings(dataset, model, optimizer, variant)
    hyper = {key: value for key, (value, _) in settings.items()}
    if isinstance(hyper["weight_decay"], tuple):
        examples = batch * (_BPTT if dataset == "ptb" else 1)  # a batch of text is so many words
        hyper["weight_decay"] = normalised(hyper["weight_decay"][1], hyper["lr"], examples, points, epochs)
    sources = {f"hyper.{key}": source for key, (_, source) in settings.items()}
    sources |= dict.fromkeys(("dataset", "model", "batch_size", "epochs", "milestones", "gamma"), _PAPER)
    sources |= dict.fromkeys(("train_size", "holdout"), "chosen here: everything, for the paper holds nothing out")
    if profile != "full":
        sources |= dict.fromkeys(("dataset", "model", "train_size", "epochs", "holdout"), f"chosen here: {why}")
        sources["milestones"] = "chosen here: the paper's, in proportion to the epochs"
    loop = "authors" if variant == "authors" else "plain"
    if loop != "plain":
        sources["loop"] = "authors' code: run_cnn_test_cifar10.py"
    if dataset in _BORROWED and not id.startswith("cifar100/resnet18/padam"):
        sources |= {key: _BORROWED[dataset] for key, source in sources.items() if source.startswith("paper")}
    return Recipe(
        id=id, profile=profile, dataset=data, model=model + endings.get(model, ""), optimizer=optimizer,
        variant=variant or None, hyper=hyper, batch_size=batch, train_size=train_size, epochs=epochs,
        milestones=tuple(round(m * epochs / paper_epochs) for m in paper_milestones), gamma=0.1, holdout=holdout,
        sources=sources, loop=loop,
    )  # fmt: skip


def paper_epochs(id):
    """How many epochs the paper trains the cell `id`."""
    return _SCHEDULES[id.split("/")[0]][1]


TABLES = {
    "table1": tuple(f"cifar10/{model}" for model in _MODELS["cifar10"]),
    "table2": tuple(f"imagenet/{model}" for model in _MODELS["imagenet"]),
    "table3": tuple(f"ptb/{model}" for model in _MODELS["ptb"]),
    "figure1": ("cifar10/resnet18", "cifar100/resnet18"),
}
TABLES |= {"figure2": TABLES["table1"], "figure3": TABLES["table2"] + TABLES["table3"]}
_DIAL = ("padam-p0.4", "padam-p0.25", "padam-p0.2", "padam", "padam-p0.0625")


def wanted(what, profile, seeds):
    """[(id, seed), ...] of the runs behind a table or figure of the paper, most wanted first.

    Args:
        what: a key of `TABLES`.
        profile: the small runs begin with the VGG row and finish a row before the next; the full ones begin with
            ResNet-18, and a seed is finished before the next.
        seeds: how many seeds, counted from 0.
    """
    if what not in TABLES:
        raise ValueError(f"no table or figure is called {what!r}; there are {', '.join(TABLES)}.")
    columns = _DIAL if what == "figure1" else OPTIMIZERS
    rows = TABLES[what]
    if profile != "full":
        rows = sorted(rows, key=lambda row: "vgg16" not in row)
        return [(f"{row}/{column}", seed) for row in rows for seed in range(seeds) for column in columns]
    return [(f"{row}/{column}", seed) for seed in range(seeds) for row in rows for column in columns]
