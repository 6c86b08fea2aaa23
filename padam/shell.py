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
_ONE = torch.ones(())  # added to step counts on the CPU, where a Python number would be made a tensor for each
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
                params = merged.get("params", ())
                self._check_fused([params] if isinstance(params, torch.Tensor) else list(params))
        super().add_param_group(param_group)

    def _check_fused(self, params):
        """Raise RuntimeError unless a fused step serves these tensors, or pairs of a name and a tensor."""
        tensors = [param[1] if isinstance(param, tuple) else param for param in params]
        tensors = [tensor for tensor in tensors if isinstance(tensor, torch.Tensor)]  # torch's own check refuses others
        _check_fused(self.rule, {(tensor.device, tensor.dtype) for tensor in tensors})

    def _slots(self, group):
        """Slot name -> (torch's state key, where it starts) for the slots this group's options need."""
        return {
            name: (slot.torch_key, group[slot.start] if isinstance(slot.start, str) else slot.start)
            for name, slot in CATALOG[self.rule].slots.items()
        }

    def _gather(self, group):
        """The group's tensors that have a gradient: (x, g, slots, steps), complex ones seen as pairs of reals."""
        x = [param for param in group["params"] if param.grad is not None]
        g = [param.grad for param in x]
        if any(grad.is_sparse for grad in g):
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients: its state is dense. Build the layer "
                f"with sparse=False (as in nn.Embedding), or use torch.optim.SparseAdam for it."
            )
        kinds, states = self._slots(group), [self.state[param] for param in x]
        for param, state in zip(x, states, strict=True):
            if len(state) <= len(kinds):  # a whole one has the step count beside them
                self._begin(param, state, kinds, group["capturable"])
        slots = {name: [state[key] for state in states] for name, (key, _) in kinds.items()}
        if any(param.is_complex() for param in x):
            x, slots = _reals(x), {name: _reals(tensors) for name, tensors in slots.items()}
            g = _reals([grad.resolve_conj() for grad in g])
        return x, g, slots, [state["step"] for state in states]

    def _begin(self, param, state, kinds, capturable):
        """Give a parameter's state what it lacks: all of it at its first step, new slots when options have changed."""
        if not state:
            device = param.device if capturable else "cpu"
            state["step"] = torch.zeros((), dtype=torch.float32, device=device)
        for key, start in kinds.values():
            if key not in state:
                state[key] = torch.zeros_like(param, memory_format=torch.preserve_format)
                _reals([state[key]])[0].fill_(start)

    def _all_settings(self, group, steps):
        """`_settings` of every tensor's next step; those at the same, most often all, share them."""
        if group["capturable"]:
            return [self._settings(group, step.double() + 1) for step in steps]
        counts = [step.item() + 1 for step in steps]
        known = {t: self._settings(group, t) for t in set(counts)}
        return [known[t] for t in counts]

    def _settings(self, group, t):
        """alpha_t, eps_t and whatever else the rule reads of step t (numbers, or 0-dim tensors if capturable)."""
        lr = group["lr"]
        if isinstance(lr, torch.Tensor):
            lr = lr.reshape(()).to(t.device, torch.float64) if group["capturable"] else lr.item()
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
            settings = self._all_settings(group, steps)
            form = _step_fused if group["fused"] else _step_loop if group["foreach"] is False else _step_foreach
            form(self.rule, group, x, g, slots, settings)
            torch._foreach_add_(steps, _ONE if steps[0].is_cpu else 1)  # a step that fails does not count
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


def _reals(tensors):
    """Complex tensors as pairs of reals, which share their memory; real ones as they are."""
    return [torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors]


def _step_loop(rule, group, x, g, slots, settings):
    ours = _by_our_names(group)
    for index, (lr, h) in enumerate(settings):
        gradient = _decayed(group, lr, x[index], g[index])
        s = SimpleNamespace(**{name: tensors[index] for name, tensors in slots.items()})
        getattr(loop_form, rule)(x[index], gradient, s, SimpleNamespace(**(ours | h)))


def _step_foreach(rule, group, x, g, slots, settings):
    ours = _by_our_names(group)
    for _, (lists, where) in Optimizer._group_tensors_by_device_and_dtype([x, g, *slots.values()], True).items():
        for block, owners in _blocks(lists) if lists[0][0].is_cpu else [(lists, range(len(where)))]:
            chosen = [settings[where[i]] for i in owners]
            x, g, *state = block
            if group["maximize"]:
                g = torch._foreach_neg(g)
            if group["weight_decay"] != 0 and group["decay"] == "l2":
                g = torch._foreach_add(g, x, alpha=group["weight_decay"])
            elif group["weight_decay"] != 0:
                torch._foreach_mul_(x, [1 - lr * group["weight_decay"] for lr, _ in chosen])
            h = {key: [own[key] for _, own in chosen] for key in chosen[0][1]}
            s = SimpleNamespace(**dict(zip(slots, state, strict=True)))
            getattr(foreach_form, rule)(x, g, s, SimpleNamespace(**(ours | h)))


def _check_fused(rule, kinds):
    """Raise RuntimeError unless a fused step serves tensors of these kinds, (device, dtype)."""
    from padam import compiled  # not before it is asked for: most never do

    if elsewhere := sorted({device.type for device, _ in kinds} - {"cpu"}):
        reason = f"there is one for the CPU, and some of them are on {', '.join(elsewhere)}"
    else:
        reason = compiled.refusal(rule, [dtype for _, dtype in kinds])
    if reason:
        who = CATALOG[rule].torch_class.rpartition(".")[2]
        raise RuntimeError(
            f"{who}: fused=True, but no fused step serves these tensors: {reason}. Use fused=None, which takes the "
            f"fastest form there is, or foreach=True."
        )


def _step_fused(rule, group, x, g, slots, settings):
    from padam import compiled

    parts = Optimizer._group_tensors_by_device_and_dtype([x, g, *slots.values()], True)
    _check_fused(rule, parts)  # again, for a model may have been moved
    for _, dtype in parts:
        compiled.prepare(rule, dtype, group.get("p", 0.5))  # whatever can fail comes before the first part moves
    for lists, where in parts.values():
        x, g, *state = lists
        compiled.step(rule, x, g, dict(zip(slots, state, strict=True)), [settings[i] for i in where], group)


_BLOCK = 2**19  # elements; what a rule reads and writes of so many stays in the cache from pass to pass


def _blocks(lists):
    """The lists beside each other in blocks of about `_BLOCK` elements, each with the places of its tensors.

    Large tensors are cut into flat views, small ones are put together. A rule passes over its tensors a dozen times;
    over a block at a time, only the first pass reads from memory.
    """
    sizes, start, held = [tensor.numel() for tensor in lists[0]], 0, 0
    if sum(sizes) <= _BLOCK:
        yield lists, range(len(sizes))
        return
    for place, size in enumerate([*sizes, None]):
        large = size is not None and size > _BLOCK and _flat([tensors[place] for tensors in lists])
        if held and (size is None or large or held + size > _BLOCK):
            yield [tensors[start:place] for tensors in lists], range(start, place)
            start, held = place, 0
        if large:
            for parts in zip(*(_cut(tensors[place]) for tensors in lists), strict=True):
                yield [[part] for part in parts], (place,)
            start = place + 1
        else:
            held += size or 0


def _flat(beside):
    """Whether the tensors lie in memory without gaps, in the same order."""
    first = beside[0]
    whole = first.is_contiguous() or (first.ndim == 4 and first.is_contiguous(memory_format=torch.channels_last))
    return whole and all(tensor.stride() == first.stride() for tensor in beside)


def _cut(tensor):
    return tensor.as_strided((tensor.numel(),), (1,)).split(_BLOCK)
