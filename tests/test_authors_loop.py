"""The loop of the authors' script: the same weights, other averages in batch norm, a training loss of its own."""

import pytest
import torch
from torch import nn

from padam import data, models, recipes, records, training
from padam.records import check
from padam.training import authors, checkpoint, engine, run

pytestmark = pytest.mark.slow

ID = "cifar10/vgg16/padam"


@pytest.fixture(scope="module")
def few():
    digits = data.load("mnist5k")
    return digits._replace(
        train=tuple(part[::10] for part in digits.train), test=tuple(p[::10] for p in digits.test), shift=2, flip=True
    )


@pytest.fixture
def train(few, monkeypatch):
    monkeypatch.setattr(run.datasets, "load", lambda name, root=None: few)

    def call(out, id, **options):
        record = training.train(recipes.get(id, "quick"), 0, out, device="cpu", threads=1, keep=True, **options)
        folder = records.path(recipes.get(id, "quick"), 0, out).with_suffix("")
        return record, checkpoint.load(folder)["trainer"]["model"]

    return call


def test_the_weights_are_those_of_the_plain_loop_and_batch_norms_averages_are_not(train, tmp_path):
    plain, theirs = (train(tmp_path, id) for id in (ID, f"{ID}-authors"))
    for key, value in plain[1].items():
        averaged = key.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(value, theirs[1][key]) != averaged, key
    for key in ("train_loss", "train_error"):
        assert plain[0]["history"][key] == theirs[0]["history"][key]
    assert plain[0]["history"]["test_error"] != theirs[0]["history"]["test_error"]
    assert "loop" not in plain[0]["recipe"]
    assert theirs[0]["recipe"]["loop"] == "authors"
    assert check.faults(theirs[0]) == []
    assert len(theirs[0]["history"]["train_loss_further"]) == 4


def test_it_goes_on_bit_for_bit(train, tmp_path, power_cut):
    whole, weights = train(tmp_path / "whole", f"{ID}-authors")
    with pytest.raises(training.Stopped):
        train(tmp_path / "parts", f"{ID}-authors", budget=1e-3)  # before the first epoch
    power_cut(lambda: train(tmp_path / "parts", f"{ID}-authors"), epoch=2)
    parts, again = train(tmp_path / "parts", f"{ID}-authors")
    for record in (whole, parts):
        record["history"].pop("seconds")
    assert parts["history"] == whole["history"]
    assert all(torch.equal(value, again[key]) for key, value in weights.items())


class _Mean(nn.Module):
    """A batch norm that a class hangs on, whose passes are counted."""

    def __init__(self):
        super().__init__()
        self.norm, self.out, self.passes = nn.BatchNorm2d(3), nn.Linear(3, 10), []

    def forward(self, images):
        self.passes.append((self.training, torch.is_grad_enabled(), len(images)))
        return self.out(self.norm(images).mean((2, 3)))


def test_each_batch_passes_twice_and_all_pictures_once_more_without_updates(few):
    model = _Mean()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    trainer = authors.AuthorsTrainer(model, few, optimizer, batch_size=150)
    row = trainer.run_epoch()
    updating, rest = model.passes[:6], [each for each in model.passes[6:] if each[0]]
    assert updating == [(True, grad, n) for n in (150, 150, 100) for grad in (True, False)]
    assert rest == [(True, False, n) for n in (150, 150, 100)]
    assert model.norm.num_batches_tracked == 9
    model.train()
    batches = list(
        trainer.task.batches(*(torch.Generator().manual_seed(authors.FURTHER + k) for k in (0, engine.AUGMENTATION)))
    )
    with torch.no_grad():
        found = [trainer.task.loss(model, batch) for batch in batches]
    assert row["train_loss_further"] == pytest.approx(sum(loss.item() * n for loss, n, _ in found) / 400, rel=1e-6)
    assert row["train_error_further"] == sum(wrong.item() for *_, wrong in found) / 400


def test_it_is_refused_where_it_cannot_be():
    model = models.build("bigram", vocabulary=10)
    with pytest.raises(ValueError, match="the authors' loop is for pictures"):
        authors.AuthorsTrainer(model, data.load("pydoc"), torch.optim.SGD(model.parameters()))


def test_the_recipe_differs_in_the_loop_alone():
    plain, theirs = (recipes.get(id, "small").values() for id in (ID, f"{ID}-authors"))
    assert {key for key in theirs if theirs[key] != plain.get(key)} == {"id", "variant", "loop"}
    assert recipes.get(f"{ID}-authors").sources["loop"].startswith("authors' code")
    assert "imagenet/resnet18/padam-authors" not in recipes.ids()


def test_a_record_whose_loop_is_not_the_recipes_is_noticed(train, tmp_path):
    record, _ = train(tmp_path, ID)
    record["recipe"]["loop"] = "authors"
    assert any("recipe.loop is authors, but the recipe says None" in fault for fault in check.faults(record))
