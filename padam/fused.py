"""One Triton kernel for Padam, Amsgrad, Yogi and AdaBound: all tensors of a group in one launch.

A step reads five numbers a parameter and writes four; here each is read once and written once, so memory is the limit.
The kernel is specialised on the rule and on what an option switches on: what is off costs nothing. It is told where the
tensors lie by a table of addresses, and each program of the launch takes `_BLOCK` elements of one tensor.

No GPU has run it yet. The tests run it by Triton's interpreter, against the for-loop; `padam/trial.py` tries it on a
device before it is taken there by default.
"""

from contextlib import nullcontext
from functools import lru_cache
from itertools import accumulate

import torch

from padam import memory
from padam.catalog import ROOTS

try:
    import triton
    import triton.language as tl
except ImportError:  # no Triton for this platform
    triton = None

RULES = {"padam": 0, "amsgrad": 0, "yogi": 1, "adabound": 2}
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.complex64)
ON_DEVICE = True  # where step counts are, so that nothing of a step waits for the device
_CAPABILITY = (8, 0)  # below, Triton promises nothing
_BLOCK = 1024  # elements of a program


def refusal(rule, kinds):
    """Why the kernel does not serve tensors of these kinds, (device, dtype), or None if it does."""
    if rule not in RULES:
        return f"there is no fused form of this rule; there is one of {', '.join(RULES)}"
    if triton is None:
        return "on a GPU it needs Triton, which cannot be imported here"
    if others := sorted({str(dtype) for _, dtype in kinds if dtype not in DTYPES}):
        return f"on a GPU it takes float32, bfloat16 and float16, and some of these are {', '.join(others)}"
    for device in {device for device, _ in kinds if device.type == "cuda"}:
        if (own := torch.cuda.get_device_capability(device)) < _CAPABILITY:
            return f"Triton promises nothing below compute capability 8.0, and {device} has {own[0]}.{own[1]}"
    return None


def prepare(rule, dtype, p):
    """Nothing: Triton compiles a kernel at its first launch, and keeps it on disk."""


def step(rule, x, g, slots, settings, group, scaler=(None, None)):
    """Move x and the slots (lists of tensors of one device and dtype) by one step, in one launch.

    `scaler` are GradScaler's scale, by which gradients are divided first, and its 0-dim tensor that is not 0 if one of
    them is infinite, in which case nothing moves; None where there is none.
    """
    lists, back = memory.laid_out([x, g, *slots.values()])
    device, sizes = x[0].device, tuple(map(torch.Tensor.numel, x))
    places = tuple(tuple(map(torch.Tensor.data_ptr, tensors)) for tensors in lists)
    p, (beta1, beta2) = group.get("p", 0.5), group["betas"]
    decoupled = group["weight_decay"] if group["decay"] == "decoupled" else 0.0
    l2, (scale, found) = group["weight_decay"] - decoupled, (_there(tensor, device) for tensor in scaler)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():  # Triton launches on the current one
        table, owners, programs = _tables(places, sizes, device)
        numbers = _numbers([memory.numbers(*one, decoupled, group) for one in settings], device)
        if programs:
            _kernel[(programs,)](
                table, owners, numbers, numbers if scale is None else scale, numbers if found is None else found,
                len(x), beta1, 1 - beta1, beta2, 1 - beta2, 2 * p, l2,
                RULE=RULES[rule], ROOTS=_POWERS.get(2 * p, -1), L2=l2 != 0, ASCEND=bool(group["maximize"]),
                SCALED=scale is not None, CHECKED=found is not None, X=_KINDS[lists[0][0].dtype],
                G=_KINDS[lists[1][0].dtype], STATE=_KINDS[lists[2][0].dtype],
                ALIGNED=all(at % 16 == 0 for row in places for at in row), BLOCK=_BLOCK,
            )  # fmt: skip
    for tensor, copy in back:
        tensor.copy_(copy)


def _there(tensor, device):
    """What GradScaler has on one device, on another; None if there is none."""
    return None if tensor is None else tensor.float().reshape(()).to(device, non_blocking=True)


_of_graphs = []  # a captured graph reads its tables whenever it is replayed, so they are kept for good


def _tables(places, sizes, device):
    """What `_table` and `_owners` return, which see; made anew, and kept, while a CUDA graph is captured."""
    if device.type != "cuda" or not torch.cuda.is_current_stream_capturing():
        return (_table(places, sizes, device)[-1], *_owners(sizes, device)[-2:])
    made = _table.__wrapped__(places, sizes, device), _owners.__wrapped__(sizes, device)
    _of_graphs.append(made)
    return (made[0][-1], *made[1][-2:])


def _uploaded(rows, dtype, device):
    """(a table on the host, the same on the device): from pinned memory where there is CUDA, so that nothing waits."""
    table = torch.tensor(rows, dtype=dtype, device="cpu", pin_memory=device.type == "cuda")
    return table, table.to(device, non_blocking=True)


@lru_cache(maxsize=16)
def _table(places, sizes, device):
    """int64 (7, tensors): where x, g, m, v and v_hat (or 0) begin, the number of elements, the first program."""
    counts = [-(-size // _BLOCK) for size in sizes]
    first = [end - count for end, count in zip(accumulate(counts), counts, strict=True)]
    rows = [*places, *[[0] * len(sizes)] * (5 - len(places)), sizes, first]
    return _uploaded([list(row) for row in rows], torch.int64, device)


@lru_cache(maxsize=16)
def _owners(sizes, device):
    """(on the host, on the device: which tensor each program works at, int32; how many programs there are)."""
    owners = [place for place, size in enumerate(sizes) for _ in range(-(-size // _BLOCK))]
    return (*_uploaded(owners, torch.int32, device), len(owners))


def _numbers(rows, device):
    """float32 (tensors, 5) on the device: what `memory.numbers` says of each tensor, numbers or 0-dim tensors."""
    if not any(isinstance(number, torch.Tensor) for number in rows[0]):
        return _uploaded(rows, torch.float32, device)[-1]
    columns = [
        torch.stack(column).float() if isinstance(column[0], torch.Tensor) else
        torch.full((len(rows),), column[0], dtype=torch.float32, device=device)
        for column in zip(*rows, strict=True)
    ]  # fmt: skip
    return torch.stack(columns, 1)


if triton:

    @triton.jit
    def _kernel(
        table, owners, numbers, scale, found, tensors, keep1, new1, keep2, new2, exponent, decay,
        RULE: tl.constexpr, ROOTS: tl.constexpr, L2: tl.constexpr, ASCEND: tl.constexpr, SCALED: tl.constexpr,
        CHECKED: tl.constexpr, X: tl.constexpr, G: tl.constexpr, STATE: tl.constexpr, ALIGNED: tl.constexpr,
        BLOCK: tl.constexpr,
    ):  # fmt: skip
        tensor = tl.load(owners + tl.program_id(0))
        row, number = table + tensor, numbers + 5 * tensor
        begin = (tl.program_id(0) - tl.load(row + 6 * tensors)) * BLOCK  # 64-bit, as the table is
        at, count = begin + tl.arange(0, BLOCK), tl.load(row + 5 * tensors)
        if CHECKED:
            count = tl.where(tl.load(found) == 0, count, 0)  # where a gradient is infinite nothing moves
        x_at = _begin(tl.load(row), X, ALIGNED) + at
        g_at = _begin(tl.load(row + tensors), G, ALIGNED) + at
        m_at = _begin(tl.load(row + 2 * tensors), STATE, ALIGNED) + at
        v_at = _begin(tl.load(row + 3 * tensors), STATE, ALIGNED) + at
        top_at = _begin(tl.load(row + 4 * tensors), STATE, ALIGNED) + at
        unscale = 1.0
        if SCALED:
            unscale = 1.0 / tl.load(scale)
        if ASCEND:
            unscale = -unscale
        if begin + BLOCK <= count:  # without a mask, four numbers are moved by one instruction
            _move(x_at, g_at, m_at, v_at, top_at, None, number, unscale, keep1, new1, keep2, new2, exponent, decay,
                  RULE, ROOTS, L2)  # fmt: skip
        else:
            _move(x_at, g_at, m_at, v_at, top_at, at < count, number, unscale, keep1, new1, keep2, new2, exponent,
                  decay, RULE, ROOTS, L2)  # fmt: skip

    @triton.jit
    def _move(
        x_at, g_at, m_at, v_at, top_at, inside, number, unscale, keep1, new1, keep2, new2, exponent, decay,
        RULE: tl.constexpr, ROOTS: tl.constexpr, L2: tl.constexpr,
    ):  # fmt: skip
        """The step of the numbers of a block, or of those `inside` the tensor."""
        lr, eps = tl.load(number), tl.load(number + 1)
        x = tl.load(x_at, inside).to(tl.float32)
        g = tl.load(g_at, inside).to(tl.float32) * unscale
        if L2:
            g += decay * x
        m = keep1 * tl.load(m_at, inside).to(tl.float32) + new1 * g
        v = tl.load(v_at, inside).to(tl.float32)
        if RULE == 1:
            excess = v - g * g
            v -= tl.where(excess > 0, new2, tl.where(excess < 0, -new2, 0.0)) * (g * g)
        else:
            v = keep2 * v + new2 * (g * g)
        if RULE == 0:
            top = tl.load(top_at, inside).to(tl.float32)
            top = tl.where(top >= v, top, v)  # and what is no number stays none
            tl.store(top_at, top, inside)
            step = lr * (m / _power(tl.sqrt_rn(top) + eps, exponent, ROOTS))
        else:
            step = lr / (tl.sqrt_rn(v) + eps)
            if RULE == 2:
                step = tl.maximum(step, tl.load(number + 3), tl.PropagateNan.ALL)
                step = tl.minimum(step, tl.load(number + 4), tl.PropagateNan.ALL)
            step = step * m
        tl.store(m_at, m, inside)
        tl.store(v_at, v, inside)
        tl.store(x_at, tl.load(number + 2) * x - step, inside)

    @triton.jit
    def _begin(address, KIND: tl.constexpr, ALIGNED: tl.constexpr):
        """Where a tensor begins, as a pointer to numbers of its kind."""
        pointer = address.to(tl.pointer_type(KIND))
        if ALIGNED:
            pointer = tl.multiple_of(pointer, 16)
        return pointer

    @triton.jit
    def _power(base, exponent, ROOTS: tl.constexpr):
        """base ** exponent: by square roots where they do (-2: exponent 0), else by exponential and logarithm."""
        if ROOTS == -2:
            base = tl.full(base.shape, 1.0, tl.float32)
        elif ROOTS == -1:
            base = tl.exp2(exponent * tl.log2(base))
        else:
            for _ in tl.static_range(ROOTS):
                base = tl.sqrt_rn(base)
        return base

    _KINDS = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
    _POWERS = {0.0: -2, **ROOTS}
