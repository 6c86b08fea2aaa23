"""Test error against base rate for several optimizers, each over its own grid, and how far the weights move."""

import torch

from padam import data as datasets
from padam import models, optim, recipes
from padam.studies.study import Study, columns, halved, movement, trained

_TRAIN, _HOLDOUT, _EPOCHS = 5_000, 5_000, 30
_MODEL, _BATCH = "convnet-bn-w32", 128
_SEEDS = range(5)
_GRIDS = {
    "sgdm": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "padam": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
    "amsgrad": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1),
    "adam": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1),
    "adamw": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1),
}
_DECAYS = tuple(int(share * _EPOCHS) for share in (0.5, 0.75))


def pictures(root=None):
    """CIFAR-10 for this study: 5,000 pictures to train, the next 5,000 held out, all 10,000 to test, at 16x16."""
    data = datasets.split(datasets.load("cifar10", root), _TRAIN, _HOLDOUT)
    small = {part: (halved(getattr(data, part)[0]), getattr(data, part)[1]) for part in ("train", "valid", "test")}
    return data._replace(**small, shift=0, flip=False)


def hyper(name, lr):
    """The paper's settings of an optimizer on CIFAR-10, at another rate; AdamW's decay for this study's size."""
    settings = dict(recipes.get(f"cifar10/vgg16/{name}", "small").hyper) | {"lr": lr}
    if name == "adamw":
        settings["weight_decay"] = recipes.normalised(2.5e-2, lr, _BATCH, _TRAIN, _EPOCHS)
    return settings


def measure(setting, data, run):
    """Train one optimizer at one rate with one seed: errors by epoch, and the relative movement of each epoch."""
    name, lr, seed = setting["optimizer"], setting["lr"], setting["seed"]
    torch.manual_seed(seed)
    model = models.build(_MODEL)
    optimizer = optim.build("adam" if name == "amsgrad" else name, model.parameters(), **hyper(name, lr))
    rows = trained(
        model,
        pictures(data),
        optimizer,
        _observe,
        run,
        epochs=_EPOCHS,
        batch_size=_BATCH,
        milestones=_DECAYS,
        seed=seed,
    )
    return columns(rows)


def _observe(trainer, row, before):
    keys = ("train_loss", "train_error", "valid_error", "test_error")
    return {key: row[key] for key in keys} | {"movement": movement(trainer.model, before)}


RATES = Study(
    name="rates",
    question="How does the test error depend on the base rate, are the best ones equal, and what does a decay do?",
    fixed={
        "dataset": "cifar10",
        "pictures": "5,000 to train, the next 5,000 held out, 10,000 to test, averaged to 16x16",
        "model": _MODEL,
        "batch_size": _BATCH,
        "epochs": _EPOCHS,
        "milestones": list(_DECAYS),
        "augmentation": "none",
        "settings": "the paper's for CIFAR-10 but for the rate; Padam folded, p = 1/8; AdamW's decay normalised",
    },
    settings=tuple(
        {"optimizer": name, "lr": lr, "seed": seed} for seed in _SEEDS for name, grid in _GRIDS.items() for lr in grid
    ),
    measure=measure,
    minutes=70,
)
