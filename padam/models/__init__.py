"""Networks by name."""

import re

import torch

from padam.models.layers import Layer, layers
from padam.models.lstm import LSTM, Activity, Bigram, Regularisation, activity
from padam.models.sample import sample

__all__ = ["Activity", "Layer", "Regularisation", "activity", "build", "layers", "sample"]

_LSTM_HIDDEN, _LSTM_EMBEDDING = 1150, 400
_IMAGES = re.compile(r"(?P<kind>vgg16|resnet18|wrn16-4|convnet(?:-bn)?)(?:-w(?P<width>[1-9]\d*))?")
_LARGE = {"resnet18": "resnet18", "vgg16": "vgg16_bn"}  # for 224 pixels, by torchvision's names
_TEXT = re.compile(r"(?:bigram|lstm(?P<layers>[1-9])(?:-h(?P<hidden>[1-9]\d*))?)")


def build(model, classes=10, size=32, *, vocabulary=None, regularisation=None, seed=None):
    """A freshly initialised network.

    Args:
        model: "vgg16", "resnet18", "wrn16-4" (the networks of the Padam authors' code, base width 64), "convnet" (three
            convolutions, base width 16) or "convnet-bn" (the same with batch norm); "-wN" sets the base width, as in
            "vgg16-w16". "bigram" (the next word from the last). "lstm2", "lstm3": so many layers of 1150 hidden units
            over 400-dimensional embeddings; "-hN" sets N hidden units, and embeddings in proportion.
        classes: how many classes a network for pictures tells apart; default 10.
        size: height and width of its pictures in pixels, 17 to 64 or 224; default 32; "convnet" takes any. Of more than
            32 the first convolution takes every second pixel (stride 2), so that from there on the network is, map for
            map, the one for pictures of half that size: the same parameters, and the cost of CIFAR's, where a first
            convolution at every pixel would cost four times as much. For 224 "resnet18" and "vgg16" are torchvision's
            own, the latter with batch norm and dropout (11,689,512 and 138,365,992 parameters for 1000 classes), their
            first weights drawn as torchvision draws them; base width 64 only.
        vocabulary: how many words a network for text knows; required for those.
        regularisation: `Regularisation` of an LSTM in training; default none of it.
        seed: seed of the initial weights; None draws them from torch's global generator. The global generator
            is left as it was if a seed is given.

    Returns a torch.nn.Module: float (N, 3, size, size) -> logits (N, classes), or tokens (T, N) and a state (None at
    first) -> logits (T, N, vocabulary) and the next state. Raises ValueError for an unknown name, a size that the
    network is not made for or a text network without a vocabulary, and ModuleNotFoundError for 224 pixels where
    torchvision is missing.
    """
    image, text = _IMAGES.fullmatch(model), _TEXT.fullmatch(model)
    if image is None and text is None:
        raise ValueError(
            f"no network is called {model!r}; there are vgg16, resnet18, wrn16-4, convnet and convnet-bn (-wN for base "
            f"width N), bigram, and lstm2 and lstm3 (-hN for N hidden units)."
        )
    if text and vocabulary is None:
        raise ValueError(f"{model} is a network for text, so vocabulary= must say how many words it knows.")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return _image(image, classes, size) if image else _text(text, vocabulary, regularisation)


def _image(match, classes, size):
    kind, width = match["kind"], match["width"]
    if kind.startswith("convnet"):
        from padam.models.convnet import ConvNet

        return ConvNet(classes, width=int(width or 16), batch_norm=kind.endswith("-bn"))
    if size == 224 and match[0] in _LARGE:
        return _torchvision(_LARGE[kind], classes)
    if not 17 <= size <= 64:
        raise ValueError(
            f"{match[0]} is made for pictures of 32 pixels (17 at least, 64 at most), not of {size}; of 224 there are "
            f"{' and '.join(_LARGE)}, without -wN."
        )
    width, stride = int(width or 64), 1 if size <= 32 else 2
    if kind == "vgg16":
        from padam.models.vgg import VGG

        return VGG(classes, width, stride)
    from padam.models.resnet import ResNet

    stages, fan_out = (4, False) if kind == "resnet18" else (3, True)
    return ResNet(classes, width, stages, fan_out, stride)


def _torchvision(name, classes):
    try:
        from torchvision import models
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the networks for pictures of 224 pixels are torchvision's, and {error.name} is not installed here. "
            f"Install it: pip install torchvision",
            name=error.name,
        ) from error
    network = getattr(models, name)(weights=None, num_classes=classes)
    if name.startswith("vgg"):
        # It averages what it has to 7 by 7, which five halvings of 224 are already. Such an average of one number each
        # changes no bit, but its backward pass on CUDA is one of those without a deterministic form.
        network.avgpool = torch.nn.Identity()
    return network


def _text(match, vocabulary, regularisation):
    if match["layers"] is None:
        return Bigram(vocabulary)
    hidden = int(match["hidden"] or _LSTM_HIDDEN)
    embedding = max(1, round(hidden * _LSTM_EMBEDDING / _LSTM_HIDDEN))
    return LSTM(vocabulary, embedding, hidden, int(match["layers"]), regularisation)
