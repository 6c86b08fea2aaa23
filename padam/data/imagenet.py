"""ImageNet and subsets of it: arrays that were packed out of a folder of pictures, mapped into memory."""

import json
import os
from pathlib import Path

import numpy as np
import torch

from padam.data import packing
from padam.data.whole import WholePictures

NAMES = ("imagenet", "imagenet-subset")
_SMALL = 64  # pixels of a side at which a folder of pictures is packed unasked
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # torchvision's, for all of its ImageNet models


def load(name, root):
    """`padam.data.Images` out of root/<name>/packed-<side>, or packed-<side>-whole; train is ImageNet's, test its val.

    The pixels stay on the disk until they are read. Of pictures of 256 pixels 224 are trained and evaluated, as is
    usual for ImageNet, and as large a part of larger ones; of smaller ones the middle square is evaluated. For
    "imagenet-subset" a folder root/imagenet-subset/{train,val} is packed at 64 pixels where nothing is packed, and kept
    beside it. Raises FileNotFoundError where there is neither, and ValueError for arrays that are not what their
    manifest says, and where several are packed; all say what to do.
    """
    from padam.data import Images

    folder = Path(root) / name
    there = sorted(path.parent for path in folder.glob("packed-*/manifest.json") if path.parent.suffix != ".partial")
    if len(there) > 1:
        raise ValueError(
            f"{folder} holds {', '.join(path.name for path in there)}; keep one, move the others elsewhere."
        )
    packed = there[0] if there else _pack(name, folder, root)
    manifest = json.loads((packed / "manifest.json").read_text())
    side, hashed = manifest["size"], ("sha256", "sides") if manifest.get("whole") else ("sha256",)
    parts = [_part(packed, part, manifest) for part in packing.PARTS]
    return Images(
        *parts,
        torch.tensor(_MEAN),
        torch.tensor(_STD),
        flip=True,
        resized=side if side < 256 else side * 7 // 8,
        packed=tuple(manifest["parts"][part][key] for key in hashed for part in packing.PARTS),
    )


def _pack(name, folder, root):
    if name != "imagenet-subset" or not all((folder / part).is_dir() for part in packing.PARTS):
        raise FileNotFoundError(
            f"{name} is not in {folder.absolute()}: nothing is packed there. python data_scripts/imagenet.py --help "
            f"says how to pack it into --root {root}; or name the folder above it with --data or PADAM_DATA. The quick "
            f"profile needs no download."
        )
    if not os.access(folder, os.W_OK):
        raise FileNotFoundError(
            f"{folder.absolute()} holds pictures that are not packed, and nothing can be written beside them. Pack "
            f"them elsewhere: python data_scripts/imagenet.py --imagenet {folder.absolute()} --size {_SMALL} --root "
            f"FOLDER."
        )
    packing.pack(folder, folder / f"packed-{_SMALL}", _SMALL, wait=True)  # runs may begin several at a time
    return folder / f"packed-{_SMALL}"


def _part(packed, part, manifest):
    """(pictures, labels) of a part, as tensors over the files."""
    pixels, labels = (_array(packed / f"{part}-{what}.npy") for what in ("pixels", "labels"))
    count, side = manifest["parts"][part]["count"], manifest["size"]
    pictures, expected = pixels, (count, 3, side, side)
    if manifest.get("whole"):
        pictures = WholePictures.over(pixels, *_array(packed / f"{part}-sides.npy").t().contiguous())
        expected = (pictures.nbytes,)
    if pixels.shape != expected or len(pictures) != count or labels.shape != (count,):
        raise ValueError(
            f"{packed} holds {tuple(pixels.shape)} pixels and {len(labels)} labels to {part} on, and its manifest says "
            f"{count} pictures of {side} pixels. Remove {packed} and pack again."
        )
    return pictures, labels


def _array(path):
    """The tensor over a file."""
    try:
        array = np.load(path, mmap_mode="c")  # pages that somebody writes to are his own copy
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}). Remove {path.parent} and pack again.") from error
    return torch.from_numpy(array)
