"""A folder of pictures, {train,val}/CLASS/*.JPEG, decoded and resized once into arrays that are mapped into memory.

Classes are numbered as by torchvision's ImageFolder. What is no picture, or a broken one, is named in the manifest and
left out; what is converted (CMYK, grey, a PNG called .JPEG) is named and kept. Interrupted, the same call goes on.
"""

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import shutil
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
from tqdm import tqdm

from padam import files

PARTS = ("train", "val")
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
_FORMATS = {"JPEG": (".jpg", ".jpeg"), "PNG": (".png",), "WEBP": (".webp",), "BMP": (".bmp",), "GIF": (".gif",)}
_CHUNK = 128  # pictures that a process takes at a time, and that an interruption may cost
_TODO, _KEPT, _CONVERTED, _BROKEN = range(4)


class Source(NamedTuple):
    """What a folder holds: its classes in their order, {part: [(path, label), ...]}, and files that are no pictures."""

    classes: tuple
    files: dict
    ignored: tuple


def class_names(folder):
    """The classes of a folder {train,val}/CLASS, in their order, without looking at their pictures."""
    train = Path(folder) / "train"
    return tuple(sorted(each.name for each in train.iterdir() if each.is_dir())) if train.is_dir() else ()


def scan(folder, classes=None):
    """The `Source` of a folder {train,val}/CLASS/*.JPEG; pictures may lie deeper in the folder of a class.

    Tiny-ImageNet's own layout will do, too: there val/val_annotations.txt names the classes of val/images.

    Args:
        folder: path.
        classes: names of the classes to take; default all.

    Raises ValueError where a part is missing, a class is asked for that is not there, has no picture, or is in one part
    only.
    """
    folder = Path(folder)
    if missing := [part for part in PARTS if not (folder / part).is_dir()]:
        raise ValueError(
            f"{folder} has no folder {' and no folder '.join(missing)}; {{train,val}}/CLASS/*.JPEG is needed."
        )
    there = {part: _by_class(folder / part) for part in PARTS}
    chosen = sorted(set(classes)) if classes else list(there["train"])
    for part in PARTS:
        if absent := [name for name in chosen if name not in there[part]]:
            raise ValueError(f"{folder / part} has no class {', '.join(absent[:5])}{', ...' if absent[5:] else ''}.")
    if not classes and (extra := [name for name in there["val"] if name not in chosen]):
        raise ValueError(f"{folder / 'val'} has classes that train has not: {', '.join(extra[:5])}.")
    files, ignored = {}, []
    for part in PARTS:
        files[part] = []
        for label, name in enumerate(chosen):
            pictures = [path for path in there[part][name] if _named(path)]
            if not pictures:
                raise ValueError(f"{folder / part}: no picture of {name} ({', '.join(SUFFIXES)}).")
            files[part] += [(path, label) for path in pictures]
            ignored += [path for path in there[part][name] if not _named(path)]
    return Source(tuple(chosen), files, tuple(ignored))


def _by_class(part):
    """{class: every path of it, sorted}, classes in the order of their names."""
    listing = part / "val_annotations.txt"
    if not listing.is_file():
        folders = sorted(each for each in part.iterdir() if each.is_dir())
        return {
            each.name: sorted(path for path in each.rglob("*") if not path.is_dir() or _named(path)) for each in folders
        }
    found = {}
    for line in listing.read_text().splitlines():
        file, name, *_ = line.split("\t")
        found.setdefault(name, []).append(part / "images" / file)
    return {name: sorted(found[name]) for name in sorted(found)}


def _named(path):
    return path.suffix.lower() in SUFFIXES


def decode(path, size):
    """(3, size, size) uint8 of a picture, and what had to be converted, in words ("" for nothing).

    The shorter side is resized to `size` (bilinear, antialiased) and the middle square is cut out, as torchvision's
    Resize and CenterCrop do; a picture of that size stays as it is. Raises OSError or ValueError for what cannot be
    decoded.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")
        with Image.open(path) as picture:
            why = [f"a {picture.format} called {path.suffix}"] if _misnamed(picture.format, path.suffix.lower()) else []
            why += [] if picture.mode == "RGB" else [f"colours {picture.mode}"]
            rgb = picture.convert("RGB")
    width, height = rgb.size
    if min(width, height) < size:
        why.append(f"enlarged from {width}x{height}")
    if min(width, height) != size:
        wide = (size, int(size * height / width)) if width <= height else (int(size * width / height), size)
        rgb = rgb.resize(wide, Image.Resampling.BILINEAR)
    left, top = (round((side - size) / 2) for side in rgb.size)
    pixels = np.asarray(rgb.crop((left, top, left + size, top + size)))
    return pixels.transpose(2, 0, 1), ", ".join(why)


def _misnamed(format_, suffix):
    return suffix not in _FORMATS.get(format_, (suffix,))


def pack(folder, target, size, *, classes=None, jobs=None, progress=True, wait=False):
    """Pack a folder of pictures into `target` and return its manifest; what is packed already is not packed again.

    Args:
        folder: {train,val}/CLASS/*.JPEG.
        target: folder to make: <part>-pixels.npy, uint8 (N, 3, size, size); <part>-labels.npy, int64 (N,);
            manifest.json. While the work lasts it is called <target>.partial.
        size: pixels of a side.
        classes: names of the classes to take; default all.
        jobs: processes that decode; default one a core.
        progress: whether to show a bar.
        wait: where another process packs the same target, wait until it is done.

    Raises ValueError for a folder that is not so, for one where no picture of a class can be decoded, and for a target
    that was packed from something else; OSError where the disk is full; ModuleNotFoundError without Pillow.
    """
    if importlib.util.find_spec("PIL") is None:
        raise ModuleNotFoundError(
            "Pillow decodes pictures, and it is not installed here. Install it: pip install pillow"
        )
    source, target = scan(folder, classes), Path(target)
    plan = {"size": size, "source": str(Path(folder).absolute()), "listing": _fingerprint(source, folder)}
    if (kept := _kept(target, plan)) is not None:
        return kept
    target.parent.mkdir(parents=True, exist_ok=True)
    alone = target.with_name(target.name + ".lock")
    message = f"another process ({{holder}}) is packing {target}. Wait for it; if it is stopped, the same call goes on."
    with files.held(alone, message, wait):
        try:
            return _kept(target, plan) or _pack_all(folder, target, source, plan, jobs, progress)
        finally:
            alone.unlink(missing_ok=True)


def _kept(target, plan):
    """The manifest of what is packed already, None where nothing is."""
    if not (target / "manifest.json").exists():
        return None
    kept = json.loads((target / "manifest.json").read_text())
    if any(kept[key] != plan[key] for key in ("size", "listing")):
        raise ValueError(f"{target} was packed from other pictures or at another size; remove it, or choose another.")
    return kept


def _pack_all(folder, target, source, plan, jobs, progress):
    partial = target.with_name(target.name + ".partial")
    _begin(partial, plan, source)
    with _pool(jobs or os.cpu_count()) as pool:
        for part in PARTS:
            _decode_all(partial, part, source.files[part], plan["size"], pool, progress)
    manifest = plan | {"classes": list(source.classes), "parts": {}, "ignored": _relative(source.ignored, folder)}
    for part in PARTS:
        manifest["parts"][part] = _finish(partial, part, source, folder)
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    partial.rename(target)
    for path in (target / "plan.json", *target.glob("*-states.npy"), *target.glob("*-notes.jsonl")):
        path.unlink()
    return manifest


def _relative(paths, folder):
    return [str(path.relative_to(folder)) for path in paths]


def _fingerprint(source, folder):
    """SHA-256 over classes, names and sizes of all files."""
    found = hashlib.sha256(json.dumps(source.classes).encode())
    for part in PARTS:
        for path, label in source.files[part]:
            size = path.stat().st_size if path.is_file() else -1
            found.update(f"{path.relative_to(folder)}\0{label}\0{size}\n".encode())
    return found.hexdigest()


def _begin(partial, plan, source):
    """The folder in which work goes on: what an earlier call left of the same plan, else empty arrays."""
    noted = partial / "plan.json"
    if noted.exists() and json.loads(noted.read_text()) == plan:
        return
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for part in PARTS:
        count = len(source.files[part])
        _made(partial / f"{part}-pixels.npy", np.uint8, (count, 3, plan["size"], plan["size"]))
        _made(partial / f"{part}-states.npy", np.uint8, (count,))
    noted.write_text(json.dumps(plan))


def _made(path, dtype, shape):
    """An array on disk, with its room taken, so that a full disk is noticed now."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    array.flush()
    with path.open("r+b") as file, contextlib.suppress(AttributeError):  # there is no such call on Windows
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # not on this file system
                raise


def _decode_all(partial, part, files, size, pool, progress):
    """Decode what is still to do of a part; `pool` is None to do it in this process."""
    states = np.load(partial / f"{part}-states.npy", mmap_mode="r+")
    todo = np.flatnonzero(states == _TODO)
    chunks = [todo[at : at + _CHUNK] for at in range(0, len(todo), _CHUNK)]
    work = [(partial, part, chunk, [files[k][0] for k in chunk], size) for chunk in chunks]
    with tqdm(
        total=len(files), initial=len(files) - len(todo), desc=part, unit=" pictures", disable=not progress
    ) as bar:
        for indices, found, notes in _results(pool, work):
            with (partial / f"{part}-notes.jsonl").open("a") as file:
                file.writelines(json.dumps(note) + "\n" for note in notes)
            states[indices] = found  # last: what is marked as done is on disk
            states.flush()
            bar.update(len(indices))


def _results(pool, work):
    if pool is None:
        yield from (_decode_some(*each) for each in work)
    else:
        yield from (done.result() for done in as_completed([pool.submit(_decode_some, *each) for each in work]))


@contextlib.contextmanager
def _pool(jobs):
    """Processes that decode, None where this one does; when something is raised, what is not begun is not begun."""
    if jobs == 1:
        yield None
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _decode_some(partial, part, indices, paths, size):
    """Decode some pictures into their rows: (indices, their states, [[index, what was noted], ...])."""
    pixels = np.load(partial / f"{part}-pixels.npy", mmap_mode="r+")
    states, notes = [], []
    for index, path in zip(indices, paths, strict=True):
        try:
            pixels[index], why = decode(path, size)
            states.append(_CONVERTED if why else _KEPT)
        except Exception as error:  # Pillow raises nearly anything over a broken picture
            why = f"{type(error).__name__}: {error}"
            states.append(_BROKEN)
        if why:
            notes.append([int(index), why])
    pixels.flush()
    return indices, states, notes


def _finish(partial, part, source, folder):
    """Close the gaps that broken pictures left, write the labels, and return the part's entry of the manifest."""
    files, states = source.files[part], np.load(partial / f"{part}-states.npy")
    noted = partial / f"{part}-notes.jsonl"
    notes = dict(map(json.loads, noted.read_text().splitlines())) if noted.exists() else {}
    kept = np.flatnonzero(states != _BROKEN)
    labels = np.array([files[k][1] for k in kept], dtype=np.int64)
    counts = np.bincount(labels, minlength=len(source.classes))
    if empty := [source.classes[k] for k in np.flatnonzero(counts == 0)]:
        raise ValueError(f"no picture of {', '.join(empty[:5])} in {part} can be decoded; see {noted}.")
    _close(partial / f"{part}-pixels.npy", kept)
    np.save(partial / f"{part}-labels.npy", labels)
    name = _relative([path for path, _ in files], folder)
    return {
        "count": len(kept),
        "per_class": counts.tolist(),
        "converted": {name[k]: notes[k] for k in np.flatnonzero(states == _CONVERTED).tolist()},
        "broken": {name[k]: notes[k] for k in np.flatnonzero(states == _BROKEN).tolist()},
        "sha256": pooch.file_hash(partial / f"{part}-pixels.npy"),
    }


def _close(path, kept):
    """Leave the rows `kept` alone of an array on disk, if it has more."""
    old = np.load(path, mmap_mode="r")
    if len(old) == len(kept):
        return
    part = path.with_suffix(".new")
    new = np.lib.format.open_memmap(part, mode="w+", dtype=old.dtype, shape=(len(kept), *old.shape[1:]))
    for at in range(0, len(kept), _CHUNK):
        new[at : at + _CHUNK] = old[kept[at : at + _CHUNK]]
    new.flush()
    part.replace(path)
