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


def why_unsupported(device, dtype):
    """Why the kernel does not serve tensors of this device and dtype, in words; None if it does."""
    if triton is None:
        return "on a GPU it needs Triton, which cannot be imported here"
    if dtype not in DTYPES:
        return f"on a GPU it takes float32, bfloat16 and float16, and some of these are {dtype}"
    if device.type == "cuda" and (own := torch.cuda.get_device_capability(device)) < _CAPABILITY:
        return f"Triton promises nothing below compute capability 8.0, and {device} has {own[0]}.{own[1]}"
    return None


def prepare(rule, dtype, p):
    """Nothing: Triton compiles a kernel at its first launch, and keeps it on disk."""


def step(rule, pointers, constants, scalars, t=None, scaler=(None, None)):
    """Update the tensors of a `fused.Pointers` by one step, in one launch; see `fused.step`. It is not counted.

    `scaler` are GradScaler's scale, by which gradients are divided when they are read, and its number that is not 0 if
    one of them is infinite, in which case nothing is updated; either may be None.
    """
    device, num_tensors = pointers.device, len(pointers.sizes)
    scale, found_inf = (_moved(tensor, device) for tensor in scaler)
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():  # Triton launches on the current one
        table, owners, programs = _tables(pointers)
        scalars = scalars.to(device, torch.float32)  # vectors, for step counts are on the device
        if programs:
            _kernel[(programs,)](
                table,
                owners,
                scalars,
                scalars if scale is None else scale,
                scalars if found_inf is None else found_inf,
                num_tensors,
                constants.beta1,
                1 - constants.beta1,
                constants.beta2,
                1 - constants.beta2,
                2 * constants.p,
                constants.l2,
                RULE=RULES[rule],
                ROOTS=_POWERS.get(2 * constants.p, -1),
                L2=constants.l2 != 0,
                ASCEND=constants.maximize,
                SCALED=scale is not None,
                CHECKED=found_inf is not None,
                X=_KINDS[pointers.dtype],
                HALVINGS=num_tensors.bit_length() if programs > _SEARCHED else 0,
                BLOCK=_BLOCK,
                enable_fp_fusion=False,  # contraction makes v - g * g a rounding error, with a sign, where Yogi has 0
            )
    return False


def _moved(tensor, device):
    """What GradScaler has on one device, on another; None if there is none."""
    return None if tensor is None else tensor.float().reshape(()).to(device, non_blocking=True)


def _tables(pointers):
    """(table, owners, number of programs) on the device: made once, and again when gradients have moved.

    table: int64 (8, tensors): addresses of x, g, m, v and v_hat (or 0), sizes, first programs, and whether all of a
    tensor's addresses are multiples of 16. owners: int32, which tensor each program works at.
    """
    kept, device = pointers.kept, pointers.device
    programs = [-(-size // _BLOCK) for size in pointers.sizes]
    if fused.is_captured(device):  # what is uploaded now is there when the graph is replayed, and not before
        uploads = _table(pointers, programs), _owners(programs, device)
        kept.setdefault("captured", []).append(uploads)  # the graph reads both ends of the upload at each replay
        return uploads[0][1], uploads[1][1], sum(programs)
    if "owners" not in kept:
        kept["owners"] = _owners(programs, device)
    if kept.get("gradients") != pointers.rows[1]:
        kept["gradients"], kept["table"] = pointers.rows[1], _table(pointers, programs)
    table, owners = kept["table"][1], kept["owners"][1]
    if device.type == "cuda":  # they may have been made on another stream
        table.record_stream(torch.cuda.current_stream(device))
        owners.record_stream(torch.cuda.current_stream(device))
    return table, owners, sum(programs)


def _table(pointers, programs):
    first = [end - own for end, own in zip(accumulate(programs), programs, strict=True)]
    aligned = [int(all(at % 16 == 0 for at in addresses)) for addresses in zip(*pointers.rows, strict=True)]
    no_states = [[0] * len(programs)] * (5 - len(pointers.rows))
    return _uploaded([*pointers.rows, *no_states, pointers.sizes, first, aligned], torch.int64, pointers.device)


def _owners(programs, device):
    if sum(programs) > _SEARCHED:
        return _uploaded([0], torch.int32, device)  # each searches
    return _uploaded([i for i, count in enumerate(programs) for _ in range(count)], torch.int32, device)


def _uploaded(rows, dtype, device):
    """(a table on the host, the same on the device): from pinned memory where there is CUDA, so that nothing waits."""
    table = torch.tensor(rows, dtype=dtype, device="cpu", pin_memory=device.type == "cuda")
    return table, table.to(device, non_blocking=True)


if triton:

    @triton.jit
    def _kernel(
        table,
        owners,
        scalars,
        scale,
        found_inf,
        tensors,
        beta1,
        one_minus_beta1,
        beta2,
        one_minus_beta2,
        exponent,
        l2,
        RULE: tl.constexpr,
        ROOTS: tl.constexpr,
        L2: tl.constexpr,
        ASCEND: tl.constexpr,
        SCALED: tl.constexpr,
        CHECKED: tl.constexpr,
        X: tl.constexpr,
        HALVINGS: tl.constexpr,
        BLOCK: tl.constexpr,
    ):
        program = tl.program_id(0)
        tensor = _owner(owners, table + 6 * tensors, tensors, program, HALVINGS)
        row, own = table + tensor, scalars + 5 * tensor
        begin = (program - tl.load(row + 6 * tensors)) * BLOCK  # 64-bit, as the table is
        at, numel = begin + tl.arange(0, BLOCK), tl.load(row + 5 * tensors)
        if CHECKED:
            numel = tl.where(tl.load(found_inf) == 0, numel, 0)  # where a gradient is infinite nothing moves
        x_at, g_at, m_at = tl.load(row), tl.load(row + tensors), tl.load(row + 2 * tensors)
        v_at, v_hat_at = tl.load(row + 3 * tensors), tl.load(row + 4 * tensors)
        unscale = 1.0
        if SCALED:
            unscale = 1.0 / tl.load(scale)
        if ASCEND:
            unscale = -unscale
        if (begin + BLOCK <= numel) & (tl.load(row + 7 * tensors) != 0):
            # Aligned and without a mask: four numbers are moved by one instruction.
            _update(
                _aligned(x_at, X) + at,
                _aligned(g_at, X) + at,
                _aligned(m_at, tl.float32) + at,
                _aligned(v_at, tl.float32) + at,
                _aligned(v_hat_at, tl.float32) + at,
                None,
                own,
                unscale,
                beta1,
                one_minus_beta1,
                beta2,
                one_minus_beta2,
                exponent,
                l2,
                RULE,
                ROOTS,
                L2,
            )
        else:
            _update(
                _pointer(x_at, X) + at,
                _pointer(g_at, X) + at,
                _pointer(m_at, tl.float32) + at,
                _pointer(v_at, tl.float32) + at,
                _pointer(v_hat_at, tl.float32) + at,
                at < numel,
                own,
                unscale,
                beta1,
                one_minus_beta1,
                beta2,
                one_minus_beta2,
                exponent,
                l2,
                RULE,
                ROOTS,
                L2,
            )

    @triton.jit
    def _update(
        x_at,
        g_at,
        m_at,
        v_at,
        v_hat_at,
        inside,
        own,
        unscale,
        beta1,
        one_minus_beta1,
        beta2,
        one_minus_beta2,
        exponent,
        l2,
        RULE: tl.constexpr,
        ROOTS: tl.constexpr,
        L2: tl.constexpr,
    ):
        """The step of a block, or of its numbers `inside` the tensor: all are read before any is written."""
        lr, eps, shrink = tl.load(own), tl.load(own + 1), tl.load(own + 2)
        x = tl.load(x_at, inside).to(tl.float32)
        g = tl.load(g_at, inside).to(tl.float32)
        m = tl.load(m_at, inside).to(tl.float32)
        v = tl.load(v_at, inside).to(tl.float32)
        v_hat = v
        if RULE == 0:
            v_hat = tl.load(v_hat_at, inside).to(tl.float32)
        g = g * unscale
        if L2:
            g += l2 * x
        m = beta1 * m + one_minus_beta1 * g
        if RULE == 1:
            excess = v - g * g
            v -= tl.where(excess > 0, one_minus_beta2, tl.where(excess < 0, -one_minus_beta2, 0.0)) * (g * g)
        else:
            v = beta2 * v + one_minus_beta2 * (g * g)
        if RULE == 0:
            v_hat = tl.where(v_hat >= v, v_hat, v)  # NaN propagates
            step = lr * (m / _power(tl.sqrt_rn(v_hat) + eps, exponent, ROOTS))
            tl.store(v_hat_at, v_hat, inside)
        else:
            step = lr / (tl.sqrt_rn(v) + eps)
            if RULE == 2:
                step = tl.maximum(step, tl.load(own + 3), tl.PropagateNan.ALL)
                step = tl.minimum(step, tl.load(own + 4), tl.PropagateNan.ALL)
            step = step * m
        tl.store(m_at, m, inside)
        tl.store(v_at, v, inside)
        tl.store(x_at, shrink * x - step, inside)

    @triton.jit
    def _owner(owners, first, tensors, program, HALVINGS: tl.constexpr):
        """The tensor that a program works at: from the list, or the last whose first program is not behind this one."""
        low = tl.full((), 0, tl.int32)
        if HALVINGS == 0:
            low = tl.load(owners + program)
        else:
            high = tensors
            for _ in tl.static_range(HALVINGS):  # tensors without elements have no program
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
