"""Pictures that are too many for a card: read from the memory map a few batches ahead of the step that needs them.

A thread reads, and no DataLoader's processes: nothing is decoded here, only copied, and a process would copy every
batch once more, into memory that it shares. A CPU trains from the memory map itself, of which the system keeps in
memory what it has room for. No GPU has run this file yet.
"""

import collections
import os
from concurrent.futures import ThreadPoolExecutor

import torch

from padam.data.whole import WholePictures

SHARE = 1 / 4  # of what is free on a card; more than that of pictures is not put there
AHEAD = 2  # batches that are read before they are asked for


def too_large(data, device):
    """Whether the pictures of `padam.data.Images` are streamed to a device: on CUDA, if all parts are too large for it.

    Too large is more than `SHARE` of what is free on the card, or more than the environment's PADAM_RESIDENT says, a
    number of GB (0 streams everything). Only pictures that are cut and resized (`resized`) are ever streamed: the
    other sets are small. Raises ValueError for a PADAM_RESIDENT that is no number.
    """
    if device.type != "cuda" or not data.resized:
        return False
    size = sum(part[0].nbytes for part in (data.train, data.valid, data.test) if part)
    said = os.environ.get("PADAM_RESIDENT")
    try:
        limit = float(said) * 1e9 if said else SHARE * torch.cuda.mem_get_info(device)[0]
    except ValueError as error:
        raise ValueError(f"PADAM_RESIDENT is {said!r}; it takes a number of GB, such as 8, or 0.") from error
    return size > limit


def ahead(pictures, pieces, device):
    """Yield those of the pictures that each of `pieces` names, in order and on the device.

    A thread copies them out of the memory map while earlier ones are in use: for CUDA into pinned memory, from which
    they go to the card without a stop. Not more than `AHEAD` pieces wait. What goes wrong in the thread is raised here;
    closing the generator ends the thread.

    Args:
        pictures: uint8 (N, 3, H, W) or `padam.data.whole.WholePictures`, on the CPU, usually over a memory map.
        pieces: a sequence of int64 (B,) on the CPU.
        device: torch.device.
    """
    waiting = collections.deque()
    with ThreadPoolExecutor(1, "pictures") as thread:
        try:
            for some in pieces:
                # Room is made here and not in the thread, which would call CUDA while a graph is captured.
                room = torch.empty(_shape(pictures, some), dtype=torch.uint8, pin_memory=device.type == "cuda")
                waiting.append(thread.submit(_read, pictures, some, room))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result().to(device, non_blocking=True)
            while waiting:
                yield waiting.popleft().result().to(device, non_blocking=True)
        finally:
            thread.shutdown(cancel_futures=True)


def _shape(pictures, some):
    """The shape of the bytes of some pictures."""
    whole = isinstance(pictures, WholePictures)
    return (pictures[some].nbytes,) if whole else (len(some), *pictures.shape[1:])


def _read(pictures, some, room):
    if isinstance(pictures, WholePictures):
        return pictures[some].together(room)
    return torch.index_select(pictures, 0, some, out=room)
