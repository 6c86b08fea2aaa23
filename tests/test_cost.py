"""The arithmetic of a run: against counts by hand, and the sizes it takes for granted against the data."""

import os
from pathlib import Path

import pytest
import torch

from padam import data as datasets
from padam import models, recipes
from padam.training import cost

ROOT = Path(os.environ.get("PADAM_DATA") or "data")


def _by_hand(model, size, classes=10):
    """Twice the multiplications of every convolution and matrix, found by running the network with hooks."""
    network, total = models.build(model, classes, size).eval(), []

    def count(module, inputs, output):
        each = module.weight[0].numel()  # multiplications behind one number of the output
        total.append(2 * each * output.numel())

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    network(torch.zeros(1, 3, size, size))
    return sum(total), total[0]


@pytest.mark.parametrize("model", ["vgg16-w4", "resnet18-w4", "wrn16-4-w4"])
def test_a_picture_costs_what_its_layers_multiply(model):
    forward, first = _by_hand(model, 32)
    training, evaluating = cost._each(model, 10, 32)
    assert evaluating == forward
    # Backward each layer has two such products, but nobody asks for the gradient of the picture.
    assert training == 3 * forward - first


def test_a_word_costs_two_operations_a_weight_forward_and_four_backward():
    network = models.build("lstm2-h64", vocabulary=500)
    weights = sum(p.numel() for p in network.parameters() if p.ndim == 2)  # the embedding is the last layer, too
    training, evaluating = cost._each("lstm2-h64", 500, 0)
    assert evaluating == 2 * weights
    assert training == pytest.approx(6 * weights, rel=0.01)


def test_a_run_trains_and_evaluates_every_epoch():
    recipe = recipes.get("cifar10/vgg16/padam", "small")
    train, evaluate = cost._each(recipe.model, 10, 32)
    assert cost.flops(recipe) == 60 * (10_000 * train + (5_000 + 10_000) * evaluate)
    full = recipes.get("cifar100/resnet18/padam", "full")
    train, evaluate = cost._each("resnet18", 100, 32)
    assert cost.flops(full) == 200 * (50_000 * train + 10_000 * evaluate)
    assert evaluate == pytest.approx(2 * 0.5556e9, rel=1e-3)  # the known 0.56 billion multiplications of this ResNet-18


def test_the_size_of_a_subset_is_known_when_it_is_packed(tmp_path, monkeypatch):
    recipe = recipes.get("imagenet/resnet18/sgdm", "small")
    assert cost.flops(recipe, tmp_path) is None
    (tmp_path / "imagenet-subset" / "packed-64").mkdir(parents=True)
    (tmp_path / "imagenet-subset" / "packed-64" / "manifest.json").touch()
    some = torch.zeros(7, 3, 64, 64, dtype=torch.uint8), torch.arange(7)
    images = datasets.Images(some, some, torch.zeros(3), torch.ones(3), resized=64)
    monkeypatch.setattr(cost.datasets, "load", lambda name, root: images)
    train, evaluate = cost._each(recipe.model, 7, 64)
    assert cost.flops(recipe, tmp_path) == recipe.epochs * (recipe.train_size * train + 7 * evaluate)


@pytest.mark.parametrize("name", ["mnist5k", "cifar10", "cifar100", "ptb"])
def test_the_sizes_are_those_of_the_data(name):
    try:
        data = datasets.load(name, ROOT)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    size = cost._SIZES[name]
    if isinstance(data, datasets.Text):
        found = cost.Size(len(data.train), len(data.valid), len(data.test), len(data.vocabulary), 0)
    else:
        (images, labels), classes = data.train, 1 + int(data.train[1].max())
        found = cost.Size(len(labels), 0, len(data.test[1]), classes, images.shape[-1])
    assert found == size
