"""The fused step: every number is read once and written once: by C on a CPU (`cpu.py`), by Triton on CUDA.

Both go by addresses, and an address says nothing of a shape, a dtype or a layout. So `Layout` checks every tensor
before its address is used. That takes longer than a small network's step, so a layout that was checked serves again as
long as a complete key, of all tensors, is the same.
"""

from itertools import chain
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor

from padam.catalog import CATALOG
from padam.optim.foreach import PLAIN, is_dense
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


def why_unsupported(rule, device, dtype):
    """Why there is no fused step of this rule for tensors of this device and dtype, in words; None if there is one."""
    if backend(device) is None:
        return f"there is one for the CPU and one for CUDA, and some of them are on {device.type}"
    return backend(device).why_unsupported(rule, device, dtype)


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


def step(rule, group, layout, scalars, scaler=None):
    """Move the tensors of a `Layout` by one step, and count it where `layout.counts` says.

    `scalars` as `base.step_scalars` returns them; `scaler` is GradScaler's pair (scale, found_inf), for CUDA only.
    """
    backend(layout.device).step(rule, layout, _constants(group), _table(scalars), scaler, scalars["t"])
    layout.copy_back()


def compiled_step(rule, group, tensors, scalars):
    """The same for torch.compile, which has no addresses: one operation in its graph, which checks and steps."""
    states = [state for some in _states(tensors) for state in some]
    _opaque_step(rule, tensors.x, tensors.g, states, _table(scalars), *_constants(group))


@torch.library.custom_op("padam::fused_step", mutates_args=("x", "states"))
def _opaque_step(
    rule: str, x: list[Tensor], g: list[Tensor], states: list[Tensor], table: Tensor,
    beta1: float, beta2: float, p: float, l2: float, maximize: bool,
) -> None:  # fmt: skip
    beside = [states[begin : begin + len(x)] for begin in range(0, len(states), len(x))]
    layout = Layout(rule, SimpleNamespace(x=x, g=g, states=dict(zip(STATES, beside, strict=False)), steps=[]))
    backend(layout.device).step(rule, layout, Constants(beta1, beta2, p, l2, maximize), table)
    layout.copy_back()


@_opaque_step.register_fake
def _(*given):
    return None


def _constants(group):
    l2 = group["weight_decay"] if group["decay"] == "l2" else 0.0
    return Constants(*group["betas"], group.get("p", 0.5), l2, bool(group["maximize"]))


def _table(scalars):
    """Rows of what differs from tensor to tensor: alpha_t, eps_t, 1 - lr * weight decay, AdaBound's two bounds.

    One row if all tensors share it, else one for each; a float64 tensor (tensors, 5) if there are vectors.
    """
    columns = [scalars["lr"], scalars["eps"], scalars["shrink"], scalars.get("lower", 0.0), scalars.get("upper", 0.0)]
    if isinstance(scalars["t"], Tensor):
        t = scalars["t"]
        return torch.stack([torch.as_tensor(c, dtype=t.dtype, device=t.device).expand_as(t) for c in columns], 1)
    if isinstance(scalars["t"], list):
        count = len(scalars["t"])
        return list(zip(*(c if isinstance(c, list) else [c] * count for c in columns), strict=True))
    return [columns]


class Layout:
    """Where the tensors of a step lie, after each was found fit for it. It keeps addresses, and no tensor but copies.

    Attributes:
        rows: addresses of x, of g and of each state in the order of STATES, a list each.
        sizes: their numbers of elements.
        counts: addresses of the step counts if they are float32 numbers in the CPU's memory, else None.
        device, dtype: of x; complex tensors are seen as pairs of reals.
        tables: a place for what a backend makes of this.
    """

    def __init__(self, rule, tensors):
        """Check `tensors`, a `base.Tensors`. Raises RuntimeError if one does not fit; nothing has moved then."""
        require(rule, tensors.x)
        _check(rule, tensors)
        self.device, self.dtype = tensors.x[0].device, tensors.x[0].dtype
        lists = [tensors.x, tensors.g, *_states(tensors)]
        dense = _dense(lists)
        self.rows = [list(map(_ADDRESS, some)) for some in dense]
        self.sizes = [tensor.numel() for tensor in tensors.x]
        self.tables = {}
        on_cpu = all(step.is_cpu and step.dtype == torch.float32 and step.numel() == 1 for step in tensors.steps)
        self.counts = None if backend(self.device).ON_DEVICE or not on_cpu else list(map(_ADDRESS, tensors.steps))
        self._copied = [
            (tensor, copy, which != 1)  # gradients are copied and not copied back
            for which, (some, copies) in enumerate(zip(lists, dense, strict=True))
            for tensor, copy in zip(some, copies, strict=True)
            if tensor is not copy
        ]
        self._guards = None
        if TensorGuards is not None and not self._copied:
            key = _everything(tensors)
            shapes, strides = [list(tensor.shape) for tensor in key], [list(tensor.stride()) for tensor in key]
            self._guards = TensorGuards(*key, dynamic_dims_sizes=shapes, dynamic_dims_strides=strides)
            self._addresses = _addresses_but_gradients(tensors)

    def serves(self, tensors):
        """Whether these tensors, too, can be stepped by this layout; it takes over the addresses of gradients then.

        All of the key must be the same: class, dispatch keys (those of negative views and zero tensors are their own),
        dtype, device, shape, strides and, but for gradients, address. A gradient has an address, or no elements.
        """
        if self._guards is None or len(tensors.x) != len(self.sizes):
            return False
        if not self._guards.check(*_everything(tensors)):
            return False
        if _addresses_but_gradients(tensors) != self._addresses:
            return False
        gradients = list(map(_ADDRESS, tensors.g))
        if 0 in gradients and not all(at or not size for at, size in zip(gradients, self.sizes, strict=True)):
            return False
        self.rows[1] = gradients
        return True

    @property
    def serves_again(self):
        """Whether it can: without a key, or with copies, it serves one step only."""
        return self._guards is not None

    def copy_back(self):
        """Bring what a step did to copies to the tensors that they stand for."""
        for tensor, copy, moves in self._copied:
            if moves:
                tensor.copy_(copy)


def _states(tensors):
    return [tensors.states[name] for name in STATES if name in tensors.states]


def _everything(tensors):
    return [*tensors.x, *tensors.g, *chain(*_states(tensors)), *tensors.steps]


def _addresses_but_gradients(tensors):
    return list(map(_ADDRESS, chain(tensors.x, *_states(tensors), tensors.steps)))


def _check(rule, tensors):
    """Raise RuntimeError unless all are plain tensors, in memory, of their parameter's shape, dtype and device."""
    x, states = tensors.x, _states(tensors)
    if others := {str(type(tensor)) for tensor in chain(x, tensors.g, *states) if type(tensor) not in PLAIN}:
        _refuse(rule, f"it takes plain tensors, and some of these are {', '.join(sorted(others))}")
    state_dtype = torch.float32 if x[0].dtype in HALF else x[0].dtype
    beside = [("gradients", tensors.g, x[0].dtype), *(("states", some, state_dtype) for some in states)]
    for what, some, dtype in beside:
        for param, tensor in zip(x, some, strict=True):
            if tensor.shape != param.shape or tensor.dtype != dtype or tensor.device != param.device:
                _refuse(
                    rule,
                    f"their {what} are not of their shape, dtype and device: beside a parameter "
                    f"{_described(param)} is one {_described(tensor)}. Was the model moved, or the state dict of "
                    f"another one loaded? Then make a new optimizer",
                )
    for tensor in chain(x, tensors.g, *states):
        zeros = tensor._is_zerotensor() and any(tensor is g for g in tensors.g)  # has no memory, and can be copied
        if tensor.numel() and not zeros and _ADDRESS(tensor) == 0:
            _refuse(rule, f"one {_described(tensor)} has no memory; was its storage resized to 0?")


def _described(tensor):
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"


def _dense(lists):
    """x, g and the states with all tensors dense and in x's layout: those that are so themselves, others as copies."""
    dense = [list(tensors) for tensors in lists]
    for place, beside in enumerate(zip(*lists, strict=True)):
        x = beside[0]
        stride = x.stride() if is_dense(x) else torch.empty(x.shape, device="meta").stride()
        for which, tensor in enumerate(beside):
            if not is_dense(tensor) or tensor.stride() != stride:
                copy = torch.empty_strided(x.shape, stride, dtype=tensor.dtype, device=tensor.device)
                dense[which][place] = copy.copy_(tensor)
    return dense
