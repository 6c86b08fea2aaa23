"""Text: the regularised LSTM against its formulas, how it is read, trained and scored."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from padam import data, models, optim, recipes, training
from padam.models import Regularisation, lstm
from padam.training import checkpoint, engine, run, tasks


@pytest.fixture(scope="module")
def text():
    return data.load("pydoc")


@pytest.fixture
def small(text):
    """A text of 3,000 words with a word before the first, and two short ones of unequal lengths to score."""
    return text._replace(train=text.train[:3000], valid=text.valid[:150], test=text.test[:401], first=7)


def _network(**regularisation):
    """A network whose state matters for what comes next."""
    network = models.build("lstm2-h16", vocabulary=1000, seed=0, regularisation=Regularisation(**regularisation))
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(4)
    return network


def _tokens(times=9, columns=3):
    return torch.randint(0, 1000, (times, columns), generator=torch.Generator().manual_seed(3))


# --- the network


def test_with_everything_off_it_is_torchs_lstm():
    network, tokens = _network(), _tokens()
    x = network.embedding(tokens)
    for layer in network.layers:
        plain = nn.LSTM(layer.input_size, layer.hidden_size)
        plain.load_state_dict(layer.state_dict())
        x, _ = plain(x)
    logits, states, penalty = network.penalised(tokens)
    assert torch.equal(logits, x @ network.embedding.weight.T + network.decoder.bias)
    assert penalty == 0
    assert [tuple(h.shape) for h, _ in states] == [(1, 3, 16), (1, 3, 6)]


def test_outside_of_training_nothing_is_dropped_and_nothing_penalised():
    strong = _network(words=0.5, inputs=0.5, hidden=0.5, output=0.5, weights=0.5, activation=2, temporal=1)
    tokens = _tokens()
    assert strong.train().penalised(tokens)[2] > 0
    assert not torch.equal(strong(tokens)[0], strong(tokens)[0])
    strong.eval()
    logits, _, penalty = strong.penalised(tokens)
    assert torch.equal(logits, _network()(tokens)[0])
    assert penalty == 0


def test_dropped_words_are_dropped_wherever_they_occur():
    torch.manual_seed(0)
    weight = torch.ones(20_000, 4)
    dropped = lstm.words_dropped(weight, 0.1)
    zero = (dropped == 0).all(1)
    assert torch.equal(zero, (dropped == 0).any(1))  # a whole row or nothing of it
    assert zero.float().mean() == pytest.approx(0.1, abs=0.01)
    assert torch.allclose(dropped[~zero], torch.tensor(1 / 0.9))
    assert lstm.words_dropped(weight, 0.0) is weight


def test_locked_dropout_drops_the_same_places_at_all_times():
    torch.manual_seed(0)
    x = torch.ones(7, 50, 400)
    dropped = lstm.locked(x, 0.4)
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))
    assert (dropped == 0).float().mean() == pytest.approx(0.4, abs=0.02)
    assert torch.allclose(dropped[dropped > 0], torch.tensor(1 / 0.6))
    columns = (dropped[0] == 0).float()
    assert not torch.equal(columns[0], columns[1])  # but not the same in all columns
    assert lstm.locked(x, 0.0) is x


def test_weight_drop_drops_recurrent_weights_alone_and_once_for_all_times():
    layer, x = nn.LSTM(5, 6), torch.randn(8, 3, 5)
    torch.manual_seed(1)
    outputs, (h, c) = lstm.run(layer, x, None, 0.5)
    torch.manual_seed(1)
    kept = nn.functional.dropout(layer.weight_hh_l0, 0.5)
    assert 0 < (kept == 0).sum() < kept.numel()
    plain = nn.LSTM(5, 6)
    plain.load_state_dict(layer.state_dict() | {"weight_hh_l0": kept})
    expected, (h_expected, c_expected) = plain(x)
    for one, other in ((outputs, expected), (h, h_expected), (c, c_expected)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    outputs.sum().backward()
    gradient = layer.weight_hh_l0.grad
    assert (gradient[kept == 0] == 0).all()
    assert (gradient[kept != 0] != 0).any()


def test_weight_drop_goes_on_from_a_state():
    layer, x = nn.LSTM(5, 6), torch.randn(8, 3, 5)
    state = (torch.randn(1, 3, 6), torch.randn(1, 3, 6))
    torch.testing.assert_close(lstm.run(layer, x, state, 1e-9)[0], layer(x, state)[0])


def test_the_penalties_are_their_formulas():
    h, dropped = torch.randn(5, 2, 4), torch.randn(5, 2, 4)
    ar = 2.0 * (dropped**2).sum() / 40
    tar = 0.5 * sum(((h[t + 1] - h[t]) ** 2).sum() for t in range(4)) / 32
    torch.testing.assert_close(lstm.penalty(h, dropped, Regularisation(activation=2.0)), ar)
    torch.testing.assert_close(lstm.penalty(h, dropped, Regularisation(temporal=0.5)), tar)
    torch.testing.assert_close(lstm.penalty(h, dropped, Regularisation(activation=2.0, temporal=0.5)), ar + tar)
    assert lstm.penalty(h[:1], dropped[:1], Regularisation(temporal=0.5)) == 0  # one word has no change


@pytest.mark.parametrize("where", Regularisation._fields)
def test_every_regulariser_reaches_the_loss_that_is_differentiated(where, small):
    """And none but the penalties leaves the reported loss as it is."""
    gradients, losses = [], []
    for settings in ({}, {where: 0.5}):
        network = _network(**settings)
        task = tasks.TextTask(small, 20)
        torch.manual_seed(0)
        loss, _, _ = task.loss(network, next(task.batches()))
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.cat([weight.grad.flatten() for weight in network.parameters()]))
    assert not torch.allclose(*gradients)
    assert (losses[0] == losses[1]) == (where in ("activation", "temporal"))


@pytest.mark.parametrize(("name", "millions"), [("lstm2", 13.6), ("lstm3", 24.2)])
def test_the_full_networks_have_the_parameters_of_their_papers(name, millions):
    network = models.build(name, vocabulary=10_000)
    assert sum(weights.numel() for weights in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_what_the_layers_do_is_read_off_word_by_word():
    network, tokens = _network(hidden=0.5, inputs=0.5), _tokens()
    network.train()
    seen = models.activity(network, tokens)
    assert network.training
    network.eval()
    x = network.embedding(tokens)
    for layer, activity in zip(network.layers, seen, strict=True):
        outputs, state = [], None
        for word in x:
            h, state = layer(word[None], state)
            outputs.append(h[0])
        x = torch.stack(outputs)
        assert activity.size == pytest.approx(x.abs().mean().item(), rel=1e-5)
        mean = x.mean(0)
        deviation = ((x - mean).square().sum(0) / (len(x) - 1)).sqrt()  # over the words, of each unit and column
        assert activity.change == pytest.approx(deviation.mean().item(), rel=1e-5)
        assert activity.cell == pytest.approx(state[1].abs().mean().item(), rel=1e-5)


def test_the_chapters_loop_reads_a_text_as_it_is_told(small):
    seen = []
    for text in (None, {"bptt": 10, "clip": 1e-3}):
        network = models.build("lstm2-h16", vocabulary=1000, seed=0)
        optimizer = optim.build("sgdm", network.parameters(), lr=1.0, momentum=0.0)
        before = network.decoder.bias.detach().clone()
        training.fit(network, small, optimizer, epochs=1, batch_size=20, text=text)
        seen.append((network.decoder.bias - before).norm().item())
    assert seen[1] < 15 * 1e-3 < seen[0]  # fifteen windows of ten words in 149, each a step of 0.001 at most


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: weight drop on cuDNN is not looked at")
def test_weight_drop_stays_on_cudnn():
    layer, x = nn.LSTM(40, 64).cuda(), torch.randn(8, 3, 40, device="cuda")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        lstm.run(layer, x, None, 0.5)
    assert any("_cudnn_rnn" in event.key for event in seen.key_averages())


# --- reading


def test_lengths_vary_as_merity_et_al_vary_them(text):
    task = tasks.TextTask(
        text._replace(train=text.train.repeat(40)), 20, settings={"bptt": 70, "varied": True, "clip": 1}
    )
    order = torch.Generator().manual_seed(0)
    lengths, scales = [], []
    for inputs, _ in task.batches(order):
        lengths.append(len(inputs))
        scales.append(task.scale)
    assert sum(lengths) == len(task.train) // 20 - 1  # every row once
    assert [n / 70 for n in lengths[:-1]] == pytest.approx(scales[:-1])
    usual = [n for n in lengths if n > 52]
    assert len(usual) / len(lengths) == pytest.approx(0.95, abs=0.02)
    assert sum(usual) / len(usual) == pytest.approx(69.5, abs=1)  # the fraction is cut off
    assert torch.tensor(usual, dtype=torch.float).std() == pytest.approx(5, abs=0.7)
    assert min(lengths) >= 5
    again = [len(inputs) for inputs, _ in task.batches(torch.Generator().manual_seed(0))]
    assert again == lengths


def test_without_variation_all_windows_are_as_long_and_all_rates_the_same(small):
    task = tasks.TextTask(small, 20, settings={"bptt": 50, "clip": None})
    assert [len(inputs) for inputs, _ in task.batches()] == [50, 50, 49]
    assert task.scale == 1.0
    assert task.steps == 3


def test_the_state_is_carried_and_detached(small):
    network, task = _network(), tasks.TextTask(small, 20)
    (first, targets), (second, more), *_ = task.batches()
    task.loss(network, (first, targets))
    assert not any(part.requires_grad for state in task.state for part in state)
    loss, count, wrong = task.loss(network, (second, more))
    logits, _ = network(torch.cat([first, second]))
    expected = cross_entropy(logits[35:].flatten(0, 1), more.flatten())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (count, wrong.item()) == (35 * 20, (logits[35:].argmax(-1) != more).sum().item())


def test_a_text_can_be_cut_short_and_holds_nothing_out(small):
    cut = data.split(small, 700)
    assert torch.equal(cut.train, small.train[:700])
    assert torch.equal(cut.valid, small.valid)
    assert torch.equal(data.split(small).train, small.train)
    for asked in ((3001, 0), (-1, 0), (700, 10)):
        with pytest.raises(ValueError, match="but there are 3000, and a text holds out a part of its own"):
            data.split(small, *asked)


# --- scoring


def _word_by_word(network, words):
    """Mean loss, share of errors: one word at a time, batch 1, each given all before it."""
    losses, wrong, state = [], 0, None
    for one, following in zip(words, words[1:], strict=False):
        logits, state = network(one.view(1, 1), state)
        losses.append(cross_entropy(logits.view(1, -1), following.view(1)).item())
        wrong += int(logits.argmax() != following)
    return sum(losses) / len(losses), wrong / len(losses)


@torch.no_grad()
@pytest.mark.parametrize("words", [1, 64, 1000])
@pytest.mark.parametrize("first", [7, None])
def test_scoring_is_what_reading_word_by_word_gives(words, first, small):
    network = _network(output=0.5).eval()
    found = tasks.TextTask(small._replace(first=first), 20).evaluate(network, words)
    for name, part in (("test", small.test), ("valid", small.valid)):
        read = part if first is None else torch.cat([torch.tensor([first]), part])
        loss, error = _word_by_word(network, read)
        assert found[f"{name}_loss"] == pytest.approx(loss, rel=1e-5)
        assert found[f"{name}_error"] == pytest.approx(error, abs=1e-9)
        assert found[f"{name}_perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert len(found) == 6


def test_scoring_does_not_depend_on_where_training_left_the_state(small):
    network = _network().eval()
    trainer = engine.Trainer(network, small, optim.build("sgdm", network.parameters(), lr=0.0))
    before = trainer.evaluate()
    trainer.train_epoch()
    assert trainer.evaluate() == before


# --- training


def _trainer(small, network=None, **settings):
    network = network or _network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    return engine.Trainer(network, small, optimizer, batch_size=20, text={"bptt": 35, "clip": None} | settings)


def test_gradients_are_clipped_at_their_norm_and_no_more(small):
    norms = []
    for clip in (None, 1e-3, 1e6):
        trainer = _trainer(small, clip=clip)
        trainer._step(next(trainer.task.batches()))
        gradients = torch.cat([weight.grad.flatten() for weight in trainer.model.parameters()])
        norms.append(gradients.norm().item())
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)
    assert norms[0] == pytest.approx(norms[2])
    assert norms[0] > 1e-2


def test_a_step_of_a_short_window_has_its_share_of_the_rate_and_leaves_the_rate(small):
    whole, part = _trainer(small), _trainer(small)
    before = torch.cat([weight.detach().flatten().clone() for weight in whole.model.parameters()])
    moved = []
    for trainer, scale in ((whole, 1.0), (part, 0.4)):
        batch = next(trainer.task.batches())
        trainer.task.scale = scale
        trainer._step(batch)
        assert trainer.optimizer.param_groups[0]["lr"] == 0.5
        moved.append(torch.cat([weight.detach().flatten() for weight in trainer.model.parameters()]) - before)
    torch.testing.assert_close(0.4 * moved[0], moved[1], rtol=1e-4, atol=1e-7)


def test_all_recipes_of_the_treebank_say_how_they_read(monkeypatch):
    for id in (id for id in recipes.ids() if id.startswith("ptb/")):
        full = recipes.get(id, "full")
        assert (full.text["bptt"], full.text["clip"], full.text["weights"]) == (70, 0.25, 0.5)
        assert {f"text.{key}" for key in full.text} <= set(full.sources)
        assert all(full.sources[f"text.{key}"].startswith("chosen here") for key in full.text)


def test_a_run_with_everything_on_goes_on_bit_for_bit(small, tmp_path, monkeypatch, power_cut):
    everything = {"bptt": 20, "varied": True, "clip": 0.25, "words": 0.1, "inputs": 0.2, "hidden": 0.2, "output": 0.2}
    everything |= {"weights": 0.3, "activation": 2.0, "temporal": 1.0}
    monkeypatch.setattr(run.datasets, "load", lambda name, root=None: small)
    monkeypatch.setitem(recipes.section5.TEXTS, "quick", (everything, "chosen here: for this test"))
    recipe = recipes.get("ptb/lstm2/padam", "quick")

    def train(folder):
        return training.train(recipe, 0, tmp_path / folder, device="cpu", threads=1, keep=True)

    def weights(folder):
        return checkpoint.load(run.records.path(recipe, 0, tmp_path / folder).with_suffix(""))["trainer"]["model"]

    whole = train("whole")
    power_cut(lambda: train("parts"), epoch=2)
    parts = train("parts")
    for record in (whole, parts):
        record["history"].pop("seconds")
    assert parts["history"] == whole["history"]
    assert whole["recipe"]["text"] == everything
    one, other = weights("whole"), weights("parts")
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert whole["history"]["valid_perplexity"][-1] < whole["history"]["valid_perplexity"][0] < 1000
