"""What the chapters show of the live source."""

import inspect

import pytest

from padam import rules, show
from padam.catalog import CATALOG, CORRECTIONS


@pytest.mark.parametrize(
    ("before", "after", "gone", "come"),
    [
        ("amsgrad", "padam", 1, 1),
        ("adam", "yogi", 1, 1),
        ("adam", "amsgrad", 1, 2),
        ("adagrad", "partial_adagrad", 1, 1),
        ("rmsprop", "partial_rmsprop", 1, 1),
        ("adadelta", "partial_adadelta", 1, 1),
        ("adamax", "partial_adamax", 1, 1),
        ("sgdm", "sgdm_ema", 1, 1),
    ],
)
def test_relatives_differ_by_as_little_as_the_book_says(before, after, gone, come):
    old, new = show.diff_lines(before, after)
    assert (len(old), len(new)) == (gone, come)


def test_adam_to_amsgrad_is_one_line_and_the_return():
    old, new = show.diff_lines("adam", "amsgrad")
    assert [line.split()[0] for line in old] == ["return"]
    assert [line.split()[0] for line in new] == ["v_hat", "return"]


def test_a_diff_shows_every_line_of_both_rules():
    text = str(show.diff("amsgrad", "padam"))
    assert text.startswith("```diff\n")
    marks = [line[0] for line in text.splitlines()[2:-1]]
    assert marks == [" ", " ", " ", "-", "+"]
    assert "** (2 * h.p)" in text.splitlines()[-2]


def test_source_is_the_source():
    assert inspect.getsource(rules.padam).rstrip() in str(show.source("padam"))
    both = str(show.source("adam", show.rows))
    assert "def adam" in both
    assert "def rows" in both


def test_formulas_are_the_catalogs():
    for entry in CATALOG.values():
        shown = str(show.math(entry.name))
        for line in entry.latex:
            assert line.replace(" = ", " &= ", 1) in shown or line == shown
    for name, correction in CORRECTIONS.items():
        assert all(line.split(" = ")[1] in str(show.correction(name)) for line in correction.latex)
    assert r"\lambda" in str(show.decay("l2"))


def test_things_display_themselves():
    assert show.math("padam")._repr_latex_().startswith("$$\n")
    assert show.source("padam")._repr_markdown_().startswith("```python")


def test_a_table_has_a_row_an_optimizer():
    lines = str(show.table("adam", "padam")).splitlines()
    assert len(lines) == 4
    assert lines[3].startswith("| Padam | EMA of g |")
    assert len(str(show.table()).splitlines()) == 2 + len(CATALOG)


def test_a_number_in_a_table_is_not_broken():
    line = str(show.rows(["p = 1/8"], ["0.9 ± 0.1"], ["+1 / -1"], ["1e-06"], ["$a = b$"], ["two words"])).splitlines()
    assert line[0] == "| p\u00a0=\u00a01/8 |"
    assert line[2:5] == ["| 0.9\u00a0±\u00a00.1 |", "| +1\u00a0/\u00a0-1 |", "| 1e-\u206006 |"]
    assert line[5:] == ["| $a = b$ |", "| two words |"]


@pytest.mark.parametrize("call", [show.source, show.math, show.table])
def test_an_unknown_name_is_an_error_that_lists_the_names(call):
    with pytest.raises(ValueError, match="no optimizer is called 'padamm'; the catalog has sgdm, .*padam"):
        call("padamm")
