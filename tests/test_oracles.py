"""NumPy against independent libraries, by the catalog's own statement of the settings and the tolerance.

torch, optax and adabound are requirements of the tests: where one is missing the test fails, it is not skipped.
"""

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from padam import reference
from padam.catalog import CATALOG

STEPS, SHAPE = 60, (3, 4)
CASES = [
    pytest.param(entry, oracle, id=f"{entry.name}-{oracle.call.replace(' ', '_')}")
    for entry in CATALOG.values()
    for oracle in entry.oracles
]


def _arguments(oracle, hyper):
    """The oracle's keyword arguments: a string names one of our hyperparameters, anything else is itself."""

    def value(name):
        return tuple(map(value, name)) if isinstance(name, tuple) else hyper[name] if isinstance(name, str) else name

    return {key: value(name) for key, name in oracle.settings.items()}


def _by_torch(oracle, arguments, x0, gradients):
    module, _, cls = oracle.call.rpartition(".")
    x = torch.nn.Parameter(torch.tensor(x0))
    optimizer = getattr(importlib.import_module(module), cls)([x], **arguments)
    path = []
    for g in gradients:
        x.grad = torch.tensor(g)
        optimizer.step()
        path.append(x.detach().numpy().copy())
    return np.stack(path)


def _by_optax(oracle, arguments, x0, gradients, lr):
    import jax
    import optax

    transform = getattr(optax, oracle.call.rpartition(".")[2])(**arguments)
    if oracle.call == "optax.ema":  # an average alone; the step is ours to take
        transform = optax.chain(transform, optax.scale(-lr))
    x = jax.numpy.asarray(x0)
    assert x.dtype == np.float64
    state = transform.init(x)
    if oracle.start:
        first, *rest = state
        state = (first._replace(**{k: jax.numpy.full_like(x, v) for k, v in oracle.start.items()}), *rest)
    update, path = jax.jit(transform.update), []
    for g in gradients:
        moved, state = update(g, state, x)
        x = optax.apply_updates(x, moved)
        path.append(np.asarray(x))
    return np.stack(path)


def _by_plain_floats(name, x0, gradients, h):
    """The partially adaptive family, number by number, from the classes' docstrings and torch's conventions."""
    path = np.empty_like(gradients)
    for where in np.ndindex(x0.shape):
        x, m, v, u = float(x0[where]), 0.0, 0.0, 0.0
        for t, g in enumerate((float(row[where]) for row in gradients), start=1):
            if name == "partial_adagrad":
                v += g * g
                x -= h["lr"] * g / math.pow(math.sqrt(v) + h["eps"], 2 * h["p"])
            elif name == "partial_rmsprop":
                v = h["beta2"] * v + (1 - h["beta2"]) * g * g
                x -= h["lr"] * g / math.pow(math.sqrt(v) + h["eps"], 2 * h["p"])
            elif name == "partial_adadelta":
                v = h["beta2"] * v + (1 - h["beta2"]) * g * g
                d = math.exp(h["p"] * (math.log(u + h["eps"]) - math.log(v + h["eps"]))) * g
                u = h["beta2"] * u + (1 - h["beta2"]) * d * d
                x -= h["lr"] * d
            elif name == "partial_adamax":
                m = h["beta1"] * m + (1 - h["beta1"]) * g
                u = h["beta2"] * u if h["beta2"] * u > abs(g) + h["eps"] else abs(g) + h["eps"]
                x -= h["lr"] / (1 - math.pow(h["beta1"], t)) * m / math.pow(u, 2 * h["p"])
            path[(t - 1, *where)] = x
    return path


def _check(ours, theirs, x0, oracle):
    """Relative to the distance each run travels, so that a slow optimizer is not forgiven."""
    assert np.isfinite(ours).all()
    distance = np.abs(theirs - x0).max()
    assert distance > 0
    assert np.abs(ours - theirs).max() / distance <= oracle.rtol, oracle.why


@pytest.mark.parametrize(("entry", "oracle"), [c for c in CASES if c.values[1].call not in ("authors' code",)])
def test_numpy_agrees_with_an_independent_library(entry, oracle, gradients):
    zeros = 0.0 if oracle.run.get("eps") == 0.0 else 0.6
    g = gradients(STEPS, SHAPE, zeros=zeros)
    x0 = np.random.default_rng(1).normal(size=SHAPE)
    decays = [0.0, 0.01] if "weight_decay" in oracle.settings else [entry.defaults.get("weight_decay", 0.0)]
    exponents = [0.5] if oracle.run.get("p") == 0.5 else [0.0, 1 / 8, 0.3, 0.5]
    for decay in decays:
        for p in exponents if "p" in entry.defaults else [None]:
            run = {**oracle.run, "weight_decay": decay, **({} if p is None else {"p": p})}
            hyper = reference.settings(entry.name, **run)
            arguments = _arguments(oracle, hyper)
            if oracle.call.startswith("optax."):
                theirs = _by_optax(oracle, arguments, x0, g, hyper["lr"])
            elif oracle.call == "plain Python floats":
                theirs = _by_plain_floats(entry.name, x0, g, hyper)
            else:
                theirs = _by_torch(oracle, arguments, x0, g)
            _check(reference.run(entry.name, x0, g, **run), theirs, x0, oracle)


AUTHORS = json.loads(Path(__file__).with_name("data").joinpath("authors_padam.json").read_text())


@pytest.mark.parametrize("case", AUTHORS["cases"], ids=lambda c: f"p={c['p']}-wd={c['weight_decay']}")
def test_padam_agrees_with_numbers_the_authors_code_produced(case):
    x0 = np.array(AUTHORS["x0"])
    g = np.array(
        [
            [0.0 if (t + i) % 3 == 0 else round(math.sin(1.3 * t + i) * 10.0**-i, 12) for i in range(5)]
            for t in range(1, 61)
        ]
    )
    path = reference.run("padam", x0, g, p=case["p"], weight_decay=case["weight_decay"], correction="folded")
    for t, theirs in case["x"].items():
        np.testing.assert_allclose(path[int(t) - 1], theirs, rtol=1e-12, atol=1e-16)


def test_every_entry_has_an_oracle_that_says_why_its_tolerance():
    for entry in CATALOG.values():
        assert entry.oracles, entry.name
        for oracle in entry.oracles:
            assert oracle.why
            assert 0 < oracle.rtol <= 1e-5
