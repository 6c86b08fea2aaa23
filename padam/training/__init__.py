"""Training: a recipe to its record, or whatever optimizer is handed in."""

from padam.training.checkpoint import Busy
from padam.training.fit import evaluate, fit
from padam.training.run import train
from padam.training.stopping import Stopped

__all__ = ["Busy", "Stopped", "evaluate", "fit", "train"]
