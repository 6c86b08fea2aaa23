"""Where a number comes from: the code, the libraries, the machine."""

import ast
import functools
import hashlib
import platform
import subprocess
from pathlib import Path

import torch

from padam import __version__

_ROOT = Path(__file__).parents[1]


@functools.cache
def source_hash(start="padam.training.run"):
    """sha256 of the source files that a result depends on: those of the module `start` and of all that it imports."""
    digest = hashlib.sha256()
    for path in sources(start):
        digest.update(str(path.relative_to(_ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def sources(start="padam.training.run"):
    """The files of padam that a module runs: its own, those it imports, wherever in it, theirs, and C beside them."""
    found, waiting = set(), [start]
    while waiting:
        for path in _files(waiting.pop()) - found:
            found.add(path)
            waiting += _imported(path)
    found |= {path.with_suffix(".c") for path in found if path.with_suffix(".c").exists()}
    return sorted(found)


def _files(name):
    """The file of a dotted name and those of the packages that it lies in, as far as the name is a module's."""
    parts, found = name.split(".")[1:], {_ROOT / "__init__.py"}
    for count in range(1, len(parts) + 1):
        place = _ROOT.joinpath(*parts[:count])
        found |= {path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()}
    return found


def _imported(path):
    """The names of padam that a file imports: of modules, or of what stands in one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "padam":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "padam")


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


def tf32():
    """{"matmul", "cudnn"}: whether CUDA may round the factors of float32 products to 10 bits (TF32), as torch says it.

    "highest" is no for matrix products, "high" and "medium" are yes; cudnn is of convolutions and LSTMs.
    """
    return {"matmul": torch.get_float32_matmul_precision(), "cudnn": torch.backends.cudnn.allow_tf32}


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
