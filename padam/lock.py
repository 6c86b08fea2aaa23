"""A file that one process at a time may hold, so that no work is done twice at once; the lock goes with the process."""

import contextlib
import os
import sys
import time
import warnings


class Busy(RuntimeError):
    """Another process is at work on the same thing."""


def acquire(file):
    """Whether an open file could be locked for this process. Where the file system cannot lock, a warning and yes."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        warnings.warn(
            "this file system cannot lock files: do not train one run, or pack one folder, twice at once.", stacklevel=3
        )
    return True


@contextlib.contextmanager
def held(path, message, wait=False):
    """Hold the file `path`, made where it is not there and left where it is, for this process.

    Where another process holds it, `Busy` is raised with `message`, in which {holder} is that process. With `wait` the
    message goes to stderr, once, and it is tried again every second until the file is free.
    """
    said = False
    while True:
        with open(path, "a+") as file:
            # A lock whose file another process has removed meanwhile is no lock.
            if _patiently(file) and _same_file(file, path):
                file.truncate(0)
                file.write(f"process {os.getpid()}")
                file.flush()
                yield
                return
            file.seek(0)
            told = message.replace("{holder}", file.read().strip() or "unknown")
        if not wait:
            raise Busy(told)
        if not said:
            sys.stderr.write(f"{told}\n")
        said = True
        time.sleep(1)


def _same_file(file, path):
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


def _patiently(file):
    """Try for a moment: whoever only looks whether something is held holds it that long."""
    for _ in range(5):
        if acquire(file):
            return True
        time.sleep(0.05)
    return False
