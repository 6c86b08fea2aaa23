"""The fast half of the mutants (`mutants.py`), and that the list is what it claims to be."""

import tempfile

import pytest
from mutants import MUTANTS, ROOT, Mutant, run

FAST = [mutant for mutant in MUTANTS if mutant.fast]


@pytest.mark.parametrize("mutant", FAST, ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(mutant):
    with tempfile.TemporaryDirectory() as folder:
        killer, _ = run(mutant, folder)
    assert killer is not None, f"no test notices: {mutant.name}"


def test_names_and_places_are_unique():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 24
    assert len(FAST) >= 30  # the others take a training run each
    for mutant in MUTANTS:
        text = (ROOT / "padam" / mutant.file).read_text()
        assert text.count(mutant.old) == 1, mutant.name
        assert mutant.old != mutant.new
        if mutant.file.endswith(".py"):
            compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")


def test_a_change_that_is_no_mistake_survives():
    """Otherwise the tests would fail on anything, and a killed mutant would mean nothing."""
    harmless = Mutant(
        "harmless",
        "schedules.py",
        "milestones = tuple(milestones)",
        "milestones = (*milestones,)",
        ("tests/test_schedules.py",),
    )
    with tempfile.TemporaryDirectory() as folder:
        assert run(harmless, folder)[0] is None


def test_a_mutant_whose_text_is_gone_is_an_error():
    with tempfile.TemporaryDirectory() as folder, pytest.raises(ValueError, match="occurs 0 times in rules.py"):
        run(Mutant("gone", "rules.py", "no such text", "", ()), folder)
