"""The fused step: every number is read once and written once: by C on a CPU (`cpu.py`), by Triton on CUDA.

Both go by addresses, and an address says nothing of a shape, a dtype or a layout. So `Pointers` checks every tensor
before its address is used. That takes longer than a small network's step, so pointers that were checked are used again
as long as a complete key, of all tensors, is the same.
"""

from itertools import chain
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from padam.catalog import CATALOG
from padam.optim.foreach import PLAIN, is_dense, same_order
from padam.optim.fused import cpu
from padam.optim.loop import HALF

try:  # what torch.compile guards tensors by: class, dispatch keys, dtype, device, shape and strides, in one call
    from torch._C._dynamo.guards import TensorGuards
except ImportError:  # then every step checks everything
    TensorGuards = None

STATES = ("m", "v", "v_hat")  # the order in which a backend is told of states
_ADDRESS = Tensor.data_ptr


def backend(device):
    """The module that takes the fused step on a device: `cpu`, `triton`, or None."""
    if device.type == "cpu":
        return cpu
    if device.type == "cuda":
        from padam.optim.fused import triton  # not before it is asked for: importing Triton takes a while

        return triton
    return None


def counts_on_device(device):
    """Whether the fused step wants step counts on this device, so that nothing of it waits for the device."""
    return getattr(backend(device), "ON_DEVICE", False)


def why_unsupported(rule, device, dtype):
    """Why there is no fused step of this rule for tensors of this device and dtype, in words; None if there is one."""
    if rule not in cpu.RULES:
        return f"there is no fused form of this rule; there is one of {', '.join(cpu.RULES)}"
    if backend(device) is None:
        return f"there is one for the CPU and one for CUDA, and some of them are on {device.type}"
    return backend(device).why_unsupported(device, dtype)


def require(rule, tensors):
    """Raise RuntimeError unless there is a fused step of this rule for these tensors."""
    for device, dtype in {(tensor.device, tensor.dtype) for tensor in tensors}:
        if reason := why_unsupported(rule, device, dtype):
            _refuse(rule, reason)


def _refuse(rule, reason):
    who = CATALOG[rule].torch_class.rpartition(".")[2]
    raise RuntimeError(
        f"{who}: fused=True, but no fused step serves these tensors: {reason}. Use fused=None, which serves all that "
        f"PyTorch does, or foreach=True."
    )


def is_captured(device):
    """Whether a CUDA graph is being captured, so that what a step reads must stay where it is as long as the graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class Constants(NamedTuple):
    """What all tensors of a step share. `l2` is the weight decay that is added to the gradient."""

    beta1: float
    beta2: float
    p: float
    l2: float
    maximize: bool


def step(rule, group, pointers, scalars, scaler=None):
    """Update the tensors of a `Pointers` by one step; returns whether it was counted, too.

    `scalars` as `base.step_scalars` returns them; `scaler` is GradScaler's pair (scale, found_inf), for CUDA only.
    """
    more = {} if scaler is None else {"scaler": scaler}
    rows = _scalar_rows(scalars)
    counted = backend(pointers.device).step(rule, pointers, _constants(group), rows, scalars["t"], **more)
    pointers.copy_back()
    return counted


def compiled_step(rule, group, tensors, scalars):
    """The same for torch.compile, which has no addresses: one operation in its graph, which checks and steps."""
    states = [state for same_state in _states(tensors) for state in same_state]
    _opaque_step(rule, tensors.x, tensors.g, states, _scalar_rows(scalars), *_constants(group))


@torch.library.custom_op("padam::fused_step", mutates_args=("x", "states"))
def _opaque_step(
    rule: str,
    x: list[Tensor],
    g: list[Tensor],
    states: list[Tensor],
    scalar_rows: Tensor,
    beta1: float,
    beta2: float,
    p: float,
    l2: float,
    maximize: bool,
) -> None:
    lists = [states[begin : begin + len(x)] for begin in range(0, len(states), len(x))]
    pointers = Pointers(rule, SimpleNamespace(x=x, g=g, states=dict(zip(STATES, lists, strict=False)), steps=[]))
    backend(pointers.device).step(rule, pointers, Constants(beta1, beta2, p, l2, maximize), scalar_rows)
    pointers.copy_back()


@_opaque_step.register_fake
def _(*given):
    return None


def _constants(group):
    l2 = group["weight_decay"] if group["decay"] == "l2" else 0.0
    return Constants(*group["betas"], group.get("p", 0.5), l2, bool(group["maximize"]))


def _scalar_rows(scalars):
    """Rows of what differs from tensor to tensor: alpha_t, eps_t, 1 - lr * weight decay, AdaBound's two bounds.

    One row if all tensors share it, else one for each; a float64 tensor (tensors, 5) if there are vectors.
    """
    columns = [scalars["lr"], scalars["eps"], scalars["shrink"], scalars.get("lower", 0.0), scalars.get("upper", 0.0)]
    if isinstance(scalars["t"], Tensor):
        t = scalars["t"]
        return torch.stack([c if isinstance(c, Tensor) and c.ndim else t * 0 + c for c in columns], 1)
    if isinstance(scalars["t"], list):
        count = len(scalars["t"])
        return list(zip(*(c if isinstance(c, list) else [c] * count for c in columns), strict=True))
    return [columns]


class Pointers:
    """Where the tensors of a step lie, after each was found fit for it.

    It keeps addresses, no tensors; unless some are not dense, when it keeps them and their copies for one step.

    Attributes:
        rows: addresses of x, of g and of each state in the order of STATES, a list each.
        sizes: their numbers of elements.
        step_counts: addresses of the step counts if they are float32 numbers in the CPU's memory, else None.
        device, dtype: of x; complex tensors are seen as pairs of reals.
        kept: a place for what a backend makes of this.
    """

    def __init__(self, rule, tensors):
        """Check `tensors`, a `base.Tensors`. Raises RuntimeError if one does not fit; nothing has changed then."""
        require(rule, tensors.x)
        _check(rule, tensors)
        self.device, self.dtype = tensors.x[0].device, tensors.x[0].dtype
        lists = [tensors.x, tensors.g, *_states(tensors)]
        dense = _dense(lists)
        self.rows = [list(map(_ADDRESS, parallel)) for parallel in dense]
        self.sizes = [tensor.numel() for tensor in tensors.x]
        self.kept = {}
        on_cpu = all(step.is_cpu and step.dtype == torch.float32 and step.numel() == 1 for step in tensors.steps)
        self.step_counts = list(map(_ADDRESS, tensors.steps)) if on_cpu and tensors.steps else None
        self._copies = [
            (tensor, copy, which != 1)  # gradients are copied and not copied back
            for which, (originals, parallel) in enumerate(zip(lists, dense, strict=True))
            for tensor, copy in zip(originals, parallel, strict=True)
            if tensor is not copy
        ]
        self._guards = None if self._copies else _guards(_everything(tensors))
        self._fixed = list(map(_ADDRESS, chain(tensors.x, *_states(tensors), tensors.steps)))

    @property
    def reusable(self):
        """Whether `rebind` can succeed: not without a key, and not with copies."""
        return self._guards is not None

    def rebind(self, tensors):
        """Take over the addresses of these tensors' gradients, if all else is as it was; returns whether it is.

        That is the complete key: class, dispatch keys (those of negative views and zero tensors are their own), dtype,
        device, shape, strides and, but for gradients, address. A gradient has an address, or no elements.
        """
        if not self.reusable or len(tensors.x) != len(self.sizes):
            return False
        everything, count = _everything(tensors), len(self.sizes)
        if not self._guards.check(*everything):
            return False
        addresses = list(map(_ADDRESS, everything))
        gradients = addresses[count : 2 * count]
        del addresses[count : 2 * count]
        if addresses != self._fixed:
            return False
        if 0 in gradients and not all(at or not size for at, size in zip(gradients, self.sizes, strict=True)):
            return False
        self.rows[1] = gradients
        return True

    def copy_back(self):
        """Bring what a step did to copies to the tensors that they stand for."""
        for tensor, copy, changes in self._copies:
            if changes:
                tensor.copy_(copy)


def _guards(tensors):
    """torch.compile's guards of these tensors, all of the key but addresses; None where this PyTorch has others."""
    shapes, strides = [list(tensor.shape) for tensor in tensors], [list(tensor.stride()) for tensor in tensors]
    try:
        return TensorGuards(*tensors, dynamic_dims_sizes=shapes, dynamic_dims_strides=strides)
    except Exception:  # they are no public part of it
        return None


def _states(tensors):
    return [tensors.states[name] for name in STATES if name in tensors.states]


def _everything(tensors):
    return [*tensors.x, *tensors.g, *chain(*_states(tensors)), *tensors.steps]


def _check(rule, tensors):
    """Raise RuntimeError unless all are plain tensors, in memory, of their parameter's shape, dtype and device."""
    x, states = tensors.x, _states(tensors)
    if others := {str(type(tensor)) for tensor in chain(x, tensors.g, *states) if type(tensor) not in PLAIN}:
        _refuse(rule, f"it takes plain tensors, and some of these are {', '.join(sorted(others))}")
    state_dtype = torch.float32 if x[0].dtype in HALF else x[0].dtype
    lists = [("gradients", tensors.g, x[0].dtype), *(("states", same_state, state_dtype) for same_state in states)]
    for what, parallel, dtype in lists:
        for param, tensor in zip(x, parallel, strict=True):
            if tensor.shape != param.shape or tensor.dtype != dtype or tensor.device != param.device:
                _refuse(
                    rule,
                    f"their {what} are not of their shape, dtype and device: beside a parameter "
                    f"{_described(param)} is one {_described(tensor)}. Was the model moved, or the state dict of "
                    f"another one loaded? Then make a new optimizer",
                )
    for count in tensors.steps:
        if not count.is_floating_point() or count.numel() != 1:
            _refuse(rule, f"a step count is {_described(count)}, but must be one floating-point number")
    for tensor in chain(x, *states):
        if any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)):
            _refuse(rule, f"one {_described(tensor)} was expanded: some of its numbers are one number in memory")
        if tensor.is_inference() and not torch.is_inference_mode_enabled():
            _refuse(rule, f"one {_described(tensor)} was made in inference mode, and cannot be changed outside")
    for tensor in chain(x, tensors.g, *states):
        zeros = tensor._is_zerotensor() and any(tensor is g for g in tensors.g)  # has no memory, and can be copied
        if tensor.numel() and not zeros and _ADDRESS(tensor) == 0:
            _refuse(rule, f"one {_described(tensor)} has no memory; was its storage resized to 0?")


def _described(tensor):
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _dense(lists):
    """x, g and the states with all tensors dense and in x's layout: those that are so themselves, others as copies."""
    dense = [list(tensors) for tensors in lists]
    for i, parallel in enumerate(zip(*lists, strict=True)):
        x = parallel[0]
        like = x if is_dense(x) else torch.empty(x.shape, device="meta")
        for which, tensor in enumerate(parallel):
            if not is_dense(tensor) or not same_order(tensor, like):
                copy = torch.empty_strided(x.shape, like.stride(), dtype=tensor.dtype, device=tensor.device)
                dense[which][i] = copy.copy_(tensor)
    return dense
