"""CIFAR-10 and CIFAR-100 from the files of the official archives; `data_scripts/cifar.py` downloads those."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import torch

# Of each data set: folder, label key, mean and std as the authors' code has them, MD5s of training and test files.
_SETS = {
    "cifar10": (
        "cifar-10-batches-py",
        "labels",
        ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        },
        {"test_batch": "40351d587109b95175f43aff81a1287e"},
    ),
    "cifar100": (
        "cifar-100-python",
        "fine_labels",
        ((0.507, 0.487, 0.441), (0.267, 0.256, 0.276)),
        {"train": "16019d7e3df5f24257cddd939b257f8d"},
        {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    ),
}
# The archives that hold them: address, SHA-256, and the MD5 of the names of the classes, which nothing here reads.
_ARCHIVES = {
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        {"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"},
    ),
    "cifar100": (
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        {"meta": "7973b15100ade9c7d40fb424638fde48"},
    ),
}


def archive(name):
    """The official archive of "cifar10" or "cifar100", for `padam.data.fetch`."""
    from padam.data.fetch import Archive

    url, sha256, names = _ARCHIVES[name]
    folder, _, _, train, test = _SETS[name]
    return Archive(name, url, sha256, folder, train | test, names, megabytes=360)


def load(name, root):
    """`padam.data.Images` of "cifar10" or "cifar100" out of root/cifar-10-batches-py or root/cifar-100-python.

    Every file is checked against its MD5 before it is unpickled. Raises FileNotFoundError where files are missing and
    ValueError where one is not the official file; both say what to do.
    """
    from padam.data import Images

    folder, key, (mean, std), train, test = _SETS[name]
    folder = Path(root) / folder
    missing = [file for file in (*train, *test) if not (folder / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{name} is not in {folder.absolute()}: {', '.join(missing)} missing. Download it: python data_scripts/"
            f"cifar.py {name} --root {root} (or --from PATH, if you have it); or name the folder above it with "
            f"--data or PADAM_DATA. The quick profile needs no download."
        )
    parts = [_read(folder, files, key) for files in (train, test)]
    return Images(*parts, torch.tensor(mean), torch.tensor(std), shift=4, flip=True)


def _read(folder, files, key):
    """Pictures uint8 (N, 3, 32, 32) and labels int64 (N,) of some files, one after the other."""
    images, labels = [], []
    for file, md5 in files.items():
        raw = (folder / file).read_bytes()
        if hashlib.md5(raw).hexdigest() != md5:
            raise ValueError(
                f"{folder / file} is not the official file (its MD5 differs), so it is not read. Remove it and run "
                f"data_scripts/cifar.py again."
            )
        batch = pickle.loads(raw, encoding="latin1")
        images.append(np.asarray(batch["data"], dtype=np.uint8).reshape(-1, 3, 32, 32))
        labels.extend(batch[key])
    return torch.from_numpy(np.concatenate(images)), torch.tensor(labels)
