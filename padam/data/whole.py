"""Pictures that are stored whole, each with sides of its own, one after the other in one vector of bytes."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class WholePictures:
    """Pictures of different sides, where others are one tensor (N, 3, H, W).

    `pixels` is uint8 (bytes,), usually over a memory map; picture k is the (3, heights[k], widths[k]) that begins at
    offsets[k]. These three are int64 (N,), in bytes and pixels. All lie on one device.
    """

    pixels: torch.Tensor
    offsets: torch.Tensor
    heights: torch.Tensor
    widths: torch.Tensor

    @classmethod
    def over(cls, pixels, heights, widths):
        """The pictures of a vector in which they follow each other without gaps."""
        sizes = 3 * heights * widths
        return cls(pixels, sizes.cumsum(0) - sizes, heights, widths)

    def __len__(self):
        return len(self.offsets)

    def __getitem__(self, some):
        """Those that a slice or int64 (B,) on their device names; no pixel is copied."""
        return WholePictures(self.pixels, self.offsets[some], self.heights[some], self.widths[some])

    @property
    def nbytes(self):
        """How many bytes their pixels take, without what lies between them."""
        return int((3 * self.heights * self.widths).sum())

    def together(self, room=None):
        """The same, their pixels copied next to each other; into `room`, uint8 (nbytes,), if it is given."""
        sizes = 3 * self.heights * self.widths
        parts = [self.pixels[at : at + size] for at, size in zip(self.offsets.tolist(), sizes.tolist(), strict=True)]
        return WholePictures.over(torch.cat(parts, out=room), self.heights, self.widths)

    def to(self, device, non_blocking=False):
        """The same on a device, to which only their own pixels are copied; themselves if they lie there."""
        if self.pixels.device == torch.device(device):
            return self
        there = self if self.nbytes == len(self.pixels) else self.together()
        parts = (there.pixels, there.offsets, there.heights, there.widths)
        return WholePictures(*(part.to(device, non_blocking=non_blocking) for part in parts))

    def at(self, rows, columns):
        """The pixels in which rows and columns meet, (N, R) and (N, C): uint8 (N, 3, R, C), channels last."""
        plane, widths = (self.heights * self.widths)[:, None, None, None], self.widths[:, None, None, None]
        places = self.offsets[:, None, None, None] + rows[:, :, None, None] * widths + columns[:, None, :, None]
        colors = torch.arange(3, device=plane.device)
        return self.pixels[places + colors * plane].permute(0, 3, 1, 2)


def sides(pictures):
    """(heights, widths) of pictures of either kind, int64 (N,) each on the CPU."""
    if isinstance(pictures, WholePictures):
        return pictures.heights.cpu(), pictures.widths.cpu()
    return tuple(torch.full((len(pictures),), side) for side in pictures.shape[2:])
