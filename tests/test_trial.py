"""What is chosen where nobody asks: the fused step on devices where a trial shows that it is right.

On a CPU, by the compiled step, as if that were to be chosen there; tests/test_fused.py has the kernel's.
"""

import pytest
import torch
from test_contract import ROUNDING, clones, parameters, path, take, tensors
from torch.nn import Parameter

from padam import AdaBound, AMSGrad, Padam, PartialAdagrad, Yogi, compiled, trial

AUTOMATIC = trial.AUTOMATIC
pytestmark = pytest.mark.skipif(compiled.compiler() is None, reason="needs a C compiler")


class _Own(torch.Tensor):
    pass


@pytest.fixture
def automatic(monkeypatch):
    """As on a GPU: the fused step is chosen where nothing is asked for; [parameters of each call, ...]."""
    calls, step = [], compiled.step
    monkeypatch.setattr(trial, "AUTOMATIC", ("cpu",))
    monkeypatch.setattr(trial, "_tried", {})
    monkeypatch.setattr(compiled, "step", lambda rule, x, *rest: (calls.append(len(x)), step(rule, x, *rest)))
    return calls


@pytest.mark.parametrize("cls", [Padam, AMSGrad, Yogi, AdaBound])
def test_where_it_is_chosen_it_is_tried_first_and_once(cls, automatic, caplog):
    params = parameters("cpu", torch.float32)
    gradients, before = list(path(params)), torch.random.get_rng_state()
    one, other = cls(clones(params), foreach=False), cls(params)
    for gradient in gradients:
        take(one, gradient)
        take(other, gradient)
        torch.testing.assert_close(tensors(other), tensors(one), **ROUNDING[torch.float32])
    assert automatic[0] == len(trial._SIZES)
    assert automatic.count(len(trial._SIZES)) < 4, "the trial"
    assert trial._tried == {(cls.rule, torch.device("cpu"), torch.float32): True}
    tried = len(automatic)
    take(cls([Parameter(torch.ones(2))]), [torch.ones(2)])
    assert automatic[tried:] == [1]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not caplog.messages


def test_where_it_is_not_chosen_nothing_is_tried(automatic, monkeypatch):
    """Another form is asked for, it does not serve, or the tensors are somebody's own."""
    weight = Parameter(torch.ones(3))
    for options in ({"foreach": True}, {"foreach": False}, {"fused": False}):
        take(Padam([weight], **options), [torch.ones(3)])
    take(PartialAdagrad([weight]), [torch.ones(3)])
    take(Padam([Parameter(torch.ones(3, dtype=torch.float16))]), [torch.ones(3, dtype=torch.float16)])
    own = torch.ones(3).as_subclass(_Own).requires_grad_()
    take(Padam([own]), [torch.ones(3)])
    with monkeypatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        take(Padam([weight]), [torch.ones(3)])
    monkeypatch.setattr(trial, "AUTOMATIC", AUTOMATIC)
    take(Padam([weight]), [torch.ones(3)])  # on a CPU
    assert automatic == []


@pytest.mark.parametrize("wrong", ["weights", "states", "error"])
def test_what_is_wrong_on_a_device_is_not_chosen_there(wrong, automatic, monkeypatch, caplog):
    """The step is foreach's, and the log says why, once."""
    step, last = compiled.step, iter((False, False, True))  # a step whose error the next does not show

    def broken(rule, x, g, slots, *rest):
        step(rule, x, g, slots, *rest)
        if wrong == "error":
            raise RuntimeError("illegal memory access")
        if next(last):
            (x if wrong == "weights" else slots["v"])[-1].view(-1)[-1].add_(0.01)

    monkeypatch.setattr(compiled, "step", broken)
    monkeypatch.delattr(compiled, "Known")  # so that it is called for every step
    weights = [Parameter(torch.ones(3)) for _ in range(2)]
    for weight, options in zip(weights, ({}, {"foreach": True}), strict=True):
        optimizer = Padam([weight], **options)
        for _ in range(2):
            take(optimizer, [torch.full((3,), 0.5)])
    assert torch.equal(*weights)
    assert len(caplog.messages) == 1
    assert "the fused step of padam is not taken for torch.float32 on cpu" in caplog.messages[0]
    assert ("illegal memory access" in caplog.messages[0]) is (wrong == "error")


def test_a_class_over_ours_is_tried_as_ours(automatic):
    class Mine(Padam):
        def __init__(self, params):
            super().__init__(params, lr=0.2)

    take(Mine([Parameter(torch.ones(2))]), [torch.ones(2)])
    assert list(trial._tried.values()) == [True]
