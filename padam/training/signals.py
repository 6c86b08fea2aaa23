"""Signals that wait for the epoch, and what is raised when they have ended a run."""

import contextlib
import signal
import sys
import threading


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
