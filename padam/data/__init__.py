"""Data sets by name, as tensors."""

import os
from typing import NamedTuple

import torch

from padam.data.whole import WholePictures


class Images(NamedTuple):
    """Pictures with labels, each part uint8 (N, 3, H, W) and int64 (N,); mean and std per channel, for [0, 1].

    Pictures that were packed whole are no tensor but a `padam.data.whole.WholePictures`.
    `valid` is what `split` has put aside of the training part, None before. Training shifts each picture by up to
    `shift` pixels in both directions, black flowing in, and mirrors every other one where `flip` is set. Where
    `resized` is not 0, it cuts random boxes instead and resizes them to that side, as ImageNet is trained; then the
    middle of that side is evaluated, and the five likeliest classes count as well. `packed` is of sets that were packed
    (`padam.data.packing`): the SHA-256 of the pixels as they were packed, train's and val's; where they were packed
    whole, of the sides as well.
    """

    train: tuple[torch.Tensor | WholePictures, torch.Tensor]
    test: tuple[torch.Tensor | WholePictures, torch.Tensor]
    mean: torch.Tensor
    std: torch.Tensor
    valid: tuple[torch.Tensor | WholePictures, torch.Tensor] | None = None
    shift: int = 0
    flip: bool = False
    resized: int = 0
    packed: tuple[str, ...] = ()


class Text(NamedTuple):
    """Tokens as int64 vectors that index `vocabulary`, a tuple of words; sha256 is of the text they were made from.

    `first` is the token that is read before the first one of a text, None where there is no such token.
    """

    train: torch.Tensor
    valid: torch.Tensor
    test: torch.Tensor
    vocabulary: tuple[str, ...]
    sha256: str
    first: int | None = None


def load(name, root=None):
    """The data set called `name`.

    Args:
        name: "mnist5k": 5,000 real MNIST digits, 28x28, 4,000 to train and 1,000 to test; no download.
            "pydoc": the English of Python's own language reference, about 70,000 tokens; no download. It differs
            between versions of Python.
            "cifar10", "cifar100": 50,000 pictures of 32x32 to train and 10,000 to test, in official order, out of
            root/cifar-10-batches-py and root/cifar-100-python; `data_scripts/cifar.py` downloads them.
            "ptb": the Penn Treebank in Mikolov's preparation, 929,589 tokens to train, 73,760 to validate and 82,430 to
            test, 10,000 words, out of root/ptb; `data_scripts/ptb.py` downloads it.
            "imagenet", "imagenet-subset": pictures as `data_scripts/imagenet.py` packed them; the latter also out of a
            folder of JPEG files, root/imagenet-subset/{train,val}/CLASS, at 64 pixels.
        root: folder of the data sets that are downloaded; default the environment's PADAM_DATA, else "data".

    Returns `Images` or `Text`. Raises ValueError for an unknown name and for a file that is not the official one,
    FileNotFoundError for files that are not there, ModuleNotFoundError where the package of the digits is missing.
    """
    from padam.data import cifar, embedded, imagenet, ptb

    root = root or os.environ.get("PADAM_DATA") or "data"
    loaders = {"mnist5k": embedded.mnist5k, "pydoc": embedded.pydoc, "ptb": ptb.load}
    loaders |= dict.fromkeys(("cifar10", "cifar100"), lambda root: cifar.load(name, root))
    loaders |= dict.fromkeys(imagenet.NAMES, lambda root: imagenet.load(name, root))
    if name not in loaders:
        raise ValueError(f"no data set is called {name!r}; there are {', '.join(loaders)}.")
    return loaders[name](root)


def split(data, train_size=None, holdout=0):
    """The first `train_size` pictures or words to train on, and the next `holdout` pictures put aside as `valid`.

    Pictures with `resized` lie class after class, so of these the first are those of a shuffle, always the same one;
    where not all are trained on, the chosen ones are copied into memory, unless they were packed whole.

    Args:
        data: `Images` or `Text`.
        train_size: how many training pictures or words to keep; None keeps all but the last `holdout`.
        holdout: how many of the pictures that follow become `valid`; 0 leaves it None. A text has a `valid` of its own.

    Raises ValueError if there are not so many.
    """
    if isinstance(data, Text):
        if holdout or not 0 < (train_size or len(data.train)) <= len(data.train):
            raise ValueError(
                f"{train_size} words to train on and {holdout} to hold out were asked for, but there are "
                f"{len(data.train)}, and a text holds out a part of its own."
            )
        return data._replace(train=data.train[:train_size])
    images, labels = data.train
    there = len(labels)
    cut = there - holdout if train_size is None else train_size
    if not 0 < cut <= there - holdout or holdout < 0:
        raise ValueError(f"{cut} pictures to train on and {holdout} to hold out were asked for, but there are {there}.")
    if data.resized and cut < there:
        order = torch.randperm(there, generator=torch.Generator().manual_seed(0))
        train, valid = (some.sort().values for some in (order[:cut], order[cut : cut + holdout]))
    else:
        train, valid = slice(cut), slice(cut, cut + holdout)
    held_out = (images[valid], labels[valid]) if holdout else None
    return data._replace(train=(images[train], labels[train]), valid=held_out)
