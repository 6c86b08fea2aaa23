"""The command line: what it says, what it ends with, and that a run can be stopped at will and goes on."""

import contextlib
import os
import queue
import re
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import typer
import warm
from typer.testing import CliRunner

from padam import cli, data, recipes, records, studies
from padam.cli import options
from padam.data import embedded
from padam.records import check
from padam.training import checkpoint, engine, progress

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
ID = "ptb/lstm2/padam"
LABEL = f"{ID}, seed 0"
CPU = ("--threads", "1", "--device", "cpu")
LINE = re.compile(
    r"^(\S+, seed \d+): epoch (\d+) of (\d+), train loss \d+\.\d+, test perplexity \d+\.\d, \d+\.\d s, about .+ left$"
)
COMMANDS = {
    "list": (),
    "show": ("--profile", "--set"),
    "train": (
        "--profile",
        "--set",
        "--seed",
        "--out",
        "--data",
        "--device",
        "--precision",
        "--threads",
        "--budget",
        "--plan",
        "--keep",
    ),
    "reproduce": (
        "--profile",
        "--seeds",
        "--only",
        "--jobs",
        "--keep",
        "--commands",
        "--out",
        "--data",
        "--device",
        "--precision",
        "--threads",
        "--budget",
        "--plan",
    ),
    "status": ("--profile", "--seeds", "--out"),
    "study": ("--out", "--jobs", "--data", "--budget", "--plan", "--commands", "--run"),
    "bench train": (
        "--profile",
        "--rounds",
        "--examples",
        "--workers",
        "--out",
        "--data",
        "--device",
        "--precision",
        "--threads",
    ),
}


def _call(*words):
    """A command in this process: exit_code, stdout, stderr."""
    return CliRunner().invoke(cli.app, [str(word) for word in words], prog_name="python -m padam")


def _error(result):
    """The one line that a failed command says after "Error: "; nothing is on stdout and nothing was raised."""
    assert result.exit_code not in (0, None)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    *usage, line = result.stderr.strip().splitlines()
    assert not usage or usage[0].startswith("Usage: python -m padam"), result.stderr
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    """A folder with a pydoc_data of its own, a third of Python's: on PYTHONPATH, an epoch takes half a second."""
    from pydoc_data.topics import topics

    folder = tmp_path_factory.mktemp("path") / "pydoc_data"
    folder.mkdir()
    (folder / "__init__.py").touch()
    some = {name: topics[name] for name in sorted(topics)[::3]}
    (folder / "topics.py").write_text(f"topics = {some!r}\n")
    return some, folder.parent


@pytest.fixture(scope="module", autouse=True)
def _short_text(topics):
    """The short text in this process and in those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pydoc_data.topics.topics", topics[0])
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(topics[1]), os.environ.get("PYTHONPATH")))))
        patch.delenv("PADAM_PROFILE", raising=False)
        patch.delenv("PADAM_DATA", raising=False)
        embedded.pydoc.cache_clear()
        yield
    embedded.pydoc.cache_clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(folder, result) of one run that nothing disturbed."""
    out = tmp_path_factory.mktemp("trained")
    return out, _call("train", ID, "--out", out, *CPU)


@pytest.fixture
def lines(monkeypatch):
    """The lines of an epoch are wanted, as into a pipe."""
    monkeypatch.delenv("PADAM_PROGRESS")
    monkeypatch.setattr(progress, "watched", lambda: False)  # pytest may have loaded ipykernel


def _where(out, id=ID, seed=0):
    return records.path(recipes.get(id, "quick"), seed, out)


def _put(record, path, status="finished"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(records.dumps(record | {"outcome": status}))


def _untimed(record):
    history = {key: value for key, value in record["history"].items() if key != "seconds"}
    return {k: v for k, v in record.items() if k not in ("started", "finished")} | {"history": history}


class _Process:
    """`python -m padam ...` with pipes for a terminal; `stderr` is read as it comes."""

    def __init__(self, *words):
        self._process = warm.Process("-m", "padam", *words, cwd=ROOT, start_new_session=True)
        self.pid, self.send, self.said, self._lines = self._process.pid, self._process.send_signal, [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def until(self, pattern):
        """The first line of stderr that holds the pattern, as soon as it is there."""
        while not (found := [line for line in self.said if re.search(pattern, line)]):
            line = self._lines.get(timeout=120)
            assert line is not None, f"{pattern!r} was never said, but {self.said}"
            self.said.append(line)
        return found[0]

    def end(self):
        """Wait for its end: (exit status, stdout, every line of stderr)."""
        self.said += iter(lambda: self._lines.get(timeout=120), None)
        with self._process:
            return self._process.wait(60), self._process.stdout.read(), self.said


@pytest.fixture
def start():
    """Start a `_Process`; what is left of it is killed in the end."""
    with contextlib.ExitStack() as stack:

        def begin(*words):
            process = _Process(*words)
            stack.callback(_kill, process)
            return process

        yield begin


def _kill(process):
    if process._process.poll() is None:
        process.send(signal.SIGKILL)
        process.end()


# What can be asked, and what is wrong about a question.


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_and_gives_an_example(name):
    result = _call(*name.split(), "--help")
    assert result.exit_code == 0
    assert set(re.findall(r"(?m)^ +(--[a-z]+)", result.stdout)) == {*COMMANDS[name], "--help"}
    assert f"python -m padam {name}" in " ".join(result.stdout.split("Example")[1].split())


def test_without_a_command_the_help_is_shown():
    result = _call()
    shown = result.stdout + result.stderr
    assert "Usage: python -m padam" in shown
    assert all(re.search(rf"(?m)^  {name.split()[0]} +\w", shown) for name in COMMANDS)
    assert "the same command is given again" in " ".join(shown.split())


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("nope", 2, r"No such command 'nope'"),
        ("list vgg17", 1, r"no recipe's id contains 'vgg17'; `python -m padam list` shows all \d+\."),
        ("show cifar10/vgg16/padamm", 1, r"did you mean cifar10/vgg16/padam, .* `python -m padam list` shows them all"),
        ("train cifar10/vgg16", 1, r"no recipe is called 'cifar10/vgg16'; did you mean cifar10/vgg16/"),
        ("train zzz", 1, r"no recipe is called 'zzz'; `python -m padam list` shows them all"),
        ("train", 2, r"Missing argument 'ID'"),
        (f"show {ID} --profile huge", 2, r"'--profile': .*'huge' is not one of 'quick', 'small', 'full'"),
        (f"train {ID} --plan --budget 5x", 2, r"'--budget': '5x' is no time; write 90s, 25m, 1h30m or 600"),
        (f"train {ID} --plan --seed -1", 2, r"'--seed': .*0"),
        (f"train {ID} --plan --device gpu", 2, r"'--device': 'gpu' is no device; write cpu, cuda or cuda:1"),
        (f"train {ID} --plan --device cuda:99", 2, r"'--device': there is no cuda:99 here; torch finds \d CUDA"),
        ("reproduce table1 --plan --jobs 0", 2, r"'--jobs': .*1"),
        ("reproduce table1 --plan --budget -3m", 2, r"'--budget': '-3m' is no time"),
        ("reproduce table4 --plan", 2, r"'table4' is not one of 'table1', 'table2', 'table3', 'figure1', 'figure2'"),
        (
            f"train {ID} --plan --precision fp8",
            2,
            r"'--precision': .*'fp8' is not one of 'auto', 'fp32', 'bf16', 'fp16'",
        ),
        ("status --profile huge", 2, r"'--profile': .*'huge' is not one of"),
    ],
)
def test_a_wrong_question_is_answered_in_one_line(words, status, said):
    result = _call(*words.split())
    assert re.search(said, _error(result))
    assert result.exit_code == status


@pytest.mark.parametrize("command", ["train --plan", "status"])
def test_a_file_that_is_no_record_is_named(command, tmp_path):
    path = _where(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    name, *more = command.split()
    result = _call(name, *([ID] if name == "train" else []), *more, "--out", tmp_path)
    assert f"{path} is no record: it is not JSON" in result.stderr
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_a_profile_of_the_environment_that_is_none_is_an_error(monkeypatch):
    monkeypatch.setenv("PADAM_PROFILE", "huge")
    for words in (("status",), ("show", ID), ("reproduce", "table1", "--plan")):
        assert "no profile is called 'huge'" in _error(_call(*words))


def test_list_shows_every_id_or_those_that_match():
    assert _call("list").stdout.split() == list(recipes.ids())
    found = _call("list", "lstm2/padam").stdout.split()
    assert ID in found
    assert len(found) > 1
    assert all("lstm2/padam" in id for id in found)


@pytest.mark.parametrize("profile", recipes.PROFILES)
def test_show_prints_every_setting_with_its_source(profile):
    recipe = recipes.get("cifar10/vgg16/adabound", profile)
    heading, _, *rows = _call("show", recipe.id, "--profile", profile).stdout.splitlines()
    assert heading.strip() == f"cifar10/vgg16/adabound, {profile}"
    whole = re.sub(r"\s+\n {9,}", " ", "\n".join(rows))  # a long source takes two rows
    shown = dict(row.split(maxsplit=1) for row in whole.splitlines())
    assert {key: recipe.sources[key] in rest for key, rest in shown.items()} == dict.fromkeys(recipe.sources, True)
    values = {key: re.match(r"\[.*?\]|\S+", rest)[0] for key, rest in shown.items()}
    assert (values["gamma"], values["hyper.gamma"]) == ("0.1", "0.001")
    assert (values["epochs"], values["hyper.betas"]) == (str(recipe.epochs), "[0.9, 0.999]")
    assert values["train_size"] == str(recipe.train_size or "all")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("25m", 1500), ("1h30m", 5400), ("1.5h", 5400), ("600", 600), ("1h1m1s", 3661), (None, None)],
)
def test_a_time_is_read(text, expected):
    assert options.seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "5x", "-3m", "0s", "0", "1h30", "5m5m", "1 h", "1e3", "5m!", "h1", "inf"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(typer.BadParameter, match="is no time; write 90s, 25m"):
        options.seconds(text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (75, "1 min 15 s"),
        (599, "9 min 59 s"),
        (600, "10 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (26000, "7 h 13 min"),
    ],
)
def test_a_duration_is_said_in_two_units_at_most(seconds, said):
    assert progress.duration(seconds) == said


# One run.


def test_a_plan_trains_nothing(tmp_path):
    out = tmp_path / "[red] folder" / ("long" * 30)  # neither markup nor a line's width is anything to a path
    result = _call("train", ID, "--out", out, "--plan")
    assert result.exit_code == 0
    what = re.escape(f"{LABEL} (lstm2-h64 on pydoc, 4 epochs, ") + r"\d\.\de10 FLOPs\)"
    assert re.fullmatch(rf"{what} is to be trained: {re.escape(str(_where(out)))}\n", result.stdout)
    assert not out.exists()


def test_a_run_ends_in_a_record_and_says_where(trained):
    out, result = trained
    assert result.exit_code == 0, result.output
    path = out / "quick" / "ptb" / "lstm2" / "padam" / "seed0.json"
    said, where = result.stdout.splitlines()
    final = records.final(records.read(path))
    assert said == f"{LABEL}: finished: {progress.in_words(final)}"
    assert where == str(path)
    assert [file for file in out.rglob("*") if file.is_file()] == [path]
    plan = _call("train", ID, "--out", out, "--plan").stdout
    assert re.fullmatch(rf"{LABEL} \(.*\) is recorded, \d+ s: {re.escape(where)}\n", plan)


def test_a_run_that_is_recorded_is_not_run_again(trained, monkeypatch):
    out, first = trained
    before = _where(out).read_bytes()
    monkeypatch.setattr("padam.data.load", lambda *given: pytest.fail("the data were read"))
    again = _call("train", ID, "--out", out, *CPU)
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert _where(out).read_bytes() == before


def test_other_settings_are_a_run_of_their_own(tmp_path):
    changed = ("--set", "lr=0.02", "--set", "p=1/4", "--set", "epochs=1")
    shown = _call("show", ID, *changed)
    assert re.search(r"hyper.p +0.25 +command line", shown.stdout)
    done = _call("train", ID, *changed, "--out", tmp_path, *CPU)
    assert done.exit_code == 0, done.stderr
    path = tmp_path / "quick" / f"{ID}-epochs=1,lr=0.02,p=0.25" / "seed0.json"
    record = records.read(path)
    assert (record["recipe"]["hyper"]["p"], record["history"]["lr"]) == (0.25, [0.02])
    assert check.faults(record) == []
    altered = record | {"recipe": record["recipe"] | {"changes": {"lr": 0.03}}}
    assert any("recipe.hyper" in fault for fault in check.faults(altered))
    again = ("--set", "epochs=1", "--set", "p=0.25", "--set", "lr=2e-2")  # the order and the spelling do not matter
    assert "is recorded, " in _call("train", ID, *again, "--out", tmp_path, "--plan").stdout


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("lr",), "'lr' is no change; write NAME=VALUE"),
        (("rate=1",), "has no setting 'rate'; it has lr, betas"),
        (("lr=1", "lr=2"), "--set names a setting twice"),
        (("p=2",), "p"),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_before_anything_is_read(changes, message, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", None)
    words = [word for change in changes for word in ("--set", change)]
    assert message in _error(_call("train", ID, *words, "--out", tmp_path, *CPU))
    assert list(tmp_path.iterdir()) == []


def test_a_record_of_another_recipe_is_not_overwritten(trained, tmp_path):
    path = _where(tmp_path)
    record = records.read(_where(trained[0]))
    _put(record | {"recipe": record["recipe"] | {"batch_size": 21}}, path)
    before = path.read_bytes()
    assert "batch_size is 21 there and 20 here" in _error(_call("train", ID, "--out", tmp_path, *CPU))
    assert path.read_bytes() == before


def test_a_run_that_diverges_is_recorded_and_says_so(tmp_path, monkeypatch):
    get = recipes.get
    wild = lambda *given: replace(get(*given), hyper={"lr": 1e38, "momentum": 0.9, "weight_decay": 0.0})  # noqa: E731
    monkeypatch.setattr(recipes, "get", wild)
    result = _call("train", "ptb/lstm2/sgdm", "--out", tmp_path, *CPU)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("ptb/lstm2/sgdm, seed 0: diverged in epoch 1\n")
    assert "is recorded: it diverged" in _call("train", "ptb/lstm2/sgdm", "--out", tmp_path, "--plan").stdout


def test_missing_data_are_an_error_that_says_what_to_do(tmp_path):
    words = ("--profile", "small", "--data", tmp_path / "empty", "--out", tmp_path / "out")
    said = _error(_call("train", "cifar10/vgg16/padam", *words, *CPU))
    for hint in ("data_scripts/cifar.py", "PADAM_DATA", "The quick profile needs no download", str(tmp_path / "empty")):
        assert hint in said
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--precision", "fp16"), "fp16 is for CUDA"),
    ],
)
def test_what_the_run_refuses_is_said_in_one_line(words, said, tmp_path):
    assert said in _error(_call("train", ID, "--out", tmp_path / "out", *CPU, *words))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_budget_too_small_stops_between_epochs_and_the_same_command_goes_on(trained, tmp_path, lines, monkeypatch):
    stopped = _call("train", ID, "--out", tmp_path, *CPU, "--budget", "0.001s")
    assert (stopped.exit_code, stopped.stdout) == (3, "")
    assert re.match(
        f"{LABEL}: stopped before its budget is spent before the first epoch of 4; the same command", stopped.stderr
    )
    with monkeypatch.context() as patch:  # an epoch seems to take hours
        run_epoch = engine.Trainer.run_epoch
        patch.setattr(engine.Trainer, "run_epoch", lambda self: run_epoch(self) | {"seconds": 9000.0})
        stopped = _call("train", ID, "--out", tmp_path, *CPU, "--budget", "2h")
    assert (stopped.exit_code, stopped.stdout) == (3, "")
    line, said = stopped.stderr.splitlines()
    assert line.endswith("9000.0 s, about 7 h 30 min left")
    assert said.endswith("stopped before its budget is spent after epoch 1 of 4; the same command goes on.")
    assert not _where(tmp_path).exists()
    assert "goes on from epoch 1" in _call("train", ID, "--out", tmp_path, "--plan").stdout
    ended = _call("train", ID, "--out", tmp_path, *CPU, "--budget", "20h")
    assert ended.exit_code == 0
    assert [LINE.match(line)[2] for line in ended.stderr.splitlines()] == ["2", "3", "4"]
    assert _untimed(records.read(_where(tmp_path))) == _untimed(records.read(_where(trained[0])))


def test_no_line_is_said_where_none_is_wanted(tmp_path, monkeypatch):
    monkeypatch.setenv("PADAM_PROGRESS", "0")
    result = _call("train", ID, "--out", tmp_path, *CPU)
    assert (result.exit_code, result.stderr) == (0, "")


def test_two_processes_do_not_train_one_run_and_ctrl_c_waits_for_the_epoch(trained, tmp_path, start, lines):
    words = ("train", ID, "--out", tmp_path, *CPU)
    process = start(*words)
    assert LINE.match(process.until("epoch 1 of 4")).groups() == (LABEL, "1", "4")
    os.kill(process.pid, signal.SIGSTOP)  # so that it is still at it when it is asked
    busy = _call(*words)
    assert busy.exit_code == 4
    assert f"another process ({process.pid} on {socket.gethostname()}) is training the run" in _error(busy)
    assert re.search(r"ptb/lstm2 +epoch \d/4\* +-", _call("status", "--seeds", "1", "--out", tmp_path).stdout)
    assert "is running, past epoch" in _call(*words, "--plan").stdout
    os.kill(process.pid, signal.SIGCONT)
    process.send(signal.SIGINT)
    process.until(f"{LABEL}: finishing this epoch, then stopping. Once more to stop now.")
    status, out, said = process.end()
    assert (status, out) == (130, "")
    asked = re.fullmatch(rf"{LABEL}: stopped as asked after epoch (\d) of 4; the same command goes on.*", said[-1])
    assert checkpoint.found(_where(tmp_path).with_suffix(""))[0][0] == int(asked[1]) < 4
    assert not set("\x1b\r\b") & set("".join(said))
    assert _call(*words).exit_code == 0
    assert _untimed(records.read(_where(tmp_path))) == _untimed(records.read(_where(trained[0])))
    assert not _where(tmp_path).with_suffix("").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_stops_at_once(number, tmp_path, monkeypatch):
    run_epoch = engine.Trainer.run_epoch

    def disturbed(self, signals):
        row = run_epoch(self)
        for _ in range(signals if self.epoch == 2 else 0):
            os.kill(os.getpid(), number)
        return row

    for signals, said in (
        (2, rf"\n{LABEL}: finishing .*\n{LABEL}: stopped at once\. The same command goes on from the last epoch .*\n"),
        (1, rf"\n{LABEL}: finishing .*\n{LABEL}: stopped as asked after epoch 2 of 4; the same command goes on\.\n"),
    ):
        monkeypatch.setattr(engine.Trainer, "run_epoch", lambda self, signals=signals: disturbed(self, signals))
        result = _call("train", ID, "--out", tmp_path, *CPU)
        assert (result.exit_code, result.stdout) == (130, "")
        assert re.fullmatch(said, result.stderr)
        assert checkpoint.found(_where(tmp_path).with_suffix(""))[0][0] == 3 - signals


# Tables.


def _table3(out, *words):
    return ("reproduce", "table3", "--seeds", "1", "--out", out, "--device", "cpu", *words)


def _fill(trained, out, states):
    """Put records and checkpoints so that the cells with these ids are "finished", "diverged" or past an epoch."""
    record = records.read(_where(trained[0]))
    for id, state in states.items():
        path = _where(out, id)
        if state in ("finished", "diverged"):
            _put(record, path, state)
        else:
            path.with_suffix("").mkdir(parents=True)
            (path.with_suffix("") / f"epoch-{state:05d}-{'0' * 16}.pt").touch()


def test_status_shows_every_kind_of_cell(trained, tmp_path):
    states = {"padam": "finished", "sgdm": "diverged", "adam": 2, "amsgrad": 3}
    _fill(trained, tmp_path, {f"ptb/lstm2/{name}": state for name, state in states.items()})
    with checkpoint.locked(_where(tmp_path, "ptb/lstm2/amsgrad").with_suffix("")):
        shown = _call("status", "--seeds", "1", "--out", tmp_path).stdout
        two = _call("status", "--seeds", "2", "--out", tmp_path).stdout
    rows = {row.split()[0]: re.split("  +", row.strip())[1:] for row in shown.splitlines() if row.startswith(" ptb/")}
    assert rows["ptb/lstm2"] == ["1/1", "1/1 †1", "epoch 2/4", "epoch 3/4*", "-", "-", "-"]
    assert rows["ptb/lstm3"] == ["-"] * 7
    assert re.search(r"ptb/lstm2 +1/2 +1/2 †1 +epoch 2/4 +epoch 3/4\* +- ", two)
    headings = re.findall(r"(?m)^(table1|table2|table3|figure1), quick, 1 seed\b", shown)
    assert headings == ["table1", "table2", "table3", "figure1"]
    assert "†: diverged" in shown.splitlines()[-1]


@pytest.mark.parametrize(
    ("what", "count", "first"),
    [
        ("table1", 21, "cifar10/vgg16/padam"),
        ("table2", 14, "imagenet/resnet18/padam"),
        ("table3", 14, "ptb/lstm2/padam"),
        ("figure1", 10, "cifar10/resnet18/padam-p0.4"),
        ("figure2", 21, "cifar10/vgg16/padam"),
        ("figure3", 28, "imagenet/resnet18/padam"),
    ],
)
def test_a_plan_lists_the_most_wanted_first(what, count, first, tmp_path):
    result = _call("reproduce", what, "--plan", "--seeds", "2", "--out", tmp_path / "out")
    heading, *rows = result.stdout.splitlines()
    start = re.escape(f"{what}: 0 of {2 * count} records are there, {2 * count} to do, 1 at a time, ")
    assert re.fullmatch(start + r"\d\.\de1\d FLOPs( for \d+ of them)?\.", heading)
    assert rows[0].startswith(f"  {first}, seed 0 (")
    assert len(rows) == len(set(rows)) == 2 * count
    assert all(" is to be trained: " in row for row in rows)
    assert not (tmp_path / "out").exists()


def test_a_plan_says_what_is_there_and_how_long_the_rest_takes(trained, tmp_path):
    record = records.read(_where(trained[0]))
    record["history"]["seconds"] = [100.0] * 4
    _put(record, _where(tmp_path, "ptb/lstm2/padam"))
    _put(record, _where(tmp_path, "ptb/lstm2/sgdm"), "diverged")
    _fill(trained, tmp_path, {"ptb/lstm2/yogi": 3})
    heading, *rows = _call(*_table3(tmp_path, "--plan", "--jobs", "2")).stdout.splitlines()
    cost = re.search(r"\d\.\de11 FLOPs", heading)[0]
    assert heading == (  # four cells of four epochs and one of one, at 50 s
        f"table3: 2 of 14 records are there, 12 to do, 2 at a time, {cost}, about 14 min for 5 of them, the others' "
        "speed is not known."
    )
    said = [re.fullmatch(r"  \S+, seed 0 \(.*?\) (.*?)(, (?:about )?\d+ min \d+ s)?: /.*", row)[1] for row in rows]
    assert said == [
        "is recorded",
        "is recorded: it diverged",
        *["is to be trained"] * 3,
        "goes on from epoch 3",
        *["is to be trained"] * 8,
    ]


def test_a_table_can_be_stopped_and_filled_later(trained, tmp_path, start, lines):
    process = start(*_table3(tmp_path, "--jobs", "2", "--threads", "1", "--budget", "1h"))
    for name in ("padam", "sgdm"):
        assert LINE.match(process.until(f"^ptb/lstm2/{name}, seed 0: epoch 1 of 4"))
    pids = {path.parent.parent.name: int(path.read_text().split()[0]) for path in tmp_path.rglob("lock")}
    assert 0 < len(pids) <= 2
    process.send(signal.SIGINT)
    status, out, said = process.end()
    assert status == 130
    heading, end = out.splitlines()
    assert heading == "table3: 0 of 14 records are there, 14 to do, 2 at a time."
    assert re.fullmatch(r"table3: [0-3] more recorded, \d+ still to do; the same command goes on\.", end)
    assert any("stopped as asked" in line for line in said)
    assert all(said)
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    ids = [id for id, _ in recipes.wanted("table3", "quick", 1)]
    _fill(trained, tmp_path, dict.fromkeys(ids[1:], "finished"))
    _where(tmp_path).unlink(missing_ok=True)
    result = _call(*_table3(tmp_path, "--threads", "1"))
    assert result.exit_code == 0, result.output
    heading, end = result.stdout.splitlines()
    assert re.match("table3: 13 of 14 records are there, 1 to do, 1 at a time, about .* s", heading)
    assert end == "table3: 1 more recorded, nothing left to do."
    assert {LINE.match(line)[1] for line in result.stderr.splitlines()} == {LABEL}
    assert _untimed(records.read(_where(tmp_path))) == _untimed(records.read(_where(trained[0])))
    again = _call(*_table3(tmp_path))
    assert again.stdout.splitlines()[-1] == "table3: 0 more recorded, nothing left to do."


def test_three_runs_that_fail_alike_end_the_table(tmp_path):
    out, data = tmp_path / "out", tmp_path / "empty"
    result = _call("reproduce", "table1", "--profile", "small", "--data", data, "--out", out, "--device", "cpu")
    assert result.exit_code == 1
    *errors, first, second, third = result.stderr.splitlines()
    assert len(errors) == 3
    assert all(error.startswith(f"Error: cifar10 is not in {data}/cifar-10-batches-py") for error in errors)
    assert first.startswith("cifar10/vgg16/padam, seed 0: failed, with exit status 1: cifar10 is not in ")
    end = (
        "table1: 0 more recorded, 63 still to do; the same command goes on, once the error is mended (3 runs in a row "
        "failed alike, so the others were not begun)."
    )
    assert result.stdout.splitlines()[-1] == end
    assert len(list(out.rglob("seed*"))) == 0


def test_only_some_runs_of_a_table_are_made(tmp_path):
    words = ("reproduce", "table1", "--profile", "small", "--out", tmp_path, "--plan")
    heading, *rows = _call(*words, "--only", "vgg16", "--only", "padam", "--only", "sgdm").stdout.splitlines()
    assert heading.startswith("table1: 0 of 6 records are there, 6 to do")
    assert {row.split(",")[0].strip() for row in rows} == {"cifar10/vgg16/padam", "cifar10/vgg16/sgdm"}
    assert len(_call(*words, "--only", "seed1", "--only", "cifar10/resnet18").stdout.splitlines()) == 1 + 7
    error = _error(_call(*words, "--only", "vgg19"))
    assert error.startswith("nothing here is called 'vgg19'. There are the networks cifar10, cifar10/resnet18")


def test_the_commands_are_those_that_make_the_missing_runs(trained, tmp_path):
    _fill(trained, tmp_path, {"ptb/lstm2/padam": "finished"})
    result = _call(*_table3(tmp_path, "--commands", "--threads", "1"))
    lines = result.stdout.splitlines()
    assert len(lines) == 13
    assert result.stderr == ""
    assert lines[0] == (
        f"python -m padam train ptb/lstm2/sgdm --profile quick --seed 0 --out {tmp_path} --device cpu --threads 1"
    )


def test_waiting_threads_sleep_unless_told_otherwise(monkeypatch):
    show = "import os, runpy, sys; sys.argv = ['padam', 'list', 'nothing']\n" + (
        "try: runpy.run_module('padam', run_name='__main__')\nexcept SystemExit: print(os.environ['OMP_WAIT_POLICY'])"
    )
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert warm.run("-c", show).stdout.strip() == "PASSIVE"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert warm.run("-c", show).stdout.strip() == "ACTIVE"


# What a log gets.


def test_a_pipe_gets_neither_colours_nor_carriage_returns(trained, tmp_path, lines):
    shown = _call("train", ID, "--out", tmp_path, *CPU).output
    for words in ("--help", "list", f"show {ID}", "status", "train zzz", "reproduce table3 --plan"):
        shown += _call(*words.split()).output
    assert "epoch 4 of 4" in shown
    assert not set("\x1b\r\b") & set(shown)


def test_study_knows_its_studies_and_says_what_is_missing(tmp_path):
    unknown = _call("study", "nosuch")
    assert unknown.exit_code == 1
    assert "no study is called 'nosuch'; there are tolerance, rates, moments" in unknown.stderr
    plan = _call("study", "rates", "--plan", "--out", tmp_path)
    assert plan.exit_code == 0
    assert f"0 of {len(studies.STUDIES['rates'].settings)} runs" in plan.stdout
    assert list(tmp_path.iterdir()) == []
    there = _call("study", "tolerance")
    assert there.exit_code == 0
    assert there.stdout.strip() == f"tolerance: recorded in {studies.path('tolerance')}"


def test_the_help_of_study_names_all_of_them():
    from padam import studies

    wide = {"COLUMNS": "200", "NO_COLOR": "1"}
    text = " ".join(CliRunner().invoke(cli.app, ["study", "--help"], env=wide).stdout.split())
    assert ", ".join(studies.STUDIES) in text.replace("- ", "-")  # a line may end at a hyphen
