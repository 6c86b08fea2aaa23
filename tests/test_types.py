"""Type checkers on a user's script: a right one passes in their strict modes, wrong options are flagged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RIGHT = """
import torch

from padam import AdaBound, AMSGrad, Padam, PartialAdadelta, PartialAdagrad, PartialAdamax, PartialRMSprop, Yogi
from padam.optim import build

model = torch.nn.Linear(2, 2)
optimizer = Padam(model.parameters(), lr=0.1, p=1 / 8, betas=[0.9, 0.999], decay="decoupled", correction="exact")
groups = Padam([{"params": model.parameters(), "lr": 0.1}], lr=torch.tensor(0.1), fused=None, foreach=True)
others = [AMSGrad(model.parameters()), Yogi(model.parameters(), initial_accumulator=1e-6)]
bounded = AdaBound(model.parameters(), final_lr=0.1)
partial = [cls(model.parameters(), p=1 / 4) for cls in (PartialAdagrad, PartialRMSprop, PartialAdadelta, PartialAdamax)]
built: torch.optim.Optimizer = build("sgdm", model.named_parameters(), lr=0.1)


def closure() -> float:
    optimizer.zero_grad()
    value = model(torch.ones(2)).sum()
    value.backward()
    return float(value)


loss: float = optimizer.step(closure)
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
optimizer.add_param_group({"params": [torch.ones(2, requires_grad=True)]})
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
"""
WRONG = """
import torch

from padam import Padam

model = torch.nn.Linear(2, 2)
Padam(model.parameters(), partial=0.1)
Padam(model.parameters(), decay="l1")
Padam(model.parameters(), p="1/8")
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(WRONG)
    # As mypy treats a package that is installed: its types count, its own errors are its own.
    (folder / "mypy.ini").write_text("[mypy]\nstrict = True\n[mypy-padam.*]\nignore_errors = True\n")
    (folder / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{ROOT}"], "typeCheckingMode": "standard"}}')
    return folder


def flagged(said):
    """(errors in right.py, lines of wrong.py that have errors)."""
    errors = [line.strip() for line in said.splitlines() if "error" in line and ".py:" in line]
    lines = sorted({int(line.split(".py:")[1].split(":")[0]) for line in errors if "wrong.py" in line})
    return [line for line in errors if "right.py" in line], lines


def test_mypy(scripts):
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "right.py", "wrong.py"],
        capture_output=True,
        text=True,
        cwd=scripts,
        env=os.environ | {"MYPYPATH": str(ROOT)},
    )
    assert flagged(run.stdout) == ([], [7, 8, 9]), run.stdout + run.stderr


@pytest.mark.skipif(shutil.which("pyright") is None, reason="pyright is not installed (npm install -g pyright)")
def test_pyright(scripts):
    run = subprocess.run(
        ["pyright", "--pythonpath", sys.executable, "right.py", "wrong.py"], capture_output=True, text=True, cwd=scripts
    )
    assert flagged(run.stdout) == ([], [7, 8, 9]), run.stdout + run.stderr


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "padam" / "py.typed").exists()
