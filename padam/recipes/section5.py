"""The values of the paper's Section 5, and of what it leaves out, each with its source; `padam.recipes` reads them.

A source begins with "paper", "authors' code" (uclaml/Padam), "reproduction" (yashkant/padam-tensorflow,
arXiv:1901.09517) or "chosen here", with the reason.
"""

PAPER = "paper: Section 5"
TORCH = "chosen here: torch's default"

# Data set -> the paper's schedule: batch size, epochs, milestones, training examples.
SCHEDULES = {
    "cifar10": (128, 200, (100, 150), 50_000),
    "cifar100": (128, 200, (100, 150), 50_000),
    "imagenet": (256, 100, (30, 60, 80), 1_281_167),
    "imagenet-subset": (256, 100, (30, 60, 80), 1_281_167),
    "ptb": (20, 200, (100, 150), 929_589),
}
MODELS = {
    "cifar10": ("resnet18", "vgg16", "wrn16-4"),
    "cifar100": ("resnet18", "vgg16", "wrn16-4"),
    "imagenet": ("resnet18", "vgg16"),
    "imagenet-subset": ("resnet18", "vgg16"),
    "ptb": ("lstm2", "lstm3"),
}

# (data set, profile) -> the profile's own data set, endings of the models' names, batch size (None: the paper's),
# epochs, training examples to use (None: all), held out, how many training examples that makes, and why.
CIFAR_SMALL = ({"vgg16": "-w16", "resnet18": "-w8", "wrn16-4": "-w16"}, None, 60, 10_000, 5_000, 10_000)
IMAGENET_SMALL = (
    "imagenet-subset",
    {"vgg16": "-w8", "resnet18": "-w8"},
    64,
    160,
    2_500,
    0,
    2_500,
    "ResNet-18 ends far better on what it has seen than on the rest here: the study `miniature`",
)
SECONDS = "runs in seconds anywhere"
QUICK_IMAGES = ("mnist5k", {"vgg16": "-w8", "resnet18": "-w4", "wrn16-4": "-w4"}, None, 4, None, 0, 4_000, SECONDS)
MINIATURES = {
    ("cifar10", "small"): (
        "cifar10",
        *CIFAR_SMALL,
        "training error ends well below test error here, so there is a gap to compare",
    ),
    ("cifar100", "small"): ("cifar100", *CIFAR_SMALL, "as CIFAR-10's"),
    ("imagenet", "small"): IMAGENET_SMALL,
    ("imagenet-subset", "small"): IMAGENET_SMALL,
    ("ptb", "small"): (
        "ptb",
        {"lstm2": "-h200", "lstm3": "-h200"},
        None,
        24,
        100_000,
        0,
        100_000,
        "training perplexity ends well below held out perplexity here, which the decays flatten: the study `treebank`",
    ),
    **{(data, "quick"): QUICK_IMAGES for data in ("cifar10", "cifar100", "imagenet", "imagenet-subset")},
    ("ptb", "quick"): ("pydoc", {"lstm2": "-h64", "lstm3": "-h64"}, None, 4, None, 0, 60_000, SECONDS),
}

# Optimizer -> {setting: (value, source)}. CIFAR first; the others say what they change.
BETAS = ((0.9, 0.999), PAPER)
CIFAR = {
    "sgdm": {
        "lr": (0.1, PAPER),
        "momentum": (0.9, "authors' code: run_cnn_test_cifar10.py"),
        "weight_decay": (5e-4, "authors' code: the script's default"),
    },
    "adam": {
        "lr": (1e-3, PAPER),
        "betas": ((0.9, 0.99), PAPER),
        "eps": (1e-8, TORCH),
        "weight_decay": (1e-4, "reproduction: as stated there; its Keras l2 acts as 2e-4"),
    },
    "adamw": {
        "lr": (1e-3, PAPER),
        "betas": BETAS,
        "eps": (1e-8, TORCH),
        "weight_decay": (("normalised", 2.5e-2), "paper: the normalised factor 2.5e-2 of Loshchilov and Hutter"),
    },
    "yogi": {
        "lr": (1e-3, PAPER),
        "betas": BETAS,
        "eps": (1e-3, PAPER),
        "initial_accumulator": (1e-6, "chosen here: the default of optax's Yogi"),
        "correction": ("exact", "chosen here: as optax computes it; the paper's Yogi was not released"),
        "weight_decay": (1e-4, "chosen here: the paper names none; Adam's, for the rate is Adam's"),
    },
    "adabound": {
        "lr": (1e-3, PAPER),
        "betas": BETAS,
        "final_lr": (0.1, PAPER),
        "gamma": (1e-3, "chosen here: the default of AdaBound's own code"),
        "eps": (1e-8, "chosen here: the default of AdaBound's own code"),
        "correction": ("folded", "chosen here: as AdaBound's own code computes it"),
        "weight_decay": (5e-4, "chosen here: the paper names none; AdaBound's own code takes this on CIFAR-10"),
    },
    "padam": {
        "lr": (0.1, PAPER),
        "betas": BETAS,
        "eps": (1e-8, "authors' code: its default"),
        "p": (1 / 8, PAPER),
        "correction": ("folded", "authors' code"),
        "weight_decay": (5e-4, "authors' code: its README"),
    },
}
CIFAR["amsgrad"] = {**CIFAR["adam"], "amsgrad": (True, "paper: Amsgrad, here torch's Adam(amsgrad=True)")}

FOR_IMAGENET = "chosen here: the paper names none; CIFAR's"
IMAGENET = {
    "sgdm": {"weight_decay": (1e-4, "authors' code: their answer in issue 5 of uclaml/Padam")},
    "adamw": {"weight_decay": (("normalised", 5e-2), "paper: the normalised factor 5e-2 of Loshchilov and Hutter")},
    **{name: {"weight_decay": (CIFAR[name]["weight_decay"][0], FOR_IMAGENET)} for name in ("adam", "amsgrad", "padam")},
}
NO_CODE = "chosen here: AWD-LSTM's 1.2e-6, for the paper names none"
PTB = {
    name: {"betas": BETAS, "weight_decay": (1.2e-6, NO_CODE)}
    for name in ("adam", "amsgrad", "yogi", "adabound", "padam")
}
PTB["sgdm"] = {"momentum": (0.9, PAPER), "weight_decay": (1.2e-6, NO_CODE)}
PTB["adamw"] = {
    "weight_decay": (
        ("normalised", 4e-4),
        "paper: the normalised factor 4e-4 of Loshchilov and Hutter, for batches of 20 x 70 words, AWD-LSTM's 70",
    )
}
# What differs between the two and the three layers.
LAYERS = {
    "lstm2": {
        "sgdm": {"lr": (1.0, PAPER)},
        "yogi": {"lr": (1e-2, PAPER)},
        "adabound": {"final_lr": (10.0, PAPER)},
        "padam": {"lr": (0.01, PAPER), "p": (0.4, PAPER)},
    },
    "lstm3": {
        "sgdm": {"lr": (10.0, PAPER)},
        "yogi": {"lr": (0.1, PAPER)},
        "adabound": {"final_lr": (100.0, PAPER)},
        "padam": {"lr": (1.0, PAPER), "p": (0.2, PAPER)},
    },
}

# Data sets on which the paper did not run these, Figure 1's ResNet-18 with Padam on CIFAR-100 excepted.
BORROWED = {
    "cifar100": "chosen here: the paper's for CIFAR-10",
    "imagenet-subset": "chosen here: the paper's for ImageNet, weight decay included, however large the subset",
}
GRID = "paper: one of the p of its grid, Figure 1"
ABLATION = "chosen here: an ablation"

# Text: how the regularised LSTM of Merity et al. (2018) is trained, for the paper names no network. Words read at a
# time (`bptt`; the length varies from window to window where `varied`), the norm at which gradients are clipped, the
# dropouts of `padam.models.Regularisation`, and the weights of its two penalties.
AWD_LSTM = {
    "bptt": 70,
    "varied": True,
    "clip": 0.25,
    "words": 0.1,
    "inputs": 0.4,
    "hidden": 0.25,
    "output": 0.4,
    "weights": 0.5,
    "activation": 2.0,
    "temporal": 1.0,
}


def softened(strength):
    """AWD-LSTM's text settings with its dropouts and penalties times `strength`."""
    return {key: value if key in ("bptt", "varied", "clip") else strength * value for key, value in AWD_LSTM.items()}


TEXTS = {
    "full": (AWD_LSTM, "chosen here: AWD-LSTM's, for the paper names no network"),
    "small": (
        softened(0.5),
        "chosen here: AWD-LSTM's with half its dropouts and penalties, which the study `treebank` found to suit",
    ),
    "quick": ({"bptt": 35, "clip": 0.25}, "chosen here: no regularisation, for a text of this size in four epochs"),
}
