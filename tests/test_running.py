"""The runner: order, slots, failures, signals, cards, budgets; and the words that make a run."""

import os
import signal
import subprocess
import sys

import pytest

from padam import recipes, records, running
from padam.cli import options


def _job(label, code="", standing=lambda: None):
    return running.Job(label, ("-S", "-c", code), standing)


def _exits(label, status, words="", standing=lambda: None):
    return _job(label, f"import sys; print({words!r}, file=sys.stderr); sys.exit({status})", standing)


def _ended(runner):
    return [(outcome.job.label, outcome.status) for outcome in runner.run()]


def test_one_slot_works_in_order_and_several_at_once(tmp_path):
    assert _ended(running.Local([_exits(name, 0) for name in "abc"])) == [("a", 0), ("b", 0), ("c", 0)]
    # Each waits for the other's file, so that they end only if they run at the same time.
    wait = "import pathlib, time, sys\nhere, other = map(pathlib.Path, {!r})\nhere.touch()\n" + (
        "for _ in range(600):\n    other.exists() and sys.exit(0)\n    time.sleep(0.02)\nsys.exit(1)"
    )
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    pair = [_job("a", wait.format((a, b))), _job("b", wait.format((b, a)))]
    assert sorted(_ended(running.Local(pair, slots=2))) == [("a", 0), ("b", 0)]


@pytest.mark.parametrize("status", [0, 1, 4, 2, "killed"])
def test_a_run_that_fails_does_not_stop_the_others(status):
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"  # as a system does that has no memory left
    odd = _job("b", kill) if status == "killed" else _exits("b", status)
    status = -signal.SIGKILL if status == "killed" else status
    runner = running.Local([_exits("a", 0), odd, _exits("c", 0)])
    assert _ended(runner) == [("a", 0), ("b", status), ("c", 0)]
    assert running.exit_status(runner) == {0: 0, 4: running.STOPPED}.get(status, 1)


@pytest.mark.parametrize("status", [running.STOPPED, running.INTERRUPTED])
def test_a_run_that_was_stopped_is_the_last_one(status):
    runner = running.Local([_exits("a", status), _exits("b", 0)])
    assert _ended(runner) == [("a", status)]
    assert running.exit_status(runner) == status


def test_three_failures_in_a_row_with_the_same_words_are_the_last():
    runner = running.Local([_exits(name, 1, "Error: no data") for name in "abcd"])
    assert _ended(runner) == [("a", 1), ("b", 1), ("c", 1)]
    assert runner.ending == running.BY_FAILURES
    assert [outcome.error for outcome in runner.outcomes] == ["Error: no data"] * 3
    for words in (("one", "two", "one", "two"), ("same", "same", "", "same")):
        runner = running.Local([_exits(name, 1, said) for name, said in zip("abcd", words, strict=True)])
        assert len(_ended(runner)) == 4
    statuses = zip("abcde", (1, 1, 0, 1, 0), strict=True)
    runner = running.Local([_exits(name, status, "x") for name, status in statuses])
    assert len(_ended(runner)) == 5  # three, but not in a row


def test_what_follows_is_asked_for_when_all_has_ended():
    asked = []

    def more(outcomes):
        asked.append([outcome.job.label for outcome in outcomes])
        return [_exits("c", 0), _exits("d", 1)] if len(asked) == 1 else []

    runner = running.Local([_exits("a", 0), _exits("b", 0)], slots=2, more=more)
    assert sorted(_ended(runner)) == [("a", 0), ("b", 0), ("c", 0), ("d", 1)]
    assert [sorted(labels) for labels in asked] == [["a", "b"], ["a", "b", "c", "d"]]
    stopped = running.Local([_exits("a", running.STOPPED)], more=more)
    assert _ended(stopped) == [("a", running.STOPPED)]
    assert len(asked) == 2  # after a stop nothing follows


def test_an_error_about_what_follows_is_raised_when_all_has_ended():
    def more(outcomes):
        raise ValueError("a file is of another study")

    runner = running.Local([_exits("a", 0), _exits("b", 0)], slots=2, more=more)
    with pytest.raises(ValueError, match="of another study"):
        runner.run()
    assert len(runner.outcomes) == 2


def test_it_looks_again_before_a_run_begins():
    looks = {"a": running.FINISHED, "b": running.BUSY, "c": None}
    jobs = [_exits(name, 0, standing=lambda name=name: looks[name]) for name in "abc"]
    runner = running.Local(jobs)
    assert _ended(runner) == [("a", 0), ("b", running.BUSY), ("c", 0)]
    assert [outcome.begun for outcome in runner.outcomes] == [False, False, True]
    assert running.exit_status(runner) == running.STOPPED  # b's record is not there yet


def test_an_error_of_its_own_is_told_as_the_runs_and_the_others_go_on():
    def look():
        raise PermissionError("seed0.json cannot be read")

    runner = running.Local([_exits("a", 0, standing=look), _exits("b", 0)])
    assert _ended(runner) == [("a", 1), ("b", 0)]
    assert runner.outcomes[0].error == "PermissionError: seed0.json cannot be read"
    assert running.exit_status(runner) == 1


def test_nobody_needs_to_listen():
    def closed(line):
        raise BrokenPipeError

    assert _ended(running.Local([_exits("a", 0, "said"), _exits("b", 0, "said")], say=closed)) == [("a", 0), ("b", 0)]


def test_what_a_run_says_is_handed_on():
    said = []
    running.Local([_job("a", "import sys; print('one\\n\\ntwo', file=sys.stderr)")], say=said.append).run()
    assert said == ["one", "two"]


def test_each_slot_has_a_card_of_its_own(monkeypatch):
    show = "import os, sys, time; print(os.environ.get('CUDA_VISIBLE_DEVICES'), file=sys.stderr); time.sleep(0.3)"

    def cards(slots, count):
        runner = running.Local([_job(str(k), show) for k in range(slots)], slots, cards=count)
        return sorted(outcome.error for outcome in runner.run())

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert cards(2, 2) == ["0", "1"]
    assert cards(2, 1) == ["0", "0"]
    assert cards(1, 0) == ["None"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-7")
    assert cards(2, 2) == ["3", "GPU-7"]


def test_a_budget_is_handed_on_and_nothing_begins_that_has_no_time_left(monkeypatch):
    seen, real = [], subprocess.Popen

    def popen(command, **given):
        seen.append(command)
        return real(command, **given)

    monkeypatch.setattr(running.local.subprocess, "Popen", popen)
    assert _ended(running.Local([_exits("a", 0)], budget=100)) == [("a", 0)]
    word, left = seen[0][-2:]
    assert word == "--budget"
    assert 90 <= options.seconds(left) <= 100
    runner = running.Local([_exits("a", 0)], budget=running.START - 1)
    assert (_ended(runner), runner.ending, running.exit_status(runner)) == ([], running.BY_BUDGET, running.STOPPED)


def test_ctrl_c_is_passed_on_once_and_nothing_begins_after_it():
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
        "print('ready', file=sys.stderr, flush=True)\ntime.sleep(60)"
    )

    def interrupt(line):
        if line == "ready":
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    runner = running.Local([_job("a", code), _exits("b", 0)], say=interrupt)
    assert _ended(runner) == [("a", 130)]
    assert running.exit_status(runner) == running.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_ends_well_after_ctrl_c_is_the_last_one_all_the_same():
    code = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(0))\n"
        "print('ready', file=sys.stderr, flush=True)\ntime.sleep(60)"
    )
    runner = running.Local(
        [_job("a", code), _exits("b", 0)],
        say=lambda line: os.kill(os.getpid(), signal.SIGTERM) if line == "ready" else None,
    )
    assert _ended(runner) == [("a", 0)]
    assert running.exit_status(runner) == running.INTERRUPTED


def test_the_speed_of_a_run_is_that_of_records_of_its_network(tmp_path):
    def put(optimizer, seconds, **changes):
        recipe = recipes.get(f"cifar10/vgg16/{optimizer}", "small")
        path = records.path(recipe, 0, tmp_path)
        path.parent.mkdir(parents=True)
        values = recipe.values() | changes
        path.write_text(records.dumps({"schema": 2, "recipe": values, "history": {"seconds": seconds}}))

    recipe = recipes.get("cifar10/vgg16/yogi", "small")
    assert running.speed(recipe, tmp_path) is None
    put("adam", [90.0, 8.0, 10.0])  # the first epoch is slow
    put("padam", [14.0, 14.0, 14.0])
    put("sgdm", [900.0], model="vgg16-w64")
    assert running.speed(recipe, tmp_path) == 12.0
    cell = running.look(recipe, 0, tmp_path)
    assert running.seconds_left(cell, tmp_path) == 60 * 12.0
    assert running.time_left([cell, cell], 2, tmp_path) == ", about 12 min"


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch):
    """As SIGHUP is under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        code = "import time; print('ready', file=__import__('sys').stderr, flush=True); time.sleep(0.5)"
        hang_up = lambda line: os.kill(os.getpid(), signal.SIGHUP)  # noqa: E731
        assert _ended(running.Local([_job("a", code)], say=hang_up)) == [("a", 0)]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("changes", [None, {"lr": 0.03, "betas": (0.9, 0.95)}])
def test_the_words_of_a_run_make_that_very_run(changes, tmp_path):
    from typer.testing import CliRunner

    from padam import cli

    recipe = recipes.get("cifar10/vgg16/adam", "small", changes)
    cell = running.look(recipe, 2, tmp_path)
    words = running.command(cell, ("--out", str(tmp_path)))
    assert words[:2] == ("-m", "padam")
    told = CliRunner().invoke(cli.app, [*words[2:], "--plan"])
    assert told.stdout == f"{running.in_words(cell, tmp_path)}\n"
    assert str(tmp_path / "small" / recipe.id / "seed2.json") in told.stdout


@pytest.mark.slow
def test_a_command_ends_well_though_nobody_reads_its_lines(tmp_path):
    """As in `python -m padam reproduce table3 --plan | head -0`."""
    words = (sys.executable, "-m", "padam", "reproduce", "table3", "--plan", "--out", str(tmp_path))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        words, stdout=write, stderr=subprocess.PIPE, text=True, env=os.environ | {"PADAM_PROFILE": "quick"}
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_command_ends_well_though_stdout_is_closed(tmp_path):
    """As in `python -m padam reproduce table3 --plan >&-`."""
    command = f"exec {sys.executable} -m padam list lstm2/padam >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
