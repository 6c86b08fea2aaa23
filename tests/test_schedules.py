"""Multi-step decay: the function, torch's scheduler, and the paper's 100/50/50 epochs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from padam import Padam, schedules


def test_the_papers_schedule_is_100_50_50():
    rate = schedules.multistep(0.1, (100, 150))
    rates = [rate(epoch) for epoch in range(1, 201)]
    assert rates[:100] == [0.1] * 100
    assert rates[100:150] == pytest.approx([0.01] * 50)
    assert rates[150:] == pytest.approx([0.001] * 50)


@given(st.sets(st.integers(1, 30), max_size=4), st.floats(0.05, 1.0))
def test_the_function_and_torchs_scheduler_agree(milestones, gamma):
    milestones = sorted(milestones)
    optimizer = Padam([torch.nn.Parameter(torch.ones(1))], lr=0.7)
    schedule, rate = schedules.scheduler(optimizer, milestones, gamma), schedules.multistep(0.7, milestones, gamma)
    for epoch in range(1, 35):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate(epoch))
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize(
    ("milestones", "gamma", "words"),
    [
        ((150, 100), 0.1, "increasing"),
        ((0,), 0.1, "from 1 on"),
        ((1.5,), 0.1, "whole numbers"),
        ((5, 5), 0.1, "increasing"),
        ((5,), 0.0, r"gamma is 0.0, but must be in \(0, 1\]"),
        ((5,), 10, "gamma is 10"),
    ],
)
def test_bad_schedules_are_refused(milestones, gamma, words):
    with pytest.raises(ValueError, match=words):
        schedules.multistep(0.1, milestones, gamma)
    with pytest.raises(ValueError, match=words):
        schedules.scheduler(Padam([torch.ones(1, requires_grad=True)]), milestones, gamma)
