"""The NumPy shell: correction, decay, runs, and what it refuses."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from padam import reference, rules
from padam.catalog import CATALOG


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 1 - 1e-9])
@pytest.mark.parametrize("t", [1, 2, 10, 1000])
def test_one_minus_power_is_right_to_the_last_digits(beta, t):
    getcontext().prec = 60
    exact = float(1 - Decimal(beta) ** t)
    assert reference.one_minus_power(beta, t) == pytest.approx(exact, rel=4e-16 / -math.log(beta) * 1e-2 + 4e-16)


def test_float32_would_lose_the_first_correction():
    naive = np.float32(1) - np.float32(0.999)
    assert abs(naive / np.float64(0.001) - 1) > 1e-5
    assert reference.one_minus_power(0.999, 1) == pytest.approx(0.001, rel=1e-13)


@pytest.mark.parametrize(
    ("correction", "alpha", "eps"),
    [
        ("none", 0.3, 1e-3),
        ("folded", 0.3 * math.sqrt(1 - 0.99**7) / (1 - 0.9**7), 1e-3),
        ("exact", 0.3 * (1 - 0.99**7) ** 0.2 / (1 - 0.9**7), 1e-3 * math.sqrt(1 - 0.99**7)),
    ],
)
def test_corrections_are_the_table_of_the_book(correction, alpha, eps):
    got = reference.correct(correction, lr=0.3, eps=1e-3, beta1=0.9, beta2=0.99, p=0.2, t=7)
    assert got == pytest.approx((alpha, eps), rel=1e-13)


def test_rows_are_the_iterates_after_each_step(gradients):
    g = gradients(5, (2, 3))
    x0 = np.ones((2, 3))
    path = reference.run("sgdm", x0, g, lr=0.5, momentum=0.0)
    assert path.shape == (5, 2, 3)
    np.testing.assert_allclose(path, x0 - 0.5 * np.cumsum(g, axis=0), rtol=1e-14)
    assert (x0 == 1).all()


def test_a_rule_may_be_given_as_the_function_itself(gradients):
    g = gradients(4, (3,))
    assert (reference.run(rules.padam, np.ones(3), g) == reference.run("padam", np.ones(3), g)).all()


def test_gradients_may_be_a_function_of_the_iterate_and_the_step():
    seen = []

    def gradient(x, t):
        seen.append(t)
        return x

    path = reference.run("sgdm", [1.0, 2.0], gradient, steps=3, lr=0.5, momentum=0.0)
    assert seen == [1, 2, 3]
    np.testing.assert_allclose(path[:, 0], [0.5, 0.25, 0.125])


def test_the_rate_may_be_a_function_of_the_step():
    path = reference.run("sgdm", [0.0], np.ones((3, 1)), lr=lambda t: 1 / t, momentum=0.0)
    np.testing.assert_allclose(path[:, 0], [-1, -1.5, -1.5 - 1 / 3])


def test_project_maps_every_iterate_back():
    path = reference.run("sgdm", [0.0], np.ones((5, 1)), lr=0.4, momentum=0.0, project=lambda x: np.clip(x, -1, 1))
    np.testing.assert_allclose(path[:, 0], [-0.4, -0.8, -1, -1, -1])


def test_decay_is_in_the_gradient_or_beside_it():
    none = np.zeros((1, 1))
    l2 = reference.run("sgdm", [2.0], none, lr=0.1, weight_decay=0.3)
    apart = reference.run("adam", [2.0], none, lr=0.1, weight_decay=0.3, decay="decoupled")
    joined = reference.run("adam", [2.0], none, lr=0.1, weight_decay=0.3, decay="l2")
    np.testing.assert_allclose([l2, apart], 2 * (1 - 0.1 * 0.3))
    np.testing.assert_allclose(joined, 2 - 0.1, rtol=1e-7)  # Adam's first step is lr, whatever the gradient


def test_adabounds_bounds_follow_the_schedule():
    g = np.ones((50, 1))
    settings = {"lr": lambda t: 1.0 if t <= 40 else 0.1, "gamma": 1e6, "final_lr": 0.5}
    moves = -np.diff(reference.run("adabound", [0.0], g, **settings)[:, 0])
    assert moves[30] == pytest.approx(0.5 * (1 - 0.9**32), rel=1e-3)
    assert moves[-1] == pytest.approx(0.05 * (1 - 0.9**50), rel=1e-3)


def test_a_rate_of_zero_moves_nothing():
    g = np.ones((3, 2))
    for name in CATALOG:
        assert (reference.run(name, np.ones(2), g, lr=0.0) == 1).all(), name


def test_float32_stays_float32_and_integers_become_float():
    assert reference.run("padam", np.zeros(2, np.float32), np.ones((2, 2))).dtype == np.float32
    assert reference.run("padam", [1, 2], np.ones((2, 2))).dtype == np.float64


def test_effective_rates_are_what_multiplies_m(gradients):
    g = gradients(20, (6,), zeros=0.0)
    for name in ("padam", "amsgrad", "adam", "yogi", "sgdm_ema", "rmsprop", "partial_adagrad"):
        x = np.zeros(6)
        for new, state, h in reference.iterate(name, x, g):
            moved, x = x - new, new
            m = getattr(state, "m", g[h.t - 1])
            np.testing.assert_allclose(reference.effective_rate(name, state, h) * m, moved, rtol=1e-9, atol=1e-18)
    *_, (_, state, h) = reference.iterate("adamax", np.zeros(6), g)
    with pytest.raises(ValueError, match="adamax has no such rate"):
        reference.effective_rate("adamax", state, h)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: reference.run("adamm", [0.0], [[1.0]]), "no optimizer is called 'adamm'.*padam"),
        (lambda: reference.run("padam", [0.0], lambda x, t: x), "steps= must say"),
        (lambda: reference.run("padam", [0.0], [[1.0]], p=1.2), r"p = 1.2 is outside \[0, 1\].*Amsgrad"),
        (lambda: reference.run("padam", [0.0], [[1.0]], lr=-1), r"lr = -1 is outside \[0, ∞\)"),
        (lambda: reference.run("padam", [0.0], [[1.0]], lr=float("nan")), "lr = nan is outside"),
        (lambda: reference.run("padam", [0.0], [[1.0]], beta1=1.0), r"beta1 = 1 is outside \[0, 1\)"),
        (lambda: reference.run("adabound", [0.0], [[1.0]], gamma=0), r"gamma = 0 is outside \(0, ∞\)"),
        (lambda: reference.run("padam", [0.0], [[1.0]], momentum=0.9), "padam has no momentum; it takes .*beta1"),
        (lambda: reference.run("padam", [0.0], [[1.0]], correction="half"), "it takes none or folded or exact"),
        (lambda: reference.run("adagrad", [0.0], [[1.0]], correction="exact"), "adagrad cannot run with"),
        (lambda: reference.run("padam", [0.0], [[1.0]], decay="L2"), "decay is 'L2'; it is one of 'l2'"),
        (lambda: reference.correct("half", lr=1, eps=1, beta1=0, beta2=0, p=0, t=1), "it is one of 'none'"),
    ],
)
def test_bad_input_says_what_is_wrong_and_what_would_be_right(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_setting_that_is_no_number_is_a_type_error():
    with pytest.raises(TypeError, match="lr is 'fast', but must be a number"):
        reference.run("padam", [0.0], [[1.0]], lr="fast")
