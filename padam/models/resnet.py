"""Residual networks of basic blocks for small pictures: ResNet-18, and WRN-16-4 as the Padam authors have it."""

import math

from torch import nn
from torch.nn.functional import conv2d, relu


def _convolution(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


class Pointwise(nn.Conv2d):
    """A 1x1 convolution that leaves pixels out itself where it has a stride.

    For under 8 channels: there torch 2.15's own writes past the end of its memory in the backward pass, on CPUs
    without AVX-512, if the pictures are channels_last.
    """

    def forward(self, x):
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        return conv2d(x[:, :, :: self.stride[0], :: self.stride[1]], self.weight, self.bias)


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the input, ReLU after the sum (post-activation)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = _convolution(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = _convolution(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            convolution = Pointwise if inputs < 8 else nn.Conv2d
            self.shortcut = nn.Sequential(
                convolution(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        y = relu(self.bn1(self.conv1(x)), inplace=True)
        return relu(self.bn2(self.conv2(y)).add_(self.shortcut(x)), inplace=True)


class ResNet(nn.Module):
    """A 3x3 stem without pooling, stages of two blocks that halve the picture and double the width, a linear layer.

    With four stages and width 64 it is the ResNet-18 of the authors' code. torchvision's has the stem for 224 pixels,
    7x7 with stride 2 and a maximum after it, and draws the weights otherwise; here they start as torch's layers
    start them. With three stages it is their WRN-16-4: sixteen layers, four times as wide as the CIFAR ResNets of
    He et al. (64, 128, 256 channels), where the paper of Zagoruyko and Komodakis keeps a stem of 16 and activates
    before the convolutions; its weights are drawn with `fan_out`.

    Args:
        classes: how many classes it tells apart.
        width: channels of the stem and the first stage.
        stages: 4 for ResNet-18, 3 for WRN-16-4.
        fan_out: draw the convolutions' weights from N(0, 2 / (kernel area * output channels)).
        stride: of the stem; 2 for pictures of up to 64 pixels.
    """

    def __init__(self, classes=10, width=64, stages=4, fan_out=False, stride=1):
        super().__init__()
        self.stem, self.norm = _convolution(3, width, stride), nn.BatchNorm2d(width)
        blocks, channels = [], width
        for stage in range(stages):
            outputs = width << stage
            blocks += [Block(channels, outputs, 1 + (stage > 0)), Block(outputs, outputs, 1)]
            channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)
        for layer in self.modules() if fan_out else ():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=math.sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels)))

    def forward(self, images):
        """Pictures (N, 3, H, W) -> logits (N, classes)."""
        x = relu(self.norm(self.stem(images)), inplace=True)
        return self.classifier(self.pool(self.blocks(x)).flatten(1))
