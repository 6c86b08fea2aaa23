"""What `make check` leaves out: the tests that are marked slow, and nothing else."""

import ast
import re
import types
from pathlib import Path

import conftest
import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.glob("test_*.py"))


def _is_slow(path):
    """Whether a file says that all of it is slow."""
    marks = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
    return any(
        ast.unparse(node.targets[0]) == "pytestmark" and "mark.slow" in ast.unparse(node.value) for node in marks
    )


SLOW = [path for path in FILES if _is_slow(path)]


def _ignored(path, markexpr):
    return conftest.pytest_ignore_collect(path, types.SimpleNamespace(getoption={"markexpr": markexpr}.get))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_left_out_only_where_all_of_it_is_slow_and_slow_tests_are_not_wanted(path):
    assert _ignored(path, "") is None
    assert _ignored(path, "not slow") is (True if path in SLOW else None)


def test_it_covers_style_types_and_a_test_file_of_every_part_of_the_package():
    target = re.search(r"^check:.*\n((?:\t.*\n)+)", (TESTS.parent / "Makefile").read_text(), re.M)[1]
    assert all(words in target for words in ("ruff check .", "ruff format --check .", '-m "not slow" tests'))
    quick = {path.stem for path in FILES if path not in SLOW}
    parts = ("formulas", "oracles", "identities", "agreement", "types", "recipes", "models", "training", "records")
    assert {f"test_{part}" for part in (*parts, "running", "claims", "results", "plots", "fused_cpu")} <= quick
