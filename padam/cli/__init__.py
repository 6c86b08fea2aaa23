"""The command line, `python -m padam`: what can be trained, training it, filling the paper's tables, what is there."""

import functools
import json
import shlex
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from padam import recipes, records, running
from padam.cli import filling
from padam.cli.exits import checked, exit_on_error, fail, say
from padam.cli.options import (
    Budget,
    Commands,
    Data,
    Device,
    Id,
    Keep,
    Only,
    Out,
    Plan,
    Precision,
    Profile,
    Seeds,
    Set,
    Threads,
    What,
)
from padam.training import workers
from padam.training.progress import duration, in_words

_EPILOG = (
    "Records lie under --out by data set, model, optimizer and seed; a run that was interrupted goes on when the same "
    "command is given again. Everything is downloaded by data_scripts/, nothing by this command."
)
app = typer.Typer(
    help="Retrain the experiments of the Padam paper.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    epilog=_EPILOG,
)
bench = typer.Typer(help="Time things fairly: both sides in turn, in one run.", no_args_is_help=True)
app.add_typer(bench, name="bench")
_out = Console(width=None if sys.stdout.isatty() else 120, highlight=False)

_clock = {"begun": time.monotonic()}


def _left_of(budget):
    """The seconds that are left of a budget, which began with the process; None without one."""
    return None if budget is None else max(budget - (time.monotonic() - _clock["begun"]), 0.0)


@app.callback()
def _alone_or_training(context: typer.Context):
    if workers.count() > 1 and context.invoked_subcommand != "train":
        fail("torchrun is for `train`; start the other commands without it.")


@app.command("list")
def list_(match: Annotated[str, typer.Argument(help="Show those whose id contains this.")] = ""):
    """The recipes' ids, one a line.

    Example: python -m padam list cifar10/vgg16
    """
    found = [id for id in recipes.ids() if match in id]
    if not found:
        fail(f"no recipe's id contains {match!r}; `python -m padam list` shows all {len(recipes.ids())}.")
    for id in found:
        typer.echo(id)


@app.command()
def show(id: Id, profile: Profile = None, set_: Set = ()):
    """A recipe: every value, and where it comes from.

    Example: python -m padam show cifar10/vgg16/padam --profile full
    """
    recipe = _recipe(id, profile, set_)
    table = Table("setting", "value", "source", title=f"{recipe.id}, {recipe.profile}", title_justify="left", box=None)
    values = recipe.values()
    settings = {f"hyper.{key}": value for key, value in values["hyper"].items()}
    for key in recipe.sources:
        value = settings.get(key, values.get(key))
        shown = (
            "all"
            if key == "train_size" and value is None
            else f"{value:.6g}"
            if isinstance(value, float)
            else str(value)
        )
        table.add_row(key, shown, recipe.sources.get(key, ""))
    _out.print(table)


@app.command()
def train(
    id: Id,
    profile: Profile = None,
    set_: Set = (),
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and crops.")] = 0,
    out: Out = None,
    data: Data = None,
    device: Device = None,
    precision: Precision = "auto",
    threads: Threads = None,
    budget: Budget = None,
    plan: Plan = False,
    keep: Keep = False,
):
    """Train one recipe to its record. Ctrl-C finishes the epoch first; the same command goes on.

    Ends with 0 when the record is there, 3 when the budget was spent before, 4 when another process is at it, 130 after
    Ctrl-C, 1 on an error.

    \b
    Examples:
      python -m padam train cifar10/vgg16/padam
      python -m padam train cifar10/vgg16/padam --profile small --budget 25m
      python -m padam train cifar10/vgg16/padam --set lr=0.03 --set p=1/16
      torchrun --nproc-per-node 4 -m padam train imagenet/resnet18/padam --profile full

    Under torchrun a process for each card takes its share of every batch, of pictures only. torchrun ends with 1 where
    it says another status above; after Ctrl-C it gives the epoch 30 s to finish, or --shutdown-timeout's seconds.
    """
    recipe, limit = _recipe(id, profile, set_), _left_of(budget)
    cell = checked(running.look, recipe, seed, out)
    if plan:
        say(running.in_words(cell, out, data), err=False)
        return
    from padam import training

    with exit_on_error(), warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest: say(f"Warning: {message}")
        record = training.train(
            recipe,
            seed,
            out,
            data=data,
            device=device,
            precision=precision,
            threads=threads,
            budget=limit,
            keep=keep,
        )
    diverged = record["outcome"] == "diverged"
    end = (
        f"diverged in epoch {records.epochs_run(record)}"
        if diverged
        else f"finished: {in_words(records.final(record))}"
    )
    say(f"{cell.label}: {end}\n{cell.path}", err=False)


@app.command("reproduce")
def reproduce_(
    what: What,
    profile: Profile = None,
    seeds: Seeds = 3,
    only: Only = (),
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time; on a CPU each has one thread then.")] = 1,
    out: Out = None,
    data: Data = None,
    device: Device = None,
    precision: Precision = "auto",
    threads: Threads = None,
    budget: Budget = None,
    plan: Plan = False,
    keep: Keep = False,
    commands: Commands = False,
):
    """Fill the missing records of a table, most wanted first. Stop it at will; the same command goes on.

    With several cards each process has one of its own. A run that fails does not stop the others; all failures are
    told at the end. Ends with 0 when all records are there, 3 when the budget ends before, 130 after Ctrl-C, 1 if a run
    fails.

    \b
    Examples:
      python -m padam reproduce table1 --profile small --jobs 2 --budget 25m
      python -m padam reproduce table1 --only vgg16 --only padam --only sgdm
      python -m padam reproduce table1 --profile full --commands > lines.sh
    """
    limit = _left_of(budget)
    found = checked(running.only, checked(running.cells, what, profile, seeds, out), only)
    todo = [cell for cell in found if cell.state in ("missing", "begun")]
    given = {"--out": out, "--data": data, "--device": device}
    given["--precision"] = None if precision == "auto" else precision
    given["--threads"] = threads or (1 if jobs > 1 else None)
    options = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    options += ["--keep"] * keep
    if commands:
        for cell in todo:
            say(shlex.join(("python", *running.command(cell, options))), err=False)
        return
    there = sum(cell.state in ("filled", "diverged") for cell in found)
    elsewhere = len(found) - there - len(todo)
    others = f", {elsewhere} running elsewhere" if elsewhere else ""
    say(
        f"{what}: {there} of {len(found)} records are there{others}, {len(todo)} to do, {jobs} at a time"
        f"{running.flops_left(found, data) if plan else ''}{running.time_left(found, jobs, out)}.",
        err=False,
    )
    if plan:
        for cell in found:
            say(f"  {running.in_words(cell, out, data)}", err=False)
        return
    runner = running.Local(
        [_job(cell, options, out) for cell in todo], jobs, limit, _cards(device) if jobs > 1 else 0, say
    )
    runner.run()
    done = sum(outcome.begun and outcome.status == running.FINISHED for outcome in runner.outcomes)
    elsewhere = sum(not outcome.begun or outcome.status == running.BUSY for outcome in runner.outcomes)
    filling.end(what, runner, done, len(todo) - done - elsewhere, elsewhere)


def _job(cell, options, out):
    standing = functools.partial(_standing, cell.recipe, cell.seed, out)
    return running.Job(cell.label, running.command(cell, options), standing)


def _standing(recipe, seed, out):
    state = running.look(recipe, seed, out).state
    return {"filled": running.FINISHED, "diverged": running.FINISHED, "running": running.BUSY}.get(state)


def _cards(device):
    """How many cards a run on any of them could have; 0 where it is on the CPU, or on the one that was asked for."""
    if device not in (None, "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()


@app.command()
def status(profile: Profile = None, seeds: Seeds = 3, out: Out = None):
    """Every table of the paper with its cells: records there, diverged, running, begun, missing.

    Example: python -m padam status --profile small
    """
    profile = profile or recipes.default_profile()
    for what in ("table1", "table2", "table3", "figure1"):
        rows = {}
        for cell in checked(running.cells, what, profile, seeds, out):
            row, _, column = cell.recipe.id.rpartition("/")
            rows.setdefault(row, {}).setdefault(column, []).append(cell)
        columns = list(next(iter(rows.values())))
        heading = f"{what}, {profile}, {seeds} seed{'s' * (seeds > 1)}"
        table = Table("", *columns, title_justify="left", box=None, title=heading)
        for row, by_column in rows.items():
            table.add_row(row, *(running.summary(by_column[column]) for column in columns))
        _out.print(table, "")
    _out.print("k/n: so many seeds recorded; †: diverged; epoch a/b: begun; *: running now; -: nothing yet.")


@app.command()
def results(
    out: Out = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page there; default: print it.")] = None,
):
    """The tables of the paper beside others' runs and yours, and its sentences judged, as a page in Markdown.

    Example: python -m padam results --out ./padam-runs --to results.md
    """
    from padam.evidence import results as page

    with exit_on_error():
        text = page.page(out)
        if to is None:
            typer.echo(text, nl=False)
        else:
            to.write_text(text)
            typer.echo(f"{to}: the results page.")


@bench.command("train")
def bench_train(
    id: Annotated[str, typer.Argument(metavar="ID", help="A recipe of pictures.")] = "cifar10/vgg16/padam",
    profile: Profile = None,
    rounds: Annotated[int, typer.Option(min=1, help="Epochs of each that are timed.")] = 5,
    examples: Annotated[int | None, typer.Option(min=1, help="Only so many pictures; default all.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Of the plain loop; default one a core.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the record; default padam/records/bench.")] = None,
    data: Data = None,
    device: Device = None,
    precision: Precision = "auto",
    threads: Threads = None,
):
    """Seconds per epoch of our loop against a plain DataLoader with torchvision's transforms, in turn.

    Example: python -m padam bench train cifar10/vgg16/padam --profile small --threads 1
    """
    from padam import bench as benchmarks

    with exit_on_error():
        record = benchmarks.train(
            _recipe(id, profile),
            data=data,
            device=device,
            precision=precision,
            threads=threads,
            rounds=rounds,
            examples=examples,
            workers=workers,
            say=lambda line: typer.echo(line, err=True),
        )
        path = benchmarks.keep(record, out)
    ratio = record["ratio"]
    typer.echo(
        f"{record['device']}, {record['precision']}, {record['examples']:,} pictures: {record['compared_with']} takes "
        f"{ratio['median']:.2f} times as long as ours ({ratio['lowest']:.2f} to {ratio['highest']:.2f})\n{path}"
    )


@bench.command("step")
def bench_step(
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="small, resnet18-w8, resnet18, lstm2 or billion (70 GB, CUDA); may be repeated; default all that fit."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each form is timed.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Folder of the record; default padam/records/bench.")] = None,
    device: Device = None,
    threads: Threads = None,
):
    """Seconds per step of Padam in each of its forms, torch's Amsgrad and a copy of as many bytes, in turn.

    Example: python -m padam bench step --network resnet18 --threads 2
    """
    from padam import bench as benchmarks

    with exit_on_error():
        record = benchmarks.step(
            device=device, threads=threads, rounds=rounds, networks=network, say=lambda line: typer.echo(line, err=True)
        )
        path = benchmarks.keep(record, out)
    for name, (title, *rows) in benchmarks.tables(record).items():
        table = Table(*title, title=name, title_justify="left", box=None)
        for row in rows:
            table.add_row(*row)
        _out.print(table)
    typer.echo(f"{record['device']}, {record['threads']} threads\n{path}")


@app.command()
def study(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="tolerance, rates, moments, miniature, treebank, text-rates, text-dial, text-decay, dial, "
            "dial-vgg16, dial-eps, decay-factor; --plan says what each measures.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the record; default padam/records/studies.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, each with one thread.")] = 1,
    data: Data = None,
    budget: Budget = None,
    plan: Plan = False,
    commands: Commands = False,
    run: Annotated[
        list[str], typer.Option(metavar="SETTING", help="Only this run, in this process; --commands shows them.")
    ] = (),
):
    """A measurement behind a chapter's picture: many short runs, or a look inside long ones. Stop it at will.

    Ctrl-C finishes the epoch first. A run that fails does not stop the others; all failures are told at the end. Ends
    with 0 when the record is there, 3 when the budget ends before, 4 when another process is at the --run, 130 after
    Ctrl-C, 1 if a run fails. The same command goes on; what is measured is not measured again.

    \b
    Examples:
      python -m padam study rates --jobs 2
      python -m padam study rates --commands > lines.sh
    """
    from padam import studies

    if name not in studies.STUDIES:
        fail(f"no study is called {name!r}; there are {', '.join(studies.STUDIES)}.")
    what, limit = studies.STUDIES[name], _left_of(budget)
    with exit_on_error():
        if run:
            settings = [_setting(text) for text in run]
            studies.measure(what, settings, out, data=data, budget=limit, say=lambda line: say(f"{name}: {line}"))
            return
        before = studies.progress(what, out)
        options = [
            part for name, value in {"--out": out, "--data": data}.items() if value for part in (name, str(value))
        ]
        if commands:
            for setting in before.left:
                say(shlex.join(("python", *studies.command(what, [setting], options))), err=False)
            return
        left = (
            f"; {len(before.left)} to go, {jobs} at a time: about {duration(before.seconds * len(before.left) / jobs)}"
        )
        say(
            f"{name}: {what.question}\n{before.measured} of {before.measured + len(before.left)} runs are measured"
            f"{left if before.left else ''}.",
            err=not plan,
        )
        if plan:
            return
        runner = studies.fill(what, out, jobs=jobs, budget=limit, options=options, say=say)
        after = studies.progress(what, out)
    if not after.left:
        say(f"{name}: recorded in {studies.path(name, out)}", err=False)
        return
    filling.end(name, runner, after.measured - before.measured, len(after.left))


def _setting(text):
    try:
        setting = json.loads(text)
    except ValueError:
        setting = None
    if not isinstance(setting, dict):
        fail(f'--run takes a setting as --commands shows it, such as \'{{"lr": 0.1, "seed": 0}}\', not {text!r}.')
    return setting


def _recipe(id, profile, changes=()):
    named = dict(checked(recipes.change, id, text) for text in changes)
    if len(named) < len(changes):
        fail("--set names a setting twice.")
    return checked(recipes.get, id, profile, named)


def main(begun=None):
    """What `python -m padam` calls; `begun` is when the process began, by time.monotonic()."""
    running.follow()
    _clock["begun"] = begun or time.monotonic()
    app(prog_name="python -m padam")
