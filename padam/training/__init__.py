"""Training: a recipe to its record, or whatever optimizer is handed in. Torch is loaded when something is used."""

import importlib

_PLACES = {
    "Busy": "padam.files",
    "Lost": "padam.training.workers",
    "Stopped": "padam.training.signals",
    "evaluate": "padam.training.loop",
    "fit": "padam.training.loop",
    "train": "padam.training.run",
}

__all__ = [*_PLACES]


def __getattr__(name):
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    raise AttributeError(f"module 'padam.training' has no attribute {name!r}")
