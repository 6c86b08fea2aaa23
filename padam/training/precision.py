"""In which floating point format a network computes: chosen for the device, said in the record.

No GPU has run the half-precision paths of this file yet.
"""

import contextlib

import torch

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose(precision, device, text=False):
    """What "auto" means: bf16 on CUDA of compute capability 8.0 and later, fp16 below it; fp32 on a CPU and for a text.

    Raises ValueError for a name not in `PRECISIONS`, and for half precision on a CPU, where it is slower.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"no precision is called {precision!r}; there are {', '.join(PRECISIONS)}.")
    if device.type != "cuda":
        if precision in _DTYPES:
            raise ValueError(f"{precision} is for CUDA; on {device.type} it would only be slower. Use fp32 or auto.")
        return "fp32"
    if precision == "auto":
        if text:
            return "fp32"
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return precision


def autocast(precision, device):
    """The context in which the network and the loss are computed; the weights stay float32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, _DTYPES[precision])


def scaler(precision, device):
    """A GradScaler for fp16, whose small gradients would be 0 otherwise; None for the others."""
    return torch.amp.GradScaler(device.type) if precision == "fp16" else None
