"""What a run will cost in arithmetic, counted from its network without training it or reading its data."""

import functools
import os
from pathlib import Path
from typing import NamedTuple

import torch

from padam import data as datasets
from padam import models


class Size(NamedTuple):
    """What a data set holds: examples (pictures or words) to train, to hold out and to test; classes or words; pixels.

    `pixels` is the side of what is trained on; 0 for texts.
    """

    train: int
    held_out: int
    test: int
    classes: int
    pixels: int


_SIZES = {
    "mnist5k": Size(4_000, 0, 1_000, 10, 28),
    "cifar10": Size(50_000, 0, 10_000, 10, 32),
    "cifar100": Size(50_000, 0, 10_000, 100, 32),
    "imagenet": Size(1_281_167, 0, 50_000, 1_000, 224),
    "ptb": Size(929_589, 73_760, 82_430, 10_000, 0),
}


def flops(recipe, root=None):
    """Floating point operations of a run of a recipe, from its first epoch to its last: training and evaluating.

    A multiplication and an addition count as two. Counted are matrix products and convolutions, forward and backward,
    as torch's own counter has them; what is done element by element, the optimizer's step among it, is not. None where
    the size of the data is not known: of an ImageNet subset that is not packed yet in the folder `root`.
    """
    size = _size(recipe, root)
    if size is None:
        return None
    train, evaluate = _each(recipe.model, size.classes, size.pixels)
    trained = size.train if recipe.train_size is None else recipe.train_size
    return recipe.epochs * (train * trained + evaluate * (size.held_out + recipe.holdout + size.test))


def _size(recipe, root):
    if recipe.dataset in _SIZES:
        return _SIZES[recipe.dataset]
    if recipe.dataset != "pydoc":  # that is of this Python, and there
        folder = Path(root or os.environ.get("PADAM_DATA") or "data") / recipe.dataset
        if not any(folder.glob("packed-*/manifest.json")):
            return None
    data = datasets.load(recipe.dataset, root)
    if isinstance(data, datasets.Text):
        return Size(len(data.train), len(data.valid), len(data.test), len(data.vocabulary), 0)
    labels, tested = data.train[1], data.test[1]
    return Size(len(labels), 0, len(tested), int(labels.max()) + 1, data.resized)


_WORDS = 70  # read at a time: over the first of them nothing is carried back


@functools.cache
def _each(model, classes, pixels):
    """(operations of training on one example, of evaluating one): a picture, or a word of a text."""
    from torch.utils.flop_counter import FlopCounterMode

    # Batch norm wants more than one picture. Tensors of device "meta" have a shape and no numbers.
    examples = 2 if pixels else _WORDS
    with torch.device("meta"):
        if pixels:
            network, inputs = models.build(model, classes, pixels), torch.empty(examples, 3, pixels, pixels)
        else:
            network = models.build(model, vocabulary=classes)
            inputs = torch.zeros(examples, 1, dtype=torch.int64)
    network.to("meta")
    with FlopCounterMode(display=False) as training:
        found = network(inputs) if pixels else network(inputs, None)[0]
        found.sum().backward()
    network.eval()
    with FlopCounterMode(display=False) as evaluating, torch.no_grad():
        network(inputs) if pixels else network(inputs, None)
    return training.get_total_flops() / examples, evaluating.get_total_flops() / examples
