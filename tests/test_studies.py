"""Studies: kept after every run, resumed, stopped; what the measurements mean; the records that are committed."""

import contextlib
import copy
import dataclasses
import importlib
import json
import math
import multiprocessing
import os
import signal

import pytest
import torch
import warm

from padam import data as datasets
from padam import models, optim, recipes, records, studies
from padam.studies import miniature, moments, rates, text_decay, text_dial, text_rates, tolerance, treebank
from padam.studies.study import columns, halved, movement, trained, weights
from padam.training import Busy, Stopped, checkpoint, provenance


@pytest.fixture(autouse=True)
def _warm(monkeypatch):
    """Where this process conducts a study itself, its processes need not import torch again."""
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: warm.CONTEXT)


def _square(setting, data, folder):
    return {"square": setting["x"] ** 2, "never": math.nan, "list": [1.0, math.inf]}


def _fails_at_three(setting, data, folder):
    if setting["x"] == 3:
        raise ValueError("three cannot be measured")
    return _square(setting, data, folder)


def _study(measure=_square, count=4, **changes):
    settings = tuple({"x": x} for x in range(count))
    study = studies.Study("squares", "What are squares?", {"of": "numbers"}, settings, measure, minutes=1)
    return dataclasses.replace(study, **changes)


def test_a_study_is_measured_once_and_recorded(tmp_path):
    lines = []
    record = studies.conduct(_study(), tmp_path, jobs=2, say=lines.append)
    assert [run["setting"]["x"] for run in record["runs"]] == [0, 1, 2, 3]
    assert [run["result"]["square"] for run in record["runs"]] == [0, 1, 4, 9]
    assert record["runs"][0]["result"]["never"] is None
    assert record["runs"][0]["result"]["list"] == [1.0, None]
    assert len(lines) == 4
    assert record == studies.read("squares", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["squares.json"]
    assert studies.conduct(_study(measure=None), tmp_path) == record  # not measured again
    assert studies.progress(_study(), tmp_path) == (4, 4)


def test_a_failure_keeps_what_is_measured_and_the_same_call_goes_on(tmp_path):
    with pytest.raises(ValueError, match="three cannot be measured"):
        studies.conduct(_study(_fails_at_three, 5), tmp_path)
    assert studies.progress(_study(count=5), tmp_path) == (3, 5)
    before = [json.loads(path.read_text()) for path in (tmp_path / "squares").glob("*.json")]
    assert {run["device"] for run in before} == {provenance.device_name(torch.device("cpu"))}
    record = studies.conduct(_study(count=5), tmp_path)
    assert [run["result"]["square"] for run in record["runs"]] == [0, 1, 4, 9, 16]
    seconds = {run["setting"]["x"]: run["seconds"] for run in before}
    assert {x: record["runs"][x]["seconds"] for x in range(3)} == seconds
    assert not (tmp_path / "squares").exists()


def test_a_study_of_two_machines_says_which_run_is_whose(tmp_path):
    with pytest.raises(ValueError, match="three"):
        studies.conduct(_study(_fails_at_three), tmp_path)
    first = min((tmp_path / "squares").glob("*.json"))
    run = json.loads(first.read_text())
    first.write_text(json.dumps(run | {"device": "another"}))
    record = studies.conduct(_study(), tmp_path)
    here = provenance.device_name(torch.device("cpu"))
    assert sorted(record["device"].split(", ")) == sorted((here, "another"))
    assert {r["setting"]["x"]: r["device"] for r in record["runs"]} == dict.fromkeys(range(4), here) | {
        run["setting"]["x"]: "another"
    }


def _then_nine(runs):
    """Nine follows when three is measured, and ten when nine is."""
    last = runs[-1]["setting"]["x"]
    return ({"x": 9},) if last == 3 else ({"x": 9}, {"x": 10}) if last == 9 else ()


def test_what_follows_is_measured_when_all_before_is(tmp_path):
    study = _study(following=_then_nine)
    assert studies.progress(study, tmp_path) == (0, 4)
    record = studies.conduct(study, tmp_path)
    assert [run["setting"]["x"] for run in record["runs"]] == [0, 1, 2, 3, 9, 10]
    assert studies.progress(study, tmp_path) == (6, 6)
    assert study.all_settings(record["runs"][:4]) == (*study.settings, {"x": 9})
    assert study.all_settings(record["runs"][:3]) == study.settings


def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path):
    conduct = importlib.import_module("padam.studies.conduct")
    held = conduct._place(tmp_path / "squares", {"x": 1})
    with checkpoint.locked(held.with_suffix("")), pytest.raises(Busy, match="the 1 runs that are left"):
        studies.conduct(_study(), tmp_path)
    assert studies.progress(_study(), tmp_path) == (3, 4)
    assert len(studies.conduct(_study(), tmp_path)["runs"]) == 4


def test_the_budget_stops_a_study_and_other_settings_do_not_go_on(tmp_path):
    with pytest.raises(Stopped, match="0 of 4 runs are measured; the same command goes on") as stop:
        studies.conduct(_study(), tmp_path, budget=0.0)
    assert not stop.value.interrupted
    with pytest.raises(ValueError, match="three"):
        studies.conduct(_study(_fails_at_three), tmp_path)
    with pytest.raises(ValueError, match="begun with other settings"):
        studies.conduct(_study(fixed={"of": "letters"}), tmp_path)


def test_a_study_that_is_not_there_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m padam study rates"):
        studies.read("rates", tmp_path)


def _digits(count=128):
    data = datasets.load("mnist5k")
    few = tuple(part[::100] for part in data.test)
    return data._replace(train=tuple(part[::31][:count] for part in data.train), test=few, valid=few)


def _train(folder, observe, epochs=3):
    torch.manual_seed(0)
    model = models.build("convnet-bn-w4")
    optimizer = optim.build("adam", model.parameters(), lr=0.01, amsgrad=True)
    return trained(model, _digits(), optimizer, observe, folder, epochs=epochs, batch_size=32)


def test_a_long_run_of_a_study_goes_on_from_its_last_epoch(tmp_path, monkeypatch):
    from padam.training import engine

    run_epoch = engine.Trainer.run_epoch
    seen = []
    monkeypatch.setattr(engine.Trainer, "run_epoch", lambda self: run_epoch(self) | {"seconds": 11.0})

    def observe(trainer, row, before):
        seen.append(trainer.epoch)
        if seen == [1, 2, 3]:
            raise KeyboardInterrupt
        return {"loss": row["train_loss"], "movement": movement(trainer.model, before)}

    whole = _train(None, lambda t, row, before: {"loss": row["train_loss"], "movement": movement(t.model, before)})
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, observe)
    assert _train(tmp_path, observe) == whole
    assert seen == [1, 2, 3, 3]


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
    rows = _train(None, moments._observe, epochs=2)
    found = columns([{k: v for k, v in row.items() if k != "diverged"} for row in rows])
    count = sum(p.numel() for p in models.build("convnet-bn-w4").parameters())
    assert [sum(bins) + zeros for bins, zeros in zip(found["log10_v"], found["zeros"], strict=True)] == [count, count]
    assert all(1 <= low <= high for low, *_, high in found["above"])
    assert all(0 <= share <= 1 for share in found["above_twice"])


def test_tolerance_sees_the_limit_and_the_units():
    calm = tolerance.measure({"p": "1/2", "lr": 2**-8, "seed": 0}, None, None)
    wild = tolerance.measure({"p": "1/2", "lr": 16.0, "seed": 0}, None, None)
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


def _dies(setting, data, folder):
    os._exit(9)


def test_a_process_that_dies_is_told_and_what_was_measured_goes_on(tmp_path):
    with pytest.raises(OSError, match="perhaps for want of memory.* the same command goes on"):
        studies.conduct(_study(_dies, 1), tmp_path)
    assert len(studies.conduct(_study(count=1), tmp_path)["runs"]) == 1


def _signalled(number, tmp_path, group):
    """A study's exit status and last words after a signal to it (or its whole group) when one run is measured.

    The words end where the last process that could speak has ended, so a worker left behind is seen: the wait fails.
    """
    words = ("-m", "padam", "study", "tolerance", "--out", tmp_path)
    with warm.Process(*words, start_new_session=True) as process:
        for line in process.stderr:
            if "to go" in line:
                (os.killpg if group else os.kill)(process.pid, number)
                break
        try:
            said = process.communicate(timeout=60)[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    measured, total = studies.progress(tolerance.TOLERANCE, tmp_path)
    assert 1 <= measured < total
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_measured_and_ends_with_130(tmp_path, number):
    status, said = _signalled(number, tmp_path, group=True)
    assert status == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said


def test_a_study_that_is_killed_leaves_no_process_behind(tmp_path):
    assert _signalled(signal.SIGKILL, tmp_path, group=False)[0] == -signal.SIGKILL


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
    found = treebank.measure(setting, None, None)
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
    again = treebank.measure(setting, None, None)
    assert (
        again["valid_loss"]
        == found["valid_loss"]
        != treebank.measure(setting | {"words": 1900}, None, None)["valid_loss"]
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
    found = [text_rates.measure(setting, None, None) for setting in settings]
    base = built[0].hyper["lr"]
    assert [recipe.hyper["lr"] / base for recipe in built] == pytest.approx([1, 3, 10, 30])
    assert [run["lr"] for run in found] == [[recipe.hyper["lr"]] * 4 for recipe in built]
    assert all(len(run["valid_loss"]) == 4 for run in found)
    assert text_rates.measure(settings[0], None, None)["valid_loss"] == found[0]["valid_loss"]


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
        found = text_dial.measure({"p": p, "effective": 30.0, "layers": layers, "seed": 0}, None, None)
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
    small, large = (text_decay.measure(wanted[0] | {"decay": decay, "lr": 1e-2}, None, None) for decay in (0.0, 0.1))
    assert large["weights"][0] < 0.8 * small["weights"][0]  # Adam makes steps of a penalty, however small
    assert 0 < small["change"][0] < small["size"][0] < 1
    table = copy.deepcopy(text_decay._OTHERS)
    for run in wanted[1:]:
        text_decay.measure(run, None, None)
    text_decay.measure(wanted[3] | {"p": 0.4}, None, None)
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
    found = miniature.measure(setting, None, None)
    assert seen == [("adam", dict(recipes.get("imagenet/vgg16/adam", "full").hyper))]
    assert {len(found[key]) for key in ("train_error", "test_error", "test_error_top5", "seen_error")} == {4}
    assert all(five <= one for one, five in zip(found["test_error"], found["test_error_top5"], strict=True))
    assert found["seen_error"] != found["test_error"]
    assert found["parameters"] > 10_000
    assert miniature.milestones(80) == (24, 48, 64)
