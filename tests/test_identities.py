"""What the chapters claim of the family, as properties."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from padam import AMSGrad, Padam, problems, reference

STEPS = 50
rates = st.floats(1e-4, 1.0)
betas1 = st.floats(0.0, 0.99)
betas2 = st.floats(0.5, 0.9999)
seeds = st.integers(0, 2**31)


def _gradients(seed, steps=STEPS, size=4):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(steps, size)) * 10.0 ** rng.uniform(-4, 1, size=size)
    g[1:][rng.random((steps - 1, size)) < 0.4] = 0.0
    return g


def _near(a, b, rtol=1e-11):
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@given(seeds, rates, betas1)
def test_padam_at_0_is_sgd_momentum_at_a_tenth_of_the_rate(seed, lr, beta1):
    """Footnote 3: at p = 0 and correction none, lr in Padam is lr (1 - beta1) in torch's SGD."""
    g = _gradients(seed)
    ours = reference.run("padam", np.zeros(4), g, p=0.0, correction="none", lr=lr, beta1=beta1)
    _near(ours, reference.run("sgdm", np.zeros(4), g, lr=lr * (1 - beta1), momentum=beta1))
    _near(ours, reference.run("sgdm_ema", np.zeros(4), g, lr=lr, beta1=beta1))


def test_padam_at_0_is_torchs_own_sgd():
    g = torch.tensor(_gradients(0))
    ours, theirs = (torch.nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(2))
    a = Padam([ours], lr=0.3, p=0.0, weight_decay=0.01)
    b = torch.optim.SGD([theirs], lr=0.3 * (1 - 0.9), momentum=0.9, weight_decay=0.01)
    for row in g:
        ours.grad, theirs.grad = row.clone(), row.clone()
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)


def test_the_folded_correction_is_no_sgd_at_0():
    """The released code's factor stays at p = 0; the paper's Algorithm 1 has none."""
    g = _gradients(0)
    folded = reference.run("padam", np.zeros(4), g, p=0.0, correction="folded")
    sgd = reference.run("padam", np.zeros(4), g, p=0.0, correction="none")
    assert np.abs(folded[0]).max() == pytest.approx(np.abs(sgd[0]).max() * 0.001**0.5 / 0.1, rel=1e-9)


@given(seeds, rates, betas1, betas2)
def test_padam_at_one_half_is_amsgrad(seed, lr, beta1, beta2):
    g, settings = _gradients(seed), {"lr": lr, "beta1": beta1, "beta2": beta2}
    for correction in ("none", "folded", "exact"):
        ours = reference.run("padam", np.zeros(4), g, p=0.5, correction=correction, **settings)
        _near(ours, reference.run("amsgrad", np.zeros(4), g, correction=correction, **settings), 1e-13)


@pytest.mark.parametrize(
    "cls",
    [lambda x: Padam(x, p=0.5, lr=1e-3, correction="exact"), lambda x: AMSGrad(x, correction="exact")],
    ids=["Padam", "AMSGrad"],
)
def test_exact_at_one_half_is_torchs_adam_with_amsgrad(cls):
    g = torch.tensor(_gradients(3))
    ours, theirs = (torch.nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(2))
    a, b = cls([ours]), torch.optim.Adam([theirs], lr=1e-3, amsgrad=True)
    for row in g:
        ours.grad, theirs.grad = row.clone(), row.clone()
        a.step()
        b.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@given(st.floats(0.0, 0.5), betas2, st.integers(1, 100_000))
def test_folded_over_exact_is_a_hidden_warm_up(p, beta2, t):
    settings = {"lr": 0.1, "eps": 0.0, "beta1": 0.9, "beta2": beta2, "p": p, "t": t}
    folded, exact = (reference.correct(c, **settings)[0] for c in ("folded", "exact"))
    assert folded / exact == pytest.approx((1 - beta2**t) ** (0.5 - p), rel=1e-6)


@pytest.mark.parametrize(("t", "ratio"), [(1, 0.075), (10, 0.18), (100, 0.41), (391, 0.66), (1000, 0.84)])
def test_the_warm_up_at_the_papers_settings(t, ratio):
    settings = {"lr": 0.1, "eps": 0.0, "beta1": 0.9, "beta2": 0.999, "p": 1 / 8, "t": t}
    folded, exact = (reference.correct(c, **settings)[0] for c in ("folded", "exact"))
    assert folded / exact == pytest.approx(ratio, rel=0.02)


@given(seeds, st.floats(1e-3, 1e3), st.floats(0.0, 0.5))
def test_scaling_the_gradients_scales_the_steps_by_one_minus_2p(seed, factor, p):
    """p = 1/2 does not see the scale of the gradient, p = 0 takes it whole (eps = 0)."""
    g = _gradients(seed)
    g[0] = np.where(g[0] == 0, 1.0, g[0])
    plain = reference.run("padam", np.zeros(4), g, p=p, eps=0.0)
    scaled = reference.run("padam", np.zeros(4), factor * g, p=p, eps=0.0)
    _near(scaled, factor ** (1 - 2 * p) * plain, 1e-9)


@given(seeds)
def test_v_hat_never_falls_and_bounds_v(seed):
    last = 0.0
    for _, state, _ in reference.iterate("padam", np.zeros(4), _gradients(seed)):
        assert (state.v_hat >= last).all()
        assert (state.v_hat >= state.v).all()
        last = state.v_hat


def test_algorithm_1_without_eps_is_0_over_0_where_a_gradient_is_always_0():
    with np.errstate(invalid="ignore"):
        path = reference.run("padam", np.zeros(2), np.array([[1.0, 0.0]] * 3), eps=0.0)
    assert np.isfinite(path[:, 0]).all()
    assert np.isnan(path[:, 1]).all()
    assert (reference.run("padam", np.zeros(2), np.array([[1.0, 0.0]] * 3))[:, 1] == 0).all()


def test_the_floor_of_the_denominator_is_eps_to_the_2p():
    """0.01 at p = 1/8 and eps = 1e-8: a coordinate with a vanishing gradient moves by at most 100 lr m."""
    g = np.full((1, 1), 1e-30)
    moved = -reference.run("padam", np.zeros(1), g, lr=1.0, p=1 / 8, beta1=0.0)[0, 0]
    assert moved == pytest.approx(1e-30 / 1e-8 ** (2 / 8), rel=1e-6)


@given(seeds, rates)
def test_the_two_adagrads_are_one_at_one_half(seed, lr):
    """Footnote 1 of the paper, with eps = 0."""
    g = _gradients(seed)
    g[0] = np.where(g[0] == 0, 1.0, g[0])
    mean = reference.run("adagrad_mean", np.zeros(4), g, lr=lr, eps=0.0)
    _near(mean, reference.run("adagrad", np.zeros(4), g, lr=lr, eps=0.0))


def test_the_partial_family_is_classical_at_one_half():
    g = _gradients(5)
    for name in ("adagrad", "rmsprop", "adadelta", "adamax"):
        _near(reference.run(f"partial_{name}", np.zeros(4), g, p=0.5), reference.run(name, np.zeros(4), g), 1e-13)


def test_adam_without_momentum_is_rmsprop():
    """Section 2: with beta1 = 0, and the correction left out."""
    g = _gradients(6)
    adam = reference.run("adam", np.zeros(4), g, beta1=0.0, beta2=0.99, correction="none", lr=0.01)
    _near(adam, reference.run("rmsprop", np.zeros(4), g, beta2=0.99, lr=0.01))


def test_quadratics_have_the_gradient_they_say():
    for angle in (0.0, 0.3, np.pi / 4):
        problem = problems.quadratic((2.0, 30.0), angle=angle)
        x, h = np.array([0.3, -0.7]), 1e-6
        numeric = [(problem.f(x + h * e) - problem.f(x - h * e)) / (2 * h) for e in np.eye(2)]
        np.testing.assert_allclose(problem.gradient(x), numeric, rtol=1e-6)
        assert problem.f(problem.minimum) == 0
        assert problem.f(np.stack([x, x])).shape == (2,)
        hessian = np.stack([problem.gradient(e) for e in np.eye(2)])
        np.testing.assert_allclose(np.linalg.eigvalsh(hessian), [2, 30])
