"""What users and libraries do to an optimizer between two steps: each ends in the loop's result or a clear error.

What may crash runs in a process of its own. A fused step goes by addresses, so most of it is about that.
"""

import copy
import io
import json
import os
import pickle
import re
import subprocess
import sys
import textwrap
import warnings
import weakref
from collections import UserList
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import warm
from test_contract import FAMILY, clones, take, tensors
from torch._dynamo.testing import CompileCounter
from torch.nn import Parameter
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from padam import AdaBound, AMSGrad, Padam, PartialAdagrad, PartialRMSprop, Yogi
from padam.optim import base, fused
from padam.optim import foreach as lists
from padam.optim.fused import cpu

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
needs_compiler = pytest.mark.skipif(not cpu.compiler(), reason="needs a C compiler")

# ---------------------------------------------------------------------------- attacks on the addresses of a fused step

# Each is done to a (2, 2) weight and its state after two steps. `same`: the third step is the loop's; else the error.
SHAPES = {
    "a state set to a smaller tensor at the same address": (
        "m.set_(m.untyped_storage(), 0, (1,), (1,))",
        "beside a parameter .* is one",
    ),
    "a state's data sliced": ("m.data = m.data[:1]", "beside a parameter .* is one"),
    "a state's data seen as integers": ("m.data = m.data.view(torch.int32)", "int32"),
    "a state's data transposed": ("m.data = m.data.t()", "same"),
    "weights reshaped": ("w.data = w.data.reshape(4)", r"parameter \(4,\) .* is one \(2, 2\)"),
    "weights reshaped, all of them": (
        "w.data = w.data.reshape(4); w.grad = w.grad.reshape(4)",
        r"parameter \(4,\) .* is one \(2, 2\)",
    ),
    "weights as a negative view": ("w.data = torch._neg_view(-w.data)", "same"),
    "weights transposed": ("w.data = w.data.t()", "same"),
    "a state as a negative view": ("o.state[w]['exp_avg'] = torch._neg_view(-m)", "same"),
    "a state's data as a negative view": ("m.data = torch._neg_view(-m.data)", "same"),
    "a gradient as a negative view": ("w.grad = torch._neg_view(-w.grad)", "same"),
    "a gradient of zeros without memory": ("w.grad = torch._efficientzerotensor(2, 2)", "same"),
    "a gradient with gaps": ("w.grad = torch.stack([w.grad, w.grad + 1], -1)[..., 0]", "same"),
    "a gradient at another address": ("w.grad = w.grad.clone()", "same"),
    "weights without memory": ("w.untyped_storage().resize_(0)", "no memory"),
    "a state without memory": ("m.untyped_storage().resize_(0)", "no memory"),
    "a gradient without memory": ("w.grad.untyped_storage().resize_(0)", "no memory"),
    "a step count of doubles": ("o.state[w]['step'] = o.state[w]['step'].double()", "same"),
    "a step count seen as integers": (
        "o.state[w]['step'].data = o.state[w]['step'].data.view(torch.int32)",
        "a step count is .* int32 on cpu, but must be",
    ),
    "a step count of its own": ("o.state[w]['step'] += 3", "same"),
    "states forgotten": ("o.state.clear()", "same"),
    "a weight less": ("del o.param_groups[0]['params'][1]", "same"),
    "found_inf": ("o.found_inf = torch.tensor(1.0)", "found_inf are set.*Delete them"),
    "grad_scale": ("o.grad_scale = torch.tensor(2.0)", "found_inf are set.*Delete them"),
}
ATTACK = """
import copy, json, torch
from padam import Padam
torch.set_num_threads(2)
outcomes = []
for options in FORMS:
    torch.manual_seed(0)
    w, other = (torch.nn.Parameter(torch.randn(2, 2)) for _ in range(2))
    o = Padam([w, other], lr=0.1, **options)
    for number in range(3):
        w.grad, other.grad = torch.randn(2, 2), torch.randn(2, 2)
        if number == 2:
            m = o.state[w]["exp_avg"]
            before = other.detach().clone()
            ATTACK
        try:
            o.step()
        except RuntimeError as error:
            unmoved = torch.equal(other, before) and o.state[other]["step"].item() == 2
            outcomes.append([str(error), unmoved])
            break
    else:
        outcomes.append([w.tolist(), other.tolist(), [v.tolist() for v in o.state[w].values()]])
print(json.dumps(outcomes))
"""


def close(one, other):
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == pytest.approx(other, rel=1e-5, abs=1e-6)


@needs_compiler
@pytest.mark.parametrize("name", SHAPES)
def test_a_fused_step_is_the_loops_or_says_why_not(name):
    attack, expected = SHAPES[name]
    forms = [{"fused": True}, {"foreach": False}][: 2 if expected == "same" else 1]  # the loop may crash as torch does
    code = ATTACK.replace("ATTACK", attack).replace("FORMS", repr(forms))
    run = warm.run("-W", "ignore", "-c", code, timeout=60)
    assert run.returncode == 0, f"ended with {run.returncode}: {run.stderr[-2000:]}"
    ours, *loops = json.loads(run.stdout)
    if expected == "same":
        assert close([ours], loops), (ours, loops)
    else:
        text, unmoved = ours
        assert re.search(expected, text), text
        assert unmoved, "a refused step moved another weight, or counted"


@needs_compiler
def test_a_layout_keeps_no_tensor_and_goes_with_its_group():
    """Nor do copies of what is not dense stay behind."""
    weight, apart = Parameter(torch.ones(3)), Parameter(torch.ones(6)[::2])
    optimizer = Padam([{"params": [weight]}, {"params": [apart]}], fused=True)
    for _ in range(2):
        take(optimizer, [torch.ones(3), torch.ones(3)])
    assert [pointers is not None for pointers in optimizer._last_pointers] == [True, False]
    gone = weakref.ref(optimizer.state[weight]["exp_avg"])
    optimizer.state[weight]["exp_avg"] = torch.zeros(3)
    assert gone() is None
    del optimizer.param_groups[1]
    take(optimizer, [torch.ones(3)])
    assert len(optimizer._last_pointers) == len(optimizer._last_options) == 1


ORDERS = {
    "transposed": lambda: (torch.randn(4, 5).t(), torch.randn(4, 5).t()),
    "channels last, in 3d": lambda: [torch.randn(2, 3, 4, 5, 6).to(memory_format=torch.channels_last_3d)] * 2,
    "sizes of 1": lambda: (torch.randn(9, 1, 3, 3), torch.randn(9, 1, 3, 3).to(memory_format=torch.channels_last)),
}


@needs_compiler
@pytest.mark.parametrize("name", ORDERS)
def test_dense_tensors_are_stepped_where_they_lie(name):
    """In whatever order, which costs no copies, and is checked once."""
    values, gradients = ORDERS[name]()
    weight, twin = Parameter(values.clone()), Parameter(values.clone())
    optimizer, loop = Padam([weight], fused=True), Padam([twin], foreach=False)
    for _ in range(3):
        weight.grad, twin.grad = gradients.clone(), gradients.clone()
        optimizer.step()
        loop.step()
    torch.testing.assert_close(weight, twin)
    assert optimizer._last_pointers[0] is not None


@needs_compiler
def test_what_torch_cannot_change_is_refused():
    """As it refuses itself; and nothing is counted."""
    wide = torch.ones(1).expand(3).requires_grad_()
    wide.grad = torch.ones(3)
    optimizer = Padam([wide], fused=True)
    with pytest.raises(RuntimeError, match="was expanded"):
        optimizer.step()
    assert optimizer.state[wide]["step"] == 0
    with torch.inference_mode():
        made = torch.ones(3)
    optimizer = Padam([weight := Parameter(torch.ones(3))], fused=True)
    take(optimizer, [torch.ones(3)])
    optimizer.state[weight]["exp_avg"] = made
    with pytest.raises(RuntimeError, match="inference mode"):
        take(optimizer, [torch.ones(3)])


@needs_compiler
def test_gradients_that_are_copied_stay_what_they_were():
    weight = Parameter(torch.ones(2, 3))
    weight.grad = torch._neg_view(torch.ones(2, 3))
    version = weight.grad._version
    Padam([weight], fused=True).step()
    assert weight.grad._version == version


@needs_compiler
def test_without_torchs_guards_every_step_checks_everything(monkeypatch):
    """They are no public part of PyTorch."""
    monkeypatch.setattr(fused, "TensorGuards", None)
    checked, check = [], fused._check
    monkeypatch.setattr(fused, "_check", lambda *given: (checked.append(1), check(*given)))
    weight, twin = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    ours, loop = Padam([weight], fused=True), Padam([twin], foreach=False)
    for _ in range(3):
        take(ours, [torch.ones(3)])
        take(loop, [torch.ones(3)])
    torch.testing.assert_close(weight, twin)
    assert len(checked) == 3


# ---------------------------------------------------------------------------- the compiler


def _refusal(monkeypatch):
    """What a first fused step raises with the environment as it is."""
    cpu._compiled.cache_clear()
    weight = Parameter(torch.ones(3))
    with pytest.raises(RuntimeError) as error:
        take(Padam([weight], fused=True), [torch.ones(3)])
    assert torch.equal(weight, torch.ones(3))
    return str(error.value)


def _script(folder, name, text):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@needs_compiler
def test_cc_may_be_several_words_and_a_quoted_path(monkeypatch, tmp_path):
    folder = tmp_path / "with a space"
    folder.mkdir()
    own = _script(folder, "cc", f'#!/bin/sh\ntouch "{folder}/called"\nshift\nexec {cpu.compiler()[0]} "$@"\n')
    monkeypatch.setenv("CC", f"'{own}' -one-more")
    cpu._compiled.cache_clear()
    weight, twin = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    take(Padam([weight], fused=True), [torch.ones(3)])
    take(Padam([twin], foreach=False), [torch.ones(3)])
    assert (folder / "called").exists()
    torch.testing.assert_close(weight, twin)


def test_what_a_compiler_says_need_not_be_utf8(monkeypatch, tmp_path):
    own = _script(tmp_path, "cc", "#!/bin/sh\nprintf 'h\\351las' >&2\nexit 1\n")
    monkeypatch.setenv("CC", str(own))
    assert "exit status 1: h\ufffdlas" in _refusal(monkeypatch)


def test_a_compiler_that_says_nothing_is_quoted_with_its_status(monkeypatch, tmp_path):
    own = _script(tmp_path, "cc", "#!/bin/sh\nkill -9 $$\n")
    monkeypatch.setenv("CC", str(own))
    assert "exit status -9: it said nothing" in _refusal(monkeypatch)


@needs_compiler
def test_no_folder_for_temporary_files(monkeypatch):
    def nowhere(**_):
        raise FileNotFoundError("No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(cpu.tempfile, "TemporaryDirectory", nowhere)
    assert "compiled in a temporary folder, and there is none: No usable" in _refusal(monkeypatch)


# ---------------------------------------------------------------------------- options and arguments

WRONG = (  # a call, the error it is, and what it says
    (lambda x: Padam([x], lr="1e-1"), TypeError, "lr is '1e-1', but must be a number"),
    (lambda x: Padam([x], p="1/8"), TypeError, "p is '1/8', but must be a number"),
    (lambda x: Padam([x], betas=("0.9", 0.999)), TypeError, "beta1 is '0.9', but must be a number"),
    (lambda x: Padam([x], betas="09"), ValueError, "betas is '09', but must be a pair"),
    (lambda x: Padam([x], betas=(torch.tensor(0.9), 0.999)), TypeError, "betas holds a tensor"),
    (lambda x: Padam([x], betas=torch.tensor([0.9, 0.999])), ValueError, "must be a pair of two numbers"),
    (lambda x: Padam([x], eps=torch.tensor(1e-8)), TypeError, "eps is a tensor, but must be a plain number"),
    (lambda x: Padam([x], partial=1 / 8), TypeError, "no option 'partial': the exponent is p"),
    (lambda x: Padam([{"params": [x], "partial": 1 / 8}]), TypeError, "no option 'partial': the exponent is p"),
    (lambda x: Padam([x], amsgrad=True), TypeError, "no option 'amsgrad': .* keep the running maximum always"),
    (lambda x: AdaBound([x], amsbound=True), TypeError, "AdaBound has no option 'amsbound'"),
    (lambda x: Padam([x], weight_decouple=True), TypeError, "no option 'weight_decouple': write decay='decoupled'"),
    (lambda x: Padam([x], momentum=0.9), TypeError, r"no option 'momentum': it is betas\[0\]"),
    (lambda x: PartialAdagrad([x], momentum=0.9), TypeError, r"no option 'momentum'\. It takes"),
    (lambda x: AMSGrad([x], partial=0.1), TypeError, r"no option 'partial'\. It takes"),
    (lambda x: Padam([{"lr": 0.1}], fused=True), KeyError, "params"),
    (lambda x: Padam([x], weight_dacay=0.1), TypeError, "no option 'weight_dacay': did you mean weight_decay"),
    (lambda x: Padam([x], differentiable=True), TypeError, "no gradient flows through a step"),
    (lambda x: Padam(torch.nn.Linear(2, 2)), TypeError, r"got a Linear; .* pass model.parameters\(\)"),
    (lambda x: Padam([{"params": torch.nn.Linear(2, 2)}]), TypeError, r"got a Linear; .* pass model.parameters\(\)"),
    (lambda x: Padam(None), TypeError, r"got None; .* pass model.parameters\(\)"),
    (lambda x: Padam([x], maximize="false"), TypeError, "maximize is 'false', but must be True or False"),
    (lambda x: Padam([x], fused="False"), TypeError, "fused is 'False', but must be True or False or None"),
    (lambda x: AdaBound([{"params": [x], "base_lr": -1.0}]), ValueError, "base_lr = -1 is outside"),
)


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_argument_is_named_with_the_right_one(number):
    call, error, text = WRONG[number]
    with pytest.raises(error, match=text):
        call(Parameter(torch.ones(2)))


@pytest.mark.parametrize("betas", [[0.5, 0.9], UserList([0.5, 0.9]), (0.5, 0.9)], ids=["list", "a sequence", "tuple"])
def test_betas_are_any_sequence_and_kept_as_a_tuple(betas):
    """As YAML and Hydra bring them; also in a group, and set later."""
    weight = Parameter(torch.ones(2))
    optimizer = Padam([{"params": [weight], "betas": betas}, {"params": [Parameter(torch.ones(1))]}], betas=betas)
    assert [group["betas"] for group in optimizer.param_groups] == [(0.5, 0.9)] * 2
    optimizer.param_groups[0]["betas"] = betas
    take(optimizer, [torch.ones(2), None])
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)


@pytest.mark.parametrize("kind", [Fraction, Decimal, np.float32], ids=["Fraction", "Decimal", "NumPy"])
@pytest.mark.parametrize("form", [{}, {"foreach": False}, {"fused": True}], ids=str)
def test_numbers_may_be_of_any_kind(kind, form):
    weight, twin = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    options = {"lr": 0.125, "p": 0.25, "eps": 0.5, "weight_decay": 0.5}
    take(
        Padam([weight], **{name: kind(value) for name, value in options.items()}, betas=[kind(0.5)] * 2, **form), [twin]
    )
    take(Padam([twin], **options, betas=(0.5, 0.5), **form), [twin])
    assert torch.equal(weight, twin)


STRAY = (  # a class, options, and what another class left in its group
    (Yogi, {}, {"p": 1 / 8}),
    (AMSGrad, {"correction": "exact"}, {"p": 1 / 8, "lr_decay": 0.5}),
    (AdaBound, {"correction": "exact"}, {"p": 1 / 8}),
    (PartialRMSprop, {}, {"betas": (0.5, 0.5), "correction": "folded"}),
    (Padam, {}, {"final_lr": 0.1, "gamma": 1.0, "momentum": 0.9}),
)


@pytest.mark.parametrize("form", [{}, {"foreach": False}, {"fused": True}], ids=str)
@pytest.mark.parametrize("number", range(len(STRAY)))
def test_options_of_another_class_mean_nothing(number, form):
    cls, options, stray = STRAY[number]
    form = {} if cls.rule not in cpu.RULES else form
    weight, twin = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    optimizer, plain = cls([weight], **options, **form), cls([twin], **options, **form)
    optimizer.param_groups[0].update(stray)
    for _ in range(2):
        take(optimizer, [torch.full((3,), 0.01)])
        take(plain, [torch.full((3,), 0.01)])
    assert torch.equal(weight, twin)


SET = {
    "p": (3.0, ValueError, r"p = 3 is outside \[0, 1\]"),
    "lr": (-1.0, ValueError, r"lr = -1 is outside"),
    "eps": ("1e-8", TypeError, "eps is '1e-8', but must be a number"),
    "betas": ((0.9, 1.5), ValueError, r"beta2 = 1.5 is outside"),
    "decay": ("l1", ValueError, "decay is 'l1', but must be one of"),
    "correction": ("exactly", ValueError, "correction is 'exactly', but must be one of"),
}


@pytest.mark.parametrize("name", [*SET, "one less"])
def test_what_is_set_in_a_group_is_checked_at_the_next_step(name):
    weight = Parameter(torch.ones(2))
    optimizer = Padam([weight])
    take(optimizer, [torch.ones(2)])
    before, group = weight.detach().clone(), optimizer.param_groups[0]
    value, error, text = SET.get(name, (None, ValueError, "a group has no p; put it back"))
    kept = group.pop("p") if name == "one less" else group[name]
    if name != "one less":
        group[name] = value
    for _ in range(2):  # it is not forgotten
        with pytest.raises(error, match=text):
            take(optimizer, [torch.ones(2)])
    assert torch.equal(weight, before)
    group["p" if name == "one less" else name] = kept
    take(optimizer, [torch.ones(2)])
    assert optimizer.state[weight]["step"] == 2


@pytest.mark.parametrize("cls", [Padam, PartialRMSprop])
def test_an_exponent_beyond_the_proof_is_taken_with_a_warning(cls):
    """It says what no longer holds, where the user's own line is, once for a value."""
    with pytest.warns(UserWarning, match=rf"{cls.__name__}: p = 0.75 is beyond 1/2.*Theorem 4.3") as said:
        optimizer = cls([Parameter(torch.ones(2))], p=0.75)
    assert [one.filename for one in said] == [__file__]
    take(optimizer, [torch.ones(2)])
    optimizer.param_groups[0]["lr"] = 0.5
    take(optimizer, [torch.ones(2)])
    optimizer.param_groups[0]["p"] = 1.0
    with pytest.warns(UserWarning, match="p = 1 is beyond 1/2"):
        take(optimizer, [torch.ones(2)])
    take(optimizer, [torch.ones(2)])
    with pytest.warns(UserWarning, match="p = 0.75 is beyond 1/2"):
        cls([{"params": [Parameter(torch.ones(2))], "p": 0.75}])


@pytest.mark.filterwarnings("ignore:.*is beyond 1/2")
@pytest.mark.parametrize("p", [0.75, 1.0])
@pytest.mark.parametrize("form", [{}, {"fused": True}], ids=["foreach", "fused"])
def test_forms_agree_beyond_the_proof(p, form):
    params = [Parameter(torch.randn(40)), Parameter(torch.randn(3, 3))]
    one, other = Padam(clones(params), p=p, foreach=False, lr=1e-4), Padam(params, p=p, lr=1e-4, **form)
    for _ in range(4):
        gradients = [torch.randn_like(param) for param in params]
        take(one, gradients)
        take(other, gradients)
    torch.testing.assert_close(tensors(other), tensors(one), rtol=1e-5, atol=1e-6)


def test_adabound_that_begins_at_rate_0_takes_the_first_that_is_not():
    """As a warm-up from 0 does; its bounds are relative to that rate from then on."""
    weight, twin = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    warmed, plain = AdaBound([weight], lr=0.0), AdaBound([twin], lr=0.01)
    take(warmed, [torch.zeros(2)])
    take(plain, [torch.zeros(2)])
    assert torch.equal(weight, torch.ones(2))
    warmed.param_groups[0]["lr"] = 0.01
    for _ in range(3):
        take(warmed, [torch.ones(2)])
        take(plain, [torch.ones(2)])
    torch.testing.assert_close(weight, twin, rtol=0, atol=0)


@pytest.mark.parametrize("form", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=str)
def test_adabounds_bounds_follow_the_schedule_of_each_group(form):
    """A tenth of a group's rate: a tenth of the step, where the bounds decide, whichever rate the group began with."""
    options = {"final_lr": 0.1, "gamma": 1e6, "betas": (0.0, 0.999), **form}  # the bounds are closed at once
    weights = [Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(3)]
    groups = [{"params": [weights[0]], "lr": 0.5}, {"params": [weights[1]]}, {"params": [weights[2]], "base_lr": 0.2}]
    optimizer = AdaBound(groups, lr=0.1, **options)
    take(optimizer, [torch.ones(1, dtype=torch.float64)] * 3)
    first = [weight.item() for weight in weights]
    assert first == pytest.approx([-0.1, -0.1, -0.05], rel=1e-4)
    for group in optimizer.param_groups:
        group["lr"] /= 10
    take(optimizer, [torch.ones(1, dtype=torch.float64)] * 3)
    assert [weight.item() - before for weight, before in zip(weights, first, strict=True)] == pytest.approx(
        [-0.01, -0.01, -0.005], rel=1e-4
    )


# ---------------------------------------------------------------------------- state dicts


def test_a_state_of_another_shape_is_refused_when_it_is_loaded():
    wide, tall = Padam([Parameter(torch.ones(2, 3))]), Padam([Parameter(torch.ones(3, 2))])
    take(wide, [torch.ones(2, 3)])
    take(tall, [torch.ones(3, 2)])
    before = copy.deepcopy(tall.state_dict())
    with pytest.raises(ValueError, match=r"shape \(3, 2\) has a state \w+ of shape \(2, 3\).*another model"):
        tall.load_state_dict(wide.state_dict())
    torch.testing.assert_close(tall.state_dict()["state"], before["state"], rtol=0, atol=0)


def test_the_state_of_16_bit_weights_is_not_the_callers():
    weight = Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = Padam([weight])
    take(optimizer, [torch.ones(3)])
    saved = copy.deepcopy(optimizer.state_dict())
    fresh = Padam([Parameter(torch.ones(3, dtype=torch.bfloat16))])
    fresh.load_state_dict(saved)
    before = saved["state"][0]["exp_avg"].clone()
    take(fresh, [torch.ones(3)])
    assert torch.equal(saved["state"][0]["exp_avg"], before)


def test_only_the_dict_of_another_class_is_warned_of():
    params = [Parameter(torch.ones(2))]
    torch_adam = torch.optim.Adam(params, amsgrad=True)
    optimizers = {"Adam": torch_adam, "Padam": Padam(params), "AMSGrad": AMSGrad(params), "Yogi": Yogi(params)}
    for optimizer in optimizers.values():
        take(optimizer, [torch.ones(2)])
    Padam(params).load_state_dict(optimizers["Padam"].state_dict())
    for name in ("Adam", "AMSGrad"):
        ours = Padam(params)
        with pytest.warns(UserWarning, match="takes over its lr and weight decay.*median of max_exp_avg_sq") as said:
            ours.load_state_dict(optimizers[name].state_dict())
        assert ours.param_groups[0]["lr"] == optimizers[name].param_groups[0]["lr"]
        assert [one.filename for one in said] == [__file__]


@pytest.mark.filterwarnings("ignore:.*loads the state dict of another class")
def test_what_another_class_left_is_warned_of_once():
    """Its own state dict, saved afterwards, is its own."""
    params = [Parameter(torch.ones(2))]
    yogi, ours = Yogi(params), AdaBound(params)
    take(yogi, [torch.ones(2)])
    ours.load_state_dict(yogi.state_dict())
    assert "initial_accumulator" not in ours.param_groups[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AdaBound(params).load_state_dict(ours.state_dict())


def test_the_way_to_convert_a_rate_is_told_where_it_is_one():
    params = [Parameter(torch.ones(2))]
    padam = Padam(params)
    take(padam, [torch.ones(2)])
    with pytest.warns(UserWarning, match="takes over its lr") as said:
        AMSGrad(params).load_state_dict(padam.state_dict())
    assert "median" not in str(said[0].message)


def test_a_state_that_was_only_looked_at_is_none():
    """`optimizer.state[frozen]` leaves an empty one in every later state dict."""
    params = [Parameter(torch.ones(2)), Parameter(torch.ones(3))]
    optimizer, fresh = Padam(params), Padam(clones(params))
    take(optimizer, [torch.ones(2), None])
    assert optimizer.state[params[1]] == {}
    fresh.load_state_dict(optimizer.state_dict())
    take(fresh, [torch.ones(2), torch.ones(3)])
    assert fresh.state[fresh.param_groups[0]["params"][1]]["step"] == 1


def test_a_class_of_somebodys_own_over_the_base_is_in_nobodys_way():
    class Own(base.Optimizer):
        pass

    params = [Parameter(torch.ones(2))]
    optimizer = Padam(params)
    take(optimizer, [torch.ones(2)])
    Padam(params).load_state_dict(optimizer.state_dict())
    assert issubclass(Own, torch.optim.Optimizer)


def test_the_pickle_of_an_older_version_goes_on():
    """What it lacks gets its default."""
    weight = Parameter(torch.ones(2))
    optimizer = Padam([weight], lr=0.2)
    take(optimizer, [torch.ones(2)])
    for name in ("fused", "capturable", "maximize"):
        del optimizer.param_groups[0][name]
        del optimizer.defaults[name]
    older = pickle.loads(pickle.dumps(optimizer))
    take(older, [torch.ones(2)])
    older.add_param_group({"params": [Parameter(torch.ones(1))]})
    assert older.param_groups[0]["lr"] == 0.2
    assert older.param_groups[1]["fused"] is None


# ---------------------------------------------------------------------------- surroundings


def test_a_step_that_was_traced_does_not_change_later_ones():
    """Under FakeTensorMode, as libraries that look at memory take one."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = Parameter(torch.ones(3))
        optimizer = Padam([fake], betas=(0.31, 0.77), eps=1e-7, capturable=True)
        fake.grad = torch.ones(3)
        optimizer.step()
    weight, twin = Parameter(torch.ones(3)), Parameter(torch.ones(3))
    for options, param in (({}, weight), ({"foreach": False}, twin)):
        take(Padam([param], betas=(0.31, 0.77), eps=1e-7, **options), [torch.ones(3)])
    torch.testing.assert_close(weight, twin)


class Whole(torch.Tensor):
    """A tensor of somebody's own, which cannot be cut."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.as_strided:
            raise NotImplementedError("as_strided")
        return super().__torch_function__(func, types, args, kwargs)


def test_large_tensors_of_another_class_are_stepped_whole(monkeypatch):
    monkeypatch.setattr(lists, "BLOCK", 4)
    own, plain = torch.ones(9).as_subclass(Whole).requires_grad_(), Parameter(torch.ones(9))
    for param in (own, plain):
        take(Padam([param]), [torch.full((9,), 0.5)])
    assert torch.equal(own.detach().as_subclass(torch.Tensor), plain)


@pytest.mark.parametrize("form", [{}, {"foreach": False}, {"fused": True}], ids=str)
def test_a_step_draws_nothing_and_calls_hooks_once(form):
    called = []
    handles = [
        register_optimizer_step_pre_hook(lambda *_: called.append("before")),
        register_optimizer_step_post_hook(lambda *_: called.append("after")),
    ]
    try:
        weight, state = Parameter(torch.ones(3)), torch.random.get_rng_state()
        take(Padam([weight], **form), [torch.ones(3)])
    finally:
        for handle in handles:
            handle.remove()
    assert called == ["before", "after"]
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("cls", FAMILY)
def test_scaling_is_left_to_the_scaler_unless_the_kernel_was_asked_for(cls, monkeypatch):
    """Where it is not, Lightning refuses to clip gradients."""
    weight = Parameter(torch.ones(3))
    assert not cls([weight])._step_supports_amp_scaling
    if cls.rule in cpu.RULES:
        optimizer = cls([weight], fused=True)
        assert not optimizer._step_supports_amp_scaling
        monkeypatch.setattr(cpu, "ON_DEVICE", True)
        assert optimizer._step_supports_amp_scaling


def test_torch_is_asked_whether_a_graph_is_captured(monkeypatch):
    """It warns of steps that were not made for it."""
    asked = []
    monkeypatch.setattr(base, "_check_capture", asked.append)
    optimizer = Padam([Parameter(torch.ones(3))])
    take(optimizer, [torch.ones(3)])
    assert asked == [optimizer]


def test_python_without_docstrings_can_import_it():
    run = subprocess.run(
        [sys.executable, "-OO", "-c", "import torch; from padam import *; Padam([torch.zeros(2, requires_grad=True)])"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("cls", FAMILY, ids=lambda cls: cls.__name__)
def test_what_all_classes_share_is_in_each_documentation(cls):
    """It is written out, for an editor shows what stands in the file."""
    text, shown = cls.__doc__, cls.__signature__.parameters
    assert list(shown) == ["params", *cls._options]
    for name in cls._options:
        assert f"        {name}: " in text, name
    shared = (
        text[text.index("        decay: ") : text.index("        fused: ")],
        text[text.index("        capturable:") :],
    )
    first = Padam.__doc__
    assert shared[0] == first[first.index("        decay: ") : first.index("        fused: ")]
    assert shared[1] == first[first.index("        capturable:") :]


COMPILED = """
    import json, torch, warnings
    import padam
    from torch._dynamo.testing import CompileCounterWithBackend
    from torch._dynamo.utils import counters
    warnings.simplefilter("ignore")
    cls, options = getattr(padam, CLS), json.loads(OPTIONS)
    params, twins = ([torch.nn.Parameter(torch.ones(shape)) for shape in ((3, 4), (5,))] for _ in range(2))
    counter = CompileCounterWithBackend(BACKEND)
    optimizer, plain = cls(params, **options), cls(twins, **options)
    step = torch.compile(optimizer.step, backend=counter, fullgraph=True)
    torch.manual_seed(0)
    for _ in range(4):
        for param, twin in zip(params, twins):
            param.grad = torch.randn_like(param)
            twin.grad = param.grad.clone()
        step()
        plain.step()
    torch.testing.assert_close(params, twins)
    states = [[list(o.state[p].values()) for p in ps] for o, ps in ((optimizer, params), (plain, twins))]
    torch.testing.assert_close(*states)
    opaque = [sum("fused_step" in str(node.target) for node in graph.graph.nodes) for graph in counter.graphs]
    print(json.dumps([counter.frame_count, sum(counters["graph_break"].values()), opaque]))
"""


@pytest.mark.parametrize("options", ["{}", '{"foreach": false}', '{"fused": true}'], ids=["foreach", "loop", "fused"])
@pytest.mark.parametrize("cls", FAMILY, ids=lambda cls: cls.__name__)
def test_a_compiled_step_is_one_graph(cls, options):
    """Without a break: one graph that makes the state, one for all later steps; a fused step is one operation of it."""
    if "fused" in options and cls.rule not in cpu.RULES:
        pytest.skip("there is no fused step of it")
    code = textwrap.dedent(COMPILED).replace("CLS", repr(cls.__name__)).replace("OPTIONS", repr(options))
    run = warm.run("-W", "ignore", "-c", code.replace("BACKEND", "'eager'"))
    assert run.returncode == 0, run.stderr[-3000:]
    graphs, breaks, opaque = json.loads(run.stdout.splitlines()[-1])
    assert (graphs, breaks) == (2, 0)
    assert opaque == [int("fused" in options)] * 2


@pytest.mark.parametrize("options", [{}, {"fused": True}], ids=["foreach", "fused"])
def test_a_rate_that_changes_is_compiled_once_more(options):
    """Not at every step, as torch compiles its own."""
    code = f"""
        import torch
        from padam import Padam
        from torch._dynamo.testing import CompileCounter
        counter, weight = CompileCounter(), torch.nn.Parameter(torch.ones(5))
        optimizer = Padam([weight], weight_decay=0.1, decay="decoupled", **{options})
        step = torch.compile(optimizer.step, backend=counter, fullgraph=True)
        for number in range(8):
            weight.grad = torch.ones(5)
            optimizer.param_groups[0]["lr"] = 0.1 / (number + 1)
            step()
        print(counter.frame_count)
    """
    run = warm.run("-W", "ignore", "-c", textwrap.dedent(code))
    assert run.stdout.split() == ["2"], run.stderr[-2000:]


def test_the_counter_of_graphs_sees_a_break():
    """Otherwise the test before would mean nothing."""
    counter = CompileCounter()

    @torch.compile(backend=counter)
    def broken(x):
        x = x + 1
        torch._dynamo.graph_break()
        return x + 1

    broken(torch.ones(2))
    assert counter.frame_count == 2


def test_a_saved_optimizer_can_be_read_again_by_weights_only():
    weight = Parameter(torch.ones(2))
    optimizer = Padam([weight], betas=[0.5, 0.9])
    take(optimizer, [torch.ones(2)])
    with io.BytesIO() as file:
        torch.save(optimizer.state_dict(), file)
        file.seek(0)
        assert torch.load(file, weights_only=True)["param_groups"][0]["betas"] == (0.5, 0.9)
