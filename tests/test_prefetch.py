"""Pictures read batch by batch: the same batches, never many at once, faults that surface, no thread left behind."""

import threading

import pytest
import torch

from padam import data, models, optim
from padam.training import engine, prefetch, provenance, tasks


def _data(count=23, side=12, shown=8):
    """Pictures of noise in five classes; the middle of the side is evaluated."""
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=noise)
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    part = (images, torch.arange(count) % 5)
    return data.Images(part, (images[:9], part[1][:9]), mean, std, part, flip=True, resized=shown)


def _generators(seed=3):
    return [torch.Generator().manual_seed(seed + k) for k in range(2)]


def _threads():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pictures")]


@pytest.fixture
def reads(monkeypatch):
    """What is read, as it is read: the numbers of the pictures of each piece."""
    seen, read = [], prefetch._read
    monkeypatch.setattr(prefetch, "_read", lambda *given: seen.append(given[1].tolist()) or read(*given))
    return seen


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_streamed_batches_are_those_of_resident_pictures_bit_for_bit(batch_size, reads):
    resident, streamed = (tasks.ImageTask(_data(), batch_size, streamed=how) for how in (False, True))
    one, other = _generators(), _generators()
    for _ in range(2):  # epochs, of which the second goes on with the generators
        pairs = list(zip(resident.batches(*one), streamed.batches(*other), strict=True))
        assert len(pairs) == resident.steps == streamed.steps
        for (images, labels), (same_images, same_labels) in pairs:
            assert torch.equal(images, same_images)
            assert torch.equal(labels, same_labels)
            assert same_images.is_contiguous(memory_format=torch.channels_last)
    assert sorted(sum(reads, [])) == sorted(2 * list(range(23)))
    assert max(map(len, reads)) == min(batch_size, 23)


def test_evaluation_of_streamed_pictures_is_the_same(reads, monkeypatch):
    monkeypatch.setattr(tasks.ImageTask, "_at_once", lambda self: 4)
    network = models.build("convnet-w4", 5, seed=0).eval()
    rows = [tasks.ImageTask(_data(), 4, streamed=how).evaluate(network) for how in (False, True)]
    assert rows[0] == rows[1]
    assert reads == [list(range(k, min(k + 4, n))) for n in (9, 23) for k in range(0, n, 4)]
    assert not _threads()


def test_an_epoch_of_a_trainer_is_the_same_and_leaves_no_thread(monkeypatch):
    rows, weights = [], []
    for how in (False, True):
        monkeypatch.setattr(prefetch, "too_large", lambda *given, how=how: how)
        network = models.build("convnet-bn-w4", 5, seed=0)
        trainer = engine.Trainer(
            network, _data(side=40, shown=33), optim.build("sgdm", network.parameters(), lr=0.1), batch_size=5
        )
        assert trainer.task.streamed == how
        for _ in range(2):
            row = trainer.run_epoch()
        del row["seconds"]
        rows.append(row)
        weights.append(network.state_dict())
    assert rows[0] == rows[1]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert not _threads()


def test_only_a_few_batches_are_read_before_they_are_asked_for(reads):
    task, taken = tasks.ImageTask(_data(), 2, streamed=True), 0
    for _ in task.batches(*_generators()):
        taken += 1
        assert taken <= len(reads) + 1
        threading.Event().wait(0.02)  # time enough to read everything
        assert len(reads) == min(taken + prefetch.AHEAD, task.steps)
    assert taken == 12


def test_what_goes_wrong_in_the_thread_is_raised_in_training(monkeypatch):
    read, count = prefetch._read, iter(range(100))

    def failing(*given):
        if next(count) == 3:
            raise OSError(5, "the disk is gone")
        return read(*given)

    monkeypatch.setattr(prefetch, "_read", failing)
    monkeypatch.setattr(prefetch, "too_large", lambda *given: True)
    network = models.build("convnet-w4", 5, seed=0)
    trainer = engine.Trainer(network, _data(), optim.build("sgdm", network.parameters(), lr=0.1), batch_size=2)
    with pytest.raises(OSError, match="the disk is gone") as caught:
        trainer.run_epoch()
    assert not _threads(), caught
    assert next(count) <= 4 + prefetch.AHEAD


def test_training_that_ends_early_leaves_no_thread(monkeypatch, reads):
    monkeypatch.setattr(prefetch, "too_large", lambda *given: True)
    network = models.build("convnet-w4", 5, seed=0)
    trainer = engine.Trainer(network, _data(), optim.build("sgdm", network.parameters(), lr=0.1), batch_size=2)

    def stop():
        assert _threads(), "it reads in a thread"
        raise KeyboardInterrupt

    trainer.tick = stop
    with pytest.raises(KeyboardInterrupt) as caught:
        trainer.train_epoch()
    assert not _threads(), caught  # though the exception still holds the frames
    assert len(reads) <= 1 + prefetch.AHEAD
    batches = trainer.task.batches(*_generators())
    next(batches)
    assert _threads()
    batches.close()
    assert not _threads()


def test_on_a_cpu_nothing_is_copied_and_nothing_streamed():
    pictures = _data()
    task = tasks.ImageTask(pictures, 4)
    assert not task.streamed
    assert task.pictures.data_ptr() == pictures.train[0].data_ptr()
    assert task.parts["test"][0].data_ptr() == pictures.test[0].data_ptr()
    assert task.parts["valid"][0].data_ptr() == pictures.valid[0].data_ptr()


def test_what_is_too_large_for_a_card(monkeypatch):
    """Looked at without one: 55 pictures of 432 bytes are 23,760."""
    pictures, card, free = _data(), torch.device("cuda"), [4 * 23_760]
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free[0], 80e9))
    monkeypatch.delenv("PADAM_RESIDENT", raising=False)
    assert not prefetch.too_large(pictures, card)
    free[0] -= 4
    assert prefetch.too_large(pictures, card)
    assert not prefetch.too_large(pictures._replace(valid=None), card)
    assert not prefetch.too_large(pictures, torch.device("cpu"))
    assert not prefetch.too_large(pictures._replace(resized=0), card), "only what is packed is streamed"
    for said, expected in (("0", True), ("0.0000237", True), ("0.0000238", False), ("8", False), ("", True)):
        monkeypatch.setenv("PADAM_RESIDENT", said)
        assert prefetch.too_large(pictures, card) == expected, said
    monkeypatch.setenv("PADAM_RESIDENT", "much")
    with pytest.raises(ValueError, match="PADAM_RESIDENT is 'much'; it takes a number of GB, such as 8, or 0"):
        prefetch.too_large(pictures, card)


@pytest.mark.parametrize(
    ("shown", "on_cpu", "on_card"),
    [(0, 250, 2000), (28, 250, 2000), (32, 250, 2000), (64, 62, 2000), (224, 5, 500), (448, 1, 125), (9000, 1, 1)],
)
def test_of_larger_pictures_fewer_are_evaluated_at_a_time(shown, on_cpu, on_card):
    task = tasks.ImageTask(_data(), 4)
    task.resized = shown
    assert task._at_once() == on_cpu
    task.device = torch.device("cuda")
    assert task._at_once() == on_card


def test_the_hash_of_packed_pictures_is_made_without_reading_them():
    pixels = torch.empty(6, 3, 256, 256, dtype=torch.uint8, device="meta")  # there is nothing in it to be read
    labels, one = torch.arange(6), torch.ones(3)
    pictures = data.Images((pixels, labels), (pixels, labels), one, one, resized=224, packed=("ab", "cd"))
    found = {
        provenance.data_hash(each)
        for each in (
            pictures,
            pictures._replace(packed=("ab", "ce")),
            pictures._replace(packed=("abc", "d")),
            pictures._replace(train=(pixels, labels.flip(0))),
            pictures._replace(train=(pixels[:5], labels[:5])),
            pictures._replace(test=(pixels[:5], labels[:5])),
            pictures._replace(valid=(pixels[:1], labels[:1])),
        )
    }
    assert len(found) == 7
    assert all(len(each) == 64 for each in found)
    assert provenance.data_hash(pictures) in found
    here = torch.zeros(6, 3, 4, 4, dtype=torch.uint8)
    plain = pictures._replace(train=(here, labels), test=(here, labels), packed=())
    assert provenance.data_hash(plain) != provenance.data_hash(plain._replace(train=(here + 1, labels)))
