"""The fused step on CUDA: a Triton kernel for Padam, Amsgrad, Yogi and AdaBound, all tensors of a group in one launch.

The kernel is specialized on the rule and on what an option switches on: what is off costs nothing. A table tells it
where the tensors lie, and each program of the launch takes `_BLOCK` elements of one tensor.

No GPU has run it yet. The tests run it in Triton's interpreter, against the loop, and compile it for three GPUs.
"""

from contextlib import nullcontext
from itertools import accumulate

import torch

from padam.catalog import ROOTS
from padam.optim import fused

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
_SEARCHED = 2**20  # programs above which each searches for its tensor; below, a list of them has it
_POWERS = {0.0: -2, **ROOTS}  # of which exponents the kernel makes what; see `_power`


def why_unsupported(rule, device, dtype):
    """Why the kernel does not serve tensors of this device and dtype, in words; None if it does."""
    if rule not in RULES:
        return f"there is no fused form of this rule; there is one of {', '.join(RULES)}"
    if triton is None:
        return "on a GPU it needs Triton, which cannot be imported here"
    if dtype not in DTYPES:
        return f"on a GPU it takes float32, bfloat16 and float16, and some of these are {dtype}"
    if device.type == "cuda" and (own := torch.cuda.get_device_capability(device)) < _CAPABILITY:
        return f"Triton promises nothing below compute capability 8.0, and {device} has {own[0]}.{own[1]}"
    return None


def prepare(rule, dtype, p):
    """Nothing: Triton compiles a kernel at its first launch, and keeps it on disk."""


def step(rule, layout, constants, table, scaler=None, t=None):
    """Move the tensors of a layout by one step, in one launch; see `fused.step`.

    `scaler` are GradScaler's scale, by which gradients are divided when they are read, and its number that is not 0 if
    one of them is infinite, in which case nothing moves; either may be None.
    """
    device, count = layout.device, len(layout.sizes)
    scale, found_inf = (_moved(tensor, device) for tensor in scaler or (None, None))
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():  # Triton launches on the current one
        places, owners, programs = _tables(layout)
        if isinstance(table, torch.Tensor):
            numbers = table.to(device, torch.float32)
        else:
            numbers = torch.tensor(table if len(table) == count else table * count, dtype=torch.float32).to(device)
        if programs:
            search = programs > _SEARCHED
            _kernel[(programs,)](
                places, owners, numbers, numbers if scale is None else scale,
                numbers if found_inf is None else found_inf, count,
                constants.beta1, 1 - constants.beta1, constants.beta2, 1 - constants.beta2, 2 * constants.p,
                constants.l2,
                RULE=RULES[rule], ROOTS=_POWERS.get(2 * constants.p, -1), L2=constants.l2 != 0,
                ASCEND=constants.maximize, SCALED=scale is not None, CHECKED=found_inf is not None,
                X=_KINDS[layout.dtype], STATE=tl.float32, HALVINGS=count.bit_length() if search else 0, BLOCK=_BLOCK,
                enable_fp_fusion=False,  # a contracted v - g * g is not 0 where both are equal, and Yogi takes its sign
            )  # fmt: skip


def _moved(tensor, device):
    """What GradScaler has on one device, on another; None if there is none."""
    return None if tensor is None else tensor.float().reshape(()).to(device, non_blocking=True)


def _tables(layout):
    """(places, owners, number of programs) of a layout, on its device; made anew when gradients have moved.

    places: int64 (8, tensors): where x, g, m, v and v_hat (or 0) begin, sizes, first programs, and whether
    all of a tensor's addresses are multiples of 16. owners: int32, which tensor each program works at.
    """
    kept, device = layout.tables, layout.device
    if "owners" not in kept:
        kept["programs"] = [-(-size // _BLOCK) for size in layout.sizes]
        kept["captured"] = []
        owners = [place for place, programs in enumerate(kept["programs"]) for _ in range(programs)]
        kept["owners"] = _uploaded(owners if len(owners) <= _SEARCHED else [0], torch.int32, device)
    captured = fused.is_captured(device)
    if captured or kept.get("gradients") != layout.rows[1]:
        first = [end - own for end, own in zip(accumulate(kept["programs"]), kept["programs"], strict=True)]
        aligned = [int(all(at % 16 == 0 for at in beside)) for beside in zip(*layout.rows, strict=True)]
        no_states = [[0] * len(layout.sizes)] * (5 - len(layout.rows))
        places = _uploaded([*layout.rows, *no_states, layout.sizes, first, aligned], torch.int64, device)
        if captured:  # the graph reads it, and what it was copied from, whenever it is replayed
            kept["captured"].append((places, kept["owners"]))
        kept["gradients"], kept["places"] = layout.rows[1], places
    places, owners = kept["places"][1], kept["owners"][1]
    if device.type == "cuda" and not captured:  # they may have been made on another stream
        places.record_stream(torch.cuda.current_stream(device))
        owners.record_stream(torch.cuda.current_stream(device))
    return places, owners, sum(kept["programs"])


def _uploaded(rows, dtype, device):
    """(a table on the host, the same on the device): from pinned memory where there is CUDA, so that nothing waits."""
    table = torch.tensor(rows, dtype=dtype, device="cpu", pin_memory=device.type == "cuda")
    return table, table.to(device, non_blocking=True)


if triton:

    @triton.jit
    def _kernel(
        places, owners, numbers, scale, found_inf, tensors, keep1, new1, keep2, new2, exponent, decay,
        RULE: tl.constexpr, ROOTS: tl.constexpr, L2: tl.constexpr, ASCEND: tl.constexpr, SCALED: tl.constexpr,
        CHECKED: tl.constexpr, X: tl.constexpr, STATE: tl.constexpr, HALVINGS: tl.constexpr, BLOCK: tl.constexpr,
    ):  # fmt: skip
        program = tl.program_id(0)
        if HALVINGS == 0:
            tensor = tl.load(owners + program)
        else:
            tensor = _owner(places + 6 * tensors, tensors, program, HALVINGS)
        row, number = places + tensor, numbers + 5 * tensor
        begin = (program - tl.load(row + 6 * tensors)) * BLOCK  # 64-bit, as the table is
        at, count = begin + tl.arange(0, BLOCK), tl.load(row + 5 * tensors)
        if CHECKED:
            count = tl.where(tl.load(found_inf) == 0, count, 0)  # where a gradient is infinite nothing moves
        x_at, g_at, m_at = tl.load(row), tl.load(row + tensors), tl.load(row + 2 * tensors)
        v_at, top_at = tl.load(row + 3 * tensors), tl.load(row + 4 * tensors)
        unscale = 1.0
        if SCALED:
            unscale = 1.0 / tl.load(scale)
        if ASCEND:
            unscale = -unscale
        if (begin + BLOCK <= count) & (tl.load(row + 7 * tensors) != 0):
            # Aligned and without a mask: four numbers are moved by one instruction.
            _move(_aligned(x_at, X) + at, _aligned(g_at, X) + at, _aligned(m_at, STATE) + at,
                  _aligned(v_at, STATE) + at, _aligned(top_at, STATE) + at, None, number, unscale, keep1, new1,
                  keep2, new2, exponent, decay, RULE, ROOTS, L2)  # fmt: skip
        else:
            _move(_pointer(x_at, X) + at, _pointer(g_at, X) + at, _pointer(m_at, STATE) + at,
                  _pointer(v_at, STATE) + at, _pointer(top_at, STATE) + at, at < count, number, unscale, keep1, new1,
                  keep2, new2, exponent, decay, RULE, ROOTS, L2)  # fmt: skip

    @triton.jit
    def _move(
        x_at, g_at, m_at, v_at, top_at, inside, number, unscale, keep1, new1, keep2, new2, exponent, decay,
        RULE: tl.constexpr, ROOTS: tl.constexpr, L2: tl.constexpr,
    ):  # fmt: skip
        """The step of the numbers of a block, or of those `inside` the tensor: all are read before any is written."""
        lr, eps, shrink = tl.load(number), tl.load(number + 1), tl.load(number + 2)
        x = tl.load(x_at, inside).to(tl.float32)
        g = tl.load(g_at, inside).to(tl.float32)
        m = tl.load(m_at, inside).to(tl.float32)
        v = tl.load(v_at, inside).to(tl.float32)
        top = v
        if RULE == 0:
            top = tl.load(top_at, inside).to(tl.float32)
        g = g * unscale
        if L2:
            g += decay * x
        m = keep1 * m + new1 * g
        if RULE == 1:
            excess = v - g * g
            v -= tl.where(excess > 0, new2, tl.where(excess < 0, -new2, 0.0)) * (g * g)
        else:
            v = keep2 * v + new2 * (g * g)
        if RULE == 0:
            top = tl.where(top >= v, top, v)  # NaN propagates
            step = lr * (m / _power(tl.sqrt_rn(top) + eps, exponent, ROOTS))
            tl.store(top_at, top, inside)
        else:
            step = lr / (tl.sqrt_rn(v) + eps)
            if RULE == 2:
                step = tl.maximum(step, tl.load(number + 3), tl.PropagateNan.ALL)
                step = tl.minimum(step, tl.load(number + 4), tl.PropagateNan.ALL)
            step = step * m
        tl.store(m_at, m, inside)
        tl.store(v_at, v, inside)
        tl.store(x_at, shrink * x - step, inside)

    @triton.jit
    def _owner(first, tensors, program, HALVINGS: tl.constexpr):
        """The last tensor whose first program is not behind this one: tensors without elements have none."""
        low, high = 0, tensors
        for _ in tl.static_range(HALVINGS):
            middle = (low + high) // 2
            found = tl.load(first + middle) <= program
            low, high = tl.where(found, middle, low), tl.where(found, high, middle)
        return low

    @triton.jit
    def _pointer(address, KIND: tl.constexpr):
        return address.to(tl.pointer_type(KIND))

    @triton.jit
    def _aligned(address, KIND: tl.constexpr):
        return tl.multiple_of(address.to(tl.pointer_type(KIND)), 16)

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
