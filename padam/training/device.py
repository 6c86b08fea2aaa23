"""How a device and its memory behave while a network is trained: the same bits every time, and no time lost."""

import contextlib
import ctypes
import os

import torch


@contextlib.contextmanager
def flushed_denormals():
    """Denormal numbers are zero meanwhile: stuck networks run several times slower on them. The state is restored."""
    before = (torch.tensor([1e-310], dtype=torch.float64) * 1.0 == 0).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def on_card(device):
    """A context in which `device` is CUDA's current one, where kernels without a device of their own go.

    Nothing on a CPU. No GPU has run it yet.
    """
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


def own_generators(device):
    """A context that leaves torch's global generators as they were: the CPU's, and the card's if `device` is one.

    Other cards are not looked at, for that takes memory on each. No GPU has run it yet.
    """
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def seed_generators(seed, device):
    """Seed torch's global generators that work on `device` draws from: the CPU's and the card's, but no other card's.

    No GPU has run its second half yet.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with on_card(device):
            torch.cuda.manual_seed(seed)


@contextlib.contextmanager
def deterministic(device):
    """On CUDA, the same bits every time meanwhile; what has no deterministic form warns. On a CPU it is so anyway.

    New memory is not filled first, which torch does by default to show what reads it unwritten. No GPU has measured
    what it costs yet.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn, before = torch.backends.cudnn, torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    try:
        with cudnn.flags(cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32):
            yield
    finally:
        torch.utils.deterministic.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(before, warn_only=warned)


def large_blocks_stay():
    """Tell glibc's allocator to keep freed blocks of up to 32 MiB, a network's activations, instead of returning them.

    Otherwise every step asks the system for the same pages again, which cleans them first: a fifth of a step's time on
    two cores. It holds for the rest of the process. Elsewhere than on glibc it does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    mmap_threshold, trim_threshold, top_pad = -3, -1, -2  # of malloc.h
    mallopt(mmap_threshold, 32 << 20)
    mallopt(trim_threshold, 1 << 30)
    mallopt(top_pad, 64 << 20)
