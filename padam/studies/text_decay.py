"""Weight decay on a small text: what an L2 penalty of nearly nothing does to an LSTM that Adam has saturated."""

import torch

from padam import data as datasets
from padam import models, optim, recipes
from padam.studies.study import Study, columns, trained
from padam.studies.text_dial import observed

_MODEL, _EPOCHS, _BATCH = "lstm2-h64", 6, 20
_RATES = (1e-3, 3e-3, 1e-2)
_OURS = 1.2e-6  # AWD-LSTM's, for plain SGD at rate 30; the recipes' of the Penn Treebank
# Optimizer, weight decay: as an L2 penalty, of AdamW decoupled.
_ARMS = (
    ("adam", 0.0),
    ("adam", _OURS),
    ("adam", 1e-5),
    ("adam", 1e-4),
    ("adamw", _OURS),
    ("adamw", 1e-2),
    ("adamw", 0.1),
)
# And without the square root in the way: SGD-momentum, and Padam as the recipe for three layers has it.
_OTHERS = (("sgdm", 3.0, {"momentum": 0.9}), ("padam", 1.0, {"p": 0.2}))
# And with a memory that does not fade: Amsgrad, and Padam as the recipe for two layers has it.
_KEEPING = (("amsgrad", 0.003, {}), ("amsgrad", 0.01, {}), ("padam", 0.01, {"p": 0.4}), ("padam", 0.03, {"p": 0.4}))


def measure(setting, data, run):
    """Train for six epochs with one rate and one weight decay."""
    text = datasets.load("pydoc")
    model = models.build(_MODEL, vocabulary=len(text.vocabulary), seed=setting["seed"])
    more = dict({name: more for name, _, more in _OTHERS}.get(setting["optimizer"], {}))
    if "p" in setting:
        more["p"] = setting["p"]
    optimizer = optim.build(
        setting["optimizer"], model.parameters(), lr=setting["lr"], weight_decay=setting["decay"], **more
    )
    how = recipes.get("ptb/lstm2/padam", "quick").text
    rows = trained(
        model, text, optimizer, _observe, run, epochs=_EPOCHS, batch_size=_BATCH, seed=setting["seed"], text=how
    )
    return columns(rows)


def _observe(trainer, row, before):
    weights = torch.cat([p.detach().flatten() for p in trainer.model.layers.parameters()])
    return observed(trainer, row, before) | {"weights": weights.square().mean().sqrt().item()}


TEXT_DECAY = Study(
    name="text-decay",
    question="What does weight decay do to an LSTM that Adam saturates, as a penalty and decoupled?",
    fixed={
        "dataset": "pydoc",
        "model": _MODEL,
        "batch_size": _BATCH,
        "epochs": _EPOCHS,
        "decay": "an L2 penalty's; of AdamW decoupled, so times the rate",
        "size, change": "mean of |h| and deviation of h over the words, last layer; weights: their root mean square",
    },
    settings=tuple(
        {"optimizer": name, "lr": lr, "decay": decay, "seed": seed}
        for seed in range(3)
        for name, lr, decay in (
            *((name, lr, decay) for name, decay in _ARMS for lr in _RATES),
            *((name, lr, decay) for name, lr, _ in _OTHERS for decay in (0.0, _OURS)),
        )
    )
    + tuple(
        {"optimizer": name, "lr": lr, "decay": decay, "seed": seed, **more}
        for seed in range(3)
        for name, lr, more in _KEEPING
        for decay in (0.0, 1e-5, 1e-4)
    ),
    measure=measure,
    minutes=40,
)
