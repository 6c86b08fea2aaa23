"""Signals that wait for the epoch, and what is raised when they have ended a run."""

import contextlib
import signal
import sys
import threading

_FINISHING = "finishing this epoch, then stopping. Once more to stop now."


class Stopped(RuntimeError):
    """A run ended before its last epoch, on request, with its checkpoint written; the same call goes on.

    `interrupted` says that a signal ended it, not the budget.
    """

    def __init__(self, message, interrupted=False):
        super().__init__(message)
        self.interrupted = interrupted


class Signals:
    """While entered, the first Ctrl-C or SIGTERM sets `asked`, so that the epoch can be finished.

    The second raises `Stopped` inside `interruptible()`; elsewhere it waits, as checkpoints are written there. Only the
    main thread can do so; in others signals are left as they are. With `quiet` nothing is said: another process of the
    run does.
    """

    _CAUGHT = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, label, quiet=False):
        self.label, self.quiet, self.asked, self._before, self._interruptible = label, quiet, None, {}, False

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in self._CAUGHT}
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number, frame):
        if self.asked and self._interruptible:
            raise Stopped(
                f"{self.label}: stopped at once. The same command goes on from the last epoch that was written.",
                interrupted=True,
            )
        what = "writing the checkpoint, then stopping." if self.asked else _FINISHING
        self.asked = signal.Signals(number).name
        if not self.quiet:
            print(f"\n{self.label}: {what}", file=sys.stderr)  # noqa: T201

    @contextlib.contextmanager
    def interruptible(self):
        """The second signal stops at once in here."""
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False
