"""Crops, flips and normalisation against torchvision's; what is drawn, and that no picture is lost."""

import os
from pathlib import Path

import pytest
import torch

from padam import data
from padam.training import augment, tasks

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
CORNERS = torch.cartesian_prod(torch.arange(9), torch.arange(9), torch.arange(2))  # 81 offsets, mirrored or not


def _generator(seed):
    return torch.Generator().manual_seed(seed)


def _pictures(count, height=32, width=32, seed=0):
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=_generator(seed))


def _data(count, *, shift=4, flip=True, holdout=0):
    """Pictures whose labels are their numbers, so that a batch says which it holds."""
    found = data.Images(
        (_pictures(count), torch.arange(count)), (_pictures(9, seed=1), torch.arange(9)), MEAN, STD, None, shift, flip
    )
    return data.split(found, holdout=holdout)


@pytest.fixture
def vision():
    """torchvision's functions on pictures."""
    return pytest.importorskip("torchvision.transforms.v2.functional")


def _cropped(vision, picture, row, column, mirrored, shift=4):
    """torchvision's zero-padded crop, mirrored afterwards."""
    cut = vision.crop(vision.pad(picture, [shift], fill=0), int(row), int(column), *picture.shape[1:])
    return vision.horizontal_flip(cut) if mirrored else cut


@pytest.mark.parametrize("size", [(32, 32), (28, 31)])
def test_every_crop_and_flip_is_torchvisions(size, vision):
    pictures = _pictures(len(CORNERS), *size)
    shifts = augment.Shifts(CORNERS[:, 0], CORNERS[:, 1], CORNERS[:, 2].bool())
    chosen = torch.randperm(len(CORNERS), generator=_generator(2))
    found = augment.crop(augment.padded(pictures, 4), chosen, shifts, size)
    expected = torch.stack([_cropped(vision, pictures[i], *CORNERS[i]) for i in chosen])
    assert found.dtype == torch.uint8
    assert torch.equal(found, expected)


def test_offsets_are_uniform_and_independent_and_half_are_mirrored():
    rows, columns, mirrored = augment.draw(20_000, 4, True, _generator(0))
    assert (rows.dtype, columns.dtype, mirrored.dtype) == (torch.int64, torch.int64, torch.bool)
    for numbers, kinds in (
        (rows, 9),
        (columns, 9),
        (9 * rows + columns, 81),
        (2 * rows + mirrored, 18),
        (2 * columns + mirrored, 18),
        (mirrored.long(), 2),
    ):
        counts = numbers.bincount(minlength=kinds).double()
        expected = 20_000 / kinds
        assert len(counts) == kinds
        assert ((counts - expected) ** 2 / expected).sum() < kinds + 5 * (2 * kinds) ** 0.5  # chi-squared


@pytest.mark.parametrize(("shift", "flip"), [(4, False), (2, True), (0, True)])
def test_offsets_stay_within_the_shift_and_nothing_is_mirrored_without_flip(shift, flip):
    rows, columns, mirrored = augment.draw(1000, shift, flip, _generator(0))
    for numbers in (rows, columns):
        assert (numbers.min(), numbers.max()) == (0, 2 * shift)
    assert mirrored.any() == flip


def test_a_draw_follows_from_its_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = augment.draw(50, 4, True, _generator(5))
    torch.rand(3)
    same, other = (augment.draw(50, 4, True, _generator(seed)) for seed in (5, 6))
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert {part.device.type for part in one} == {"cpu"}


def test_batches_leave_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(tasks.ImageTask(_data(20), 8).batches(_generator(0), _generator(1)))
    assert torch.equal(torch.get_rng_state(), before)


def _by_number(batches):
    """The pictures of an epoch in the order of their numbers."""
    images, numbers = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return images[numbers.argsort()]


def test_an_epoch_is_torchvisions_transforms_of_what_was_drawn(vision):
    """Pad, crop and mirror, scale to [0, 1], normalise."""
    given = _data(30)
    found = _by_number(tasks.ImageTask(given, 8).batches(_generator(3), _generator(4)))
    drawn = augment.draw(30, 4, True, _generator(4))
    for picture, numbers, corner in zip(found, given.train[0], zip(*drawn, strict=True), strict=True):
        unit = vision.to_dtype(_cropped(vision, numbers, *corner), torch.float32, scale=True)
        torch.testing.assert_close(picture, vision.normalize(unit, MEAN, STD), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shift", "flip"), [(4, True), (0, False)])
def test_every_picture_is_seen_once_an_epoch_and_the_last_batch_is_smaller(shift, flip):
    task, order = tasks.ImageTask(_data(52, shift=shift, flip=flip), 16), _generator(0)
    epochs = [[labels for _, labels in task.batches(order, _generator(1))] for _ in range(2)]
    for epoch in epochs:
        assert [len(labels) for labels in epoch] == [16, 16, 16, 4]
        assert task.steps == len(epoch)
        assert torch.cat(epoch).sort().values.tolist() == list(range(52))
    assert torch.cat(epochs[0]).tolist() != torch.cat(epochs[1]).tolist() != list(range(52))


def test_each_epoch_draws_anew_and_the_same_seeds_give_the_same_epochs():
    task = tasks.ImageTask(_data(40), 16)

    def epochs(seed):
        order, augmentation = _generator(0), _generator(seed)
        return [_by_number(task.batches(order, augmentation)) for _ in range(2)]

    first, second = epochs(7)
    differ = (first != second).flatten(1).any(1)
    assert differ.float().mean() > 0.9  # the same corner twice, and the same way round, is one in 162
    assert all(torch.equal(a, b) for a, b in zip((first, second), epochs(7), strict=True))
    assert not torch.equal(first, epochs(8)[0])


def test_what_flows_in_is_black_before_normalisation():
    given = _data(60)
    given.train[0].fill_(255)
    found = _by_number(tasks.ImageTask(given, 60).batches(_generator(0), _generator(1)))
    rows, columns, mirrored = augment.draw(60, 4, True, _generator(1))
    black, white = -MEAN / STD, (1 - MEAN) / STD
    for picture, row, column, turned in zip(found, rows, columns, mirrored, strict=True):
        inside = torch.zeros(40, 40, dtype=torch.bool)
        inside[4:36, 4:36] = True
        inside = inside[row : row + 32, column : column + 32]
        inside = inside.flip(1) if turned else inside
        expected = torch.where(inside, white[:, None, None], black[:, None, None])
        torch.testing.assert_close(picture, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shift", "flip"), [(4, True), (4, False), (0, True), (0, False)])
def test_batches_are_float32_channels_last_and_the_data_stay_as_they_are(shift, flip):
    given = _data(20, shift=shift, flip=flip)
    kept = [part.clone() for part in (*given.train, *given.test, given.mean, given.std)]
    for images, labels in tasks.ImageTask(given, 8).batches(_generator(0), _generator(1)):
        assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
        assert images.shape[1:] == (3, 32, 32)
        assert images.is_contiguous(memory_format=torch.channels_last)
    parts = (*given.train, *given.test, given.mean, given.std)
    assert all(torch.equal(*pair) for pair in zip(kept, parts, strict=True))


def _normalised(images):
    return (images / 255 - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)


def test_without_shift_and_flip_pictures_are_not_touched_and_nothing_is_drawn():
    given, augmentation = _data(30, shift=0, flip=False), _generator(1)
    before = augmentation.get_state()
    found = _by_number(tasks.ImageTask(given, 8).batches(_generator(0), augmentation))
    torch.testing.assert_close(found, _normalised(given.train[0]), rtol=1e-5, atol=1e-6)
    assert torch.equal(augmentation.get_state(), before)


@pytest.mark.parametrize(("shift", "flip"), [(0, True), (4, False)])
def test_shift_and_flip_work_alone(shift, flip):
    given = _data(60, shift=shift, flip=flip)
    found = _by_number(tasks.ImageTask(given, 60).batches(_generator(0), _generator(1)))
    plain = _normalised(given.train[0])
    same = torch.isclose(found, plain, rtol=1e-5, atol=1e-6).flatten(1).all(1)
    turned = torch.isclose(found, plain.flip(3), rtol=1e-5, atol=1e-6).flatten(1).all(1)
    if flip:
        assert (same ^ turned).all()
        assert 15 < turned.sum() < 45
    else:
        assert not turned.any()
        assert same.sum() < 6  # one in 81


def test_evaluation_is_never_augmented():
    """Test and held-out pictures come whole, once, in order, with their own labels."""
    given, seen = _data(700, holdout=300), []

    def network(images):
        assert images.is_contiguous(memory_format=torch.channels_last)
        seen.append(images.clone())
        return torch.nn.functional.one_hot(torch.zeros(len(images), dtype=torch.int64), 700).double()

    found = tasks.ImageTask(given, 8).evaluate(network)
    both = torch.cat((given.test[0], given.valid[0]))
    torch.testing.assert_close(torch.cat(seen), _normalised(both), rtol=1e-5, atol=1e-6)
    assert found["test_error"] == pytest.approx(8 / 9)  # all are taken for a 0
    assert found["valid_error"] == 1
    miss = torch.tensor(699 + torch.e).log().item()
    assert found["test_loss"] == pytest.approx(miss - 1 / 9, rel=1e-6)
    assert found["valid_loss"] == pytest.approx(miss, rel=1e-6)


@pytest.mark.parametrize(
    ("train_size", "holdout", "train", "valid"),
    [
        (None, 0, range(20), None),
        (None, 5, range(15), range(15, 20)),
        (12, 0, range(12), None),
        (12, 5, range(12), range(12, 17)),
        (15, 5, range(15), range(15, 20)),
        (1, 19, range(1), range(1, 20)),
    ],
)
def test_a_split_trains_on_the_first_and_holds_out_the_next(train_size, holdout, train, valid):
    whole = _data(20)
    found = data.split(whole, train_size, holdout)
    assert found.train[1].tolist() == list(train)
    assert torch.equal(found.train[0], whole.train[0][: len(train)])
    assert found._replace(train=whole.train, valid=None) == whole
    if valid is None:
        assert found.valid is None
    else:
        assert found.valid[1].tolist() == list(valid)
        assert torch.equal(found.valid[0], whole.train[0][valid.start : valid.stop])


@pytest.mark.parametrize(("train_size", "holdout"), [(21, 0), (16, 5), (None, 20), (None, 21), (0, 5), (5, -1)])
def test_a_split_into_more_than_there_is_or_into_nothing_is_an_error(train_size, holdout):
    with pytest.raises(ValueError, match=f"and {holdout} to hold out were asked for, but there are 20"):
        data.split(_data(20), train_size, holdout)


def test_what_is_held_out_is_not_trained_on():
    task = tasks.ImageTask(_data(52, holdout=12), 16)
    numbers = torch.cat([labels for _, labels in task.batches(_generator(0), _generator(1))])
    assert sorted(numbers.tolist()) == list(range(40))


def test_real_pictures_go_through_the_same_transforms(vision):
    root = os.environ.get("PADAM_DATA") or Path(__file__).resolve().parent.parent / "data"
    try:
        whole = data.load("cifar10", root)
    except FileNotFoundError as error:
        pytest.skip(f"needs CIFAR-10: {error}")
    given = data.split(whole, 100, 20)
    given = given._replace(train=(given.train[0], torch.arange(100)))
    found = _by_number(tasks.ImageTask(given, 32).batches(_generator(0), _generator(1)))
    for i, corner in enumerate(zip(*augment.draw(100, 4, True, _generator(1)), strict=True)):
        unit = vision.to_dtype(_cropped(vision, whole.train[0][i], *corner), torch.float32, scale=True)
        expected = vision.normalize(unit, [0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
        torch.testing.assert_close(found[i], expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(given.valid[0], whole.train[0][100:120])
