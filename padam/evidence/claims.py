"""The paper's sentences about CIFAR, ImageNet and the Penn Treebank, as comparisons for `padam.evidence.verdicts`.

All of Section 5.1 but for what no record can show: that algorithms "start to behave differently", and that the "small
learning rate dilemma" is the cause. And some of what Sections 1, 3 and 5 say beyond it. `…` and brackets mark what a
quotation leaves out and adds. The paper's "train loss" and "convergence" are read as training error, for some sources
have a penalty in their losses. To judge: `claim(runs)`, or `verdicts.summary`.
"""

from padam import recipes
from padam.evidence.metrics import (
    between,
    converging,
    early_loss,
    early_test,
    early_train,
    end_loss,
    first_gain,
    last,
    last_top5,
    second_gain,
    second_points,
)
from padam.evidence.verdicts import IMAGES, Claim, Less, Wider

CELLS = ("cifar10/vgg16", "cifar10/resnet18", "cifar10/wrn16-4")  # of Table 1
IMAGENET = ("imagenet",)
LARGE = ("imagenet/resnet18", "imagenet/vgg16")  # of Table 2
TEXTS, LAYERS = ("ptb/lstm2", "ptb/lstm3"), ("lstm2", "lstm3")  # of Table 3
SEVEN = ("sgdm", "adam", "amsgrad", "adamw", "yogi", "adabound", "padam")
FULLY, NEWER = ("adam", "amsgrad"), ("adamw", "yogi", "adabound")
QUICK = ("adam", "amsgrad", "adamw")  # on texts
PAR = 0.2  # the paper: "differences less than 0.2%"
BIG = 1.0  # points that make a "big" gap: chosen here


def _all(metric, these, those, limit=0.0):
    return tuple(Less(metric, one, other, limit) for one in these for other in those if one != other)


_DIAL = recipes.DIAL[::-1]  # p = 1/16, 1/8, 1/5, 1/4, 2/5
_PAIRS = tuple((low, high) for at, low in enumerate(_DIAL) for high in _DIAL[at + 1 :])

CLAIMS = (
    Claim(
        "early train",
        "5.1",
        "at the early stage of the training process, (partially) adaptive gradient methods "
        "including Padam, make rapid progress lowering … the train loss …, while SGD with momentum converges "
        "relatively slowly",
        "training error, mean over the first half of the epochs before the first decay: each below SGD-momentum's",
        _all(early_train, SEVEN[1:], ["sgdm"]),
        datasets=IMAGES,
    ),
    Claim(
        "early test",
        "5.1",
        "[the same of] the test error",
        "test error, mean over the same epochs: each below SGD-momentum's",
        _all(early_test, SEVEN[1:], ["sgdm"]),
        datasets=IMAGES,
    ),
    Claim(
        "huge drop",
        "5.1",
        "After the first learning rate decaying … SGD with momentum makes a huge drop",
        "the decay brings it more points of test error than it brings Adam and Amsgrad",
        _all(first_gain, ["sgdm"], FULLY),
        datasets=IMAGES,
    ),
    Claim(
        "start to generalize badly",
        "5.1",
        "while fully adaptive gradient methods (Adam and Amsgrad) start to generalize badly",
        "test error, mean between the decays: both above SGD-momentum's",
        _all(between, ["sgdm"], FULLY),
        datasets=IMAGES,
    ),
    Claim(
        "relatively good",
        "5.1",
        "Padam, on the other hand, maintains relatively good generalization performance",
        "test error, mean between the decays: below Adam's and Amsgrad's",
        _all(between, ["padam"], FULLY),
        datasets=IMAGES,
    ),
    Claim(
        "holds the lead",
        "5.1",
        "and also holds the lead over other algorithms",
        "test error, mean between the decays: below every other's",
        _all(between, ["padam"], SEVEN),
        datasets=IMAGES,
    ),
    Claim(
        "lose all the power",
        "5.1",
        "After the second decaying … Adam and Amsgrad basically lose all the power of "
        "traversing through the parameter space",
        f"the decay brings each of them less than {PAR} points of test error, and less than it brings SGD-momentum",
        _all(second_gain, ["sgdm"], FULLY) + tuple(Less(second_points, name, None, PAR) for name in FULLY),
        datasets=IMAGES,
    ),
    Claim(
        "catches up",
        "5.1",
        "while the performance of SGD with momentum finally catches up with Padam",
        f"last epoch: SGD-momentum less than {PAR} points behind",
        _all(last, ["sgdm"], ["padam"], PAR),
        final=True,
        datasets=IMAGES,
    ),
    Claim(
        "improve on Adam",
        "5.1",
        "AdamW, Yogi and AdaBound indeed improve the performance compared with original Adam",
        "last epoch: each below Adam",
        _all(last, NEWER, ["adam"]),
        final=True,
    ),
    Claim(
        "worse than Padam",
        "5.1",
        "but the performance is still worse than Padam",
        "last epoch: each above Padam",
        _all(last, ["padam"], NEWER),
        final=True,
        datasets=IMAGES,
    ),
    Claim(
        "faster",
        "5.1",
        "it maintains faster convergence rate",
        "training error, mean over all epochs before the first decay: Padam's below SGD-momentum's",
        _all(converging, ["padam"], ["sgdm"]),
    ),
    Claim(
        "as well as SGD-momentum",
        "5.1",
        "while also generalizing as well as SGD with momentum in the end",
        f"last epoch: Padam less than {PAR} points behind",
        _all(last, ["padam"], ["sgdm"], PAR),
        final=True,
    ),
    Claim(
        "lowest accuracy",
        "5.1",
        "methods such as Adam and Amsgrad have the lowest test accuracy",
        "last epoch: both above every other",
        _all(last, ("sgdm", *NEWER, "padam"), FULLY),
        final=True,
        datasets=IMAGES,
    ),
    Claim(
        "barely match",
        "5.1",
        "[AdamW, Yogi, AdaBound] still fall behind or barely match the performance of SGD with momentum",
        f"last epoch: none is {PAR} points or more ahead of it",
        _all(last, ["sgdm"], NEWER, PAR),
        final=True,
    ),
    Claim(
        "highest accuracy",
        "5.1",
        "Padam achieves the highest test accuracy for VGGNet and WideResNet",
        "last epoch: below every other",
        _all(last, ["padam"], SEVEN),
        final=True,
        models=("vgg", "wrn"),
        datasets=("cifar10",),
    ),
    Claim(
        "on a par",
        "5.1",
        "For training ResNet … Padam is also on a par with SGD with momentum at the final epoch "
        "(differences less than 0.2%)",
        f"last epoch: less than {PAR} points apart",
        _all(last, ["padam"], ["sgdm"], PAR) + _all(last, ["sgdm"], ["padam"], PAR),
        final=True,
        models=("resnet",),
        datasets=("cifar10",),
    ),
    Claim(
        "Adam behind SGD-momentum",
        "1",
        "training with Adam or its variants typically generalizes worse than SGD with momentum",
        "last epoch, on every network: Adam and Amsgrad above SGD-momentum",
        _all(last, ["sgdm"], FULLY),
        final=True,
        datasets=IMAGES,
    ),
    Claim(
        "ahead of Adam and Amsgrad",
        "5",
        "much better than existing adaptive gradient methods such as Adam and Amsgrad",
        "last epoch: Padam below both, by however much",
        _all(last, ["padam"], FULLY),
        final=True,
        datasets=IMAGES,
    ),
    Claim(
        "fastest",
        "1",
        "Padam achieves the fastest convergence speed",
        "training error, mean over all epochs before the first decay: below every other's",
        _all(converging, ["padam"], SEVEN),
    ),
    Claim(
        "larger p is faster",
        "3",
        "a larger p will lead to fast convergence at early stages",
        "test error, mean over the first half of the epochs before the first decay: below that of every smaller p",
        tuple(Less(early_test, high, low) for low, high in _PAIRS),
        models=("resnet",),
        figure1=True,
    ),
    Claim(
        "larger p is worse",
        "3",
        "and worse generalization performance later",
        "last epoch: above that of every smaller p, from p = 1/8 on, which the paper calls the best",
        tuple(Less(last, low, high) for low, high in _PAIRS if low != _DIAL[0]),
        models=("resnet",),
        figure1=True,
    ),
    Claim(
        "p = 1/8",
        "3",
        "With a proper choice of p (e.g., 1/8 in this case), Padam can obtain the best of both worlds",
        f"p = 1/8 is ahead of 1/16 early, as above, and in the last epoch less than {PAR} points behind every other p",
        (
            Less(early_test, "padam", _DIAL[0]),
            *(Less(last, "padam", other, PAR) for other in _DIAL if other != "padam"),
        ),
        models=("resnet",),
        figure1=True,
    ),
    Claim(
        "fastest again",
        "5.1",
        "Padam method again obtains the best from both worlds by achieving the fastest convergence",
        "training error, mean over all epochs before the first decay: below every other's",
        _all(converging, ["padam"], SEVEN),
        datasets=IMAGENET,
    ),
    Claim(
        "as well as SGD-momentum again",
        "5.1",
        "while generalizing as well as SGD with momentum",
        f"last epoch, top-1: Padam less than {PAR} points behind",
        _all(last, ["padam"], ["sgdm"], PAR),
        final=True,
        datasets=IMAGENET,
    ),
    Claim(
        "better than Adam",
        "5.1",
        "AdamW, Yogi and AdaBound have better performance than standard Adam",
        "last epoch, top-1: each below Adam",
        _all(last, NEWER, ["adam"]),
        final=True,
        datasets=IMAGENET,
    ),
    Claim(
        "big gap",
        "5.1",
        "they still suffer from a big generalization gap on the ImageNet dataset",
        f"last epoch, top-1: each {BIG:g} point or more behind SGD-momentum (how big is big: chosen here)",
        _all(last, ["sgdm"], NEWER, -BIG),
        final=True,
        datasets=IMAGENET,
    ),
    Claim(
        "best VGGNet",
        "5.1",
        "Padam achieves the best test accuracy for VGGNet (both Top-1 and Top-5)",
        "last epoch: both errors below every other's",
        _all(last, ["padam"], SEVEN) + _all(last_top5, ["padam"], SEVEN),
        final=True,
        datasets=IMAGENET,
        models=("vgg",),
    ),
    Claim(
        "best Top-1 of ResNet",
        "5.1",
        "[Padam achieves the best] Top-1 accuracy for ResNet",
        "last epoch: below every other's",
        _all(last, ["padam"], SEVEN),
        final=True,
        datasets=IMAGENET,
        models=("resnet",),
    ),
    Claim(
        "very close",
        "5.1",
        "It stays very close to the best baseline of Top-1 accuracy for the ResNet model",
        f"last epoch: less than {PAR} points behind every other",
        _all(last, ["padam"], SEVEN, PAR),
        final=True,
        datasets=IMAGENET,
        models=("resnet",),
    ),
    Claim(
        "faster on text",
        "5.1",
        "Adam, Amsgrad and AdamW have faster convergence in the early stages",
        "test loss, mean over the first half of the epochs before the first decay: these three below all others",
        _all(early_loss, QUICK, [name for name in SEVEN if name not in QUICK]),
        datasets=("ptb",),
        models=LAYERS,
    ),
    Wider(
        "quite different",
        "5.1",
        "the differences on simpler 2-layer LSTM model is not very obvious but on more "
        "complicated 3-layer LSTM model, different algorithms have quite different optimizing behaviors",
        "last epoch: the highest perplexity is more times the lowest with 3 layers than with 2",
        (),
        final=True,
        datasets=("ptb",),
        optimizers=SEVEN,
        metric=end_loss,
        narrow="ptb/lstm2",
        wide="ptb/lstm3",
    ),
    Claim(
        "best perplexity",
        "5.1",
        "Padam achieves the best final test perplexity on this language modeling task for both of our experiments",
        "last epoch: perplexity below every other's",
        _all(end_loss, ["padam"], SEVEN),
        final=True,
        datasets=("ptb",),
        models=LAYERS,
    ),
    Claim(
        "Adam behind SGD-momentum on text",
        "1",
        "training with Adam or its variants typically generalizes worse than SGD with momentum",
        "last epoch: perplexities of Adam and Amsgrad above SGD-momentum's",
        _all(end_loss, ["sgdm"], FULLY),
        final=True,
        datasets=("ptb",),
        models=LAYERS,
    ),
    Claim(
        "ahead of Adam and Amsgrad on text",
        "5",
        "much better than existing adaptive gradient methods such as Adam and Amsgrad",
        "last epoch: Padam's perplexity below both, by however much",
        _all(end_loss, ["padam"], FULLY),
        final=True,
        datasets=("ptb",),
        models=LAYERS,
    ),
)
