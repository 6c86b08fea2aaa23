"""The fused step on a CPU: `cpu.c`, compiled for a rule when it is first taken, called over all tensors at once."""

import ctypes
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from functools import lru_cache
from itertools import chain
from pathlib import Path

import torch

from padam.catalog import ROOTS

SOURCE = Path(__file__).with_name("cpu.c")
RULES = {"padam": "PADAM", "amsgrad": "PADAM", "yogi": "YOGI", "adabound": "ADABOUND"}
REALS = {torch.float32: "float", torch.float64: "double", torch.complex64: "float", torch.complex128: "double"}
ON_DEVICE = False  # step counts are on the CPU anyway
# Without contraction, which would make v - g * g the rounding error of g * g, with a sign, where Yogi has 0.
_FLAGS = ("-O3", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-shared", "-fPIC")
_MIN_NUMEL_OPENMP, _MIN_NUMEL_PTHREADS = 2**16, 2**19  # elements from which on several threads pay
_MAX_THREADS = 64


def compiler():
    """The C compiler's command, a list: the environment's CC, else the first of cc, gcc and clang there is, else []."""
    return shlex.split(os.environ.get("CC", "")) or _found(os.environ.get("PATH"))


@lru_cache
def _found(path):
    return [name for name in ("cc", "gcc", "clang") if shutil.which(name, path=path)][:1]


def why_unsupported(device, dtype):
    """Why the step in C does not serve CPU tensors of this dtype, in words; None if it does."""
    if dtype not in REALS:
        return f"on a CPU it takes float32 and float64, and some of these are {dtype}"
    if sys.platform == "win32":
        return "on a CPU there is one for Linux and macOS"
    if not compiler():
        return "on a CPU it needs a C compiler, and none of $CC, cc, gcc and clang is there; install one of them"
    return None


def prepare(rule, dtype, p):
    """The compiled step of a rule, a ctypes library; compiled at the first call, RuntimeError if that fails."""
    return _compiled(RULES[rule], REALS[dtype], ROOTS.get(2 * p, -1))


def step(rule, pointers, constants, scalars, t=None):
    """Update the tensors of a `fused.Pointers` by one step; see `fused.step`. Returns whether it was counted, too.

    It is if all tensors are at step `t`, a number, and the step counts are in the CPU's memory.
    """
    scalars = scalars.tolist() if isinstance(scalars, torch.Tensor) else scalars
    counted = pointers.step_counts is not None and isinstance(t, float)
    num_tensors, kept = len(pointers.sizes), pointers.kept
    if "table" not in kept:
        no_states = [0] * num_tensors * (5 - len(pointers.rows))  # Yogi and AdaBound have no v_hat
        kept["table"] = array("q", chain(*pointers.rows, no_states, pointers.sizes, pointers.step_counts or ()))
        kept["elements"] = sum(pointers.sizes)
    table = kept["table"]
    table[num_tensors : 2 * num_tensors] = array("q", pointers.rows[1])  # gradients may lie elsewhere
    numbers = array("d", map(float, chain(*scalars)))
    openmp = _openmp()
    several = kept["elements"] >= (_MIN_NUMEL_OPENMP if openmp else _MIN_NUMEL_PTHREADS)
    threads = min(torch.get_num_threads(), _MAX_THREADS) if several else 1
    prepare(rule, pointers.dtype, constants.p).step(
        table.buffer_info()[0],
        numbers.buffer_info()[0],
        len(scalars) > 1,
        num_tensors,
        threads,
        openmp,
        constants.beta1,
        constants.beta2,
        2 * constants.p,
        -1.0 if constants.maximize else 1.0,
        constants.l2,
        t if counted else 0.0,
    )
    return counted


@lru_cache
def _openmp():
    """The address of GOMP_parallel of the OpenMP library that torch has brought; None where there is none.

    Its threads are torch's own. With others beside them, which have to be started and find the cores taken by threads
    that spin, a step of ResNet-18 took 1.2 to 1.5 times as long (two cores, AMD EPYC).
    """
    home = Path(torch.__file__).parent
    for path in (*home.glob("lib/libgomp*.so*"), *home.with_name("torch.libs").glob("libgomp*.so*")):
        return ctypes.cast(ctypes.CDLL(str(path)).GOMP_parallel, ctypes.c_void_p).value
    return None


def _forget_openmp():
    """In a forked process: OpenMP's threads have stayed behind, and it would wait for them."""
    global _openmp
    _openmp = lambda: None  # noqa: E731


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_openmp)


def _run(command):
    """What went wrong when a command ran: what it said, or its exit status if it said nothing; None if all is well."""
    try:
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except OSError as error:
        return str(error)
    said = ended.stdout.decode(errors="replace").strip()
    return None if ended.returncode == 0 else f"exit status {ended.returncode}: {said or 'it said nothing'}"


@lru_cache
def _compiled(rule, real, roots):
    """The step of a rule as a ctypes library; about half a second. Raises RuntimeError if it cannot be made."""
    begun = time.perf_counter()
    try:
        folder = tempfile.TemporaryDirectory(prefix="padam-")
    except OSError as error:
        raise RuntimeError(
            f"the fused step on a CPU is compiled in a temporary folder, and there is none: {error}. Set TMPDIR to a "
            f"folder that can be written to, or leave fused=None, which needs none."
        ) from error
    with folder:
        target = Path(folder.name, "step.so")
        defined = [f"-DRULE={rule}", f"-DREAL={real}", f"-DROOTS={roots}"]
        for tuned in (["-march=native"], ["-mcpu=native"], []):  # how the compilers of x86 and of ARM call it
            command = [*compiler(), *_FLAGS, *tuned, *defined, str(SOURCE), "-o", str(target), "-lm", "-pthread"]
            failure = _run(command)
            if failure is None:
                break
        else:
            raise RuntimeError(
                f"the fused step on a CPU could not be compiled by {shlex.join(command)}:\n{failure[:2000]}\n"
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
        *[ctypes.c_void_p] * 2,
        *[ctypes.c_int64] * 2,
        ctypes.c_uint,
        ctypes.c_void_p,
        *[ctypes.c_double] * 6,
    ]
    taken = time.perf_counter() - begun
    logging.getLogger("padam").info("compiled the fused step of %s for %s in %.1f s", rule.lower(), real, taken)
    return library
