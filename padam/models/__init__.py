"""Networks by name."""

import re

import torch

_LSTM_HIDDEN, _LSTM_EMBEDDING = 1150, 400


def build(model, classes=10, size=32, *, vocabulary=None, seed=None):
    """A freshly initialised network.

    Args:
        model: "convnet" (three convolutions) or "convnet-bn" (the same with batch norm), "-wN" sets the base
            width, as in "convnet-w8". "bigram" (the next word from the last). "lstm2", "lstm3": so many layers
            of 1150 hidden units over 400-dimensional embeddings; "-hN" sets N hidden units, and embeddings in
            proportion.
        classes: how many classes a network for pictures tells apart; default 10.
        size: height and width of its pictures in pixels; default 32. "convnet" takes any.
        vocabulary: how many words a network for text knows; required for those.
        seed: seed of the initial weights; None draws them from torch's global generator. The global generator
            is left as it was if a seed is given.

    Returns a torch.nn.Module: float (N, 3, size, size) -> logits (N, classes), or tokens (T, N) and a state (None at
    first) -> logits (T, N, vocabulary) and the next state. Raises ValueError for an unknown name or a text network
    without a vocabulary.
    """
    image = re.fullmatch(r"convnet(?P<norm>-bn)?(?:-w(?P<width>[1-9]\d*))?", model)
    text = re.fullmatch(r"(?:bigram|lstm(?P<layers>[1-9])(?:-h(?P<hidden>[1-9]\d*))?)", model)
    if image is None and text is None:
        raise ValueError(
            f"no network is called {model!r}; there are convnet and convnet-bn (-wN for base width N), bigram, and "
            f"lstm2 and lstm3 (-hN for N hidden units)."
        )
    if text and vocabulary is None:
        raise ValueError(f"{model} is a network for text, so vocabulary= must say how many words it knows.")
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        if image:
            from padam.models.convnet import ConvNet

            return ConvNet(classes, width=int(image["width"] or 16), batch_norm=bool(image["norm"]))
        from padam.models.lstm import LSTM, Bigram

        if text["layers"] is None:
            return Bigram(vocabulary)
        hidden = int(text["hidden"] or _LSTM_HIDDEN)
        embedding = max(1, round(hidden * _LSTM_EMBEDDING / _LSTM_HIDDEN))
        return LSTM(vocabulary, embedding, hidden, int(text["layers"]))
