"""Studies: kept after every run, resumed, stopped; what the measurements mean; the records that are committed."""

import contextlib
import copy
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import squares
import torch
import warm

from padam import data as datasets
from padam import models, optim, recipes, records, running, studies
from padam.studies import (
    measuring,
    miniature,
    moments,
    rates,
    store,
    text_decay,
    text_dial,
    text_rates,
    tolerance,
    treebank,
)
from padam.studies.study import Run, columns, halved, movement, trained, weights
from padam.training import Stopped, checkpoint, engine, provenance
from padam.training.signals import Signals

pytestmark = pytest.mark.slow


@pytest.fixture
def fill(monkeypatch, tmp_path):
    """`studies.fill` of squares into tmp_path; its processes measure as `kind` says, a function in squares.py."""
    path = str(Path(squares.__file__))

    def popen(words, env, **given):  # processes that need not import torch again
        env = {name: value for name, value in env.items() if name != running.local.FOLLOWED}
        return warm.Process(*words[1:], env=env, start_new_session=True)

    monkeypatch.setattr(running.local.subprocess, "Popen", popen)

    def filled(kind="square", study=None, **given):
        words = lambda *given: (path, kind, *studies.command(*given)[2:])  # noqa: E731
        monkeypatch.setattr(measuring, "command", words)
        return studies.fill(study or squares.study(), tmp_path, options=("--out", str(tmp_path)), **given)

    return filled


def _statuses(runner):
    return [outcome.status for outcome in runner.outcomes]


def _xs(out):
    return sorted(json.loads(path.read_text())["setting"]["x"] for path in (out / "squares").glob("*.json"))


def test_a_study_is_measured_once_and_recorded(tmp_path, fill):
    lines = []
    assert _statuses(fill(jobs=2, say=lines.append)) == [0, 0]
    record = studies.read("squares", tmp_path)
    assert [run["setting"]["x"] for run in record["runs"]] == [0, 1, 2, 3]
    assert [run["result"]["square"] for run in record["runs"]] == [0, 1, 4, 9]
    assert record["runs"][0]["result"]["never"] is None
    assert record["runs"][0]["result"]["list"] == [1.0, None]
    assert sorted(line.partition(": ")[2][:3] for line in lines) == ["x 0", "x 1", "x 2", "x 3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["squares.json"]
    assert _statuses(fill("always_fails")) == []  # not measured again
    assert studies.progress(squares.study(), tmp_path)[:2] == (4, ())


def test_a_run_that_fails_does_not_stop_the_others_and_the_same_call_goes_on(tmp_path, fill):
    lines = []
    runner = fill("fails_at_three", squares.study(count=6), say=lines.append)
    assert _xs(tmp_path) == [0, 1, 2, 4, 5]
    assert _statuses(runner) == [1, 0]
    assert runner.outcomes[0].error == "Error: three cannot be measured"
    assert "squares: x 3: failed" in lines
    assert running.exit_status(runner) == 1
    before = [json.loads(path.read_text()) for path in (tmp_path / "squares").glob("*.json")]
    assert {run["device"] for run in before} == {provenance.device_name(torch.device("cpu"))}
    fill(study=squares.study(count=6))
    record = studies.read("squares", tmp_path)
    assert [run["result"]["square"] for run in record["runs"]] == [0, 1, 4, 9, 16, 25]
    seconds = {run["setting"]["x"]: run["seconds"] for run in before}
    assert {x: record["runs"][x]["seconds"] for x in seconds} == seconds
    assert not (tmp_path / "squares").exists()


def test_a_process_that_dies_takes_its_run_alone_with_it(tmp_path, fill):
    runner = fill("dies_at_one")
    assert _statuses(runner) == [-signal.SIGKILL, 0]
    assert _xs(tmp_path) == [0, 2, 3]


def test_three_runs_that_fail_alike_end_a_study(tmp_path, fill):
    runner = fill("always_fails", squares.study(count=6))
    assert _statuses(runner) == [1, 1, 1]
    assert runner.ending == running.BY_FAILURES


def test_a_study_of_two_machines_says_which_run_is_whose(tmp_path, fill):
    fill("fails_at_three")
    first = min((tmp_path / "squares").glob("*.json"))
    run = json.loads(first.read_text())
    first.write_text(json.dumps(run | {"device": "another"}))
    fill()
    record = studies.read("squares", tmp_path)
    here = provenance.device_name(torch.device("cpu"))
    assert sorted(record["device"].split(", ")) == sorted((here, "another"))
    assert {r["setting"]["x"]: r["device"] for r in record["runs"]} == dict.fromkeys(range(4), here) | {
        run["setting"]["x"]: "another"
    }


def test_what_follows_is_measured_when_all_before_is(tmp_path, fill):
    study = squares.study(following=squares.then_nine)
    assert studies.progress(study, tmp_path)[:2] == (0, study.settings)
    assert _statuses(fill(study=study, jobs=2)) == [0, 0, 0, 0]
    record = studies.read("squares", tmp_path)
    assert [run["setting"]["x"] for run in record["runs"]] == [0, 1, 2, 3, 9, 10]
    assert study.all_settings(record["runs"][:4]) == (*study.settings, {"x": 9})
    assert study.all_settings(record["runs"][:3]) == study.settings


def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path, fill):
    held = store.place(squares.study(), {"x": 1}, tmp_path)
    with checkpoint.locked(held.with_suffix("")):
        runner = fill()
    assert _statuses(runner) == [running.BUSY]
    assert running.exit_status(runner) == running.STOPPED
    assert _xs(tmp_path) == [0, 2, 3]
    fill()
    assert len(studies.read("squares", tmp_path)["runs"]) == 4


def test_the_budget_stops_a_study_and_other_settings_do_not_go_on(tmp_path, fill):
    runner = fill(budget=running.START - 1)
    assert (_statuses(runner), runner.ending) == ([], running.BY_BUDGET)
    fill("fails_at_three")
    with pytest.raises(ValueError, match="begun with other settings"):
        fill(study=squares.study(fixed={"of": "letters"}))


def test_a_run_that_is_due_is_not_begun(tmp_path):
    said = []
    with pytest.raises(Stopped, match="stopped before its budget is spent; 4 runs are left") as stop:
        studies.measure(squares.study(), squares.study().settings, tmp_path, budget=0.0, say=said.append)
    assert (stop.value.interrupted, said) == (False, [])


def test_a_setting_of_another_study_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a run of the study squares has the settings x, not y"):
        studies.measure(squares.study(), [{"y": 1}], tmp_path)


def test_the_words_of_a_run_measure_that_very_run(tmp_path):
    from typer.testing import CliRunner

    from padam import cli

    setting = tolerance.TOLERANCE.settings[-1]
    words = studies.command(tolerance.TOLERANCE, [setting], ("--out", str(tmp_path)))
    assert words[:2] == ("-m", "padam")
    done = CliRunner().invoke(cli.app, words[2:])
    assert done.exit_code == 0, done.stderr
    assert "tolerance: p 1/2, lr 16.0, seed 3:" in done.stderr
    (run,) = store.measured(tolerance.TOLERANCE, tmp_path).values()
    assert run["setting"] == setting
    refused = CliRunner().invoke(cli.app, ["study", "tolerance", "--run", "lr=3"])
    assert refused.exit_code == 1
    assert "--run takes a setting as --commands shows it" in refused.stderr


def test_a_study_that_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m padam study rates"):
        studies.read("rates", tmp_path)


def _digits(count=128):
    data = datasets.load("mnist5k")
    few = tuple(part[::100] for part in data.test)
    return data._replace(train=tuple(part[::31][:count] for part in data.train), test=few, valid=few)


def _train(run, observe, epochs=3):
    torch.manual_seed(0)
    model = models.build("convnet-bn-w4")
    optimizer = optim.build("adam", model.parameters(), lr=0.01, amsgrad=True)
    return trained(model, _digits(), optimizer, observe, run, epochs=epochs, batch_size=32)


def _look(trainer, row, before):
    return {"loss": row["train_loss"], "movement": movement(trainer.model, before)}


def test_a_long_run_of_a_study_goes_on_from_its_last_epoch(tmp_path, monkeypatch):
    run_epoch = engine.Trainer.run_epoch
    seen = []
    monkeypatch.setattr(engine.Trainer, "run_epoch", lambda self: run_epoch(self) | {"seconds": 11.0})

    def observe(trainer, row, before):
        seen.append(trainer.epoch)
        if seen == [1, 2, 3]:
            raise KeyboardInterrupt
        return _look(trainer, row, before)

    whole = _train(Run(), _look)
    with pytest.raises(KeyboardInterrupt):
        _train(Run(tmp_path), observe)
    assert _train(Run(tmp_path), observe) == whole
    assert seen == [1, 2, 3, 3]


@pytest.mark.parametrize("cause", ["signal", "budget"])
def test_a_run_of_a_study_stops_after_an_epoch_and_goes_on_from_it(tmp_path, cause):
    seen = []

    def observe(trainer, row, before):
        seen.append(trainer.epoch)
        if seen == [1, 2]:
            os.kill(os.getpid(), signal.SIGINT)
        return _look(trainer, row, before)

    whole = _train(Run(), _look)
    if cause == "signal":
        with Signals("it") as signals, pytest.raises(Stopped, match="stopped as asked after epoch 2 of 3") as stop:
            _train(Run(tmp_path, signals), observe)
        assert stop.value.interrupted
        assert _train(Run(tmp_path), observe) == whole
        assert seen == [1, 2, 3]
    else:
        late = Run(tmp_path, deadline=time.monotonic())
        with pytest.raises(Stopped, match="stopped before its budget is spent after epoch 0 of 3") as stop:
            _train(late, observe)
        assert not stop.value.interrupted
        assert seen == []


def test_movement_is_the_length_of_the_way_over_the_length_of_the_weights():
    model = torch.nn.Linear(2, 2)
    before = weights(model)
    assert before.shape == (4,)  # not the bias
    with torch.no_grad():
        model.weight.mul_(1.25)
    assert movement(model, before) == pytest.approx(0.25)
    with torch.no_grad():
        model.weight.fill_(math.nan)
    assert movement(model, before) is None


def test_the_histogram_counts_every_coordinate_once():
    v = torch.tensor([0.0, 1e-30, 1.1e-6, 1.1e-6, 1.5, 1e9], dtype=torch.float64)
    found = moments.histogram(v)
    per_bin, lowest = moments.MOMENTS.fixed["bins"]["per_decade"], moments.MOMENTS.fixed["bins"]["lowest"]
    assert found["zeros"] == 1
    assert sum(found["log10_v"]) == 5
    assert found["log10_v"][0] == found["log10_v"][-1] == 1  # what lies outside
    assert found["log10_v"][(-6 - lowest) * per_bin] == 2
    assert found["log10_v"][(0 - lowest) * per_bin] == 1


def test_moments_are_those_of_the_optimizer():
    rows = _train(Run(), moments._observe, epochs=2)
    found = columns([{k: v for k, v in row.items() if k != "diverged"} for row in rows])
    count = sum(p.numel() for p in models.build("convnet-bn-w4").parameters())
    assert [sum(bins) + zeros for bins, zeros in zip(found["log10_v"], found["zeros"], strict=True)] == [count, count]
    assert all(1 <= low <= high for low, *_, high in found["above"])
    assert all(0 <= share <= 1 for share in found["above_twice"])


def test_tolerance_sees_the_limit_and_the_units():
    calm = tolerance.measure({"p": "1/2", "lr": 2**-8, "seed": 0}, None, Run())
    wild = tolerance.measure({"p": "1/2", "lr": 16.0, "seed": 0}, None, Run())
    assert calm["loss"] < 2.3 < (wild["loss"] or math.inf)
    low, middle, high = calm["percentiles"]
    assert 0 < low < middle < high < 1


def test_pictures_are_halved_by_their_mean():
    image = torch.arange(3 * 4 * 4, dtype=torch.uint8).view(1, 3, 4, 4)
    assert halved(image)[0, 0].tolist() == [[2, 4], [10, 12]]  # 2.5, 4.5, 10.5, 12.5 rounded to even


def test_the_rates_are_the_papers_but_for_the_rate():
    assert rates.hyper("sgdm", 0.3) == {"lr": 0.3, "momentum": 0.9, "weight_decay": 5e-4}
    assert rates.hyper("padam", 1.0)["correction"] == "folded"
    adamw = rates.hyper("adamw", 0.01)
    assert adamw["weight_decay"] * 0.01 == pytest.approx(0.025 * math.sqrt(128 / (5000 * 30)))


def _signalled(number, tmp_path, group):
    """A study's exit status and last words after a signal to it (or its whole group) when one run is measured.

    The words end where the last process that could speak has ended, so a worker left behind is seen: the wait fails.
    """
    words = (sys.executable, squares.__file__, "waits", "study", "squares", "--out", str(tmp_path))
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(words, **pipes) as process:
        for line in process.stderr:
            if "x 0: " in line:
                (os.killpg if group else os.kill)(process.pid, number)
                break
        try:
            said = process.communicate(timeout=60)[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert 1 <= len(_xs(tmp_path)) <= 3
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_keeps_what_is_measured_and_ends_with_130(tmp_path, number):
    status, said = _signalled(number, tmp_path, group=True)
    assert status == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said


def test_when_a_study_is_killed_its_processes_end_as_after_ctrl_c(tmp_path):
    """They finish what they are at, which is kept, and go."""
    assert _signalled(signal.SIGKILL, tmp_path, group=False)[0] == -signal.SIGKILL
    deadline, quiet = time.monotonic() + 60, 0
    while quiet < 20:  # for two seconds no run is held, of which each takes half a second
        folders = [path for path in (tmp_path / "squares").iterdir() if path.is_dir()]
        quiet = 0 if any(map(checkpoint.running, folders)) else quiet + 1
        assert time.monotonic() < deadline, folders
        time.sleep(0.1)
    assert len(_xs(tmp_path)) <= 3


RECORDS = sorted(studies.path("any").parent.glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_committed_records_are_those_of_the_studies(path):
    record, study = studies.read(path.stem), studies.STUDIES[path.stem]
    assert path.read_text() == records.dumps(record)
    assert record["fixed"] == json.loads(json.dumps(study.fixed))
    assert [run["setting"] for run in record["runs"]] == list(study.all_settings(record["runs"]))
    assert record["question"] == study.question
    assert not record["commit"].endswith("+")
    assert record["started"] < record["finished"]
    assert all(run["seconds"] > 0 for run in record["runs"])


def test_the_miniatures_of_the_treebank_are_cut_narrow_and_regularised_as_they_say(monkeypatch):
    text, build, seen = datasets.load("pydoc"), models.build, []
    monkeypatch.setattr(treebank.datasets, "load", lambda name, root: text)
    monkeypatch.setattr(treebank, "_READ", 8000)
    monkeypatch.setattr(
        treebank.models, "build", lambda name, **given: seen.append((name, given)) or build(name, **given)
    )
    setting = {"hidden": 16, "words": 2000, "strength": 0.5, "lr": 0.02, "seed": 0}
    found = treebank.measure(setting, None, Run())
    ((name, given),) = seen
    assert name == "lstm2-h16"
    half = {
        "words": 0.05,
        "inputs": 0.2,
        "hidden": 0.125,
        "output": 0.2,
        "weights": 0.25,
        "activation": 1,
        "temporal": 0.5,
    }
    assert given["regularisation"]._asdict() == pytest.approx(half)
    assert treebank.softened(0.5) == pytest.approx(half | {"bptt": 70, "varied": True, "clip": 0.25})
    assert found["parameters"] == sum(w.numel() for w in build(name, vocabulary=1000).parameters())
    assert {key: len(values) for key, values in found.items() if key != "parameters"} == dict.fromkeys(
        ("lr", "train_loss", "valid_loss", "test_loss", "seconds", "diverged"), 4
    )
    assert found["lr"] == pytest.approx([0.02, 0.02, 0.002, 0.0002])
    again = treebank.measure(setting, None, Run())
    assert (
        again["valid_loss"]
        == found["valid_loss"]
        != treebank.measure(setting | {"words": 1900}, None, Run())["valid_loss"]
    )


def test_the_miniature_of_imagenet_is_the_setting_with_the_largest_gap_in_its_study():
    small = recipes.get("imagenet/resnet18/sgdm", "small")
    assert small.values() == recipes.get("imagenet-subset/resnet18/sgdm", "small").values() | {"id": small.id}
    runs = [run for run in studies.read("miniature")["runs"] if run["setting"]["optimizer"] == "sgdm"]
    gaps = [run["result"]["test_error"][-1] - run["result"]["seen_error"][-1] for run in runs]
    best = runs[gaps.index(max(gaps))]
    assert max(gaps) > 0.1
    chosen = {"model": small.model, "pictures": small.train_size, "epochs": small.epochs, "optimizer": "sgdm"}
    assert best["setting"] == chosen | {"batch_size": small.batch_size, "seed": 0}
    assert (small.milestones, small.holdout) == (miniature.milestones(small.epochs), 0)
    vgg = recipes.get("imagenet/vgg16/sgdm", "small")
    assert vgg.model in [run["setting"]["model"] for run in runs]


def test_the_miniature_of_the_treebank_is_the_setting_that_its_study_speaks_for():
    small = recipes.get("ptb/lstm2/adam", "small")
    ends = [(run["setting"], run["result"]) for run in studies.read("treebank")["runs"]]
    fitted = [  # training perplexity well below the held out one
        (chosen, result)
        for chosen, result in ends
        if result["valid_loss"][-1] - result["train_loss"][-1] > math.log(1.5)
    ]
    chosen, best = min(fitted, key=lambda end: end[1]["valid_loss"][-1])
    decayed = best["lr"].index(best["lr"][-1])
    assert abs(best["valid_loss"][decayed] - best["valid_loss"][-1]) < 0.01  # flat after the decays
    assert (small.model, small.train_size) == (f"lstm2-h{chosen['hidden']}", chosen["words"])
    assert small.text == treebank.softened(chosen["strength"])
    assert (small.epochs, small.batch_size) == (len(best["lr"]), 20)


def test_each_rate_of_the_texts_is_a_recipes_and_is_held_without_decay(monkeypatch):
    text = datasets.load("pydoc")
    few = text._replace(  # long enough for the recipe to cut
        train=text.train.repeat(5)[:240_000], valid=text.valid[:500], test=text.test[:500]
    )
    monkeypatch.setattr(text_rates.datasets, "load", lambda name, root: few)
    get = text_rates.recipes.get
    monkeypatch.setattr(
        text_rates.recipes, "get", lambda id, profile: dataclasses.replace(get(id, profile), milestones=(1,))
    )
    built, build = [], text_rates.build
    monkeypatch.setattr(text_rates, "build", lambda recipe, *rest: built.append(recipe) or build(recipe, *rest))
    monkeypatch.setattr(
        text_rates,
        "trained",
        lambda model, data, *rest, **options: trained(model, data._replace(train=data.train[:2000]), *rest, **options),
    )
    settings = [run for run in studies.STUDIES["text-rates"].settings if run["optimizer"] == "yogi"]
    assert [run["variant"] for run in settings] == ["", "-lr3", "-lr10", "-lr30"]
    found = [text_rates.measure(setting, None, Run()) for setting in settings]
    base = built[0].hyper["lr"]
    assert [recipe.hyper["lr"] / base for recipe in built] == pytest.approx([1, 3, 10, 30])
    assert [run["lr"] for run in found] == [[recipe.hyper["lr"]] * 4 for recipe in built]
    assert all(len(run["valid_loss"]) == 4 for run in found)
    assert text_rates.measure(settings[0], None, Run())["valid_loss"] == found[0]["valid_loss"]


def test_the_dial_on_text_gives_each_exponent_the_same_effective_rate(monkeypatch):
    text = datasets.load("pydoc")
    few = text._replace(train=text.train[:2000], valid=text.valid[:500], test=text.test[:2500])
    monkeypatch.setattr(text_dial.datasets, "load", lambda name: few)
    monkeypatch.setattr(text_dial, "_EPOCHS", 1)
    build, built, grouped = optim.build, [], []

    def kept(name, groups, **given):
        optimizer = build(name, groups, **given)
        built.append(given)
        grouped.append(optimizer.param_groups)
        return optimizer

    monkeypatch.setattr(text_dial.optim, "build", kept)
    for p, layers in ((0.0, 0.5), (0.125, 1.0), (0.5, 0.1)):
        found = text_dial.measure({"p": p, "effective": 30.0, "layers": layers, "seed": 0}, None, Run())
        assert math.isfinite(found["valid_loss"][0])
    assert [given["lr"] for given in built] == pytest.approx([3.0, 3.0, 3e-3])
    assert built[0]["momentum"] == 0.9
    rates = [group["lr"] for groups in grouped for group in groups]
    assert rates == pytest.approx([3, 1.5, 3, 3, 3e-3, 3e-4])
    assert [len(group["params"]) for group in grouped[0]] == [2, 8]  # embedding and bias; two layers of four
    for given in built[1:]:
        assert given["lr"] / text_dial.TYPICAL ** given["p"] == pytest.approx(30)


def test_the_decay_on_text_reaches_the_optimizer_it_is_of(monkeypatch):
    text = datasets.load("pydoc")
    few = text._replace(train=text.train[:2000], valid=text.valid[:500], test=text.test[:2500])
    monkeypatch.setattr(text_decay.datasets, "load", lambda name: few)
    monkeypatch.setattr(text_decay, "_EPOCHS", 1)
    build, built = optim.build, []
    monkeypatch.setattr(
        text_decay.optim,
        "build",
        lambda name, *rest, **given: built.append((name, given)) or build(name, *rest, **given),
    )
    settings = [run for run in studies.STUDIES["text-decay"].settings if run["seed"] == 0]
    assert len(settings) == len({tuple(run.values()) for run in settings})
    others = [run for run in settings if run["optimizer"] in ("sgdm", "padam") and run["decay"] == 0]
    wanted = [next(run for run in settings if run["decay"] == 1e-4), *others[:3]]
    small, large = (text_decay.measure(wanted[0] | {"decay": decay, "lr": 1e-2}, None, Run()) for decay in (0.0, 0.1))
    assert large["weights"][0] < 0.8 * small["weights"][0]  # Adam makes steps of a penalty, however small
    assert 0 < small["change"][0] < small["size"][0] < 1
    table = copy.deepcopy(text_decay._OTHERS)
    for run in wanted[1:]:
        text_decay.measure(run, None, Run())
    text_decay.measure(wanted[3] | {"p": 0.4}, None, Run())
    built.pop()
    assert table == text_decay._OTHERS  # one run does not change the next
    assert [name for name, _ in built] == ["adam", "adam", "sgdm", "padam", "padam"]
    assert [given["weight_decay"] for _, given in built] == [0.0, 0.1, 0.0, 0.0, 0.0]
    assert built[2][1]["momentum"] == 0.9
    assert [given["p"] for _, given in built[3:]] == [0.2, 0.4]


def test_the_look_inside_a_run_does_not_change_it():
    """The study of second moments trains what the records of the miniature hold: on one device the same errors,
    on another nearly the same first epoch."""
    study = studies.read("moments")
    for run in study["runs"]:
        path = records.default_root() / f"small/cifar10/vgg16/{run['setting']['optimizer']}/seed0.json"
        record = records.read(path)
        seen, kept = run["result"], record["history"]
        assert seen["lr"] == kept["lr"]
        assert seen["train_loss"][0] == pytest.approx(kept["train_loss"][0], rel=0.03)
        if study["device"] == record["device"]:
            assert seen["test_error"] == kept["test_error"]


def test_the_miniatures_of_imagenet_look_at_pictures_they_have_seen(monkeypatch):
    def some(count, seed):
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 256, (count, 3, 36, 36), dtype=torch.uint8, generator=generator)
        return images, torch.arange(count) % 50

    grey = torch.full((3,), 0.5), torch.full((3,), 0.3)
    large = datasets.Images(some(90, 0), some(50, 1), *grey, flip=True, resized=36)
    monkeypatch.setattr(miniature.datasets, "load", lambda name, root: large)
    monkeypatch.setattr(miniature, "_SEEN", 20)
    shown = miniature.pictures(60)
    assert len(shown.train[1]) == 60
    assert len(shown.valid[1]) == 20
    assert len({picture.numpy().tobytes() for part in (shown.train[0], shown.valid[0]) for picture in part}) == 60
    setting = {"model": "resnet18-w4", "pictures": 60, "epochs": 4, "batch_size": 32, "optimizer": "adam", "seed": 0}
    seen, build = [], optim.build
    monkeypatch.setattr(
        miniature.optim, "build", lambda name, *rest, **given: seen.append((name, given)) or build(name, *rest, **given)
    )
    found = miniature.measure(setting, None, Run())
    assert seen == [("adam", dict(recipes.get("imagenet/vgg16/adam", "full").hyper))]
    assert {len(found[key]) for key in ("train_error", "test_error", "test_error_top5", "seen_error")} == {4}
    assert all(five <= one for one, five in zip(found["test_error"], found["test_error_top5"], strict=True))
    assert found["seen_error"] != found["test_error"]
    assert found["parameters"] > 10_000
    assert miniature.milestones(80) == (24, 48, 64)
