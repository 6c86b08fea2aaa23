"""Networks by name."""

import re

import torch


def build(model, classes=10, size=32, *, seed=None):
    """A freshly initialised network.

    Args:
        model: "convnet" (three convolutions) or "convnet-bn" (the same with batch norm); "-wN" sets the base
            width, as in "convnet-w8".
        classes: how many classes it tells apart; default 10.
        size: height and width of its pictures in pixels; default 32. "convnet" takes any.
        seed: seed of the initial weights; None draws them from torch's global generator. The global generator
            is left as it was if a seed is given.

    Returns a torch.nn.Module that maps float (N, 3, size, size) to logits (N, classes). Raises ValueError for an
    unknown name.
    """
    from padam.models.convnet import ConvNet

    parsed = re.fullmatch(r"convnet(?P<norm>-bn)?(?:-w(?P<width>[1-9]\d*))?", model)
    if parsed is None:
        raise ValueError(
            f"no network is called {model!r}; there are convnet and convnet-bn, with -wN for base width N."
        )
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return ConvNet(classes, width=int(parsed["width"] or 16), batch_norm=bool(parsed["norm"]))
