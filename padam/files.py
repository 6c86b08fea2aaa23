"""Files that are written whole or not at all, and files that one process at a time may hold."""

import contextlib
import os
import secrets
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
    """Hold the file `path`, made where it is not there and left where it is, for this process, however it ends.

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


def write(path, raw, exclusive=False):
    """Bytes into a file: into a temporary file beside it, synced, then renamed. All of it is there, or nothing.

    With `exclusive`, a file that is there already is a FileExistsError, even if it came meanwhile.
    """
    # Two machines may have processes of one number at work in one folder.
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        _take_place(part, path, exclusive)
    except FileExistsError as error:
        raise FileExistsError(
            f"{path} is there already and is not overwritten; another process has written it."
        ) from error
    except OSError as error:
        raise OSError(
            error.errno,
            f"{path} cannot be written ({error.strerror}). What was there before is untouched; make room, or "
            f"make the folder writable, and give the same command again",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _take_place(part, path, exclusive):
    """Rename `part` to `path`, which must not be there if `exclusive`."""
    if not exclusive:
        os.replace(part, path)
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links, as Google Drive's: nearly as good
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(part, path)


def remove(path):
    """Remove a file, emptied first: where removed files go to a trash, as on Google Drive, it takes no room there."""
    with contextlib.suppress(OSError):  # gone already, or not ours to write: then it is only removed
        os.truncate(path, 0)
    path.unlink(missing_ok=True)
