"""The rules in PyTorch over lists of tensors at once, by torch._foreach_*: few launches, same results.

rule(x, g, s, h) moves the tensors of x and of s (s.m, s.v, ... are lists beside x) in place. Names and order
are those of `rules.py`, written a second time on purpose: their agreement is what the tests rest on. h.lr,
h.eps, h.t, h.c1 and h.final_lr are lists, one number or 0-dim tensor per tensor of x, for a parameter that
was frozen for a while is at a step of its own. Weight decay has been applied.

`step` drives them; on a CPU in blocks that stay in its cache.
"""

import torch

from padam.catalog import ROOTS
from padam.optim.loop import HALF, Names, one_each, rule_options

BLOCK = 2**19  # elements; what a rule reads and writes of so many stays in a CPU's cache from pass to pass
PLAIN = (torch.Tensor, torch.nn.Parameter)  # a class of somebody's own may lie in memory as it likes


def _power(base, exponent):
    """base ** exponent, in place; see `loop._power`."""
    if exponent not in ROOTS:
        torch._foreach_pow_(base, exponent)
        return base
    for _ in range(ROOTS[exponent]):
        torch._foreach_sqrt_(base)
    return base


def _scalar(number, like):
    """The number as a 0-dim tensor: on a CPU torch._foreach_* would make one of it for each tensor of the list."""
    if like.is_cpu and like.dtype in (torch.float32, torch.float64):
        return torch.tensor(number, dtype=like.dtype, device="cpu")
    return number


def _average(mean, new, beta):
    torch._foreach_lerp_(mean, new, 1 - beta)


def _average_square(mean, new, beta):
    torch._foreach_mul_(mean, _scalar(beta, mean[0]))
    torch._foreach_addcmul_(mean, new, new, 1 - beta)


def _denominator(v, eps, exponent):
    denominator = torch._foreach_sqrt(v)
    same = not isinstance(eps[0], torch.Tensor) and all(one == eps[0] for one in eps)
    torch._foreach_add_(denominator, _scalar(eps[0], v[0]) if same else eps)
    return _power(denominator, exponent)


def _descend(x, m, denominator, lr):
    """x -= lr * m / denominator: in one pass if lr are numbers."""
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


RULES = {
    rule.__name__: rule
    for rule in (amsgrad, padam, partial_adagrad, partial_rmsprop, partial_adadelta, partial_adamax, yogi, adabound)
}


def step(rule, group, tensors, scalars):
    """Move `tensors` (a `base.Tensors`) by one step of a rule, many at a time."""
    options, scalars = rule_options(group), one_each(scalars, len(tensors.x))
    lists = [tensors.x, tensors.g, *tensors.states.values()]
    half = tensors.x[0].dtype in HALF
    if half:
        lists[:2] = [x.float() for x in tensors.x], [g.float() for g in tensors.g]
    in_blocks = tensors.x[0].is_cpu and not torch.compiler.is_compiling()
    for block, indices in blocks(lists) if in_blocks else [(lists, range(len(tensors.x)))]:
        own = {name: [values[i] for i in indices] for name, values in scalars.items()}
        _step_block(rule, group, block, tuple(tensors.states), Names({**options, **own}))
    if half:
        torch._foreach_copy_(tensors.x, lists[0])


def _step_block(rule, group, lists, names, h):
    x, g, *states = lists
    if group["maximize"]:
        g = torch._foreach_neg(g)
    if group["weight_decay"] != 0 and group["decay"] == "l2":
        g = torch._foreach_add(g, x, alpha=group["weight_decay"])
    elif group["weight_decay"] != 0:
        torch._foreach_mul_(x, h.shrink)
    RULES[rule](x, g, Names(dict(zip(names, states, strict=True))), h)


def blocks(lists):
    """Parallel lists of tensors in blocks of about `BLOCK` elements, each with the indices of its tensors.

    Large tensors are cut into flat views, small ones are put together. A rule passes over its tensors a dozen times;
    over a block at a time, only the first pass reads from memory.
    """
    sizes, start, held = [tensor.numel() for tensor in lists[0]], 0, 0
    if sum(sizes) <= BLOCK:
        yield lists, range(len(sizes))
        return
    for i, size in enumerate([*sizes, None]):
        large = size is not None and size > BLOCK and _can_be_cut([tensors[i] for tensors in lists])
        if held and (size is None or large or held + size > BLOCK):
            yield [tensors[start:i] for tensors in lists], range(start, i)
            start, held = i, 0
        if large:
            for parts in zip(*(_cut(tensors[i]) for tensors in lists), strict=True):
                yield [[part] for part in parts], (i,)
            start = i + 1
        else:
            held += size or 0


def is_dense(tensor):
    """Whether a tensor's numbers lie in memory without gaps and overlaps, in whatever order."""
    if tensor.is_neg() or tensor._is_zerotensor():  # its numbers are those in memory times -1, or in no memory
        return False
    if tensor.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride != expected:
                return False
            expected *= size
    return True


def same_order(one, other):
    """Whether two dense tensors of a shape have their numbers in the same order in memory."""
    return one.stride() == other.stride() or all(
        size == 1 or mine == its for size, mine, its in zip(one.shape, one.stride(), other.stride(), strict=True)
    )


def _can_be_cut(tensors):
    """Whether these tensors, one of each list, are plain, dense and of the same layout."""
    x = tensors[0]
    return is_dense(x) and all(type(t) in PLAIN and not t.is_neg() and same_order(t, x) for t in tensors)


def _cut(tensor):
    return tensor.as_strided((tensor.numel(),), (1,)).split(BLOCK)
