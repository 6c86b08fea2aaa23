"""Who may import whom, and what an import loads; read from the import statements and from fresh interpreters."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "padam"

# Module (or subpackage) -> what of padam it may import. What is not listed here fails: decide where it belongs.
MAY = {
    "__init__": {"optim"},
    "rules": set(),
    "catalog": set(),
    "problems": set(),
    "reference": {"rules", "catalog"},
    "optim": {"catalog", "optim"},
    "schedules": set(),
    "files": set(),
    "data": {"data", "files"},
    "models": {"models"},
    "recipes": {"recipes"},
    "records": {"records", "recipes"},
    "training": {"optim", "models", "data", "schedules", "recipes", "records", "training", "files"},
    "running": {"recipes", "records", "running", "training"},
    "bench": {"bench", "data", "files", "models", "optim", "recipes", "records", "training"},
    "studies": {"data", "files", "models", "optim", "recipes", "records", "running", "studies", "training"},
    "cli": {"bench", "cli", "evidence", "recipes", "records", "running", "studies", "training"},
    "__main__": {"cli"},
    "picture": set(),
    "plots": {"catalog", "picture", "plots"},
    "show": {"rules", "catalog"},
    "evidence": {"catalog", "evidence", "recipes", "records", "show"},
}
WITHOUT_TORCH = {
    "rules",
    "catalog",
    "problems",
    "reference",
    "recipes",
    "records",
    "picture",
    "plots",
    "show",
    "evidence",
}


def _modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield path, parts[0]


def _imports(path):
    """Every dotted name a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(("path", "owner"), list(_modules()), ids=lambda x: str(x)[-24:])
def test_modules_import_only_what_they_may(path, owner):
    assert owner in MAY, f"padam/{owner} is not in the table of this test"
    for name in _imports(path):
        top, *rest = name.split(".")
        if top == "padam":
            assert rest, f"{path} imports all of padam"
            assert rest[0] in MAY[owner] or rest[0] in (owner, "__version__"), f"{path.name} imports padam.{rest[0]}"
        if top == "torch":
            assert owner not in WITHOUT_TORCH, f"{path.name} imports torch"
        if top == "matplotlib":
            assert owner == "plots", f"{path.name} imports matplotlib; only plots may"
        assert top not in ("tests", "chapters"), f"{path.name} imports {top}"
        assert top not in ("optax", "jax", "keras", "adabound", "torch_optimizer"), f"{path.name} imports an oracle"


def _loaded(statement):
    """The modules a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(WITHOUT_TORCH))
def test_the_mathematics_loads_no_torch(name):
    assert "torch" not in _loaded(f"import padam.{name}")


@pytest.mark.slow
def test_tables_load_scipy_only_for_an_interval():
    """It takes a second."""
    assert "scipy" not in _loaded("import padam.evidence.results")


@pytest.mark.slow
def test_the_optimizers_load_little_beyond_torch():
    """The practitioner's import: no torchvision, no matplotlib, and nearly nothing that torch has not loaded anyway."""
    extra = _loaded("from padam import Padam") - _loaded("import torch, torch.optim")
    own = {name for name in extra if name.split(".")[0] == "padam"}
    files = ("optim", "optim.base", "optim.foreach", "optim.fused", "optim.fused.cpu", "optim.loop")
    assert own == {"padam", "padam.catalog"} | {f"padam.{name}" for name in files}
    assert not {"torchvision", "matplotlib", "tqdm", "mlxtend"} & extra
    assert len(extra - own) < 10, sorted(extra - own)


def test_data_are_read_without_what_fetches_them():
    """pooch brings tqdm's bars for notebooks, which say on stderr what they miss."""
    assert not {"pooch", "tqdm.auto", "requests"} & _loaded("import padam.data, padam.data.imagenet")


def test_importing_the_package_alone_loads_nothing():
    assert "numpy" not in _loaded("import padam")


def test_public_names_are_there_and_nothing_else_is():
    import padam

    assert set(padam.__all__) <= set(dir(padam))
    for name in padam.__all__:
        assert getattr(padam, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'PAdam'"):
        padam.PAdam  # noqa: B018


@pytest.mark.parametrize(("path", "owner"), list(_modules()), ids=lambda x: str(x)[-24:])
def test_everything_public_is_documented(path, owner):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path.name} does not say what it is for"
    if path.name in ("rules.py", "loop.py", "foreach.py"):  # the rules are three lines each, explained by their module
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            inner = node.name in ("advance",) or node.name == "step"
            assert inner or ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"
