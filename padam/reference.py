"""The NumPy shell around a rule: correction, weight decay, state, and a run over gradients.

It is the slow, readable truth that the PyTorch forms are compared with, and it does no more than that:
no parameter groups, no devices, one array at a time.
"""

import math
from types import SimpleNamespace

import numpy as np

from padam import rules
from padam.catalog import CATALOG, DECAYS, check, warn_beyond_the_proof


def one_minus_power(beta, t):
    """`1 - beta**t` for 0 <= beta < 1 and t >= 1, without the cancellation that costs `1 - 0.999**t` its digits."""
    return 1.0 if beta == 0 else -math.expm1(t * math.log(beta))


def correct(correction, *, lr, eps, beta1, beta2, p, t):
    """(alpha_t, eps_t) of step t (from 1) under correction `none`, `folded` or `exact` (see `catalog.CORRECTIONS`)."""
    c1, c2 = one_minus_power(beta1, t), one_minus_power(beta2, t)
    if correction == "none":
        return lr, eps
    if correction == "folded":
        return lr * math.sqrt(c2) / c1, eps
    if correction == "exact":
        return lr * c2**p / c1, eps * math.sqrt(c2)
    raise ValueError(f"correction is {correction!r}; it is one of 'none', 'folded', 'exact'")


def settings(name, **hyper):
    """The complete hyperparameters of a catalog entry: its defaults, overridden by `hyper`.

    Raises ValueError for an entry, a hyperparameter, a correction or a decay that does not exist.
    """
    if name not in CATALOG:
        raise ValueError(f"no optimizer is called {name!r}; the catalog has {', '.join(CATALOG)}")
    entry = CATALOG[name]
    known = {"correction": entry.corrections[0], "weight_decay": 0.0, "decay": "l2", **entry.defaults}
    if unknown := sorted(set(hyper) - set(known)):
        raise ValueError(f"{name} has no {', '.join(unknown)}; it takes {', '.join(known)}")
    full = known | hyper
    if full["correction"] not in entry.corrections:
        raise ValueError(
            f"{name} cannot run with correction={full['correction']!r}; it takes {' or '.join(entry.corrections)}"
        )
    if full["decay"] not in DECAYS:
        raise ValueError(f"decay is {full['decay']!r}; it is one of {', '.join(map(repr, DECAYS))}")
    check(name, {k: v for k, v in full.items() if not callable(v)})
    warn_beyond_the_proof(name, full.get("p"))
    return full


def start(name, x, **hyper):
    """The state of optimizer `name` before its first step at x: one array per slot."""
    full, state = settings(name, **hyper), {}
    for slot, what in CATALOG[name].slots.items():
        value = full[what.start] if isinstance(what.start, str) else what.start
        state[slot] = value if what.shape == "scalar" else np.full_like(x, value)
    return SimpleNamespace(**state)


def iterate(name, x0, gradients, *, steps=None, project=None, lr=None, **hyper):
    """Run optimizer `name` and yield (x, state, h) after every step; `run` keeps the x alone.

    Arguments are those of `run`. h holds the settings of the step just taken: h.t, h.lr = alpha_t,
    h.eps = eps_t, and the hyperparameters by name.
    """
    if callable(gradients) and steps is None:
        raise ValueError("gradients is a function, so steps= must say how many steps to take")
    full = settings(name, **hyper, **({} if lr is None else {"lr": lr}))
    rate = full["lr"] if callable(full["lr"]) else lambda t: full["lr"]
    base = 0.0
    rule = getattr(rules, name)
    x = np.array(x0, dtype=np.result_type(np.asarray(x0).dtype, np.float32))
    state = start(name, x, **hyper)
    beta1, beta2 = full.get("beta1", 0.0), full.get("beta2", 0.0)
    for t in range(1, (len(gradients) if steps is None else steps) + 1):
        raw = rate(t)
        base = base or raw  # the first rate that is not 0
        alpha, eps = correct(
            full["correction"], lr=raw, eps=full.get("eps", 0.0), beta1=beta1, beta2=beta2, p=full.get("p", 0.5), t=t
        )
        h = SimpleNamespace(**(full | {"lr": alpha, "eps": eps}), t=t)
        h.c1, h.c2 = one_minus_power(beta1, t), one_minus_power(beta2, t)
        if "final_lr" in full:  # AdaBound's bounds follow the schedule, as in its own code
            h.final_lr = full["final_lr"] * raw / base if base else 0.0
        g = np.asarray(gradients(x, t) if callable(gradients) else gradients[t - 1], dtype=x.dtype)
        if full["decay"] == "l2":
            g = g + full["weight_decay"] * x
        else:
            x = x * (1 - raw * full["weight_decay"])
        step, state = rule(g, state, h)
        x = (x - step).astype(x.dtype)
        if project is not None:
            x = np.asarray(project(x), dtype=x.dtype)
        yield x, state, h


def run(name_or_rule, x0, gradients, *, steps=None, project=None, lr=None, **hyper):
    """The iterates of an optimizer, as an array of shape `(T, *x0.shape)`; row k is x after k + 1 steps.

    Args:
        name_or_rule: a name of the catalog ("padam", "sgdm", ...) or the function of `padam.rules`.
        x0: the starting point, any shape, float32 or float64 (kept); x0 itself is not among the rows.
        gradients: a sequence of T arrays shaped like x0, or a function of (x, t) with t from 1.
        steps: how many steps to take; required when `gradients` is a function, at most T otherwise.
        project: maps an iterate back into the feasible set after every step.
        lr: the base learning rate, a number or a function of t (from 1); default: the catalog's.
        hyper: the entry's own hyperparameters, and `correction`, `weight_decay`, `decay`.

    Raises ValueError for a name, hyperparameter, correction or decay the catalog does not have.
    """
    name = name_or_rule if isinstance(name_or_rule, str) else getattr(name_or_rule, "__name__", repr(name_or_rule))
    path = [x for x, _, _ in iterate(name, x0, gradients, steps=steps, project=project, lr=lr, **hyper)]
    return np.stack(path) if path else np.empty((0, *np.shape(x0)))


def effective_rate(name, state, h):
    """alpha_t / (sqrt(v) + eps_t)^(2p) per coordinate: what multiplies m (or g), by the paper's definition.

    `state` and `h` as `iterate` yields them. The rules are linear in what they multiply, except where v holds
    the gradient itself, so the rate is read from the columns: p (0 for SGD-momentum) and the last of v, v_hat.
    Raises ValueError for the entries that depart from the one equation.
    """
    if CATALOG[name].departure:
        raise ValueError(f"{name} has no such rate, for it departs from the one equation: {CATALOG[name].departure}")
    v = getattr(state, "v_hat", getattr(state, "v", None))
    if v is None:
        return np.full_like(state.m, h.lr)
    return h.lr / (np.sqrt(v) + h.eps) ** (2 * getattr(h, "p", 0.5))
