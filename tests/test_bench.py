"""The benchmark of an epoch: both sides do the same work, and what is kept says what was compared."""

import json
from pathlib import Path

import pytest
import torch
import warm
from torch.nn.functional import cross_entropy

from padam import bench, data, models, optim, recipes
from padam.bench import epochs, steps
from padam.training import tasks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def few():
    """300 digits, shifted and mirrored as CIFAR's pictures are."""
    digits = data.load("mnist5k")
    cut = tuple(part[:300] for part in digits.train)
    return digits._replace(train=cut, shift=4, flip=True)


def test_the_plain_loop_sees_the_same_pictures_as_ours(few):
    """With crop and flip switched off, its batches are our batches."""
    still = few._replace(shift=0, flip=False)
    plain, ours = epochs.Plain(still), tasks.task(still, 300)
    images, labels = next(ours.batches(torch.Generator().manual_seed(0), None))
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    theirs = torch.stack([plain[int(index)][0] for index in order])
    assert torch.allclose(images, theirs, atol=2e-6)
    assert torch.equal(labels, torch.stack([plain[int(index)][1] for index in order]))
    names = [type(step).__name__ for step in epochs.Plain(few).transform.transforms]
    assert names == ["RandomCrop", "RandomHorizontalFlip", "ToTensor", "Normalize"]


def test_the_plain_loop_trains(few):
    model = models.build("convnet-bn-w8", seed=0)
    optimizer = optim.build("sgdm", model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(epochs.Plain(few._replace(shift=0, flip=False)), 50, shuffle=True)
    losses = [epochs._plain_epoch(model, optimizer, loader, torch.device("cpu"), "fp32", None) for _ in range(3)]
    assert losses[2] < 0.7 * losses[0] < cross_entropy(torch.zeros(1, 10), torch.tensor([0]))


def test_both_sides_take_turns_and_the_record_says_what_was_compared(tmp_path):
    """In a process of its own: the plain loop's workers are forked, which a process that has loaded JAX forbids."""
    command = "bench train cifar10/resnet18/padam --profile quick --rounds 2 --examples 60 --workers 1 --threads 1"
    done = warm.run("-m", "padam", *command.split(), "--device", "cpu", "--out", tmp_path, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert path.name.startswith("train-resnet18-w4-")
    assert done.stdout.splitlines()[-1] == str(path)
    assert set(record["seconds"]) == {"ours", "plain", "plain, 1 workers"}
    assert {len(taken) for taken in record["seconds"].values()} == {2} == {len(done.stderr.splitlines())}
    ratios = [a / b for a, b in zip(record["seconds"][record["compared_with"]], record["seconds"]["ours"], strict=True)]
    assert record["ratio"]["lowest"] == pytest.approx(min(ratios), rel=1e-2)
    assert record["ratio"]["lowest"] <= record["ratio"]["median"] <= record["ratio"]["highest"]
    assert (record["examples"], record["threads"], record["precision"]) == (60, 1, "fp32")
    assert bench.keep(record | {"examples": 100}, tmp_path) == path
    assert [json.loads(p.read_text())["examples"] for p in tmp_path.iterdir()] == [100]


def test_text_has_no_pictures_to_transform():
    with pytest.raises(ValueError, match=r"ptb/lstm2/adam trains on text.*choose a recipe of pictures"):
        bench.train(recipes.get("ptb/lstm2/adam", "quick"), device="cpu")


def test_every_form_of_a_step_takes_its_turn_and_the_record_says_what_it_moved(tmp_path):
    command = "bench step --network small --rounds 3 --threads 1 --device cpu --out"
    done = warm.run("-m", "padam", *command.split(), tmp_path, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    (record,) = bench.load("step", tmp_path)
    assert bench.load("train", tmp_path) == []
    assert path.name.startswith("step-")
    assert done.stdout.splitlines()[-1] == str(path)
    small = record["networks"]["small"]
    assert (small["tensors"], small["parameters"], record["threads"]) == (11, 24_346, 1)
    bytes = {name: row["bytes"] for name, row in small["forms"].items()}
    assert bytes.pop("foreach, p = 1/5") == 88
    assert {name for name, moved in bytes.items() if moved == 36} == {"copy", "torch fused", "fused", "fused, p = 1/5"}
    assert {name: bytes[name] for name in ("torch foreach", "loop", "foreach")} == {
        "torch foreach": 88,
        "loop": 120,
        "foreach": 96,
    }
    for name, row in small["forms"].items():
        assert 0 < row["seconds"]["lowest"] <= row["seconds"]["median"] <= row["seconds"]["highest"], name
        assert ("to_torch" in row) == (name in ("foreach", "fused"))
    assert small["forms"]["copy"]["of_copy"]["median"] == 1
    assert {line.split()[0] for line in done.stdout.splitlines()} > {"small,", "form", "copy", "torch", "loop", "fused"}


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="no network is called 'large' here; there are small, .* and billion"):
        bench.step(networks=["large"], device="cpu")


def test_the_networks_are_those_they_are_called():
    counts = {
        name: sum(torch.Size(shape).numel() for shape in steps.shapes(name)) for name in (*steps.NETWORKS, "billion")
    }
    assert counts.pop("billion") == pytest.approx(1e9, rel=0.05)
    assert counts == {"small": 24_346, "resnet18-w8": 176_402, "resnet18": 11_689_512, "lstm2": 13_632_400}


def test_traffic_counts_what_is_read_and_written():
    """By hand, in bytes: float32 is four, a copy's target is not read, views and single numbers are free."""
    x, y, z = torch.ones(10), torch.ones(10), torch.zeros(10)
    for run, bytes in (
        (lambda: x + y, 120),
        (lambda: x.add_(y), 120),
        (lambda: x.copy_(y), 80),
        (lambda: torch.add(x, y, out=z), 120),
        (lambda: x[::2].sqrt_(), 40),
        (lambda: x.view(2, 5), 0),
        (lambda: x * torch.tensor(2.0), 80),
        (lambda: torch._foreach_add_([x, y], 1.0), 160),
        (lambda: torch._foreach_sqrt([x, y]), 160),
        (lambda: x.addcmul_(y, y), 160),
        (lambda: torch._foreach_copy_([x, y], [y, z]), 160),
    ):
        with steps.Traffic() as seen:
            run()
        assert seen.bytes == bytes
