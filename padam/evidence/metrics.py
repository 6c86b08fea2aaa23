"""What the sentences about runs are read from: numbers of one run, None where the run does not have them.

Errors are in percent, gains in percentage points. Of a text, losses are in hundredths of a nat: as a perplexity is the
exponential of a loss, a difference of one of these is nearly one per cent of the perplexity.
"""

import math

from padam.evidence import statistics

EARLY = 0.5  # "early" is this share of the epochs before the first decay: chosen here
AROUND = 0.05  # a decay's gain is a mean over this share of all epochs before it, minus one after it: chosen here


def _mean(run, key, first, last):
    values = run.history.get(key, [])[first:last] if run.history else []
    known = [100 * v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _begun(run, key, share):
    """The mean over a share of the epochs before the first decay."""
    return _mean(run, key, 0, round(share * run.milestones[0])) if run.milestones and not run.false_start else None


def _decay(run, number):
    return run.milestones[number] if len(run.milestones) > number else None


def last(run):
    """Test error after the last epoch; a source that states the best epoch alone is read there."""
    return run.best if run.last is None else run.last


def best(run):
    """Test error at the best epoch, which is chosen on the test set."""
    return run.best


def last_top5(run):
    """Test error at five guesses after the last epoch, of ImageNet."""
    return run.last_top5


def best_top5(run):
    """Test error at five guesses at the best epoch for them, which is chosen on the test set."""
    return run.best_top5


def early_train(run):
    """Training error, mean over the first half of the epochs before the first decay."""
    return _begun(run, "train_error", EARLY)


def early_test(run):
    """Test error, mean over the first half of the epochs before the first decay."""
    return _begun(run, "test_error", EARLY)


def converging(run):
    """Training error, mean over all epochs before the first decay: the area under its curve."""
    return _begun(run, "train_error", 1)


def between(run):
    """Test error, mean over the epochs between the first decay and the second, or the end where there is no second."""
    return _mean(run, "test_error", run.milestones[0], _decay(run, 1)) if run.milestones else None


def gain(run, number):
    """Points of test error that a decay brings, the mean before it minus the mean after it."""
    at = _decay(run, number)
    if at is None or not run.history:
        return None
    window = max(1, round(AROUND * len(run.history["epoch"])))
    before, after = (_mean(run, "test_error", *part) for part in ((at - window, at), (at, at + window)))
    return None if before is None or after is None else before - after


def first_gain(run):
    """What the first decay brings, as a loss: the less, the better."""
    return None if (value := gain(run, 0)) is None else -value


def second_gain(run):
    """What the second decay brings, as a loss: the less, the better."""
    return None if (value := gain(run, 1)) is None else -value


def second_points(run):
    """The points of test error that the second decay brings."""
    return gain(run, 1)


def end_loss(run):
    """Test loss of a text after the last epoch: a hundred times the logarithm of its perplexity."""
    return None if run.last is None else 100 * math.log(run.last)


def best_loss(run):
    """Test loss of a text at the best epoch, which is chosen on the test set."""
    return None if run.best is None else 100 * math.log(run.best)


def early_loss(run):
    """Test loss of a text, mean over the first half of the epochs before the first decay."""
    return _begun(run, "test_loss", EARLY)


def wobble(run):
    """Standard deviation of the test error, of a text its loss, over the last twentieth of the epochs."""
    values = run.history.get("test_loss" if run.text else "test_error", [])
    return statistics.spread([100 * v for v in values[-max(2, round(AROUND * len(values))) :]]) or 0.0


# What to read where runs are judged at their best epochs.
BEST = {last: best, last_top5: best_top5, end_loss: best_loss}
