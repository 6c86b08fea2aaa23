"""How the commands of `padam.cli` end: with a message on stderr and an exit status that says which end it was."""

import contextlib
import os
import sys

import typer

from padam import running
from padam.training import workers


@contextlib.contextmanager
def exit_on_error():
    """An error in here ends the command: with its message, and the exit status that says which kind of end it was."""
    from padam import training

    try:
        yield
    except training.Stopped as stop:
        say(str(stop), stop)
        raise typer.Exit(running.INTERRUPTED if stop.interrupted else running.STOPPED) from stop
    except training.Busy as error:
        say(f"Error: {error}", error)
        raise typer.Exit(running.BUSY) from error
    except (ValueError, OSError, ModuleNotFoundError, training.Lost) as error:
        fail(error)


def checked(call, *given):
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
    """Write a line to stderr, or to stdout; of several processes (torchrun) only the one that is to.

    Where nobody reads any more, or there is no room, nothing is written from then on, and the work goes on.
    """
    if workers.speaks(error):
        try:
            typer.echo(message, err=err)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())  # also for the flush at the end
            os.close(nowhere)
