"""`python -m padam`: see `padam.cli`."""

import os
import signal
import sys
import time

_BEGUN = time.monotonic()  # loading torch takes seconds, and a budget counts them
# A stream that was closed (>&-): its number would go to the next file that is opened, and what is said into that file.
for _number, _name, _mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
    if getattr(sys, _name) is None:
        os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
        setattr(sys, _name, os.fdopen(_number, _mode))
# Threads that wait shall sleep: on a busy machine spinning ones hold the others up, and an epoch takes ten times as
# long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # while it loads, Ctrl-C ends it without a traceback

from padam.cli import main  # noqa: E402

main(_BEGUN)
