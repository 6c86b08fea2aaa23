"""Random resized crops of many pictures at once, each out of a box of its own, on whatever device they lie.

What torchvision's RandomResizedCrop does to one picture: Inception's augmentation, with which ImageNet is trained.
"""

from typing import NamedTuple

import torch

from padam.data.whole import WholePictures

SCALE, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10  # torchvision's defaults


class Boxes(NamedTuple):
    """What is cut out of each picture: int64 (N,) each, in pixels; and whether it is mirrored, bool (N,)."""

    tops: torch.Tensor
    lefts: torch.Tensor
    heights: torch.Tensor
    widths: torch.Tensor
    mirrored: torch.Tensor


def draw(heights, widths, flip, generator):
    """`Boxes` for pictures of these sides, int64 (N,) each, mirrored with probability 1/2 (never unless flip).

    A box has a share of the picture's area uniform in `SCALE` and a ratio of width to height log-uniform in `RATIO`; of
    `TRIES` such, the first that fits, and if none does, the largest in the middle whose ratio is within `RATIO`. They
    are drawn on the CPU whatever the device, so that a seed means the same boxes everywhere.
    """
    count = len(heights)
    area = heights * widths * torch.empty(TRIES, count).uniform_(*SCALE, generator=generator)
    ratio = torch.empty(TRIES, count).uniform_(*torch.tensor(RATIO).log().tolist(), generator=generator).exp()
    across, down = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (across > 0) & (across <= widths) & (down > 0) & (down <= heights)
    first, column, found = fits.int().argmax(0), torch.arange(count), fits.any(0)

    def chosen(lengths, sides, largest):
        """(starts, lengths) of the boxes along one side of the pictures."""
        lengths = torch.where(found, lengths[first, column], torch.minimum(sides, largest.round())).long()
        free = sides - lengths
        starts = (torch.rand(count, generator=generator, dtype=torch.float64) * (free + 1)).long()
        return torch.where(found, starts, free // 2), lengths

    tops, box_heights = chosen(down, heights, widths.double() / RATIO[0])
    lefts, box_widths = chosen(across, widths, heights.double() * RATIO[1])
    mirrored = torch.randint(0, 2, (count,), generator=generator).bool()
    return Boxes(tops, lefts, box_heights, box_widths, mirrored & flip)


def crop(pictures, boxes, size):
    """The boxes cut out and resized: float32 (B, 3, size, size), channels last, of as many pictures.

    Bilinear without antialiasing, as torchvision's `resized_crop(..., antialias=False)`: a box of more than `size`
    pixels is sampled, not averaged. `pictures` are uint8 or float (B, 3, H, W), or `padam.data.whole.WholePictures`.
    """
    rows = _places(boxes.tops, boxes.heights, size)
    columns = _places(boxes.lefts, boxes.widths, size)
    columns = torch.where(boxes.mirrored[:, None], columns.flip(1), columns)
    if isinstance(pictures, WholePictures):
        return _between(pictures, rows, columns)
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


def middle(pictures, size):
    """The middle square of each picture of either kind, as torchvision's CenterCrop cuts it: uint8 (B, 3, size, size).

    No side of a picture may be shorter than `size`.
    """
    if isinstance(pictures, WholePictures):
        rows, columns = (
            ((sides - size) / 2).round().long()[:, None] + torch.arange(size, device=sides.device)
            for sides in (pictures.heights, pictures.widths)
        )
        return pictures.at(rows, columns)
    begin = round((pictures.shape[-1] - size) / 2)
    return pictures[..., begin : begin + size, begin : begin + size]


def _between(pictures, rows, columns):
    """Pictures at places between their pixels, (B, R) and (B, C): float32 (B, 3, R, C), bilinear."""
    top, left, bottom, right = rows.floor().long(), columns.floor().long(), rows.ceil().long(), columns.ceil().long()
    across, down = (columns - left)[:, None, None, :], (rows - top)[:, None, :, None]
    upper, lower = (
        torch.lerp(pictures.at(row, left).float(), pictures.at(row, right).float(), across) for row in (top, bottom)
    )
    return torch.lerp(upper, lower, down)


def _places(starts, lengths, size):
    """Where in the picture the middles of the `size` pixels of each result lie, (B, size): inside of the box."""
    middles = torch.arange(size, device=starts.device) + 0.5
    inside = middles * (lengths[:, None] / size) - 0.5
    return starts[:, None] + torch.minimum(inside.clamp_min(0), lengths[:, None] - 1.0)
