"""A figure with the text that describes it, as notebooks show it; what is drawn is `padam.plots`' business."""

import io
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure and its alternative text; a notebook shows the first and keeps the second beside it."""

    figure: object
    alt: str

    def png(self, dpi=160):
        """The picture as PNG bytes, the same every time; 256 colours do, in a third of the bytes."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=dpi, facecolor="white")
        colours = Image.open(buffer).convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        buffer = io.BytesIO()
        colours.save(buffer, format="png", optimize=True)
        return buffer.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"image/png": self.png(), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}
