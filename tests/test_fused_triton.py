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
import weakref
from pathlib import Path

import pytest
import torch
import warm
from test_contract import CHANNELS_LAST, ROUNDING, ROWS, clones, exchanged, has, parameters, path, take, tensors
from torch.nn import Parameter

from padam import AdaBound, AMSGrad, Padam, PartialAdagrad, Yogi
from padam.optim import fused, loop
from padam.optim.fused import triton as kernel

pytestmark = pytest.mark.slow

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
    **ROUNDING,
    torch.bfloat16: {"rtol": 2**-7, "atol": 1e-6},
    torch.float16: {"rtol": 2**-10, "atol": 1e-6},
}
runs_the_kernel = pytest.mark.skipif(not INTERPRETED and DEVICE == "cpu", reason="needs CUDA, or Triton's interpreter")


@pytest.mark.skipif(INTERPRETED or kernel.triton is None, reason="starts the interpreter, or Triton is missing")
def test_the_kernel_by_tritons_interpreter():
    """All of the tests below, in a process in which Triton interprets."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", __file__]
    run = subprocess.run(command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-3000:]
    assert int(run.stdout.split(" passed")[0].split()[-1]) > 100


@pytest.fixture(autouse=True)
def _on_the_cpu_too(monkeypatch):
    if INTERPRETED:
        monkeypatch.setattr(fused, "backend", lambda device: kernel)


def same_path(cls, row, params, gradients):
    """With fused=True as by the for-loop: after every step the same parameters and state."""
    one = cls(clones(params), **copy.deepcopy(row), foreach=False)
    other = cls(params, **copy.deepcopy(row), fused=True)
    for gradient in gradients:
        take(one, gradient)
        take(other, gradient)
        for ours, theirs in zip(tensors(other), tensors(one), strict=True):
            torch.testing.assert_close(ours, theirs, **TOLERANCE[ours.dtype], equal_nan=True, check_device=False)
            if ours.dtype in loop.HALF:
                ours.detach().copy_(theirs)  # so that each step is compared alone


@runs_the_kernel
@pytest.mark.parametrize(("cls", "row", "dtype"), EACH)
def test_it_equals_the_loop(cls, row, dtype):
    """Also for tensors without elements and without dimensions, some of them without a gradient at some steps."""
    params = parameters(DEVICE, dtype)
    same_path(cls, row, params, path(params))


@runs_the_kernel
@pytest.mark.parametrize("cls", SERVED)
@pytest.mark.parametrize("size", [1, kernel._BLOCK - 1, kernel._BLOCK, 2 * kernel._BLOCK + 5])
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
    layouts = (
        turned.contiguous(memory_format=CHANNELS_LAST),
        turned.clone(),
        turned.clone()[..., ::2],
        turned.clone()[0, 0].t(),
    )
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


class Launches:
    """Stands for the kernel: keeps what each launch was given, and launches nothing."""

    def __init__(self):
        self.programs, self.tables = [], []

    def __getitem__(self, grid):
        self.programs.extend(grid)
        return lambda table, *given, **constants: self.tables.append(table)


@runs_the_kernel
def test_one_launch_moves_all_of_resnet18(monkeypatch):
    """One for each group of 62 tensors, and its table is made again only when a tensor is another."""
    from padam.bench.steps import shapes

    launches = Launches()
    monkeypatch.setattr(kernel, "_kernel", launches)
    groups = [[Parameter(torch.zeros(size, device=DEVICE)) for size in shapes("resnet18-w8")] for _ in range(2)]
    for param in sum(groups, []):
        param.grad = torch.zeros_like(param)
    optimizer = Padam([{"params": groups[0]}, {"params": groups[1], "lr": 0.01}], fused=True)
    for _ in range(3):
        optimizer.step()
    assert len(groups[0]) == 62
    assert launches.programs == [sum(math.ceil(param.numel() / kernel._BLOCK) for param in groups[0])] * 6
    first, second = launches.tables[:2]
    assert all(table is first for table in launches.tables[::2])
    assert all(table is second for table in launches.tables[1::2])
    groups[1][0].grad = torch.zeros_like(groups[1][0])
    optimizer.step()
    assert launches.tables[-2] is first
    assert launches.tables[-1] is not second
    assert launches.tables[-1][1, 0] == groups[1][0].grad.data_ptr()


@runs_the_kernel
def test_what_a_graph_reads_stays_as_long_as_its_optimizer(monkeypatch):
    """A captured step has a table of its own, which neither later steps nor another layout replace."""
    launches = Launches()
    monkeypatch.setattr(kernel, "_kernel", launches)
    weight, late = (Parameter(torch.zeros(5, device=DEVICE)) for _ in range(2))
    optimizer = Padam([weight, late], fused=True)
    take(optimizer, [torch.ones(5), None])
    monkeypatch.setattr(fused, "is_captured", lambda device: True)
    take(optimizer, [weight.grad, None])
    monkeypatch.setattr(fused, "is_captured", lambda device: False)
    captured = weakref.ref(launches.tables[1])
    del launches.tables[:]
    optimizer.step()  # before the graph is replayed nothing has been uploaded to its table
    assert launches.tables.pop() is not captured()
    for gradients in ([torch.ones(5), None], [torch.ones(5), torch.ones(5)]):
        take(optimizer, gradients)
        assert captured() is not None
        assert launches.tables[-1] is not captured()
    del optimizer
    assert captured() is None


@runs_the_kernel
def test_tensors_are_aligned_each_for_itself(monkeypatch):
    """One that begins where none should takes no wide moves; its neighbors do."""
    launches = Launches()
    monkeypatch.setattr(kernel, "_kernel", launches)
    shifted = torch.zeros(2049, device=DEVICE)[1:]
    params = [Parameter(torch.zeros(2048, device=DEVICE)), Parameter(shifted), Parameter(torch.zeros(8, device=DEVICE))]
    take(Padam(params, fused=True), [torch.ones_like(param) for param in params])
    assert launches.tables[0][7].tolist() == [1, 0, 1]


@runs_the_kernel
@pytest.mark.parametrize("cls", SERVED)
def test_programs_of_very_large_groups_search_for_their_tensor(cls, monkeypatch):
    """As beyond a billion elements; tensors without any have no program."""
    monkeypatch.setattr(kernel, "_SEARCHED", 0)
    params = parameters(DEVICE, torch.float32, shapes=((0,), (3,), (2500,), (0,), (1024,), (), (1025,), (0,)))
    same_path(cls, {}, params, [[torch.randn_like(param) for param in params] for _ in range(2)])


@runs_the_kernel
def test_yogi_stands_still_where_v_is_the_square():
    """v - g^2 is exactly 0 there; contracted into one operation it would be the rounding error of g^2, with a sign."""
    g = torch.linspace(0.1, 1.0, 1000, device=DEVICE)
    weight = Parameter(torch.ones_like(g))
    optimizer = Yogi([weight], fused=True)
    take(optimizer, [g])
    optimizer.state[weight]["exp_avg_sq"].copy_(g * g)
    before = optimizer.state[weight]["exp_avg_sq"].clone()
    take(optimizer, [g])
    assert torch.equal(optimizer.state[weight]["exp_avg_sq"], before)


@runs_the_kernel
def test_numbers_are_not_contracted(monkeypatch):
    """The interpreter never does; so a GPU's compiler is told not to."""
    told = []

    class Asked(Launches):
        def __getitem__(self, grid):
            return lambda *given, **options: told.append(options)

    monkeypatch.setattr(kernel, "_kernel", Asked())
    weight = Parameter(torch.ones(3, device=DEVICE))
    take(Yogi([weight], fused=True), [torch.ones(3, device=DEVICE)])
    assert told[0]["enable_fp_fusion"] is False


FLOAT = torch.float32
VARIANTS = (  # rule, ROOTS, L2, ASCEND, SCALED, CHECKED, dtype, HALVINGS
    *((0, roots, False, False, False, False, FLOAT, 0) for roots in (-2, -1, 0, 1, 2, 3)),
    *((rule, 0, False, False, False, False, FLOAT, 0) for rule in (1, 2)),
    *((rule, 2, True, True, True, True, FLOAT, 0) for rule in (0, 1, 2)),
    *(
        (rule, 2, False, False, False, False, dtype, 0)
        for rule in (0, 1, 2)
        for dtype in (torch.bfloat16, torch.float16)
    ),
    (0, 2, True, False, False, False, FLOAT, 0),
    (0, 2, False, False, True, True, torch.float16, 20),
)


def wide_moves(rule, roots, l2, ascend, scaled, checked, dtype, halvings, capability):
    """How many instructions of 16 bytes read and write in the kernel's PTX, as it is compiled for a GPU."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    given = {"table": "*i64", "owners": "*i32", "tensors": "i32"}
    given |= dict.fromkeys(("scalars", "scale", "found_inf"), "*fp32")
    given |= dict.fromkeys(("beta1", "one_minus_beta1", "beta2", "one_minus_beta2", "exponent", "l2"), "fp32")
    constants = {
        "RULE": rule,
        "ROOTS": roots,
        "L2": l2,
        "ASCEND": ascend,
        "SCALED": scaled,
        "CHECKED": checked,
        "X": kernel._KINDS[dtype],
        "HALVINGS": halvings,
        "BLOCK": kernel._BLOCK,
    }
    places = {(kernel._kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel._kernel, given | dict.fromkeys(constants, "constexpr"), constexprs=places)
    target = GPUTarget("cuda", capability, 32)
    found = kernel.triton.compile(source, target=target, options={"enable_fp_fusion": False}).asm["ptx"]
    return found.count("ld.global.v4"), found.count("st.global.v4")


@pytest.mark.skipif(INTERPRETED or kernel.triton is None, reason="interprets, or Triton is missing")
def test_it_compiles_for_gpus_without_one():
    """All 19 variants, for three generations, with warnings as errors. Of float32, four numbers are moved at a time:
    four or five tensors are read and one fewer written by instructions of 16 bytes.

    In a process of its own, for what LLVM leaves behind does not survive a fork, and other tests fork.
    """
    assert len(VARIANTS) == len(set(VARIANTS)) == 19
    code = """
        from test_fused_triton import FLOAT, VARIANTS, wide_moves, kernel
        each = kernel._BLOCK // (4 * 32) // 4  # instructions of a thread for a tensor: four warps, four numbers
        for variant in VARIANTS:
            tensors = 5 if variant[0] == 0 else 4
            for capability in (75, 80, 90):
                moves = wide_moves(*variant, capability)
                wanted = tensors * each, (tensors - 1) * each
                assert moves == wanted or variant[6] != FLOAT, (variant, capability, moves, wanted)
        print("all")
    """
    run = warm.run("-W", "error", "-c", textwrap.dedent(code), cwd=Path(__file__).parent)
    assert run.stdout.strip() == "all", run.stderr[-3000:]


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
    assert "below compute capability 8.0, and cuda has 7.5" in kernel.why_unsupported(device, torch.float32)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert kernel.why_unsupported(device, torch.bfloat16) is None
    why = kernel.why_unsupported(device, torch.float64)
    assert "takes float32, bfloat16 and float16, and some of these are torch.float64" in why
    assert "no fused form of this rule" in fused.why_unsupported("partial_adagrad", device, torch.float32)
    monkeypatch.setattr(kernel, "triton", None)
    assert "needs Triton, which cannot be imported here" in kernel.why_unsupported(device, torch.float32)
    with pytest.raises(RuntimeError, match="no fused form of this rule"):
        PartialAdagrad([Parameter(torch.ones(3))], fused=True)
