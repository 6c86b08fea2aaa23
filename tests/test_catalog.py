"""The catalog as a table: complete, consistent with the rules and with PyTorch's classes."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
import torch

from padam import optim, plots, reference, rules
from padam.catalog import CATALOG, CORRECTIONS, DECAYS, LIMITS, torch_options

BIBLIOGRAPHY = (Path(__file__).parent.parent / "book" / "references.bib").read_text()
ENTRIES = pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)


def test_the_catalog_follows_the_order_of_the_rules():
    functions = [n for n, f in vars(rules).items() if inspect.isfunction(f) and f.__module__ == rules.__name__]
    assert functions == list(CATALOG)


@ENTRIES
def test_an_entry_is_complete(entry):
    assert entry.title
    assert entry.source
    assert f"{{{entry.cite}," in BIBLIOGRAPHY
    assert set(entry.columns) == {"m", "v", "p", "correction"}
    assert entry.latex[-1].startswith("x_{t+1} = ")
    assert set(entry.corrections) <= set(CORRECTIONS)
    assert entry.defaults.get("correction", entry.corrections[0]) in entry.corrections
    assert entry.defaults.get("decay", "l2") in DECAYS
    assert entry.name in plots.STYLE


@ENTRIES
def test_a_rule_reads_and_returns_the_slots_of_its_entry(entry):
    (_, state, _) = next(iter(reference.iterate(entry.name, [1.0], [[0.5]])))
    assert set(vars(state)) == set(entry.slots)
    if entry.name == "adamw":
        return
    text = inspect.getsource(getattr(rules, entry.name))
    assert set(re.findall(r"\bs\.(\w+)", text)) == set(entry.slots)
    read = set(re.findall(r"\bh\.(\w+)", text)) - {"t", "c1", "c2"}
    settings = {"weight_decay", "correction", "decay", "initial_accumulator", "initial_accumulator_value"}
    assert read == set(entry.defaults) - settings


@ENTRIES
def test_every_number_among_the_defaults_has_a_range(entry):
    numbers = {key for key, value in entry.defaults.items() if isinstance(value, float)}
    assert numbers <= set(LIMITS)


@ENTRIES
def test_pytorch_keeps_the_state_that_the_entry_says(entry):
    if not entry.torch_class:
        return
    x = torch.nn.Parameter(torch.ones(2))
    x.grad = torch.ones(2)
    optimizer = optim.build(entry.name, [x])
    optimizer.step()
    module, _, cls = entry.torch_class.rpartition(".")
    assert type(optimizer) is getattr(importlib.import_module(module), cls)
    assert {slot.torch_key for slot in entry.slots.values()} <= set(optimizer.state[x])


@ENTRIES
def test_the_entrys_defaults_are_its_pytorch_classs(entry):
    """torch.optim.SGD has no momentum of its own accord; the paper's baseline does."""
    if not entry.torch_class:
        return
    module, _, cls = entry.torch_class.rpartition(".")
    signature = inspect.signature(getattr(importlib.import_module(module), cls)).parameters
    for key, value in torch_options(entry.name, entry.defaults).items():
        if entry.name != "sgdm":
            assert signature[key].default == value, key


def test_build_refuses_what_has_no_pytorch_class():
    for name in ("adagrad_mean", "adamm"):
        with pytest.raises(ValueError, match=f"no PyTorch optimizer is called '{name}' here; there are sgdm, "):
            optim.build(name, [torch.ones(1)])


def test_build_passes_options_on():
    optimizer = optim.build("padam", [torch.ones(1, requires_grad=True)], lr=0.3, betas=(0.8, 0.99))
    assert optimizer.param_groups[0]["lr"] == 0.3
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.99)
    assert optimizer.param_groups[0]["p"] == 1 / 8
