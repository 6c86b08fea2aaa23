"""Which miniature of ImageNet has a gap: trained to its end, it is far better on what it has seen than on the rest."""

import torch

from padam import data as datasets
from padam import models, optim, recipes
from padam.studies.study import Study, columns, trained

_BATCH, _EPOCHS, _SEEN = 256, 40, 2_500  # _SEEN: training pictures that are looked at as test pictures are
_MILESTONES = (12, 24, 32)


def pictures(size, root=None):
    """50 classes at 64 pixels, `size` pictures to train on; `valid` are 2,500 of those very pictures."""
    data = datasets.split(datasets.load("imagenet-subset", root), size)
    few = torch.randperm(size, generator=torch.Generator().manual_seed(1))[:_SEEN].sort().values
    return data._replace(valid=tuple(part[few] for part in data.train))


def measure(setting, data, folder):
    """Train one narrow network with one optimizer, and what its errors are, by epoch.

    `train_error` is counted while training, on random boxes; `seen_error` after every epoch on 2,500 of the training
    pictures, each resized and cropped as test pictures are.
    """
    torch.manual_seed(setting["seed"])
    shown = pictures(setting["pictures"], data)
    model = models.build(setting["model"], 50, shown.resized)
    hyper = dict(recipes.get(f"imagenet/resnet18/{setting['optimizer']}", "small").hyper)
    optimizer = optim.build(setting["optimizer"], model.parameters(), **hyper)
    rows = trained(
        model, shown, optimizer, _observe, folder,
        epochs=_EPOCHS, batch_size=_BATCH, milestones=_MILESTONES, gamma=0.1, seed=setting["seed"],
    )  # fmt: skip
    return columns(rows) | {"parameters": sum(weights.numel() for weights in model.parameters())}


def _observe(trainer, row, before):
    keys = ("train_loss", "train_error", "test_error", "test_error_top5", "seconds")
    return {key: row[key] for key in keys} | {"seen_error": row["valid_error"]}


MINIATURE = Study(
    name="miniature",
    question="Which width and how many pictures make a miniature of ImageNet that has a gap?",
    fixed={
        "dataset": "imagenet-subset, 50 classes at 64 pixels", "batch_size": _BATCH, "epochs": _EPOCHS,
        "milestones": list(_MILESTONES), "settings": "the paper's for ImageNet",
        "seen_error": f"on {_SEEN:,} of the training pictures, treated as test pictures are",
    },
    settings=tuple(
        {"model": model, "pictures": size, "optimizer": name, "seed": 0}
        for model, size, name in (
            ("vgg16-w16", 5_000, "sgdm"), ("resnet18-w16", 5_000, "sgdm"), ("resnet18-w8", 10_000, "sgdm"),
            ("vgg16-w8", 10_000, "sgdm"), ("vgg16-w16", 10_000, "sgdm"), ("resnet18-w16", 5_000, "adam"),
            ("vgg16-w16", 5_000, "adam"), ("vgg16-w16", 10_000, "adam"),
        )
    ),
    measure=measure,
    minutes=140,
)  # fmt: skip
