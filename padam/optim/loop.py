"""The rules in PyTorch, one tensor at a time: the reference that every faster form is compared with.

rule(x, g, s, h) moves x and the tensors of s in place. Names, order and symbols are those of `rules.py`;
h.lr and h.eps are alpha_t and eps_t, numbers or 0-dim tensors, weight decay has been applied. `step` drives them.
"""

import torch

from padam.catalog import ROOTS

# 16-bit parameters are stepped in float32, in which their states are, and rounded once.
HALF = (torch.bfloat16, torch.float16)
_OUR_NAMES = {"rho": "beta2", "alpha": "beta2"}  # torch's names of options -> those that the rules read


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


RULES = {
    rule.__name__: rule
    for rule in (amsgrad, padam, partial_adagrad, partial_rmsprop, partial_adadelta, partial_adamax, yogi, adabound)
}


class Names:
    """What a rule reads as s.m or h.lr: a SimpleNamespace, which torch.compile cannot trace in older PyTorch."""

    def __init__(self, values):
        for name, value in values.items():
            setattr(self, name, value)


def rule_options(group):
    """A group's options by the names that the rules read: beta1 and beta2 for betas, beta2 for rho and alpha."""
    options = {_OUR_NAMES.get(name, name): value for name, value in group.items() if name != "betas"}
    if "betas" in group:
        options["beta1"], options["beta2"] = group["betas"]
    return options


def one_each(scalars, count):
    """Step scalars (`base.step_scalars`) as {name: list of `count` numbers or 0-dim tensors}, one for each tensor."""
    lists = {}
    for name, value in scalars.items():
        if isinstance(value, torch.Tensor):
            lists[name] = list(value.unbind()) if value.ndim else [value] * count
        else:
            lists[name] = value if isinstance(value, list) else [value] * count
    return lists


def step(rule, group, tensors, scalars):
    """Move `tensors` (a `base.Tensors`) by one step of a rule, one tensor after the other."""
    options, scalars = rule_options(group), one_each(scalars, len(tensors.x))
    for place, (param, g) in enumerate(zip(tensors.x, tensors.g, strict=True)):
        own = {name: values[place] for name, values in scalars.items()}
        h = Names({**options, **own})
        s = Names({name: states[place] for name, states in tensors.states.items()})
        x, g = (param.float(), g.float()) if param.dtype in HALF else (param, g)
        if group["maximize"]:
            g = -g
        if group["weight_decay"] != 0 and group["decay"] == "l2":
            g = g.add(x, alpha=group["weight_decay"])
        elif group["weight_decay"] != 0:
            x.mul_(h.shrink)
        RULES[rule](x, g, s, h)
        if x is not param:
            param.copy_(x)
