"""The forms of a step over the tensors of a group: one tensor at a time, many at a time, and all in one pass (fused).

Each is called as form(rule, group, x, g, slots, settings): x and g are lists of tensors and of their gradients, `slots`
{name: list of states beside x}, `settings` a list of (lr, what the rule reads) beside x. All move x and the states in
place. Numbers of 16 bits are stepped in float32, in which their states are, and rounded once.
"""

from functools import lru_cache
from types import SimpleNamespace

import torch
from torch.optim import Optimizer

from padam import foreach as foreach_rules
from padam import loop as loop_rules
from padam import memory
from padam.catalog import CATALOG

SHORT = (torch.bfloat16, torch.float16)
PLAIN = {torch.Tensor, torch.nn.Parameter}  # what a fused step takes: a class of somebody's own may lie anywhere
_DTYPE, _DEVICE = torch.Tensor.dtype.__get__, torch.Tensor.device.__get__
_TORCH_TO_OURS = {"rho": "beta2", "alpha": "beta2"}


def by_our_names(options):
    """A group's options by torch's names -> by the catalog's, as the rules read them."""
    ours = {_TORCH_TO_OURS.get(k, k): v for k, v in options.items() if k != "betas"}
    if "betas" in options:
        ours["beta1"], ours["beta2"] = options["betas"]
    return ours


def reals(tensors):
    """Complex tensors as pairs of reals, which share their memory; real ones as they are."""
    return [torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors]


def _decayed(group, lr, x, g):
    """The gradient the rule sees, and x shrunk in place if the decay is decoupled: one tensor."""
    if group["maximize"]:
        g = -g
    if group["weight_decay"] == 0:
        return g
    if group["decay"] == "l2":
        return g.add(x, alpha=group["weight_decay"])
    x.mul_(1 - lr * group["weight_decay"])
    return g


def loop(rule, group, x, g, slots, settings):
    """One tensor after the other: the truth that the other forms are compared with."""
    ours = by_our_names(group)
    for index, (lr, h) in enumerate(settings):
        short = x[index].dtype in SHORT
        one, gradient = (x[index].float(), g[index].float()) if short else (x[index], g[index])
        gradient = _decayed(group, lr, one, gradient)
        s = SimpleNamespace(**{name: tensors[index] for name, tensors in slots.items()})
        getattr(loop_rules, rule)(one, gradient, s, SimpleNamespace(**(ours | h)))
        if short:
            x[index].copy_(one)


def _parts(x, *beside):
    """[((device, dtype), x, the lists beside it, the places of these tensors), ...], a part for each kind of x."""
    found = Optimizer._group_tensors_by_device_and_dtype([x], True)
    for (tensors,), where in found.values():
        kind = tensors[0].device, tensors[0].dtype  # the key says None while torch compiles
        yield kind, tensors, beside if len(found) == 1 else [[some[i] for i in where] for some in beside], where


def foreach(rule, group, x, g, slots, settings):
    """Many tensors at a time by torch._foreach_*; on a CPU in blocks that stay in its cache."""
    ours = by_our_names(group)
    for (device, dtype), tensors, beside, where in _parts(x, g, *slots.values()):
        lists, short = [tensors, *beside], dtype in SHORT
        if short:
            lists[:2] = ([tensor.float() for tensor in some] for some in lists[:2])
        for block, owners in memory.blocks(lists) if device.type == "cpu" else [(lists, range(len(where)))]:
            _block(rule, group, ours, slots, block, [settings[where[i]] for i in owners])
        if short:
            torch._foreach_copy_(tensors, lists[0])


def _block(rule, group, ours, slots, lists, settings):
    x, g, *state = lists
    if group["maximize"]:
        g = torch._foreach_neg(g)
    if group["weight_decay"] != 0 and group["decay"] == "l2":
        g = torch._foreach_add(g, x, alpha=group["weight_decay"])
    elif group["weight_decay"] != 0:
        torch._foreach_mul_(x, [1 - lr * group["weight_decay"] for lr, _ in settings])
    h = {key: [own[key] for _, own in settings] for key in settings[0][1]}
    s = SimpleNamespace(**dict(zip(slots, state, strict=True)))
    getattr(foreach_rules, rule)(x, g, s, SimpleNamespace(**(ours | h)))


@lru_cache
def kernel(device):
    """The module whose `step` is the fused one on a device: in C for a CPU, in Triton for CUDA, else None."""
    if device.type == "cpu":
        from padam import compiled as found  # not before it is asked for: most never do
    elif device.type == "cuda":
        from padam import fused as found
    else:
        found = None
    return found


def check_fused(rule, kinds):
    """Raise RuntimeError unless a fused step serves tensors of these kinds, (device, dtype)."""
    reason = None
    for device in {device for device, _ in kinds}:
        if kernel(device) is None:
            reason = f"there is one for the CPU and one for CUDA, and some of them are on {device.type}"
        else:
            reason = reason or kernel(device).refusal(rule, [kind for kind in kinds if kind[0] == device])
    if reason:
        _refuse(rule, reason)


def _refuse(rule, reason):
    who = CATALOG[rule].torch_class.rpartition(".")[2]
    raise RuntimeError(
        f"{who}: fused=True, but no fused step serves these tensors: {reason}. Use fused=None, which takes the fastest "
        f"form there is, or foreach=True."
    )


def _check_beside(rule, kind, x, g, states):
    """Raise RuntimeError unless what lies beside x is of its size and kind: a fused step goes by addresses."""
    if others := {type(tensor) for tensors in (x, g) for tensor in tensors} - PLAIN:
        _refuse(rule, f"it takes plain tensors, and some of these are {', '.join(sorted(map(str, others)))}")
    sizes, wide = list(map(torch.Tensor.numel, x)), torch.float32 if kind[1] in SHORT else kind[1]
    for what, tensors, dtype in (("gradients", g, kind[1]), *(("states", tensors, wide) for tensors in states)):
        alike = set(map(_DTYPE, tensors)) == {dtype} and set(map(_DEVICE, tensors)) == {kind[0]}
        if not alike or list(map(torch.Tensor.numel, tensors)) != sizes:
            _refuse(rule, f"their {what} are not of their size, dtype and device; was the model moved, or the state "
                    f"dict of another one loaded? Then make a new optimizer")  # fmt: skip


_ready = set()  # (rule, (device, dtype), p) whose fused step has been asked for and is there


def fused(rule, group, x, g, slots, settings, steps, known, **scaler):
    """Every number read once and written once, by the device's kernel; `scaler` as `padam.fused.step` takes it.

    `known` is a dict that lasts from step to step, {} at first. Returns whether the step is counted in `steps` too.
    """
    if (last := known.get("last")) and last.step(rule, x, g, slots, steps, settings, group):
        torch.autograd.graph.increment_version(x)
        return True
    parts, p = list(_parts(x, g, *slots.values())), group.get("p", 0.5)
    for kind, tensors, (gradients, *states), _ in parts:  # what can fail comes before the first part moves
        if (rule, kind, p) not in _ready:
            check_fused(rule, [kind])  # again, for a model may have been moved
            kernel(kind[0]).prepare(rule, kind[1], p)
            _ready.add((rule, kind, p))
        _check_beside(rule, kind, tensors, gradients, states)
    for (device, _), tensors, (gradients, *states), where in parts:
        if any(map(torch.is_neg, gradients)):  # imaginary parts of what was conjugated
            gradients = [gradient.resolve_neg() for gradient in gradients]
        chosen = [settings[i] for i in where]
        kernel(device).step(rule, tensors, gradients, dict(zip(slots, states, strict=True)), chosen, group, **scaler)
        torch.autograd.graph.increment_version(tensors)  # so that a graph from before the step is noticed
    about = getattr(kernel(parts[0][0][0]), "Known", None) if len(parts) == 1 else None
    known["last"] = about and about(x, slots, steps)
    return False
