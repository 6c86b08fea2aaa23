"""The rules in PyTorch, one tensor at a time: the truth that every faster form is compared with.

rule(x, g, s, h) moves x and the tensors of s in place. Names, order and symbols are those of `rules.py`;
h.lr and h.eps are alpha_t and eps_t, numbers or 0-dim tensors, and weight decay is already in g.
"""

import torch

from padam.catalog import ROOTS


def _power(base, exponent):
    """base ** exponent, in place; by square roots where they do, for pow is several times slower."""
    if exponent not in ROOTS:
        return base.pow_(exponent)
    for _ in range(ROOTS[exponent]):
        base.sqrt_()
    return base


def amsgrad(x, g, s, h):
    s.m.mul_(h.beta1).add_(g, alpha=1 - h.beta1)
    s.v.mul_(h.beta2).addcmul_(g, g, value=1 - h.beta2)
    torch.maximum(s.v_hat, s.v, out=s.v_hat)
    x.sub_(s.m / (s.v_hat.sqrt() + h.eps) * h.lr)


def padam(x, g, s, h):
    s.m.mul_(h.beta1).add_(g, alpha=1 - h.beta1)
    s.v.mul_(h.beta2).addcmul_(g, g, value=1 - h.beta2)
    torch.maximum(s.v_hat, s.v, out=s.v_hat)
    x.sub_(s.m / _power(s.v_hat.sqrt() + h.eps, 2 * h.p) * h.lr)


def partial_adagrad(x, g, s, h):
    s.v.addcmul_(g, g)
    x.sub_(g / _power(s.v.sqrt() + h.eps, 2 * h.p) * h.lr)


def partial_rmsprop(x, g, s, h):
    s.v.mul_(h.beta2).addcmul_(g, g, value=1 - h.beta2)
    v = s.v
    if h.centered:
        s.mean.mul_(h.beta2).add_(g, alpha=1 - h.beta2)
        v = v - s.mean**2
    d = g / _power(v.sqrt() + h.eps, 2 * h.p)
    if h.momentum:
        d = s.buffer.mul_(h.momentum).add_(d)
    x.sub_(d * h.lr)


def partial_adadelta(x, g, s, h):
    s.v.mul_(h.beta2).addcmul_(g, g, value=1 - h.beta2)
    d = _power((s.u + h.eps) / (s.v + h.eps), h.p) * g
    s.u.mul_(h.beta2).addcmul_(d, d, value=1 - h.beta2)
    x.sub_(d * h.lr)


def partial_adamax(x, g, s, h):
    s.m.mul_(h.beta1).add_(g, alpha=1 - h.beta1)
    torch.maximum(s.u * h.beta2, g.abs() + h.eps, out=s.u)
    x.sub_(s.m / _power(s.u.clone(), 2 * h.p) * (h.lr / h.c1))


def yogi(x, g, s, h):
    s.m.mul_(h.beta1).add_(g, alpha=1 - h.beta1)
    s.v.sub_((s.v - g**2).sign() * g**2 * (1 - h.beta2))
    x.sub_(s.m / (s.v.sqrt() + h.eps) * h.lr)


def adabound(x, g, s, h):
    s.m.mul_(h.beta1).add_(g, alpha=1 - h.beta1)
    s.v.mul_(h.beta2).addcmul_(g, g, value=1 - h.beta2)
    rate = h.lr / (s.v.sqrt() + h.eps)
    lower = h.final_lr * (1 - 1 / (h.gamma * h.t + 1))
    upper = h.final_lr * (1 + 1 / (h.gamma * h.t))
    x.sub_(rate.clamp_(lower, upper) * s.m)
