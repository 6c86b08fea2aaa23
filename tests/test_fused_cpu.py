"""The compiled step against the for-loop: every rule and option, every layout in memory, several threads, errors."""

import copy
import ctypes
import logging
import math
import os
import pickle
import re
import subprocess
import textwrap
import weakref
from types import SimpleNamespace

import pytest
import torch
import warm
from test_contract import CHANNELS_LAST, ROUNDING, ROWS, clones, exchanged, has, parameters, path, take, tensors
from torch.nn import Parameter

from padam import AdaBound, AMSGrad, Padam, PartialAdagrad, Yogi
from padam.optim import fused
from padam.optim.fused import cpu

SERVED = (Padam, AMSGrad, Yogi, AdaBound)
CASES = [(cls, row) for cls in SERVED for row in ROWS if has(cls, row)]
IDS = [f"{cls.__name__}-{number}" for number, (cls, _) in enumerate(CASES)]
pytestmark = pytest.mark.skipif(not cpu.compiler(), reason="needs a C compiler")


@pytest.fixture
def threads():
    """Sets the number of torch's threads, and sets it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def assert_same_path(cls, row, params, gradients):
    """With fused=True as by the for-loop: after every step the same parameters and state."""
    one = cls(clones(params), **copy.deepcopy(row), foreach=False)
    other = cls(params, **copy.deepcopy(row), fused=True)
    for gradient in gradients:
        take(one, gradient)
        take(other, gradient)
        for ours, theirs in zip(tensors(other), tensors(one), strict=True):
            torch.testing.assert_close(ours, theirs, **ROUNDING[ours.dtype], equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64], ids=str)
@pytest.mark.parametrize(("cls", "row"), CASES, ids=IDS)
def test_it_equals_the_loop(cls, row, dtype):
    params = parameters("cpu", dtype)
    assert_same_path(cls, row, params, path(params))


@pytest.mark.parametrize("cls", SERVED)
def test_it_equals_the_loop_however_tensors_lie_in_memory(cls):
    """Without gaps or with some, in another order, and with gradients and states in an order of their own."""
    turned = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    layouts = (
        turned.contiguous(memory_format=CHANNELS_LAST),
        turned.clone(),
        turned.clone()[..., ::2],
        turned.clone()[0, 0].t(),
        turned[:, 0].clone(),
    )
    params = [Parameter(layout) for layout in layouts]
    gradients = [[torch.randn_like(param).contiguous() for param in params] for _ in range(3)]
    gradients[1][1] = gradients[1][1].contiguous(memory_format=CHANNELS_LAST)
    assert not gradients[0][0].is_contiguous(memory_format=CHANNELS_LAST)
    assert_same_path(cls, {"weight_decay": 0.1}, params, gradients)


@pytest.mark.parametrize("cls", SERVED)
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("started", [False, True], ids=["torch's threads", "started"])
def test_several_threads_take_every_element_once(cls, count, started, threads, monkeypatch):
    """Large tensors and small ones; as many threads as torch has: those of its OpenMP, or some that are started."""
    threads(count)
    if started:
        monkeypatch.setattr(cpu, "_openmp", lambda: None)
    params = parameters("cpu", torch.float32, shapes=((2**18 + 3,), (7,), (0,), (2**17,), (300, 700), ()))
    assert_same_path(cls, {"lr": 1e-3}, params, [[torch.randn_like(param) for param in params] for _ in range(2)])


def test_threads_help_only_where_it_pays(threads, monkeypatch):
    """Seen by what is called in place of OpenMP: with how many threads, and the step is taken by what it calls."""
    threads(3)
    asked, work = [], ctypes.CFUNCTYPE(None, ctypes.c_void_p)

    @ctypes.CFUNCTYPE(None, work, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    def parallel(function, given, count, flags):
        asked.append((count, flags))
        function(given)

    monkeypatch.setattr(cpu, "_openmp", lambda: ctypes.cast(parallel, ctypes.c_void_p).value)
    for elements in (1000, cpu._MIN_NUMEL_OPENMP):
        weight = Parameter(torch.ones(elements))
        assert_same_path(Padam, {}, [weight], [[torch.ones(elements)]])
    assert asked == [(3, 0)]
    monkeypatch.setattr(cpu, "_openmp", lambda: None)  # then threads have to be started, which takes longer
    prepare, taken = cpu.prepare, []

    def watched(*kind):
        return SimpleNamespace(step=lambda *given: (taken.append(given[4]), prepare(*kind).step(*given)))

    monkeypatch.setattr(cpu, "prepare", watched)
    for elements in (cpu._MIN_NUMEL_OPENMP, cpu._MIN_NUMEL_PTHREADS):
        weight = Parameter(torch.ones(elements))
        assert_same_path(Padam, {}, [weight], [[torch.ones(elements)]])
    threads(cpu._MAX_THREADS + 6)
    assert_same_path(Padam, {}, [weight], [[torch.ones(elements)]])
    assert taken == [1, 3, cpu._MAX_THREADS]


def test_the_short_chunks_of_small_networks_miss_no_element(threads):
    """What a thread takes is cut from each tensor anew, and the rest of one may be shorter still."""
    threads(3)
    for sizes in ((cpu._MIN_NUMEL_OPENMP + 1,), (1, 2047, 2**15, 40_001), (1023,) * 70):
        params = [Parameter(torch.randn(size)) for size in sizes]
        assert_same_path(Padam, {}, params, [[torch.randn_like(param) for param in params] for _ in range(2)])


@pytest.mark.skipif(cpu._openmp() is None, reason="needs a torch that brings GNU's OpenMP, and no fork")
def test_the_threads_are_torchs_own(threads):
    """They are there after a step, and torch needs no others: two sets would be in each other's way."""
    threads(1)  # all that is not the step itself is done by one thread
    weight = Parameter(torch.ones(2**20))
    optimizer = Padam([weight], fused=True)
    take(optimizer, [torch.ones(2**20)])
    counts = [len(os.listdir("/proc/self/task"))]
    threads(11)  # more than any other test takes
    for use in (optimizer.step, weight.detach().exp_):
        use()
        counts.append(len(os.listdir("/proc/self/task")))
    assert counts[0] < counts[1] == counts[2]


@pytest.mark.parametrize("cls", SERVED)
def test_what_is_no_number_stays_none(cls):
    gradients = torch.tensor([1.0, math.nan, math.inf, -math.inf, 0.0])
    assert_same_path(cls, {}, [Parameter(torch.ones(5))], [[gradients], [torch.ones(5)], [gradients.flip(0)]])


def test_forms_exchange_their_states():
    """A run goes on in another form as it would have in its own."""
    whole, others = exchanged(parameters("cpu", torch.float64))
    for other in others:
        torch.testing.assert_close(tensors(other), tensors(whole), rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_every_thread_flushes_denormal_numbers_if_the_caller_does(threads):
    """In a process of its own, for the setting is the thread's; a step leaves it as it was."""
    code = """
        import torch
        from padam import Padam
        torch.set_num_threads(4)
        assert torch.set_flush_denormal(True)
        weight = torch.nn.Parameter(torch.ones(2**20))
        weight.grad = torch.full_like(weight, 1e-19)  # its square is denormal
        optimizer = Padam([weight], fused=True)
        optimizer.step()
        print(*[optimizer.state[weight]["exp_avg_sq"][place].item() for place in (0, 500_000, -1)])
        torch.set_flush_denormal(False)
        optimizer.step()
        print(*[optimizer.state[weight]["exp_avg_sq"][place].item() > 0 for place in (0, 500_000, -1)])
        print((torch.tensor(1e-19) ** 2 > 0).item())
    """
    run = warm.run("-c", textwrap.dedent(code))
    assert run.stdout.split() == ["0.0"] * 3 + ["True"] * 4


def test_it_is_compiled_once_and_says_how_long_that_took(caplog, monkeypatch):
    caplog.set_level(logging.INFO, "padam")
    cpu._compiled.cache_clear()
    runs, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *given, **how: runs.append(given) or run(*given, **how))
    for size in (3, 5, 7):
        weight = Parameter(torch.ones(size))
        take(Padam([weight], fused=True, lr=0.1 * size), [torch.ones(size)])
    assert len(runs) == 1
    assert len(caplog.messages) == 1
    assert re.search(r"compiled the fused step of padam for float in \d+\.\d s", caplog.messages[0])


class _Own(torch.Tensor):
    pass


def _refused(text, make):
    with pytest.raises(RuntimeError, match=text) as error:
        make()
    assert "Use fused=None, which serves all that PyTorch does" in str(error.value)


def test_what_it_cannot_serve_is_refused_and_says_why(monkeypatch):
    half = [Parameter(torch.ones(3, dtype=torch.float16)), Parameter(torch.ones(3))]
    _refused(
        "Padam: fused=True, but no .* float32 and float64, and some .* are torch.float16",
        lambda: Padam(half, fused=True),
    )
    _refused("on meta", lambda: Padam([Parameter(torch.ones(3, device="meta"))], fused=True))
    _refused("no fused form .*padam, amsgrad, yogi, adabound", lambda: PartialAdagrad(half[1:], fused=True))
    _refused("torch.float16", lambda: Padam([("a", half[0]), ("b", half[1])], fused=True))
    assert Padam([("b", half[1])], fused=True).param_groups[0]["fused"]
    layer = torch.nn.Linear(2, 2)
    optimizer = Padam(layer.parameters(), fused=True)
    layer.half()
    for weight in layer.parameters():
        weight.grad = torch.ones_like(weight)
    before = clones(layer.parameters())
    _refused("torch.float16", optimizer.step)
    torch.testing.assert_close(list(layer.parameters()), before, rtol=0, atol=0)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    _refused(r"needs a C compiler, and none of \$CC, cc, gcc and clang", lambda: Padam(half[1:], fused=True))


def test_a_compiler_that_fails_is_named_with_what_it_said(monkeypatch, tmp_path):
    wrong = tmp_path / "wrongcc"
    wrong.write_text("#!/bin/sh\necho no such thing as $1 >&2\nexit 1\n")
    wrong.chmod(0o755)
    monkeypatch.setenv("CC", str(wrong))
    cpu._compiled.cache_clear()
    weight = Parameter(torch.ones(3))
    optimizer = Padam([weight], fused=True)
    with pytest.raises(RuntimeError, match="wrongcc -O3(.|\n)*no such thing as -O3(.|\n)*Set CC to another C compiler"):
        take(optimizer, [torch.ones(3)])
    assert torch.equal(weight, torch.ones(3))
    assert optimizer.state[weight]["step"] == 0, "the step was not taken, so it must not count"


def test_what_does_not_fit_the_tensors_is_refused_before_anything_moves():
    """A step goes by addresses, so a state of another shape or dtype would be memory of somebody else."""
    layer = torch.nn.Linear(3, 2)
    optimizer = Padam(layer.parameters(), fused=True)
    take(optimizer, [torch.ones_like(weight) for weight in layer.parameters()])
    layer.double()
    before = clones(layer.parameters())
    for weight in layer.parameters():
        weight.grad = torch.ones_like(weight)
    _refused(r"their states .* parameter \(2, 3\) float64 on cpu is one \(2, 3\) float32 on cpu", optimizer.step)
    torch.testing.assert_close(list(layer.parameters()), before, rtol=0, atol=0)
    own = torch.ones(3).as_subclass(_Own).requires_grad_()
    own.grad = torch.ones(3)
    _refused("takes plain tensors, and some of these are .*_Own", Padam([own], fused=True).step)


def test_a_gradient_that_is_a_negative_view_is_negative():
    weight, twin = (Parameter(torch.ones(3)) for _ in range(2))
    weight.grad, twin.grad = torch._neg_view(torch.ones(3)), -torch.ones(3)
    for optimizer in (Padam([weight], fused=True), Padam([twin], foreach=False)):
        for _ in range(2):
            optimizer.step()
    torch.testing.assert_close(weight, twin)


def _swapped(optimizer, weight):
    optimizer.state[weight]["exp_avg"] = torch.full_like(weight, 0.5)


def _one_ahead(optimizer, weight):
    optimizer.state[weight]["step"] += 1


def _loaded(optimizer, weight):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def _count_of_doubles(optimizer, weight):
    optimizer.state[weight]["step"] = optimizer.state[weight]["step"].double()


def _turned_state(optimizer, weight):
    optimizer.state[weight]["exp_avg"] = optimizer.state[weight]["exp_avg"].t().contiguous().t()


CHANGES = {
    "nothing": lambda optimizer, weight: None,
    "other weights": lambda optimizer, weight: setattr(weight, "data", torch.full_like(weight, 2.0)),
    "weights turned where they lie": lambda optimizer, weight: setattr(weight, "data", weight.data.t()),
    "another gradient's order": lambda optimizer, weight: setattr(weight, "grad", weight.grad.t().contiguous().t()),
    "another state": _swapped,
    "a state in another order": _turned_state,
    "a step count of doubles": _count_of_doubles,
    "a state moved": lambda optimizer, weight: optimizer.state[weight]["exp_avg"].set_(torch.full_like(weight, 0.5)),
    "one is a step ahead": _one_ahead,
    "a state dict loaded": _loaded,
    "the states forgotten": lambda optimizer, weight: optimizer.state.clear(),
    "a rate of its own": lambda optimizer, weight: optimizer.param_groups[0].update(lr=0.5, betas=(0.5, 0.9)),
    "no gradient": lambda optimizer, weight: setattr(weight, "grad", None),
    "a group more": lambda optimizer, weight: optimizer.add_param_group({"params": [Parameter(torch.ones(2))]}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_between_two_steps_is_noticed(change):
    """A step checks little of what the one before has seen, so everything else must be."""
    drawn, steps = torch.randn(6, 2, 4, 4), []
    for options in ({"fused": True}, {"foreach": False}):
        params = [Parameter(first.clone()) for first in drawn[0]]
        optimizer = Padam(params, lr=0.1, **options)
        for number, gradients in enumerate(drawn[1:]):
            for param, gradient in zip(params, gradients, strict=True):
                param.grad = gradient.clone()
            if number == 2:
                CHANGES[change](optimizer, params[1])
            optimizer.step()
            steps.append((clones(params), copy.deepcopy(optimizer.state_dict()["state"])))
    for ours, theirs in zip(steps[:5], steps[5:], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_same_gaps_everywhere_are_left_alone():
    """In x, in its gradient and in states that somebody has put there."""
    drawn, found = torch.randn(4, 4, 8), []
    for options in ({"fused": True}, {"foreach": False}):
        weight = Parameter(drawn[0].clone()[:, ::2])
        optimizer = Padam([weight], lr=0.1, **options)
        take(optimizer, [torch.ones_like(weight)])
        wide = {key: torch.full((4, 8), 0.1) for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")}
        optimizer.state[weight].update({key: tensor[:, ::2] for key, tensor in wide.items()})
        for gradient in drawn[1:]:
            weight.grad = gradient[:, ::2]
            optimizer.step()
        found.append((weight, wide))
    torch.testing.assert_close(*found)


def _bad_gradient(gradient):
    def change(optimizer, weight):
        weight.grad.data = gradient

    return change


BAD = {
    "a shorter gradient": _bad_gradient(torch.ones(2)),
    "a gradient of doubles": _bad_gradient(torch.ones(3, dtype=torch.float64)),
    "a gradient of another kind": lambda optimizer, weight: setattr(weight, "grad", torch.ones(3).as_subclass(_Own)),
    "fewer weights where they were": lambda optimizer, weight: setattr(weight, "data", weight.data[:2]),
    "a state's first numbers": lambda optimizer, weight: optimizer.state[weight].update(
        exp_avg=optimizer.state[weight]["exp_avg"][:2]
    ),
}


@pytest.mark.parametrize("change", BAD)
def test_what_no_longer_fits_is_refused_after_steps_that_did(change):
    weight, other = (Parameter(torch.ones(3)) for _ in range(2))
    optimizer = Padam([weight, other], fused=True)
    for _ in range(3):
        take(optimizer, [torch.ones(3), torch.ones(3)])
    BAD[change](optimizer, weight)
    before = clones([weight, other])
    _refused("their (states|gradients) are not of their|takes plain tensors", optimizer.step)
    torch.testing.assert_close([weight, other], before, rtol=0, atol=0)
    assert optimizer.state[other]["step"] == 3


def test_what_a_step_has_seen_is_not_checked_again(monkeypatch):
    """Nor is it saved with the optimizer, and what is no longer needed goes."""
    checked, check = [], fused._check
    monkeypatch.setattr(fused, "_check", lambda rule, tensors: (checked.append(len(tensors.x)), check(rule, tensors)))
    params = [Parameter(torch.ones(2, 3, 4, 5).to(memory_format=CHANNELS_LAST)), Parameter(torch.ones(()))]
    optimizer = Padam([{"params": params[:1]}, {"params": params[1:]}], fused=True)
    for _ in range(4):
        take(optimizer, [torch.ones_like(param) for param in params])
    assert checked == [1, 1]
    assert [optimizer.state[param]["step"].item() for param in params] == [4, 4]
    twin = pickle.loads(pickle.dumps(optimizer))
    assert "_last_pointers" in vars(optimizer)
    assert "_last_pointers" not in vars(twin)
    state = weakref.ref(optimizer.state[params[0]]["exp_avg"])
    optimizer.load_state_dict(twin.state_dict())
    assert state() is None


def test_a_graph_from_before_the_step_is_noticed():
    """As by the other forms: its gradients would be those of weights that are gone."""
    weight = Parameter(torch.ones(3))
    optimizer = Padam([weight], fused=True)
    for _ in range(3):
        loss = (weight * weight).sum()
        loss.backward(retain_graph=True)
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_helpers_of_its_own():
    code = """
        import os, torch
        from padam import Padam
        torch.set_num_threads(2)
        weight = torch.nn.Parameter(torch.ones(2**20))  # enough for helpers
        weight.grad = torch.ones_like(weight)
        optimizer = Padam([weight], fused=True)
        optimizer.step()
        child = os.fork()
        optimizer.step()
        os._exit(0) if child == 0 else print(os.waitpid(child, 0)[1])
    """
    run = warm.run("-W", "ignore", "-c", textwrap.dedent(code), timeout=60)
    assert run.stdout.split() == ["0"], run.stderr


def test_a_group_may_be_a_generator():
    layer = torch.nn.Linear(3, 2)
    for groups in ([{"params": layer.parameters()}], [{"params": layer.named_parameters()}]):
        optimizer = Padam(groups, fused=True)
        assert len(optimizer.param_groups[0]["params"]) == 2


def test_a_compiler_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("CC", "/nowhere/cc")
    cpu._compiled.cache_clear()
    with pytest.raises(RuntimeError, match="could not be compiled by /nowhere/cc(.|\n)*No such file(.|\n)*Set CC"):
        take(Padam([Parameter(torch.ones(3))], fused=True), [torch.ones(3)])
