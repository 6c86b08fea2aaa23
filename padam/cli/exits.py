"""How the commands of `padam.cli` end: with a message on stderr and an exit status that says which end it was."""

import contextlib

import typer

from padam import reproduce
from padam.training import workers


@contextlib.contextmanager
def ends_told():
    """How long work ends in here, as an exit status: stopped, busy, or an error with its message."""
    from padam import training

    try:
        yield
    except training.Stopped as stop:
        say(str(stop), stop)
        raise typer.Exit(reproduce.INTERRUPTED if stop.interrupted else reproduce.STOPPED) from stop
    except training.Busy as error:
        say(f"Error: {error}", error)
        raise typer.Exit(reproduce.BUSY) from error
    except (ValueError, OSError, ModuleNotFoundError, training.Lost) as error:
        fail(error)


def asked(call, *given):
    """What a call returns; a ValueError ends the command with its message."""
    try:
        return call(*given)
    except ValueError as error:
        fail(error)


def fail(error):
    """End the command with 1 and an error's message."""
    say(f"Error: {error}", error)
    raise typer.Exit(1)


def say(message, error=None, err=True):
    """Write a line to stderr, or to stdout; of several processes (torchrun) only the one that is to."""
    if workers.speaks(error):
        typer.echo(message, err=err)
