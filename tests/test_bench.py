"""The benchmark of an epoch: both sides do the same work, and what is kept says what was compared."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from padam import bench, data, models, optim, recipes
from padam.training import tasks

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
    plain, ours = bench.Plain(still), tasks.task(still, 300)
    images, labels = next(ours.batches(torch.Generator().manual_seed(0), None))
    order = torch.randperm(300, generator=torch.Generator().manual_seed(0))
    theirs = torch.stack([plain[int(index)][0] for index in order])
    assert torch.allclose(images, theirs, atol=2e-6)
    assert torch.equal(labels, torch.stack([plain[int(index)][1] for index in order]))
    names = [type(step).__name__ for step in bench.Plain(few).transform.transforms]
    assert names == ["RandomCrop", "RandomHorizontalFlip", "ToTensor", "Normalize"]


def test_the_plain_loop_trains(few):
    model = models.build("convnet-bn-w8", seed=0)
    optimizer = optim.build("sgdm", model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(bench.Plain(few._replace(shift=0, flip=False)), 50, shuffle=True)
    losses = [bench._plain_epoch(model, optimizer, loader, torch.device("cpu"), "fp32", None) for _ in range(3)]
    assert losses[2] < 0.7 * losses[0] < cross_entropy(torch.zeros(1, 10), torch.tensor([0]))


def test_both_sides_take_turns_and_the_record_says_what_was_compared(tmp_path):
    """In a process of its own: the plain loop's workers are forked, which a process that has loaded JAX forbids."""
    command = "bench train cifar10/resnet18/padam --profile quick --rounds 2 --examples 200 --workers 1 --threads 1"
    words = [sys.executable, "-m", "padam", *command.split(), "--device", "cpu", "--out", tmp_path]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
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
    assert (record["examples"], record["threads"], record["precision"]) == (200, 1, "fp32")
    assert bench.keep(record | {"examples": 100}, tmp_path) == path
    assert [json.loads(p.read_text())["examples"] for p in tmp_path.iterdir()] == [100]


def test_text_has_no_pictures_to_transform():
    with pytest.raises(ValueError, match=r"ptb/lstm2/adam trains on text.*choose a recipe of pictures"):
        bench.train(recipes.get("ptb/lstm2/adam", "quick"), device="cpu")
