"""A study that takes no time: `python squares.py KIND study squares ...` is `python -m padam study squares ...`."""

import dataclasses
import math
import os
import signal
import sys
import time

from padam import studies


def square(setting, data, run):
    return {"square": setting["x"] ** 2, "never": math.nan, "list": [1.0, math.inf]}


def fails_at_three(setting, data, run):
    if setting["x"] == 3:
        raise ValueError("three cannot be measured")
    return square(setting, data, run)


def always_fails(setting, data, run):
    raise ValueError("nothing can be measured")


def dies_at_one(setting, data, run):
    if setting["x"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)  # as a system does that has no memory left
    return square(setting, data, run)


def waits(setting, data, run):
    time.sleep(0.5)
    return square(setting, data, run)


def then_nine(runs):
    """Nine follows when three is measured, and ten when nine is."""
    last = runs[-1]["setting"]["x"]
    return ({"x": 9},) if last == 3 else ({"x": 9}, {"x": 10}) if last == 9 else ()


def study(measure=square, count=4, **changes):
    settings = tuple({"x": x} for x in range(count))
    found = studies.Study("squares", "What are squares?", {"of": "numbers"}, settings, measure, minutes=1)
    return dataclasses.replace(found, **changes)


if __name__ == "__main__":
    from padam import cli
    from padam.studies import measuring

    kind, command = sys.argv.pop(1), studies.command
    studies.STUDIES["squares"] = study(globals()[kind], following=then_nine)
    measuring.command = lambda *given: (__file__, kind, *command(*given)[2:])
    cli.main()
