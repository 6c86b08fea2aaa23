"""The CIFAR networks: layer by layer, their first weights, and torchvision's networks with the same weights."""

import math

import pytest
import torch
from torch import nn

from padam import models
from padam.models import resnet

NETWORKS = ("vgg16", "resnet18", "wrn16-4")

# VGG-16's convolutions by their channels, M for a maximum over 2x2.
VGG = "64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M"
# Residual blocks: channels in and out, stride, and whether the shortcut is a 1x1 convolution.
STAGES = (
    ((64, 64, 1, False), (64, 64, 1, False)),
    ((64, 128, 2, True), (128, 128, 1, False)),
    ((128, 256, 2, True), (256, 256, 1, False)),
    ((256, 512, 2, True), (512, 512, 1, False)),
)


def _count(network):
    return sum(weight.numel() for weight in network.parameters())


def _on_paper(model, *args, **kwargs):
    """The network without numbers in its weights, which costs nothing."""
    with torch.device("meta"):
        return models.build(model, *args, **kwargs)


def _pictures(count, size=32, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def _shaken(network):
    """The network with numbers in it that make every layer, and every number of a batch norm, matter."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):  # as they start, what tells two pictures apart fades on the way through VGG
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, nn.BatchNorm2d):
            for part in (layer.weight, layer.running_var):
                nn.init.uniform_(part, 0.5, 1.5)
            for part in (layer.bias, layer.running_mean):
                nn.init.normal_(part, std=0.3)
    return network


@pytest.mark.parametrize(
    ("model", "classes", "count"),
    [
        ("vgg16", 10, 14_728_266),
        ("resnet18", 10, 11_173_962),
        ("wrn16-4", 10, 2_777_674),
        ("vgg16-w16", 10, 924_186),
        ("vgg16", 100, 14_728_266 + 90 * 513),
        ("resnet18", 100, 11_173_962 + 90 * 513),
        ("wrn16-4", 100, 2_777_674 + 90 * 257),
    ],
)
def test_networks_have_as_many_parameters_as_the_authors(model, classes, count):
    assert _count(_on_paper(model, classes)) == count


def _convolution(layer, inputs, outputs, kernel, stride, bias):
    assert type(layer) is nn.Conv2d
    assert (layer.in_channels, layer.out_channels) == (inputs, outputs)
    assert (layer.kernel_size, layer.stride, layer.padding) == ((kernel,) * 2, (stride,) * 2, (kernel // 2,) * 2)
    assert (layer.groups, layer.dilation, layer.padding_mode) == (1, (1, 1), "zeros")
    assert (layer.bias is not None) == bias


def _norm(layer, channels):
    assert type(layer) is nn.BatchNorm2d
    assert (layer.num_features, layer.eps, layer.momentum) == (channels, 1e-5, 0.1)
    assert layer.affine
    assert layer.track_running_stats


@pytest.mark.parametrize(("model", "times"), [("vgg16", 1), ("vgg16-w16", 1 / 4), ("vgg16-w8", 1 / 8)])
def test_vgg_is_convolution_norm_relu_with_a_maximum_after_each_stage(model, times):
    network = _on_paper(model, 7)
    layers, channels = iter(network.features), 3
    for name in VGG.split():
        if name == "M":
            maximum = next(layers)
            assert type(maximum) is nn.MaxPool2d
            assert (maximum.kernel_size, maximum.stride, maximum.padding) == (2, 2, 0)
        else:
            outputs = int(int(name) * times)
            _convolution(next(layers), channels, outputs, 3, 1, bias=True)
            _norm(next(layers), outputs)
            assert type(next(layers)) is nn.ReLU
            channels = outputs
    assert next(layers, None) is None
    assert [name for name, _ in network.named_children()] == ["features", "classifier"]
    assert type(network.classifier) is nn.Linear
    assert network.classifier.weight.shape == (7, int(512 * times))
    assert network.classifier.bias.shape == (7,)


@pytest.mark.parametrize(
    ("model", "stages", "times"),
    [("resnet18", 4, 1), ("resnet18-w8", 4, 1 / 8), ("wrn16-4", 3, 1), ("wrn16-4-w16", 3, 1 / 4)],
)
def test_residual_networks_are_two_blocks_a_stage_and_shortcuts_where_the_shape_changes(model, stages, times):
    network = _on_paper(model, 7)
    narrow = lambda channels: int(channels * times)  # noqa: E731
    _convolution(network.stem, 3, narrow(64), 3, 1, bias=False)
    _norm(network.norm, narrow(64))
    expected = [row for stage in STAGES[:stages] for row in stage]
    assert len(network.blocks) == len(expected)
    for block, (inputs, outputs, stride, convolved) in zip(network.blocks, expected, strict=True):
        inputs, outputs = narrow(inputs), narrow(outputs)
        _convolution(block.conv1, inputs, outputs, 3, stride, bias=False)
        _convolution(block.conv2, outputs, outputs, 3, 1, bias=False)
        _norm(block.bn1, outputs)
        _norm(block.bn2, outputs)
        assert len(block.shortcut) == (2 if convolved else 0)
        if convolved:
            _convolution(block.shortcut[0], inputs, outputs, 1, stride, bias=False)
            _norm(block.shortcut[1], outputs)
    assert network.classifier.weight.shape == (7, narrow(64) << (stages - 1))


@pytest.fixture(scope="module")
def fresh():
    """Each network as it is first built, with a seed."""
    return {model: models.build(model, seed=0) for model in NETWORKS}


def _layers(network, kind):
    return [layer for layer in network.modules() if isinstance(layer, kind)]


@pytest.mark.parametrize("model", NETWORKS)
def test_vgg_resnet_and_every_linear_layer_start_uniform_as_torchs_layers_do(model, fresh):
    """Weights and biases are uniform between -1 / sqrt(fan in) and 1 / sqrt(fan in)."""
    kinds = nn.Linear if model == "wrn16-4" else (nn.Conv2d, nn.Linear)
    for layer in _layers(fresh[model], kinds):
        bound = 1 / math.sqrt(layer.weight[0].numel())
        for part in (layer.weight, layer.bias):
            if part is not None:
                assert part.abs().max() <= bound * (1 + 1e-6)
                assert part.abs().max() > bound * (1 - 9 / part.numel())
        few = 5 / math.sqrt(layer.weight.numel())  # five standard errors, roughly
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=few)
        assert layer.weight.mean().item() == pytest.approx(0, abs=bound * few)


def test_wrn_starts_normal_with_variance_two_over_fan_out(fresh):
    for layer in _layers(fresh["wrn16-4"], nn.Conv2d):
        area, weight = layer.kernel_size[0] * layer.kernel_size[1], layer.weight
        few = 5 / math.sqrt(weight.numel())
        scaled = weight * math.sqrt(area * layer.out_channels / 2)
        assert scaled.std().item() == pytest.approx(1, rel=few)
        assert scaled.mean().item() == pytest.approx(0, abs=few)
        assert (scaled**4).mean().item() == pytest.approx(3, abs=10 * few)  # 9/5 if it were uniform


@pytest.mark.parametrize("model", NETWORKS)
def test_batch_norms_start_as_the_identity(model, fresh):
    for layer in _layers(fresh[model], nn.BatchNorm2d):
        assert (layer.weight == 1).all()
        assert (layer.bias == 0).all()


def _torchvision(model):
    """The same network put together from torchvision's parts."""
    torchvision = pytest.importorskip("torchvision")
    if model == "vgg16":
        vgg = torchvision.models.vgg
        features = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)  # those of vgg16_bn, without its 124 M classifier
        return nn.Sequential(features, nn.Flatten(), nn.Linear(512, 10))
    network = torchvision.models.resnet18(weights=None, num_classes=10)
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False), nn.Identity()
    if model == "wrn16-4":
        network.layer4, network.fc = nn.Identity(), nn.Linear(256, 10)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("model", NETWORKS)
def test_networks_agree_with_torchvisions_in_training_and_evaluation(model):
    """Logits, running averages and gradients, with the same weights in the same order."""
    own, other = (network.double() for network in (models.build(model, seed=0), _torchvision(model)))
    _shaken(own)
    with torch.no_grad():
        for mine, theirs in zip(own.state_dict().values(), other.state_dict().values(), strict=True):
            theirs.copy_(mine)
    pictures = _pictures(3).double()
    for training in (False, True):
        results = [network.train(training)(pictures) for network in (own, other)]
        torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)
        assert results[0].std(0).min() > 1e-3  # the pictures are told apart
    for result in results:
        result.square().sum().backward()
    pairs = zip(own.state_dict().values(), other.state_dict().values(), strict=True)
    grads = zip((p.grad for p in own.parameters()), (p.grad for p in other.parameters()), strict=True)
    for mine, theirs in (*pairs, *grads):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("model", ["vgg16-w4", "resnet18-w4", "wrn16-4-w4"])
@pytest.mark.parametrize("size", [17, 28, 31, 32])
def test_pictures_up_to_32_pixels_are_classified_and_all_of_each_counts(model, size):
    network = models.build(model, 6, size, seed=0).train()
    pictures = _pictures(4, size).requires_grad_()
    logits = network(pictures)
    assert logits.shape == (4, 6)
    logits.square().sum().backward()
    corners = pictures.grad[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.abs().sum((0, 1)).min() > 0


@pytest.mark.parametrize("model", NETWORKS)
@pytest.mark.parametrize("size", [1, 16, 65, 200, 223, 225])
def test_pictures_of_a_size_the_network_is_not_made_for_are_an_error(model, size):
    with pytest.raises(ValueError, match=f"{model} is made for pictures of 32 pixels .*not of {size};"):
        models.build(model, size=size)


_UNKNOWN = "vgg vgg16-w0 vgg16-w vgg16-w-8 vgg16-h8 vgg16-bn VGG16 resnet resnet34 wrn16 wrn16-8 wrn16-4-4"


@pytest.mark.parametrize("name", [*_UNKNOWN.split(), "resnet18-w8 ", ""])
def test_an_unknown_picture_network_is_an_error_that_lists_them(name):
    with pytest.raises(ValueError, match=f"no network is called '{name}'; there are vgg16, resnet18, wrn16-4"):
        models.build(name)


@pytest.mark.parametrize("model", ["vgg16-w4", "resnet18-w4", "wrn16-4-w4"])
def test_weights_follow_from_the_seed_or_from_the_global_generator(model):
    torch.manual_seed(3)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    seeded, other = models.build(model, seed=5), models.build(model, seed=6)
    assert torch.equal(torch.rand(2), drawn)
    torch.manual_seed(5)
    unseeded, next_one = models.build(model), models.build(model)
    for one, same, *others in zip(*(_weights(n) for n in (seeded, unseeded, other, next_one)), strict=True):
        assert torch.equal(one, same)
        assert not any(torch.equal(one, another) for another in others)


def _weights(network):
    """Those that are drawn."""
    return [layer.weight for layer in _layers(network, (nn.Conv2d, nn.Linear))]


@pytest.mark.parametrize("model", ["vgg16-w16", "resnet18-w8", "wrn16-4-w16"])
@pytest.mark.parametrize("training", [False, True])
def test_the_order_in_memory_does_not_change_the_result(model, training):
    plain, last = (_shaken(models.build(model, seed=0)).train(training) for _ in range(2))
    last.to(memory_format=torch.channels_last)
    pictures = _pictures(8)
    ordered = pictures.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain(pictures), last(ordered), rtol=1e-3, atol=2e-4)  # other sums, other roundings
    for one, other in zip(plain.buffers(), last.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("model", ["vgg16-w4", "resnet18-w4", "wrn16-4-w4"])
def test_a_network_does_not_write_into_its_pictures(model):
    pictures = _pictures(2)
    before = pictures.clone()
    models.build(model, seed=0)(pictures)
    assert torch.equal(pictures, before)


@pytest.mark.parametrize(("name", "counts"), [("vgg16", (13, 0, 1)), ("resnet18", (17, 3, 1)), ("wrn16-4", (13, 2, 1))])
def test_an_outline_lists_every_layer_and_every_parameter(name, counts):
    model = models.build(name, seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    layers = models.layers(model)
    kinds = [layer.kind for layer in layers]
    assert tuple(kinds.count(kind) for kind in ("convolution", "shortcut", "linear")) == counts
    assert sum(layer.parameters for layer in layers) == sum(weights.numel() for weights in model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert (layers[0].channels, layers[0].size) == (64, 32)
    assert layers[-1][1:] == ("linear", 10, 1, model.classifier.weight.numel() + 10)


@pytest.mark.parametrize("inputs", [4, 7, 8, 16])
def test_a_strided_convolution_of_one_pixel_is_torchs_and_stays_within_its_memory(inputs):
    """Laid out as pictures are it is compared with the usual layout; past its memory, torch 2.15 ends the process."""
    torch.manual_seed(0)
    ours, theirs = resnet.Block(inputs, 8, 2).shortcut[0], nn.Conv2d(inputs, 8, 1, 2, bias=False)
    assert (type(ours) is nn.Conv2d) == (inputs >= 8)
    theirs.load_state_dict(ours.state_dict())
    pictures = torch.randn(32, inputs, 28, 28)
    for _ in range(10):
        last, plain = ours(pictures.to(memory_format=torch.channels_last)), theirs(pictures)
        assert torch.allclose(last, plain, atol=1e-6)
        last.square().sum().backward()
        plain.square().sum().backward()
    assert torch.allclose(ours.weight.grad, theirs.weight.grad, rtol=1e-4)
