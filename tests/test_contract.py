"""PyTorch's optimizer contract on the eight classes, run by the machinery that PyTorch tests its own with.

Most tests give the gradients instead of computing them (`path`), take two optimizers along the same path and
compare every parameter and every piece of state after every step. Where there is CUDA, they run there too.
"""

import copy
import importlib
import inspect
import io
import math
import pickle
import sys
import tempfile
import textwrap
import unittest
from itertools import product
from pathlib import Path
from unittest import mock

import pytest
import torch
import warm
from torch.nn import Parameter
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.testing._internal import common_optimizers
from torch.testing._internal.common_device_type import instantiate_device_type_tests
from torch.testing._internal.common_optimizers import OptimizerInfo, OptimizerInput, TensorTracker, optims
from torch.testing._internal.common_utils import TestCase, instantiate_parametrized_tests, parametrize

from padam import (
    AdaBound,
    AMSGrad,
    Padam,
    PartialAdadelta,
    PartialAdagrad,
    PartialAdamax,
    PartialRMSprop,
    Yogi,
)
from padam.catalog import CORRECTIONS
from padam.optim import foreach as lists  # the module, for "foreach" is an option in what follows
from padam.optim.fused import cpu

pytestmark = pytest.mark.slow

CHANNELS_LAST = torch.channels_last
FAMILY = (Padam, AMSGrad, Yogi, AdaBound, PartialAdagrad, PartialRMSprop, PartialAdadelta, PartialAdamax)
EXACT = {"rtol": 0.0, "atol": 0.0}
ROUNDING = {  # between two ways to compute the same step
    torch.float64: {"rtol": 1e-10, "atol": 1e-12},
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.bfloat16: {"rtol": 2e-2, "atol": 4e-2},
}
LR = 3e-3  # small enough for every class at every p
ROWS = (
    {},
    {"lr": LR},
    {"lr": torch.tensor(LR)},
    {"weight_decay": 0.1},
    {"weight_decay": 0.1, "decay": "decoupled"},
    {"maximize": True},
    {"maximize": True, "weight_decay": 0.1},
    {"capturable": True},
    {"lr": torch.tensor(LR), "weight_decay": 0.1, "decay": "decoupled", "capturable": True},
    *({"p": p, "lr": LR} for p in (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 0.3)),
    *({"correction": correction} for correction in CORRECTIONS),
    *({"correction": correction, "p": 0.3, "eps": 1e-2, "capturable": True} for correction in CORRECTIONS),
    {"betas": (0.5, 0.9), "eps": 1e-2},
    {"initial_accumulator": 0.5},
    {"final_lr": 0.01, "gamma": 0.1, "lr": torch.tensor([LR])},
    {"lr_decay": 0.1, "initial_accumulator_value": 0.5},
    {"alpha": 0.9, "momentum": 0.9},
    {"centered": True},
    {"centered": True, "momentum": 0.9, "eps": 1.0, "capturable": True},
    {"rho": 0.5, "eps": 1e-2},
)
ADAM = {"lr": 0.05, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}
RMSPROP = {"lr": 0.05, "alpha": 0.9, "momentum": 0.9, "centered": True, "weight_decay": 0.1, "maximize": True}
ADAMS = [(adam, {**ADAM, "amsgrad": True}) for adam in (torch.optim.Adam, torch.optim.AdamW)]
TWINS = {  # the torch classes whose state dict loads, their options, and the options that make ours the same
    Padam: [(*adam, {"p": 1 / 2, "correction": "exact"}) for adam in ADAMS],
    AMSGrad: [(*adam, {"correction": "exact"}) for adam in ADAMS],
    PartialAdagrad: [(torch.optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.3, "eps": 1e-3}, {})],
    PartialRMSprop: [(torch.optim.RMSprop, RMSPROP, {}), (torch.optim.RMSprop, {}, {})],
    PartialAdadelta: [(torch.optim.Adadelta, {"lr": 0.5, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}, {})],
    PartialAdamax: [(torch.optim.Adamax, ADAM, {})],
}


def has(cls, options):
    return options.keys() <= inspect.signature(cls).parameters.keys()


def info(cls):
    return OptimizerInfo(
        cls,
        optim_inputs_func=lambda device: [OptimizerInput(None, copy.deepcopy(row)) for row in ROWS if has(cls, row)],
        scheduler_inputs=((), (lambda o: StepLR(o, 3, gamma=0.9), lambda o: ReduceLROnPlateau(o, patience=1))),
    )


INFOS = [info(cls) for cls in FAMILY]


def rows(optim_info, device, **more):
    return [{**row.kwargs, **more} for row in optim_info.optim_inputs_func(device)]


def wide(dtype):
    """The dtype of the state of such parameters."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def real(tensor):
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def parameters(device, *dtypes, shapes=((3,), (), (0,), (2, 4))):
    return [Parameter(torch.randn(shape, device=device, dtype=dtype)) for dtype in dtypes for shape in shapes]


def clones(params, **to):
    return [Parameter(param.detach().clone().to(**to)) for param in params]


def path(params, steps=4):
    """Gradients for some steps. Parameters take turns in having none, so their step counts differ; at the third step
    none has one; at every other step most numbers are 0."""

    def gradient(step, turn, param):
        if step == 2 or (step + turn) % 4 == 0:
            return None
        return torch.randn_like(param) * (torch.rand(param.shape) < (0.2 if step % 2 else 1.0)).to(param)

    return [[gradient(step, turn, param) for turn, param in enumerate(params)] for step in range(steps)]


def take(optimizer, gradients):
    """One step with these gradients; for a real parameter a complex one is a pair."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    for param, grad in zip(params, gradients, strict=True):
        param.grad = None if grad is None else (grad if param.is_complex() else real(grad)).to(param, copy=True)
    optimizer.step()


def tensors(optimizer):
    """Every parameter and its state, in a fixed order."""
    params = [param for group in optimizer.param_groups for param in group["params"]]
    states = [sorted(optimizer.state.get(param, {}).items()) for param in params]
    return [real(t) for param, state in zip(params, states, strict=True) for t in (param, *(v for _, v in state))]


def exchanged(params):
    """A fused Padam over some steps, and one of each form that took over after half of them: all should be alike."""
    whole, gradients = Padam(params, fused=True), path(params, steps=6)
    for gradient in gradients[:3]:
        take(whole, gradient)
    others = [Padam(clones(params), **form) for form in ({"foreach": False}, {"foreach": True}, {"fused": True})]
    for other in others:
        other.load_state_dict(copy.deepcopy(whole.state_dict()))
    for gradient in gradients[3:]:
        for optimizer in (whole, *others):
            take(optimizer, gradient)
    return whole, others


def trained(optim_info, options, device, *dtypes):
    params = parameters(device, *dtypes)
    optimizer = optim_info.optim_cls(params, **copy.deepcopy(options))
    for gradients in path(params):
        take(optimizer, gradients)
    return params, optimizer


class Contract(TestCase):
    def assert_same_path(self, one, other, gradients, before=lambda optimizer, step: None, tolerance=None):
        """After every step along `gradients` both have the same parameters and state."""
        tracker = TensorTracker()
        for step, gradient in enumerate(gradients):
            before(one, step)
            take(one, gradient)
            for tensor in tensors(one):
                tracker.add(tensor)
        for step, gradient in enumerate(gradients):
            before(other, step)
            take(other, gradient)
            for tensor in tensors(other):
                tracker.pop_check_set(tensor, self, tolerance or ROUNDING[tensor.dtype])
        self.assertTrue(tracker.all_popped(), "the first has more state than the second")

    def assert_same_options(self, optim_info, params, options, others, **how):
        """The class with these options and with the others takes the same path over (copies of) `params`."""
        one = optim_info.optim_cls(clones(params), **copy.deepcopy(options))
        other = optim_info.optim_cls(params, **copy.deepcopy(others))
        self.assert_same_path(one, other, path(params), **how)


class TestStep(Contract):
    @optims(INFOS, dtypes=[torch.float64])
    def test_loss_goes_in_the_right_direction(self, device, dtype, optim_info):
        """With schedulers and without, contiguous or not, by steps with a closure and without."""
        inputs = 1 + torch.rand(5, device=device, dtype=dtype)
        cases = product(rows(optim_info, device), optim_info.scheduler_inputs, (False, True))
        for options, schedulers, foreach in cases:
            strided = 1 + torch.rand(4, 5, 2, device=device, dtype=dtype)[..., 0]
            weight = Parameter(strided if foreach else strided.contiguous())
            optimizer = optim_info.optim_cls([weight], **copy.deepcopy(options), foreach=foreach)
            schedule = [scheduler(optimizer) for scheduler in schedulers]
            losses = []

            def closure(weight=weight, optimizer=optimizer, losses=losses):
                self.assertTrue(torch.is_grad_enabled())
                optimizer.zero_grad()
                losses.append(weight.mv(inputs).square().mean())
                losses[-1].backward()
                return losses[-1]

            for _ in range(4):
                self.assertIs(optimizer.step(closure), losses[-1])
                closure()
                self.assertIsNone(optimizer.step())
                for scheduler in schedule:
                    scheduler.step(*([losses[-1].item()] if isinstance(scheduler, ReduceLROnPlateau) else []))
            right = self.assertGreater if options.get("maximize") else self.assertLess
            right(closure().item(), losses[0].item(), f"{options}, {schedule}")

    @optims(INFOS, dtypes=[torch.float32, torch.float64, torch.bfloat16])
    def test_foreach_equals_loop(self, device, dtype, optim_info):
        for options in rows(optim_info, device):
            loop, foreach = {**options, "foreach": False}, {**options, "foreach": True}
            self.assert_same_options(optim_info, parameters(device, dtype), loop, foreach)

    @optims(INFOS, dtypes=[torch.float64])
    def test_blocks_change_nothing(self, device, dtype, optim_info):
        """Large tensors in parts, small ones together, whatever their order in memory, each at its own step count."""
        with mock.patch.object(lists, "BLOCK", 4):
            for options in rows(optim_info, device):
                params = parameters(device, dtype, shapes=((0,), (3,), (2, 4), (), (2,), (0,), (3, 3), (5,), (1,)))
                turned = Parameter(torch.randn(2, 3, 2, 2, device=device, dtype=dtype).to(memory_format=CHANNELS_LAST))
                gaps = Parameter(torch.randn(6, 2, device=device, dtype=dtype)[:, 0])
                crossed = Parameter(torch.randn(3, 2, device=device, dtype=dtype).t())
                params = [*params, turned, gaps, crossed]
                loop = optim_info.optim_cls(clones(params), **copy.deepcopy(options), foreach=False)
                foreach = optim_info.optim_cls(params, **copy.deepcopy(options), foreach=True)
                gradients = [[None if g is None else g.contiguous() for g in step] for step in path(params)]
                self.assert_same_path(loop, foreach, gradients)

    @optims(INFOS)
    def test_default_equals_loop_for_mixed_parameters(self, device, dtype, optim_info):
        """Several dtypes, on all devices there are, in one group."""
        dtypes = (dtype, torch.complex128, torch.bfloat16, torch.float64, torch.complex64)
        for options in rows(optim_info, device):
            params = [param for place in {"cpu", device} for param in parameters(place, *dtypes, shapes=((), (3,)))]
            self.assert_same_options(optim_info, params, {**options, "foreach": False}, options)

    @optims(INFOS, dtypes=[torch.float64])
    def test_capturable_changes_nothing(self, device, dtype, optim_info):
        for options, foreach in product(rows(optim_info, device, capturable=False), (False, True)):
            options = {**options, "foreach": foreach}
            self.assert_same_options(optim_info, parameters(device, dtype), options, {**options, "capturable": True})

    @optims(INFOS, dtypes=[torch.complex128])
    def test_complex_is_a_pair_of_reals(self, device, dtype, optim_info):
        for options, foreach in product(rows(optim_info, device), (False, True)):
            params = parameters(device, dtype)
            pairs = optim_info.optim_cls([Parameter(real(p.detach()).clone()) for p in params], **options)
            whole = optim_info.optim_cls(params, **copy.deepcopy(options), foreach=foreach)
            self.assert_same_path(pairs, whole, path(params))

    @optims(INFOS)
    def test_sparse_gradient_is_refused(self, device, dtype, optim_info):
        for foreach in (False, True):
            layer = torch.nn.Embedding(4, 2, sparse=True, device=device, dtype=dtype)
            layer(torch.tensor([1, 3], device=device)).sum().backward()
            optimizer = optim_info.optim_cls(layer.parameters(), foreach=foreach)
            with self.assertRaisesRegex(RuntimeError, r"sparse gradients.*sparse=False.*torch\.optim\.SparseAdam"):
                optimizer.step()

    @optims(INFOS, dtypes=[torch.float64])
    def test_tensor_lr_equals_float_lr(self, device, dtype, optim_info):
        """Also when it changes between steps, the tensor in place."""

        def change(optimizer, step):
            group = optimizer.param_groups[0]
            if step == 1:
                group["lr"] = group["lr"].fill_(0.25) if isinstance(group["lr"], torch.Tensor) else 0.25

        for options, capturable in product(rows(optim_info, device), (False, True)):
            options, lr = {**options, "capturable": capturable}, torch.tensor(LR)
            by_float, by_tensor = {**options, "lr": lr.item()}, {**options, "lr": lr}
            self.assert_same_options(optim_info, parameters(device, dtype), by_float, by_tensor, before=change)

    @optims(INFOS, dtypes=[torch.float64])
    def test_groups_equal_separate_optimizers(self, device, dtype, optim_info):
        """One for each parameter, by the options of its group; the last group joins after two steps."""
        cls, shared = optim_info.optim_cls, {"lr": 0.02, "weight_decay": 0.1}
        own = [
            {},
            {"lr": 0.2, "p": 1 / 4, "betas": (0.5, 0.9), "correction": "exact"},
            {"lr": LR, "p": 0.1, "weight_decay": 0.3, "decay": "decoupled", "maximize": True, "eps": 1e-3},
        ]
        own = [{k: v for k, v in options.items() if has(cls, {k: v})} for options in own]
        groups = [{"params": parameters(device, dtype), **options} for options in own]
        paths = [path(group["params"]) for group in groups]
        alone = [cls([x], **(shared | own[i])) for i, group in enumerate(groups) for x in clones(group["params"])]
        together = cls(groups[:2], **shared)
        for step in range(4):
            if step == 2:
                together.add_param_group(groups[2])
            gradients = [gradient for one in paths[: len(together.param_groups)] for gradient in one[step]]
            take(together, gradients)
            for optimizer, gradient in zip(alone, gradients, strict=False):
                take(optimizer, [gradient])
        self.assertEqual(tensors(together), [t for optimizer in alone for t in tensors(optimizer)], **EXACT)

    @optims(INFOS, dtypes=[torch.float32, torch.bfloat16])
    def test_nothing_to_do_changes_nothing(self, device, dtype, optim_info):
        """No gradient: no state either. A gradient of 0 without weight decay: the parameters stay, to the bit."""
        undecayed = [options for options in rows(optim_info, device) if "weight_decay" not in options]
        for options, foreach in product(undecayed, (False, True)):
            params = parameters(device, dtype)
            before = clones(params)
            optimizer = optim_info.optim_cls(params, **options, foreach=foreach)
            optimizer.step()
            self.assertEqual(len(optimizer.state), 0)
            for _ in range(3):
                take(optimizer, [torch.zeros_like(param) for param in params])
            self.assertEqual(params, before, **EXACT)

    @optims(INFOS)
    def test_grad_scaler(self, device, dtype, optim_info):
        """A scaled loss makes the step of the unscaled one, and none where the gradient is infinite."""
        fused = [{"fused": True}] if optim_info.optim_cls.rule in cpu.RULES and device == "cpu" else []
        for form in ({"foreach": False}, {"foreach": True}, *fused):
            plain, scaled = (Parameter(torch.ones(3, device=device, dtype=dtype)) for _ in range(2))
            one, other = (optim_info.optim_cls([x], **form) for x in (plain, scaled))
            scaler = torch.amp.GradScaler(device=torch.device(device).type, init_scale=2.0**10)
            for factor in (1.0, math.inf, 3.0):
                if factor < math.inf:
                    take(one, [2 * factor * plain.detach()])
                other.zero_grad()
                scaler.scale(factor * scaled.square().sum()).backward()
                scaler.step(other)
                scaler.update()
                self.assertEqual(tensors(other), tensors(one), **EXACT)


class TestStateDict(Contract):
    @optims(INFOS, dtypes=[torch.float32, torch.bfloat16])
    def test_training_goes_on_bit_for_bit(self, device, dtype, optim_info):
        """From a file, which loads with weights_only=True; the options are those of the file."""
        for options in rows(optim_info, device):
            params, optimizer = trained(optim_info, options, device, dtype, torch.complex64)
            fresh = optim_info.optim_cls(clones(params), lr=0.7)
            with io.BytesIO() as file:
                torch.save(optimizer.state_dict(), file)
                file.seek(0)
                fresh.load_state_dict(torch.load(file, weights_only=True))
            self.assertEqual(tensors(fresh), tensors(optimizer), **EXACT)
            self.assert_same_path(optimizer, fresh, path(params), tolerance=EXACT)

    @optims(INFOS)
    def test_older_dict_loads(self, device, dtype, optim_info):
        """Step counts may be numbers; options that the dict does not know keep their present values."""
        for options in rows(optim_info, device):
            params, optimizer = trained(optim_info, options, device, dtype)
            older = copy.deepcopy(optimizer.state_dict())
            older["param_groups"] = [{"params": group["params"]} for group in older["param_groups"]]
            for state in older["state"].values():
                state["step"] = int(state["step"])
            fresh = optim_info.optim_cls(clones(params), **options)
            fresh.load_state_dict(older)
            self.assert_same_path(optimizer, fresh, path(params), tolerance=EXACT)

    @optims(INFOS)
    def test_loading_leaves_the_dict_alone(self, device, dtype, optim_info):
        """Neither loading nor the steps after it change the dict: nothing of it is shared."""
        for capturable in (False, True):
            params, optimizer = trained(optim_info, {"lr": torch.tensor(LR), "capturable": capturable}, device, dtype)
            saved = optimizer.state_dict()
            before = copy.deepcopy(saved)
            fresh = optim_info.optim_cls(clones(params))
            fresh.load_state_dict(saved)
            self.assertEqual(saved, before, **EXACT)
            fresh.param_groups[0]["lr"].fill_(0.5)
            take(fresh, [torch.ones_like(param) for param in params])
            self.assertEqual(saved, before, **EXACT)

    @optims(INFOS)
    def test_state_is_where_the_parameters_are(self, device, dtype, optim_info):
        """By device and dtype, also after loading; the step count is float32, on the CPU unless capturable."""
        for (source, target), capturable in product({("cpu", device), (device, "cpu")}, (False, True)):
            params, optimizer = trained(optim_info, {"capturable": capturable}, source, torch.float64)
            moved = clones(params, device=target, dtype=dtype)
            fresh = optim_info.optim_cls(moved)
            fresh.load_state_dict(optimizer.state_dict())
            for param, state in (*optimizer.state.items(), *fresh.state.items()):
                kept = {key: (value.dtype, value.device) for key, value in state.items()}
                self.assertEqual(kept.pop("step"), (torch.float32, param.device if capturable else torch.device("cpu")))
                self.assertEqual(set(kept.values()), {(wide(param.dtype), param.device)})
            for gradients in path(params):
                take(optimizer, gradients)
                take(fresh, gradients)
            self.assertEqual(moved, clones(params, device=target, dtype=dtype), rtol=1e-4, atol=1e-5)

    @optims([one for one in INFOS if one.optim_cls in TWINS], dtypes=[torch.float64])
    def test_torch_dict_loads_and_goes_on(self, device, dtype, optim_info):
        """As torch's own class would: what the dict says of lr, betas, ... holds."""
        for (torch_cls, torch_options, options), foreach in product(TWINS[optim_info.optim_cls], (False, True)):
            params = parameters(device, dtype)
            theirs = torch_cls(params, **torch_options, foreach=foreach)
            gradients = path(params, steps=8)
            for gradient in gradients[:4]:
                take(theirs, gradient)
            ours = optim_info.optim_cls(clones(params), **options)
            with self.assertWarnsRegex(UserWarning, r"of another class .*takes over its lr"):
                ours.load_state_dict(theirs.state_dict())
            self.assert_same_path(theirs, ours, gradients[4:], tolerance={"rtol": 1e-12, "atol": 1e-12})

    @optims(INFOS)
    def test_dict_without_needed_state_is_refused(self, device, dtype, optim_info):
        """By a ValueError that names what is missing, and the optimizer stays as it was."""
        params, optimizer = trained(optim_info, {}, device, dtype)
        _, other = trained(optim_info, {"lr": 0.7}, device, dtype)
        before, keys = copy.deepcopy(optimizer.state_dict()), optimizer.state[params[0]].keys() - {"step"}
        self.assertEqual("max_exp_avg_sq" in keys, optim_info.optim_cls in (Padam, AMSGrad))
        for key in keys:
            saved = copy.deepcopy(other.state_dict())
            for state in saved["state"].values():
                del state[key]
            with self.assertRaisesRegex(ValueError, f"{optim_info.name} cannot go on.*have no {key} "):
                optimizer.load_state_dict(saved)
            self.assertEqual(optimizer.state_dict(), before, **EXACT)

    @optims(INFOS)
    def test_foreach_and_fused_stay_with_the_optimizer(self, device, dtype, optim_info):
        """They belong to the machine; a dict from another one does not bring them."""
        for mine, theirs, fused in ((False, True, None), (True, None, True), (None, False, True)):
            params, optimizer = trained(optim_info, {}, device, dtype)
            foreign = copy.deepcopy(optimizer.state_dict())
            foreign["param_groups"][0].update(foreach=theirs, fused=fused)
            fresh = optim_info.optim_cls(clones(params), foreach=mine)
            fresh.load_state_dict(foreign)
            self.assertEqual([fresh.param_groups[0][key] for key in ("foreach", "fused")], [mine, None])
            self.assert_same_path(optimizer, fresh, path(params))

    @optims(INFOS)
    def test_hooks_are_called(self, device, dtype, optim_info):
        _, optimizer = trained(optim_info, {}, device, dtype)
        moments = [f"{what}_{when}" for what in ("step", "state_dict", "load_state_dict") for when in ("pre", "post")]
        calls = []
        for moment in moments:
            getattr(optimizer, f"register_{moment}_hook")(lambda *_, moment=moment: calls.append(moment))
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        self.assertEqual(calls, moments)

    @optims(INFOS)
    def test_load_hook_may_complete_the_dict(self, device, dtype, optim_info):
        """What counts is what the dict has after the hooks that run before loading."""
        params, optimizer = trained(optim_info, {}, device, dtype)
        complete = copy.deepcopy(optimizer.state_dict())
        partial = {**complete, "state": {k: {"step": state["step"]} for k, state in complete["state"].items()}}
        fresh = optim_info.optim_cls(clones(params))
        fresh.register_load_state_dict_pre_hook(lambda _, given: {**given, "state": complete["state"]})
        fresh.load_state_dict(partial)
        self.assertEqual(tensors(fresh), tensors(optimizer), **EXACT)

    @optims(INFOS)
    def test_copies_go_on_alike(self, device, dtype, optim_info):
        """A deep copy and a pickled one, which also show the same options."""
        for options in rows(optim_info, device, capturable=False):
            params, optimizer = trained(optim_info, options, device, dtype)
            deep, pickled = copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))
            shown = repr(optimizer)
            self.assertTrue(shown.startswith(f"{optim_info.name} ("))
            for key, value in options.items():
                self.assertIn(f" {key}: {value}\n", shown)
            self.assertEqual([repr(deep), repr(pickled)], [shown, shown])
            gradients = path(params)
            for gradient in gradients:
                take(pickled, gradient)
            self.assert_same_path(optimizer, deep, gradients, tolerance=EXACT)
            self.assertEqual(tensors(pickled), tensors(optimizer), **EXACT)


instantiate_device_type_tests(TestStep, globals())
instantiate_device_type_tests(TestStateDict, globals())

ACCUMULATORS = ("initial_accumulator", "initial_accumulator_value")
ERRORS = (  # options, the error they are, and what it says: the argument, the value, what was expected
    ({"p": 1.1}, ValueError, r"p = 1\.1 is outside \[0, 1\]: p = 0 is SGD with momentum and p = 1/2 Amsgrad"),
    ({"p": -0.1}, ValueError, r"p = -0\.1 is outside \[0, 1\]"),
    *(({key: -0.1}, ValueError, rf"{key} = -0\.1 is outside \[0, ∞\)") for key in ("lr", "eps", "weight_decay")),
    *(({key: -1}, ValueError, rf"{key} = -1 is outside \[0, ∞\)") for key in ("lr_decay", "final_lr", *ACCUMULATORS)),
    *(({key: 1.1}, ValueError, rf"{key} = 1\.1 is outside \[0, 1\)") for key in ("rho", "alpha", "momentum")),
    ({"gamma": 0}, ValueError, r"gamma = 0 is outside \(0, ∞\)"),
    ({"lr": math.nan}, ValueError, r"lr = nan is outside \[0, ∞\)"),
    ({"lr": "fast"}, TypeError, r"lr is 'fast', but must be a number in \[0, ∞\)"),
    ({"betas": (1.0, 0.9)}, ValueError, r"beta1 = 1 is outside \[0, 1\)"),
    ({"betas": (0.9, -0.5)}, ValueError, r"beta2 = -0\.5 is outside \[0, 1\)"),
    ({"betas": 0.9}, ValueError, r"betas is 0\.9, but must be a pair of two numbers in \[0, 1\)"),
    ({"betas": (0.9, 0.99, 0.999)}, ValueError, r"betas is \(0\.9, 0\.99, 0\.999\), but must be a pair"),
    ({"correction": "bias"}, ValueError, r"correction is 'bias', but must be one of 'none', 'folded', 'exact'"),
    ({"decay": "l1"}, ValueError, r"decay is 'l1', but must be one of 'l2', 'decoupled'"),
    ({"fused": True, "foreach": True}, RuntimeError, r"fused=True and foreach=True exclude each other"),
)
IN_OUR_WORDS = {"Tensor lr must be 1-element": "lr is a tensor of 2 elements, but must hold exactly one number"}
each_class = parametrize("cls", FAMILY, name_fn=lambda cls: cls.__name__)


class TestBlocks(TestCase):
    def test_everything_is_in_one_block_of_the_right_size(self):
        """Each element once, in blocks of at most the size, and not in many more than that takes."""
        sizes = (3, 20, 0, 5, 5, 16, 1, 40, 7, 8)
        tensors = [torch.zeros(size) for size in sizes]
        with mock.patch.object(lists, "BLOCK", 16):
            for (x, twin), owners in lists.blocks([tensors, [torch.zeros(size) for size in sizes]]):
                self.assertEqual([part.shape for part in x], [part.shape for part in twin])
                self.assertTrue(0 < sum(part.numel() for part in x) <= 16)
                for part, owner in zip(x, owners, strict=True):
                    part += owner + 1
        for place, tensor in enumerate(tensors):
            self.assertEqual(tensor, torch.full_like(tensor, place + 1))

    def test_a_step_over_a_large_tensor_is_a_step_over_its_parts(self):
        """What the blocks are for: the rule never sees more than a block of one."""
        seen, weight = [], Parameter(torch.ones(lists.BLOCK * 2 + 5))
        weight.grad = torch.ones_like(weight)
        rule = lists.padam
        with mock.patch.dict(lists.RULES, padam=lambda x, *rest: (seen.append(x), rule(x, *rest))):
            Padam([weight]).step()
        self.assertEqual([len(x[0]) for x in seen], [lists.BLOCK, lists.BLOCK, 5])
        self.assertEqual(weight.unique().numel(), 1)


class TestSurroundings(TestCase):
    def test_a_default_device_is_nobodys_business(self):
        """Neither at the first step nor at later ones, for the tensors say where they are."""
        for first in ("meta", "cpu"):
            with torch.device(first):
                weight = Parameter(torch.ones(3, device="cpu"))
                optimizer = Padam([weight], betas=(0.5, 0.75))
                take(optimizer, [torch.ones(3, device="cpu")])
            take(optimizer, [torch.ones(3)])
            self.assertEqual(optimizer.state[weight]["step"], 2)

    def test_the_step_can_be_compiled(self):
        """By torch.compile, as its own optimizers can; here without generating code, and in a process of its own."""
        code = """
            import torch
            from padam import Padam
            weight, twin = (torch.nn.Parameter(torch.ones(3)) for _ in range(2))
            optimizer, plain = Padam([weight]), Padam([twin])
            step = torch.compile(optimizer.step, backend="eager")
            for _ in range(3):
                weight.grad, twin.grad = torch.ones(3), torch.ones(3)
                step()
                plain.step()
            print(torch.equal(weight, twin), weight[0].item() < 1)
        """
        run = warm.run("-W", "ignore", "-c", textwrap.dedent(code))
        self.assertEqual(run.stdout.split(), ["True", "True"], run.stderr[-3000:])


class TestErrors(TestCase):
    @each_class
    def test_wrong_option(self, cls):
        """Given to the constructor, in a group, and in a group that is added later, which then is not."""
        for options, error, text in ERRORS:
            if not has(cls, options):
                continue
            group = {"params": parameters("cpu", torch.float32), **options}
            optimizer = cls(parameters("cpu", torch.float32))
            with self.assertRaisesRegex(error, f"^{cls.__name__}: {text}"):
                cls(**group)
            with self.assertRaisesRegex(error, f"^{cls.__name__}: {text}"):
                cls([dict(group)])
            with self.assertRaisesRegex(error, f"^{cls.__name__}: {text}"):
                optimizer.add_param_group(group)
            self.assertEqual(len(optimizer.param_groups), 1)

    @each_class
    def test_fused_where_no_fused_step_serves(self, cls):
        """Given to the constructor, in a group, and in a group that is added later, which then is not."""
        kind = torch.bfloat16 if cls.rule in cpu.RULES else torch.float32
        group, optimizer = {"params": parameters("cpu", kind), "fused": True}, cls(parameters("cpu", torch.float32))
        for make in (lambda: cls(**group), lambda: cls([dict(group)]), lambda: optimizer.add_param_group(group)):
            with self.assertRaisesRegex(RuntimeError, f"^{cls.__name__}: fused=True, but no .* Use fused=None, which"):
                make()
        self.assertEqual(len(optimizer.param_groups), 1)

    @each_class
    def test_wrong_parameters(self, cls):
        """What every torch optimizer refuses or warns of, by the same type of error or warning."""
        for wrong in common_optimizers.get_error_inputs_for_all_optims("cpu", torch.float32):
            given, text = wrong.optimizer_error_input, IN_OUR_WORDS.get(wrong.error_regex, wrong.error_regex)
            params = parameters("cpu", torch.float32) if given.params is None else given.params
            expect = self.assertWarnsRegex if issubclass(wrong.error_type, Warning) else self.assertRaisesRegex
            with expect(wrong.error_type, text):
                cls(params, **given.kwargs)

    @each_class
    def test_empty_parameter_list(self, cls):
        """A list, or a generator that is used up; a fresh generator is fine."""
        generator = (param for param in parameters("cpu", torch.float32))
        self.assertEqual(len(cls(generator).param_groups[0]["params"]), 4)
        for empty in ([], generator):
            with self.assertRaisesRegex(ValueError, rf"{cls.__name__} got an empty.*Pass model\.parameters\(\)"):
                cls(empty)


instantiate_parametrized_tests(TestErrors)


def train_on_a_share(rank, shares, folder):
    """Train on every `shares`-th sample from the `rank`-th on, as one of that many processes; save the model.

    The processes start from a file of this function alone, which is quick, so it brings its own imports.
    """
    import torch
    from torch import distributed

    from padam import Padam

    torch.manual_seed(0)
    inputs, targets = torch.randn(8, 4, dtype=torch.float64), torch.randn(8, 2, dtype=torch.float64)
    layer = model = torch.nn.Linear(4, 2, dtype=torch.float64)
    if shares > 1:
        torch.set_num_threads(1)
        distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=shares)
        model = torch.nn.parallel.DistributedDataParallel(layer)
    optimizer = Padam(model.parameters(), lr=0.05, weight_decay=1e-2)
    for _ in range(10):
        optimizer.zero_grad()
        (model(inputs[rank::shares]) - targets[rank::shares]).square().mean().backward()
        optimizer.step()
    torch.save(layer.state_dict(), f"{folder}/{rank}_of_{shares}.pt")
    if shares > 1:
        distributed.destroy_process_group()


@unittest.skipUnless(torch.distributed.is_available() and torch.distributed.is_gloo_available(), "needs gloo")
class TestDistributed(TestCase):
    def test_two_processes_equal_one(self):
        """Both end with the same parameters: those of one process on the joined batch."""
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "share_of_the_batch.py").write_text(inspect.getsource(train_on_a_share), encoding="utf-8")
            with mock.patch.object(sys, "path", [folder, *sys.path]):
                worker = importlib.import_module("share_of_the_batch").train_on_a_share
                torch.multiprocessing.start_processes(worker, (2, folder), nprocs=2, start_method=warm.METHOD)
            train_on_a_share(0, 1, folder)
            first, second, alone = (torch.load(f"{folder}/{name}.pt") for name in ("0_of_2", "1_of_2", "0_of_1"))
        self.assertEqual(first, second, **EXACT)
        self.assertEqual(first, alone, rtol=1e-12, atol=1e-12)
