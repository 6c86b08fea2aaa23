"""The bookkeeping that the optimizer classes share: options and their checks, state, weight decay, correction,
state dicts. The mathematics is in `loop.py` and `foreach.py`, the classes themselves are in `optim.py`.
"""

import math
from types import SimpleNamespace

import torch
from torch.optim import Optimizer

from padam import foreach as foreach_form
from padam import loop as loop_form
from padam.catalog import CATALOG, CORRECTIONS, DECAYS, check

# Options of torch's classes that mean nothing here; a loaded state dict leaves them behind.
_FOREIGN = ("amsgrad", "differentiable", "decoupled_weight_decay")
# Warns when a CUDA graph captures a step that was not made for it; torch 2.15 renamed it.
_capture_check = (
    getattr(Optimizer, "_accelerator_graph_capture_health_check", None) or Optimizer._cuda_graph_capture_health_check
)
_TORCH_TO_OURS = {"rho": "beta2", "alpha": "beta2"}


def _one_minus_power(beta, t):
    """1 - beta**t in float64, without cancellation; t is a number or a 0-dim tensor."""
    if beta == 0:
        return t * 0 + 1.0
    return -(torch if isinstance(t, torch.Tensor) else math).expm1(t * math.log(beta))


def _by_our_names(options):
    """A group's options by torch's names -> by the catalog's, as the rules read them."""
    ours = {_TORCH_TO_OURS.get(k, k): v for k, v in options.items() if k != "betas"}
    if "betas" in options:
        ours["beta1"], ours["beta2"] = options["betas"]
    return ours


class Family(Optimizer):
    """Base of the eight classes; each names its rule and lists its options, all of which can differ by group."""

    rule: str

    def __init__(self, params, **options):
        who = type(self).__name__
        if not isinstance(params, torch.Tensor | dict | set):
            params = list(params)  # a generator would be empty the second time
            if not params:
                raise ValueError(
                    f"{who} got an empty parameter list, but needs at least one tensor or group to optimize. Pass "
                    f"model.parameters(); a generator that was already consumed is empty, so make it a list first."
                )
        self._check_options(options)
        super().__init__(params, options)

    def _check_options(self, options):
        who = type(self).__name__
        betas = options.get("betas", (0.9, 0.999))
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ValueError(
                f"{who}: betas is {betas!r}, but must be a pair of two numbers in [0, 1), as (0.9, 0.999)."
            )
        lr = options["lr"]
        if isinstance(lr, torch.Tensor) and lr.numel() != 1:
            raise ValueError(f"{who}: lr is a tensor of {lr.numel()} elements, but must hold exactly one number.")
        check(who, {k: v for k, v in options.items() if k != "betas"} | {"beta1": betas[0], "beta2": betas[1]})
        for key, choices in (("correction", CORRECTIONS), ("decay", DECAYS)):
            if key in options and options[key] not in choices:
                raise ValueError(
                    f"{who}: {key} is {options[key]!r}, but must be one of {', '.join(map(repr, choices))}: "
                    f"see padam.catalog.{key.upper()}S."
                )
        if options["fused"] and options["foreach"]:
            raise RuntimeError(f"{who}: fused=True and foreach=True exclude each other; leave one of them None.")

    def add_param_group(self, param_group):
        """Add a group, its options checked like the constructor's (same errors); see torch's documentation."""
        if isinstance(param_group, dict):
            merged = self.defaults | param_group
            self._check_options(merged)
            if merged["fused"]:
                self._refuse_fused()
        super().add_param_group(param_group)

    def _refuse_fused(self):
        raise RuntimeError(
            f"{type(self).__name__}: fused=True, but no fused kernel serves these tensors. Use fused=None, which "
            f"takes the fastest form there is, or foreach=True."
        )

    def _slots(self, group):
        """Slot name -> (torch's state key, where it starts) for the slots this group's options need."""
        return {
            name: (slot.torch_key, group[slot.start] if isinstance(slot.start, str) else slot.start)
            for name, slot in CATALOG[self.rule].slots.items()
        }

    def _gather(self, group):
        """The group's tensors that have a gradient: (x, g, slots, steps), complex ones seen as pairs of reals."""
        x, g, steps, slots = [], [], [], {name: [] for name in self._slots(group)}
        for param in group["params"]:
            if param.grad is None:
                continue
            if param.grad.is_sparse:
                raise RuntimeError(
                    f"{type(self).__name__} does not support sparse gradients: its state is dense. Build the layer "
                    f"with sparse=False (as in nn.Embedding), or use torch.optim.SparseAdam for it."
                )
            state, real = self.state[param], torch.view_as_real if param.is_complex() else (lambda tensor: tensor)
            if not state:
                device = param.device if group["capturable"] else "cpu"
                state["step"] = torch.zeros((), dtype=torch.float32, device=device)
            for name, (key, start) in self._slots(group).items():
                if key not in state:
                    state[key] = torch.zeros_like(param, memory_format=torch.preserve_format)
                    real(state[key]).fill_(start)
                slots[name].append(real(state[key]))
            x.append(real(param))
            g.append(real(param.grad.resolve_conj()))
            steps.append(state["step"])
        return x, g, slots, steps

    def _settings(self, group, step):
        """alpha_t, eps_t and whatever else the rule reads of step `step` (numbers, or 0-dim tensors if capturable)."""
        t = step.double() if group["capturable"] else step.item()
        lr = group["lr"]
        if isinstance(lr, torch.Tensor):
            lr = lr.reshape(()).to(step.device, torch.float64) if group["capturable"] else lr.item()
        eps, beta1, beta2 = group["eps"], *group.get("betas", (0.0, 0.0))
        c1, c2 = _one_minus_power(beta1, t), _one_minus_power(beta2, t)
        correction = group.get("correction", "none")
        alpha = lr / (1 + (t - 1) * group.get("lr_decay", 0.0))
        if correction == "folded":
            alpha = alpha * c2**0.5 / c1
        elif correction == "exact":
            alpha, eps = alpha * c2 ** group.get("p", 0.5) / c1, eps * c2**0.5
        h = {"lr": alpha, "eps": eps, "t": t, "c1": c1}
        if "final_lr" in group:
            base = group["base_lr"]
            h["final_lr"] = group["final_lr"] * lr / base if base else lr * 0.0
        return lr, h

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step. `closure`, if given, evaluates the model again and returns the loss, which is returned.

        Raises RuntimeError for sparse gradients.
        """
        _capture_check(self)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            x, g, slots, steps = self._gather(group)
            if not x:
                continue
            torch._foreach_add_(steps, 1)
            settings = [self._settings(group, step) for step in steps]
            group_step = _step_loop if group["foreach"] is False else _step_foreach
            group_step(self.rule, group, x, g, slots, settings)
        return loss

    def _refuse_incomplete(self, states):
        needed = {slot.torch_key for slot in CATALOG[self.rule].slots.values()}
        for state in states:
            if missing := sorted(needed - set(state)):
                raise ValueError(
                    f"{type(self).__name__} cannot go on from this state dict: its states have no "
                    f"{', '.join(missing)} (they have {', '.join(state)}). It needs the state of an optimizer that "
                    f"keeps the same quantities; torch's Adam does for Padam and AMSGrad with amsgrad=True."
                )

    def __setstate__(self, state):
        """Take over a loaded or unpickled state: a state dict of this class or of the torch class with the same state.

        Options a loaded dict lacks keep their present values, and `foreach` and `fused` always do: they belong to
        the machine, not to the run. The dict is not aliased. Raises ValueError if it lacks a state this optimizer
        needs, before anything has changed.
        """
        before = [dict(group) for group in self.__dict__.get("param_groups", [])]
        if before:  # loading, not unpickling
            self._refuse_incomplete(state["state"].values())
        super().__setstate__(state)
        for own, group in zip(before, self.param_groups, strict=False):
            if "decoupled_weight_decay" in group:  # torch's Adam and AdamW are one class since torch 2.7
                group["decay"] = "decoupled" if group["decoupled_weight_decay"] else "l2"
            for key in [k for k in _FOREIGN if k in group]:
                del group[key]
            group.update({k: v for k, v in own.items() if k not in group or k in ("foreach", "fused")})
        for group in self.param_groups:
            for param in group["params"]:
                for key, value in self.state.get(param, {}).items():
                    if key == "step":  # a number in old dicts; torch's fused classes keep it on the device
                        device = param.device if group["capturable"] else "cpu"
                        value = torch.as_tensor(value, dtype=torch.float32, device=device)
                    self.state[param][key] = value.clone()  # or it would be the caller's


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


def _step_loop(rule, group, x, g, slots, settings):
    ours = _by_our_names(group)
    for index, (lr, h) in enumerate(settings):
        gradient = _decayed(group, lr, x[index], g[index])
        s = SimpleNamespace(**{name: tensors[index] for name, tensors in slots.items()})
        getattr(loop_form, rule)(x[index], gradient, s, SimpleNamespace(**(ours | h)))


def _step_foreach(rule, group, x, g, slots, settings):
    ours = _by_our_names(group)
    for _, (lists, where) in Optimizer._group_tensors_by_device_and_dtype([x, g, *slots.values()], True).items():
        x, g, *state = lists
        rates, h = [settings[i][0] for i in where], [settings[i][1] for i in where]
        if group["maximize"]:
            g = torch._foreach_neg(g)
        if group["weight_decay"] != 0 and group["decay"] == "l2":
            g = torch._foreach_add(g, x, alpha=group["weight_decay"])
        elif group["weight_decay"] != 0:
            torch._foreach_mul_(x, [1 - lr * group["weight_decay"] for lr in rates])
        s = SimpleNamespace(**dict(zip(slots, state, strict=True)))
        getattr(foreach_form, rule)(x, g, s, SimpleNamespace(**(ours | {k: [one[k] for one in h] for k in h[0]})))
