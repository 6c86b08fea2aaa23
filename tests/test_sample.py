"""Words drawn from a network: from its own probabilities, in order, and the same for the same seed."""

from itertools import pairwise

import pytest
import torch

from padam import models

WORDS = ("<unk>", "a", "b", "c", "d")


class Cycle(torch.nn.Module):
    """After a comes b, after b c, ..., each with the same odds against every other word; counts what it has read."""

    def __init__(self, odds):
        super().__init__()
        self.odds = torch.nn.Parameter(torch.tensor(float(odds)))

    def forward(self, tokens, state=None):
        follows = torch.nn.functional.one_hot(tokens % 4 + 1, len(WORDS)) * self.odds
        return follows, (state or 0) + len(tokens)


def test_the_likeliest_word_follows_and_the_start_is_read_whole():
    text = models.sample(Cycle(1.0), WORDS, 6, start=("a", "c"), temperature=1e-3)
    assert text == "a c d a b c d a"


def test_words_come_as_often_as_the_network_says():
    drawn = models.sample(Cycle(2.0), WORDS, 4000, start=("a",), avoid=(), seed=3).split()
    hits = sum(WORDS.index(after) == WORDS.index(before) % 4 + 1 for before, after in pairwise(drawn))
    e = torch.tensor(2.0).exp().item()
    assert hits / 4000 == pytest.approx(e / (e + 4), abs=0.03)
    cold = models.sample(Cycle(2.0), WORDS, 4000, start=("a",), avoid=(), seed=3, temperature=2.0).split()
    hits = sum(WORDS.index(after) == WORDS.index(before) % 4 + 1 for before, after in pairwise(cold))
    e = torch.tensor(1.0).exp().item()
    assert hits / 4000 == pytest.approx(e / (e + 4), abs=0.03)


def test_a_seed_is_a_text_and_the_global_generator_is_left_alone():
    network = models.build("lstm2-h16", vocabulary=len(WORDS), seed=0)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = models.sample(network, WORDS, 50, start=("a",))
    assert torch.equal(before, torch.get_rng_state())
    assert not network.training
    assert (
        first
        == models.sample(network, WORDS, 50, start=("a",))
        != models.sample(network, WORDS, 50, start=("a",), seed=1)
    )
    assert "<unk>" not in first
    assert len(first.split()) == 51


def test_the_state_is_carried():
    network = models.build("lstm2-h16", vocabulary=len(WORDS), seed=0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(30)  # so that the state matters
    written = models.sample(network, WORDS, 5, start=("a", "b"), temperature=1e-4, avoid=()).split()
    tokens = torch.tensor([[WORDS.index(word)] for word in written[:-1]])
    with torch.no_grad():
        logits, _ = network(tokens)  # read in one go
    assert [WORDS[k] for k in logits[1:, 0].argmax(-1)] == written[2:]


def test_bad_wishes_are_refused():
    network = models.build("bigram", vocabulary=len(WORDS))
    with pytest.raises(ValueError, match="does not know 'z'"):
        models.sample(network, WORDS, start=("a", "z"))
    with pytest.raises(ValueError, match="temperature"):
        models.sample(network, WORDS, start=("a",), temperature=0)
    with pytest.raises(ValueError, match="needs a word"):
        models.sample(network, WORDS, start=())
