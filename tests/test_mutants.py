"""The mutants (`mutants.py`) that `make test` runs, and that the table and its command are what they claim to be."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from mutants import MUTANTS, ROOT, Mutant, chosen, main, run

SHORT = [mutant for mutant in MUTANTS if mutant.in_make_test]


@pytest.mark.slow
@pytest.mark.parametrize("mutant", SHORT, ids=lambda mutant: mutant.name)
def test_a_mutant_is_noticed(mutant):
    with tempfile.TemporaryDirectory() as folder:
        killer, _ = run(mutant, folder)
    assert killer is not None, f"no test notices: {mutant.name}"


def test_names_and_places_are_unique():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 24
    for mutant in MUTANTS:
        text = (ROOT / "padam" / mutant.file).read_text()
        assert text.count(mutant.old) == 1, mutant.name
        assert mutant.old != mutant.new
        assert all((ROOT / tests.partition("::")[0]).is_file() for tests in mutant.tests), mutant.name
        if mutant.file.endswith(".py"):
            compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")


def test_the_short_list_has_every_family_and_stays_short():
    assert len(SHORT) <= 25  # a few seconds each
    families = ("rules.py", "reference.py", "schedules.py", "optim/loop.py", "optim/foreach.py", "optim/base.py")
    families += ("optim/fused/cpu.c", "optim/fused/triton.py", "recipes/", "records/", "training/", "running/")
    families += ("evidence/", "plots/", "show.py")
    missing = [family for family in families if not any(mutant.file.startswith(family) for mutant in SHORT)]
    assert not missing


def test_the_parts_are_all_mutants_once():
    parts = [chosen(of=(number, 6)) for number in range(1, 7)]
    assert sorted(mutant.name for some in parts for mutant in some) == sorted(mutant.name for mutant in MUTANTS)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert [mutant.name for mutant in chosen(["yogi's sign"])] == ["yogi's sign", "loop: yogi's sign"]


def test_the_weekly_workflow_runs_every_part():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "mutants.yml").read_text())
    job = workflow["jobs"]["mutants"]
    numbers = job["strategy"]["matrix"]["part"]
    (command,) = [step["run"] for step in job["steps"] if "run" in step]
    assert f"--part ${{{{ matrix.part }}}}/{len(numbers)} " in command
    assert numbers == list(range(1, len(numbers) + 1))
    assert workflow[True].keys() == {"schedule", "workflow_dispatch"}  # YAML reads `on` as true


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--part", "7/6"], "invalid part value: '7/6'"),
        (["--part", "0/6"], "invalid part value: '0/6'"),
        (["--jobs", "0"], "--jobs is a number from 1 on, not 0"),
        (["no such mutant"], "no mutant's name has no such mutant in it"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message, monkeypatch, capsys):
    monkeypatch.setattr("mutants.MUTANTS", ())
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_what_cannot_be_run_is_an_error_and_the_others_go_on(monkeypatch, capsys):
    gone = Mutant("gone", "rules.py", "no such text", "", ())
    unharmed = Mutant("unharmed", "rules.py", "def adam(", "def adam(", ())
    monkeypatch.setattr("mutants.MUTANTS", (gone, unharmed))
    with pytest.raises(SystemExit) as ended:
        main([])
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert "ERROR     gone: its text occurs 0 times in rules.py" in said
    assert "SURVIVED  unharmed" in said
    assert "0 of 2 mutants killed" in said


@pytest.mark.slow
def test_ctrl_c_ends_it_and_all_that_it_started(tmp_path):
    begun = tmp_path / "begun"
    (tmp_path / "test_endless.py").write_text(
        "import os, pathlib, time\n"
        "def test_endless():\n"
        f"    pathlib.Path({str(begun) + '.part'!r}).write_text(f'{{os.getpid()}} {{os.getcwd()}}')\n"
        f"    os.rename({str(begun) + '.part'!r}, {str(begun)!r})\n"
        "    time.sleep(100)\n"
    )
    entry = ("endless", "rules.py", "def adam(", "def adam(", (str(tmp_path / "test_endless.py"),))
    code = f"import mutants\nmutants.MUTANTS = [mutants.Mutant(*{entry})] * 2\nmutants.main([])"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], env=env, **pipes) as process:
        while not begun.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (130, "Interrupted after 0 of 2 mutants.\n", "")
    pid, folder = begun.read_text().split(" ", 1)
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.slow
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
