"""What `reproduce` and `study` say at their ends, of the runs that a `padam.running.Local` has made."""

import signal

import typer

from padam import running
from padam.cli.exits import say

_WHY = {
    running.BY_BUDGET: f"the budget has no {running.START} s left, which a run takes to begin",
    running.BY_FAILURES: f"{running.ALIKE} runs in a row failed alike, so the others were not begun",
}


def end(what, runner, done, left, elsewhere=0):
    """Say which runs failed, how many are done and left, and end the command with the status that says so.

    Args:
        what: the table or study.
        runner: `padam.running.Local` that has run.
        done: how many runs were recorded.
        left: how many are not recorded.
        elsewhere: how many other processes have made, or are at.
    """
    failures = [outcome for outcome in runner.outcomes if outcome.failed]
    for outcome in failures:
        say(f"{outcome.job.label}: {_how_it_failed(outcome)}")
    rest = f"{left} still to do; the same command goes on" if left else "nothing left to do"
    rest += ", once the error is mended" if failures else ""
    if why := left and _WHY.get(runner.ending):
        rest += f" ({why})"
    others = f", {elsewhere} made or running elsewhere" if elsewhere else ""
    say(f"{what}: {done} more recorded{others}, {rest}.", err=False)
    raise typer.Exit(running.exit_status(runner))


def _how_it_failed(outcome):
    """ "failed, with exit status 1: no data are there"."""
    if outcome.status < 0:
        name = signal.Signals(-outcome.status).name
        memory = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"was killed ({name}{memory})"
    why = f": {outcome.error.removeprefix('Error: ')}" if outcome.error else ""
    return f"failed, with exit status {outcome.status}{why}"
