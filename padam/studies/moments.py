"""Inside a long run: how v_hat is spread, how far it is above v, and how far the weights move, epoch by epoch."""

import torch

from padam import data as datasets
from padam import recipes
from padam.studies.study import Study, columns, movement, trained
from padam.training.run import build

_LOW, _HIGH, _PER_DECADE = -20, 2, 4
_OPTIMIZERS = ("padam", "amsgrad", "adam", "sgdm")
_SHARES = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)


def measure(setting, data, run):
    """Train one recipe of the miniature of CIFAR-10 as `padam.training.train` does, and look at its state.

    By epoch: errors, movement, and for the adaptive ones "log10_v": how many coordinates have the logarithm of their
    v (v_hat where there is one) in each bin (`fixed` has the bins; what lies outside is in the outermost ones; zeros
    are counted apart). Where there is a v_hat, "above": the 5th to 95th percentiles of v_hat over v, and
    "above_twice", the share of coordinates where it is more than 2.
    """
    recipe = recipes.get(f"cifar10/vgg16/{setting['optimizer']}", "small")
    pictures = datasets.split(datasets.load(recipe.dataset, data), recipe.train_size, recipe.holdout)
    torch.manual_seed(setting["seed"])
    model, optimizer = build(recipe, pictures, torch.device("cpu"))
    rows = trained(
        model,
        pictures,
        optimizer,
        _observe,
        run,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        milestones=recipe.milestones,
        gamma=recipe.gamma,
        seed=setting["seed"],
    )
    return columns(rows)


def _observe(trainer, row, before):
    keys = ("lr", "train_loss", "train_error", "valid_error", "test_error")
    seen = {key: row[key] for key in keys} | {"movement": movement(trainer.model, before)}
    states = list(trainer.optimizer.state.values())
    if "exp_avg_sq" not in states[0]:
        return seen
    v = _all(states, "exp_avg_sq")
    if "max_exp_avg_sq" not in states[0]:
        return seen | histogram(v)
    v_hat = _all(states, "max_exp_avg_sq")
    ratio = v_hat[v > 0] / v[v > 0]
    above = torch.quantile(ratio, _SHARES, interpolation="nearest").tolist()
    return seen | histogram(v_hat) | {"above": above, "above_twice": (ratio > 2).double().mean().item()}


def _all(states, key):
    return torch.cat([state[key].flatten() for state in states]).double()


def histogram(v):
    """{"log10_v": coordinates a bin, "zeros": coordinates at 0} of a vector of second moments."""
    edges = (_HIGH - _LOW) * _PER_DECADE
    bins = ((v[v > 0].log10() - _LOW) * _PER_DECADE).floor().long().clamp(0, edges - 1)
    return {"log10_v": torch.bincount(bins, minlength=edges).tolist(), "zeros": int((v == 0).sum())}


MOMENTS = Study(
    name="moments",
    question="How are the second moments spread through a run, how often is v_hat above v, how far do weights move?",
    fixed={
        "recipes": [f"cifar10/vgg16/{name}" for name in _OPTIMIZERS],
        "profile": "small",
        "bins": {"lowest": _LOW, "highest": _HIGH, "per_decade": _PER_DECADE},
        "above": _SHARES.tolist(),
    },
    settings=tuple({"optimizer": name, "seed": 0} for name in _OPTIMIZERS),
    measure=measure,
    minutes=90,
)
