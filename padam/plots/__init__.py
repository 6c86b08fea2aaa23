"""Pictures for the book; the only part of the package that imports matplotlib.

Every function returns a `Picture`: the figure with the alternative text that describes it, whose numbers are
computed from what is drawn. One colour and one marker per optimizer, the same everywhere.
"""

from padam.plots.axes import STYLE, fraction, look
from padam.plots.lines import curves, differences, envelope, histories, published
from padam.plots.shapes import effective_rates, family, network, samples, trajectories
from padam.plots.speed import roofline, steps

__all__ = [
    "STYLE",
    "curves",
    "differences",
    "effective_rates",
    "envelope",
    "family",
    "fraction",
    "histories",
    "look",
    "network",
    "published",
    "roofline",
    "samples",
    "steps",
    "trajectories",
]
