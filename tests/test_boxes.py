"""Random resized crops against torchvision's: the pixels of given drawn, and how drawn are drawn."""

import pytest
import torch
from scipy import stats
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as vision

from padam import data
from padam.training import boxes, tasks


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _draw(count, side, flip, generator):
    """Boxes of square pictures."""
    return boxes.draw(*[torch.full((count,), side)] * 2, flip, generator)


def _pictures(count, side):
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=_generator(1))


@pytest.mark.parametrize(("side", "size"), [(64, 64), (64, 48), (48, 64), (256, 224), (9, 5)])
def test_a_box_is_cut_out_and_resized_as_by_torchvision(side, size):
    pictures, drawn = _pictures(40, side), _draw(40, side, True, _generator())
    found = boxes.crop(pictures, drawn, size)
    assert found.shape == (40, 3, size, size)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    for picture, ours, top, left, height, width, mirrored in zip(pictures, found, *drawn, strict=True):
        theirs = vision.resized_crop(
            picture.float(), int(top), int(left), int(height), int(width), [size, size], antialias=False
        )
        theirs = vision.horizontal_flip(theirs) if mirrored else theirs
        assert torch.allclose(ours, theirs, atol=0.02), (top, left, height, width, mirrored)


def test_the_smallest_boxes_and_the_whole_picture():
    pictures = _pictures(3, 16)
    numbers = torch.tensor([[0, 0, 16, 16], [15, 15, 1, 1], [3, 0, 1, 16]])
    found = boxes.crop(pictures, boxes.Boxes(*numbers.t(), torch.zeros(3, dtype=torch.bool)), 16)
    assert torch.allclose(found[0], pictures[0].float(), atol=1e-3), "the whole picture at its own size stays"
    assert torch.allclose(found[1], pictures[1, :, 15:, 15:].float().expand(3, 16, 16), atol=1e-3)
    assert torch.allclose(found[2], pictures[2, :, 3:4].float().expand(3, 16, 16), atol=1e-3)


def test_boxes_are_drawn_as_by_torchvision():
    side, count = 64, 4000
    ours = _draw(count, side, True, _generator())
    torch.manual_seed(0)
    blank = torch.zeros(3, side, side)
    theirs = torch.tensor([RandomResizedCrop.get_params(blank, boxes.SCALE, boxes.RATIO) for _ in range(count)]).t()
    for k, name in enumerate(("tops", "lefts", "heights", "widths")):
        assert stats.ks_2samp(ours[k].numpy(), theirs[k].numpy()).statistic < 0.05, name
    shares = [(h * w / side**2).log().numpy() for h, w in ((ours[2], ours[3]), (theirs[2], theirs[3]))]
    assert stats.ks_2samp(*shares).statistic < 0.05
    assert abs(ours.mirrored.double().mean() - 0.5) < 0.03
    assert not _draw(count, side, False, _generator()).mirrored.any()


@pytest.mark.parametrize("side", [1, 2, 7, 64])
def test_boxes_lie_within_the_picture(side):
    drawn = _draw(3000, side, True, _generator(3))
    for starts, lengths in ((drawn.tops, drawn.heights), (drawn.lefts, drawn.widths)):
        assert starts.dtype == lengths.dtype == torch.int64
        assert starts.min() >= 0
        assert lengths.min() >= 1
        assert (starts + lengths).max() == side


def test_boxes_of_oblong_pictures_are_drawn_as_by_torchvision():
    height, width, count = 50, 91, 4000
    sides = torch.full((count,), height), torch.full((count,), width)
    ours = boxes.draw(*sides, True, _generator())
    torch.manual_seed(0)
    blank = torch.zeros(3, height, width)
    theirs = torch.tensor([RandomResizedCrop.get_params(blank, boxes.SCALE, boxes.RATIO) for _ in range(count)]).t()
    for k, name in enumerate(("tops", "lefts", "heights", "widths")):
        assert stats.ks_2samp(ours[k].numpy(), theirs[k].numpy()).statistic < 0.05, name
    assert (ours.tops + ours.heights).max() == height
    assert (ours.lefts + ours.widths).max() == width
    assert min(ours.tops.min(), ours.lefts.min()) == 0


def test_every_picture_has_a_box_of_its_own_sides():
    heights, widths = torch.tensor([8, 60, 64, 1] * 500), torch.tensor([40, 8, 64, 1] * 500)
    drawn = boxes.draw(heights, widths, True, _generator())
    for starts, lengths, sides in ((drawn.tops, drawn.heights, heights), (drawn.lefts, drawn.widths, widths)):
        assert starts.min() >= 0
        assert lengths.min() >= 1
        assert (starts + lengths <= sides).all()
    assert drawn.lefts[::4].max() > 25


@pytest.mark.parametrize(("height", "width"), [(32, 32), (10, 95), (95, 10), (9, 12), (3, 11), (1, 1)])
def test_where_no_box_fits_it_is_torchvisions_in_the_middle(height, width, monkeypatch):
    monkeypatch.setattr(boxes, "SCALE", (50.0, 50.0))
    drawn = boxes.draw(torch.full((9,), height), torch.full((9,), width), True, _generator())
    theirs = RandomResizedCrop.get_params(torch.zeros(3, height, width), [50.0, 50.0], list(boxes.RATIO))
    assert {tuple(int(part[k]) for part in drawn[:4]) for k in range(9)} == {theirs}


def test_a_seed_is_a_draw_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, again, other = (_draw(20, 64, True, _generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.heights, other.heights)


# --- in training


def _data(side=12, resized_to=8, flip=True):
    """Pictures whose labels are their numbers."""
    images = _pictures(7, side)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    return data.Images((images, torch.arange(7)), (images, torch.arange(7)), mean, std, flip=flip, resized=resized_to)


def test_an_epoch_is_torchvisions_transforms_of_what_was_drawn():
    found = _data()
    task = tasks.ImageTask(found, 3)
    batches = list(task.batches(_generator(1), _generator(2)))
    assert [len(labels) for _, labels in batches] == [3, 3, 1]
    drawn = _draw(7, 12, True, _generator(2))
    for images, labels in batches:
        for image, k in zip(images, labels.tolist(), strict=True):
            top, left, height, width = (int(part[k]) for part in drawn[:4])
            theirs = vision.resized_crop(found.train[0][k].float(), top, left, height, width, [8, 8], antialias=False)
            theirs = vision.horizontal_flip(theirs) if drawn.mirrored[k] else theirs
            theirs = vision.normalize(theirs / 255, found.mean.tolist(), found.std.tolist())
            assert torch.allclose(image, theirs, atol=1e-3)
    assert sorted(torch.cat([labels for _, labels in batches]).tolist()) == list(range(7))


class Constant(torch.nn.Module):
    """Gives the same logits to every picture, and keeps what it was shown."""

    def forward(self, images):
        self.seen = images
        return torch.arange(7.0).expand(len(images), -1)


@pytest.mark.parametrize(("side", "size", "begin"), [(12, 8, 2), (13, 8, 2), (8, 8, 0)])
def test_the_middle_is_evaluated_and_the_likeliest_five_count(side, size, begin):
    model, found = Constant(), _data(side, size)
    rows = tasks.ImageTask(found, 3).evaluate(model)
    middle = vision.center_crop(found.test[0], [size, size])
    assert torch.equal(middle, found.test[0][..., begin : begin + size, begin : begin + size])
    theirs = vision.normalize(middle.float() / 255, found.mean.tolist(), found.std.tolist())
    assert torch.allclose(model.seen, theirs, atol=1e-5)
    assert rows["test_error"] == pytest.approx(6 / 7)  # 6 is always the likeliest
    assert rows["test_error_top5"] == pytest.approx(2 / 7)  # 0 and 1 never are among five
    assert rows["test_loss"] == pytest.approx((torch.arange(7.0).logsumexp(0) - 3).item())
    assert set(rows) == {"test_loss", "test_error", "test_error_top5"}


def test_without_resizing_there_is_no_top_five():
    assert "test_error_top5" not in tasks.ImageTask(_data(8, 0), 3).evaluate(Constant())
