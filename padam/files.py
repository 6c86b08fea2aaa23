"""Files that are written whole or not at all, and files that one process at a time may hold."""

import contextlib
import os
import secrets
import socket
import sys
import time
import warnings

import filelock


class Busy(RuntimeError):
    """Another process is at work on the same thing."""


@contextlib.contextmanager
def held(path, message, wait=False):
    """Hold the file `path`, made where it is not there, for this process, however it ends.

    It is left where it is. Where another process holds it, `Busy` is raised with `message`, in which {holder} is that
    process and its machine, "4242 on node7". With `wait` the message goes to stderr, once, and it is tried again every
    second until the file is free. Where the file system cannot lock, a warning says so, and the file counts as held.
    Raises OSError where the file cannot be made.
    """
    said = False
    while True:
        with open(path, "a"):
            told = message.replace("{holder}", _holder(path))
        try:
            lock = _acquired(path)
            break
        except filelock.Timeout:
            if not wait:
                raise Busy(told) from None
        if not said:
            sys.stderr.write(f"{told}\n")
        said = True
        time.sleep(1)
    with lock:
        with contextlib.suppress(OSError):  # a full disk, or Windows, which locks the text too: then nobody is named
            path.write_text(f"{os.getpid()}\n{socket.gethostname()}\n")
        yield


def is_held(path):
    """Whether a process holds the file `path`: no where it is not there, may not be written or cannot be locked."""
    if not path.exists():
        return False
    try:
        with _lock(path).acquire(blocking=False):
            return False
    except filelock.Timeout:
        return True
    except (OSError, NotImplementedError):
        return False


def _acquired(path):
    """A context manager that releases the file again. Raises filelock.Timeout where another process holds it."""
    try:
        # For a moment: whoever only looks whether it is held holds it that long.
        return _lock(path).acquire(timeout=0.2, poll_interval=0.05)
    except (filelock.Timeout, PermissionError):
        raise
    except (OSError, NotImplementedError):
        warnings.warn(
            "this file system cannot lock files: do not train one run, or pack one folder, twice at once.", stacklevel=4
        )
        return contextlib.nullcontext()


def _lock(path):
    # Where the system cannot lock, filelock would take the file's mere existence for a lock; that outlives a process
    # that is killed.
    try:
        return filelock.FileLock(path, fallback_to_soft=False)
    except TypeError:  # an older one, as Colab may have, which does not ask; nor does it name the holder
        return filelock.FileLock(path)


def _holder(path):
    """ "4242 on node7": what the process that holds a file has written into it."""
    try:
        process, host = path.read_text().split()
    except (OSError, ValueError):
        return "unknown"
    return f"{process} on {host}"


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
