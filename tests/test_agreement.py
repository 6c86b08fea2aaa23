"""NumPy = PyTorch loop = PyTorch foreach: parameters and state, every step, for all eight classes."""

import itertools

import numpy as np
import pytest
import torch

from padam import optim, reference
from padam.catalog import CATALOG, CORRECTIONS, torch_options

OURS = [entry.name for entry in CATALOG.values() if entry.torch_class.startswith("padam.")]
STEPS, SHAPES = 30, [(), (1,), (7,), (3, 4), (2, 3, 2), (0, 3)]
EXPONENTS = (0.0, 1 / 16, 1 / 8, 0.3, 1 / 2)


def _cases():
    for name in OURS:
        entry = CATALOG[name]
        exponents = EXPONENTS if "p" in entry.defaults else (None,)
        for correction, decay, p in itertools.product(entry.corrections, ("none", "l2", "decoupled"), exponents):
            marks = () if p in (None, 1 / 8) else pytest.mark.slow
            yield pytest.param(name, correction, decay, p, id=f"{name}-{correction}-{decay}-p={p}", marks=marks)


def _settings(name, correction, decay, p):
    chosen = {} if decay == "none" else {"decay": decay, "weight_decay": 0.05}
    if len(CATALOG[name].corrections) > 1:
        chosen["correction"] = correction
    return chosen | ({} if p is None else {"p": p})


def _close(got, path, t, name):
    """Row t of a path. Rounding errors are units in the last place of the largest number met up to there."""
    rtol = 1e-12 if path.dtype == np.float64 else 2e-5
    atol = rtol * np.abs(path[: t + 1]).max(initial=0.0) + 1e-30
    np.testing.assert_allclose(np.asarray(got), path[t], rtol=rtol, atol=atol, err_msg=f"{name}, step {t + 1}")


def _numpy(name, x0, g, settings):
    """What the reference goes through: "x" and every slot -> path (STEPS, *shape)."""
    rows = [{"x": x, **vars(state)} for x, state, _ in reference.iterate(name, x0, g, **settings)]
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


@pytest.mark.parametrize(
    "dtype", [pytest.param(np.float64, id="float64"), pytest.param(np.float32, id="float32", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("name", "correction", "decay", "p"), list(_cases()))
def test_numpy_loop_and_foreach_agree(name, correction, decay, p, dtype, gradients):
    settings = _settings(name, correction, decay, p)
    x0s = [np.asarray(np.random.default_rng(i).normal(size=shape), dtype) for i, shape in enumerate(SHAPES)]
    gs = [gradients(STEPS, shape, seed=i, dtype=dtype) for i, shape in enumerate(SHAPES)]
    expected = [_numpy(name, x0, g, settings) for x0, g in zip(x0s, gs, strict=True)]
    for foreach in (False, True):
        x = [torch.nn.Parameter(torch.tensor(x0)) for x0 in x0s]
        optimizer = optim.build(name, x, foreach=foreach, **torch_options(name, settings))
        for t in range(STEPS):
            for tensor, g in zip(x, gs, strict=True):
                tensor.grad = torch.tensor(g[t])
            optimizer.step()
            for tensor, paths in zip(x, expected, strict=True):
                _close(tensor.detach(), paths["x"], t, f"x, foreach={foreach}")
                for slot, what in CATALOG[name].slots.items():
                    _close(optimizer.state[tensor][what.torch_key], paths[slot], t, f"{slot}, foreach={foreach}")
                assert optimizer.state[tensor]["step"] == t + 1


RMSPROP = [{"momentum": m, "centered": c, "eps": 1e-4} for m in (0.0, 0.9) for c in (False, True)]


@pytest.mark.parametrize("foreach", [False, True], ids=["loop", "foreach"])
@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [(optim.PartialAdagrad, torch.optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.3})]
    + [(optim.PartialRMSprop, torch.optim.RMSprop, options) for options in RMSPROP],
)
def test_options_that_only_torchs_classes_have_do_what_they_do_there(ours, theirs, options, foreach, gradients):
    one, other = (torch.nn.Parameter(torch.ones(5, dtype=torch.float64)) for _ in range(2))
    a, b = ours([one], foreach=foreach, **options), theirs([other], **options)
    for row in torch.tensor(gradients(40, (5,), zeros=0.2)):
        one.grad, other.grad = row.clone(), row.clone()
        a.step()
        b.step()
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("p", "roots", "power"), [(1 / 2, 1, 0), (1 / 4, 2, 0), (1 / 8, 3, 0), (0.3, 1, 1)])
@pytest.mark.parametrize("foreach", [False, True], ids=["loop", "foreach"])
def test_padam_takes_square_roots_where_they_do(p, roots, power, foreach):
    x = torch.nn.Parameter(torch.ones(3))
    x.grad = torch.ones(3)
    optimizer = optim.Padam([x], p=p, foreach=foreach)
    with torch.profiler.profile() as profile:
        optimizer.step()
    count = {event.key: event.count for event in profile.key_averages()}
    assert sum(count.get(f"aten::{name}", 0) for name in ("sqrt", "sqrt_")) == roots
    assert sum(count.get(f"aten::{name}", 0) for name in ("pow", "pow_")) == power


def test_every_correction_is_tried():
    assert {c for name in OURS for c in CATALOG[name].corrections} == set(CORRECTIONS)
