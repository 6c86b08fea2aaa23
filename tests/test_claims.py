"""The paper's sentences as functions of evidence: what they say of each source, and that a number can change it."""

import copy
import math
from dataclasses import replace

import pytest
from scipy import stats

from padam import evidence, records
from padam.evidence import claims, metrics, paper, published, statistics, tables, verdicts

FOUND = evidence.collect()
BY_NAME = {claim.name: claim for claim in claims.CLAIMS}


# --- statistics, against scipy


def test_the_points_of_students_t_are_those_of_printed_tables():
    for freedom, point in ((1, 12.706), (2, 4.303), (10, 2.228), (30, 2.042), (60, 2.000), (120, 1.980)):
        assert statistics.quantile(freedom) == pytest.approx(point, abs=5e-4)
    assert 2.571 < statistics.quantile(4.5) < 2.776  # between those of 5 and of 4
    assert type(statistics.quantile(2)) is float


def test_the_paired_interval_is_scipys():
    differences = [0.4, 1.1, 0.2, 0.9]
    mean, half = statistics.interval(differences)
    low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert statistics.interval([0.5]) == (0.5, None)


def test_the_unpaired_interval_is_welchs():
    one, other = [1.0, 1.4, 1.9], [0.1, 0.2, 0.6, 0.4]
    sides = [(sum(x) / len(x), statistics.spread(x), len(x)) for x in (one, other)]
    difference, half = statistics.welch(*sides)
    theirs = stats.ttest_ind(one, other, equal_var=False)
    error = abs(difference / theirs.statistic)
    assert difference == pytest.approx(sides[0][0] - sides[1][0])
    assert half == pytest.approx(stats.t.ppf(0.975, theirs.df) * error)
    assert statistics.welch((1, 0, 3), (2, 0, 3)) == (-1, 0)


def test_a_pooled_spread_weighs_by_degrees_of_freedom():
    assert statistics.pooled([(3.0, 2), (1.0, 4), (9.0, 1)]) == (pytest.approx(math.sqrt((9 + 3) / 4)), 4)
    assert statistics.pooled([(0.0, 1)]) is None
    assert statistics.spread([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert statistics.spread([1.0]) is None


# --- evidence


def test_every_source_gives_what_it_measured():
    theirs = ("paper", "reproduction-2019", "adai-pnm", "adabound", "adabelief", "torchvision")
    assert [len(FOUND[name]) for name in theirs] == [49, 23, 35, 8, 30, 2]
    assert list(FOUND) == list(evidence.SOURCES)
    (padam,) = evidence.by_network(FOUND["paper"])["cifar10/vgg16"]["padam"]
    assert padam.last == 6.22
    assert padam.best is None
    (adam,) = evidence.by_network(FOUND["reproduction-2019"])["cifar10/vgg16"]["adam"]
    assert (round(adam.last, 2), round(adam.best, 2), adam.milestones) == (7.61, 7.56, (50, 100, 150))
    (theirs,) = evidence.by_network(FOUND["adai-pnm"])["cifar10/vgg16"]["padam"]
    assert (theirs.last, theirs.best, theirs.sd, theirs.runs) == (None, 6.15, 0.06, 3)
    decays = {(run.text, run.milestones) for name in ("adabound", "adabelief") for run in FOUND[name]}
    assert decays == {(False, (150,)), (True, (100, 145))}


def test_runs_that_their_source_calls_incomparable_are_left_out():
    theirs = evidence.by_network(FOUND["reproduction-2019"])
    assert "cifar100/resnet18" not in theirs
    assert "cifar100/resnet18, 90 epochs" not in theirs
    assert set(theirs["cifar10/resnet18, 90 epochs"]) == {"padam", "padam-p0.25", "padam-p0.0625"}


def _record(**more):
    """A record of Padam on the miniature, its recipe altered."""
    path = records.HERE / "runs/small/cifar10/vgg16/padam/seed0.json"
    record = records.read(path)
    return record | {"recipe": record["recipe"] | more}


def test_our_runs_are_under_the_papers_cell_and_a_shortened_full_one_is_none(monkeypatch):
    ours = evidence.by_network(FOUND["small"])["cifar10/vgg16"]
    assert {run.seed for run in ours["padam"]} == {0, 1, 2}
    record = _record(profile="full")
    monkeypatch.setattr(records, "collect", lambda root: {"path": record})
    assert evidence.collect()["full"] == []  # a full record of a narrow network is no full run


def _diverged(record, epochs):
    """A record as training writes it when the losses are no numbers any more: stopped there, with errors in it."""
    history = {key: values[:epochs] for key, values in record["history"].items()}
    for key in ("train_loss", "test_loss", "valid_loss"):
        history[key][-1] = None
    return record | {"history": history, "outcome": "diverged"}


@pytest.mark.parametrize("profile", ["small", "full"])
def test_a_diverged_record_counts_and_is_behind_every_other(profile, monkeypatch):
    record = _diverged(_record(profile=profile), 5)
    if profile == "full":
        record["recipe"] |= {"train_size": None, "holdout": 0, "model": "vgg16", "epochs": 200}
    monkeypatch.setattr(records, "collect", lambda root: {"path": record})
    (lost,) = evidence.collect()[profile]
    assert lost.diverged
    fine = _end("adam", 0.2)
    for metric in (
        metrics.last,
        metrics.best,
        metrics.early_train,
        metrics.between,
        metrics.second_gain,
    ):
        judged = verdicts.compare(
            verdicts.Less(metric, "padam", "adam"), {"padam": [lost], "adam": [fine]}, [fine], lost.cell
        )
        assert judged.verdict == verdicts.FAILS
        judged = verdicts.compare(
            verdicts.Less(metric, "adam", "padam"), {"padam": [lost], "adam": [fine]}, [fine], lost.cell
        )
        assert judged.verdict == verdicts.HOLDS


def test_the_papers_tables_are_the_papers():
    best = {
        cell: max(row, key=row.get)
        for table in (paper.TABLE1, paper.TABLE2_TOP1, paper.TABLE2_TOP5)
        for cell, row in table.items()
    }
    assert best == {  # the bold numbers; of ImageNet's ResNet-18 those of Top-5, which came last
        "cifar10/vgg16": "padam",
        "cifar10/resnet18": "sgdm",
        "cifar10/wrn16-4": "padam",
        "imagenet/resnet18": "padam",
        "imagenet/vgg16": "padam",
    }
    assert {cell: min(row, key=row.get) for cell, row in paper.TABLE3.items()} == dict.fromkeys(paper.TABLE3, "padam")
    assert paper.TABLE2_TOP1["imagenet/resnet18"]["sgdm"] == max(paper.TABLE2_TOP1["imagenet/resnet18"].values())
    assert [round(sum(row.values()), 2) for row in paper.TABLE1.values()] == [652.00, 659.00, 658.94]
    assert paper.error(93.71) == 6.29


# --- metrics, on a run whose numbers can be seen


def _run(optimizer="adam", seed=0, **lists):
    history = {"epoch": list(range(1, 21)), "train_error": [0.5] * 20} | lists
    return evidence.curve("full", "cifar10/vgg16", optimizer, history, seed=seed, milestones=(10, 15))


def test_metrics_are_read_where_they_say():
    test = [0.50] * 5 + [0.40] * 4 + [0.36] + [0.20] + [0.18] * 4 + [0.12] + [0.11] * 3 + [0.115]
    train = [0.60] * 5 + [0.30] * 5 + [0.1] * 10
    run = _run(test_error=test, train_error=train)
    assert metrics.last(run) == pytest.approx(11.5)
    assert metrics.best(run) == pytest.approx(11.0)
    assert metrics.early_test(run) == pytest.approx(50)
    assert metrics.early_train(run) == pytest.approx(60)
    assert metrics.converging(run) == pytest.approx(45)
    assert metrics.between(run) == pytest.approx((20 + 4 * 18) / 5)
    assert metrics.first_gain(run) == pytest.approx(-(36 - 20))
    assert metrics.second_gain(run) == pytest.approx(-(18 - 12))
    assert metrics.second_points(run) == pytest.approx(18 - 12)
    late = replace(run, false_start=True)
    assert metrics.early_test(late) is metrics.early_train(late) is metrics.converging(late) is None
    assert metrics.first_gain(late) == metrics.first_gain(run)


def test_what_a_source_does_not_have_is_none():
    table = evidence.Run("adai-pnm", "cifar10/vgg16", "adam", best=7.31, sd=0.25, runs=3)
    assert metrics.last(table) == 7.31  # read at the best epoch, for nothing else is stated
    for metric in (
        metrics.early_test,
        metrics.early_train,
        metrics.converging,
        metrics.between,
        metrics.first_gain,
    ):
        assert metric(table) is None
    once = replace(_run(test_error=[0.5] * 10 + [0.1] * 10), milestones=(10,))
    assert metrics.second_gain(once) is None
    assert metrics.between(once) == pytest.approx(10)


# --- comparisons


def _end(optimizer, error, seed=0):
    return _run(optimizer, seed, test_error=[0.9] * 15 + [error] * 5)


def _compared(*runs, limit=0.0):
    row = evidence.by_network(runs)["cifar10/vgg16"]
    return verdicts.compare(verdicts.Less(metrics.last, "padam", "adam", limit), row, list(runs), "cifar10/vgg16")


def test_seeds_are_paired_by_their_names_not_by_their_place():
    ours = [_end("padam", 0.20, 2), _end("padam", 0.10, 0), _end("padam", 0.15, 1)]
    theirs = [_end("adam", 0.11, 0), _end("adam", 0.16, 1), _end("adam", 0.21, 2), _end("adam", 0.9, 7)]
    judged = _compared(*ours, *theirs)
    assert judged.difference == pytest.approx(-1)
    assert judged.half == pytest.approx(0, abs=1e-9)
    assert (judged.verdict, judged.runs, judged.how) == (verdicts.HOLDS, 3, "paired seeds")
    assert set(judged.seeds) == {0, 1, 2}


def test_an_interval_that_reaches_over_the_limit_is_open():
    pairs = [(0.20, 0.22), (0.20, 0.20), (0.20, 0.21)]
    runs = [_end(*each) for k, (a, b) in enumerate(pairs) for each in (("padam", a, k), ("adam", b, k))]
    judged = _compared(*runs)
    assert judged.difference == pytest.approx(-1)
    assert judged.half == pytest.approx(4.303 / math.sqrt(3), rel=1e-4)
    assert judged.verdict == verdicts.OPEN
    assert _compared(*runs, limit=2).verdict == verdicts.HOLDS
    assert _compared(*runs, limit=-4).verdict == verdicts.FAILS


XIE = statistics.pooled([(run.sd, 3) for run in FOUND["adai-pnm"] if run.cell.startswith("cifar10/")])


def test_a_single_run_borrows_a_spread_and_says_so():
    judged = _compared(_end("padam", 0.20), _end("adam", 0.202))
    assert XIE[1] == 28
    assert judged.half == pytest.approx(statistics.quantile(28) * math.sqrt(2) * XIE[0])
    assert (judged.verdict, judged.how) == (verdicts.OPEN, "borrowed")
    assert _compared(_end("padam", 0.20), _end("adam", 0.21)).verdict == verdicts.HOLDS
    others = [_end("yogi", 0.30, 0), _end("yogi", 0.34, 1)]  # the source's own seeds say that runs differ by more
    judged = _compared(_end("padam", 0.20), _end("adam", 0.21), *others)
    assert judged.half == pytest.approx(12.706 * math.sqrt(2) * statistics.spread([30, 34]), rel=1e-4)
    assert judged.verdict == verdicts.OPEN


def test_what_an_error_does_in_its_last_epochs_comes_on_top():
    unsteady = _run("padam", test_error=[0.9] * 18 + [0.22, 0.20])
    judged = _compared(unsteady, _end("adam", 0.21))
    wobble = statistics.spread([22, 20])
    assert judged.half == pytest.approx(statistics.quantile(28) * math.sqrt(2 * XIE[0] ** 2 + wobble**2))


def test_two_seeds_make_no_interval_of_their_own():
    """Two differences that happen to be alike would be an interval of nothing."""
    runs = [_end("padam", 0.20, 0), _end("padam", 0.22, 1), _end("adam", 0.21, 0), _end("adam", 0.23, 1)]
    judged = _compared(*runs)
    sd, freedom = statistics.pooled([(statistics.spread([20, 22]), 2), (statistics.spread([21, 23]), 2)])
    assert judged.how == "borrowed"
    assert judged.half == pytest.approx(statistics.quantile(freedom) * sd)  # times the root of 2 over that of 2 runs
    assert judged.runs == 2


def test_the_miniature_borrows_nothing_and_single_curves_borrow_from_it():
    pair = [replace(_end(*each), source="small") for each in (("padam", 0.2), ("adam", 0.5))]
    assert _compared(*pair).half == math.inf
    assert _compared(*pair).verdict == verdicts.OPEN
    own = verdicts._spread(FOUND["small"], metrics.between, "cifar10")
    half = statistics.quantile(own[1]) * math.sqrt(2) * own[0]
    theirs = FOUND["reproduction-2019"]
    assert verdicts.borrowed(theirs, metrics.between, "cifar10") == pytest.approx(half)
    (judged,) = BY_NAME["as well as SGD-momentum"](theirs)["cifar10/vgg16"]
    assert judged.how == "borrowed"


def test_a_diverged_run_is_behind_and_two_say_nothing():
    lost = replace(_run("adam", test_error=[0.9] * 20), diverged=True)
    assert _compared(_end("padam", 0.2), lost).verdict == verdicts.HOLDS
    assert _compared(replace(lost, optimizer="padam"), _end("adam", 0.2)).verdict == verdicts.FAILS
    assert _compared(replace(lost, optimizer="padam"), lost).verdict == verdicts.OPEN
    other_way = [replace(lost, optimizer="padam", seed=1), _end("adam", 0.2, 1), _end("padam", 0.2), lost]
    assert _compared(*other_way).verdict == verdicts.OPEN


def test_two_runs_under_one_name_are_an_error():
    with pytest.raises(ValueError, match="two runs of adam on cifar10/vgg16, seed 0"):
        _compared(_end("padam", 0.2), _end("adam", 0.2), _end("adam", 0.3))


def test_a_metric_can_be_compared_with_a_number():
    row = {"adam": [_end("adam", 0.004)]}
    judged = verdicts.compare(verdicts.Less(metrics.last, "adam", None, 0.9), row, row["adam"], "cifar10/vgg16")
    assert judged.difference == pytest.approx(0.4)
    assert judged.half == pytest.approx(statistics.quantile(28) * XIE[0])
    assert judged.verdict == verdicts.HOLDS


def test_without_a_common_seed_there_is_no_comparison():
    assert _compared(_end("padam", 0.2, 0), _end("adam", 0.3, 1)) is None
    assert _compared(_end("padam", 0.2, 0)) is None


def test_a_printed_difference_of_just_the_limit_does_not_hold():
    def printed(padam, sgdm):
        both = (("padam", padam), ("adam", sgdm))
        runs = [evidence.Run("paper", "cifar10/vgg16", name, last=last) for name, last in both]
        return _compared(*runs, limit=0.2).verdict

    assert printed(6.49, 6.29) == verdicts.FAILS
    assert printed(6.48, 6.29) == verdicts.HOLDS


# --- claims


def test_imagenet_is_judged_by_both_errors_and_at_full_scale_by_the_spread_of_the_miniature(monkeypatch):
    def run(source, optimizer, seed, *errors, cell="imagenet/vgg16"):
        history = {"epoch": [1, 2], "test_error": [error for error, _ in errors]}
        history["test_error_top5"] = [five for _, five in errors]
        return evidence.curve(source, cell, optimizer, history, seed=seed, milestones=(1,))

    ahead = run("full", "padam", 0, (0.30, 0.09), (0.25, 0.10))
    assert [metric(ahead) for metric in (metrics.last, metrics.last_top5)] == [25, 10]
    assert [metric(ahead) for metric in (metrics.best, metrics.best_top5)] == [25, 9]
    behind = [run("full", name, 0, (0.4, 0.08), (0.35, 0.2)) for name in claims.SEVEN[:-1]]
    small = [run("small", "adam", seed, (0.5, 0.3), (0.5 + 0.001 * seed, 0.3)) for seed in (0, 1, 2)]
    other = [run("small", "adam", seed, (0.5, 0.3), (0.1 * seed, 0.3), cell="cifar10/vgg16") for seed in (0, 1, 2)]
    monkeypatch.setattr(verdicts, "_packaged", lambda: {"small": small + other, "adai-pnm": FOUND["adai-pnm"]})
    best = BY_NAME["best VGGNet"]
    judged = verdicts.compare(
        verdicts.Less(metrics.last, "padam", "adam"),
        {"padam": [ahead], "adam": behind[1:2]},
        [ahead, *behind],
        "imagenet/vgg16",
    )
    spread = math.sqrt(2 * 0.1**2 + metrics.wobble(ahead) ** 2 + metrics.wobble(behind[0]) ** 2)
    assert judged.half == pytest.approx(statistics.quantile(2) * spread)
    level = [run("small", name, 0, (0.5, 0.1), (0.25 if name == "padam" else 0.35, 0.1)) for name in claims.SEVEN]
    printed = [replace(each, source="paper") for each in level]
    assert verdicts.summary(best, printed, "imagenet").verdict == verdicts.FAILS  # for its top-5 is not below
    printed = [replace(each, source="paper") for each in (ahead, *behind)]
    assert verdicts.summary(best, printed, "imagenet").verdict == verdicts.HOLDS
    assert verdicts.summary(best.at_best(), printed, "imagenet").verdict == verdicts.FAILS  # 8% at once, before 9%


def test_a_source_with_one_optimizer_has_no_column_among_the_verdicts():
    header = tables.verdicts(FOUND, "imagenet")[0]
    assert "the paper" in header
    assert "torchvision" not in header


def test_every_claim_about_end_values_is_decided_on_the_papers_own_tables():
    # Its first page says "typically", its Table 3 not; and in Table 2 SGD-momentum has the best top-1 of ResNet-18.
    denied = {("Adam behind SGD-momentum on text", "ptb"): 2, ("best Top-1 of ResNet", "imagenet"): 1}
    for claim, dataset in ((each, dataset) for each in claims.CLAIMS for dataset in each.datasets):
        found = verdicts.summary(claim, FOUND["paper"], dataset)
        if fails := denied.get((claim.name, dataset)):
            assert (found.verdict, found.fails, found.networks) == (verdicts.FAILS, fails, fails)
        elif dataset == "cifar100":
            assert found.networks == 0, "the paper has no table of CIFAR-100"
        elif claim.final:
            assert found.verdict == verdicts.HOLDS, claim.name
            assert found.holds == found.networks >= 1
        else:
            assert found == verdicts.Summary(verdicts.OPEN, 0, 0, 0, 0), "the paper prints no curves"


@pytest.mark.parametrize("name", [name for name, claim in BY_NAME.items() if claim.comparisons])
def test_every_claim_can_hold_fail_and_stay_open(name):
    claim = BY_NAME[name]
    network = f"{claim.datasets[0]}/{claim.models[0] if claim.models else 'vgg16'}"

    def judged(sign, noise):
        """All comparisons of the claim on runs whose metric is the optimizer's rank, or the other way round."""
        order = _ranked([less for less in claim.comparisons if less.other])
        runs = [
            evidence.Run("small", network, optimizer, seed, last=sign * 10 * rank + noise * seed * (-1) ** rank)
            for rank, optimizer in enumerate(order)
            for seed in (0, 1, 2)
        ]
        read = tuple(less._replace(metric=lambda run: run.last) for less in claim.comparisons if less.other)
        return verdicts.summary(replace(claim, comparisons=read), runs, claim.datasets[0]).verdict

    par = name == "on a par"  # holds where nobody is ahead
    assert judged(0 if par else 1, 0) == verdicts.HOLDS
    assert judged(1 if par else -1, 0) == verdicts.FAILS
    assert judged(0 if par else 1, 100) == verdicts.OPEN


def _ranked(comparisons):
    """The optimizers of some comparisons, each after those that it should be above; pairs that go round in a circle
    ("on a par") in any order."""
    above = {name: set() for less in comparisons for name in (less.one, less.other)}
    for less in comparisons:
        above[less.other].add(less.one)
    return sorted(above, key=lambda name: len(above[name]))


EXPECTED = (  # what the published runs say of the sentences that matter most
    ("ahead of Adam and Amsgrad", "reproduction-2019", "cifar10", verdicts.HOLDS),
    ("ahead of Adam and Amsgrad", "reproduction-2019", "cifar100", verdicts.HOLDS),
    ("ahead of Adam and Amsgrad", "adai-pnm", "cifar10", verdicts.HOLDS),
    ("ahead of Adam and Amsgrad", "adai-pnm", "cifar100", verdicts.HOLDS),
    ("Adam behind SGD-momentum", "adai-pnm", "cifar10", verdicts.HOLDS),
    ("Adam behind SGD-momentum", "adai-pnm", "cifar100", verdicts.HOLDS),
    ("Adam behind SGD-momentum", "reproduction-2019", "cifar100", verdicts.HOLDS),
    ("fastest", "reproduction-2019", "cifar10", verdicts.FAILS),
    ("fastest", "reproduction-2019", "cifar100", verdicts.FAILS),
    ("as well as SGD-momentum", "adai-pnm", "cifar100", verdicts.FAILS),
    ("barely match", "adabelief", "cifar10", verdicts.FAILS),
)


@pytest.mark.parametrize(("name", "source", "dataset", "verdict"), EXPECTED)
def test_what_independent_runs_say(name, source, dataset, verdict):
    assert verdicts.summary(BY_NAME[name], FOUND[source], dataset).verdict == verdict


def test_at_the_best_epoch_adam_is_behind_in_the_runs_where_it_is_not_at_the_last():
    claim = BY_NAME["Adam behind SGD-momentum"]
    for source in ("adabound", "adabelief"):
        assert verdicts.summary(claim, FOUND[source]).verdict == verdicts.OPEN
        assert verdicts.summary(claim.at_best(), FOUND[source]).verdict == verdicts.HOLDS


def test_one_altered_value_changes_a_verdict(monkeypatch):
    table = copy.deepcopy(paper.TABLE1)
    table["cifar10/vgg16"]["adam"] = 93.8
    monkeypatch.setattr(paper, "TABLE1", table)
    for name in ("lowest accuracy", "Adam behind SGD-momentum", "ahead of Adam and Amsgrad", "highest accuracy"):
        assert verdicts.summary(BY_NAME[name], evidence.collect()["paper"]).verdict == verdicts.FAILS
    sources = copy.deepcopy(published.load())
    for run in sources["adai-pnm"]["runs"]:
        if (run["dataset"], run["model"], run["optimizer"]) == ("cifar10", "vgg16", "padam"):
            run["best_test_error_mean"] = 0.0715
    monkeypatch.setattr(published, "load", lambda: sources)
    found = verdicts.summary(BY_NAME["ahead of Adam and Amsgrad"], evidence.collect()["adai-pnm"])
    assert (found.verdict, found.holds) == (verdicts.FAILS if found.fails else verdicts.OPEN, 1)


def test_a_claim_about_some_networks_leaves_the_others_alone():
    assert set(BY_NAME["highest accuracy"](FOUND["paper"])) == {"cifar10/vgg16", "cifar10/wrn16-4"}
    assert set(BY_NAME["on a par"](FOUND["paper"])) == {"cifar10/resnet18"}
    assert len({claim.name for claim in claims.CLAIMS}) == len(claims.CLAIMS)
