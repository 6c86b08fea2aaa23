"""The paper's own numbers: Tables 1, 2 and 3 of Chen et al. (2020), as printed. Facts with their source, never mixed
with what we measured.
"""

_ORDER = ("sgdm", "adam", "amsgrad", "adamw", "yogi", "adabound", "padam")  # the tables' columns

# Test accuracy (%) after 200 epochs on CIFAR-10; the cell's id is `padam.recipes`'.
TABLE1 = {
    "cifar10/vgg16": (93.71, 92.21, 92.54, 93.54, 92.94, 93.28, 93.78),
    "cifar10/resnet18": (95.00, 92.89, 93.53, 94.56, 93.92, 94.16, 94.94),
    "cifar10/wrn16-4": (95.26, 92.27, 92.91, 95.08, 94.23, 93.85, 95.34),
}
# Test accuracy (%) after 100 epochs on ImageNet, Top-1 and Top-5.
TABLE2_TOP1 = {
    "imagenet/resnet18": (70.23, 63.79, 67.69, 67.93, 68.23, 68.13, 70.07),
    "imagenet/vgg16": (73.93, 69.52, 69.61, 69.89, 71.56, 70.00, 74.04),
}
TABLE2_TOP5 = {
    "imagenet/resnet18": (89.40, 85.61, 88.15, 88.47, 88.59, 88.55, 89.47),
    "imagenet/vgg16": (91.82, 89.12, 89.19, 89.35, 90.25, 89.27, 91.93),
}
# Test perplexity after 200 epochs on the Penn Treebank.
TABLE3 = {
    "ptb/lstm2": (63.37, 61.58, 62.56, 63.93, 64.13, 63.14, 61.53),
    "ptb/lstm3": (61.22, 60.44, 61.92, 63.24, 60.01, 60.89, 58.48),
}
TABLE1, TABLE2_TOP1, TABLE2_TOP5, TABLE3 = (
    {row: dict(zip(_ORDER, values, strict=True)) for row, values in table.items()}
    for table in (TABLE1, TABLE2_TOP1, TABLE2_TOP5, TABLE3)
)


def error(accuracy):
    """Percent wrong from percent right, with the two decimals of the tables."""
    return round(100 - accuracy, 2)
