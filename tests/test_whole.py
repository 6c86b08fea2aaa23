"""Pictures with sides of their own: torchvision's crops, resident or streamed; square ones are as a tensor of them."""

import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from padam import data, models, optim
from padam.data import whole
from padam.training import boxes, engine, prefetch, tasks

SIDES = [(12, 12), (12, 31), (40, 12), (13, 12), (12, 17), (12, 12), (12, 200), (15, 12), (12, 13), (12, 16), (25, 12)]


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _each(sides):
    """Pictures of noise of these sides, each a tensor."""
    noise = _generator(1)
    return [torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=noise) for size in sides]


def _together(pictures):
    heights, widths = torch.tensor([picture.shape[1:] for picture in pictures]).t()
    return whole.WholePictures.over(torch.cat([picture.flatten() for picture in pictures]), heights, widths)


def _apart(pictures):
    """The tensor of each of `WholePictures`."""
    found = (pictures[k : k + 1] for k in range(len(pictures)))
    return [one.together().pixels.view(3, int(one.heights), int(one.widths)) for one in found]


def _same(some, others):
    return len(some) == len(others) and all(map(torch.equal, some, others))


def test_any_of_them_can_be_chosen_and_no_pixel_is_copied():
    each = _each(SIDES)
    pictures = _together(each)
    assert len(pictures) == len(SIDES)
    assert _same(_apart(pictures), each)
    for some in (torch.tensor([4, 0, 6, 0]), slice(2, 5)):
        chosen = pictures[some]
        wanted = each[some] if isinstance(some, slice) else [each[k] for k in some]
        assert chosen.pixels.data_ptr() == pictures.pixels.data_ptr()
        assert _same(_apart(chosen), wanted)
        copied = chosen.together()
        assert torch.equal(copied.pixels, torch.cat([picture.flatten() for picture in wanted]))
        assert _same(_apart(copied), wanted)
        assert chosen.nbytes == len(copied.pixels)
        assert chosen.to("meta").pixels.shape == (chosen.nbytes,), "only their own pixels go to another device"
    assert pictures.to("cpu") is pictures
    assert pictures.to("meta").heights.device.type == "meta"


def test_boxes_are_cut_out_and_resized_as_by_torchvision():
    each = _each(SIDES)
    pictures = _together(each)
    drawn = boxes.draw(*whole.sides(pictures), True, _generator())
    found = boxes.crop(pictures, drawn, 10)
    assert found.shape == (len(SIDES), 3, 10, 10)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    for picture, ours, top, left, height, width, mirrored in zip(each, found, *drawn, strict=True):
        place = [int(part) for part in (top, left, height, width)]
        theirs = vision.resized_crop(picture.float(), *place, [10, 10], antialias=False)
        theirs = vision.horizontal_flip(theirs) if mirrored else theirs
        assert torch.allclose(ours, theirs, atol=0.02), (picture.shape, place, mirrored)


@pytest.mark.parametrize("size", [12, 11, 7, 8])
def test_the_middle_is_torchvisions(size):
    each = _each(SIDES)
    found = boxes.middle(_together(each), size)
    assert found.dtype == torch.uint8
    for picture, ours in zip(each, found, strict=True):
        assert torch.equal(ours, vision.center_crop(picture, [size, size])), picture.shape


def test_square_pictures_give_the_crops_that_a_tensor_of_them_gives():
    each = _each([(12, 12)] * 9)
    square, pictures = torch.stack(each), _together(each)
    assert all(map(torch.equal, whole.sides(square), whole.sides(pictures)))
    drawn = boxes.draw(*whole.sides(square), True, _generator())
    assert torch.allclose(boxes.crop(pictures, drawn, 8), boxes.crop(square, drawn, 8), atol=0.02)
    assert torch.equal(boxes.middle(pictures, 7), boxes.middle(square, 7))


# --- in training


def _data(count=23, least=12, shown=8):
    sides = [(least, least + 3 * k) if k % 2 else (least + k, least) for k in range(count)]
    images = _together(_each(sides))
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    labels = torch.arange(count) % 5
    return data.Images((images, labels), (images[:9], labels[:9]), mean, std, flip=True, resized=shown, packed=("ab",))


def test_an_epoch_is_torchvisions_transforms_of_what_was_drawn():
    found = _data()._replace(train=(_data().train[0], torch.arange(23)))
    each = _apart(found.train[0])
    drawn = boxes.draw(*whole.sides(found.train[0]), True, _generator(2))
    batches = list(tasks.ImageTask(found, 4).batches(_generator(1), _generator(2)))
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(23))
    for images, labels in batches:
        for image, k in zip(images, labels.tolist(), strict=True):
            place = [int(part[k]) for part in drawn[:4]]
            theirs = vision.resized_crop(each[k].float(), *place, [8, 8], antialias=False)
            theirs = vision.horizontal_flip(theirs) if drawn.mirrored[k] else theirs
            theirs = vision.normalize(theirs / 255, found.mean.tolist(), found.std.tolist())
            assert torch.allclose(image, theirs, atol=1e-3)


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_streamed_they_are_the_same_bit_for_bit(batch_size):
    resident, streamed = (tasks.ImageTask(_data(), batch_size, streamed=how) for how in (False, True))
    batches = [task.batches(_generator(3), _generator(4)) for task in (resident, streamed)]
    for (images, labels), (same_images, same_labels) in zip(*batches, strict=True):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


def test_the_middle_squares_are_evaluated_streamed_or_not(monkeypatch):
    monkeypatch.setattr(tasks.ImageTask, "_at_once", lambda self: 4)
    network, found = models.build("convnet-w4", 5, seed=0).eval(), _data()
    middles = torch.stack([vision.center_crop(picture, [8, 8]) for picture in _apart(found.test[0])])
    square = found._replace(train=(middles, found.test[1]), test=(middles, found.test[1]))
    rows = [tasks.ImageTask(found, 4, streamed=how).evaluate(network) for how in (False, True)]
    assert rows[0] == rows[1] == tasks.ImageTask(square, 4).evaluate(network)


def test_a_part_of_them_is_not_copied_and_trains_the_same_streamed(monkeypatch):
    found = _data(least=40, shown=33)
    some = data.split(found, 12, 6)
    assert [len(part[0]) for part in (some.train, some.valid)] == [len(part[1]) for part in (some.train, some.valid)]
    assert len(some.train[0]) == 12
    assert some.train[0].pixels.data_ptr() == found.train[0].pixels.data_ptr()
    numbers = [set(part[0].offsets.tolist()) for part in (some.train, some.valid)]
    assert not numbers[0] & numbers[1]
    rows = []
    for how in (False, True):
        monkeypatch.setattr(prefetch, "too_large", lambda *given, how=how: how)
        network = models.build("convnet-bn-w4", 5, seed=0)
        trainer = engine.Trainer(network, some, optim.build("sgdm", network.parameters(), lr=0.1), batch_size=5)
        assert trainer.task.streamed == how
        rows.append(trainer.run_epoch())
        del rows[-1]["seconds"]
    assert rows[0] == rows[1]
    assert "valid_error_top5" in rows[0]


def test_too_large_for_a_card_is_what_they_take_and_not_what_lies_between(monkeypatch):
    pictures = data.split(_data(), 3, 2)
    size = sum(part[0].nbytes for part in (pictures.train, pictures.valid, pictures.test))
    assert size < len(pictures.train[0].pixels)
    for limit, expected in ((size, False), (size - 1, True)):
        monkeypatch.setenv("PADAM_RESIDENT", str(limit / 1e9))
        assert prefetch.too_large(pictures, torch.device("cuda")) == expected
