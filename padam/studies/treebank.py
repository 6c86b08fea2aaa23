"""Which miniature of the Penn Treebank experiment is in the full one's regime: it fits its text, and can overfit it."""

import torch

from padam import data as datasets
from padam import models, optim
from padam.recipes.section5 import AWD_LSTM
from padam.studies.study import Study, columns, trained

_EPOCHS, _MILESTONES, _BATCH, _RATE = 12, (6, 9), 20, 3e-3


def settings_of(strength):
    """AWD-LSTM's text settings with its dropouts and penalties times `strength`."""
    kept = {key: AWD_LSTM[key] for key in ("bptt", "varied", "clip")}
    return kept | {key: strength * AWD_LSTM[key] for key in models.Regularisation._fields}


def measure(setting, data, folder):
    """Train a narrow two-layer LSTM with Adam on the beginning of the text; losses by epoch, in nats a word."""
    text = datasets.split(datasets.load("ptb", data), setting["words"])
    chosen = settings_of(setting["strength"])
    regularisation = models.Regularisation(**{key: chosen[key] for key in models.Regularisation._fields})
    name = f"lstm2-h{setting['hidden']}"
    torch.manual_seed(setting["seed"])
    model = models.build(name, vocabulary=len(text.vocabulary), regularisation=regularisation)
    rows = trained(
        model, text, optim.build("adam", model.parameters(), lr=_RATE, weight_decay=1.2e-6), _observe, folder,
        epochs=_EPOCHS, batch_size=_BATCH, milestones=_MILESTONES, gamma=0.1, seed=setting["seed"], text=chosen,
    )  # fmt: skip
    return columns(rows) | {"parameters": sum(weights.numel() for weights in model.parameters())}


def _observe(trainer, row, before):
    return {key: row[key] for key in ("lr", "train_loss", "valid_loss", "test_loss", "seconds")}


TREEBANK = Study(
    name="treebank",
    question="Which width, length of text and dropout make a miniature of the Penn Treebank experiment?",
    fixed={
        "dataset": "ptb", "model": "lstm2-hN", "optimizer": "adam", "lr": _RATE, "weight_decay": 1.2e-6,
        "batch_size": _BATCH, "epochs": _EPOCHS, "milestones": list(_MILESTONES),
        "strength": "AWD-LSTM's dropouts and penalties times this",
    },
    settings=tuple(
        {"hidden": hidden, "words": words, "strength": strength, "seed": 0}
        for hidden, words, strength in (
            (200, 200_000, 0.0), (200, 200_000, 0.5), (200, 200_000, 1.0), (128, 200_000, 0.0), (128, 200_000, 0.5),
            (200, 400_000, 0.0), (200, 400_000, 0.5), (400, 200_000, 0.5),
        )
    ),
    measure=measure,
    minutes=75,
)  # fmt: skip
