"""A progress bar where somebody may be watching: a terminal or a notebook, not a log file or a test."""

import contextlib
import os
import sys


def _watched():
    if os.environ.get("PADAM_PROGRESS") == "0":
        return False
    return sys.stderr.isatty() or "ipykernel" in sys.modules


@contextlib.contextmanager
def bar(total, label=""):
    """Yield a function that counts one step and shows a text; the bar goes to stderr. PADAM_PROGRESS=0 hides it."""
    from tqdm import tqdm

    with tqdm(total=total, desc=label or None, unit="epoch", disable=not _watched(), leave=False) as shown:

        def advance(text):
            shown.set_postfix_str(text)
            shown.update()

        yield advance
