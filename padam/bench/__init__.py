"""Fair timings: all sides in turn in one process, over the same tensors or the same network and data."""

from padam.bench.epochs import train
from padam.bench.fair import keep, load
from padam.bench.steps import step, tables

__all__ = ["keep", "load", "step", "tables", "train"]
