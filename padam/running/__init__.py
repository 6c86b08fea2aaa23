"""Many runs: which of a table's are missing, and a runner that makes them, several at a time.

A run is idempotent, known by the record that it leaves, and locked while a process is at it: so it does no harm to ask
for one twice, on one machine or on several that share a folder.
"""

from padam.running.cells import (
    Cell,
    cells,
    command,
    flops_left,
    in_words,
    look,
    only,
    seconds_left,
    speed,
    summary,
    time_left,
)
from padam.running.local import (
    ALIKE,
    BUSY,
    BY_BUDGET,
    BY_FAILURES,
    BY_RUN,
    BY_SIGNAL,
    FINISHED,
    INTERRUPTED,
    START,
    STOPPED,
    Job,
    Local,
    Outcome,
    exit_status,
    follow,
)

__all__ = [
    "ALIKE",
    "BUSY",
    "BY_BUDGET",
    "BY_FAILURES",
    "BY_RUN",
    "BY_SIGNAL",
    "FINISHED",
    "INTERRUPTED",
    "START",
    "STOPPED",
    "Cell",
    "Job",
    "Local",
    "Outcome",
    "cells",
    "command",
    "exit_status",
    "flops_left",
    "follow",
    "in_words",
    "look",
    "only",
    "seconds_left",
    "speed",
    "summary",
    "time_left",
]
