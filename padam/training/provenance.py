"""Where a number comes from: the code, the libraries, the machine."""

import functools
import hashlib
import platform
import subprocess
from pathlib import Path

import torch

from padam import __version__

_ROOT = Path(__file__).parents[1]
_CODE = ("optim", "catalog.py", "schedules.py", "data", "models", "training")


@functools.cache
def source_hash():
    """sha256 of the source files a result depends on: optimizers, schedule, data, networks, training."""
    files = [path for name in _CODE for path in sorted((_ROOT / name).rglob("*.[cp]*")) or [_ROOT / name]]
    files = [path for path in files if path.suffix in (".py", ".c")]
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def commit():
    """The commit of the checkout, with "+" if the package differs from it; None where the package is installed."""
    if not (_ROOT.parent / ".git").exists():
        return None
    try:
        head, changed = (
            subprocess.run(["git", "-C", _ROOT.parent, *command], capture_output=True, text=True, check=True).stdout
            for command in (
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--", "padam/*.py", "padam/**/*.py", "padam/**/*.c"),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("+" if changed.strip() else "")


def versions():
    """{"python", "torch", "cuda", "padam"}; cuda is None on a CPU build."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "padam": __version__,
    }


def device_name(device):
    """What the device calls itself: the model of the GPU or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def data_hash(data):
    """sha256 of everything a run reads of its data: the training, held out and test parts.

    Of packed pictures it is of their labels and of what their manifest says of the pixels, which need not be read.
    """
    packed = getattr(data, "packed", ())
    digest = hashlib.sha256(" ".join(packed).encode())
    for part in (data.train, data.valid, data.test):
        for tensor in (part[1:] if packed else part) if isinstance(part, tuple) else (part,):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
