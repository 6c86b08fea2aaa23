"""Padam and its family as torch.optim.Optimizer classes, and `build`, which knows every optimizer by name.

What torch.optim already has (SGD, Adam, AdamW, ...) is not written again: `build` returns torch's own class. What the
classes share, a step among it, is in `base.py`; the rules are in `loop.py`, `foreach.py` and `fused/`.
"""

import importlib
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch.optim.optimizer import ParamsT

from padam import catalog
from padam.optim.base import Optimizer

__all__ = [
    "Padam",
    "AMSGrad",
    "Yogi",
    "AdaBound",
    "PartialAdagrad",
    "PartialRMSprop",
    "PartialAdadelta",
    "PartialAdamax",
    "build",
]


class Padam(Optimizer):
    """Partially adaptive momentum estimation, Algorithm 1 of Chen et al. (2020).

    x <- x - alpha_t m / (sqrt(v_hat) + eps_t)^(2p), with v_hat the running maximum of v. At p = 1/2 it is
    Amsgrad; at p = 0 SGD-momentum whose rate is lr * (1 - beta1), so lr = 0.1 here is 0.01 of torch's SGD. The state
    has torch's keys, so a state dict of torch.optim.Adam(amsgrad=True) loads.

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate alpha, a number or a 0-dim tensor; default 0.1, the paper's for images.
        betas: decay of the averages m and v; default (0.9, 0.999).
        eps: added to sqrt(v_hat) inside the power, so that the denominator is at least eps^(2p): 0.01 at the
            defaults.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        p: partially adaptive parameter in [0, 1/2]; default 1/8, the paper's for images. Up to 1 it is taken with a
            UserWarning: the paper's proof does not hold there.
        correction: "none" (Algorithm 1, the default), "folded" (the authors' released code) or "exact" (bias
            correction proper); see `padam.catalog.CORRECTIONS`.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: True reads and writes each number once: on a CPU in C, compiled when the first step is taken (half a
            second; it needs a C compiler, and float32 or float64), on CUDA in one Triton kernel (compute capability
            8.0 or more; float32, bfloat16 or float16), not run on a GPU yet. None means False.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "padam"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 0.1,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        p: float = 1 / 8,
        decay: Literal["l2", "decoupled"] = "l2",
        correction: Literal["none", "folded", "exact"] = "none",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them


class AMSGrad(Optimizer):
    """Amsgrad in the paper's form: Adam with the running maximum of v, no correction (Reddi et al., 2018).

    With correction="exact" it is torch.optim.Adam(amsgrad=True).

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate, a number or a 0-dim tensor; default 1e-3.
        betas: decay of the averages m and v; default (0.9, 0.999).
        eps: added to sqrt(v_hat); default 1e-8.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        correction: "none" (default), "folded" or "exact"; see `padam.catalog.CORRECTIONS`.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: True reads and writes each number once: on a CPU in C, compiled when the first step is taken (half a
            second; it needs a C compiler, and float32 or float64), on CUDA in one Triton kernel (compute capability
            8.0 or more; float32, bfloat16 or float16), not run on a GPU yet. None means False.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "amsgrad"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decay: Literal["l2", "decoupled"] = "l2",
        correction: Literal["none", "folded", "exact"] = "none",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them


class Yogi(Optimizer):
    """Adam whose v moves by at most (1 - beta2) g^2 a step, in either direction (Zaheer et al., 2018).

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate, a number or a 0-dim tensor; default 1e-2.
        betas: decay of m and pace of v; default (0.9, 0.999).
        eps: added to sqrt(v); default 1e-3, as its authors advise.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        initial_accumulator: where v starts; default 1e-6. m starts at 0 (in optax and TensorFlow it starts at
            1e-6 too).
        correction: "exact" (default), "none" or "folded"; see `padam.catalog.CORRECTIONS`.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: True reads and writes each number once: on a CPU in C, compiled when the first step is taken (half a
            second; it needs a C compiler, and float32 or float64), on CUDA in one Triton kernel (compute capability
            8.0 or more; float32, bfloat16 or float16), not run on a GPU yet. None means False.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "yogi"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-2,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-3,
        weight_decay: float = 0.0,
        *,
        initial_accumulator: float = 1e-6,
        decay: Literal["l2", "decoupled"] = "l2",
        correction: Literal["none", "folded", "exact"] = "exact",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them


class AdaBound(Optimizer):
    """Adam whose effective rate is clipped between bounds that close on final_lr (Luo et al., 2019).

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate, a number or a 0-dim tensor; default 1e-3.
        betas: decay of the averages m and v; default (0.9, 0.999).
        eps: added to sqrt(v); default 1e-8.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        final_lr: what the bounds close on; default 0.1. It follows a schedule: it is multiplied by lr over the lr
            the group was made with (the group's "base_lr"), or its first lr that was not 0.
        gamma: how fast they close; default 1e-3.
        correction: "folded" (default, as in its authors' code), "none" or "exact", applied before the clip.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: True reads and writes each number once: on a CPU in C, compiled when the first step is taken (half a
            second; it needs a C compiler, and float32 or float64), on CUDA in one Triton kernel (compute capability
            8.0 or more; float32, bfloat16 or float16), not run on a GPU yet. None means False.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "adabound"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        final_lr: float = 0.1,
        gamma: float = 1e-3,
        decay: Literal["l2", "decoupled"] = "l2",
        correction: Literal["none", "folded", "exact"] = "folded",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its lr, unless it brings a base_lr, is what final_lr is relative to from now on."""
        if isinstance(param_group, dict) and "base_lr" in param_group:
            catalog.check(type(self).__name__, {"base_lr": param_group["base_lr"]})
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        group.setdefault("base_lr", float(group["lr"]))

    def _own_options(self, group):
        if not group.get("base_lr"):  # a schedule that began at 0
            group["base_lr"] = float(group["lr"])
        return {**super()._own_options(group), "base_lr": group["base_lr"]}


class PartialAdagrad(Optimizer):
    """Adagrad with the denominator's exponent 2p: x <- x - lr g / (sqrt(sum of g^2) + eps)^(2p).

    From the closing remark of the paper's Section 3; at p = 1/2, the default, it is torch.optim.Adagrad.

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate, a number or a 0-dim tensor; default 1e-2.
        lr_decay: lr is divided by 1 + (t - 1) lr_decay; default 0.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        initial_accumulator_value: where the sum starts; default 0.
        eps: added to the root of the sum; default 1e-10.
        p: partially adaptive parameter in [0, 1/2]; default 1/2. Up to 1 it is taken with a UserWarning.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: there is no fused step of this optimizer; True is refused.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "partial_adagrad"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        p: float = 1 / 2,
        decay: Literal["l2", "decoupled"] = "l2",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them


class PartialRMSprop(Optimizer):
    """RMSprop with the denominator's exponent 2p: x <- x - lr g / (sqrt(v) + eps)^(2p).

    From the closing remark of the paper's Section 3; at p = 1/2, the default, it is torch.optim.RMSprop.

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate, a number or a 0-dim tensor; default 1e-2.
        alpha: decay of the average v; default 0.99.
        eps: added to sqrt(v); default 1e-8.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        momentum: of the step, as in torch's class; default 0.
        centered: subtract the square of the mean gradient from v, as in torch's class; default False.
        p: partially adaptive parameter in [0, 1/2]; default 1/2. Up to 1 it is taken with a UserWarning.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: there is no fused step of this optimizer; True is refused.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "partial_rmsprop"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        p: float = 1 / 2,
        decay: Literal["l2", "decoupled"] = "l2",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them

    def _slots(self, group):
        slots = super()._slots(group)
        if group["momentum"]:
            slots["buffer"] = ("momentum_buffer", 0.0)
        if group["centered"]:
            slots["mean"] = ("grad_avg", 0.0)
        return slots


class PartialAdadelta(Optimizer):
    """Adadelta with exponent p on its ratio: d = ((u + eps) / (v + eps))^p g, x <- x - lr d.

    u is the average of d^2, v of g^2. From the closing remark of the paper's Section 3; at p = 1/2, the default,
    it is torch.optim.Adadelta.

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: multiplies the step, a number or a 0-dim tensor; default 1.
        rho: decay of both averages; default 0.9.
        eps: added to both averages; default 1e-6.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        p: partially adaptive parameter in [0, 1/2]; default 1/2. Up to 1 it is taken with a UserWarning.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: there is no fused step of this optimizer; True is refused.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "partial_adadelta"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        p: float = 1 / 2,
        decay: Literal["l2", "decoupled"] = "l2",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them


class PartialAdamax(Optimizer):
    """AdaMax with exponent 2p: u = max(beta2 u, abs(g) + eps), x <- x - lr / (1 - beta1^t) m / u^(2p).

    From the closing remark of the paper's Section 3; at p = 1/2, the default, it is torch.optim.Adamax.

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate, a number or a 0-dim tensor; default 2e-3.
        betas: decay of the average m and of the maximum u; default (0.9, 0.999).
        eps: added to abs(g); default 1e-8.
        weight_decay: coefficient of the weight decay, 0 or more; default 0.
        p: partially adaptive parameter in [0, 1/2]; default 1/2. Up to 1 it is taken with a UserWarning.
        decay: "l2" (default) adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None (default) or True updates many tensors per launch, on a CPU in blocks that stay in its cache;
            False is the plain loop.
        fused: there is no fused step of this optimizer; True is refused.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        TypeError: an unknown option, or one that is no number where it must be one.
        RuntimeError: `fused=True` where no fused step serves, and why; in a step, sparse gradients.
    """

    rule = "partial_adamax"

    def __init__(
        self,
        params: ParamsT,
        lr: float | torch.Tensor = 2e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        p: float = 1 / 2,
        decay: Literal["l2", "decoupled"] = "l2",
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, locals())  # the base takes the options from them


def build(name: str, params: ParamsT, **options: Any) -> torch.optim.Optimizer:
    """The optimizer called `name` in the catalog over `params`: one of the classes above, or torch's own.

    Args:
        name: "padam", "sgdm", "adam", ... (`padam.catalog.CATALOG`).
        params: tensors, named tensors or parameter groups.
        options: by the class's argument names (`betas`, not beta1); what is not given is the catalog's default.

    Raises ValueError for a name that has no PyTorch class.
    """
    runnable = [entry.name for entry in catalog.CATALOG.values() if entry.torch_class]
    if name not in runnable:
        raise ValueError(f"no PyTorch optimizer is called {name!r} here; there are {', '.join(runnable)}.")
    module, _, cls = catalog.CATALOG[name].torch_class.rpartition(".")
    defaults = catalog.torch_options(name, catalog.CATALOG[name].defaults)
    optimizer: torch.optim.Optimizer = getattr(importlib.import_module(module), cls)(params, **(defaults | options))
    return optimizer
