"""Data sets by name, as tensors."""

import os
from typing import NamedTuple

import torch


class Images(NamedTuple):
    """Pictures with labels, each part uint8 (N, 3, H, W) and int64 (N,); mean and std per channel, for [0, 1]."""

    train: tuple[torch.Tensor, torch.Tensor]
    test: tuple[torch.Tensor, torch.Tensor]
    mean: torch.Tensor
    std: torch.Tensor


class Text(NamedTuple):
    """Tokens as int64 vectors that index `vocabulary`, a tuple of words; sha256 is of the text they were made from."""

    train: torch.Tensor
    valid: torch.Tensor
    test: torch.Tensor
    vocabulary: tuple[str, ...]
    sha256: str


def load(name, root=None):
    """The data set called `name`.

    Args:
        name: "mnist5k": 5,000 real MNIST digits, 28x28, 4,000 to train and 1,000 to test; no download.
            "pydoc": the English of Python's own language reference, about 70,000 tokens; no download. It differs
            between versions of Python.
        root: folder of the data sets that are downloaded; default the environment's PADAM_DATA, else "data".

    Returns `Images` or `Text`. Raises ValueError for an unknown name, ModuleNotFoundError where the package of the
    digits is missing.
    """
    from padam.data import embedded

    loaders = {"mnist5k": embedded.mnist5k, "pydoc": embedded.pydoc}
    if name not in loaders:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(loaders)}.")
    return loaders[name](root or os.environ.get("PADAM_DATA", "data"))
