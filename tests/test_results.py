"""The page of results: made from records alone, and every number on it moves with its record."""

import json
import math
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from padam import cli, evidence, recipes, records
from padam.evidence import chosen, claims, metrics, results, tables, verdicts

ROOT = Path(__file__).resolve().parent.parent
RUNS = records.HERE / "runs"


def test_the_page_in_the_book_is_what_the_records_say():
    page = (ROOT / "book" / "results.md").read_text()
    assert page == results.page(), "run `make results`"


@pytest.fixture
def copied(tmp_path):
    """A copy of our records, to be altered."""
    return Path(shutil.copytree(RUNS, tmp_path / "runs", ignore=shutil.ignore_patterns("seed?", "*.pt", "lock")))


def _alter(path, key, epoch, value):
    record = json.loads(path.read_text())
    record["history"][key][epoch] = value
    path.write_text(records.dumps(record))


@pytest.mark.slow
@pytest.mark.parametrize(("key", "epoch"), [("test_error", -1), ("test_error", 0), ("train_error", 0)])
def test_one_altered_value_in_one_record_changes_the_page(key, epoch, copied):
    assert results.page(copied) == results.page()
    _alter(copied / "small" / "cifar10" / "vgg16" / "padam" / "seed0.json", key, epoch, 0.95)
    assert results.page(copied) != results.page()


def test_one_altered_value_in_one_record_changes_a_verdict(copied):
    claim = next(c for c in claims.CLAIMS if c.name == "as well as SGD-momentum")

    def verdict():
        return verdicts.verdict(claim(evidence.collect(copied)["small"])["cifar10/vgg16"])

    assert verdict() == verdicts.HOLDS
    _alter(copied / "small" / "cifar10" / "vgg16" / "padam" / "seed0.json", "test_error", -1, 0.5)
    assert verdict() != verdicts.HOLDS


@pytest.mark.slow
def test_without_records_every_cell_of_ours_is_empty_and_the_commands_stand_below(tmp_path):
    found = evidence.collect(tmp_path)
    for network in claims.CELLS:
        _, *body = tables.table1(network, found)
        assert [row[-2:] for row in body] == [(tables.EMPTY, tables.EMPTY)] * 7
        assert all(row[1] != tables.EMPTY for row in body)
    page = results.page(tmp_path)
    for profile in ("full", "small"):
        for command in tables.commands(found, profile):
            assert f"    {command}\n" in page
            planned = CliRunner().invoke(cli.app, [*command.split()[3:], "--plan", "--out", str(tmp_path)])
            assert planned.exit_code == 0, planned.output


def test_a_cell_says_how_many_runs_it_is():
    def run(last, seed):
        history = {"epoch": [1, 2], "test_error": [last - 0.01, last]}
        return evidence.curve("small", "cifar10/vgg16", "adam", history, seed=seed)

    assert tables.cell([]) == tables.EMPTY
    assert tables.cell([run(0.2, 0)]) == "20.0 / 19.0\u00a0(1)"
    assert tables.cell([run(0.2, 0)], counted=False) == "20.0 / 19.0"
    assert tables.cell([run(0.2, 0), run(0.22, 1)]) == "21.0 ± 1.4\u00a0/ 20.0 ± 1.4\u00a0(2)"
    table = evidence.Run("adai-pnm", "cifar10/vgg16", "adam", best=7.31, sd=0.25, runs=3)
    assert tables.cell([table]) == f"{tables.EMPTY}\u00a0/ 7.31 ± 0.25\u00a0(3)"
    lost = evidence.curve("full", "cifar10/vgg16", "adam", {"epoch": [1], "test_error": [0.9]}, diverged=True)
    assert tables.cell([lost]) == "diverged\u00a0(1)"
    assert tables.cell([lost, lost, run(0.2, 0)]) == "2 of 3 diverged"


def test_others_networks_are_columns_and_optimizers_rows(tmp_path):
    header, *body = tables.elsewhere(evidence.collect(tmp_path), "cifar10")
    assert all(len(row) == len(header) for row in body)
    sgdm = dict(zip(header, next(row for row in body if row[0] == "SGD-momentum"), strict=True))
    assert sgdm["ResNet-34, Zhuang et al. (2020), 1 each"] == "6.48\u00a0/ 5.36"
    assert sgdm["DenseNet-121, Luo et al. (2019), 1 each"] == "7.01\u00a0/ 5.68"
    assert [row[0] for row in body] == ["SGD-momentum", "Adam", "Amsgrad", "AdamW", "Yogi", "AdaBound"]


def test_table_2_has_both_errors_of_each_run_in_its_column(tmp_path):
    found = evidence.collect(tmp_path)

    def run(source, cell, seed, top1, top5):
        history = {"epoch": [1, 2], "test_error": [0.9, top1], "test_error_top5": [0.05, top5]}
        return evidence.curve(source, cell, "adam", history, seed=seed)

    found["full"] += [run("full", "imagenet/vgg16", 0, 0.3, 0.1), run("full", "imagenet-subset/vgg16", 0, 0.4, 0.2)]
    found["small"] += [run("small", "imagenet/vgg16", seed, 0.5 + 0.01 * seed, 0.3) for seed in (0, 1)]
    header, *body = tables.table2("imagenet/vgg16", found)
    assert len(header) == 6
    rows = {row[0]: row[1:] for row in body}
    assert rows["Adam"] == (
        "30.48 / 10.88",
        tables.EMPTY,
        "30.00 / 10.00\u00a0(1)",
        "40.00 / 20.00\u00a0(1)",
        "50.5 ± 0.7\u00a0/ 30.0 ± 0.0\u00a0(2)",
    )
    assert rows["SGD-momentum"] == ("26.07 / 8.18", "26.64 / 8.48", *[tables.EMPTY] * 3)
    lost = evidence.curve("full", "imagenet/vgg16", "yogi", {"epoch": [1], "test_error": [0.9]}, diverged=True)
    found["full"].append(lost)
    assert {row[0]: row[3] for row in tables.table2("imagenet/vgg16", found)[1:]}["Yogi"] == "diverged\u00a0(1)"
    assert any("table2 --profile small" in line for line in tables.commands(found, "small"))


def test_other_rates_and_decays_stand_beside_the_recipes_runs(tmp_path):
    found = evidence.collect(tmp_path)

    def run(cell, name, seed, **ends):
        history = {"epoch": [1, 2], **{f"{part}_error": [0.9, error] for part, error in ends.items()}}
        return evidence.curve("small", cell, name, history, seed=seed)

    large, small = "imagenet/resnet18", "cifar10/vgg16"
    found["small"] += [run(large, "padam", seed, train=0.6 + 0.01 * seed, test=0.7) for seed in (0, 1)]
    found["small"] += [
        run(large, "padam-wd1e-4", 0, train=0.5, test=0.8),
        run(large, "sgdm-lr3", 0, train=0.4, test=0.6),
    ]
    found["small"] += [run(small, "adam-wd5e-4", 0, train=0.1, valid=0.2, test=0.3)]
    header, *body = tables.ablation(found, large)
    rates = ("rate ÷ 3", "the recipe's", "rate × 3")
    assert header == ("training / test (seeds), %", *rates, "weight decay 0.0005 or weight decay 0.0001")
    rows, none = {row[0]: row[1:] for row in body}, tables.EMPTY
    both = "60.5 ± 0.7\u00a0/ 70.0 ± 0.0\u00a0(2)"
    assert rows["Padam (0.1, decay 0.0005)"] == (none, both, none, "50.0 / 80.0\u00a0(1)")
    assert rows["SGD-momentum (0.1, decay 0.0001)"] == (none, none, "40.0 / 60.0\u00a0(1)", none)
    header, *body = tables.ablation(found, small)
    assert header == ("training / held out / test (seeds), %", *rates, "weight decay 0.0005")
    ends = {row[0]: row[-1] for row in body}
    assert ends["Adam (0.001, decay 0.0001)"] == "10.0 / 20.0 / 30.0\u00a0(1)"
    assert ends["Padam (0.1, decay 0.0005)"] == ""


def test_a_variant_is_called_by_what_it_changes(tmp_path, monkeypatch):
    """A new one needs no label by hand, whatever its name."""
    changes = {"lr": (recipes.Times(5.0), "a test"), "weight_decay": (0.02, "a test"), "eps": (1e-3, "another test")}
    known, new = recipes._variants, {f"new{key}": {key: change} for key, change in changes.items()}
    monkeypatch.setattr(recipes, "_variants", lambda data, name: known(data, name) | (new if name == "adam" else {}))
    found = evidence.collect(tmp_path)
    header, *body = tables.ablation(found)
    rates = ("rate ÷ 3", "the recipe's", "rate × 3", "rate × 5")
    assert header[1:] == (*rates, "weight decay 0.0005", "weight decay 0.02")
    assert ("Adam, eps 0.001", "another test", tables.EMPTY, tables.EMPTY) in tables.variants(found)
    told = [row[:2] for row in tables.variants(found)[1:] if row[0].startswith(("Padam", "AdamW"))]
    assert told == [
        ("Padam, correction none", "chosen here: an ablation"),
        ("Padam, correction exact", "chosen here: an ablation"),
        ("Padam, authors' loop", "authors' code: run_cnn_test_cifar10.py"),
        ("AdamW, weight decay 0.025", "chosen here: the paper's factor read as torch's weight_decay"),
    ]


def test_table_3_has_each_run_in_its_column(tmp_path, monkeypatch):
    found = evidence.collect(tmp_path)

    def run(source, name, seed, *ends):
        history = {"epoch": [1, 2], "test_perplexity": list(ends)}
        return evidence.curve(source, "ptb/lstm2", name, history, seed=seed)

    found["small"] += [run("small", "adam", 0, 121, 123), run("small", "adam", 1, 120, 124)]
    found["small"] += [run("small", "adam-lr3", 0, 111, 112), run("small", "yogi", 0, 131, 132)]
    monkeypatch.setattr(chosen, "variants", lambda: {"adam": "lr3", "yogi": "", "padam": "lr10"})
    found["chosen"] = evidence.at_chosen_rates(found["small"])
    found["full"] += [run("full", "adam", 0, 62, 61)]
    header, *body = tables.table3("ptb/lstm2", found)
    rows = {row[0]: row[1:] for row in body}
    assert rows["Adam"] == (
        "61.58",
        "67.27 / 67.27",
        "61.00 / 61.00\u00a0(1)",
        "123.5 ± 0.7\u00a0/ 120.5 ± 0.7\u00a0(2)",
        "rate × 3: 112.0 / 111.0\u00a0(1)",
    )
    assert rows["Yogi"][-1] == "the paper's: 132.0 / 131.0\u00a0(1)"
    assert rows["Padam"][-1] == tables.EMPTY
    assert rows["AdamW"][1] == "94.91 / 94.86, 189 epochs"
    assert rows["SGD"] == (tables.EMPTY, "67.45 / 67.42", tables.EMPTY, tables.EMPTY, tables.EMPTY)
    assert rows["Padam"][0] == "61.53"
    assert len(header) == 6
    assert any("table3 --profile full" in line for line in tables.commands(found, "full"))


def test_how_far_texts_end_behind_is_told_by_the_logarithm_of_the_perplexity(tmp_path, monkeypatch):
    rows = tables.behind(evidence.collect(), ["paper"], claims.TEXTS, "adam", metrics.end_loss)
    (padam,) = [found["paper"] for name, network, found in rows if (name, network) == ("padam", "3 layers")]
    assert padam == (pytest.approx(100 * math.log(58.48 / 60.44)), 0)
    assert len(rows) == 12
    monkeypatch.setattr(verdicts, "_packaged", lambda: {"small": []})
    rows = tables.behind(evidence.collect(tmp_path), ["adabelief"], claims.TEXTS, "adam", metrics.end_loss)
    bound = {network: found["adabelief"] for name, network, found in rows if name == "adabound"}
    assert bound["2 layers"][1] is None, "nobody knows how much single runs of texts differ"
    assert bound["2 layers"][0] == pytest.approx(100 * math.log(67.526 / 67.271), abs=1e-3)


def test_a_verdict_is_told_with_its_networks():
    assert tables.in_words(verdicts.Summary(verdicts.HOLDS, 3, 0, 3, 1)) == "holds (3\u00a0of\u00a03)"
    assert tables.in_words(verdicts.Summary(verdicts.HOLDS, 2, 0, 2, 1, True)) == "holds (2\u00a0of\u00a02), in part"
    assert tables.in_words(verdicts.Summary(verdicts.FAILS, 0, 1, 3, 1)) == "**fails** (1\u00a0of\u00a03)"
    assert tables.in_words(verdicts.Summary(verdicts.FAILS, 1, 1, 3, 1)) == "**fails** (1\u00a0of\u00a03), holds on 1"
    assert tables.in_words(verdicts.Summary(verdicts.OPEN, 1, 0, 3, 1)) == "open, holds on 1\u00a0of\u00a03"
    assert tables.in_words(verdicts.Summary(verdicts.OPEN, 0, 0, 3, 1)) == "open"
    assert tables.in_words(verdicts.Summary(verdicts.OPEN, 0, 0, 0, 0)) == tables.EMPTY


def test_the_comparisons_behind_a_verdict_can_be_read():
    claim = next(c for c in claims.CLAIMS if c.name == "on a par")
    _, *body = tables.compared(claim, "paper", evidence.collect())
    assert [row[2:] for row in body] == [
        ("+0.06 ± 0.00", "0.2", "holds", "as printed"),
        ("-0.06 ± 0.00", "0.2", "holds", "as printed"),
    ]


@pytest.mark.slow
def test_the_command_writes_the_page_and_says_what_is_wrong_with_a_folder(copied, tmp_path):
    run = CliRunner()
    assert run.invoke(cli.app, ["results", "--out", str(copied)]).stdout == results.page(copied)
    done = run.invoke(cli.app, ["results", "--out", str(copied), "--to", str(tmp_path / "page.md")])
    assert done.exit_code == 0
    assert (tmp_path / "page.md").read_text() == results.page(copied)
    missing = run.invoke(cli.app, ["results", "--out", str(tmp_path / "gone")])
    assert missing.exit_code == 1
    assert "there is no folder" in missing.output
