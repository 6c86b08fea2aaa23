"""The paper's sentences as functions of evidence: what they say of each source, and that a number can change it."""

import copy
import math
from dataclasses import replace

import pytest
from scipy import stats

from padam.records import claims, evidence, judge, paper, published, statistics

FOUND = evidence.collect()
BY_NAME = {claim.name: claim for claim in claims.CLAIMS}


# --- statistics, against scipy


def test_the_points_of_students_t_are_scipys():
    for freedom, point in enumerate(statistics.T95, start=1):
        assert point == pytest.approx(stats.t.ppf(0.975, freedom), abs=5e-4)
    assert abs(stats.norm.ppf(0.975) - statistics.NORMAL95) < 1e-3
    assert statistics.quantile(4.9) == statistics.T95[3]
    assert statistics.quantile(0.4) == statistics.T95[0]
    assert statistics.quantile(1000) == statistics.T95[-1]


def test_the_paired_interval_is_scipys():
    differences = [0.4, 1.1, 0.2, 0.9]
    mean, half = statistics.interval(differences)
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high), abs=1e-3)
    assert statistics.interval([0.5]) == (0.5, None)


def test_the_unpaired_interval_is_welchs():
    one, other = [1.0, 1.4, 1.9], [0.1, 0.2, 0.6, 0.4]
    sides = [(sum(x) / len(x), statistics.spread(x), len(x)) for x in (one, other)]
    difference, half = statistics.welch(*sides)
    theirs = stats.ttest_ind(one, other, equal_var=False)
    error = abs(difference / theirs.statistic)
    assert difference == pytest.approx(sides[0][0] - sides[1][0])
    assert half == pytest.approx(statistics.quantile(theirs.df) * error, rel=1e-9)
    assert statistics.welch((1, 0, 3), (2, 0, 3)) == (-1, 0)


def test_a_pooled_spread_weighs_by_degrees_of_freedom():
    assert statistics.pooled([(3.0, 2), (1.0, 4)]) == pytest.approx(math.sqrt((9 + 3) / 4))
    assert statistics.pooled([(0.0, 1)]) is None
    assert statistics.spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert statistics.spread([1.0]) is None


# --- evidence


def test_every_source_gives_what_it_measured():
    counts = {name: len(FOUND[name]) for name in ("paper", "reproduction-2019", "adai-pnm", "adabound", "adabelief")}
    assert counts == {"paper": 21, "reproduction-2019": 23, "adai-pnm": 35, "adabound": 8, "adabelief": 15}
    assert list(FOUND) == list(evidence.SOURCES)
    (padam,) = evidence.cells(FOUND["paper"])["cifar10/vgg16"]["padam"]
    assert padam.last == 6.22
    assert padam.best is None
    (adam,) = evidence.cells(FOUND["reproduction-2019"])["cifar10/vgg16"]["adam"]
    assert (round(adam.last, 2), round(adam.best, 2), adam.milestones) == (7.61, 7.56, (50, 100, 150))
    (theirs,) = evidence.cells(FOUND["adai-pnm"])["cifar10/vgg16"]["padam"]
    assert (theirs.last, theirs.best, theirs.sd, theirs.runs) == (None, 6.15, 0.06, 3)
    assert all(run.milestones == (150,) for name in ("adabound", "adabelief") for run in FOUND[name])


def test_runs_that_their_source_calls_incomparable_are_left_out():
    theirs = evidence.cells(FOUND["reproduction-2019"])
    assert "cifar100/resnet18" not in theirs
    assert "cifar100/resnet18, 90 epochs" not in theirs
    assert set(theirs["cifar10/resnet18, 90 epochs"]) == {"padam", "padam-p0.25", "padam-p0.0625"}


def test_our_runs_are_under_the_papers_cell_and_a_shortened_full_one_is_none(tmp_path, monkeypatch):
    ours = evidence.cells(FOUND["small"])["cifar10/vgg16"]
    assert {run.seed for run in ours["padam"]} == {0, 1, 2}
    record = copy.deepcopy(next(r for r in evidence.records.collect().values() if r["optimizer"] == "padam"))
    record["profile"] = "full"
    monkeypatch.setattr(evidence.records, "collect", lambda root: {"path": record})
    assert evidence.collect()["full"] == []  # a full record of a narrow network is no full run


def test_the_papers_tables_are_the_papers():
    best = {
        cell: max(row, key=row.get)
        for table in (paper.TABLE1, paper.TABLE2_TOP1, paper.TABLE2_TOP5)
        for cell, row in table.items()
    }
    assert best == {  # the bold numbers; of ImageNet's ResNet-18 those of Top-5, which came last
        "cifar10/vgg16": "padam", "cifar10/resnet18": "sgdm", "cifar10/wrn16-4": "padam",
        "imagenet/resnet18": "padam", "imagenet/vgg16": "padam",
    }  # fmt: skip
    assert {cell: min(row, key=row.get) for cell, row in paper.TABLE3.items()} == dict.fromkeys(paper.TABLE3, "padam")
    assert paper.TABLE2_TOP1["imagenet/resnet18"]["sgdm"] == max(paper.TABLE2_TOP1["imagenet/resnet18"].values())
    assert [round(sum(row.values()), 2) for row in paper.TABLE1.values()] == [652.00, 659.00, 658.94]
    assert paper.error(93.71) == 6.29


# --- quantities, on a run whose numbers can be seen


def _run(optimizer="adam", seed=0, **lists):
    history = {"epoch": list(range(1, 21))} | lists
    return evidence.Run("small", "cifar10/vgg16", optimizer, seed=seed, milestones=(10, 15), history=history)


def test_quantities_are_read_where_they_say():
    test = [0.50] * 5 + [0.40] * 4 + [0.36] + [0.20] + [0.18] * 4 + [0.12] + [0.11] * 3 + [0.115]
    train = [0.60] * 5 + [0.30] * 5 + [0.1] * 10
    run = _run(test_error=test, train_error=train)
    assert judge.last(run) == pytest.approx(11.5)
    assert judge.best(run) == pytest.approx(11.0)
    assert judge.early_test(run) == pytest.approx(50)
    assert judge.early_train(run) == pytest.approx(60)
    assert judge.converging(run) == pytest.approx(45)
    assert judge.between(run) == pytest.approx((20 + 4 * 18) / 5)
    assert judge.first_gain(run) == pytest.approx(-(36 - 20))
    assert judge.second_gain(run) == pytest.approx(-(18 - 12))


def test_what_a_source_does_not_have_is_none():
    table = evidence.Run("adai-pnm", "cifar10/vgg16", "adam", best=7.31, sd=0.25, runs=3)
    assert judge.last(table) == 7.31  # read at the best epoch, for nothing else is stated
    for quantity in (judge.early_test, judge.early_train, judge.converging, judge.between, judge.first_gain):
        assert quantity(table) is None
    once = replace(_run(test_error=[0.5] * 10 + [0.1] * 10), milestones=(10,))
    assert judge.second_gain(once) is None
    assert judge.between(once) == pytest.approx(10)


# --- comparisons


def _end(optimizer, error, seed=0):
    return _run(optimizer, seed, test_error=[0.9] * 19 + [error])


def _compared(*runs, limit=0.0):
    row = evidence.cells(runs)["cifar10/vgg16"]
    return judge.compare(judge.Less(judge.last, "padam", "adam", limit), row, list(runs), "cifar10/vgg16")


def test_seeds_are_paired_by_their_names_not_by_their_place():
    ours = [_end("padam", 0.20, 2), _end("padam", 0.10, 0), _end("padam", 0.15, 1)]
    theirs = [_end("adam", 0.11, 0), _end("adam", 0.16, 1), _end("adam", 0.21, 2), _end("adam", 0.9, 7)]
    judged = _compared(*ours, *theirs)
    assert judged.difference == pytest.approx(-1)
    assert judged.half == pytest.approx(0, abs=1e-9)
    assert (judged.verdict, judged.runs, judged.how) == (judge.HOLDS, 3, "paired seeds")
    assert set(judged.seeds) == {0, 1, 2}


def test_an_interval_that_reaches_over_the_limit_is_open():
    pairs = [(0.20, 0.22), (0.20, 0.20), (0.20, 0.21)]
    runs = [_end(*each) for k, (a, b) in enumerate(pairs) for each in (("padam", a, k), ("adam", b, k))]
    judged = _compared(*runs)
    assert judged.difference == pytest.approx(-1)
    assert judged.half == pytest.approx(4.303 / math.sqrt(3))
    assert judged.verdict == judge.OPEN
    assert _compared(*runs, limit=2).verdict == judge.HOLDS
    assert _compared(*runs, limit=-4).verdict == judge.FAILS


def test_a_single_run_borrows_a_spread_and_says_so():
    judged = _compared(_end("padam", 0.20), _end("adam", 0.202))
    borrowed = statistics.pooled([(run.sd, 3) for run in FOUND["adai-pnm"] if run.cell.startswith("cifar10/")])
    assert judged.half == pytest.approx(1.96 * math.sqrt(2) * borrowed)
    assert (judged.verdict, judged.how) == (judge.OPEN, "single runs")
    assert _compared(_end("padam", 0.20), _end("adam", 0.21)).verdict == judge.HOLDS
    others = [_end("yogi", 0.30, 0), _end("yogi", 0.34, 1)]  # the source's own seeds say that runs differ by more
    judged = _compared(_end("padam", 0.20), _end("adam", 0.21), *others)
    assert judged.half == pytest.approx(1.96 * math.sqrt(2) * statistics.spread([30, 34]))
    assert judged.verdict == judge.OPEN


def test_a_diverged_run_is_behind_every_other_and_two_are_level():
    lost = _run("adam", test_error=[0.9] * 10 + [None] * 10)
    assert judge.last(lost) == math.inf
    assert _compared(_end("padam", 0.2), lost).verdict == judge.HOLDS
    assert _compared(replace(lost, optimizer="padam"), _end("adam", 0.2)).verdict == judge.FAILS
    assert _compared(replace(lost, optimizer="padam"), lost).difference == 0


def test_without_a_common_seed_there_is_no_comparison():
    assert _compared(_end("padam", 0.2, 0), _end("adam", 0.3, 1)) is None
    assert _compared(_end("padam", 0.2, 0)) is None


def test_a_printed_difference_of_just_the_limit_does_not_hold():
    def printed(padam, sgdm):
        runs = [replace(_end(name, 0), source="paper", history={}, last=last) for name, last in
                (("padam", padam), ("adam", sgdm))]  # fmt: skip
        return _compared(*runs, limit=0.2).verdict

    assert printed(6.49, 6.29) == judge.FAILS
    assert printed(6.48, 6.29) == judge.HOLDS


# --- claims


def test_every_claim_about_end_values_is_decided_on_the_papers_own_tables():
    for claim in claims.CLAIMS:
        found = judge.summary(claim, FOUND["paper"])
        if claim.final:
            assert found.verdict == judge.HOLDS, claim.name
            assert found.holds == found.networks >= 1
        else:
            assert found == judge.Summary(judge.OPEN, 0, 0, 0, 0), "the paper prints no curves"


@pytest.mark.parametrize("name", BY_NAME)
def test_every_claim_can_hold_fail_and_stay_open(name):
    claim = BY_NAME[name]
    network = f"cifar10/{claim.models[0] if claim.models else 'vgg16'}"

    def judged(sign, noise):
        """All comparisons of the claim on runs whose quantity is the optimizer's rank, or the other way round."""
        order = _ranked(claim.comparisons)
        runs = [
            evidence.Run("small", network, optimizer, seed, last=sign * 10 * rank + noise * seed * (-1) ** rank)
            for rank, optimizer in enumerate(order)
            for seed in (0, 1, 2)
        ]
        read = tuple(less._replace(quantity=lambda run: run.last) for less in claim.comparisons)
        return judge.summary(replace(claim, comparisons=read), runs).verdict

    par = name == "on a par"  # holds where nobody is ahead
    assert judged(0 if par else 1, 0) == judge.HOLDS
    assert judged(1 if par else -1, 0) == judge.FAILS
    assert judged(0 if par else 1, 100) == judge.OPEN


def _ranked(comparisons):
    """The optimizers of some comparisons, each after those that it should be above; pairs that go round in a circle
    ("on a par") in any order."""
    above = {name: set() for less in comparisons for name in (less.one, less.other)}
    for less in comparisons:
        above[less.other].add(less.one)
    return sorted(above, key=lambda name: len(above[name]))


EXPECTED = (  # what the published runs say of the sentences that matter most
    ("ahead of Adam and Amsgrad", "reproduction-2019", "cifar10", judge.HOLDS),
    ("ahead of Adam and Amsgrad", "reproduction-2019", "cifar100", judge.HOLDS),
    ("ahead of Adam and Amsgrad", "adai-pnm", "cifar10", judge.HOLDS),
    ("ahead of Adam and Amsgrad", "adai-pnm", "cifar100", judge.HOLDS),
    ("Adam behind SGD-momentum", "adai-pnm", "cifar10", judge.HOLDS),
    ("Adam behind SGD-momentum", "adai-pnm", "cifar100", judge.HOLDS),
    ("Adam behind SGD-momentum", "reproduction-2019", "cifar100", judge.HOLDS),
    ("fastest", "reproduction-2019", "cifar10", judge.FAILS),
    ("fastest", "reproduction-2019", "cifar100", judge.FAILS),
    ("as well as SGD-momentum", "adai-pnm", "cifar100", judge.FAILS),
    ("barely match", "adabelief", "cifar10", judge.FAILS),
)


@pytest.mark.parametrize(("name", "source", "dataset", "verdict"), EXPECTED)
def test_what_independent_runs_say(name, source, dataset, verdict):
    assert judge.summary(BY_NAME[name], FOUND[source], dataset).verdict == verdict


def test_at_the_best_epoch_adam_is_behind_in_the_runs_where_it_is_not_at_the_last():
    claim = BY_NAME["Adam behind SGD-momentum"]
    for source in ("adabound", "adabelief"):
        assert judge.summary(claim, FOUND[source]).verdict == judge.FAILS
        assert judge.summary(claim.at_best(), FOUND[source]).verdict == judge.HOLDS


def test_one_altered_value_changes_a_verdict(monkeypatch):
    table = copy.deepcopy(paper.TABLE1)
    table["cifar10/vgg16"]["adam"] = 93.8
    monkeypatch.setattr(paper, "TABLE1", table)
    for name in ("lowest accuracy", "Adam behind SGD-momentum", "ahead of Adam and Amsgrad", "highest accuracy"):
        assert judge.summary(BY_NAME[name], evidence.collect()["paper"]).verdict == judge.FAILS
    sources = copy.deepcopy(published.load())
    for run in sources["adai-pnm"]["runs"]:
        if (run["dataset"], run["model"], run["optimizer"]) == ("cifar10", "vgg16", "padam"):
            run["best_test_error_mean"] = 0.0715
    monkeypatch.setattr(published, "load", lambda: sources)
    found = judge.summary(BY_NAME["ahead of Adam and Amsgrad"], evidence.collect()["adai-pnm"])
    assert (found.verdict, found.holds) == (judge.FAILS if found.fails else judge.OPEN, 1)


def test_a_claim_about_some_networks_leaves_the_others_alone():
    assert set(BY_NAME["highest accuracy"](FOUND["paper"])) == {"cifar10/vgg16", "cifar10/wrn16-4"}
    assert set(BY_NAME["on a par"](FOUND["paper"])) == {"cifar10/resnet18"}
    assert len({claim.name for claim in claims.CLAIMS}) == len(claims.CLAIMS)
