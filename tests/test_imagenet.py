"""ImageNet's recipes from a folder of pictures to a record: the network's size, the crops, five classes that count."""

import json

import jsonschema
import numpy as np
import pytest
import torch
from PIL import Image

from padam import data, models, recipes, records, training
from padam.data import packing
from padam.recipes import section5
from padam.records import check
from padam.training import checkpoint, run, tasks

SCHEMA = json.loads((records.HERE / "schema.json").read_text())
ID = "imagenet-subset/resnet18/padam"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root of data sets with seven classes, three pictures each to train and two to test, packed at 40 pixels."""
    top, rng = tmp_path_factory.mktemp("root"), np.random.default_rng(0)
    for part, count in (("train", 3), ("val", 2)):
        for name in range(7):
            place = top / "pictures" / part / f"n{name}"
            place.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (45, 40, 3), dtype=np.uint8) // 2 + 15 * name
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    packing.pack(top / "pictures", top / "imagenet-subset" / "packed-40", 40, jobs=1, progress=False)
    return top


@pytest.fixture(autouse=True)
def miniature(monkeypatch):
    """The small recipe takes all pictures there are, and fewer epochs."""
    data, endings, batch, _, _, holdout, points, why = section5.IMAGENET_SMALL
    small = data, endings, batch, 40, None, holdout, points, why
    monkeypatch.setitem(section5.MINIATURES, ("imagenet-subset", "small"), small)


def _train(root, out, id=ID, **options):
    return training.train(recipes.get(id, "small"), 0, out, data=root, device="cpu", threads=1, **options)


def _untimed(record):
    history = {key: value for key, value in record["history"].items() if key != "seconds"}
    return {k: v for k, v in record.items() if k not in ("started", "finished")} | {"history": history}


@pytest.mark.slow
def test_from_pictures_to_a_record_and_interrupted_to_the_same_one(root, tmp_path, power_cut):
    whole = _train(root, tmp_path / "whole", keep=True)
    jsonschema.validate(whole, SCHEMA)
    assert check.faults(whole) == []
    recipe = whole["recipe"]
    assert (recipe["dataset"], recipe["model"], records.epochs_run(whole)) == ("imagenet-subset", "resnet18-w8", 40)
    five, one = (whole["history"][key] for key in ("test_error_top5", "test_error"))
    assert len(five) == 40
    assert all(0 <= a <= b <= 1 for a, b in zip(five, one, strict=True))
    assert five != one
    assert records.final(whole)["test_error_top5"] == five[-1]
    power_cut(lambda: _train(root, tmp_path / "cut"), 17)
    assert checkpoint.found(records.path(recipes.get(ID, "small"), 0, tmp_path / "cut").with_suffix(""))[0][0] == 17
    assert _untimed(_train(root, tmp_path / "cut", keep=True)) == _untimed(whole)
    ends = [
        checkpoint.load(records.path(recipes.get(ID, "small"), 0, tmp_path / name).with_suffix(""))["trainer"]["model"]
        for name in ("whole", "cut")
    ]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize(("side", "shown"), [(40, 40), (256, 224)])
def test_a_network_is_built_for_what_it_is_shown_and_not_for_what_is_stored(side, shown, monkeypatch):
    built = []
    monkeypatch.setattr(run.models, "build", lambda *given: built.append(given) or torch.nn.Linear(1, 1))
    pixels, ones = torch.zeros(1, dtype=torch.uint8).expand(6, 3, side, side), torch.ones(3)
    # The last class is among the test pictures alone.
    pictures = data.Images((pixels[:4], torch.arange(4)), (pixels, torch.arange(6)), ones, ones, resized=shown)
    run.build(recipes.get(ID, "small"), pictures, "cpu")
    assert built == [("resnet18-w8", 6, shown)]


def test_a_record_with_more_errors_than_pictures_is_refused(root, tmp_path):
    record = _train(root, tmp_path, "imagenet-subset/vgg16/sgdm")
    assert check.faults(record) == []
    record["history"]["test_error_top5"][3] = 1.5
    assert check.faults(record) == ["history.test_error_top5 leaves [0, 1]"]
    with pytest.raises(jsonschema.ValidationError, match="1.5 is greater than the maximum"):
        jsonschema.validate(record, SCHEMA)


def test_a_part_of_packed_pictures_is_a_sample_of_all_classes():
    numbers = torch.arange(90, dtype=torch.uint8).view(90, 1, 1, 1).expand(90, 3, 8, 8)
    sorted_ones = (numbers, torch.arange(90) // 30)
    pictures = data.Images(sorted_ones, sorted_ones, torch.zeros(3), torch.ones(3), resized=8)
    some = data.split(pictures, 45, 30)
    seen = []
    for (images, labels), count in ((some.train, 45), (some.valid, 30)):
        assert len(images) == len(labels) == count
        assert torch.equal(images[:, 0, 0, 0] // 30, labels)
        assert labels.bincount(minlength=3).min() >= count / 6
        seen += images[:, 0, 0, 0].tolist()
    assert len(set(seen)) == 75, "nothing is trained on and held out"
    again = data.split(pictures, 45, 30)
    assert torch.equal(again.train[0], some.train[0])
    whole = data.split(pictures)
    assert whole.train[0].data_ptr() == numbers.data_ptr(), "all of it is not copied"
    first = data.split(pictures._replace(resized=0), 45, 30)
    assert first.train[0][:, 0, 0, 0].tolist() == list(range(45))
    assert first.valid[0][:, 0, 0, 0].tolist() == list(range(45, 75))


def test_what_is_measured_of_held_out_pictures_has_a_place_in_the_record(root):
    held_out = data.split(data.load("imagenet-subset", root), 12, 9)
    rows = tasks.ImageTask(held_out, 4).evaluate(models.build("resnet18-w2", 7, 40, seed=0).eval())
    assert {"valid_loss", "valid_error", "valid_error_top5"} < set(rows)
    assert set(rows) <= set(SCHEMA["properties"]["history"]["properties"])


def test_a_packed_set_of_another_size_than_there_are_networks_for_says_so(root):
    pictures = data.load("imagenet-subset", root)._replace(resized=200)
    with pytest.raises(ValueError, match="resnet18-w8 is made for .*not of 200"):
        run.build(recipes.get(ID, "small"), pictures, "cpu")
    assert isinstance(run.build(recipes.get(ID, "small"), pictures._replace(resized=64), "cpu")[0], torch.nn.Module)
    assert models.build("resnet18-w8", 7, 64).classifier.out_features == 7


def test_a_packed_set_says_what_was_packed(root):
    manifest = json.loads((root / "imagenet-subset" / "packed-40" / "manifest.json").read_text())
    pictures = data.load("imagenet-subset", root)
    assert pictures.packed == tuple(manifest["parts"][part]["sha256"] for part in ("train", "val"))
    assert len(set(pictures.packed)) == 2
