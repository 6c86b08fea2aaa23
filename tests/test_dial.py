"""The studies of the exponent: their grids, what extends them, whom they confirm and on what."""

import dataclasses
import math

import pytest
import torch

from padam import data as datasets
from padam.studies import Run, dial


def _run(setting, error, diverged=False):
    return {"setting": setting, "result": {"diverged": [diverged], "valid_error": [error]}}


def _measured(best_rate, best_shrinkage):
    """Runs of every setting, with errors that are lowest at a rate, as a factor of the centre, and a shrinkage."""

    def _error(setting):
        away = abs(math.log10(setting["lr"] / 10 ** (-4 * setting["p"]) / best_rate))
        return 0.5 + 0.01 * away + 10 * abs(setting["shrinkage"] - best_shrinkage) + 1e-4 * setting["seed"]

    runs = []
    while new := [s for s in dial.DIAL.all_settings(runs) if s not in [run["setting"] for run in runs]]:
        runs += [_run(setting, _error(setting)) for setting in new]
    return [run["setting"] for run in runs]


def test_the_grid_crosses_rates_and_shrinkages_and_gives_every_exponent_as_many():
    grid = dial.SMALL.grid()
    assert len(grid) == len({tuple(s.values()) for s in grid}) == 8 * 5 * 4 * 3
    assert [s["lr"] for s in grid if (s["p"], s["shrinkage"], s["seed"]) == (0.5, 0, 0)] == [
        0.001,
        0.00316,
        0.01,
        0.0316,
        0.1,
    ]
    assert {s["p"] for s in grid} == {0, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1}


def test_a_best_setting_inside_the_grid_is_confirmed_at_once():
    settings = _measured(best_rate=1, best_shrinkage=3e-4)
    fresh = settings[480:]
    assert len(fresh) == 8 * 15
    assert {s["stage"] for s in fresh} == {"confirm"}
    assert {s["shrinkage"] for s in fresh} == {3e-4}
    assert {s["p"]: s["lr"] for s in fresh} == {p: dial.SMALL.rate(p, 0) for p in dial.SMALL.values}
    assert {s["seed"] for s in fresh}.isdisjoint({s["seed"] for s in settings[:480]})


def test_no_shrinkage_is_no_edge():
    assert len(_measured(best_rate=1, best_shrinkage=0)) == 480 + 120


@pytest.mark.parametrize(("rate", "place"), [(100, 4), (0.01, -4)])
def test_a_best_rate_at_the_edge_extends_the_grid_until_it_is_not(rate, place):
    settings = _measured(best_rate=rate, best_shrinkage=3e-4)
    assert {(s["p"], s["lr"]) for s in settings if s["stage"] == "confirm"} == {
        (p, dial.SMALL.rate(p, place)) for p in dial.SMALL.values
    }
    assert len([s for s in settings if s["stage"] == "choose"]) == 8 * (5 + 3) * 4 * 3


def test_a_best_shrinkage_at_the_edge_extends_the_grid_of_that_exponent():
    settings = _measured(best_rate=1, best_shrinkage=3e-3)
    assert {s["shrinkage"] for s in settings if s["stage"] == "confirm"} == {3e-3}
    assert len([s for s in settings if s["stage"] == "choose"]) == 8 * 5 * (4 + 2) * 3


def _all_measured(study, best):
    """The settings of a study whose errors are lowest at `best`, {setting: value}."""
    runs = []
    while new := [s for s in study.all_settings(runs) if s not in [run["setting"] for run in runs]]:
        for setting in new:
            away = [abs(math.log10(max(setting[name], 1e-9) / value)) for name, value in best.items()]
            runs.append(_run(setting, 0.5 + 0.01 * sum(away)))
    return [run["setting"] for run in runs]


def test_a_larger_network_has_grids_of_its_own_that_are_extended_downwards_too():
    settings = _all_measured(dial.DIAL_VGG16, {"shrinkage": 1e-4, "lr": 0.01})
    assert len(dial.DIAL_VGG16.settings) == 4 * 3 * 2
    fresh = [s for s in settings if s["stage"] == "confirm"]
    assert len(fresh) == 4 * 3
    assert {s["shrinkage"] for s in fresh} == {1e-4}
    assert {s["lr"] for s in fresh} == {0.01}
    assert {s["p"] for s in fresh} == {0.0, 1 / 8, 1 / 4, 1 / 2}


def test_eps_is_turned_at_adams_exponent():
    settings = dial.DIAL_EPS.settings
    assert len(settings) == 5 * 5 * 4 * 3
    middle = {s["eps"]: s["lr"] for s in settings[2 * 4 :: 5 * 4][:5]}
    assert middle == {1e-5: 0.01, 1e-4: 0.0101, 1e-3: 0.011, 1e-2: 0.02, 1e-1: 0.11}
    fresh = [s for s in _all_measured(dial.DIAL_EPS, {"shrinkage": 3e-4, "lr": 0.02}) if s["stage"] == "confirm"]
    assert len(fresh) == 5 * 15
    (group,) = dial.build(torch.nn.Linear(2, 2), fresh[-1]).param_groups
    assert (group["p"], group["eps"]) == (0.5, 0.1)


def test_the_chosen_setting_has_the_lowest_mean_and_did_not_diverge():
    def _at(lr, seed):
        return {"stage": "choose", "p": 0.5, "lr": lr, "shrinkage": 0.0, "seed": seed}

    runs = [_run(_at(1.0, 0), 0.1), _run(_at(1.0, 1), 0.5), _run(_at(2.0, 0), 0.3), _run(_at(2.0, 1), 0.29)]
    assert dial.chosen(runs) == {0.5: (2.0, 0.0)}
    assert dial.chosen([*runs, _run(_at(3.0, 0), 0.01, diverged=True)]) == {0.5: (2.0, 0.0)}


def test_rate_times_weight_decay_is_the_shrinkage_whatever_the_exponent():
    for p, lr in ((0.0, 3.0), (0.125, 0.3), (1.0, 1e-4)):
        model = torch.nn.Linear(3, 2, bias=False)
        before = model.weight.detach().clone()
        setting = {"stage": "choose", "p": p, "lr": lr, "shrinkage": 0.01, "seed": 0}
        optimizer = dial.build(model, setting)
        model.weight.grad = torch.zeros(2, 3)
        optimizer.step()
        torch.testing.assert_close(model.weight.detach(), before * 0.99)
        (group,) = optimizer.param_groups
        assert (group["p"], group["betas"], group["eps"]) == (p, (0.9, 0.999), 1e-8)
        assert (group["correction"], group["decay"]) == ("exact", "decoupled")


def _pictures(count):
    images = torch.arange(count).view(-1, 1, 1, 1).expand(-1, 3, 32, 32)
    return images.to(torch.uint8), torch.arange(count)  # each has its own number for a label


def test_the_second_stage_trains_on_pictures_that_the_first_never_saw(monkeypatch):
    half = torch.full((3,), 0.5)
    loaded = datasets.Images(_pictures(50_000), _pictures(100), half, half, shift=4, flip=True)
    monkeypatch.setattr(dial.datasets, "load", lambda name, root: loaded)
    dial._pictures.cache_clear()
    first, other = ({"stage": "choose", "seed": seed} for seed in (0, 1))
    seen = dial.SMALL.pictures(first)
    assert seen.train[1].tolist() == dial.SMALL.pictures(other).train[1].tolist() == list(range(5_000))
    assert seen.valid[1].tolist() == list(range(5_000, 10_000))
    assert (seen.train[0].shape[-1], seen.shift, seen.flip) == (16, 0, 0)
    fresh = [dial.SMALL.pictures({"stage": "confirm", "seed": seed}) for seed in (100, 101)]
    chosen = [set(pictures.train[1].tolist()) for pictures in fresh]
    assert [len(some) for some in chosen] == [5_000, 5_000]
    assert min(chosen[0] | chosen[1]) >= 10_000
    assert len(chosen[0] & chosen[1]) < 1_500
    assert fresh[0].valid is None
    assert fresh[0].test[1].tolist() == list(range(100))
    dial._pictures.cache_clear()


def test_a_run_records_its_errors_and_the_spread_of_v_hat(monkeypatch):
    digits = datasets.load("mnist5k")
    few = digits._replace(
        train=tuple(part[::40] for part in digits.train), test=tuple(part[::50] for part in digits.test)
    )
    monkeypatch.setattr(dial.Plan, "pictures", lambda self, setting, root: few)
    plan = dataclasses.replace(dial.SMALL, model="convnet-bn-w4", epochs=2, milestones=(1,))
    setting = {"stage": "confirm", "p": 0.125, "lr": 0.1, "shrinkage": 1e-3, "seed": 100}
    found = plan.measure(setting, None, Run())
    assert {key: len(values) for key, values in found.items()} == {
        "train_loss": 2,
        "train_error": 2,
        "test_loss": 2,
        "test_error": 2,
        "diverged": 2,
        "v_hat": 3,
    }
    low, middle, high = found["v_hat"]
    assert 0 < low < middle < high
    assert plan.measure(setting, None, Run()) == found
