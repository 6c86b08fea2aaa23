"""What a long run does to the process it lives in: signals that wait for the epoch, memory that is not given back."""

import contextlib
import ctypes
import os
import signal
import sys
import threading

import torch


class Stopped(RuntimeError):
    """A run ended before its last epoch, on request, with its checkpoint written; the same call goes on.

    `interrupted` says that a signal ended it, not the budget.
    """

    def __init__(self, message, interrupted=False):
        super().__init__(message)
        self.interrupted = interrupted


class Signals:
    """While entered, the first Ctrl-C or SIGTERM sets `asked`, so that the epoch can be finished; the second stops now.

    What is done inside `finishing()` is finished all the same. Only the main thread can do so; elsewhere signals are
    left as they are. With `quiet` nothing is said: another process of the run does.
    """

    _CAUGHT = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, label, quiet=False):
        self.label, self.quiet, self.asked, self._before, self._finishing = label, quiet, None, {}, False

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in self._CAUGHT}
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number, frame):
        if self.asked and not self._finishing:
            raise Stopped(
                f"{self.label}: stopped at once. The same command goes on from the last epoch that was finished.",
                interrupted=True,
            )
        self.asked = signal.Signals(number).name
        if not self.quiet:
            said = f"\n{self.label}: finishing this epoch, then stopping. Once more to stop now."
            print(said, file=sys.stderr)  # noqa: T201

    @contextlib.contextmanager
    def finishing(self):
        """Nothing stops at once in here."""
        self._finishing = True
        try:
            yield
        finally:
            self._finishing = False


@contextlib.contextmanager
def deterministic(device):
    """On CUDA, the same bits every time meanwhile; what has no deterministic form warns. On a CPU it is so anyway.

    No GPU has measured what it costs yet.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn, before = torch.backends.cudnn, torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with cudnn.flags(cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32):
            yield
    finally:
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
