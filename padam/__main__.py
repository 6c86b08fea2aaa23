"""`python -m padam`: see `padam.cli`."""

import time

_BEGUN = time.monotonic()  # loading torch takes seconds, and a budget counts them

from padam.cli import main  # noqa: E402

main(_BEGUN)
