"""Which miniature of the Penn Treebank experiment is in the full one's regime: it fits its text, and can overfit it."""

import torch

from padam import data as datasets
from padam import models, optim
from padam.recipes.section5 import softened
from padam.studies.study import Study, columns, trained

_READ, _BATCH = 2_400_000, 20  # words read in a run, over all its epochs; texts read at a time


def measure(setting, data, run):
    """Train a narrow two-layer LSTM with Adam on the beginning of the text; losses by epoch, in nats a word."""
    text = datasets.split(datasets.load("ptb", data), setting["words"])
    chosen = softened(setting["strength"])
    regularisation = models.Regularisation(**{key: chosen[key] for key in models.Regularisation._fields})
    name = f"lstm2-h{setting['hidden']}"
    torch.manual_seed(setting["seed"])
    model = models.build(name, vocabulary=len(text.vocabulary), regularisation=regularisation)
    optimizer = optim.build("adam", model.parameters(), lr=setting["lr"], weight_decay=1.2e-6)
    epochs = _READ // setting["words"]
    rows = trained(
        model,
        text,
        optimizer,
        _observe,
        run,
        epochs=epochs,
        batch_size=_BATCH,
        milestones=(epochs // 2, epochs * 3 // 4),
        gamma=0.1,
        seed=setting["seed"],
        text=chosen,
    )
    return columns(rows) | {"parameters": sum(weights.numel() for weights in model.parameters())}


def _observe(trainer, row, before):
    return {key: row[key] for key in ("lr", "train_loss", "valid_loss", "test_loss", "seconds")}


TREEBANK = Study(
    name="treebank",
    question="Which width, length of text, dropout and rate make a miniature of the Penn Treebank experiment?",
    fixed={
        "dataset": "ptb",
        "model": "lstm2-hN",
        "optimizer": "adam",
        "weight_decay": 1.2e-6,
        "batch_size": _BATCH,
        "words read": f"{_READ:,} in all, so 12 epochs of 200,000 and 24 of 100,000",
        "milestones": "the rate is divided by 10 after a half and after three quarters of the epochs",
        "strength": "AWD-LSTM's dropouts and penalties times this",
    },
    settings=tuple(
        {"hidden": hidden, "words": words, "strength": strength, "lr": lr, "seed": 0}
        for hidden, words, strength, lr in (
            (200, 200_000, 0.5, 3e-3),
            (200, 200_000, 0.25, 3e-3),
            (200, 100_000, 0.5, 3e-3),
            (128, 200_000, 0.5, 3e-3),
            (200, 200_000, 0.5, 1e-3),
            (200, 100_000, 0.25, 3e-3),
            (200, 200_000, 0.0, 3e-3),
            (200, 200_000, 1.0, 3e-3),
        )
    ),
    measure=measure,
    minutes=100,
)
