"""Put the Penn Treebank in place: downloaded, or taken from files at hand, every file checked by its checksum."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fetching

EXAMPLES = """examples:
  python data_scripts/ptb.py                          6 MB, into ./data/ptb
  python data_scripts/ptb.py --root /scratch/data     elsewhere; then PADAM_DATA=/scratch/data
  python data_scripts/ptb.py --from ~/texts           from a folder that holds ptb.train.txt and the other two

Run it again after an interruption: it fetches only what is not there yet and verified.
"""
LICENCE = """The text is from the Penn Treebank of the Linguistic Data Consortium (LDC), as prepared by Mikolov et al.
(2010) and passed on for research: use it for that alone, and do not pass it on. Cite Marcus, Santorini and
Marcinkiewicz (1993), Building a Large Annotated Corpus of English, https://aclanthology.org/J93-2004/.
"""


def _files():
    from padam.data import ptb

    return ptb.files()


def main(argv=None):
    """Fetch what the command line asks for; a fault ends with its message and exit code 1."""
    fetching.run(
        argv,
        about=__doc__,
        epilog=EXAMPLES,
        licence=LICENCE,
        archives={"ptb": _files},
        given="a folder that holds the three files, or one with a folder ptb that does",
    )


if __name__ == "__main__":
    fetching.tidy_when_ended()
    main()
