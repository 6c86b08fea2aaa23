"""The dial p on a small text: which exponents get a two-layer LSTM to use the words it has read, at which rates."""

from padam import data as datasets
from padam import models, optim, recipes
from padam.studies.study import Study, columns, trained

_MODEL, _EPOCHS, _BATCH = "lstm2-h64", 6, 20
TYPICAL = 1e-8  # a second moment that is common in such networks, by which rates of different p are made comparable
_DIAL = (0.0, 0.0625, 0.125, 0.2, 0.25, 0.4, 0.5)
_LOOK, _COLUMNS = 2000, 20  # words of the test text, and columns, in which the layers are looked at
_RATES = (3.0, 10.0, 30.0, 100.0)
_ARMS = tuple((p, 1.0) for p in _DIAL) + ((0.5, 0.1),)  # exponent, and the LSTM layers' share of the base rate


def base_rate(p, effective):
    """Padam's base rate at which a coordinate whose second moment is `TYPICAL` has this effective rate."""
    return effective * TYPICAL**p


def measure(setting, data, run):
    """Train Padam with one exponent at one rate, of which the LSTM layers may have a share only.

    p = 0 is torch's SGD-momentum at its own tenth of the rate.
    """
    p, lr, text = setting["p"], base_rate(setting["p"], setting["effective"]), datasets.load("pydoc")
    model = models.build(_MODEL, vocabulary=len(text.vocabulary), seed=setting["seed"])
    words = [weight for name, weight in model.named_parameters() if not name.startswith("layers.")]
    groups = [{"params": words}, {"params": model.layers.parameters(), "lr": setting["layers"] * lr}]
    if p:
        optimizer = optim.build("padam", groups, lr=lr, p=p)
    else:
        groups[1]["lr"] /= 10
        optimizer = optim.build("sgdm", groups, lr=lr / 10, momentum=0.9)
    how = recipes.get("ptb/lstm2/padam", "quick").text
    rows = trained(
        model, text, optimizer, observed, run, epochs=_EPOCHS, batch_size=_BATCH, seed=setting["seed"], text=how
    )
    return columns(rows)


def observed(trainer, row, before):
    """An epoch's losses, nats a word, and what the last layer's outputs do on the beginning of the test text."""
    text = trainer.task.parts["test"][:_LOOK]
    last = models.activity(trainer.model, text.view(_COLUMNS, -1).t())[-1]
    losses = {key: row[key] for key in ("train_loss", "valid_loss", "test_loss")}
    return losses | {"size": last.size, "change": last.change}


TEXT_DIAL = Study(
    name="text-dial",
    question="Which exponents, at which rates, leave the state in which a network only knows how frequent words are?",
    fixed={
        "dataset": "pydoc",
        "model": _MODEL,
        "batch_size": _BATCH,
        "epochs": _EPOCHS,
        "optimizer": "Padam, folded",
        "effective": f"the effective rate of a coordinate whose second moment is {TYPICAL:g}",
        "layers": "the LSTM layers' rate over that of the embedding, which is the decoder as well",
        "p = 0": "SGD-momentum, torch's rate a tenth of the effective one, which is the same",
    },
    settings=tuple(
        {"p": p, "effective": effective, "layers": layers, "seed": seed}
        for seed in range(3)
        for p, layers in _ARMS
        for effective in _RATES
    ),
    measure=measure,
    minutes=45,
)
