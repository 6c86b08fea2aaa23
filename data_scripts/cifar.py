"""Put CIFAR-10 and CIFAR-100 in place: downloaded, or taken from files at hand, every file checked by its checksum."""

import argparse
import os
import signal
import sys
from pathlib import Path

NAMES = ("cifar10", "cifar100")
EXAMPLES = """examples:
  python data_scripts/cifar.py                                    both, 340 MB to download, 720 MB on disk
  python data_scripts/cifar.py cifar10 --root /scratch/data       one, elsewhere; then PADAM_DATA=/scratch/data
  python data_scripts/cifar.py --from ~/cifar-10-python.tar.gz    from an archive at hand, without network
  python data_scripts/cifar.py --from /datasets                   from a folder with archives or unpacked folders

Run it again after an interruption: it fetches only what is not there yet and verified.
"""
LICENCE = """CIFAR-10 and CIFAR-100 state no licence: ask before you pass them on. Cite Krizhevsky (2009), Learning
Multiple Layers of Features from Tiny Images, https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf.
"""


def _arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"{EXAMPLES}\n{LICENCE}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="cifar10 | cifar100", help="default: both, or what --from holds")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("PADAM_DATA") or "data"),
        help="folder of the data sets (default: the environment's PADAM_DATA, else data)",
    )
    parser.add_argument(
        "--from", dest="given", metavar="PATH", type=Path, help="official archive or unpacked folder, or where one lies"
    )
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.names) - set(NAMES):  # argparse's `choices` refuses an empty list before Python 3.12
        parser.error(f"there is no {', '.join(sorted(unknown))} here; choose from {', '.join(NAMES)}")
    return arguments


def main(argv=None):
    """Fetch what the command line asks for and say where it lies; a fault ends with its message and exit code 1."""
    arguments = _arguments(argv)
    try:
        from padam.data import cifar, fetch  # after --help, which should not wait for torch
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. Install the package first: pip install . (in the repository's folder).")
    archives = [cifar.archive(name) for name in dict.fromkeys(arguments.names) or NAMES]
    try:
        if arguments.given and not arguments.names:
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
    sys.stdout.write(f"Unless the root is ./data, name it to the package: PADAM_DATA={arguments.root.absolute()}\n")
    sys.stdout.write(LICENCE)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being ended tidies up as Ctrl-C does
    main()
