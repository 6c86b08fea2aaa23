"""`python -m padam`: see `padam.cli`."""

import os
import signal
import time

_BEGUN = time.monotonic()  # loading torch takes seconds, and a budget counts them
# Threads that wait shall sleep: on a busy machine spinning ones hold the others up, and an epoch takes ten times as
# long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # while it loads, Ctrl-C ends it without a traceback

from padam.cli import main  # noqa: E402

main(_BEGUN)
