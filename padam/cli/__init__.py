"""The command line, `python -m padam`: what can be trained, training it, filling the paper's tables, what is there."""

import sys
import time
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from padam import recipes, records, reproduce
from padam.cli.exits import asked, ends_told, fail, say
from padam.cli.options import Budget, Capture, Data, Device, Id, Out, Plan, Precision, Profile, Seeds, Set, Threads
from padam.training import workers
from padam.training.progress import said

_EPILOG = (
    "Records lie under --out by data set, model, optimizer and seed; a run that was interrupted goes on when the same "
    "command is given again. Everything is downloaded by data_scripts/, nothing by this command."
)
app = typer.Typer(help="Retrain the experiments of the Padam paper.", no_args_is_help=True, add_completion=False,
                  rich_markup_mode=None, epilog=_EPILOG)  # fmt: skip
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
    id: Id, profile: Profile = None, set_: Set = (),
    seed: Annotated[int, typer.Option(min=0, help="Of weights, order and crops.")] = 0,
    out: Out = None, data: Data = None, device: Device = None, precision: Precision = "auto", threads: Threads = None,
    budget: Budget = None, plan: Plan = False, capture: Capture = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the last checkpoint, which holds the weights.")] = False,
):  # fmt: skip
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
    cell = asked(reproduce.look, recipe, seed, out)
    if plan:
        say(reproduce.told(cell), err=False)
        return
    from padam import training

    with ends_told(), warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest: say(f"Warning: {message}")
        record = training.train(recipe, seed, out, data=data, device=device, precision=precision, threads=threads,
                                budget=limit, capture=capture, keep=keep)  # fmt: skip
    diverged = record["outcome"] == "diverged"
    end = f"diverged in epoch {records.epochs_run(record)}" if diverged else f"finished: {said(records.final(record))}"
    say(f"{cell.label}: {end}\n{cell.path}", err=False)


@app.command("reproduce")
def reproduce_(
    what: Annotated[str, typer.Argument(metavar="|".join(recipes.TABLES), help="A table or figure of the paper.")],
    profile: Profile = None, seeds: Seeds = 3,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time; on a CPU each has one thread then.")] = 1,
    out: Out = None, data: Data = None, device: Device = None, precision: Precision = "auto", threads: Threads = None,
    budget: Budget = None, plan: Plan = False, capture: Capture = False,
):  # fmt: skip
    """Fill the missing records of a table, most wanted first. Stop it at will; the same command goes on.

    Ends with 0 when all records are there, 3 when the budget ends before, 130 after Ctrl-C, 1 if a run fails.

    Example: python -m padam reproduce table1 --profile small --jobs 2 --budget 25m
    """
    found, limit = asked(reproduce.cells, what, profile, seeds, out), _left_of(budget)
    todo = [cell for cell in found if cell.state in ("missing", "begun")]
    there = sum(cell.state in ("filled", "diverged") for cell in found)
    elsewhere = len(found) - there - len(todo)
    running = f", {elsewhere} running elsewhere" if elsewhere else ""
    typer.echo(
        f"{what}: {there} of {len(found)} records are there{running}, {len(todo)} to do, {jobs} at a time"
        f"{reproduce.time_left(found, jobs)}."
    )
    if plan:
        for cell in found:
            typer.echo(f"  {reproduce.told(cell)}")
        return
    given = {"--out": out, "--data": data, "--device": device, "--precision": precision}
    given["--threads"] = threads or (1 if jobs > 1 else None)
    options = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    queue = reproduce.Queue(
        todo, options + ["--capture"] * capture, jobs, limit, lambda line: typer.echo(line, err=True)
    )
    ended = queue.run()
    done = sum(status == reproduce.FINISHED for _, status in ended)
    failed = [(cell, status) for cell, status in ended if status not in reproduce.IN_ORDER]
    for cell, status in failed:
        typer.echo(f"{cell.label}: failed, with exit status {status}.", err=True)
    rest = f"{len(todo) - done} still to do; the same command goes on" if len(todo) > done else "nothing left to do"
    if todo and limit is not None and not ended:
        rest += f" (the budget has no {reproduce.START} s left, which a run takes to begin)"
    typer.echo(f"{what}: {done} more recorded, {rest}{', once the error is mended' if failed else ''}.")
    if failed or queue.interrupted or any(status == reproduce.INTERRUPTED for _, status in ended):
        raise typer.Exit(1 if failed else reproduce.INTERRUPTED)
    if len(todo) > done:
        raise typer.Exit(reproduce.STOPPED)


@app.command()
def status(profile: Profile = None, seeds: Seeds = 3, out: Out = None):
    """Every table of the paper with its cells: records there, diverged, running, begun, missing.

    Example: python -m padam status --profile small
    """
    profile = profile or recipes.default_profile()
    for what in ("table1", "table2", "table3", "figure1"):
        rows = {}
        for cell in asked(reproduce.cells, what, profile, seeds, out):
            row, _, column = cell.recipe.id.rpartition("/")
            rows.setdefault(row, {}).setdefault(column, []).append(cell)
        columns = list(next(iter(rows.values())))
        heading = f"{what}, {profile}, {seeds} seed{'s' * (seeds > 1)}"
        table = Table("", *columns, title_justify="left", box=None, title=heading)
        for row, by_column in rows.items():
            table.add_row(row, *(reproduce.summary(by_column[column]) for column in columns))
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

    with ends_told():
        text = page.page(out)
        if to is None:
            typer.echo(text, nl=False)
        else:
            to.write_text(text)
            typer.echo(f"{to}: the results page.")


@bench.command("train")
def bench_train(
    id: Annotated[str, typer.Argument(metavar="ID", help="A recipe of pictures.")] = "cifar10/vgg16/padam",
    profile: Profile = None, rounds: Annotated[int, typer.Option(min=1, help="Epochs of each that are timed.")] = 5,
    examples: Annotated[int | None, typer.Option(min=1, help="Only so many pictures; default all.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Of the plain loop; default one a core.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the record; default padam/records/bench.")] = None,
    data: Data = None, device: Device = None, precision: Precision = "auto", threads: Threads = None,
    capture: Capture = False,
):  # fmt: skip
    """Seconds per epoch of our loop against a plain DataLoader with torchvision's transforms, in turn.

    Example: python -m padam bench train cifar10/vgg16/padam --profile small --threads 1
    """
    from padam import bench as benchmarks

    with ends_told():
        record = benchmarks.train(
            _recipe(id, profile), data=data, device=device, precision=precision, threads=threads, rounds=rounds,
            examples=examples, workers=workers, capture=capture, say=lambda line: typer.echo(line, err=True),
        )  # fmt: skip
        path = benchmarks.keep(record, out)
    ratio = record["ratio"]
    typer.echo(
        f"{record['device']}, {record['precision']}, {record['examples']:,} pictures: {record['compared_with']} takes "
        f"{ratio['median']:.2f} times as long as ours ({ratio['lowest']:.2f} to {ratio['highest']:.2f})\n{path}"
    )


@bench.command("step")
def bench_step(
    network: Annotated[list[str] | None, typer.Option(
        help="small, resnet18-w8, resnet18, lstm2 or billion (70 GB, CUDA); may be repeated; default all that fit."
    )] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each form is timed.")] = 15,
    out: Annotated[Path | None, typer.Option(help="Folder of the record; default padam/records/bench.")] = None,
    device: Device = None, threads: Threads = None,
):  # fmt: skip
    """Seconds per step of Padam in each of its forms, torch's Amsgrad and a copy of as many bytes, in turn.

    Example: python -m padam bench step --network resnet18 --threads 2
    """
    from padam import bench as benchmarks

    with ends_told():
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
    name: Annotated[str, typer.Argument(
        metavar="NAME",
        help="tolerance, rates, moments, miniature, treebank, text-rates, text-dial, text-decay, dial; --plan says "
        "what each measures.",
    )],
    out: Annotated[Path | None, typer.Option(help="Folder of the record; default padam/records/studies.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at a time, each with one thread.")] = 1,
    data: Data = None, budget: Budget = None, plan: Plan = False,
):  # fmt: skip
    """A measurement behind a chapter's picture: many short runs, or a look inside long ones. Stop it at will.

    Ends with 0 when the record is there, 3 when the budget was spent before, 4 when another process is at it, 130 after
    Ctrl-C, 1 on an error. The same command goes on; what is measured is not measured again.

    Example: python -m padam study rates --jobs 2
    """
    from padam import studies

    if name not in studies.STUDIES:
        fail(f"no study is called {name!r}; there are {', '.join(studies.STUDIES)}.")
    what, limit = studies.STUDIES[name], _left_of(budget)
    with ends_told():
        measured, total = studies.progress(what, out)
        typer.echo(f"{name}: {what.question}\n{measured} of {total} runs are measured; all take about "
                   f"{what.minutes:g} minutes of one core.", err=not plan)  # fmt: skip
        if plan:
            return
        studies.conduct(what, out, data=data, jobs=jobs, budget=limit, say=lambda line: typer.echo(line, err=True))
    typer.echo(f"{name}: recorded in {studies.path(name, out)}")


def _recipe(id, profile, changes=()):
    named = dict(asked(recipes.change, id, text) for text in changes)
    if len(named) < len(changes):
        fail("--set names a setting twice.")
    return asked(recipes.get, id, profile, named)


def main(begun=None):
    """What `python -m padam` calls; `begun` is when the process began, by time.monotonic()."""
    _clock["begun"] = begun or time.monotonic()
    app(prog_name="python -m padam")
