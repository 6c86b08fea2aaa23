"""Random crop and flip of many pictures at once, each by offsets of its own, on whatever device they lie."""

from typing import NamedTuple

import torch


class Shifts(NamedTuple):
    """What happens to each picture: row and column of its crop's corner, int64 (N,); whether mirrored, bool (N,)."""

    rows: torch.Tensor
    columns: torch.Tensor
    mirrored: torch.Tensor


def draw(count, shift, flip, generator):
    """`Shifts` for `count` pictures: corners uniform in 0..2 shift, mirrored with probability 1/2 (never unless flip).

    They are drawn on the CPU whatever the device, so that a seed means the same pictures everywhere.
    """
    rows, columns = torch.randint(0, 2 * shift + 1, (2, count), generator=generator)
    mirrored = torch.randint(0, 2, (count,), generator=generator).bool()
    return Shifts(rows, columns, mirrored & flip)


def padded(images, shift):
    """uint8 (N, 3, H, W) -> uint8 (N, H + 2 shift, W + 2 shift, 3), black around; done once, before training."""
    margins = (0, 0, shift, shift, shift, shift)
    return torch.nn.functional.pad(images.permute(0, 2, 3, 1), margins).contiguous()


def crop(pictures, chosen, shifts, size):
    """Crops of some of the `padded` pictures, in one gather: uint8 (len(chosen), 3, height, width), channels last.

    Args:
        pictures: uint8 (N, H, W, 3).
        chosen: which of them, int64 (B,).
        shifts: `Shifts` of all N, of which picture i has entry i.
        size: (height, width) of the crop.
    """
    height, width = (torch.arange(n, device=pictures.device) for n in size)
    rows = shifts.rows[chosen, None] + height
    columns = torch.where(shifts.mirrored[chosen, None], width.flip(0), width) + shifts.columns[chosen, None]
    return pictures[chosen[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
