"""A network for pictures as a list of its layers, read off while it runs."""

from typing import NamedTuple

import torch
from torch import nn


class Layer(NamedTuple):
    """A convolution or matrix with its batch norm: kind is "convolution", "shortcut" (of a residual block) or "linear".

    channels and size (pixels) are of what comes out; parameters count weights, biases and the batch norm's.
    """

    name: str
    kind: str
    channels: int
    size: int
    parameters: int


def layers(model, size=32):
    """[Layer, ...] of a network for pictures, in the order of computation.

    Args:
        model: a torch.nn.Module, as `padam.models.build` returns it; it is left as it was.
        size: height and width of the pictures that pass through.
    """
    names, layers = {module: name for name, module in model.named_modules()}, []

    def _seen(module, inputs, output):
        count = sum(weights.numel() for weights in module.parameters())
        if isinstance(module, nn.BatchNorm2d):
            layers[-1] = layers[-1]._replace(parameters=layers[-1].parameters + count)
            return
        kind = "linear" if isinstance(module, nn.Linear) else "convolution"
        shortcut = any(name in names[module] for name in (".shortcut", ".downsample"))  # ours, torchvision's
        kind = "shortcut" if shortcut else kind
        side = output.shape[-1] if output.dim() == 4 else 1
        layers.append(Layer(names[module], kind, output.shape[1], side, count))

    leaves = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    hooks = [module.register_forward_hook(_seen) for module in leaves]
    training = model.training
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, size, size))
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return layers
