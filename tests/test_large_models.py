"""Networks for pictures of more than 32 pixels: those for 32 after a stem that halves them, and torchvision's own."""

import sys

import pytest
import torch
import torchvision
from torch import nn

from padam import models

NETWORKS = ("vgg16", "resnet18", "wrn16-4")


def _convolutions(network):
    return [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("model", ["vgg16-w8", "resnet18-w8", "wrn16-4-w8"])
def test_for_64_pixels_only_the_stride_of_the_first_convolution_differs(model):
    """So its maps are every second row and column of those that the network for 32 pixels, run on 64, makes there."""
    small, large = models.build(model, 7, 32, seed=0), models.build(model, 7, 64, seed=0)
    assert [name for name, _ in small.named_parameters()] == [name for name, _ in large.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), large.parameters(), strict=True))
    strides = [[layer.stride for layer in _convolutions(network)] for network in (small, large)]
    assert (strides[0][0], strides[1][0]) == ((1, 1), (2, 2))
    assert strides[0][1:] == strides[1][1:]
    pictures = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    ours, full = (_convolutions(network)[0](pictures) for network in (large, small))
    torch.testing.assert_close(ours, full[:, :, ::2, ::2])


@pytest.mark.parametrize("model", ["vgg16-w4", "resnet18-w4", "wrn16-4-w4"])
@pytest.mark.parametrize("size", [33, 47, 64])
def test_from_the_first_convolution_on_all_maps_have_the_size_of_the_smaller_networks(model, size):
    half = (size + 1) // 2
    small, large = (models.layers(models.build(model, 6, side, seed=0), side) for side in (half, size))
    assert [layer[1:] for layer in small] == [layer[1:] for layer in large]
    assert large[0].size == half


@pytest.mark.parametrize("model", ["vgg16-w4", "resnet18-w4", "wrn16-4-w4", "resnet18-w2"])
@pytest.mark.parametrize("size", [33, 64])
def test_narrow_networks_train_in_either_order_in_memory(model, size):
    """Pictures lie channels last in training; torch's own strided convolutions of few channels are at fault there."""
    plain, last = (models.build(model, 6, size, seed=0).train() for _ in range(2))
    last.to(memory_format=torch.channels_last)
    pictures = torch.randn(8, 3, size, size, generator=torch.Generator().manual_seed(1))
    for network, images in ((plain, pictures), (last, pictures.contiguous(memory_format=torch.channels_last))):
        logits = network(images)
        assert logits.shape == (8, 6)
        logits.square().sum().backward()
    one, other = (torch.cat([w.grad.flatten() for w in network.parameters()]) for network in (plain, last))
    assert one.norm() > 1e-3
    assert (one - other).norm() < 0.03 * one.norm()  # other sums, other roundings, a ReLU or two the other way


@pytest.mark.parametrize(
    ("model", "kind", "count", "layers"),
    [
        ("resnet18", torchvision.models.ResNet, 11_689_512, (17, 3, 1)),
        ("vgg16", torchvision.models.VGG, 138_365_992, (13, 0, 3)),
    ],
)
def test_for_224_pixels_the_networks_are_torchvisions(model, kind, count, layers):
    with torch.device("meta"):
        network = models.build(model, 1000, 224)
        pictures = torch.zeros(2, 3, 224, 224)
    assert type(network) is kind
    assert sum(weights.numel() for weights in network.parameters()) == count
    assert network(pictures).shape == (2, 1000)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    with torch.device("meta"):
        kinds = [layer.kind for layer in models.layers(network, 224)]
    assert tuple(kinds.count(name) for name in ("convolution", "shortcut", "linear")) == layers


def test_what_vgg_leaves_out_for_224_pixels_is_the_identity():
    """torchvision averages to 7 by 7, which the maps of 224 pixels have already."""
    with torch.device("meta"):
        network = models.build("vgg16", 5, 224)
        maps, theirs = network.features(torch.zeros(2, 3, 224, 224)), torchvision.models.vgg16_bn(num_classes=5)
    assert isinstance(network.avgpool, nn.Identity)
    assert network.state_dict().keys() == theirs.state_dict().keys()
    drawn = torch.randn(maps.shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(theirs.avgpool(drawn), drawn)


def test_torchvisions_networks_start_as_torchvision_starts_them_and_from_a_seed():
    one, same, other = (models.build("resnet18", 5, 224, seed=seed).state_dict() for seed in (1, 1, 2))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        theirs = torchvision.models.resnet18(weights=None, num_classes=5).state_dict()
    assert one["fc.weight"].shape == (5, 512)
    assert all(torch.equal(one[key], same[key]) and torch.equal(one[key], theirs[key]) for key in theirs)
    assert not torch.equal(one["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize("model", ["vgg16-w16", "resnet18-w16", "wrn16-4", "wrn16-4-w16"])
def test_narrow_networks_and_wide_ones_of_16_layers_are_not_made_for_224_pixels(model):
    with pytest.raises(ValueError, match=f"{model} is made for .*not of 224; of 224 there are resnet18 and vgg16, wit"):
        models.build(model, size=224)


@pytest.mark.parametrize("model", NETWORKS[:2])
def test_without_torchvision_it_says_what_to_install_and_smaller_pictures_do_without(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ModuleNotFoundError, match="torchvision is not installed here. Install it: pip install torchv"):
        models.build(model, size=224)
    assert models.build(f"{model}-w4", size=64).training
