"""Records: every committed one can be believed, the validator notices what cannot, and the wheel carries them."""

import copy
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest

from padam import data, recipes, records, running, training
from padam.evidence import published
from padam.records import check
from padam.training import run

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((records.HERE / "schema.json").read_text())
COMMITTED = records.collect(records.HERE / "runs")
PUBLISHED = published.load()


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A real record: a quick recipe on a tenth of the digits."""
    digits = data.load("mnist5k")
    few = digits._replace(train=tuple(part[::10] for part in digits.train), test=tuple(p[::10] for p in digits.test))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.datasets, "load", lambda name, root=None: few)
        recipe = recipes.get("cifar10/resnet18/sgdm", "quick")
        return training.train(recipe, 0, tmp_path_factory.mktemp("out"), device="cpu", threads=1)


def test_the_schema_is_a_schema_and_describes_a_record(record):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(record, SCHEMA)
    assert check.faults(record) == []
    assert set(SCHEMA["required"]) == set(record)
    assert set(SCHEMA["properties"]) == {*record, "processes", "tf32", "threads_used"}  # not every run has these


def test_a_record_of_a_changed_recipe_is_described_too(record):
    recipe = recipes.get("cifar10/resnet18/padam", "quick", {"lr": 0.03, "betas": (0.9, 0.99), "correction": "exact"})
    jsonschema.validate(record | {"recipe": recipe.values()}, SCHEMA)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: str(path.relative_to(records.HERE)))
def test_a_committed_record_can_be_believed(path):
    kept = COMMITTED[path]
    jsonschema.validate(kept, SCHEMA)
    assert check.faults(kept) == []
    recipe = recipes.of_record(kept["recipe"])
    assert records.path(recipe, kept["seed"], records.HERE / "runs") == path
    assert path.read_text() == records.dumps(kept)
    assert recipe.profile != "quick"


def test_no_runs_are_committed_twice():
    keys = [(r["recipe"]["id"], r["recipe"]["profile"], r["seed"]) for r in COMMITTED.values()]
    assert len(keys) == len(set(keys))


# What is broken in a record, and what the validator says of it.
BREAKS = (
    (lambda r: r["history"]["test_loss"].pop(), "history.test_loss has 3 entries, but 4 epochs were run"),
    (lambda r: r["history"]["epoch"].reverse(), "history.epoch does not count from 1"),
    (lambda r: r["history"]["seconds"].__setitem__(0, 0.0), "history.seconds holds what is not above 0"),
    (lambda r: r["history"]["test_error"].__setitem__(0, 1.2), "history.test_error leaves [0, 1]"),
    (lambda r: r["history"]["lr"].__setitem__(0, 0.05), "history.lr does not follow the recipe's schedule"),
    (lambda r: r["recipe"]["hyper"].update(weight_decay=0.0), "recipe.hyper is"),
    (lambda r: r["recipe"].update(batch_size=64), "recipe.batch_size is 64, but the recipe says 128"),
    (lambda r: r["recipe"].update(id="cifar10/resnet18/sgd"), "the recipe is unknown"),
    (lambda r: r["recipe"].update(model="resnet18"), "recipe.model is resnet18, but the recipe says resnet18-w4"),
    (lambda r: r["history"]["epoch"].pop(), "but 3 epochs were run"),
    (lambda r: [values.pop() for values in r["history"].values()], "a finished run has all its epochs"),
    (lambda r: r.update(outcome="diverged"), "a diverged run has a loss that is no number"),
    (
        lambda r: r["history"]["train_loss"].__setitem__(1, None),
        "a finished run has all its epochs, and numbers in them",
    ),
    (lambda r: r.update(started=r["finished"]), "started is not before finished"),
    (lambda r: r.update(schema=1), "schema is 1, not 2"),
    (lambda r: r.pop("commit"), "keys are missing: commit"),
    (lambda r: (r["history"].pop("test_loss"), r["versions"].pop("cuda")), "missing: history.test_loss, versions.cuda"),
    (lambda r: r["recipe"]["hyper"].pop("lr"), "keys are missing: recipe.hyper.lr"),
)


@pytest.mark.parametrize(("harm", "said"), BREAKS, ids=[said[:40] for _, said in BREAKS])
def test_the_validator_notices(harm, said, record):
    broken = copy.deepcopy(record)
    harm(broken)
    assert any(said in fault for fault in check.faults(broken)), check.faults(broken)
    with pytest.raises(ValueError, match="cannot be kept: "):
        check.check(broken)


@pytest.mark.parametrize(
    "harm",
    [
        lambda r: r.update(remark="by hand"),
        lambda r: r.update(seed="0"),
        lambda r: r["history"].update(mood=[1, 2, 3, 4]),
        lambda r: r["recipe"].update(optimizer="sgd"),
        lambda r: r.update(final={}),
        lambda r: r.update(source_hash=[]),
        lambda r: r.update(precision="float32"),
        lambda r: r.update(outcome="fine"),
    ],
)
def test_the_schema_notices(harm, record):
    broken = copy.deepcopy(record)
    harm(broken)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, SCHEMA)


def test_a_record_is_text_that_diff_can_read(record):
    text = records.dumps(record)
    assert json.loads(text) == record
    lines = text.splitlines()
    assert any(line.strip().startswith('"test_error": [') and line.rstrip(",").endswith("]") for line in lines)
    assert 40 < len(lines) < 70
    assert len(text) < 5000


def test_numbers_are_kept_to_seven_digits_and_what_is_no_number_as_null():
    assert records.plain(0.123456789) == 0.1234568
    assert records.plain(3.3e-7) == 3.3e-7
    assert records.plain(float("nan")) is records.plain(float("inf")) is None
    assert records.plain(3) == 3


def test_a_shortened_run_says_how(record):
    assert records.shortened(record) == (
        "4 epochs instead of 200, resnet18-w4 instead of resnet18, mnist5k instead of cifar10"
    )
    full = copy.deepcopy(record)
    full["recipe"] |= {"epochs": 200, "model": "resnet18", "dataset": "cifar10"}
    full["history"]["epoch"] = list(range(1, 201))
    assert records.shortened(full) == ""
    full["history"]["epoch"] = full["history"]["epoch"][:120]
    assert records.shortened(full) == "120 of 200 epochs"
    full["recipe"] = full["recipe"] | {"train_size": 10_000}
    assert "10000 training examples" in records.shortened(full)


def test_what_is_no_record_is_an_error_with_its_path(tmp_path):
    path = tmp_path / "seed0.json"
    for text, said in (
        ("{", "is no record: it is not JSON"),
        ("[]", "is no record of schema 2 or 1"),
        ('{"schema": 0}', "schema 2 or 1"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"seed0.json.*{said}"):
            records.read(path)


def _first_version(record):
    """The record as version 1 kept it: much of it twice."""
    recipe = record["recipe"]
    twice = {key: recipe[key] for key in ("dataset", "model", "optimizer", "variant", "profile")}
    epochs = {"epochs_paper": 200, "epochs_planned": recipe["epochs"], "epochs_run": records.epochs_run(record)}
    outcome = {"status": record["outcome"], "epoch": records.epochs_run(record)}
    return record | twice | epochs | {"schema": 1, "final": records.final(record), "outcome": outcome}


def test_records_of_the_first_version_are_found_and_read(record, tmp_path, monkeypatch):
    """Where they lay: by the profile's own data set and network. The same file may be another recipe's."""
    recipe = recipes.get(record["recipe"]["id"], "quick")
    old = tmp_path / "mnist5k" / "resnet18-w4" / "sgdm" / "seed0.json"
    old.parent.mkdir(parents=True)
    old.write_text(json.dumps(_first_version(record)))
    assert records.find(recipe, 0, tmp_path) == old
    assert records.read(old) == record
    assert running.look(recipe, 0, tmp_path).state == "filled"
    monkeypatch.setattr(run.datasets, "load", lambda *given: pytest.fail("it was run again"))
    assert training.train(recipe, 0, tmp_path) == record
    other = recipes.get("cifar100/resnet18/sgdm", "quick")  # whose miniature it was, too
    assert records.find(other, 0, tmp_path) is None
    assert running.look(other, 0, tmp_path).state == "missing"


def test_recipes_that_train_the_same_have_records_of_their_own():
    """They shared one file: an ImageNet record stood in a subset's way."""
    for profile in recipes.PROFILES:
        paths = {records.path(recipes.get(id, profile), 0) for id in recipes.ids()}
        assert len(paths) == len(recipes.ids())
    assert not {records.path(recipes.get(id, "small"), 0) for id in recipes.ids()} & paths


def test_records_go_into_a_checkout_or_beside_an_installed_package(monkeypatch, tmp_path):
    assert records.default_root() == ROOT / "padam" / "records" / "runs"
    monkeypatch.setattr(records, "HERE", tmp_path / "site-packages" / "padam" / "records")
    assert records.default_root() == Path("padam-runs")


# --- what others measured


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_source_can_be_believed(name):
    assert published.faults(PUBLISHED[name]) == []
    assert len(PUBLISHED[name]["source"]["commit"]) == 40


def test_the_published_sources_are_those_the_book_cites():
    assert {name: len(source["runs"]) for name, source in PUBLISHED.items()} == {
        "adabelief": 51,
        "adabound": 12,
        "adai-pnm": 60,
        "reproduction-2019": 58,
        "torchvision": 2,
    }


def test_torchvision_says_of_its_weights_what_the_book_cites():
    from torchvision.models import ResNet18_Weights, VGG16_BN_Weights

    weights = {"resnet18": ResNet18_Weights.IMAGENET1K_V1, "vgg16": VGG16_BN_Weights.IMAGENET1K_V1}
    for theirs in PUBLISHED["torchvision"]["runs"]:
        known = weights[theirs["model"]].meta["_metrics"]["ImageNet-1K"]
        assert [round(100 - 100 * theirs[key][-1], 3) for key in ("test_error", "test_error_top5")] == [
            known["acc@1"],
            known["acc@5"],
        ]


# Source, data, model, optimizer -> last and best test error in %, typed from what the sources print.
PRINTED = (
    ("reproduction-2019", "cifar10", "vgg16", "padam", 6.94, 6.85),
    ("reproduction-2019", "cifar10", "resnet18", "sgdm", 5.73, 5.67),
    ("reproduction-2019", "cifar10", "wrn16-4", "amsgrad", 10.78, 10.63),
    ("adabound", "cifar10", "resnet34", "adabound", 5.14, 4.97),
    ("adabelief", "cifar10", "densenet121", "sgdm", 7.66, 5.50),
)


@pytest.mark.parametrize(("source", "dataset", "model", "optimizer", "last", "best"), PRINTED)
def test_published_curves_end_where_their_authors_say(source, dataset, model, optimizer, last, best):
    wanted = (dataset, model, optimizer, "main")
    keys = ("dataset", "model", "optimizer")
    runs = [r for r in PUBLISHED[source]["runs"] if (*(r[key] for key in keys), r.get("group", "main")) == wanted]
    ends = [(round(100 * r["test_error"][-1], 2), round(100 * min(r["test_error"]), 2)) for r in runs]
    assert (last, best) in ends


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda s: s["source"].pop("commit"), "the source does not say: commit"),
        (lambda s: s["runs"][0].pop("optimizer"), "does not say what was trained"),
        (lambda s: s["runs"][0]["test_error"].pop(), "entries for"),
        (lambda s: s["runs"][0]["test_error"].__setitem__(0, 7.2), "test_error holds what cannot be"),
        (lambda s: s["runs"][0]["epoch"].__setitem__(0, 0), "epochs do not increase from 1"),
        (lambda s: [s["runs"][0].pop(key) for key in ("test_error", "train_error")], "nothing was measured"),
        (lambda s: s["runs"].append({"dataset": "a", "model": "b", "optimizer": "c"}), "is no fraction"),
    ],
)
def test_a_fault_in_a_published_source_is_noticed(harm, said):
    source = copy.deepcopy(PUBLISHED["adabound"])
    harm(source)
    assert any(said in fault for fault in published.faults(source))


@pytest.mark.slow
def test_the_wheel_holds_records_and_schema(tmp_path):
    """Built as pip builds it, from a copy, so that nothing of this checkout's build is in it."""
    copied = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__", "seed?", "mnist5k", "pydoc")
    shutil.copytree(ROOT / "padam", copied / "padam", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-prose"):
        shutil.copy(ROOT / name, copied)
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    done = subprocess.run([sys.executable, "-c", build], cwd=copied, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    wanted = {str(path.relative_to(ROOT)) for path in COMMITTED}
    wanted |= {f"padam/records/published/{name}.json" for name in PUBLISHED} | {"padam/records/schema.json"}
    wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / "padam").rglob("*.py")}
    assert wanted <= inside
    assert not [name for name in inside if name.endswith(".pt") or name.startswith(("tests", "book", "data"))]
