"""The study of the decay's factor: its settings, and that the mean weights are the mean of the weights."""

import itertools

import pytest
import torch

from padam import data as datasets
from padam import recipes, studies
from padam.studies import Run, decay_factor, rates
from padam.training.signals import Signals, Stopped

SETTING = {"optimizer": "adam", "lr": 0.01, "factor": 0.3, "seed": 1}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    digits = datasets.load("mnist5k")
    few = digits._replace(
        train=tuple(part[::40] for part in digits.train),
        test=tuple(part[::50] for part in digits.test),
        valid=tuple(part[5::50] for part in digits.test),
    )
    monkeypatch.setattr(rates, "pictures", lambda root: few)
    monkeypatch.setattr(decay_factor, "_MODEL", "convnet-bn-w4")
    monkeypatch.setattr(decay_factor, "_EPOCHS", 9)
    monkeypatch.setattr(decay_factor, "_MILESTONES", (4, 6))


def test_rates_go_from_the_papers_to_the_best_of_the_study_of_rates():
    held_out = {}
    for run in studies.read("rates")["runs"]:
        name, lr = run["setting"]["optimizer"], run["setting"]["lr"]
        held_out.setdefault(name, {}).setdefault(lr, []).append(run["result"]["valid_error"][-1])
    for name, grid in decay_factor._RATES.items():
        assert grid[-1] == min(held_out[name], key=lambda lr, name=name: sum(held_out[name][lr]))
        assert recipes.get(f"cifar10/vgg16/{name}", "small").hyper["lr"] in grid
    settings = studies.STUDIES["decay-factor"].settings
    assert len(settings) == len({tuple(setting.values()) for setting in settings}) == 3 * 3 * 5 * 5


def test_the_rate_is_decayed_by_the_factor_and_means_are_looked_at_where_a_stage_ends():
    found = decay_factor.measure(SETTING, None, Run())
    assert found["lr"] == pytest.approx([0.01] * 4 + [0.003] * 2 + [0.0009] * 3)
    ends = [epoch for epoch, error in enumerate(found["mean_test_error"], start=1) if error is not None]
    assert ends == [epoch for epoch, error in enumerate(found["mean_valid_error"], start=1) if error is not None]
    assert ends == [4, 6, 9]
    assert found["mean_valid_error"][3] != found["mean_test_error"][3]


def test_the_mean_weights_are_the_mean_after_every_step_of_the_last_epochs(monkeypatch):
    """And the look at them changes nothing of the training."""
    seen, looked, step = [], [], torch.optim.Adam.step

    def stepped(self, *given):
        result = step(self, *given)
        seen.append([p.detach().clone() for p in self.param_groups[0]["params"]])
        return result

    errors = decay_factor.Averages._errors

    def look(self, trainer):
        looked.append((len(seen), [p.detach().clone() for p in self.mean.module.parameters()]))
        return errors(self, trainer)

    monkeypatch.setattr(decay_factor.Averages, "_errors", look)
    plain = decay_factor.measure(SETTING, None, Run())
    monkeypatch.setattr(torch.optim.Adam, "step", stepped)
    looked.clear()
    assert decay_factor.measure(SETTING, None, Run()) == plain
    steps = len(seen) // 9
    for (count, means), epochs in zip(looked, (3, 2, 3), strict=True):
        last = seen[count - epochs * steps : count]
        for number, mean in enumerate(means):
            wanted = torch.stack([weights[number] for weights in last]).mean(0)
            torch.testing.assert_close(mean, wanted, rtol=1e-4, atol=1e-6)
    monkeypatch.setattr(decay_factor.Averages, "_errors", lambda self, trainer: {})
    unseen = decay_factor.measure(SETTING, None, Run())
    assert unseen["test_error"] == plain["test_error"]


@pytest.mark.parametrize("epoch", [3, 4, 8])
def test_a_run_that_was_stopped_goes_on_with_its_means(tmp_path, epoch, monkeypatch):
    whole = decay_factor.measure(SETTING, None, Run())
    observe, count = decay_factor.Averages.observe, itertools.count(1)
    with Signals("it") as signals:

        def stopping(self, *given):
            if next(count) == epoch:
                signals.asked = "SIGINT"
            return observe(self, *given)

        monkeypatch.setattr(decay_factor.Averages, "observe", stopping)
        with pytest.raises(Stopped):
            decay_factor.measure(SETTING, None, Run(tmp_path, signals))
    assert decay_factor.measure(SETTING, None, Run(tmp_path)) == whole
