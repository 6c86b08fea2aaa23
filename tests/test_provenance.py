"""Where a number comes from: the files behind it are those that a run executes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from padam.training import provenance

pytestmark = pytest.mark.slow

ROOT = Path(provenance.__file__).parents[1]
TRAIN = """
import json, sys, tempfile
from padam import recipes
from padam.training.run import train
with tempfile.TemporaryDirectory() as folder:
    train(recipes.get("ptb/lstm2/padam", "quick", {"epochs": 1}), 0, folder, device="cpu")
print(json.dumps([module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "padam"]))
"""


def _names(start="padam.training.run"):
    return {str(path.relative_to(ROOT)) for path in provenance.sources(start)}


def test_the_sources_of_a_run_are_all_that_it_executes():
    run = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=True)
    loaded = {str(Path(file).relative_to(ROOT)) for file in json.loads(run.stdout.splitlines()[-1])}
    assert loaded <= _names()
    needed_elsewhere = {"optim/fused/cpu.c", "optim/fused/cpu.py", "optim/fused/triton.py"}  # other machines' steps
    assert needed_elsewhere <= _names()
    assert {"optim/loop.py", "optim/foreach.py", "recipes/section5.py", "schedules.py"} <= loaded


def test_what_only_shows_results_is_no_source():
    shown = ("plots/", "evidence/", "cli/", "studies/", "bench/", "running/", "show.py")
    assert [name for name in _names() if name.startswith(shown)] == []


def test_a_study_has_its_own_module_among_its_sources():
    assert "studies/dial.py" in _names("padam.studies.dial")
    assert _names() - _names("padam.studies.dial") == set()


@pytest.mark.parametrize("name", ["optim/fused/cpu.c", "optim/foreach.py", "models/vgg.py"])
def test_a_changed_file_changes_the_hash(name, monkeypatch):
    before = provenance.source_hash.__wrapped__()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + (b" " if path == ROOT / name else b""))
    assert provenance.source_hash.__wrapped__() != before
