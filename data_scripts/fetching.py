"""What the scripts of this folder share: their options, fetching, and how they end."""

import argparse
import os
import signal
import sys
from pathlib import Path


def run(argv, *, about, epilog, archives, licence, given):
    """Fetch what the command line asks for and say where it lies; a fault ends with its message and exit code 1.

    Args:
        argv: the command line without the script's name; None reads the process' own.
        about, epilog: of --help.
        archives: name -> a function that returns its `padam.data.fetch.Archive` or `Files`, called after --help, which
            should not wait for torch. With a single name the script takes none.
        licence: what is said at the end.
        given: what --from takes, in words.
    """
    names = tuple(archives)
    parser = argparse.ArgumentParser(
        description=about, epilog=f"{epilog}\n{licence}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if len(names) > 1:
        parser.add_argument("names", nargs="*", metavar=" | ".join(names), help="default: both, or what --from holds")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("PADAM_DATA") or "data"),
        help="folder of the data sets (default: the environment's PADAM_DATA, else data)",
    )
    parser.add_argument("--from", dest="given", metavar="PATH", type=Path, help=given)
    arguments = parser.parse_args(argv)
    asked = tuple(dict.fromkeys(getattr(arguments, "names", ())))
    if unknown := set(asked) - set(names):  # argparse's `choices` refuses an empty list before Python 3.12
        parser.error(f"there is no {', '.join(sorted(unknown))} here; choose from {', '.join(names)}")
    _fetch([archives[name] for name in asked or names], arguments, bool(asked))
    sys.stdout.write(f"Unless the root is ./data, name it to the package: PADAM_DATA={arguments.root.absolute()}\n")
    sys.stdout.write(licence)


def _fetch(archives, arguments, chosen):
    try:
        from padam.data import fetch

        archives = [archive() for archive in archives]
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. Install the package first: pip install . (in the repository's folder).")
    try:
        if arguments.given and not chosen:
            archives = [archive for archive in archives if fetch.find(archive, arguments.given)] or archives
        for archive in archives:
            source = arguments.given or archive.url
            sys.stderr.write(f"{archive.name}: checking; what is not there yet comes from {source}\n")
            folder = fetch.fetch(archive, arguments.root, arguments.given).absolute()
            sys.stdout.write(f"{archive.name} is in {folder}, every file verified.\n")
    except (fetch.FetchError, OSError) as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Nothing half-written is left; run this again to go on.")


def tidy_when_ended():
    """Being ended (SIGTERM) tidies up as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
