"""Padam and its family as torch.optim.Optimizer classes, and `build`, which knows every optimizer by name.

What torch.optim already has (SGD, Adam, AdamW, ...) is not written again: `build` returns torch's own class.
"""

import importlib

from padam import catalog
from padam.shell import Family


def _documented(cls):
    """Append what the eight classes share to the class's docstring."""
    cls.__doc__ += """
    Shared options:
        weight_decay: coefficient of the weight decay, 0 or more.
        decay: "l2" adds weight_decay * x to the gradient; "decoupled" multiplies x by 1 - lr * weight_decay,
            as AdamW does.
        maximize: ascend instead of descend.
        foreach: None or True updates many tensors per launch, on a CPU in blocks that stay in its cache; False is
            the plain loop.
        fused: True reads and writes each number once, for Padam, AMSGrad, Yogi and AdaBound. On a CPU that is a step in
            C, compiled when it is first taken (half a second; it needs a C compiler, and float32 or float64); on
            CUDA one Triton kernel (compute capability 8.0 or more; float32, bfloat16 or float16). None chooses the
            kernel where it serves, unless `foreach` is given; no GPU that we know of has run it, so a process that is
            about to choose it tries it there first, for seconds, against the loop. On a CPU None never chooses it.
        capturable: keep the step count on the device, so that a CUDA graph can capture the step.

    Any option can be set per parameter group. lr may be a 0-dim tensor.

    Raises:
        ValueError: an option outside its range (`padam.catalog.LIMITS`), or no parameters.
        RuntimeError: sparse gradients, or `fused=True` where no fused step serves; it says why.
    """
    return cls


def _arguments(given):
    """The options among an __init__'s locals."""
    return {k: v for k, v in given.items() if k not in ("self", "__class__")}


@_documented
class Padam(Family):
    """Partially adaptive momentum estimation, Algorithm 1 of Chen et al. (2020).

    x <- x - alpha_t m / (sqrt(v_hat) + eps_t)^(2p), with v_hat the running maximum of v. At p = 1/2 it is
    Amsgrad; at p = 0 SGD-momentum whose rate is lr * (1 - beta1), so lr = 0.1 here is 0.01 of torch's SGD.

    Args:
        params: tensors, named tensors or parameter groups, as every torch optimizer takes them.
        lr: base learning rate alpha; default 0.1, the paper's for images.
        betas: decay of the averages m and v; default (0.9, 0.999).
        eps: added to sqrt(v_hat) inside the power, so that the denominator is at least eps^(2p): 0.01 at the
            defaults.
        p: partially adaptive parameter in [0, 1/2]; default 1/8, the paper's for images.
        correction: "none" (Algorithm 1, the default), "folded" (the authors' released code) or "exact" (bias
            correction proper); see `padam.catalog.CORRECTIONS`.

    The state has torch's keys, so a state dict of torch.optim.Adam(amsgrad=True) loads.
    """

    rule = "padam"

    def __init__(
        self, params, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *, p=1 / 8, decay="l2",
        correction="none", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))


@_documented
class AMSGrad(Family):
    """Amsgrad in the paper's form: Adam with the running maximum of v, no correction (Reddi et al., 2018).

    With correction="exact" it is torch.optim.Adam(amsgrad=True).

    Args:
        params: tensors, named tensors or parameter groups.
        lr: base learning rate; default 1e-3.
        betas: decay of the averages m and v; default (0.9, 0.999).
        eps: added to sqrt(v_hat); default 1e-8.
        correction: "none" (default), "folded" or "exact"; see `padam.catalog.CORRECTIONS`.
    """

    rule = "amsgrad"

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *, decay="l2",
        correction="none", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))


@_documented
class Yogi(Family):
    """Adam whose v moves by at most (1 - beta2) g^2 a step, in either direction (Zaheer et al., 2018).

    Args:
        params: tensors, named tensors or parameter groups.
        lr: base learning rate; default 1e-2.
        betas: decay of m and pace of v; default (0.9, 0.999).
        eps: added to sqrt(v); default 1e-3, as its authors advise.
        initial_accumulator: where v starts; default 1e-6. m starts at 0 (in optax and TensorFlow it starts at
            1e-6 too).
        correction: "exact" (default), "none" or "folded"; see `padam.catalog.CORRECTIONS`.
    """

    rule = "yogi"

    def __init__(
        self, params, lr=1e-2, betas=(0.9, 0.999), eps=1e-3, weight_decay=0.0, *, initial_accumulator=1e-6,
        decay="l2", correction="exact", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))


@_documented
class AdaBound(Family):
    """Adam whose effective rate is clipped between bounds that close on final_lr (Luo et al., 2019).

    Args:
        params: tensors, named tensors or parameter groups.
        lr: base learning rate; default 1e-3.
        betas: decay of the averages m and v; default (0.9, 0.999).
        eps: added to sqrt(v); default 1e-8.
        final_lr: what the bounds close on; default 0.1. It follows a schedule: it is multiplied by lr over the lr
            the group was made with (the group's "base_lr").
        gamma: how fast they close; default 1e-3.
        correction: "folded" (default, as in its authors' code), "none" or "exact", applied before the clip.
    """

    rule = "adabound"

    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *, final_lr=0.1, gamma=1e-3,
        decay="l2", correction="folded", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))

    def add_param_group(self, param_group):
        """Add a group; its lr, unless it brings a base_lr, is what final_lr is relative to from now on."""
        if isinstance(param_group, dict):
            lr = param_group.get("lr", self.defaults["lr"])
            if isinstance(lr, int | float) or getattr(lr, "numel", lambda: 0)() == 1:  # else the check will object
                param_group.setdefault("base_lr", float(lr))
        super().add_param_group(param_group)


@_documented
class PartialAdagrad(Family):
    """Adagrad with the denominator's exponent 2p: x <- x - lr g / (sqrt(sum of g^2) + eps)^(2p).

    From the closing remark of the paper's Section 3; at p = 1/2, the default, it is torch.optim.Adagrad.

    Args:
        params: tensors, named tensors or parameter groups.
        lr: base learning rate; default 1e-2.
        lr_decay: lr is divided by 1 + (t - 1) lr_decay; default 0.
        initial_accumulator_value: where the sum starts; default 0.
        eps: added to the root of the sum; default 1e-10.
        p: partially adaptive parameter in [0, 1/2]; default 1/2.
    """

    rule = "partial_adagrad"

    def __init__(
        self, params, lr=1e-2, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0, eps=1e-10, *,
        p=1 / 2, decay="l2", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))


@_documented
class PartialRMSprop(Family):
    """RMSprop with the denominator's exponent 2p: x <- x - lr g / (sqrt(v) + eps)^(2p).

    From the closing remark of the paper's Section 3; at p = 1/2, the default, it is torch.optim.RMSprop.

    Args:
        params: tensors, named tensors or parameter groups.
        lr: base learning rate; default 1e-2.
        alpha: decay of the average v; default 0.99.
        eps: added to sqrt(v); default 1e-8.
        momentum: of the step, as in torch's class; default 0.
        centered: subtract the square of the mean gradient from v, as in torch's class; default False.
        p: partially adaptive parameter in [0, 1/2]; default 1/2.
    """

    rule = "partial_rmsprop"

    def __init__(
        self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, *,
        p=1 / 2, decay="l2", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))

    def _slots(self, group):
        slots = super()._slots(group)
        if group["momentum"]:
            slots["buffer"] = ("momentum_buffer", 0.0)
        if group["centered"]:
            slots["mean"] = ("grad_avg", 0.0)
        return slots


@_documented
class PartialAdadelta(Family):
    """Adadelta with exponent p on its ratio: d = ((u + eps) / (v + eps))^p g, x <- x - lr d.

    u is the average of d^2, v of g^2. From the closing remark of the paper's Section 3; at p = 1/2, the default,
    it is torch.optim.Adadelta.

    Args:
        params: tensors, named tensors or parameter groups.
        lr: multiplies the step; default 1.
        rho: decay of both averages; default 0.9.
        eps: added to both averages; default 1e-6.
        p: partially adaptive parameter in [0, 1/2]; default 1/2.
    """

    rule = "partial_adadelta"

    def __init__(
        self, params, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0, *,
        p=1 / 2, decay="l2", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))


@_documented
class PartialAdamax(Family):
    """AdaMax with exponent 2p: u = max(beta2 u, abs(g) + eps), x <- x - lr / (1 - beta1^t) m / u^(2p).

    From the closing remark of the paper's Section 3; at p = 1/2, the default, it is torch.optim.Adamax.

    Args:
        params: tensors, named tensors or parameter groups.
        lr: base learning rate; default 2e-3.
        betas: decay of the average m and of the maximum u; default (0.9, 0.999).
        eps: added to abs(g); default 1e-8.
        p: partially adaptive parameter in [0, 1/2]; default 1/2.
    """

    rule = "partial_adamax"

    def __init__(
        self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, *,
        p=1 / 2, decay="l2", maximize=False, foreach=None, fused=None, capturable=False,
    ):  # fmt: skip
        super().__init__(**_arguments(locals()))


def build(name, params, **options):
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
    entry = catalog.CATALOG[name]
    module, _, cls = entry.torch_class.rpartition(".")
    defaults = catalog.torch_options(name, entry.defaults)
    return getattr(importlib.import_module(module), cls)(params, **(defaults | options))
