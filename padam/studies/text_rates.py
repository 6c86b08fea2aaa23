"""Which rate suits the miniature of the Penn Treebank experiment: four epochs of each, judged on the held out text."""

import torch

from padam import data as datasets
from padam import recipes
from padam.studies.study import Study, columns, trained
from padam.training.run import build

_CELL, _EPOCHS = "ptb/lstm2", 4


def measure(setting, data, run):
    """Train an optimizer of the miniature for four epochs at one rate, without decay; losses by epoch, nats a word."""
    recipe = recipes.get(f"{_CELL}/{setting['optimizer']}{setting['variant']}", "small")
    text = datasets.split(datasets.load(recipe.dataset, data), recipe.train_size)
    torch.manual_seed(setting["seed"])
    model, optimizer = build(recipe, text, torch.device("cpu"))
    rows = trained(
        model,
        text,
        optimizer,
        _observe,
        run,
        epochs=_EPOCHS,
        batch_size=recipe.batch_size,
        seed=setting["seed"],
        text=recipe.text,
    )
    return columns(rows)


def _observe(trainer, row, before):
    return {key: row[key] for key in ("lr", "train_loss", "valid_loss", "seconds")}


TEXT_RATES = Study(
    name="text-rates",
    question="Which rate suits each optimizer on the miniature of the Penn Treebank experiment?",
    fixed={
        "cell": _CELL,
        "epochs": _EPOCHS,
        "recipe": recipes.get(f"{_CELL}/padam", "small").values() | {"hyper": None},
        "variant": "the recipe's rate (none), or three, ten or thirty times it",
    },
    settings=tuple(
        {"optimizer": name, "variant": variant, "seed": 0}
        for name in recipes.OPTIMIZERS
        for variant in ("", "-lr3", "-lr10", "-lr30")
    ),
    measure=measure,
    minutes=110,  # 28 runs of four epochs of 38 to 90 s
)
