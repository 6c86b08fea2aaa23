"""The base of the eight optimizers: options and their checks, state, step scalars, `step`, state dicts.

A step goes through `Optimizer.step`, from its top to its end: check the options that were changed, collect the tensors
that have a gradient, work out what depends on the step count, and let one of three forms move them: `loop.step`,
`foreach.step` or `fused.step`. All that is mathematics lies in those files but the correction, which is `step_scalars`.
"""

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, NamedTuple, overload

import torch
from torch.optim.optimizer import ParamsT

from padam.catalog import CATALOG, CORRECTIONS, DECAYS, LIMITS, check, level_of_the_caller, warn_beyond_the_proof
from padam.optim import foreach, fused, loop
from padam.optim.foreach import PLAIN
from padam.optim.loop import HALF

# What others call an option, and ours of that meaning, which a class may have; the error names it.
_OPTION_HINTS = {
    "partial": ("p", "the exponent is p"),
    "weight_decouple": ("decay", "write decay='decoupled'"),
    "decoupled_weight_decay": ("decay", "write decay='decoupled'"),
    "momentum": ("betas", "it is betas[0]"),
    "beta1": ("betas", "write betas=(beta1, beta2)"),
    "beta2": ("betas", "write betas=(beta1, beta2)"),
    "learning_rate": ("lr", "write lr"),
    "amsgrad": ("lr", "Padam and AMSGrad keep the running maximum always, the others never"),
    "differentiable": ("lr", "no gradient flows through a step here"),
}
# In dicts of torch's classes; left behind.
_TORCH_ONLY = ("amsgrad", "differentiable", "decoupled_weight_decay", "dampening", "nesterov", "momentum_decay")
_IMPLEMENTATION = ("foreach", "fused")  # a loaded state dict does not bring them
# Objects when a CUDA graph captures a step that was not made for it; torch 2.15 renamed it.
_check_capture = (
    getattr(torch.optim.Optimizer, "_accelerator_graph_capture_health_check", None)
    or torch.optim.Optimizer._cuda_graph_capture_health_check
)


class Tensors(NamedTuple):
    """What a step moves, beside each other: tensors of one group that share a device and a dtype.

    Complex ones are seen as pairs of reals and DTensors as this process's shard; both share memory with the original.
    """

    x: list
    g: list
    states: dict  # name in the rule -> list
    steps: list  # step counts, 0-dim


def step_scalars(group, t):
    """What of a step depends on its number `t` (from 1): {name: float}, or vectors if t is a float64 vector.

    lr and eps are alpha_t and eps_t of the group's correction (`padam.catalog.CORRECTIONS`), c1 is 1 - beta1^t, shrink
    is what decoupled weight decay multiplies x by, final_lr is AdaBound's. lower and upper, AdaBound's bounds, are for
    the fused step; the rules of the other forms work them out from final_lr.
    """
    lr = group["lr"]
    if isinstance(lr, torch.Tensor):
        lr = lr.reshape(()).to(t.device, torch.float64) if isinstance(t, torch.Tensor) else lr.item()
    eps, beta1, beta2 = group["eps"], *group.get("betas", (0.0, 0.0))
    c1, c2 = _one_minus_power(beta1, t), _one_minus_power(beta2, t)
    correction = group.get("correction", "none")
    alpha = lr / (1 + (t - 1) * group["lr_decay"]) if group.get("lr_decay") else lr
    if correction == "folded":
        alpha = alpha * c2**0.5 / c1
    elif correction == "exact":
        alpha, eps = alpha * c2 ** group.get("p", 0.5) / c1, eps * c2**0.5
    scalars = {"lr": alpha, "eps": eps, "t": t, "c1": c1, "shrink": 1.0}
    if group["decay"] == "decoupled":
        scalars["shrink"] = 1 - lr * group["weight_decay"]
    if "final_lr" in group:  # follows the schedule of lr
        base_lr = group["base_lr"]
        scalars["final_lr"] = group["final_lr"] * lr / base_lr if base_lr else lr * 0.0
        scalars["lower"] = scalars["final_lr"] * (1 - 1 / (group["gamma"] * t + 1))
        scalars["upper"] = scalars["final_lr"] * (1 + 1 / (group["gamma"] * t))
    return scalars


def _one_minus_power(beta, t):
    """1 - beta**t without cancellation; t is a number or a float64 vector."""
    if beta == 0:
        return t * 0 + 1.0
    return -(torch if isinstance(t, torch.Tensor) else math).expm1(t * math.log(beta))


def _foreign_options():
    """The options of all classes here, and those of torch's that none of them has."""
    return {*_TORCH_ONLY}.union(*(getattr(cls, "_options", ()) for cls in Optimizer.__subclasses__()))


class Optimizer(torch.optim.Optimizer):
    """The base of the eight classes; each names its rule and lists its options, all of which can differ by group."""

    rule: str
    _options: dict[str, Any]  # of the class that names the rule: option -> default

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__init__" in vars(cls):  # some look at __new__ first, which takes anything
            signature = inspect.signature(cls.__init__)
            cls.__signature__ = signature.replace(parameters=list(signature.parameters.values())[1:])
        if "rule" in vars(cls):
            given = inspect.signature(cls.__init__).parameters.values()
            cls._options = {one.name: one.default for one in given if one.name not in ("self", "params")}

    def __new__(cls, *given: Any, **options: Any):
        """Refuse an option that there is not by a TypeError that names the one that was meant."""
        known = inspect.signature(cls.__init__).parameters
        if not any(one.kind is one.VAR_KEYWORD for one in known.values()):
            for name in options:
                if name not in known:
                    cls._refuse_option(name, list(known)[1:])
        return super().__new__(cls)

    @classmethod
    def _refuse_option(cls, name, known):
        ours, hint = _OPTION_HINTS.get(name, ("", ""))
        alike = difflib.get_close_matches(name, [option for option in known if option != "params"], 1)
        if ours not in known:
            hint = f"did you mean {alike[0]}" if alike else ""
        raise TypeError(
            f"{cls.__name__} has no option {name!r}{': ' if hint else ''}{hint}. It takes {', '.join(known)}."
        )

    def _refuse_module(self, params):
        if isinstance(params, torch.nn.Module):
            who, what = type(self).__name__, type(params).__name__
            raise TypeError(f"{who} got a {what}; it needs its parameters: pass model.parameters().")

    def __init__(self, params: ParamsT, given: dict[str, Any]) -> None:
        """`given` are the local variables of the class's own __init__; its options are among them."""
        who = type(self).__name__
        self._refuse_module(params)
        if params is None:
            raise TypeError(f"{who} got None; it needs tensors or groups to optimize: pass model.parameters().")
        if not isinstance(params, torch.Tensor | dict | set):  # which torch refuses
            params = list(params)  # a generator would be empty the second time
            if not params:
                raise ValueError(
                    f"{who} got an empty parameter list, but needs at least one tensor or group to optimize. Pass "
                    f"model.parameters(); a generator that was already consumed is empty, so make it a list first."
                )
        super().__init__(params, self._checked({name: given[name] for name in self._options}))

    # ------------------------------------------------------------------------------------------------- options

    def _checked(self, options):
        """The options, betas as a tuple; ValueError, TypeError or RuntimeError for what cannot be."""
        who = type(self).__name__
        if missing := sorted(self._options.keys() - options.keys()):
            raise ValueError(
                f"{who}: a group has no {', '.join(missing)}; put it back, as every group has all options."
            )
        numbers = {name: value for name, value in options.items() if name != "betas"}
        if "betas" in options:
            options = {**options, "betas": self._pair(options["betas"])}
            numbers |= dict(zip(("beta1", "beta2"), options["betas"], strict=True))
        lr = options["lr"]
        if isinstance(lr, torch.Tensor):
            if lr.numel() != 1:
                raise ValueError(f"{who}: lr is a tensor of {lr.numel()} elements, but must hold exactly one number.")
            if lr.device.type != "cpu":
                del numbers["lr"]  # reading it would wait for the device
        for name, value in numbers.items():
            if name != "lr" and name in self._options and isinstance(value, torch.Tensor):
                raise TypeError(f"{who}: {name} is a tensor, but must be a plain number; only lr may be a tensor.")
        check(who, numbers)
        for name, default in self._options.items():
            flags = (True, False) if isinstance(default, bool) else (True, False, None) if default is None else ()
            if flags and not any(options[name] is flag for flag in flags):
                raise TypeError(f"{who}: {name} is {options[name]!r}, but must be {' or '.join(map(str, flags))}.")
            if name in LIMITS and not flags and not isinstance(options[name], int | float | torch.Tensor):
                options = {**options, name: float(options[name])}  # a Fraction, a Decimal, a number of NumPy's
        for name, choices in (("correction", CORRECTIONS), ("decay", DECAYS)):
            if name in options and options[name] not in choices:
                raise ValueError(
                    f"{who}: {name} is {options[name]!r}, but must be one of {', '.join(map(repr, choices))}: "
                    f"see padam.catalog.{name.upper()}S."
                )
        if options["fused"] and options["foreach"]:
            raise RuntimeError(f"{who}: fused=True and foreach=True exclude each other; leave one of them None.")
        return options

    def _pair(self, betas):
        if isinstance(betas, str | bytes) or not isinstance(betas, Sequence) or len(betas) != 2:
            raise ValueError(
                f"{type(self).__name__}: betas is {betas!r}, but must be a pair of two numbers in [0, 1), as "
                f"(0.9, 0.999)."
            )
        for beta in betas:
            if isinstance(beta, torch.Tensor):
                raise TypeError(f"{type(self).__name__}: betas holds a tensor, but must be two plain numbers.")
        return tuple(beta if isinstance(beta, int | float | str) else float(beta) for beta in betas)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, its options checked like the constructor's (same errors); see torch's documentation."""
        if isinstance(param_group, dict):
            for name in _OPTION_HINTS.keys() & param_group.keys() - self._options.keys():
                self._refuse_option(name, list(self._options))
            options = self._checked({k: v for k, v in (self.defaults | param_group).items() if k != "params"})
            param_group = {**param_group, **{k: v for k, v in options.items() if k in param_group}}
            params = param_group.get("params", set())
            self._refuse_module(params)
            if not isinstance(params, torch.Tensor | set):  # torch refuses a set, for it has no order
                params = param_group["params"] = list(params)  # a generator would be empty the second time
            if options["fused"]:
                params = [params] if isinstance(params, torch.Tensor) else params
                params = [param[1] if isinstance(param, tuple) else param for param in params]  # named ones
                fused.require(self.rule, [param for param in params if isinstance(param, torch.Tensor)])
            warn_beyond_the_proof(type(self).__name__, options.get("p"))
        super().add_param_group(param_group)

    def _own_options(self, group):
        """A group's options that are this class's; users and loaded dicts may leave others there."""
        return {name: group[name] for name in self._options}

    def _check_changes(self):
        """Check the groups whose options are no longer those that were checked last: schedulers and users set them."""
        last = self.__dict__.setdefault("_last_options", [])  # of each group; it is no part of a state dict
        for place, group in enumerate(self.param_groups):
            now = [group.get(name) for name in self._options]
            if place < len(last) and all(map(is_, now, last[place])):
                continue
            options = self._checked({name: group[name] for name in self._options if name in group})
            group.update(options)
            p = list(self._options).index("p") if "p" in self._options else None
            if p is not None and place < len(last) and now[p] != last[place][p]:
                warn_beyond_the_proof(type(self).__name__, now[p])
            last[place : place + 1] = [[group[name] for name in self._options]]
        del last[len(self.param_groups) :]

    # ------------------------------------------------------------------------------------------------- state

    def _slots(self, group):
        """Name in the rule -> (key in the state, where it starts) of the states that this group's options need."""
        return {
            name: (slot.torch_key, group[slot.start] if isinstance(slot.start, str) else slot.start)
            for name, slot in CATALOG[self.rule].slots.items()
        }

    def _begin(self, param, slots, on_device):
        """Give a parameter's state what it lacks, the step count on the parameter's device or on the CPU."""
        state = self.state[param]
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=param.device if on_device else "cpu")
        for key, start in slots.values():
            if key not in state:
                dtype = torch.float32 if param.dtype in HALF else param.dtype
                state[key] = torch.zeros_like(param, dtype=dtype, memory_format=torch.preserve_format)
                if start:
                    _as_real(_local(state[key])).fill_(start)

    def _counts_on_device(self, group, param):
        """Whether a parameter's step count lies where the parameter does, instead of on the CPU."""
        return group["capturable"] or bool(group["fused"] and fused.counts_on_device(param.device))

    def _collect(self, group):
        """[Tensors, ...]: a group's parameters that have a gradient, by device and dtype, with what is beside them.

        Raises RuntimeError for sparse gradients.
        """
        params = [param for param in group["params"] if param.grad is not None]
        if not params:
            return []
        grads = [param.grad for param in params]
        if any(grad.layout != torch.strided for grad in grads):
            raise RuntimeError(
                f"{type(self).__name__} does not support sparse gradients: its state is dense. Build the layer "
                f"with sparse=False (as in nn.Embedding), or use torch.optim.SparseAdam for it."
            )
        slots, of_each = self._slots(group), [self.state[param] for param in params]
        try:
            steps = [state["step"] for state in of_each]
            states = {name: [state[key] for state in of_each] for name, (key, _) in slots.items()}
        except KeyError:  # a first step, or an option was changed to one that needs another state
            for param in params:
                self._begin(param, slots, self._counts_on_device(group, param))
            return self._collect(group)
        tensors = Tensors(params, grads, states, steps)
        if any(type(param) not in PLAIN for param in params):
            tensors = Tensors(
                [_local(param) for param in params],
                [_local_gradient(grad, param) for grad, param in zip(grads, params, strict=True)],
                {name: [_local(state) for state in some] for name, some in states.items()},
                steps,
            )
        return _by_device_and_dtype(tensors)

    # ------------------------------------------------------------------------------------------------- the step

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure=None):
        """Take one step. `closure`, if given, evaluates the model again and returns the loss, which is returned.

        After a step with `torch.amp.GradScaler` and `fused=True` on CUDA, gradients are still scaled: the kernel
        divides what it reads, and does not write gradients. Otherwise the scaler has divided them before.

        A step that torch.compile has compiled does not check options that were changed in a group.

        Raises RuntimeError for sparse gradients, and for tensors that `fused=True` does not serve; nothing has changed
        then.
        """
        _check_capture(self)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        compiling = torch.compiler.is_compiling()
        if not compiling:
            self._check_changes()
        work = [(self._own_options(group), tensors) for group in self.param_groups for tensors in self._collect(group)]
        pointers_of = [None] * len(work) if compiling else self._pointers(work)
        scaler = self._scaler(pointers_of)
        for (group, tensors), pointers in zip(work, pointers_of, strict=True):
            scalars, counted = self._scalars(group, tensors), False
            if pointers:
                counted = fused.step(self.rule, group, pointers, scalars, scaler)
                torch.autograd.graph.increment_version(tensors.x)  # so that a graph from before the step is noticed
            elif group["fused"]:
                fused.compiled_step(self.rule, group, tensors, scalars)
            else:
                form = loop if group["foreach"] is False else foreach
                form.step(self.rule, group, tensors, scalars)
            if not counted:
                _count(tensors.steps, scalars["t"], scaler)
        return loss

    def _pointers(self, work):
        """A checked `fused.Pointers` for each of `work` that takes the fused step, else None; raises what that does."""
        last = self.__dict__.setdefault("_last_pointers", [])  # no part of a state dict; they keep no tensors
        pointers_of = []
        for i, (group, tensors) in enumerate(work):
            pointers = last[i] if i < len(last) else None
            if not group["fused"]:
                pointers = None
            elif pointers is None or not pointers.rebind(tensors):
                pointers = fused.Pointers(self.rule, tensors)
            if pointers:
                fused.backend(pointers.device).prepare(self.rule, pointers.dtype, group.get("p", 0.5))
                if fused.is_captured(pointers.device):  # the graph reads what they keep
                    self.__dict__.setdefault("_captured_pointers", []).append(pointers)
            pointers_of.append(pointers)
        self._last_pointers = [pointers if pointers and pointers.reusable else None for pointers in pointers_of]
        return pointers_of

    def _scalars(self, group, tensors):
        """`step_scalars` of the next step of each tensor: numbers that all share, lists, or vectors on the device."""
        steps, device = tensors.steps, tensors.x[0].device
        on_device = self._counts_on_device(group, tensors.x[0]) or not all(step.is_cpu for step in steps)
        if on_device or torch.compiler.is_compiling():
            steps = [step.to(device) if step.device != device else step for step in steps]
            return step_scalars(group, torch.stack(steps).double() + 1)
        counts = [step.item() + 1 for step in steps]
        if counts.count(counts[0]) == len(counts):
            return step_scalars(group, counts[0])
        rows = {t: step_scalars(group, t) for t in counts}
        return {name: [rows[t][name] for t in counts] for name in rows[counts[0]]}

    @property
    def _step_supports_amp_scaling(self) -> bool:
        """Whether GradScaler leaves unscaling, and leaving a step out, to the step, as to torch's fused ones."""
        params = [param for group in self.param_groups for param in group["params"]]
        return all(group["fused"] for group in self.param_groups) and all(
            fused.counts_on_device(param.device) for param in params
        )

    def _scaler(self, pointers_of):
        """GradScaler's (scale, found_inf), which it sets as attributes for a step that reads them; None otherwise."""
        scale, found_inf = getattr(self, "grad_scale", None), getattr(self, "found_inf", None)
        if scale is None and found_inf is None:
            return None
        if not all(pointers and fused.counts_on_device(pointers.device) for pointers in pointers_of):
            raise RuntimeError(
                f"{type(self).__name__}: grad_scale and found_inf are set, but only the kernel on CUDA (fused=True) "
                f"reads them. Delete them, and call scaler.unscale_(optimizer) or scaler.step(optimizer) as usual."
            )
        return scale, found_inf

    # ------------------------------------------------------------------------------------------------- state dicts

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, but for parameters of 16 bits, whose states are float32 and stay what they were when saved.

        The dict of another class that keeps the same states loads, too, its rate and weight decay with it: a warning
        says so. Raises ValueError, and nothing has changed, if a state is missing or of another shape.
        """
        given: dict[str, Any] = {}
        last = self.register_load_state_dict_pre_hook(lambda _, final: given.update(final))  # after the user's hooks
        try:
            super().load_state_dict(state_dict)
        finally:
            last.remove()
        saved = [i for group in given["param_groups"] for i in group["params"]]
        params = [param for group in self.param_groups for param in group["params"]]
        for param, i in zip(params, saved, strict=True):
            if param.dtype in HALF:
                for key, value in given["state"].get(i, {}).items():
                    if key != "step" and isinstance(value, torch.Tensor):
                        self.state[param][key] = value.to(param.device, torch.float32, copy=True)

    def _refuse_unfit(self, states):
        """ValueError unless the state of each parameter is complete and of its shape."""
        needed = {slot.torch_key for slot in CATALOG[self.rule].slots.values()}
        for param, state in states.items():
            if not state:  # of a frozen parameter that somebody has looked at
                continue
            if missing := sorted(needed - set(state)):
                raise ValueError(
                    f"{type(self).__name__} cannot go on from this state dict: its states have no "
                    f"{', '.join(missing)} (they have {', '.join(state)}). It needs the state of an optimizer that "
                    f"keeps the same quantities; torch's Adam does for Padam and AMSGrad with amsgrad=True."
                )
            for key in needed if isinstance(param, torch.Tensor) else ():
                if (shape := getattr(state[key], "shape", None)) != param.shape:
                    raise ValueError(
                        f"{type(self).__name__} cannot go on from this state dict: a parameter of shape "
                        f"{tuple(param.shape)} has a state {key} of shape {shape and tuple(shape)}. It was saved for "
                        f"another model, or for these parameters in another order."
                    )

    def _warn_of_another_class(self, groups):
        """UserWarning if a dict's options are those of another class: its rate means something else there."""
        for group in groups:
            missing = self._options.keys() - group.keys() - {*_IMPLEMENTATION, "capturable", "maximize"}
            foreign = missing | (_foreign_options() & group.keys() - self._options.keys())
            if "lr" in group and foreign:
                convert = ""
                if "p" in self._options and "p" not in group:
                    convert = (
                        " A rate of Adam is far too small at p < 1/2. To convert it, set lr of every group after "
                        "loading: the old lr times the median of max_exp_avg_sq ** (p - 1/2) keeps the size of a step."
                    )
                warnings.warn(
                    f"{type(self).__name__} loads the state dict of another class (by its options: "
                    f"{', '.join(sorted(foreign))}) and takes over its lr and weight decay, as torch's classes do."
                    f"{convert}",
                    UserWarning,
                    stacklevel=level_of_the_caller(),
                )
                return

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a loaded or unpickled state: a state dict of this class or of the torch class with the same state.

        Options a loaded dict lacks keep their present values, and `foreach` and `fused` always do: they belong to
        the machine, not to the run. What a pickle of an older version lacks gets its default. The dict is not aliased.
        """
        before = [dict(group) for group in self.__dict__.get("param_groups", [])]
        if before:  # loading, not unpickling
            self._refuse_unfit(state["state"])
            self._warn_of_another_class(state["param_groups"])
        super().__setstate__(state)
        self.defaults = self._options | self.defaults
        for own, group in zip(before or [self._options] * len(self.param_groups), self.param_groups, strict=True):
            if "decoupled_weight_decay" in group:  # torch's Adam and AdamW are one class since torch 2.7
                group["decay"] = "decoupled" if group["decoupled_weight_decay"] else "l2"
            for name in _foreign_options() & group.keys() - self._options.keys():
                del group[name]
            of_the_machine = _IMPLEMENTATION if before else ()
            group.update({name: v for name, v in own.items() if name not in group or name in of_the_machine})
        for group in self.param_groups:
            for param in group["params"]:
                for key, value in self.state.get(param, {}).items():
                    if key == "step":  # a number in old dicts; torch's fused classes keep it on the device
                        device = param.device if self._counts_on_device(group, param) else "cpu"
                        value = torch.as_tensor(value, dtype=torch.float32, device=device).reshape(())
                    self.state[param][key] = value.clone()  # or it would be the caller's


def _count(steps, t, scaler):
    """Add one to the step counts, which are at step `t` then; nothing where a gradient was infinite."""
    if scaler is None and isinstance(t, float):
        # They are all on the CPU and the same: copying is several times faster there than adding.
        steps[0].fill_(t)
        torch._foreach_copy_(steps, [steps[0]] * len(steps))
        return
    found_inf = None if scaler is None else scaler[1]
    one = 1.0 if found_inf is None else (found_inf == 0).float().reshape(()).to(steps[0].device)
    torch._foreach_add_(steps, one)


def _local(tensor):
    """Of a DTensor this process's shard, which shares its memory; of other tensors themselves."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _local_gradient(grad, param):
    """The shard of a gradient that lies beside the parameter's; distributed as the parameter first, if it is not."""
    if hasattr(grad, "to_local") and hasattr(param, "to_local") and grad.placements != param.placements:
        grad = grad.redistribute(placements=param.placements)
    return _local(grad)


def _as_real(tensor):
    """A complex tensor as pairs of reals, which share its memory; a real one as it is."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _by_device_and_dtype(tensors):
    """[Tensors, ...], one for each device and dtype of x; complex tensors as pairs of reals."""
    x, g, states, steps = tensors
    dtypes = {param.dtype for param in x}
    if any(dtype.is_complex for dtype in dtypes):
        x, g = [_as_real(param) for param in x], [_as_real(grad.resolve_conj()) for grad in g]
        states = {name: [_as_real(state) for state in some] for name, some in states.items()}
    if len(dtypes) == 1 and len({param.device for param in x}) == 1:
        return [Tensors(x, g, states, steps)]
    places: dict[Any, list[int]] = {}
    for place, param in enumerate(x):
        places.setdefault((param.device, param.dtype), []).append(place)
    return [
        Tensors(
            [x[i] for i in some],
            [g[i] for i in some],
            {name: [all_of_them[i] for i in some] for name, all_of_them in states.items()},
            [steps[i] for i in some],
        )
        for some in places.values()
    ]
