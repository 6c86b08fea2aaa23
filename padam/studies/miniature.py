"""Which miniature of ImageNet has a gap: trained to its end, it is far better on what it has seen than on the rest."""

import torch

from padam import data as datasets
from padam import models, optim, recipes
from padam.studies.study import Study, columns, trained

_SEEN = 1_000  # training pictures that are looked at as test pictures are


def pictures(size, root=None):
    """50 classes at 64 pixels, `size` pictures to train on; `valid` are 1,000 of those very pictures."""
    data = datasets.split(datasets.load("imagenet-subset", root), size)
    few = torch.randperm(size, generator=torch.Generator().manual_seed(1))[:_SEEN].sort().values
    return data._replace(valid=tuple(part[few] for part in data.train))


def milestones(epochs):
    """The paper's decays on ImageNet, after 30, 60 and 80 of 100 epochs, in proportion."""
    full = recipes.get("imagenet/resnet18/sgdm", "full")
    return tuple(round(epoch * epochs / full.epochs) for epoch in full.milestones)


def measure(setting, data, run):
    """Train one narrow network with one optimizer, and what its errors are, by epoch.

    `train_error` is counted while training, on random boxes; `seen_error` after every epoch on 1,000 of the training
    pictures, each resized and cropped as test pictures are.
    """
    torch.manual_seed(setting["seed"])
    shown = pictures(setting["pictures"], data)
    model = models.build(setting["model"], 50, shown.resized)
    hyper = dict(recipes.get(f"imagenet/resnet18/{setting['optimizer']}", "full").hyper)
    optimizer = optim.build(setting["optimizer"], model.parameters(), **hyper)
    epochs = setting["epochs"]
    rows = trained(
        model,
        shown,
        optimizer,
        _observe,
        run,
        epochs=epochs,
        batch_size=setting["batch_size"],
        milestones=milestones(epochs),
        gamma=0.1,
        seed=setting["seed"],
    )
    return columns(rows) | {"parameters": sum(weights.numel() for weights in model.parameters())}


def _observe(trainer, row, before):
    keys = ("train_loss", "train_error", "test_error", "test_error_top5", "seconds")
    return {key: row[key] for key in keys} | {"seen_error": row["valid_error"]}


MINIATURE = Study(
    name="miniature",
    question="Which width, how many pictures and which batches make a miniature of ImageNet that has a gap?",
    fixed={
        "dataset": "imagenet-subset, 50 classes at 64 pixels",
        "milestones": "the paper's, in proportion",
        "settings": "the paper's for ImageNet",
        "seen_error": f"on {_SEEN:,} of the training pictures, treated as test pictures are",
    },
    settings=tuple(
        {"model": model, "pictures": size, "epochs": epochs, "batch_size": batch, "optimizer": name, "seed": 0}
        for model, size, epochs, batch, name in (
            ("resnet18-w8", 5_000, 80, 64, "sgdm"),
            ("vgg16-w8", 5_000, 80, 64, "sgdm"),
            ("resnet18-w8", 5_000, 80, 64, "adam"),
            ("resnet18-w8", 5_000, 80, 64, "padam"),
            ("resnet18-w8", 5_000, 80, 256, "sgdm"),
            ("resnet18-w8", 25_000, 16, 64, "sgdm"),
            ("resnet18-w8", 2_500, 160, 64, "sgdm"),
            ("resnet18-w16", 5_000, 40, 64, "sgdm"),
        )
    ),
    measure=measure,
    minutes=110,
)
