"""VGG-16 with batch norm for small pictures, as the Padam authors' code has it."""

from torch import nn

_STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))  # convolutions, and their width in base widths


class VGG(nn.Module):
    """Thirteen 3x3 convolutions with bias, each followed by batch norm and ReLU; a maximum over 2x2 after each stage.

    One linear layer classifies, without dropout: torchvision's VGG has three, made for 224 pixels, and dropout. The
    weights start as torch's layers start them, as in the authors' code; torchvision draws them otherwise. Pictures of
    less than 32 pixels are rounded up at each maximum, so that digits of 28 pass too; those of up to 64 are halved by
    the first convolution, with a `stride` of 2.
    """

    def __init__(self, classes=10, width=64, stride=1):
        super().__init__()
        layers, channels = [], 3
        for count, factor in _STAGES:
            for _ in range(count):
                layers += [
                    nn.Conv2d(channels, width * factor, 3, stride=stride, padding=1),
                    nn.BatchNorm2d(width * factor),
                    nn.ReLU(inplace=True),
                ]
                channels, stride = width * factor, 1
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)

    def forward(self, images):
        """Pictures (N, 3, H, W) -> logits (N, classes)."""
        return self.classifier(self.features(images).flatten(1))
