"""How far a run is: a bar where somebody may be watching, a line an epoch in a log, nothing in a test."""

import contextlib
import os
import sys


def watched():
    """Whether a bar would be seen: stderr is a terminal or a notebook, and PADAM_PROGRESS is not 0."""
    if os.environ.get("PADAM_PROGRESS") == "0":
        return False
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def in_words(row):
    """An epoch's row of the history in a few words."""
    loss, perplexity = row["train_loss"], row.get("test_perplexity")
    score = f"test error {row['test_error']:.1%}" if perplexity is None else f"test perplexity {perplexity:.1f}"
    return f"train loss {loss:.3f}, {score}"


@contextlib.contextmanager
def bar(trainer, epochs, label="", lines=False):
    """Show a trainer's steps, their rate and the time left, on stderr; yield a function that takes an epoch's row.

    Args:
        trainer: `padam.training.engine.Trainer`, which may have trained some epochs already.
        epochs: how many there will be in all.
        label: shown beside it.
        lines: where no bar would be seen, print a line an epoch instead (unless PADAM_PROGRESS is 0).
    """
    from tqdm import tqdm

    seen, steps = watched(), trainer.task.steps
    lines = lines and not seen and os.environ.get("PADAM_PROGRESS") != "0"
    begun = {"total": steps * epochs, "initial": steps * trainer.epoch, "desc": label or None, "unit": "step"}
    with tqdm(**begun, disable=not seen, leave=False) as shown:

        def advance(row):
            shown.set_postfix_str(f"epoch {row['epoch']} of {epochs}: {in_words(row)}")
            if lines:
                left = row["seconds"] * (epochs - row["epoch"])
                where = f"{label + ': ' if label else ''}epoch {row['epoch']} of {epochs}"
                tqdm.write(
                    f"{where}, {in_words(row)}, {row['seconds']:.1f} s, about {duration(left)} left", file=sys.stderr
                )

        trainer.tick = shown.update
        yield advance


def duration(seconds):
    """75 -> "1 min 15 s"; whole minutes from ten on, hours and minutes from one hour on."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
