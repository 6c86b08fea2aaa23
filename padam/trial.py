"""Whether the fused step may be chosen where nobody has asked for it: tried on the device first, against the loop.

No GPU that we know of has run the kernel. So before a process takes it by default, it takes a few steps of it.
"""

import logging

import torch

from padam import forms

AUTOMATIC = ("cuda",)  # types of devices on which it is chosen; on a CPU it would need a compiler
_SIZES = ((), (1,), (0,), (1023,), (33, 65))  # a last block that is full, one that is not, several
_TOLERANCE = {torch.bfloat16: 2**-5, torch.float16: 2**-8}  # four places; of other numbers 1e-4
_tried = {}  # (rule, device, dtype) -> whether it agreed


def chosen(owner, params):
    """Whether an optimizer of the class `owner` takes the fused step for these tensors if fused=None.

    All of them must be plain tensors on devices where it is right.
    """
    if not params or params[0].device.type not in AUTOMATIC or torch.compiler.is_compiling():
        return False
    kinds = {(type(param), param.device, param.dtype) for param in params}
    return all(kind in forms.PLAIN and _right(owner, device, dtype) for kind, device, dtype in kinds)


def _right(owner, device, dtype):
    kind = owner.rule, device, dtype
    if kind not in _tried:
        if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            return False  # no time to try it
        serves = device.type in AUTOMATIC and forms.kernel(device).refusal(owner.rule, [kind[1:]]) is None
        _tried[kind] = serves and _agrees(owner, device, dtype)
    return _tried[kind]


def _agrees(owner, device, dtype):
    """Whether three fused steps are the loop's; where they are not, a warning of the log says so."""
    drawn, tolerance = torch.Generator().manual_seed(0), _TOLERANCE.get(dtype, 1e-4)
    values = [[torch.randn(size, generator=drawn).to(device, dtype) for size in _SIZES] for _ in range(4)]
    try:
        loop, fused = (_stepped(owner, values, options) for options in ({"foreach": False}, {"fused": True}))
        torch.testing.assert_close(fused, loop, rtol=tolerance, atol=tolerance)
    except Exception as error:  # of whatever kind: training goes on without it
        logging.getLogger("padam").warning(
            "the fused step of %s is not taken for %s on %s, where it does not do what the loop does: %s",
            owner.rule, dtype, device, error,
        )  # fmt: skip
        return False
    return True


def _stepped(owner, values, options):
    """The weights and their states after a step for each row of `values` but the first."""
    ours = next(cls for cls in owner.__mro__ if "rule" in vars(cls))  # and not somebody's class over it
    params = [torch.nn.Parameter(value.clone()) for value in values[0]]
    optimizer = ours(params, lr=0.3, weight_decay=0.1, **options)  # so large that short numbers show it
    for gradients in values[1:]:
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = gradient
        optimizer.step()
    states = [[value for key, value in state.items() if key != "step"] for state in optimizer.state.values()]
    return [[param.detach() for param in params], states]
