"""The fused step on a CPU: `compiled.c` compiled for a rule when it is first used, and called over all tensors at once.

A step reads five numbers a parameter and writes four. The other forms do it in a dozen passes; here each number is
read once and written once, which is what `fused=True` means on a GPU too.
"""

import ctypes
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from functools import lru_cache
from itertools import chain
from operator import is_
from pathlib import Path

import torch

from padam import memory
from padam.catalog import ROOTS

SOURCE = Path(__file__).with_name("compiled.c")
RULES = {"padam": "PADAM", "amsgrad": "PADAM", "yogi": "YOGI", "adabound": "ADABOUND"}
REALS = {torch.float32: "float", torch.float64: "double", torch.complex64: "float", torch.complex128: "double"}
ON_DEVICE = False  # step counts are on the CPU anyway
_FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
_STARTED, _AWAKE = 2**19, 2**16  # elements from which on it pays to start other threads, to use those of OpenMP
_ADDRESS, _DTYPE, _ON_CPU = torch.Tensor.data_ptr, torch.Tensor.dtype.__get__, torch.Tensor.is_cpu.__get__
_lock = threading.Lock()


def compiler():
    """The C compiler's command: the environment's CC, else the first of cc, gcc and clang there is, else None."""
    return os.environ.get("CC") or _found(os.environ.get("PATH"))


@lru_cache
def _found(path):
    return next(filter(None, (shutil.which(name, path=path) for name in ("cc", "gcc", "clang"))), None)


def refusal(rule, kinds):
    """Why the compiled step does not serve CPU tensors of these kinds, (device, dtype), or None if it does."""
    if rule not in RULES:
        return f"there is no fused form of this rule; there is one of {', '.join(RULES)}"
    if others := sorted({str(dtype) for _, dtype in kinds if dtype not in REALS}):
        return f"on a CPU it takes float32 and float64, and some of these are {', '.join(others)}"
    if sys.platform == "win32":
        return "on a CPU there is one for Linux and macOS"
    if compiler() is None:
        return "on a CPU it needs a C compiler, and none of $CC, cc, gcc and clang is there; install one of them"
    return None


def prepare(rule, dtype, p):
    """The compiled step of a rule, a ctypes library; compiled at the first call, RuntimeError if that fails."""
    kind = RULES[rule], REALS[dtype], ROOTS.get(2 * p, -1)
    with _lock:  # two optimizers in two threads compile it once
        return _compiled(*kind)


def step(rule, x, g, slots, settings, group):
    """Move x and the slots (lists of CPU tensors of one dtype) by one step, `settings` as the shell makes them."""
    lists, back = memory.laid_out([x, g, *slots.values()])
    sizes = list(map(torch.Tensor.numel, x))
    _call(rule, x[0].dtype, _table(lists, sizes), len(x), sum(sizes), _rows(settings), group)
    for tensor, copy in back:
        tensor.copy_(copy)


class Known:
    """The tensors that a step has moved: while they are the same, where they were, the next need not check them again.

    Most of a small network's step would be these checks. It keeps x, its slots and the step counts.
    """

    def __init__(self, x, slots, steps):
        self.tensors = [*x, *chain(*slots.values()), *steps]
        self.addresses, self.dtype = list(map(_ADDRESS, self.tensors)), x[0].dtype
        self.sizes, self.strides = (list(map(of, x)) for of in (torch.Tensor.numel, torch.Tensor.stride))
        self.elements = sum(self.sizes)
        self.table = _table([x, x, *slots.values()], self.sizes)  # the second row is for gradients
        self.table.extend(map(_ADDRESS, steps))
        counts = {(step.dtype, step.is_cpu, step.numel()) for step in steps} == {(torch.float32, True, 1)}
        alike = (list(map(torch.Tensor.stride, slot)) == self.strides for slot in slots.values())
        self.all_plain = counts and all(map(memory.dense, x)) and all(alike)

    def _holds(self, x, g, slots, steps):
        tensors, both = [*x, *chain(*slots.values()), *steps], [*x, *g]
        return (
            self.all_plain
            and list(map(_ADDRESS, tensors)) == self.addresses
            and all(map(is_, tensors, self.tensors))
            and set(map(_DTYPE, both)) == {self.dtype}
            and list(map(torch.Tensor.numel, both)) == 2 * self.sizes
            and list(map(torch.Tensor.stride, both)) == 2 * self.strides
            and set(map(type, g)) == {torch.Tensor}
            and all(map(_ON_CPU, g))
            and not any(map(torch.is_neg, g))
        )

    def step(self, rule, x, g, slots, steps, settings, group):
        """`step`, counting it in `steps` too, if these are the tensors and all are at one step; else return False."""
        rows, count = _rows(settings), len(x)
        if len(rows) > 1 or not self._holds(x, g, slots, steps):
            return False
        self.table[count : 2 * count] = array("q", map(_ADDRESS, g))
        _call(rule, self.dtype, self.table, count, self.elements, rows, group, rows[0][1]["t"])
        return True


def _rows(settings):
    """The settings, or the one of them that most often all tensors share."""
    return settings[:1] if len(set(map(id, settings))) == 1 else settings


def _table(lists, sizes):
    """Where the tensors of x, g, m, v and v_hat begin, 0 for what is not there, and how many elements they have."""
    table = array("q", map(_ADDRESS, chain(*lists)))
    table.extend([0] * len(sizes) * (5 - len(lists)) + sizes)  # Yogi and AdaBound have no v_hat
    return table


def _call(rule, dtype, table, tensors, elements, rows, group, step_count=0.0):
    decoupled = group["weight_decay"] if group["decay"] == "decoupled" else 0.0
    numbers = array("d", [float(number) for one in rows for number in memory.numbers(*one, decoupled, group)])
    p, parallel = group.get("p", 0.5), _parallel()
    threads = torch.get_num_threads() if elements >= (_AWAKE if parallel else _STARTED) else 1
    prepare(rule, dtype, p).step(
        table.buffer_info()[0], numbers.buffer_info()[0], len(rows) > 1, tensors, threads, parallel, *group["betas"],
        2 * p, -1.0 if group["maximize"] else 1.0, group["weight_decay"] - decoupled, step_count,
    )  # fmt: skip


@lru_cache
def _parallel():
    """GOMP_parallel of the OpenMP library that torch has brought, as an address; None where there is none."""
    home = Path(torch.__file__).parent
    for path in (*home.glob("lib/libgomp*.so*"), *home.with_name("torch.libs").glob("libgomp*.so*")):
        return ctypes.cast(ctypes.CDLL(str(path)).GOMP_parallel, ctypes.c_void_p).value
    return None


def _begin_anew():
    """In a forked process: OpenMP's threads are not there, and the lock may be held by one that is not there either."""
    global _lock, _parallel
    _lock, _parallel = threading.Lock(), lambda: None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def _run(call):
    """What a compiler says when it fails, or why it cannot be started; None if all is well."""
    try:
        made = subprocess.run(call, capture_output=True, text=True)
    except OSError as error:
        return str(error)
    return made.stderr.strip() if made.returncode else None


@lru_cache
def _compiled(rule, real, roots):
    """The compiled step of a rule as a ctypes library; about half a second. Raises RuntimeError if it fails."""
    begun, command = time.perf_counter(), compiler()
    with tempfile.TemporaryDirectory(prefix="padam-") as folder:
        target = Path(folder) / "step.so"
        kind = [f"-DRULE={rule}", f"-DREAL={real}", f"-DROOTS={roots}"]
        for own in (["-march=native"], ["-mcpu=native"], []):  # how the compilers of x86 and of ARM call it
            call = [*command.split(), *_FLAGS, *own, *kind, str(SOURCE), "-o", str(target), "-lm", "-pthread"]
            failed = _run(call)
            if failed is None:
                break
        else:
            raise RuntimeError(
                f"the fused step on a CPU could not be compiled by {' '.join(call)}:\n{failed[:2000]}\n"
                f"Set CC to another C compiler, or leave fused=None, which needs none."
            )
        try:
            library = ctypes.CDLL(str(target))
        except OSError as error:
            raise RuntimeError(
                f"the fused step on a CPU was compiled but cannot be loaded: {error}. If nothing may be run from the "
                f"folder of temporary files, set TMPDIR to another one; or leave fused=None, which needs none."
            ) from error
    library.step.restype = None
    library.step.argtypes = [
        *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, ctypes.c_uint, ctypes.c_void_p, *[ctypes.c_double] * 6,
    ]  # fmt: skip
    taken = time.perf_counter() - begun
    logging.getLogger("padam").info("compiled the fused step of %s for %s in %.1f s", rule.lower(), real, taken)
    return library
