"""Random resized crops against torchvision's: the pixels of given boxes, and how boxes are drawn."""

import pytest
import torch
from scipy import stats
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms.v2 import functional as vision

from padam.training import resized


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _pictures(count, side):
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=_generator(1))


@pytest.mark.parametrize(("side", "size"), [(64, 64), (64, 48), (48, 64), (256, 224), (9, 5)])
def test_a_box_is_cut_out_and_resized_as_by_torchvision(side, size):
    pictures, boxes = _pictures(40, side), resized.draw(40, side, True, _generator())
    found = resized.crop(pictures, boxes, size)
    assert found.shape == (40, 3, size, size)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    for picture, ours, top, left, height, width, mirrored in zip(pictures, found, *boxes, strict=True):
        theirs = vision.resized_crop(
            picture.float(), int(top), int(left), int(height), int(width), [size, size], antialias=False
        )
        theirs = vision.horizontal_flip(theirs) if mirrored else theirs
        assert torch.allclose(ours, theirs, atol=0.02), (top, left, height, width, mirrored)


def test_the_smallest_boxes_and_the_whole_picture():
    pictures = _pictures(3, 16)
    numbers = torch.tensor([[0, 0, 16, 16], [15, 15, 1, 1], [3, 0, 1, 16]])
    found = resized.crop(pictures, resized.Boxes(*numbers.t(), torch.zeros(3, dtype=torch.bool)), 16)
    assert torch.allclose(found[0], pictures[0].float(), atol=1e-3), "the whole picture at its own size stays"
    assert torch.allclose(found[1], pictures[1, :, 15:, 15:].float().expand(3, 16, 16), atol=1e-3)
    assert torch.allclose(found[2], pictures[2, :, 3:4].float().expand(3, 16, 16), atol=1e-3)


def test_boxes_are_drawn_as_by_torchvision():
    side, count = 64, 4000
    ours = resized.draw(count, side, True, _generator())
    torch.manual_seed(0)
    blank = torch.zeros(3, side, side)
    theirs = torch.tensor([RandomResizedCrop.get_params(blank, resized.SCALE, resized.RATIO) for _ in range(count)]).t()
    for k, name in enumerate(("tops", "lefts", "heights", "widths")):
        assert stats.ks_2samp(ours[k].numpy(), theirs[k].numpy()).statistic < 0.05, name
    shares = [(h * w / side**2).log().numpy() for h, w in ((ours[2], ours[3]), (theirs[2], theirs[3]))]
    assert stats.ks_2samp(*shares).statistic < 0.05
    assert abs(ours.mirrored.double().mean() - 0.5) < 0.03
    assert not resized.draw(count, side, False, _generator()).mirrored.any()


@pytest.mark.parametrize("side", [1, 2, 7, 64])
def test_boxes_lie_within_the_picture(side):
    boxes = resized.draw(3000, side, True, _generator(3))
    for starts, lengths in ((boxes.tops, boxes.heights), (boxes.lefts, boxes.widths)):
        assert starts.dtype == lengths.dtype == torch.int64
        assert starts.min() >= 0
        assert lengths.min() >= 1
        assert (starts + lengths).max() == side


def test_where_no_box_fits_the_whole_picture_is_taken(monkeypatch):
    monkeypatch.setattr(resized, "SCALE", (1.0, 1.0))
    monkeypatch.setattr(resized, "RATIO", (1.3, 1.33))
    boxes = resized.draw(50, 32, True, _generator())
    assert (boxes.heights == 32).all()
    assert (boxes.widths == 32).all()
    assert (boxes.tops == 0).all()


def test_a_seed_is_a_draw_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, again, other = (resized.draw(20, 64, True, _generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one.heights, other.heights)
