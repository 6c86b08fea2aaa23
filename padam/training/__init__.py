"""Training with whatever optimizer is handed in, and what came of it."""

from padam.training.loop import evaluate, fit

__all__ = ["evaluate", "fit"]
