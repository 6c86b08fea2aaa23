"""What the commands of `padam.cli` accept: options that several of them share, and what makes a value of their text."""

import enum
import re
from pathlib import Path
from typing import Annotated

import typer

from padam import recipes


def seconds(text):
    """ "90s", "25m", "1h30m", "1.5h" or plain seconds -> seconds. Raises typer.BadParameter for anything else."""
    if text is None:
        return None
    number = r"(\d+(?:\.\d+)?)"
    found = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s)?", text) or re.fullmatch(rf"()(){number}", text)
    total = (
        sum(float(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    )
    if total <= 0:
        raise typer.BadParameter(f"{text!r} is no time; write 90s, 25m, 1h30m or 600 (seconds).")
    return total


def _choice(name, values):
    """An enumeration of texts, which the help lists and of which one is accepted."""
    return enum.Enum(name, {value: value for value in values}, type=str)


def _text(choice):
    return None if choice is None else choice.value


def device(text):
    """A device that is there, as torch names it. Raises typer.BadParameter for anything else."""
    if text is None or text == "cpu":
        return text
    if not re.fullmatch(r"cuda(:\d+)?", text):
        raise typer.BadParameter(f"{text!r} is no device; write cpu, cuda or cuda:1.")
    import torch

    if int(text[5:] or 0) >= torch.cuda.device_count():
        raise typer.BadParameter(f"there is no {text} here; torch finds {torch.cuda.device_count()} CUDA devices.")
    return text


Id = Annotated[str, typer.Argument(metavar="ID", help="dataset/model/optimizer[-variant], as `list` shows them.")]
Profile = Annotated[
    _choice("Profile", recipes.PROFILES) | None,
    typer.Option(callback=_text, help="How large; default $PADAM_PROFILE, else quick."),
]
Set = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another value of a setting, as in lr=0.03 or p=1/16: the optimizer's, batch_size, epochs. Repeatable.",
    ),
]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds of each, from 0.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the records; default padam/records/runs in a checkout, else ./padam-runs."),
]
Data = Annotated[Path | None, typer.Option(help="Folder of the data sets; default $PADAM_DATA, else data.")]
Device = Annotated[
    str | None, typer.Option(callback=device, help="cpu, cuda or cuda:N; default CUDA where there is one.")
]
Precision = Annotated[
    _choice("Precision", ("auto", "fp32", "bf16", "fp16")),
    typer.Option(callback=_text, help="auto is bf16 on CUDA from 8.0 on, fp16 below; fp32 for texts and on a CPU."),
]
What = Annotated[
    _choice("What", recipes.TABLES),
    typer.Argument(callback=_text, help="A table or figure of the paper."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of the CPU; default all of them.")]
Budget = Annotated[
    str | None,
    typer.Option(
        callback=seconds,
        metavar="TIME",
        help="Stop at the end of an epoch before so much time is spent: 90s, 25m, 1h30m.",
    ),
]
Plan = Annotated[bool, typer.Option("--plan", help="Only say what would be done.")]
Commands = Annotated[bool, typer.Option("--commands", help="Only print a shell line for each missing run.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the last checkpoint, which holds the weights.")]
Only = Annotated[
    list[str],
    typer.Option(
        "--only",
        metavar="NAME",
        help="Only these networks, optimizers or seeds: vgg16, padam, seed0. Repeatable; one of each kind will do.",
    ),
]
