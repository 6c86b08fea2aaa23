"""The bookkeeping that the optimizer classes share: options and their checks, state, weight decay, correction,
state dicts. The mathematics is in `loop.py` and `foreach.py`, called by `forms.py`; the classes are in `optim.py`.
"""

import math

import torch
from torch.optim import Optimizer

from padam import forms, trial
from padam.catalog import CATALOG, CORRECTIONS, DECAYS, check

# Options of torch's classes that mean nothing here; a loaded state dict leaves them behind.
_FOREIGN = ("amsgrad", "differentiable", "decoupled_weight_decay")
# Warns when a CUDA graph captures a step that was not made for it; torch 2.15 renamed it.
_capture_check = (
    getattr(Optimizer, "_accelerator_graph_capture_health_check", None) or Optimizer._cuda_graph_capture_health_check
)


def _one_minus_power(beta, t):
    """1 - beta**t in float64, without cancellation; t is a number or a 0-dim tensor."""
    if beta == 0:
        return t * 0 + 1.0
    return -(torch if isinstance(t, torch.Tensor) else math).expm1(t * math.log(beta))


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
                params = merged.get("params", ())
                if not isinstance(params, torch.Tensor | set):  # torch refuses a set, for it has no order
                    param_group = {**param_group, "params": list(params)}  # a generator would be empty the second time
                self._check_fused([params] if isinstance(params, torch.Tensor) else param_group["params"])
        super().add_param_group(param_group)

    def _check_fused(self, params):
        """Raise RuntimeError unless a fused step serves these tensors, or pairs of a name and a tensor."""
        tensors = [param[1] if isinstance(param, tuple) else param for param in params]
        tensors = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor)]  # torch's own check refuses others
        forms.check_fused(self.rule, {(tensor.device, tensor.dtype) for tensor in tensors})

    def _takes_fused(self, group):
        """Whether a group's step is the fused one: because it is asked for, or chosen where nothing is."""
        if group["fused"] is None and group["foreach"] is None:
            return trial.chosen(type(self), group["params"])
        return bool(group["fused"])

    def _counts_on_device(self, group):
        """Whether a group's step counts lie where its parameters do, instead of on the CPU."""
        return group["capturable"] or self._takes_fused(group)

    @property
    def _step_supports_amp_scaling(self):
        """Whether GradScaler leaves unscaling, and leaving a step out, to the step itself, as to torch's fused ones."""
        return all(
            self._takes_fused(group)
            and all(getattr(forms.kernel(x.device), "ON_DEVICE", False) for x in group["params"])
            for group in self.param_groups
        )

    def _slots(self, group):
        """Slot name -> (torch's state key, where it starts) for the slots this group's options need."""
        return {
            name: (slot.torch_key, group[slot.start] if isinstance(slot.start, str) else slot.start)
            for name, slot in CATALOG[self.rule].slots.items()
        }

    def _gather(self, group):
        """The group's tensors that have a gradient: (x, g, slots, steps), complex ones seen as pairs of reals."""
        grads = [param.grad for param in group["params"]]
        x = [param for param, grad in zip(group["params"], grads, strict=True) if grad is not None]
        g = [grad for grad in grads if grad is not None]
        if any(grad.is_sparse for grad in g):
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients: its state is dense. Build the layer "
                f"with sparse=False (as in nn.Embedding), or use torch.optim.SparseAdam for it."
            )
        kinds, states = self._slots(group), [self.state[param] for param in x]
        try:
            steps = [state["step"] for state in states]
            slots = {name: [state[key] for state in states] for name, (key, _) in kinds.items()}
        except KeyError:  # a first step, or an option was changed to one that needs another slot
            on_device = self._counts_on_device(group)
            for param, state in zip(x, states, strict=True):
                self._begin(param, state, kinds, on_device)
            return self._gather(group)
        if any(map(torch.Tensor.is_complex, x)):
            x, slots = forms.reals(x), {name: forms.reals(tensors) for name, tensors in slots.items()}
            g = forms.reals([grad.resolve_conj() for grad in g])
        return x, g, slots, steps

    def _begin(self, param, state, kinds, on_device):
        """Give a parameter's state what it lacks, the step count on the parameter's device or on the CPU."""
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=param.device if on_device else "cpu")
        for key, start in kinds.values():
            if key not in state:
                dtype = torch.float32 if param.dtype in forms.SHORT else param.dtype
                state[key] = torch.zeros_like(param, dtype=dtype, memory_format=torch.preserve_format)
                forms.reals([state[key]])[0].fill_(start)

    def _all_settings(self, group, steps):
        """`_settings` of every tensor's next step; those at the same, most often all, share them."""
        if group["capturable"] or not all(step.is_cpu for step in steps):
            return self._settings_on_device(group, steps)
        counts = [step.item() + 1 for step in steps]
        known = {t: self._settings(group, t) for t in set(counts)}
        return [known[t] for t in counts]

    def _settings_on_device(self, group, steps):
        """The same as 0-dim tensors, worked out for all tensors of a device together."""
        found = [None] * len(steps)
        for device in {step.device for step in steps}:
            where = [i for i, step in enumerate(steps) if step.device == device]
            lr, h = self._settings(group, torch.stack([steps[i] for i in where]).double() + 1)
            for place, i in enumerate(where):
                found[i] = lr, {key: v[place] if getattr(v, "ndim", 0) else v for key, v in h.items()}
        return found

    def _settings(self, group, t):
        """lr, and alpha_t, eps_t and whatever else the rule reads of step t; t is a number or a vector of them."""
        lr = group["lr"]
        if isinstance(lr, torch.Tensor):
            lr = lr.reshape(()).to(t.device, torch.float64) if isinstance(t, torch.Tensor) else lr.item()
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
        scale, found = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)  # from GradScaler
        known = self.__dict__.setdefault("_known", {})  # of fused steps; it is no part of a state dict
        for place, group in enumerate(self.param_groups):
            x, g, slots, steps = self._gather(group)
            if not x:
                continue
            settings = self._all_settings(group, steps)
            fused = self._takes_fused(group)
            form = forms.fused if fused else forms.loop if group["foreach"] is False else forms.foreach
            more = {} if found is None else {"scaler": (scale, found)}
            if fused:
                more |= {"steps": steps, "known": known.setdefault(place, {})}
            if not form(self.rule, group, x, g, slots, settings, **more):
                self._count(steps, settings, found)  # a step that fails does not count
        return loss

    def _count(self, steps, settings, found):
        """Add one to the step counts; nothing where a gradient was infinite (`found` is GradScaler's, or None)."""
        shared = settings[0]
        if found is None and isinstance(shared[1]["t"], float) and all(own is shared for own in settings):
            # They are all on the CPU and the same: copying is several times faster there than adding.
            steps[0].fill_(shared[1]["t"])
            torch._foreach_copy_(steps, [steps[0]] * len(steps))
            return
        for device in {step.device for step in steps}:
            one = 1.0 if found is None else (found == 0).float().reshape(()).to(device, non_blocking=True)
            torch._foreach_add_([step for step in steps if step.device == device], one)

    def load_state_dict(self, state_dict):
        """As torch's, but for parameters of 16 bits, whose states are float32 and stay what they were when saved."""
        given = {}
        last = self.register_load_state_dict_pre_hook(lambda _, final: given.update(final))  # after the user's hooks
        try:
            super().load_state_dict(state_dict)
        finally:
            last.remove()
        saved = [i for group in given["param_groups"] for i in group["params"]]
        params = [param for group in self.param_groups for param in group["params"]]
        for param, i in zip(params, saved, strict=True):
            if param.dtype in forms.SHORT:
                for key, value in given["state"].get(i, {}).items():
                    if key != "step" and isinstance(value, torch.Tensor):
                        self.state[param][key] = value.to(param.device, torch.float32, copy=True)

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
        self.__dict__.pop("_known", None)  # it would keep the states of before
        super().__setstate__(state)
        for own, group in zip(before, self.param_groups, strict=False):
            if "decoupled_weight_decay" in group:  # torch's Adam and AdamW are one class since torch 2.7
                group["decay"] = "decoupled" if group["decoupled_weight_decay"] else "l2"
            for key in [k for k in _FOREIGN if k in group]:
                del group[key]
            group.update({k: v for k, v in own.items() if k not in group or k in ("foreach", "fused")})
        for group in self.param_groups:
            on_device = self._counts_on_device(group)
            for param in group["params"]:
                for key, value in self.state.get(param, {}).items():
                    if key == "step":  # a number in old dicts; torch's fused classes keep it on the device
                        device = param.device if on_device else "cpu"
                        value = torch.as_tensor(value, dtype=torch.float32, device=device)
                    self.state[param][key] = value.clone()  # or it would be the caller's
