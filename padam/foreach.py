"""The rules in PyTorch over lists of tensors at once, by torch._foreach_*: few launches, same results.

rule(x, g, s, h) moves the tensors of x and of s (s.m, s.v, ... are lists beside x) in place. Names and order
are those of `rules.py`, written a second time on purpose: their agreement is what the tests rest on. h.lr,
h.eps, h.t, h.c1 and h.final_lr are lists, one number or 0-dim tensor per tensor of x, for a parameter that
was frozen for a while is at a step of its own. Weight decay is already in g.
"""

from functools import lru_cache

import torch

from padam.catalog import ROOTS


def _power(base, exponent):
    """base ** exponent, in place; see `loop._power`."""
    if exponent not in ROOTS:
        torch._foreach_pow_(base, exponent)
        return base
    for _ in range(ROOTS[exponent]):
        torch._foreach_sqrt_(base)
    return base


def _once(number, tensors):
    """The number as torch is quickest to take it: on the CPU a Python number is made a tensor for each of `tensors`."""
    quick = tensors[0].is_cpu and tensors[0].dtype in (torch.float32, torch.float64)
    return _scalar(number, tensors[0].dtype) if quick else number


_scalar = lru_cache(lambda number, dtype: torch.tensor(number, dtype=dtype, device="cpu"))


def _average(mean, new, beta):
    torch._foreach_lerp_(mean, new, 1 - beta)


def _average_square(mean, new, beta):
    torch._foreach_mul_(mean, _once(beta, mean))
    torch._foreach_addcmul_(mean, new, new, 1 - beta)


def _denominator(v, eps, exponent):
    denominator = torch._foreach_sqrt(v)
    same = not isinstance(eps[0], torch.Tensor) and eps.count(eps[0]) == len(eps)
    torch._foreach_add_(denominator, _once(eps[0], v) if same else eps)
    return _power(denominator, exponent)


def _descend(x, m, denominator, lr):
    """x -= lr * m / denominator: one pass if lr are numbers; denominator is used up if they are tensors."""
    if not isinstance(lr[0], torch.Tensor):
        torch._foreach_addcdiv_(x, m, denominator, [-one for one in lr])
        return
    step = torch._foreach_div(m, denominator)
    torch._foreach_mul_(step, lr)
    torch._foreach_sub_(x, step)


def amsgrad(x, g, s, h):
    _average(s.m, g, h.beta1)
    _average_square(s.v, g, h.beta2)
    torch._foreach_maximum_(s.v_hat, s.v)
    _descend(x, s.m, _denominator(s.v_hat, h.eps, 1.0), h.lr)


def padam(x, g, s, h):
    _average(s.m, g, h.beta1)
    _average_square(s.v, g, h.beta2)
    torch._foreach_maximum_(s.v_hat, s.v)
    _descend(x, s.m, _denominator(s.v_hat, h.eps, 2 * h.p), h.lr)


def partial_adagrad(x, g, s, h):
    torch._foreach_addcmul_(s.v, g, g, 1.0)
    _descend(x, g, _denominator(s.v, h.eps, 2 * h.p), h.lr)


def partial_rmsprop(x, g, s, h):
    _average_square(s.v, g, h.beta2)
    v = s.v
    if h.centered:
        _average(s.mean, g, h.beta2)
        v = torch._foreach_addcmul(v, s.mean, s.mean, -1.0)
    denominator = _denominator(v, h.eps, 2 * h.p)
    if not h.momentum:
        return _descend(x, g, denominator, h.lr)
    torch._foreach_mul_(s.buffer, h.momentum)
    torch._foreach_addcdiv_(s.buffer, g, denominator)
    torch._foreach_sub_(x, torch._foreach_mul(s.buffer, h.lr))


def partial_adadelta(x, g, s, h):
    _average_square(s.v, g, h.beta2)
    d = torch._foreach_add(s.u, h.eps)
    torch._foreach_div_(d, torch._foreach_add(s.v, h.eps))
    d = _power(d, h.p)
    torch._foreach_mul_(d, g)
    _average_square(s.u, d, h.beta2)
    torch._foreach_mul_(d, h.lr)
    torch._foreach_sub_(x, d)


def partial_adamax(x, g, s, h):
    _average(s.m, g, h.beta1)
    size = torch._foreach_abs(g)
    torch._foreach_add_(size, h.eps)
    torch._foreach_mul_(s.u, h.beta2)
    torch._foreach_maximum_(s.u, size)
    torch._foreach_copy_(size, s.u)
    rate = [lr / c1 for lr, c1 in zip(h.lr, h.c1, strict=True)]
    _descend(x, s.m, _power(size, 2 * h.p), rate)


def yogi(x, g, s, h):
    _average(s.m, g, h.beta1)
    square = torch._foreach_mul(g, g)
    excess = torch._foreach_sub(s.v, square)
    torch._foreach_addcmul_(s.v, torch._foreach_sign(excess), square, h.beta2 - 1)
    _descend(x, s.m, _denominator(s.v, h.eps, 1.0), h.lr)


def adabound(x, g, s, h):
    _average(s.m, g, h.beta1)
    _average_square(s.v, g, h.beta2)
    rate = _denominator(s.v, h.eps, 1.0)
    torch._foreach_reciprocal_(rate)
    torch._foreach_mul_(rate, h.lr)
    bounds = list(zip(h.final_lr, h.t, strict=True))
    torch._foreach_maximum_(rate, [final * (1 - 1 / (h.gamma * t + 1)) for final, t in bounds])
    torch._foreach_minimum_(rate, [final * (1 + 1 / (h.gamma * t)) for final, t in bounds])
    torch._foreach_mul_(rate, s.m)
    torch._foreach_sub_(x, rate)
