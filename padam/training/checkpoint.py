"""Checkpoints that survive a power cut: written beside, synced, renamed, their own digest in the name, two kept."""

import contextlib
import hashlib
import io
import os
import re
import warnings
from pathlib import Path

from padam import lock

_NAME = re.compile(r"epoch-(\d+)-([0-9a-f]{16})\.pt")
KEPT = 2


def save(folder, epoch, state):
    """Write `state` as the checkpoint of an epoch, atomically, and remove all but the newest two.

    Raises OSError (disk full, read-only) with the older checkpoints untouched and nothing half written left.
    """
    import torch

    folder = Path(folder)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    raw = buffer.getbuffer()
    write(folder / f"epoch-{epoch:05d}-{_digest(raw)}.pt", raw)
    for _, path in found(folder)[KEPT:]:
        path.unlink()


def write(path, raw, exclusive=False):
    """Bytes into a file: into a temporary file beside it, synced, then renamed. All of it is there, or nothing.

    With `exclusive`, a file that is there already is a FileExistsError, even if it came meanwhile.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
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


def _digest(raw):
    return hashlib.sha256(raw).hexdigest()[:16]


def found(folder):
    """[(epoch, path), ...] of the checkpoints in a folder, newest first."""
    names = ((_NAME.fullmatch(path.name), path) for path in Path(folder).glob("epoch-*.pt"))
    return sorted(((int(match[1]), path) for match, path in names if match), reverse=True)


def load(folder):
    """The newest checkpoint that is whole, or None where there is none.

    A damaged one (its bytes do not give the digest in its name) is renamed to *.damaged and said in a warning; the one
    before it serves. Raises ValueError if there are checkpoints, but none is whole.
    """
    import torch

    there = found(folder)
    for _, path in there:
        raw = path.read_bytes()
        if _digest(raw) == _NAME.fullmatch(path.name)[2]:
            return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        path.rename(path.with_suffix(".damaged"))
        warnings.warn(
            f"the checkpoint {path} is damaged (its bytes differ from when they were written); it was set aside as "
            f"{path.stem}.damaged, and the one before it is taken.", stacklevel=2,
        )  # fmt: skip
    if there:
        raise ValueError(
            f"no checkpoint in {folder} is whole, so the run cannot go on. Remove that folder to start it again from "
            f"the first epoch."
        )
    return None


def remove(folder):
    """Remove a run's checkpoints, the leftovers of killed writers and the folder, if nothing else lies in it."""
    folder = Path(folder)
    for path in (*folder.glob("epoch-*"), *folder.glob(".*.part"), folder / "lock"):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def locked(folder):
    """Hold a run for this process; the lock goes with the process, however it ends.

    The folders that it makes go with it, as far as they are empty.

    Raises `padam.lock.Busy` if another process holds it. Where the file system cannot lock, a warning says so.
    """
    folder = Path(folder)
    message = (
        f"another process ({{holder}}) is training the run in {folder}. Wait for it, or stop it; or train into another "
        f"folder (--out)."
    )
    with contextlib.ExitStack() as holding:
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            holding.enter_context(lock.held(folder / "lock", message))
        except OSError as error:
            raise OSError(
                error.errno, f"{folder} cannot be written ({error.strerror}); choose another --out"
            ) from error
        for leftover in folder.glob(".*.part"):
            leftover.unlink()
        try:
            yield
        finally:
            if not any(folder.glob("epoch-*")):
                remove(folder)
                with contextlib.suppress(OSError):
                    for place in made[1:]:
                        place.rmdir()


def running(folder):
    """Whether a process holds the run in `folder`."""
    path = Path(folder) / "lock"
    if not path.exists():
        return False
    with open(path) as file:
        return not lock.acquire(file)
