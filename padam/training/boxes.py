"""Random resized crops of many pictures at once, each out of a box of its own, on whatever device they lie.

What torchvision's RandomResizedCrop does to one picture: Inception's augmentation, with which ImageNet is trained.
"""

from typing import NamedTuple

import torch

SCALE, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10  # torchvision's defaults


class Boxes(NamedTuple):
    """What is cut out of each picture: int64 (N,) each, in pixels; and whether it is mirrored, bool (N,)."""

    tops: torch.Tensor
    lefts: torch.Tensor
    heights: torch.Tensor
    widths: torch.Tensor
    mirrored: torch.Tensor


def draw(count, side, flip, generator):
    """`Boxes` for `count` square pictures, mirrored with probability 1/2 (never unless flip).

    A box has a share of the picture's area uniform in `SCALE` and a ratio of width to height log-uniform in `RATIO`; of
    `TRIES` such, the first that fits, and the whole picture if none does. They are drawn on the CPU whatever the
    device, so that a seed means the same boxes everywhere.
    """
    area = side**2 * torch.empty(TRIES, count).uniform_(*SCALE, generator=generator)
    ratio = torch.empty(TRIES, count).uniform_(*torch.tensor(RATIO).log().tolist(), generator=generator).exp()
    widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (widths > 0) & (widths <= side) & (heights > 0) & (heights <= side)
    first, column = fits.int().argmax(0), torch.arange(count)
    heights, widths = (
        torch.where(fits.any(0), sides[first, column], torch.tensor(float(side))).long() for sides in (heights, widths)
    )
    tops, lefts = (
        (torch.rand(count, generator=generator, dtype=torch.float64) * (side - sides + 1)).long()
        for sides in (heights, widths)
    )
    mirrored = torch.randint(0, 2, (count,), generator=generator).bool()
    return Boxes(tops, lefts, heights, widths, mirrored & flip)


def crop(pictures, boxes, size):
    """The boxes cut out and resized: uint8 or float (B, 3, H, W) -> float32 (B, 3, size, size), channels last.

    Bilinear without antialiasing, as torchvision's `resized_crop(..., antialias=False)`: a box of more than `size`
    pixels is sampled, not averaged.
    """
    rows = _places(boxes.tops, boxes.heights, size)
    columns = _places(boxes.lefts, boxes.widths, size)
    columns = torch.where(boxes.mirrored[:, None], columns.flip(1), columns)
    height, width = pictures.shape[2:]
    grid = torch.stack(
        (
            ((2 * columns + 1) / width - 1)[:, None, :].expand(-1, size, -1),
            ((2 * rows + 1) / height - 1)[:, :, None].expand(-1, -1, size),
        ),
        dim=-1,
    )
    found = torch.nn.functional.grid_sample(pictures.float(), grid, "bilinear", "border", align_corners=False)
    return found.contiguous(memory_format=torch.channels_last)


def _places(starts, lengths, size):
    """Where in the picture the middles of the `size` pixels of each result lie, (B, size): inside of the box."""
    middles = torch.arange(size, device=starts.device) + 0.5
    inside = middles * (lengths[:, None] / size) - 0.5
    return starts[:, None] + torch.minimum(inside.clamp_min(0), lengths[:, None] - 1.0)
