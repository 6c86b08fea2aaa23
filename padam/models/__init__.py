"""Networks by name."""

import re

import torch

from padam.models.lstm import LSTM, Activity, Bigram, Regularisation, activity
from padam.models.outline import Layer, outline
from padam.models.sample import sample

__all__ = ["Activity", "Layer", "Regularisation", "activity", "build", "outline", "sample"]

_LSTM_HIDDEN, _LSTM_EMBEDDING = 1150, 400
_IMAGES = re.compile(r"(?P<kind>vgg16|resnet18|wrn16-4|convnet(?:-bn)?)(?:-w(?P<width>[1-9]\d*))?")
_TEXT = re.compile(r"(?:bigram|lstm(?P<layers>[1-9])(?:-h(?P<hidden>[1-9]\d*))?)")


def build(model, classes=10, size=32, *, vocabulary=None, regularisation=None, seed=None):
    """A freshly initialised network.

    Args:
        model: "vgg16", "resnet18", "wrn16-4" (the networks of the Padam authors' code, base width 64), "convnet" (three
            convolutions, base width 16) or "convnet-bn" (the same with batch norm); "-wN" sets the base width, as in
            "vgg16-w16". "bigram" (the next word from the last). "lstm2", "lstm3": so many layers of 1150 hidden units
            over 400-dimensional embeddings; "-hN" sets N hidden units, and embeddings in proportion.
        classes: how many classes a network for pictures tells apart; default 10.
        size: height and width of its pictures in pixels, at most 32, which is the default; "convnet" takes any.
        vocabulary: how many words a network for text knows; required for those.
        regularisation: `Regularisation` of an LSTM in training; default none of it.
        seed: seed of the initial weights; None draws them from torch's global generator. The global generator
            is left as it was if a seed is given.

    Returns a torch.nn.Module: float (N, 3, size, size) -> logits (N, classes), or tokens (T, N) and a state (None at
    first) -> logits (T, N, vocabulary) and the next state. Raises ValueError for an unknown name, a size that the
    network is not made for or a text network without a vocabulary.
    """
    image, text = _IMAGES.fullmatch(model), _TEXT.fullmatch(model)
    if image is None and text is None:
        raise ValueError(
            f"no network is called {model!r}; there are vgg16, resnet18, wrn16-4, convnet and convnet-bn (-wN for base "
            f"width N), bigram, and lstm2 and lstm3 (-hN for N hidden units)."
        )
    if text and vocabulary is None:
        raise ValueError(f"{model} is a network for text, so vocabulary= must say how many words it knows.")
    if image and not image["kind"].startswith("convnet") and not 17 <= size <= 32:
        raise ValueError(
            f"{model} is made for pictures of 32 pixels (17 at least), not of {size}; networks for "
            "larger ones are not built yet."
        )
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return _image(image["kind"], image["width"], classes) if image else _text(text, vocabulary, regularisation)


def _image(kind, width, classes):
    if kind.startswith("convnet"):
        from padam.models.convnet import ConvNet

        return ConvNet(classes, width=int(width or 16), batch_norm=kind.endswith("-bn"))
    width = int(width or 64)
    if kind == "vgg16":
        from padam.models.vgg import VGG

        return VGG(classes, width)
    from padam.models.resnet import ResNet

    return ResNet(classes, width) if kind == "resnet18" else ResNet(classes, width, stages=3, fan_out=True)


def _text(match, vocabulary, regularisation):
    if match["layers"] is None:
        return Bigram(vocabulary)
    hidden = int(match["hidden"] or _LSTM_HIDDEN)
    embedding = max(1, round(hidden * _LSTM_EMBEDDING / _LSTM_HIDDEN))
    return LSTM(vocabulary, embedding, hidden, int(match["layers"]), regularisation)
