"""Checkpoints that survive a power cut: written beside, synced, renamed, their own digest in the name, two kept."""

import contextlib
import hashlib
import io
import re
import warnings
from pathlib import Path

from padam import files

_NAME = re.compile(r"epoch-(\d+)-([0-9a-f]{16})\.pt")
KEPT = 2
_CHANGED = "its bytes differ from when they were written"


def save(folder, epoch, state):
    """Write `state` as the checkpoint of an epoch, atomically, and remove all but the newest two.

    Raises OSError (disk full, read-only) with the older checkpoints untouched and nothing half written left.
    """
    import torch

    folder = Path(folder)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    raw = buffer.getbuffer()
    files.write(folder / f"epoch-{epoch:05d}-{_digest(raw)}.pt", raw)
    for _, path in found(folder)[KEPT:]:
        files.remove(path)


def _digest(raw):
    return hashlib.sha256(raw).hexdigest()[:16]


def found(folder):
    """[(epoch, path), ...] of the checkpoints in a folder, newest first."""
    names = ((_NAME.fullmatch(path.name), path) for path in Path(folder).glob("epoch-*.pt"))
    return sorted(((int(match[1]), path) for match, path in names if match), reverse=True)


def load(folder, keys=()):
    """The newest checkpoint that can be used, or None where none was ever written.

    One that cannot is renamed to *.damaged and said in a warning, and the one before it serves: its bytes do not give
    the digest in its name, torch cannot read it, or it lacks one of `keys`, of which "trainer.model" is the key "model"
    of what stands under "trainer". Raises ValueError, each time anew, where all that there are were set aside so.
    """
    for _, path in found(folder):
        raw = path.read_bytes()
        state, fault = _read(raw, keys) if _digest(raw) == _NAME.fullmatch(path.name)[2] else (None, _CHANGED)
        if not fault:
            return state
        path.rename(path.with_suffix(".damaged"))
        warnings.warn(
            f"the checkpoint {path} is damaged ({fault}); it was set aside as {path.stem}.damaged, and the one before "
            f"it is taken.",
            stacklevel=2,
        )
    if any(Path(folder).glob("epoch-*.damaged")):
        raise ValueError(
            f"no checkpoint in {folder} is whole, so the run cannot go on. Remove that folder to start it again from "
            f"the first epoch."
        )
    return None


def _read(raw, keys):
    """(state, "") of a checkpoint's bytes, or (None, why it cannot be used)."""
    import torch

    try:
        state = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # torch says it in many ways
        return None, f"torch cannot read it: {type(error).__name__}"
    for key in keys:
        part = state
        for name in key.split("."):
            if not isinstance(part, dict) or name not in part:
                return None, f"it holds no {key}"
            part = part[name]
    return state, ""


def remove(folder):
    """Remove a run's checkpoints, the leftovers of killed writers and the folder, if nothing else lies in it."""
    folder = Path(folder)
    for path in (*folder.glob("epoch-*"), *folder.glob(".*.part"), folder / "lock"):
        files.remove(path)
    with contextlib.suppress(OSError):
        folder.rmdir()


@contextlib.contextmanager
def locked(folder):
    """Hold a run for this process; the lock goes with the process, however it ends.

    The folders that it makes go with it, as far as they are empty.

    Raises `padam.files.Busy` if another process holds it. Where the file system cannot lock, a warning says so.
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
            holding.enter_context(files.held(folder / "lock", message))
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
    return files.is_held(Path(folder) / "lock")
