"""Section 5 of the paper and its sources, typed a second time and held against `padam.recipes` cell by cell."""

import dataclasses
import json
import math
import re

import pytest
import torch

from padam import models, optim, recipes

OPTIMIZERS = ("sgdm", "adam", "amsgrad", "adamw", "yogi", "adabound", "padam")
# Tables 1, 2 and 3, and Figure 1's other data set; the subset stands in for ImageNet.
MODELS = {
    "cifar10": ("vgg16", "resnet18", "wrn16-4"),
    "cifar100": ("vgg16", "resnet18", "wrn16-4"),
    "imagenet": ("vgg16", "resnet18"),
    "imagenet-subset": ("vgg16", "resnet18"),
    "ptb": ("lstm2", "lstm3"),
}
CELLS = [(data, model, optimizer) for data, found in MODELS.items() for model in found for optimizer in OPTIMIZERS]

# Batch size, epochs, milestones.
CIFAR, IMAGENET, PTB = (128, 200, [100, 150]), (256, 100, [30, 60, 80]), (20, 200, [100, 150])
SCHEDULES = {"cifar10": CIFAR, "cifar100": CIFAR, "imagenet": IMAGENET, "imagenet-subset": IMAGENET, "ptb": PTB}

# All settings but the weight decay.
PICTURES = {
    "sgdm": {"lr": 0.1, "momentum": 0.9},
    "adam": {"lr": 0.001, "betas": [0.9, 0.99], "eps": 1e-8},
    "amsgrad": {"lr": 0.001, "betas": [0.9, 0.99], "eps": 1e-8, "amsgrad": True},
    "adamw": {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8},
    "yogi": {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-3, "initial_accumulator": 1e-6, "correction": "exact"},
    "adabound": {
        "lr": 0.001,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "final_lr": 0.1,
        "gamma": 1e-3,
        "correction": "folded",
    },
    "padam": {"lr": 0.1, "betas": [0.9, 0.999], "eps": 1e-8, "p": 0.125, "correction": "folded"},
}
LSTM2 = {
    "sgdm": {"lr": 1.0, "momentum": 0.9},
    "adam": {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8},
    "amsgrad": {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8, "amsgrad": True},
    "adamw": {"lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8},
    "yogi": {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-3, "initial_accumulator": 1e-6, "correction": "exact"},
    "adabound": {
        "lr": 0.001,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "final_lr": 10.0,
        "gamma": 1e-3,
        "correction": "folded",
    },
    "padam": {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "p": 0.4, "correction": "folded"},
}
LSTM3 = LSTM2 | {
    "sgdm": LSTM2["sgdm"] | {"lr": 10.0},
    "yogi": LSTM2["yogi"] | {"lr": 0.1},
    "adabound": LSTM2["adabound"] | {"final_lr": 100.0},
    "padam": LSTM2["padam"] | {"lr": 1.0, "p": 0.2},
}
# Weight decay; AdamW's is torch's for a normalised 2.5e-2, 5e-2 and 4e-4, known to three digits or more.
CIFAR_DECAY = {
    "sgdm": 5e-4,
    "adam": 1e-4,
    "amsgrad": 1e-4,
    "adamw": 0.0894,
    "yogi": 1e-4,
    "adabound": 5e-4,
    "padam": 5e-4,
}
IMAGENET_DECAY = CIFAR_DECAY | {"sgdm": 1e-4, "adamw": 0.0707}
PTB_DECAY = dict.fromkeys(OPTIMIZERS, 1.2e-6) | {"adamw": 1.098e-3}
DECAY = {
    "cifar10": CIFAR_DECAY,
    "cifar100": CIFAR_DECAY,
    "imagenet": IMAGENET_DECAY,
    "imagenet-subset": IMAGENET_DECAY,
    "ptb": PTB_DECAY,
}

# What else there is: optimizer, variant, data sets, what it sets. Each has lr3, lr0.33, on texts lr10, lr30 as well.
ON_PICTURES, ON_CIFAR, ON_IMAGENET = (
    tuple(data for data in MODELS if data.startswith(kind)) for kind in (("cifar", "imagenet"), "cifar", "imagenet")
)
VARIANTS = (
    ("padam", "none", tuple(MODELS), {"correction": "none"}),
    ("padam", "exact", tuple(MODELS), {"correction": "exact"}),
    ("padam", "p0.4", ON_PICTURES, {"p": 2 / 5}),
    ("padam", "p0.25", ON_PICTURES, {"p": 1 / 4}),
    ("padam", "p0.2", ON_PICTURES, {"p": 1 / 5}),
    ("padam", "p0.0625", ON_PICTURES, {"p": 1 / 16}),
    ("adamw", "literal", ON_CIFAR, {"weight_decay": 0.025}),
    ("adamw", "literal", ON_IMAGENET, {"weight_decay": 0.05}),
    ("adamw", "literal", ("ptb",), {"weight_decay": 4e-4}),
    ("adam", "wd5e-4", ON_PICTURES, {"weight_decay": 5e-4}),
    ("amsgrad", "wd5e-4", ON_PICTURES, {"weight_decay": 5e-4}),
    ("sgdm", "wd5e-4", ON_IMAGENET, {"weight_decay": 5e-4}),
    ("padam", "wd1e-4", ON_IMAGENET, {"weight_decay": 1e-4}),
    ("padam", "authors", ON_CIFAR, {}),  # its loop
)
VARIANT_CELLS = [
    (f"{data}/{model}/{optimizer}", variant, changes)
    for optimizer, variant, found, changes in VARIANTS
    for data in found
    for model in MODELS[data]
] + [
    ("/".join(cell), variant, {"lr": factor})
    for cell in CELLS
    for variant, factor in (("lr3", 3.0), ("lr0.33", 0.33), *[("lr10", 10.0), ("lr30", 30.0)] * (cell[0] == "ptb"))
]
EVERY = [(id, profile) for id in recipes.ids() for profile in ("quick", "small", "full")]


@pytest.fixture(scope="module")
def every():
    """(id, profile) -> recipe, all of them."""
    return {(id, profile): recipes.get(id, profile) for id, profile in EVERY}


# Merity et al. (2018), by their code's names: --bptt, --clip, --dropoute, --dropouti, --dropouth, --dropout, --wdrop,
# --alpha, --beta; the length of a window varies.
AWD_LSTM = {
    "bptt": 70,
    "varied": True,
    "clip": 0.25,
    "words": 0.1,
    "inputs": 0.4,
    "hidden": 0.25,
    "output": 0.4,
    "weights": 0.5,
    "activation": 2.0,
    "temporal": 1.0,
}


@pytest.mark.parametrize(("data", "model", "optimizer"), CELLS, ids=["/".join(cell) for cell in CELLS])
def test_a_cell_has_the_settings_of_section_5(data, model, optimizer):
    batch_size, epochs, milestones = SCHEDULES[data]
    settings = {"lstm2": LSTM2, "lstm3": LSTM3}.get(model, PICTURES)[optimizer]
    values = recipes.get(f"{data}/{model}/{optimizer}", "full").values()
    decay = values["hyper"].pop("weight_decay")
    assert decay == pytest.approx(DECAY[data][optimizer], rel=1e-3 if optimizer == "adamw" else 1e-12)
    assert values == {
        "id": f"{data}/{model}/{optimizer}",
        "profile": "full",
        "dataset": data,
        "model": model,
        "optimizer": optimizer,
        "variant": None,
        "hyper": settings,
        "batch_size": batch_size,
        "train_size": None,
        "epochs": epochs,
        "milestones": milestones,
        "gamma": 0.1,
        "holdout": 0,
    } | ({"text": AWD_LSTM} if data == "ptb" else {})


@pytest.mark.parametrize(("kind", "model"), [("vgg16", "vgg16-w16"), ("resnet18", "resnet18-w8")])
@pytest.mark.parametrize("data", ["cifar10", "cifar100"])
def test_small_cifar_is_ten_thousand_pictures_for_sixty_epochs(data, kind, model):
    recipe = recipes.get(f"{data}/{kind}/adamw", "small")
    assert (recipe.dataset, recipe.model, recipe.train_size, recipe.holdout) == (data, model, 10_000, 5_000)
    assert (recipe.batch_size, recipe.epochs, recipe.milestones, recipe.gamma) == (128, 60, (30, 45), 0.1)
    assert recipe.hyper["weight_decay"] == pytest.approx(0.365, abs=5e-4)


def test_quick_runs_need_no_download_and_last_four_epochs_at_least(every):
    for (id, profile), recipe in every.items():
        if profile == "quick":
            assert recipe.dataset == ("pydoc" if id.startswith("ptb") else "mnist5k")
            assert 4 <= recipe.epochs <= 12


def test_miniatures_keep_the_papers_settings_and_scale_its_milestones(every):
    for (id, profile), recipe in every.items():
        full = every[id, "full"]
        assert recipe.model.startswith(full.model)
        own = 64 if id.startswith("imagenet") and profile == "small" else full.batch_size
        assert (recipe.batch_size, recipe.gamma) == (own, full.gamma)
        exact = [milestone * recipe.epochs / full.epochs for milestone in full.milestones]
        assert all(abs(a - b) <= 0.5 for a, b in zip(recipe.milestones, exact, strict=True))
        assert list(recipe.milestones) == sorted(set(recipe.milestones))
        assert 0 < recipe.milestones[0] < recipe.milestones[-1] < recipe.epochs
        recomputed = {"weight_decay"} if recipe.optimizer == "adamw" and recipe.variant != "literal" else set()
        changed = {key for key, value in recipe.hyper.items() if value != full.hyper[key]}
        assert changed == (recomputed if profile != "full" else set())


def test_normalised_decay_shrinks_the_weights_as_much_in_every_profile(every):
    """Loshchilov and Hutter's factor is there so that lr * decay, summed over all steps, grows as sqrt(steps)."""
    for data, points, examples in (("cifar10", 10_000, 128), ("imagenet", 2_500, 64), ("ptb", 100_000, 20 * 70)):
        recipe = every[f"{data}/{MODELS[data][0]}/adamw", "small"]
        steps = points * recipe.epochs / examples
        factor = {"cifar10": 2.5e-2, "imagenet": 5e-2, "ptb": 4e-4}[data]
        assert recipe.hyper["lr"] * recipe.hyper["weight_decay"] * steps**0.5 == pytest.approx(factor, rel=1e-9)


def test_every_value_names_its_source(every):
    for recipe in every.values():
        values = recipe.values()
        choices = {f"{part}.{key}" for part in ("hyper", "text") for key in values.get(part, {})} | set(values)
        assert set(recipe.sources) == choices - {"id", "profile", "optimizer", "variant", "hyper", "text"}
        for source in recipe.sources.values():
            assert source.startswith(("paper", "authors' code", "reproduction", "chosen here")), recipe.id
            assert source.partition(":")[0] in ("paper", "authors' code", "reproduction", "chosen here"), recipe.id


@pytest.mark.parametrize(("data", "model", "optimizer"), CELLS, ids=["/".join(cell) for cell in CELLS])
def test_what_the_paper_states_is_the_papers_and_nothing_else_is(data, model, optimizer):
    sources = recipes.get(f"{data}/{model}/{optimizer}", "full").sources
    stated = {"hyper.lr", "hyper.betas", "hyper.momentum", "hyper.amsgrad"}
    own = {"yogi": "eps", "adamw": "weight_decay", "adabound": "final_lr", "padam": "p"}
    stated |= {f"hyper.{own.get(optimizer)}", "model", "batch_size", "epochs", "milestones", "gamma"}
    if data == "imagenet-subset" or (data == "cifar100" and (model, optimizer) != ("resnet18", "padam")):
        stated = set()  # not the paper's runs
    for key, source in sources.items():
        if key in stated:
            assert source.startswith(("paper", "authors' code")), key
        elif key.startswith("hyper.") or not stated:
            assert not source.startswith("paper"), key


def test_a_miniature_says_what_was_chosen_for_it(every):
    for (_, profile), recipe in every.items():
        if profile != "full":
            for key in ("dataset", "model", "train_size", "epochs", "milestones", "holdout"):
                assert recipe.sources[key].startswith("chosen here"), (recipe.id, key)
            full = every[recipe.id, "full"]
            if recipe.batch_size != full.batch_size:
                assert "the study `miniature`" in recipe.sources["batch_size"]
            else:
                assert recipe.sources["batch_size"] == full.sources["batch_size"]


def test_the_ids_are_the_papers_cells_and_their_variants():
    found = recipes.ids()
    assert len(set(found)) == len(found)
    assert set(found[: len(CELLS)]) == {"/".join(cell) for cell in CELLS}
    assert set(found[len(CELLS) :]) == {f"{id}-{variant}" for id, variant, _ in VARIANT_CELLS}


def test_a_variant_changes_what_it_is_named_after_and_nothing_else(every):
    for profile in recipes.PROFILES:
        for id, variant, changes in VARIANT_CELLS:
            plain, recipe = every[id, profile], every[f"{id}-{variant}", profile]
            expected = plain.values() | {"id": f"{id}-{variant}", "variant": variant}
            expected["hyper"] = expected["hyper"] | changes
            if "lr" in changes:  # a factor; AdamW's decay is given per step, so torch's shrinks as the rate grows
                expected["hyper"]["lr"] = pytest.approx(plain.hyper["lr"] * changes["lr"])
                if recipe.optimizer == "adamw":
                    expected["hyper"]["weight_decay"] = pytest.approx(plain.hyper["weight_decay"] / changes["lr"])
            if variant == "authors":
                expected["loop"] = "authors"
            assert recipe.values() == expected
            borrowed = id.startswith(("imagenet-subset", "cifar100/vgg16", "cifar100/wrn16-4"))
            source = "paper" if "p" in changes and not borrowed else "chosen here"
            assert all(recipe.sources[f"hyper.{key}"].startswith(source) for key in changes)
            kept = {key: source for key, source in recipe.sources.items() if key != "loop"}
            assert kept | {f"hyper.{key}": plain.sources[f"hyper.{key}"] for key in changes} == plain.sources


def test_every_optimizer_takes_the_settings_of_its_recipes(every):
    weight = torch.nn.Parameter(torch.ones(2))
    for recipe in every.values():
        built_as = {"amsgrad": "adam"}.get(recipe.optimizer, recipe.optimizer)
        optimizer = optim.build(built_as, [weight], **recipe.hyper)
        kept = optimizer.param_groups[0]
        assert {key: kept[key] for key in recipe.hyper} == recipe.hyper
        assert type(optimizer).__name__.lower() == {"sgdm": "sgd"}.get(built_as, built_as)


def test_every_network_of_a_recipe_can_be_built(every):
    with torch.device("meta"):
        for model in sorted({recipe.model for recipe in every.values()}):
            assert any(True for _ in models.build(model, vocabulary=7).parameters()), model


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("cifar10/vgg16/padan", "did you mean cifar10/vgg16/padam"),
        ("cifar10/vgg16-w16/padam", "did you mean .*cifar10/vgg16/padam"),
        ("cifar10/vgg16/padam-tuned", "did you mean cifar10/vgg16/padam"),
        ("cifar10/vgg16/padam-p0.125", "did you mean cifar10/vgg16/padam-p0.25"),
        ("mnist", "padam list` shows them all"),
    ],
)
def test_an_unknown_recipe_is_an_error_that_names_its_neighbours(id, hint):
    with pytest.raises(ValueError, match=f"no recipe is called '{id}'; .*{hint}") as caught:
        recipes.get(id, "full")
    assert ("did you mean" in str(caught.value)) == (id != "mnist")


def test_the_profile_is_the_callers_or_the_environments_or_quick(monkeypatch):
    id = "cifar10/vgg16/padam"
    monkeypatch.delenv("PADAM_PROFILE", raising=False)
    assert recipes.get(id).profile == recipes.default_profile() == "quick"
    monkeypatch.setenv("PADAM_PROFILE", "")
    assert recipes.get(id).profile == "quick"
    monkeypatch.setenv("PADAM_PROFILE", "small")
    assert recipes.get(id) == recipes.get(id, "small") != recipes.get(id, "full")
    monkeypatch.setenv("PADAM_PROFILE", "large")
    for profile in (None, "large"):
        with pytest.raises(ValueError, match="no profile is called 'large'; there are quick, small, full"):
            recipes.get(id, profile)


@pytest.mark.parametrize(
    ("data", "epochs"), [("cifar10", 200), ("cifar100", 200), ("imagenet", 100), ("imagenet-subset", 100), ("ptb", 200)]
)
def test_the_papers_epochs_are_known_whatever_the_profile(data, epochs):
    assert recipes.paper_epochs(f"{data}/{MODELS[data][0]}/padam-none") == epochs


def test_a_recipe_is_frozen_and_nobody_elses(every):
    recipe = recipes.get("ptb/lstm3/padam", "full")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.epochs = 1
    recipe.hyper["lr"] = recipe.sources["hyper.lr"] = None
    assert recipes.get("ptb/lstm3/padam", "full") == every["ptb/lstm3/padam", "full"] != recipe


def test_what_a_record_keeps_of_a_recipe_survives_json(every):
    for recipe in every.values():
        values = recipe.values()
        assert json.loads(json.dumps(values)) == values
        assert {field.name for field in dataclasses.fields(recipe)} == {*values, "sources", "loop", "text", "changes"}
        assert ("text" in values) == (recipe.text is not None) == (recipe.dataset in ("ptb", "pydoc"))
        assert values.get("loop", "plain") == recipe.loop


WANTED = ("padam", "sgdm", "adam", "amsgrad", "adamw", "yogi", "adabound")
DIAL = ("padam-p0.4", "padam-p0.25", "padam-p0.2", "padam", "padam-p0.0625")


@pytest.mark.parametrize("profile", ["quick", "small"])
def test_small_runs_finish_a_row_with_all_seeds_before_the_next_and_the_measured_one_is_first(profile):
    rows = ("cifar10/vgg16", "cifar10/resnet18", "cifar10/wrn16-4")
    expected = [(f"{row}/{column}", seed) for row in rows for seed in (0, 1, 2) for column in WANTED]
    assert recipes.wanted("table1", profile, 3) == expected
    assert recipes.wanted("table2", profile, 1)[0] == ("imagenet/resnet18/padam", 0)
    assert recipes.wanted("table3", profile, 1)[0] == ("ptb/lstm2/padam", 0)


def test_full_runs_finish_a_seed_before_the_next_and_resnet_is_first():
    rows = ("cifar10/resnet18", "cifar10/vgg16", "cifar10/wrn16-4")
    expected = [(f"{row}/{column}", seed) for seed in (0, 1) for row in rows for column in WANTED]
    assert recipes.wanted("table1", "full", 2) == expected
    assert recipes.wanted("table2", "full", 1)[0] == ("imagenet/resnet18/padam", 0)


def test_figure_1_is_the_five_p_on_both_data_sets():
    rows = ("cifar10/resnet18", "cifar100/resnet18")
    runs = recipes.wanted("figure1", "full", 2)
    assert runs == [(f"{row}/{column}", seed) for seed in (0, 1) for row in rows for column in DIAL]
    assert [recipes.get(id, "full").hyper["p"] for id, _ in runs[:5]] == [2 / 5, 1 / 4, 1 / 5, 1 / 8, 1 / 16]
    by_row = [(f"{row}/{column}", seed) for row in rows for seed in (0, 1) for column in DIAL]
    assert recipes.wanted("figure1", "small", 2) == by_row


@pytest.mark.parametrize(
    ("what", "rows"),
    [
        ("table2", {"imagenet/vgg16", "imagenet/resnet18"}),
        ("table3", {"ptb/lstm2", "ptb/lstm3"}),
        ("figure2", {"cifar10/vgg16", "cifar10/resnet18", "cifar10/wrn16-4"}),
        ("figure3", {"imagenet/vgg16", "imagenet/resnet18", "ptb/lstm2", "ptb/lstm3"}),
    ],
)
@pytest.mark.parametrize("profile", ["small", "full"])
def test_a_table_or_figure_wants_each_of_its_cells_once_a_seed(what, rows, profile):
    runs = recipes.wanted(what, profile, 2)
    assert sorted(runs) == sorted((f"{row}/{name}", seed) for row in rows for name in OPTIMIZERS for seed in (0, 1))


def test_an_unknown_table_is_an_error_that_lists_them():
    with pytest.raises(ValueError, match="no table or figure is called 'table4'; there are table1, table2, "):
        recipes.wanted("table4", "full", 1)


def test_changes_become_the_variant_and_say_where_they_are_from():
    changes = {"weight_decay": 1e-3, "lr": 0.03, "epochs": 10}
    recipe = recipes.get("cifar10/vgg16/padam", "small", changes)
    plain = recipes.get("cifar10/vgg16/padam", "small")
    assert recipe.id == "cifar10/vgg16/padam-epochs=10,lr=0.03,weight_decay=0.001"
    assert recipe.variant == "epochs=10,lr=0.03,weight_decay=0.001"
    assert recipe.hyper == plain.hyper | {"lr": 0.03, "weight_decay": 1e-3}
    assert (recipe.epochs, recipe.milestones) == (10, (5, 8))
    named = {"epochs", "hyper.lr", "hyper.weight_decay"}
    assert {key for key, source in recipe.sources.items() if source == "command line"} == named
    assert {key: source for key, source in recipe.sources.items() if key not in named} == {
        key: source for key, source in plain.sources.items() if key not in named
    }
    kept = json.loads(json.dumps(recipe.values()))
    assert kept["changes"] == {"epochs": 10, "lr": 0.03, "weight_decay": 0.001}
    assert recipes.of_record(kept) == recipe
    pair = recipes.get("cifar10/vgg16/adam", "small", {"betas": (0.9, 0.95)})
    assert recipes.of_record(json.loads(json.dumps(pair.values()))) == pair
    assert recipes.of_record(plain.values()) == plain
    short = [recipes.get("imagenet/vgg16/sgdm", "full", {"epochs": epochs}).milestones for epochs in (1, 2, 10)]
    assert short == [(1,), (1, 2), (3, 6, 8)]  # of 30, 60 and 80 in 100


def test_adamws_normalised_decay_follows_changes():
    plain, changed = (
        recipes.get("cifar10/vgg16/adamw", "small", changes) for changes in (None, {"lr": 0.004, "batch_size": 32})
    )
    assert changed.hyper["weight_decay"] == pytest.approx(plain.hyper["weight_decay"] / 4 / 2)
    assert recipes.get("cifar10/vgg16/adamw", "small", {"weight_decay": 0.1}).hyper["weight_decay"] == 0.1


@pytest.mark.parametrize(
    ("id", "changes", "message"),
    [
        ("cifar10/vgg16/padam", {"rate": 0.1}, "has no setting 'rate'; it has lr, betas, eps, p"),
        ("cifar10/vgg16/padam", {"weight_deca": 0.1}, "Did you mean weight_decay?"),
        ("cifar10/vgg16/padam-p0.25", {"lr": 0.1}, "change cifar10/vgg16/padam instead, p0.25 among the changes"),
        ("cifar10/vgg16/padam", {"lr": -0.1}, "lr must be a number above 0, not -0.1"),
        ("cifar10/vgg16/padam", {"eps": math.inf}, "eps must be a number, not inf"),
        ("cifar10/vgg16/padam", {"epochs": 0}, "epochs must be a whole number from 1 on, not 0"),
        ("cifar10/vgg16/padam", {"batch_size": 12.5}, "batch_size must be a whole number"),
    ],
)
def test_what_cannot_be_changed_says_why(id, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        recipes.get(id, "small", changes)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("lr=0.03", ("lr", 0.03)),
        (" lr = 3e-2 ", ("lr", 0.03)),
        ("p=1/16", ("p", 1 / 16)),
        ("epochs=3", ("epochs", 3)),
        ("betas=0.9,0.99", ("betas", (0.9, 0.99))),
        ("correction=exact", ("correction", "exact")),
        ("nothing=1", ("nothing", "1")),
    ],
)
def test_a_change_is_read_as_the_kind_of_value_it_is(text, change):
    assert recipes.change("cifar10/vgg16/padam", text) == change


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "'lr' is no change; write NAME=VALUE"),
        ("=1", "is no change"),
        ("lr=", "is no change"),
        ("lr=fast", "lr must be a number, not 'fast'"),
        ("lr=nan", "lr must be a number"),
        ("p=1/0", "p must be a number, not '1/0'"),
        ("betas=a,b", "betas must be numbers with commas between them"),
        ("epochs=1.5", "epochs must be a whole number, not '1.5'"),
    ],
)
def test_a_change_that_cannot_be_read_says_how_it_is_written(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        recipes.change("cifar10/vgg16/padam", text)
    with pytest.raises(ValueError, match="amsgrad must be true or false, not 'maybe'"):
        recipes.change("cifar10/vgg16/amsgrad", "amsgrad=maybe")
