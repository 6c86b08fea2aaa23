"""Perplexities as evidence, and the paper's sentences about the Penn Treebank."""

import json
import math
from dataclasses import replace

import pytest

from padam import evidence
from padam.evidence import chosen, claims, metrics, statistics, verdicts

FOUND = evidence.collect()
BY_NAME = {claim.name: claim for claim in claims.CLAIMS if "ptb" in claim.datasets}
WIDER = BY_NAME["quite different"]


def _run(optimizer, *perplexities, cell="ptb/lstm2", seed=0, source="small"):
    history = {
        "epoch": list(range(1, 1 + len(perplexities))),
        "test_perplexity": list(perplexities),
        "test_loss": [math.log(perplexity) for perplexity in perplexities],
        "test_error": [0.7] * len(perplexities),
    }
    return evidence.curve(source, cell, optimizer, history, seed=seed, milestones=(len(perplexities) // 2,))


def test_the_ends_of_a_text_are_its_perplexities_and_are_compared_by_their_logarithms():
    run = _run("adam", 400.0, 200.0, 100.0, 90.0, 60.0, 61.0, 60.0, 62.0)
    assert run.text
    assert (run.last, run.best) == (62.0, 60.0)
    assert metrics.end_loss(run) == pytest.approx(100 * math.log(62))
    assert metrics.best_loss(run) == pytest.approx(100 * math.log(60))
    assert metrics.early_loss(run) == pytest.approx(50 * (math.log(400) + math.log(200)))
    assert metrics.early_loss(evidence.Run("paper", "ptb/lstm2", "adam", last=60)) is None
    assert metrics.best_loss(evidence.Run("paper", "ptb/lstm2", "adam", last=60)) is None


def test_what_others_published_of_texts_has_their_losses():
    theirs = evidence.by_network(FOUND["adabelief"])
    assert {cell for cell in theirs if cell.startswith("ptb/")} == {"ptb/lstm1", "ptb/lstm2", "ptb/lstm3"}
    assert set(theirs["ptb/lstm2"]) == {"sgd", "adam", "adamw", "yogi", "adabound"}  # plain SGD is not SGD-momentum
    (adam,) = theirs["ptb/lstm2"]["adam"]
    assert (adam.last, adam.best) == (67.271, min(adam.history["test_perplexity"]))
    assert math.exp(adam.history["test_loss"][0]) == pytest.approx(184.3)


def _few(**ends):
    """Runs of the miniature whose last perplexities, one a seed, are given: {optimizer: (cell, ends)}."""
    return [
        _run(name, 300.0, end, cell=cell, seed=seed)
        for name, by_cell in ends.items()
        for cell, several in by_cell.items()
        for seed, end in enumerate(several)
    ]


def test_a_text_at_full_scale_borrows_the_relative_spread_of_the_miniature(monkeypatch):
    ours = _few(adam={"ptb/lstm2": (100, 104, 101)}, padam={"ptb/lstm2": (90, 91, 95)})
    monkeypatch.setattr(verdicts, "_packaged", lambda: {"small": ours})
    pair = [_run(name, 300.0, end, end, source="full", seed=None) for name, end in (("adam", 60.0), ("padam", 58.0))]
    row = {run.optimizer: [run] for run in pair}
    judged = verdicts.compare(verdicts.Less(metrics.end_loss, "padam", "adam"), row, pair, "ptb/lstm2")
    spreads = [statistics.spread([100 * math.log(x) for x in some]) for some in ((100, 104, 101), (90, 91, 95))]
    sd, freedom = statistics.pooled([(spread, 3) for spread in spreads])
    wobble = metrics.wobble(pair[0])
    assert wobble == metrics.wobble(pair[1]) == 0
    assert judged.half == pytest.approx(statistics.quantile(freedom) * math.sqrt(2) * sd)
    assert judged.difference == pytest.approx(100 * math.log(58 / 60))
    monkeypatch.setattr(verdicts, "_packaged", lambda: {"small": []})
    assert verdicts.compare(verdicts.Less(metrics.end_loss, "padam", "adam"), row, pair, "ptb/lstm2").half == math.inf


def test_the_miniature_at_chosen_rates_is_a_source_of_its_own(monkeypatch):
    monkeypatch.setattr(chosen, "variants", lambda: {"adam": "lr10", "padam": "", "sgdm": "lr3"})
    pictures = [replace(run, cell="cifar10/vgg16") for run in (_run("adam-lr10", 9.0), _run("padam", 8.0))]
    runs = [_run("adam", 500.0), _run("adam-lr10", 300.0), _run("padam", 280.0), _run("sgdm", 290.0), *pictures]
    found = evidence.at_chosen_rates(runs)
    assert [(run.source, run.cell, run.optimizer, run.last) for run in found] == [
        ("chosen", "ptb/lstm2", "adam", 300.0),
        ("chosen", "ptb/lstm2", "padam", 280.0),
    ]
    several = _few(adam={"ptb/lstm2": (100, 104, 101)})
    monkeypatch.setattr(verdicts, "_packaged", lambda: {"small": several})
    better = verdicts.Less(metrics.end_loss, "padam", "adam")
    judged = verdicts.compare(better, evidence.by_network(found)["ptb/lstm2"], found, "ptb/lstm2")
    assert (judged.verdict, judged.half) == (verdicts.OPEN, math.inf)  # of its own spread, or none
    ours = evidence.by_network(FOUND["chosen"])
    assert set(ours) == {"ptb/lstm2"}
    assert set(ours["ptb/lstm2"]) <= set(claims.SEVEN)


def test_the_last_epochs_of_a_text_wobble_in_its_loss():
    run = _run("adam", *[100.0] * 38, 64.0, 60.0)
    assert metrics.wobble(run) == pytest.approx(statistics.spread([100 * math.log(64), 100 * math.log(60)]))
    assert metrics.wobble(replace(run, history={})) == 0


def _both(narrow, wide, names=claims.SEVEN):
    """Three seeds of each optimizer on two networks whose ranges (as ratios) are given, with a little noise."""
    runs = []
    for cell, ratio in (("ptb/lstm2", narrow), ("ptb/lstm3", wide)):
        for k, name in enumerate(names):
            for seed in range(3):
                end = 60 * ratio ** (k / (len(names) - 1)) * (1 + 0.001 * seed * (1 if k else -1))
                runs.append(_run(name, 300.0, end, cell=cell, seed=seed))
    return runs


@pytest.mark.parametrize(
    ("narrow", "wide", "verdict"),
    [
        (1.02, 1.10, verdicts.HOLDS),
        (1.10, 1.02, verdicts.FAILS),
        (1.05, 1.051, verdicts.OPEN),
    ],
)
def test_a_range_is_compared_with_another(narrow, wide, verdict):
    found = verdicts.summary(WIDER, _both(narrow, wide), "ptb")
    assert (found.verdict, found.networks, found.runs, found.partly) == (verdict, 1, 3, False)


def test_the_interval_of_two_ranges_is_that_of_two_differences():
    runs = _both(1.02, 1.10)
    ((judged,),) = WIDER(runs).values()
    rows = evidence.by_network(runs)
    halves = [
        verdicts.compare(verdicts.Less(metrics.end_loss, "padam", "sgdm"), rows[cell], runs, cell).half
        for cell in claims.TEXTS
    ]
    assert judged.half == pytest.approx(math.hypot(*halves))
    assert judged.difference == pytest.approx(100 * math.log(1.02 / 1.10), abs=0.3)


def test_a_range_over_some_of_the_optimizers_says_so_and_over_one_is_none():
    some = _both(1.02, 1.10, ("sgdm", "adam", "padam"))
    found = verdicts.summary(WIDER, [run for run in some if (run.cell, run.optimizer) != ("ptb/lstm3", "padam")], "ptb")
    assert (found.verdict, found.partly) == (verdicts.HOLDS, True)
    one = [run for run in some if run.optimizer == "adam" or run.cell == "ptb/lstm2"]
    assert verdicts.summary(WIDER, one, "ptb").networks == 0
    assert WIDER([run for run in FOUND["paper"] if not run.text]) == {}


def test_the_range_at_the_best_epoch():
    runs = [_run(run.optimizer, 55.0, run.last, cell=run.cell, seed=run.seed) for run in _both(1.02, 1.10)]
    assert verdicts.summary(WIDER, runs, "ptb").verdict == verdicts.HOLDS
    ((judged,),) = WIDER.at_best()(runs).values()
    assert judged.difference == 0


def test_the_paper_contradicts_its_own_first_page_on_texts():
    claim = BY_NAME["Adam behind SGD-momentum on text"]
    found = {cell: [each.verdict for each in judged] for cell, judged in claim(FOUND["paper"]).items()}
    assert found == {"ptb/lstm2": [verdicts.FAILS, verdicts.FAILS], "ptb/lstm3": [verdicts.FAILS, verdicts.HOLDS]}


def test_sentences_about_pictures_are_not_judged_on_texts_nor_the_other_way_round():
    for claim in claims.CLAIMS:
        cells = {cell.split("/")[0] for cell in claim(FOUND["paper"])}
        assert cells <= ({"ptb"} if "ptb" in claim.datasets else {"cifar10", "cifar100", "imagenet"}), claim.name


def test_the_rate_is_chosen_by_the_held_out_loss_at_the_end(tmp_path):
    def run(name, variant, *losses):
        return {"setting": {"optimizer": name, "variant": variant}, "result": {"valid_loss": list(losses)}}

    runs = [
        run("adam", "-lr0.33", 3.0, 6.0),
        run("adam", "", 6.0, 5.5),
        run("adam", "-lr3", 7.0, 5.4),
        run("adam", "-lr10", 7.0, None),
        run("yogi", "", 5.0, 4.0),
        run("yogi", "-lr3", 5.0, 4.1),
        run("padam", "", None, None),
    ]
    path = tmp_path / "text-rates.json"
    path.write_text(json.dumps({"runs": runs}))
    assert chosen.variants(path) == {"adam": "lr3", "yogi": ""}
    assert chosen.variants(tmp_path / "gone.json") == {}
