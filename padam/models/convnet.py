"""A network small enough to train on two cores while a reader waits."""

from torch import nn


class ConvNet(nn.Sequential):
    """Three 3x3 convolutions of width, 2 width and 4 width, stride 2, then mean and one linear layer.

    Without batch norm (the default) it shows where a learning rate is too large; with it, nearly nothing
    diverges.
    """

    def __init__(self, classes=10, width=16, batch_norm=False):
        layers, channels = [], 3
        for factor in (1, 2, 4):
            layers.append(nn.Conv2d(channels, width * factor, 3, stride=2, padding=1, bias=not batch_norm))
            channels = width * factor
            layers += [nn.BatchNorm2d(channels)] if batch_norm else []
            layers.append(nn.ReLU())
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
