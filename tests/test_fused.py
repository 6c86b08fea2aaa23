"""The Triton kernel against the for-loop: on CUDA where there is a GPU, and by Triton's interpreter everywhere.

Triton reads TRITON_INTERPRET when a kernel is decorated, so the interpreter has a process of its own: the one test that
runs without a GPU starts this file once more. No GPU has run these tests yet.
"""

import copy
import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import warm
from test_contract import CHANNELS_LAST, ROUNDING, ROWS, clones, exchanged, has, parameters, path, take, tensors
from torch.nn import Parameter

from padam import AdaBound, AMSGrad, Padam, PartialAdagrad, Yogi, forms, fused, trial

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() and not INTERPRETED else "cpu"
SERVED = (Padam, AMSGrad, Yogi, AdaBound)
CASES = [(cls, row) for cls in SERVED for row in ROWS if has(cls, row)]
# Of the other kinds of numbers the interpreter, which is slow, gets a third each, in turn; a GPU gets all of all.
OTHERS = (torch.bfloat16, torch.float16, torch.complex64)
EACH = [
    pytest.param(cls, row, dtype, id=f"{cls.__name__}-{number}-{dtype}")
    for number, (cls, row) in enumerate(CASES)
    for dtype in (torch.float32, *(OTHERS if DEVICE == "cuda" else OTHERS[number % 3 :][:1]))
]
TOLERANCE = {  # one place of the parameters' dtype, for the interpreter cuts off where a GPU rounds
    **ROUNDING, torch.bfloat16: {"rtol": 2**-7, "atol": 1e-6}, torch.float16: {"rtol": 2**-10, "atol": 1e-6},
}  # fmt: skip
runs_the_kernel = pytest.mark.skipif(not INTERPRETED and DEVICE == "cpu", reason="needs CUDA, or Triton's interpreter")


@pytest.mark.skipif(INTERPRETED or fused.triton is None, reason="starts the interpreter, or Triton is missing")
def test_the_kernel_by_tritons_interpreter():
    """All of the tests below, in a process in which Triton interprets."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", __file__]
    run = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:]
    assert int(run.stdout.split(" passed")[0].split()[-1]) > 100


@pytest.fixture(autouse=True)
def _on_the_cpu_too(monkeypatch):
    if INTERPRETED:
        monkeypatch.setattr(forms, "kernel", lambda device: fused)


def same_path(cls, row, params, gradients):
    """With fused=True as by the for-loop: after every step the same parameters and state."""
    one = cls(clones(params), **copy.deepcopy(row), foreach=False)
    other = cls(params, **copy.deepcopy(row), fused=True)
    for gradient in gradients:
        take(one, gradient)
        take(other, gradient)
        for ours, theirs in zip(tensors(other), tensors(one), strict=True):
            torch.testing.assert_close(ours, theirs, **TOLERANCE[ours.dtype], equal_nan=True, check_device=False)
            if ours.dtype in forms.SHORT:
                ours.detach().copy_(theirs)  # so that each step is compared alone


@runs_the_kernel
@pytest.mark.parametrize(("cls", "row", "dtype"), EACH)
def test_it_equals_the_loop(cls, row, dtype):
    """Also for tensors without elements and without dimensions, some of them without a gradient at some steps."""
    params = parameters(DEVICE, dtype)
    same_path(cls, row, params, path(params))


@runs_the_kernel
@pytest.mark.parametrize("cls", SERVED)
@pytest.mark.parametrize("size", [1, fused._BLOCK - 1, fused._BLOCK, 2 * fused._BLOCK + 5])
def test_the_ends_of_tensors(cls, size):
    """What lies behind a tensor stays as it is, whatever the number of elements and the address."""
    for shift in (0, 1):
        whole = torch.randn(size + 40, device=DEVICE)
        weight = Parameter(whole[shift : shift + size])
        before = whole.clone()
        same_path(cls, {}, [weight], [[torch.randn_like(weight)] for _ in range(2)])
        assert torch.equal(whole[:shift], before[:shift])
        assert torch.equal(whole[shift + size :], before[shift + size :])


@runs_the_kernel
@pytest.mark.parametrize("cls", SERVED)
def test_however_tensors_lie_in_memory(cls):
    turned = torch.randn(2, 3, 4, 5, device=DEVICE)
    layouts = (turned.contiguous(memory_format=CHANNELS_LAST), turned.clone(), turned.clone()[..., ::2],
               turned.clone()[0, 0].t())  # fmt: skip
    params = [Parameter(layout) for layout in layouts]
    gradients = [[torch.randn_like(param).contiguous() for param in params] for _ in range(2)]
    same_path(cls, {"weight_decay": 0.1}, params, gradients)


@runs_the_kernel
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # NumPy's, when it interprets
@pytest.mark.parametrize("cls", SERVED)
def test_what_is_no_number_stays_none(cls):
    gradients = torch.tensor([1.0, math.nan, math.inf, -math.inf, 0.0], device=DEVICE)
    ones = torch.ones(5, device=DEVICE)
    same_path(cls, {}, [Parameter(ones.clone())], [[gradients], [ones], [gradients.flip(0)]])


@runs_the_kernel
def test_one_launch_moves_all_of_resnet18(monkeypatch):
    """One for each group of 62 tensors, and the table is made again only when a tensor is another."""
    from padam.bench.steps import shapes

    launches, kernel = [], fused._kernel

    class Counting:
        def __getitem__(self, grid):
            launches.append(grid)
            return lambda *given, **constants: None

    monkeypatch.setattr(fused, "_kernel", Counting())
    fused._table.cache_clear()
    groups = [[Parameter(torch.zeros(size, device=DEVICE)) for size in shapes("resnet18-w8")] for _ in range(2)]
    for param in sum(groups, []):
        param.grad = torch.zeros_like(param)
    optimizer = Padam([{"params": groups[0]}, {"params": groups[1], "lr": 0.01}], fused=True)
    for _ in range(3):
        optimizer.step()
    programs = sum(math.ceil(param.numel() / fused._BLOCK) for param in groups[0])
    assert launches == [(programs,)] * 6
    assert len(groups[0]) == 62
    assert fused._table.cache_info().misses == 2
    groups[1][0].grad = torch.zeros_like(groups[1][0])
    optimizer.step()
    assert fused._table.cache_info().misses == 3
    assert kernel is not fused._kernel


def wide_moves(rule, capability):
    """How many instructions of 16 bytes read and write in the kernel's PTX, as it is compiled for a GPU."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    given = {"table": "*i64", "owners": "*i32", "tensors": "i32"} | dict.fromkeys(
        ("numbers", "scale", "found"), "*fp32"
    )
    given |= dict.fromkeys(("keep1", "new1", "keep2", "new2", "exponent", "decay"), "fp32")
    real = fused._KINDS[torch.float32]
    constants = {"RULE": rule, "ROOTS": 2, "L2": True, "ASCEND": False, "SCALED": True, "CHECKED": True, "X": real,
                 "G": real, "STATE": real, "ALIGNED": True, "BLOCK": fused._BLOCK}  # fmt: skip
    places = {(fused._kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(fused._kernel, given | dict.fromkeys(constants, "constexpr"), constexprs=places)
    found = fused.triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["ptx"]
    return found.count("ld.global.v4"), found.count("st.global.v4")


@pytest.mark.skipif(INTERPRETED or fused.triton is None, reason="interprets, or Triton is missing")
def test_it_compiles_for_gpus_without_one():
    """Four numbers at a time: four or five tensors are read and one fewer written by instructions of 16 bytes.

    In a process of its own, for what LLVM leaves behind does not survive a fork, and other tests fork.
    """
    code = """
        import test_fused
        print(*[test_fused.wide_moves(rule, chip) for rule, chip in ((0, 80), (0, 90), (1, 90), (2, 80))], sep=";")
    """
    run = warm.run("-W", "ignore", "-c", textwrap.dedent(code), cwd=Path(__file__).parent)
    assert run.returncode == 0, run.stderr[-3000:]
    each = fused._BLOCK // (4 * 32) // 4  # instructions of a thread for a tensor: four warps, four numbers
    expected = [(tensors * each, (tensors - 1) * each) for tensors in (5, 5, 4, 4)]
    assert run.stdout.strip().split(";") == [str(moves) for moves in expected]


@runs_the_kernel
def test_it_is_chosen_on_a_gpu_after_a_trial(monkeypatch):
    monkeypatch.setattr(trial, "AUTOMATIC", (DEVICE,))
    monkeypatch.setattr(trial, "_tried", {})
    stepped, step = [], fused.step
    monkeypatch.setattr(fused, "step", lambda rule, x, *rest, **more: (stepped.append(x), step(rule, x, *rest, **more)))
    for cls in SERVED:
        weight = Parameter(torch.ones(5, device=DEVICE))
        optimizer = cls([weight])
        take(optimizer, [torch.ones_like(weight)])
        assert stepped[-1][0] is weight
        assert optimizer._step_supports_amp_scaling
        assert optimizer.state[weight]["step"].device == weight.device
    assert list(trial._tried.values()) == [True] * 4


@runs_the_kernel
@pytest.mark.parametrize("dtype", fused.DTYPES, ids=str)
@pytest.mark.parametrize("cls", SERVED)
def test_a_trial_tells_a_right_kernel_from_a_wrong_one(cls, dtype, monkeypatch, caplog):
    assert trial._agrees(cls, torch.device(DEVICE), dtype), caplog.messages
    step = fused.step

    def swapped(rule, x, g, slots, settings, group, *rest):
        step(rule, x, g, slots, settings, group | {"betas": group["betas"][::-1]}, *rest)

    monkeypatch.setattr(fused, "step", swapped)
    assert not trial._agrees(cls, torch.device(DEVICE), dtype)


@runs_the_kernel
def test_forms_exchange_their_states():
    whole, others = exchanged(parameters(DEVICE, torch.float32))
    for other in others:
        for ours, theirs in zip(tensors(other), tensors(whole), strict=True):
            torch.testing.assert_close(ours, theirs, **TOLERANCE[ours.dtype], check_device=False)


@runs_the_kernel
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_it_unscales_and_leaves_out_what_is_infinite():
    """GradScaler hands both over: the gradients stay scaled, and a step that is left out does not count."""
    plain, scaled = (Parameter(torch.ones(3, device=DEVICE)) for _ in range(2))
    one, other = Padam([plain], foreach=False), Padam([scaled], fused=True)
    assert other._step_supports_amp_scaling
    assert not one._step_supports_amp_scaling
    scaler = torch.amp.GradScaler(device=DEVICE, init_scale=2.0**10)
    for factor in (1.0, math.inf, 3.0):
        if factor < math.inf:
            take(one, [2 * factor * plain.detach()])
        other.zero_grad()
        scaler.scale(factor * scaled.square().sum()).backward()
        before = scaled.grad.clone()
        scaler.step(other)
        scaler.update()
        assert torch.equal(scaled.grad, before) or not before.isfinite().all()
        for ours, theirs in zip(tensors(other), tensors(one), strict=True):
            torch.testing.assert_close(ours, theirs, **TOLERANCE[ours.dtype], check_device=False)
    assert other.state[scaled]["step"] == 2


@runs_the_kernel
def test_gradients_that_were_unscaled_before_are_not_again():
    """As with clipping: the scaler hands over no scale then."""
    weight = Parameter(torch.ones(3, device=DEVICE))
    optimizer, plain = Padam([weight], fused=True), Padam([twin := Parameter(weight.detach().clone())], foreach=False)
    scaler = torch.amp.GradScaler(device=DEVICE, init_scale=2.0**10)
    scaler.scale(weight.square().sum()).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([weight], 0.5)
    take(plain, [weight.grad])
    scaler.step(optimizer)
    torch.testing.assert_close(weight, twin)


@pytest.mark.skipif(DEVICE == "cpu", reason="needs CUDA")
def test_a_cuda_graph_captures_it():
    """With capturable=True, replayed: the same as step after step."""
    params = parameters(DEVICE, torch.float32)
    twins = clones(params)
    captured, plain = Padam(params, fused=True, capturable=True), Padam(twins, foreach=False)
    for group in (params, twins):
        for param in group:
            param.grad = torch.full_like(param, 0.5)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            captured.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured.step()
    for _ in range(4):
        graph.replay()
    for _ in range(7):
        plain.step()
    for ours, theirs in zip(tensors(captured), tensors(plain), strict=True):
        torch.testing.assert_close(ours, theirs, **TOLERANCE[ours.dtype], check_device=False)


def test_what_it_cannot_serve_is_refused_and_says_why(monkeypatch):
    device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert "below compute capability 8.0, and cuda has 7.5" in fused.refusal("padam", {(device, torch.float32)})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert fused.refusal("padam", {(device, torch.bfloat16)}) is None
    assert "float32, bfloat16 and float16, and some .* torch.float64".replace(".* ", "of these are ") in fused.refusal(
        "padam", {(device, torch.float64)}
    )
    assert "no fused form of this rule" in fused.refusal("partial_adagrad", set())
    monkeypatch.setattr(fused, "triton", None)
    assert "needs Triton, which cannot be imported here" in fused.refusal("padam", {(device, torch.float32)})
    with pytest.raises(RuntimeError, match="no fused form of this rule"):
        PartialAdagrad([Parameter(torch.ones(3))], fused=True)
