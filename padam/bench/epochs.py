"""The time of an epoch: our loop against the one that most code has, the same network, optimizer and data in both."""

import os
import statistics

import torch
from torch.nn.functional import cross_entropy

from padam import data as datasets
from padam.bench.fair import in_turn, provenance, spread
from padam.training import precision as formats
from padam.training.device import flushed_denormals, large_blocks_stay, on_card, own_generators
from padam.training.engine import Trainer
from padam.training.run import build


class Plain(torch.utils.data.Dataset):
    """A data set as most code has it: PIL pictures through torchvision's transforms, one at a time."""

    def __init__(self, data):
        from PIL import Image
        from torchvision import transforms

        self.pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in data.train[0]]
        self.labels = data.train[1]
        random = [transforms.RandomCrop(data.train[0].shape[-1], padding=data.shift)] if data.shift else []
        random += [transforms.RandomHorizontalFlip()] if data.flip else []
        normalise = [transforms.ToTensor(), transforms.Normalize(data.mean.tolist(), data.std.tolist())]
        self.transform = transforms.Compose(random + normalise)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.transform(self.pictures[index]), self.labels[index]


def _plain_epoch(model, optimizer, loader, device, precision, scaler):
    """One epoch of the loop that most code has; the mean loss."""
    model.train()
    total = torch.zeros((), device=device)
    for images, labels in loader:
        images = images.to(device, non_blocking=True, memory_format=torch.channels_last)
        labels = labels.to(device, non_blocking=True)
        optimizer.zero_grad()
        with formats.autocast(precision, device):
            loss = cross_entropy(model(images), labels)
        if scaler is None:
            loss.backward()
            optimizer.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        total += loss.detach() * len(labels)
    return total.item() / len(loader.dataset)


def train(
    recipe,
    *,
    data=None,
    device=None,
    precision="auto",
    threads=None,
    rounds=5,
    examples=None,
    workers=None,
    say=lambda line: None,
):
    """Seconds that an epoch of training takes in our loop and in a plain one; returns a record.

    The plain loop is a DataLoader over torchvision's transforms, once without workers and once with `workers` of them
    (pinned memory and workers kept between epochs, channels_last, the same precision and allocator settings); what is
    compared with is the faster of the two. Each side runs one epoch that is not counted, then they take turns. There is
    no evaluation in it.

    Args:
        recipe: of pictures, from `padam.recipes.get`.
        data, device, precision, threads: as `padam.training.train` takes them.
        rounds: how many epochs of each are timed.
        examples: train on so many pictures only; default all of the recipe's.
        workers: of the plain loop's DataLoader; default as many as there are cores.
        say: called with a line after each round.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    precision, workers, before = formats.choose(precision, device), workers or os.cpu_count(), torch.get_num_threads()
    if recipe.dataset in ("ptb", "pydoc"):
        raise ValueError(
            f"{recipe.id} trains on text, which has no pictures to transform; choose a recipe of pictures."
        )
    pictures = datasets.split(datasets.load(recipe.dataset, data), examples or recipe.train_size, recipe.holdout)
    torch.set_num_threads(threads or before)
    large_blocks_stay()
    try:
        used = torch.get_num_threads()
        with on_card(device), flushed_denormals(), own_generators(device):
            seconds = in_turn(_sides(recipe, pictures, device, precision, workers), rounds, say)
    finally:
        torch.set_num_threads(before)
    best = min((name for name in seconds if name != "ours"), key=lambda name: statistics.median(seconds[name]))
    ratios = [theirs / ours for theirs, ours in zip(seconds[best], seconds["ours"], strict=True)]
    return {
        "bench": "train",
        "recipe": recipe.values(),
        "examples": len(pictures.train[1]),
        "seconds": {name: [round(value, 4) for value in taken] for name, taken in seconds.items()},
        "compared_with": best,
        "ratio": spread(ratios),
        "precision": precision,
        **provenance(device, used),
    }


def _sides(recipe, pictures, device, precision, workers):
    """{name: a function that trains one epoch}: ours, and the plain loop with and without workers."""
    torch.manual_seed(0)
    model, optimizer = build(recipe, pictures, device)
    setting = {"device": device, "precision": precision}
    trainer = Trainer(model, pictures, optimizer, batch_size=recipe.batch_size, **setting)

    def _ours():
        trainer.epoch += 1
        return trainer.train_epoch()

    def _plain(count):
        loader = torch.utils.data.DataLoader(
            Plain(pictures),
            recipe.batch_size,
            shuffle=True,
            num_workers=count,
            persistent_workers=count > 0,
            pin_memory=device.type == "cuda",
        )
        model, optimizer = build(recipe, pictures, device)
        scaler = formats.scaler(precision, device)
        return lambda: _plain_epoch(model, optimizer, loader, device, precision, scaler)

    return {"ours": _ours, "plain": _plain(0), f"plain, {workers} workers": _plain(workers)}
