"""Put CIFAR-10 and CIFAR-100 in place: downloaded, or taken from files at hand, every file checked by its checksum."""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fetching

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


def _archive(name):
    from padam.data import cifar

    return cifar.archive(name)


def main(argv=None):
    """Fetch what the command line asks for; a fault ends with its message and exit code 1."""
    fetching.run(
        argv,
        about=__doc__,
        epilog=EXAMPLES,
        licence=LICENCE,
        archives={name: partial(_archive, name) for name in ("cifar10", "cifar100")},
        given="official archive or unpacked folder, or where one lies",
    )


if __name__ == "__main__":
    fetching.tidy_when_ended()
    main()
