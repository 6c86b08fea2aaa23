"""Fair timings: all sides in turn in one process, over the same tensors or the same network and data."""

from padam.bench.epochs import train
from padam.bench.fair import keep
from padam.bench.steps import step, tables

__all__ = ["keep", "step", "tables", "train"]
