"""The largest base rate that each p stands, on a small network without batch norm, and what it is in other units."""

import math
from fractions import Fraction

import torch

from padam import data as datasets
from padam import models
from padam.optim import Padam
from padam.studies.study import Study, halved
from padam.training.device import flushed_denormals
from padam.training.tasks import task

_STEPS, _BATCH, _LAST = 120, 64, 20
_EXPONENTS = ("0", "1/16", "1/8", "1/5", "1/4", "2/5", "1/2")
_RATES = tuple(2.0**k for k in range(-10, 5))
_SEEDS = range(4)


def _pictures(root):
    """The digits at 14x14."""
    data = datasets.load("mnist5k", root)
    return data._replace(train=(halved(data.train[0]), data.train[1]))


def measure(setting, data, run):
    """Train `steps` steps with Padam; the mean loss of the last ones, and percentiles of v_hat at the end.

    "percentiles" are the 5th, 50th and 95th of (sqrt(v_hat) + eps)^2 over the weights, so that its power -p is what
    multiplies the base rate. None where the loss is no number.
    """
    p, lr, seed = setting["p"], setting["lr"], setting["seed"]
    torch.manual_seed(seed)
    model = models.build("convnet-w8").to(memory_format=torch.channels_last)
    optimizer = Padam(model.parameters(), lr=lr, p=float(Fraction(p)))
    digits, losses = task(_pictures(data), _BATCH), []
    order = torch.Generator().manual_seed(seed)
    with flushed_denormals():
        while len(losses) < _STEPS and (not losses or math.isfinite(losses[-1])):
            for batch in digits.batches(order, None):
                loss = digits.loss(model, batch)[0]
                losses.append(loss.item())
                if len(losses) == _STEPS or not math.isfinite(losses[-1]):
                    break
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    if not math.isfinite(losses[-1]):
        return {"steps": len(losses), "loss": None, "percentiles": None}
    v_hat = torch.cat([state["max_exp_avg_sq"].flatten() for state in optimizer.state.values()]).double()
    found = torch.quantile((v_hat.sqrt() + 1e-8) ** 2, torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64))
    loss = sum(losses[-_LAST:]) / _LAST
    return {"steps": len(losses), "loss": loss if math.isfinite(loss) else None, "percentiles": found.tolist()}


TOLERANCE = Study(
    name="tolerance",
    question="Which base rates does each p stand, and how much of the difference is a change of units?",
    fixed={
        "dataset": "mnist5k",
        "pictures": "4,000 digits averaged to 14x14",
        "model": "convnet-w8",
        "batch_size": _BATCH,
        "steps": _STEPS,
        "loss": f"mean of the last {_LAST} steps",
        "settings": "Padam, correction none, no decay",
    },
    settings=tuple({"p": p, "lr": lr, "seed": seed} for seed in _SEEDS for p in _EXPONENTS for lr in _RATES),
    measure=measure,
    minutes=10,
)
