"""A folder of pictures, {train,val}/CLASS/*.JPEG, decoded and resized once into arrays that are mapped into memory.

Classes are numbered as by torchvision's ImageFolder. What is no picture, or a broken one, is named in the manifest and
left out; what is converted (CMYK, grey, a PNG called .JPEG) is named and kept. Interrupted, the same call goes on.

Training draws random boxes from what is packed: from the middle square of each picture, or from all of it (`whole`).
"""

import contextlib
import errno
import functools
import hashlib
import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from padam import files

PARTS = ("train", "val")
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
_CHUNK = 128  # pictures that a process takes at a time, and that an interruption may cost
_WORKING = ("plan.json", "*-measured.npy", "*-states.npy", "*-notes.jsonl")  # what is needed while the work lasts
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
    """The `Source` of a folder {train,val}/CLASS/*.JPEG, or of Tiny-ImageNet as it is unpacked.

    There the pictures lie in train/CLASS/images, and val/val_annotations.txt names the classes of those in val/images.

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
        return {each.name: sorted(path for path in each.rglob("*") if not path.is_dir()) for each in folders}
    found = {}
    for line in listing.read_text().splitlines():
        file, name, *_ = line.split("\t")
        found.setdefault(name, []).append(part / "images" / file)
    return {name: sorted(found[name]) for name in sorted(found)}


def _named(path):
    return path.suffix.lower() in SUFFIXES


def decode(path, size, whole=False):
    """uint8 (3, H, W) of a picture, and what had to be converted, in words ("" for nothing).

    The shorter side is resized to `size` (bilinear, antialiased) as by torchvision's Resize; a picture of that size
    stays as it is. Unless `whole`, the middle square is cut out, as by its CenterCrop. Raises OSError or ValueError
    for what cannot be decoded.
    """
    from PIL import Image

    with _opened(path) as picture:
        why = [f"a {picture.format} called {path.suffix}"] if _misnamed(picture.format, path) else []
        why += [] if picture.mode == "RGB" else [f"colours {picture.mode}"]
        rgb = picture.convert("RGB")
    width, height = rgb.size
    if min(width, height) < size:
        why.append(f"enlarged from {width}x{height}")
    if min(width, height) != size:
        rgb = rgb.resize(_resized(width, height, size), Image.Resampling.BILINEAR)
    if not whole:
        left, top = (round((side - size) / 2) for side in rgb.size)
        rgb = rgb.crop((left, top, left + size, top + size))
    return np.asarray(rgb).transpose(2, 0, 1), ", ".join(why)


@contextlib.contextmanager
def _opened(path):
    """A picture, not decoded yet, with what Pillow says of doubtful ones silenced but for bombs, which are errors."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module="PIL")
        with Image.open(path) as picture:
            yield picture


def _misnamed(format_, path):
    from PIL import Image

    return Image.registered_extensions().get(path.suffix.lower()) != format_


def _resized(width, height, size):
    """(width, height) with the shorter one of `size` pixels, rounded as by torchvision's Resize."""
    return (size, int(size * height / width)) if width <= height else (int(size * width / height), size)


def pack(folder, target, size, *, whole=False, classes=None, jobs=None, progress=True, wait=False):
    """Pack a folder of pictures into `target` and return its manifest; what is packed already is not packed again.

    Args:
        folder: {train,val}/CLASS/*.JPEG.
        target: folder to make: <part>-pixels.npy, uint8 (N, 3, size, size); <part>-labels.npy, int64 (N,);
            manifest.json. While the work lasts it is called <target>.partial.
        size: pixels of a side, of the shorter one where pictures are kept whole.
        whole: whether to keep all of a picture instead of its middle square. Then <part>-pixels.npy is uint8 (bytes,),
            every picture's (3, H, W) one after the other, and <part>-sides.npy their heights and widths, int64 (N, 2).
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
    plan = {
        "size": size,
        "whole": whole,
        "source": str(Path(folder).absolute()),
        "listing": _fingerprint(source, folder),
    }
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
    if any(kept.get(key, False) != plan[key] for key in ("size", "whole", "listing")):
        raise ValueError(
            f"{target} was packed from other pictures, at another size or in the other of the two ways (whole or not); "
            "remove it, or choose another."
        )
    return kept


def _pack_all(folder, target, source, plan, jobs, progress):
    partial = target.with_name(target.name + ".partial")
    with _pool(jobs or os.cpu_count()) as pool:
        _begin(partial, plan, source, pool, progress)
        for part in PARTS:
            _decode_all(partial, part, source.files[part], plan, pool, progress)
    manifest = plan | {"classes": list(source.classes), "parts": {}, "ignored": _relative(source.ignored, folder)}
    for part in PARTS:
        manifest["parts"][part] = _finish(partial, part, source, folder, plan)
    files.write(partial / "manifest.json", (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode())
    partial.rename(target)
    for pattern in _WORKING:
        for path in list(target.glob(pattern)):
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


def _begin(partial, plan, source, pool, progress):
    """The folder in which work goes on: what an earlier call left of the same plan, else empty arrays."""
    noted = partial / "plan.json"
    if noted.exists() and json.loads(noted.read_text()) == plan:
        return
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for part in PARTS:
        count = len(source.files[part])
        shape = (count, 3, plan["size"], plan["size"])
        if plan["whole"]:
            sides = _measured(source.files[part], plan["size"], pool, f"{part}: sides", progress)
            _write_array(partial / f"{part}-measured.npy", sides)
            shape = (int(_sizes(sides).sum()),)
        _made(partial / f"{part}-pixels.npy", np.uint8, shape)
        _made(partial / f"{part}-states.npy", np.uint8, (count,))
    files.write(noted, json.dumps(plan).encode())


def _made(path, dtype, shape):
    """An array on disk, with its room taken, so that a full disk is noticed now."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    array.flush()
    with path.open("r+b") as file, contextlib.suppress(AttributeError):  # there is no such call on Windows
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise OSError(
                    error.errno, f"{path} takes {array.nbytes / 1e9:.1f} GB, and so much is not free"
                ) from error
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # not on this file system
                raise


def _write_array(path, array):
    """An array into a file, and to the disk before this returns."""
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=array.dtype, shape=array.shape)
    stored[:] = array
    stored.flush()


def _sides(partial, part, plan, count):
    """Heights and widths with which the pictures of a part are stored, broken ones among them: int64 (N, 2)."""
    if plan["whole"]:
        return np.load(partial / f"{part}-measured.npy")
    return np.full((count, 2), plan["size"])


def _sizes(sides):
    """Bytes of pictures of these sides."""
    return 3 * sides.prod(1)


def _measured(files, size, pool, words, progress):
    """Heights and widths that pictures will have, read from their first bytes; 0 where these cannot be read."""
    chunks = [[path for path, _ in files[at : at + _CHUNK]] for at in range(0, len(files), _CHUNK)]
    found = []
    with tqdm(total=len(files), desc=words, unit=" pictures", disable=not progress) as bar:
        for some in _in_turn(functools.partial(_measure_some, size), chunks, pool):
            found += some
            bar.update(len(some))
    return np.array(found, dtype=np.int64)


def _measure_some(size, paths):
    found = []
    for path in paths:
        try:
            with _opened(path) as picture:
                width, height = _resized(*picture.size, size)
        except Exception:  # as in `_decode_some`, which says what is wrong with it
            width = height = 0
        found.append((height, width))
    return found


def _decode_all(partial, part, files, plan, pool, progress):
    """Decode what is still to do of a part; `pool` is None to do it in this process."""
    states = np.load(partial / f"{part}-states.npy", mmap_mode="r+")
    todo = np.flatnonzero(states == _TODO)
    sizes = _sizes(_sides(partial, part, plan, len(files)))
    starts = sizes.cumsum() - sizes
    work = [(int(k), files[k][0], int(starts[k]), int(sizes[k])) for k in todo]
    chunks = [work[at : at + _CHUNK] for at in range(0, len(work), _CHUNK)]
    decode_some = functools.partial(_decode_some, partial / f"{part}-pixels.npy", plan["size"], plan["whole"])
    words, count = f"{part}, {sizes.sum() / 1e9:.1f} GB", len(files)
    with tqdm(total=count, initial=count - len(todo), desc=words, unit=" pictures", disable=not progress) as bar:
        for indices, found, notes in _in_turn(decode_some, chunks, pool):
            with (partial / f"{part}-notes.jsonl").open("a") as file:
                file.writelines(json.dumps(note) + "\n" for note in notes)
            states[indices] = found  # last: what is marked as done is on disk
            states.flush()
            bar.update(len(indices))


def _in_turn(call, chunks, pool):
    """What `call` gives for each chunk, in order; `pool` is None to call it in this process."""
    return map(call, chunks) if pool is None else pool.map(call, chunks)


@contextlib.contextmanager
def _pool(jobs):
    """Processes that decode, None where this one does. When something is raised they end at once."""
    if jobs == 1:
        yield None
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        try:
            yield pool
        except BaseException:
            for process in pool._processes.values():
                process.kill()
            raise


def _end_with_parent():
    """In a worker: signals are the parent's to answer; a parent that is killed takes the worker with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_follow, args=[multiprocessing.parent_process()], daemon=True).start()


def _follow(parent):
    parent.join()
    os._exit(1)


def _decode_some(place, size, whole, work):
    """Decode some pictures into the array at `place`: (indices, their states, [[index, what was noted], ...]).

    `work` lists (index, path, first byte, bytes) of each.
    """
    pixels = np.load(place, mmap_mode="r+")
    flat, states, notes = pixels.reshape(-1), [], []
    for index, path, start, room in work:
        try:
            picture, why = decode(path, size, whole)
            if picture.size != room:
                raise ValueError(f"its sides are other ones, {picture.shape}, than its first bytes say")
            flat[start : start + room] = picture.reshape(-1)
            states.append(_CONVERTED if why else _KEPT)
        except Exception as error:  # Pillow raises nearly anything over a broken picture
            why = f"{type(error).__name__}: {error}"
            states.append(_BROKEN)
        if why:
            notes.append([index, why])
    pixels.flush()
    return [index for index, *_ in work], states, notes


def _finish(partial, part, source, folder, plan):
    """Close the gaps that broken pictures left, write the labels, and return the part's entry of the manifest."""
    import pooch  # not before: where notebooks have no widgets, it warns of that

    files, states = source.files[part], np.load(partial / f"{part}-states.npy")
    noted = partial / f"{part}-notes.jsonl"
    notes = dict(map(json.loads, noted.read_text().splitlines())) if noted.exists() else {}
    kept = np.flatnonzero(states != _BROKEN)
    labels = np.array([files[k][1] for k in kept], dtype=np.int64)
    counts = np.bincount(labels, minlength=len(source.classes))
    if empty := [source.classes[k] for k in np.flatnonzero(counts == 0)]:
        raise ValueError(f"no picture of {', '.join(empty[:5])} in {part} can be decoded; see {noted}.")
    sides, pixels = _sides(partial, part, plan, len(files)), partial / f"{part}-pixels.npy"
    _close(pixels, sides, kept)
    _write_array(partial / f"{part}-labels.npy", labels)
    name = _relative([path for path, _ in files], folder)
    found = {
        "count": len(kept),
        "per_class": counts.tolist(),
        "converted": {name[k]: notes[k] for k in np.flatnonzero(states == _CONVERTED).tolist()},
        "broken": {name[k]: notes[k] for k in np.flatnonzero(states == _BROKEN).tolist()},
        "sha256": pooch.file_hash(pixels),
    }
    if plan["whole"]:
        _write_array(partial / f"{part}-sides.npy", sides[kept])
        found["sides"] = pooch.file_hash(partial / f"{part}-sides.npy")
    return found


def _close(path, sides, kept):
    """Leave only the pictures `kept` of those in an array on disk, if it has more."""
    old, sizes = np.load(path, mmap_mode="r"), _sizes(sides)
    size = int(sizes[kept].sum())
    if old.size == size:
        return
    shape = (size,) if old.ndim == 1 else (len(kept), *old.shape[1:])
    part, starts, at = path.with_suffix(".new"), sizes.cumsum() - sizes, 0
    new = np.lib.format.open_memmap(part, mode="w+", dtype=old.dtype, shape=shape)
    for start, size in zip(starts[kept].tolist(), sizes[kept].tolist(), strict=True):
        new.reshape(-1)[at : at + size] = old.reshape(-1)[start : start + size]
        at += size
    new.flush()
    part.replace(path)
