"""The mathematics on the page: every formula of the catalog is evaluated against the code, every page quotes it."""

import re

import numpy as np
import pytest
from latex import Formula

from padam import reference
from padam.catalog import CATALOG, CORRECTIONS, DECAYS

STEPS, SIZE = 12, 4
ENTRIES = pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)


def _random_settings(entry, rng):
    """Every hyperparameter drawn at random, eps large enough to be seen."""
    draw = {
        "lr": lambda: rng.uniform(0.05, 0.5),
        "eps": lambda: rng.uniform(0.05, 0.3),
        "beta1": lambda: rng.uniform(0.3, 0.9),
        "beta2": lambda: rng.uniform(0.5, 0.95),
        "momentum": lambda: rng.uniform(0.3, 0.9),
        "momentum_decay": lambda: rng.uniform(0.1, 1.0),
        "p": lambda: rng.uniform(0.05, 0.45),
        "final_lr": lambda: rng.uniform(0.1, 0.4),
        "gamma": lambda: rng.uniform(0.2, 1.0),
        "initial_accumulator": lambda: rng.uniform(0.01, 0.1),
        "weight_decay": lambda: rng.uniform(0.1, 0.5),
    }
    chosen = {key: draw[key]() for key in draw if key in entry.defaults}
    chosen.setdefault("weight_decay", draw["weight_decay"]())
    return chosen


def _by_formula(entry, latex, x0, gradients, hyper):
    """The iterates that the LaTeX lines produce: decay, correction and rule, each from its formula."""
    constants = {
        r"\alpha": hyper["lr"],
        r"\epsilon": hyper.get("eps"),
        r"\beta_1": hyper.get("beta1"),
        r"\beta_2": hyper.get("beta2"),
        r"\mu": hyper.get("momentum"),
        r"\lambda": hyper["weight_decay"],
        r"\gamma": hyper.get("gamma"),
        r"\psi": hyper.get("momentum_decay"),
        "p": hyper.get("p", 0.5),
    }
    series = {
        "x": {1: x0},
        "g": {},
        "\\nabla f": {},
        r"\eta": dict.fromkeys(range(1, STEPS + 2), hyper.get("final_lr")),
    }
    for slot in entry.slots.values():
        start = hyper[slot.start] if isinstance(slot.start, str) and slot.start in hyper else 0.0
        series[re.sub(r"\\hat\{v\}", r"\\hat v", slot.latex)] = {0: np.full(SIZE, start)}
    correction = [Formula(line) for line in CORRECTIONS[hyper["correction"]].latex]
    decay, rule = Formula(DECAYS["l2"][0]), [Formula(line) for line in latex]
    for t, g in enumerate(gradients, start=1):
        series["\\nabla f"][t] = series["g"][t] = g
        if hyper["decay"] == "l2":
            decay.define(series, constants, t)
        if constants[r"\beta_1"] is not None and constants[r"\beta_2"] is not None:
            constants["c_1"], constants["c_2"] = 1 - constants[r"\beta_1"] ** t, 1 - constants[r"\beta_2"] ** t
        for formula in correction if hyper.get("eps") is not None else correction[:1]:
            formula.define(series, constants, t)
        for formula in rule:
            formula.define(series, constants, t)
    return np.stack([series["x"][t] for t in range(2, STEPS + 2)])


def _inputs(entry, seed, correction):
    rng = np.random.default_rng(seed)
    settings = _random_settings(entry, rng) | ({"correction": correction} if len(entry.corrections) > 1 else {})
    return rng.normal(size=SIZE), rng.normal(size=(STEPS, SIZE)), settings


@np.errstate(all="ignore")
def _error(entry, latex, seed, correction):
    x0, gradients, settings = _inputs(entry, seed, correction)
    typeset = _by_formula(entry, latex, x0, gradients, reference.settings(entry.name, **settings))
    return np.abs(typeset - reference.run(entry.name, x0, gradients, **settings)).max()


@pytest.mark.parametrize("seed", range(3))
@ENTRIES
def test_the_formula_of_an_entry_is_its_rule(entry, seed):
    for correction in entry.corrections:
        assert _error(entry, entry.latex, seed, correction) < 1e-10


def _misprints(line):
    """A formula with one thing wrong in it: sign, exponent, hat, index, or two symbols swapped."""
    swaps = [
        (" - ", " + "), (" + ", " - "), ("^2", "^3"), ("2p", "p"), (r"\hat{v}_t", "v_t"), (r"\beta_1", r"\beta_2"),
        (r"\beta_2", r"\beta_1"), ("_{t-1}", "_t"), (r"\max", r"\min"), (r"\min", r"\max"), (r"\sqrt", " "),
        ("g_t", "m_t"), ("m_t", "g_t"), ("u_{t-1}", "v_t"), ("^t", "^2"), ("x_t", "g_t"), (r"\tilde{x}_t", "x_t"),
        ("l_t), u_t", "u_t), l_t"), ("^p", "^2"), (r"\sum", r"\prod"),
    ]  # fmt: skip
    left, _, right = line.partition(" = ")
    for old, new in swaps:
        for at in [match.start() for match in re.finditer(re.escape(old), right)]:
            yield f"{left} = {right[:at]}{new}{right[at + len(old) :]}"


@ENTRIES
def test_a_misprint_in_any_line_is_noticed(entry):
    tried = 0
    for index, line in enumerate(entry.latex):
        for wrong in _misprints(line):
            latex = (*entry.latex[:index], wrong, *entry.latex[index + 1 :])
            try:
                error = min(_error(entry, latex, 0, c) for c in entry.corrections)
            except (SyntaxError, KeyError, TypeError, ValueError, ZeroDivisionError):
                error = np.inf
            assert not error < 1e-6, wrong
            tried += 1
    assert tried >= 3
