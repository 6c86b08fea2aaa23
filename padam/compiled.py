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
    table = array("q", [at for tensors in lists for at in map(torch.Tensor.data_ptr, tensors)])
    table.extend([0] * len(x) * (5 - len(lists)) + sizes)  # Yogi and AdaBound have no v_hat
    decoupled = group["weight_decay"] if group["decay"] == "decoupled" else 0.0
    rows = settings[:1] if len(set(map(id, settings))) == 1 else settings  # most often all share one
    numbers = array("d", [float(number) for one in rows for number in memory.numbers(*one, decoupled, group)])
    p = group.get("p", 0.5)
    threads = torch.get_num_threads() if sum(sizes) >= (_AWAKE if _parallel() else _STARTED) else 1
    begin_table, begin_numbers = (held.buffer_info()[0] for held in (table, numbers))
    prepare(rule, x[0].dtype, p).step(
        begin_table, begin_numbers, len(rows) > 1, len(x), threads, _parallel(), *group["betas"], 2 * p,
        -1.0 if group["maximize"] else 1.0, group["weight_decay"] - decoupled,
    )  # fmt: skip
    for tensor, copy in back:
        tensor.copy_(copy)


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
        *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2, ctypes.c_uint, ctypes.c_void_p, *[ctypes.c_double] * 5,
    ]  # fmt: skip
    taken = time.perf_counter() - begun
    logging.getLogger("padam").info("compiled the fused step of %s for %s in %.1f s", rule.lower(), real, taken)
    return library
