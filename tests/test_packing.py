"""Folders of pictures into arrays: the same labels and pixels as torchvision's, every fault named, nothing lost."""

import contextlib
import importlib.util
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
import torchvision
import warm
from PIL import Image

from padam import data, files
from padam.data import imagenet, packing

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("PADAM_DATA") or ROOT / "data") / "imagenet-subset"


def _picture(width, height, seed=0, mode="RGB"):
    """A smooth picture, so that JPEG keeps it nearly."""
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    waves = [127 + 120 * np.sin(x + (seed + k) * y) for k in range(3)]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8)).convert(mode)


@pytest.fixture
def folder(tmp_path):
    """Two classes, three pictures each to train and two to validate, of different sizes."""
    top = tmp_path / "pictures"
    for part, count in (("train", 3), ("val", 2)):
        for k, name in enumerate(("n02", "n01")):
            for number in range(count):
                path = top / part / name / f"{number}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                _picture(40 + 7 * number, 30 + 11 * k, seed=number + k).save(path, quality=95)
    return top


def _pack(folder, target, size=24, **options):
    return packing.pack(folder, target, size, jobs=1, progress=False, **options)


def _arrays(target, part="train"):
    return np.load(target / f"{part}-pixels.npy"), np.load(target / f"{part}-labels.npy")


def test_pixels_and_labels_are_those_of_torchvision(folder, tmp_path):
    manifest = _pack(folder, tmp_path / "packed")
    look = torchvision.transforms.Compose([torchvision.transforms.Resize(24), torchvision.transforms.CenterCrop(24)])
    for part in ("train", "val"):
        theirs = torchvision.datasets.ImageFolder(folder / part, transform=look)
        pixels, labels = _arrays(tmp_path / "packed", part)
        assert pixels.dtype == np.uint8
        assert labels.dtype == np.int64
        assert labels.tolist() == theirs.targets
        assert manifest["classes"] == theirs.classes == ["n01", "n02"]
        for ours, (picture, _) in zip(pixels, theirs, strict=True):
            assert np.array_equal(ours.transpose(1, 2, 0), np.asarray(picture))
    assert manifest["parts"]["train"]["count"] == 6
    assert manifest["parts"]["val"]["per_class"] == [2, 2]
    assert manifest["parts"]["train"]["sha256"] == pooch.file_hash(tmp_path / "packed" / "train-pixels.npy")
    assert json.loads((tmp_path / "packed" / "manifest.json").read_text()) == manifest
    names = {"manifest.json", *(f"{part}-{what}.npy" for part in ("train", "val") for what in ("pixels", "labels"))}
    assert {path.name for path in (tmp_path / "packed").iterdir()} == names


def test_whole_pictures_are_those_of_torchvision_and_nothing_is_cut_off(folder, tmp_path):
    wanted, target = _spoil(folder), tmp_path / "packed"
    manifest = _pack(folder, target, whole=True)
    left_out = [f"train/n01/{name}" for name in wanted["broken"]]
    assert list(manifest["parts"]["train"]["broken"]) == sorted(left_out)
    look = torchvision.transforms.Resize(24)
    for part in ("train", "val"):
        pixels, labels, sides = (np.load(target / f"{part}-{what}.npy") for what in ("pixels", "labels", "sides"))
        kept = [
            (path, label)
            for path, label in torchvision.datasets.ImageFolder(folder / part).samples
            if str(Path(path).relative_to(folder)) not in left_out
        ]
        assert labels.tolist() == [label for _, label in kept]
        at = 0
        for (path, _), (height, width) in zip(kept, sides, strict=True):
            theirs = np.asarray(look(Image.open(path).convert("RGB")))
            assert theirs.shape == (height, width, 3)
            ours = pixels[at : at + theirs.size].reshape(3, height, width)
            assert np.array_equal(ours.transpose(1, 2, 0), theirs), path
            at += theirs.size
        assert at == len(pixels)
        assert manifest["parts"][part]["count"] == len(labels)
        assert manifest["parts"][part]["sides"] == pooch.file_hash(target / f"{part}-sides.npy")
    names = {"manifest.json"} | {f"{p}-{what}.npy" for p in ("train", "val") for what in ("pixels", "labels", "sides")}
    assert {path.name for path in target.iterdir()} == names
    with pytest.raises(ValueError, match="in the other of the two ways"):
        _pack(folder, target)


@pytest.mark.parametrize("whole", [False, True])
def test_several_processes_pack_the_same(whole, folder, tmp_path, monkeypatch):
    _spoil(folder)
    monkeypatch.setattr(packing, "_CHUNK", 3)
    alone = _pack(folder, tmp_path / "alone", whole=whole)
    assert packing.pack(folder, tmp_path / "several", 24, whole=whole, jobs=2, progress=False) == alone


def test_a_picture_with_other_sides_than_its_first_bytes_say_is_left_out(folder, tmp_path, monkeypatch):
    measure = packing._measure_some
    monkeypatch.setattr(packing, "_measure_some", lambda *given: [(24, 25), *measure(*given)[1:]])
    manifest = _pack(folder, tmp_path / "packed", whole=True)
    assert "its sides are other ones, (3, 24, " in manifest["parts"]["train"]["broken"]["train/n01/0.JPEG"]
    assert manifest["parts"]["train"]["count"] == 5


def test_the_manifest_is_the_last_file_that_is_written(folder, tmp_path, monkeypatch):
    write, seen = files.write, {}

    def noted(path, raw):
        seen[path.name] = {each.name: each.read_bytes() for each in path.parent.iterdir()}
        write(path, raw)

    monkeypatch.setattr(packing.files, "write", noted)
    _pack(folder, tmp_path / "packed", whole=True)
    arrays = seen["manifest.json"]
    for path in (tmp_path / "packed").iterdir():
        assert path.name == "manifest.json" or arrays[path.name] == path.read_bytes(), path


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_decoded(folder, tmp_path, monkeypatch):
    def full(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packing.os, "posix_fallocate", full, raising=False)
    monkeypatch.setattr(packing, "_decode_all", lambda *rest: pytest.fail("decoded"))
    with pytest.raises(OSError, match=r"train-pixels.npy takes 0.0 GB, and so much is not free"):
        _pack(folder, tmp_path / "packed", whole=True)


def test_a_picture_of_the_right_size_is_not_touched(folder, tmp_path):
    exact = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(exact).save(folder / "train" / "n01" / "9.png")
    _pack(folder, tmp_path / "packed")
    pixels, _ = _arrays(tmp_path / "packed")
    assert np.array_equal(pixels[3].transpose(1, 2, 0), exact)


def _spoil(folder):
    """Nine kinds of broken, odd and misnamed picture in train/n01: {name: what the manifest says of it, and where}."""
    place = folder / "train" / "n01"
    good = (place / "0.JPEG").read_bytes()
    (place / "a-empty.JPEG").write_bytes(b"")
    (place / "b-truncated.JPEG").write_bytes(good[: len(good) // 2])
    (place / "c-page.JPEG").write_text("<html>not found</html>")
    (place / "d-missing.JPEG").symlink_to(place / "nowhere")
    bomb = _picture(8, 8)
    bomb.save(place / "f-bomb.png")
    raw = bytearray((place / "f-bomb.png").read_bytes())
    raw[16:24] = (30_000).to_bytes(4, "big") * 2  # the header says 30,000 x 30,000
    import zlib

    raw[29:33] = zlib.crc32(bytes(raw[12:29])).to_bytes(4, "big")
    (place / "f-bomb.png").write_bytes(raw)
    _picture(40, 40, mode="CMYK").save(place / "g-cmyk.JPEG")
    _picture(40, 40).save(place / "h-png.JPEG", format="PNG")
    _picture(40, 40, mode="L").save(place / "i-grey.JPEG")
    _picture(5, 9).save(place / "j-tiny.JPEG")
    _picture(40, 40).convert("P").save(place / "k-palette.png")
    (place / "notes.txt").write_text("no picture")
    return {
        "broken": {
            "a-empty.JPEG": "UnidentifiedImageError",
            "b-truncated.JPEG": "runcated",
            "f-bomb.png": "Decompression",
            "c-page.JPEG": "UnidentifiedImageError",
            "d-missing.JPEG": "No such file",
        },
        "converted": {
            "g-cmyk.JPEG": "colours CMYK",
            "h-png.JPEG": "a PNG called .JPEG",
            "i-grey.JPEG": "colours L",
            "j-tiny.JPEG": "enlarged from 5x9",
            "k-palette.png": "colours P",
        },
    }


def test_each_kind_of_broken_picture_is_named_and_the_rest_is_there(folder, tmp_path):
    wanted = _spoil(folder)
    manifest = _pack(folder, tmp_path / "packed")
    train = manifest["parts"]["train"]
    for kind in ("broken", "converted"):
        assert set(train[kind]) == {f"train/n01/{name}" for name in wanted[kind]}
        for name, why in wanted[kind].items():
            assert why in train[kind][f"train/n01/{name}"]
    assert manifest["ignored"] == ["train/n01/notes.txt"]
    assert (train["count"], train["per_class"]) == (11, [8, 3])
    assert (manifest["parts"]["val"]["broken"], manifest["parts"]["val"]["count"]) == ({}, 4)
    pixels, labels = _arrays(tmp_path / "packed")
    assert len(pixels) == len(labels) == 11
    last, _ = packing.decode(folder / "train" / "n02" / "2.JPEG", 24)
    assert np.array_equal(pixels[-1], last), "rows moved up where broken ones were"
    assert labels.tolist() == [0] * 8 + [1] * 3


def test_packed_once_it_is_not_packed_again_and_from_elsewhere_it_is_refused(folder, tmp_path, monkeypatch):
    manifest = _pack(folder, tmp_path / "packed")
    monkeypatch.setattr(packing, "_decode_all", lambda *rest: pytest.fail("decoded again"))
    assert _pack(folder, tmp_path / "packed") == manifest
    with pytest.raises(ValueError, match="other pictures, at another size"):
        _pack(folder, tmp_path / "packed", size=25)
    (folder / "val" / "n01" / "0.JPEG").unlink()
    with pytest.raises(ValueError, match="other pictures, at another size"):
        _pack(folder, tmp_path / "packed")


def test_two_processes_do_not_pack_the_same_at_once(folder, tmp_path):
    with files.held(tmp_path / "packed.lock", "held by {holder}"):
        with pytest.raises(files.Busy, match=rf"another process .{os.getpid()} on .*. is packing .*packed. Wait for"):
            _pack(folder, tmp_path / "packed")
        assert not (tmp_path / "packed.partial").exists()
        assert _pack(folder, tmp_path / "other")["classes"] == ["n01", "n02"]
    manifest = _pack(folder, tmp_path / "packed")
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "packed", "other"}
    with files.held(tmp_path / "packed.lock", "held by {holder}"):
        assert _pack(folder, tmp_path / "packed") == manifest, "what is packed needs no lock"


def test_what_fails_leaves_no_lock(folder, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(packing, "_decode_all", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            _pack(folder, tmp_path / "packed")
    assert not (tmp_path / "packed.lock").exists()


def test_who_waits_takes_what_the_other_has_packed(folder, tmp_path, monkeypatch, capsys):
    """The other process is at work when this one comes, and has finished when it looks again."""
    other, waited = contextlib.ExitStack(), []
    whole = _pack(folder, tmp_path / "whole")
    other.enter_context(files.held(tmp_path / "packed.lock", ""))

    def finish(seconds):
        if seconds == 1:
            waited.append(seconds)
        if len(waited) == 2:
            (tmp_path / "whole").rename(tmp_path / "packed")
            (tmp_path / "packed.lock").unlink()
            other.close()

    monkeypatch.setattr(files.time, "sleep", finish)
    monkeypatch.setattr(packing, "_decode_all", lambda *rest: pytest.fail("decoded again"))
    assert _pack(folder, tmp_path / "packed", wait=True) == whole
    assert len(waited) == 2
    assert capsys.readouterr().err.count("is packing") == 1
    assert not (tmp_path / "packed.lock").exists()


@pytest.mark.parametrize("all_of_it", [False, True])
@pytest.mark.parametrize("where", ["_decode_all", "_finish", "_close"])
def test_cut_off_anywhere_the_same_call_goes_on_to_the_same_arrays(where, all_of_it, folder, tmp_path, monkeypatch):
    _spoil(folder)
    whole = _pack(folder, tmp_path / "whole", whole=all_of_it)
    monkeypatch.setattr(packing, "_CHUNK", 2)
    original, calls = getattr(packing, where), []

    def cut(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(packing, where, cut)
    with pytest.raises(KeyboardInterrupt):
        _pack(folder, tmp_path / "packed", whole=all_of_it)
    assert not (tmp_path / "packed").exists()
    some, again = packing._decode_some, []
    monkeypatch.setattr(packing, "_decode_some", lambda *given: again.append(given[3]) or some(*given))
    assert _pack(folder, tmp_path / "packed", whole=all_of_it) == whole
    assert sum(map(len, again)) <= 4, "train was decoded before"
    for part in ("train", "val"):
        for one, other in zip(_arrays(tmp_path / "packed", part), _arrays(tmp_path / "whole", part), strict=True):
            assert np.array_equal(one, other)


def _done(states):
    """How many pictures are packed; 0 while the file is not there, or not yet as long as it will be."""
    try:
        return np.load(states).astype(bool).sum()
    except (OSError, ValueError, EOFError):
        return 0


def test_a_killed_process_loses_a_chunk_at_most(folder, tmp_path):
    for number in range(400):
        _picture(300, 300, number).save(folder / "train" / "n01" / f"x{number}.JPEG")
    pack = f"packing.pack({str(folder)!r}, {str(tmp_path / 'packed')!r}, 24, jobs=1, progress=False)"
    (tmp_path / "script.py").write_text(f"from padam.data import packing\npacking._CHUNK = 4\n{pack}\n")
    process = warm.Process(tmp_path / "script.py", env=os.environ | {"PYTHONPATH": str(ROOT)})
    states = tmp_path / "packed.partial" / "train-states.npy"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _done(states) <= 20:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = int(np.load(states).astype(bool).sum())
    assert 20 < done < 406
    manifest = _pack(folder, tmp_path / "packed")
    pixels, labels = _arrays(tmp_path / "packed")
    assert manifest["parts"]["train"]["count"] == len(pixels) == 406
    for k, path in enumerate(sorted((folder / "train" / "n01").iterdir())):
        assert np.array_equal(pixels[k], packing.decode(path, 24)[0]), path


def _begun(pixels):
    """Whether the first picture is in its place."""
    with contextlib.suppress(FileNotFoundError), pixels.open("rb") as file:
        file.seek(1000)  # behind the header
        return bool(file.read(10_000).strip(b"\0"))


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_processes_that_decode_end_with_the_one_that_began_them(number, folder, tmp_path):
    """They hold its pipes, which are read to their ends only when no process is left."""
    _picture(1500, 1500).save(folder / "large.JPEG")
    for copy in range(200):
        os.link(folder / "large.JPEG", folder / "train" / "n01" / f"x{copy}.JPEG")
    pack = f"packing.pack({str(folder)!r}, {str(tmp_path / 'packed')!r}, 512, jobs=2, progress=False)"
    code = f"from padam.data import packing; {pack}"
    process = warm.Process("-c", code, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True)
    try:
        pixels = tmp_path / "packed.partial" / "train-pixels.npy"
        while not _begun(pixels):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)  # Ctrl-C is for all of them
        process.communicate(60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode
    assert not np.load(tmp_path / "packed.partial" / "train-states.npy").all()


def test_classes_can_be_chosen_and_bad_folders_are_refused(folder, tmp_path):
    manifest = _pack(folder, tmp_path / "one", classes=["n02"])
    assert (manifest["classes"], manifest["parts"]["train"]["per_class"]) == (["n02"], [3])
    with pytest.raises(ValueError, match="has no class n07"):
        packing.scan(folder, ["n02", "n07"])
    (folder / "val" / "n03").mkdir()
    with pytest.raises(ValueError, match="classes that train has not: n03"):
        packing.scan(folder)
    (folder / "train" / "n03").mkdir()
    with pytest.raises(ValueError, match="no picture of n03"):
        packing.scan(folder)
    with pytest.raises(ValueError, match="has no folder train and no folder val"):
        packing.scan(tmp_path / "nowhere")


def test_without_pillow_nothing_is_called_broken(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(packing.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install pillow"):
        _pack(folder, tmp_path / "packed")
    assert not (tmp_path / "packed.partial").exists()


def test_a_class_of_broken_pictures_alone_is_an_error_that_names_it(folder, tmp_path):
    for path in (folder / "val" / "n02").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="no picture of n02 in val can be decoded"):
        _pack(folder, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_the_layout_of_tiny_imagenet(folder, tmp_path):
    plain = _pack(folder, tmp_path / "plain")
    lines, images = [], folder / "val" / "images"
    images.mkdir()
    for name in ("n01", "n02"):
        for path in sorted((folder / "val" / name).iterdir()):
            path.rename(images / f"{name}-{path.name}")
            lines.append(f"{name}-{path.name}\t{name}\t0\t0\t62\t62")
        (folder / "val" / name).rmdir()
    (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    for name in ("n01", "n02"):
        inner = folder / "train" / name / "images"
        inner.mkdir()
        for path in list((folder / "train" / name).glob("*.JPEG")):
            path.rename(inner / path.name)
        (folder / "train" / name / f"{name}_boxes.txt").write_text("boxes")
    tiny = _pack(folder, tmp_path / "tiny")
    assert [tiny["parts"][part]["sha256"] for part in tiny["parts"]] == [
        plain["parts"][part]["sha256"] for part in plain["parts"]
    ]
    assert tiny["ignored"] == ["train/n01/n01_boxes.txt", "train/n02/n02_boxes.txt"]


# --- as a data set


@pytest.fixture
def subset(folder, tmp_path):
    """The folder in its place under a root of data sets."""
    folder.rename(tmp_path / "imagenet-subset")
    return tmp_path


def test_a_folder_of_pictures_is_packed_once_and_read(subset, monkeypatch):
    images = data.load("imagenet-subset", subset)
    assert images.train[0].shape == (6, 3, 64, 64)
    assert images.train[0].dtype == torch.uint8
    assert images.train[1].tolist() == [0, 0, 0, 1, 1, 1]
    assert images.test[1].tolist() == [0, 0, 1, 1]
    assert (images.resized, images.flip, images.shift, images.valid) == (64, True, 0, None)
    first = packing.decode(subset / "imagenet-subset" / "train" / "n01" / "0.JPEG", 64)[0]
    assert np.array_equal(images.train[0][0].numpy(), first)
    monkeypatch.setattr(packing, "pack", lambda *given, **more: pytest.fail("packed again"))
    assert torch.equal(data.load("imagenet-subset", subset).train[0], images.train[0])


def test_writing_into_the_tensors_leaves_the_files_alone(subset):
    data.load("imagenet-subset", subset).train[0].zero_()
    assert data.load("imagenet-subset", subset).train[0].any()


def test_what_is_not_there_or_not_whole_says_what_to_do(subset, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nothing is packed there. python data_scripts/imagenet.py --help"):
        data.load("imagenet", subset)
    with pytest.raises(FileNotFoundError, match="imagenet-subset is not in"):
        data.load("imagenet-subset", subset / "nowhere")
    with monkeypatch.context() as patch:
        patch.setattr(imagenet.os, "access", lambda path, how: False)
        with pytest.raises(FileNotFoundError, match="nothing can be written beside them"):
            data.load("imagenet-subset", subset)
    data.load("imagenet-subset", subset)
    packed = subset / "imagenet-subset" / "packed-64"
    whole = (packed / "train-pixels.npy").read_bytes()
    (packed / "train-pixels.npy").write_bytes(whole[:-1000])
    with pytest.raises(ValueError, match="cannot be read .* pack again"):
        data.load("imagenet-subset", subset)
    (packed / "train-pixels.npy").write_bytes(whole)
    np.save(packed / "val-labels.npy", np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="3 labels to val on, and its manifest says 4 pictures"):
        data.load("imagenet-subset", subset)


def test_what_was_packed_whole_is_read_and_checked(folder, tmp_path):
    target = tmp_path / "imagenet" / "packed-24-whole"
    manifest = _pack(folder, target, whole=True)
    images = data.load("imagenet", tmp_path)
    pictures, labels = images.train
    assert len(pictures) == len(labels) == 6
    for k, name in enumerate(("n01", "n02")):
        for number in range(3):
            path, one = folder / "train" / name / f"{number}.JPEG", pictures[3 * k + number : 3 * k + number + 1]
            found = one.together().pixels.view(3, int(one.heights), int(one.widths))
            assert np.array_equal(found.numpy(), packing.decode(path, 24, whole=True)[0])
    assert (images.resized, len(images.test[0])) == (24, 4)
    assert images.packed == tuple(manifest["parts"][p][key] for key in ("sha256", "sides") for p in ("train", "val"))
    np.save(target / "val-sides.npy", np.full((4, 2), 24))
    with pytest.raises(ValueError, match=r"4 labels to val on, and its manifest says 4 pictures .* pack again"):
        data.load("imagenet", tmp_path)
    (target / "val-sides.npy").write_bytes(b"")
    with pytest.raises(ValueError, match=r"val-sides.npy cannot be read .* pack again"):
        data.load("imagenet", tmp_path)


@pytest.mark.parametrize(("side", "shown"), [(64, 64), (200, 200), (256, 224), (512, 448)])
def test_of_large_pictures_seven_eighths_are_shown(side, shown, folder, tmp_path):
    packing.pack(folder, tmp_path / "imagenet" / f"packed-{side}", side, jobs=1, progress=False)
    images = data.load("imagenet", tmp_path)
    assert (images.train[0].shape[-1], images.resized) == (side, shown)
    packing.pack(folder, tmp_path / "imagenet" / "packed-8", 8, jobs=1, progress=False)
    with pytest.raises(ValueError, match=f"packed-{side}, packed-8; keep one|packed-8, packed-{side}; keep one"):
        data.load("imagenet", tmp_path)


# --- the script

_spec = importlib.util.spec_from_file_location("imagenet_script", ROOT / "data_scripts" / "imagenet.py")
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)


def test_the_script_packs_and_tells_what_it_found(folder, tmp_path, capsys):
    _spoil(folder)
    script.main(["--imagenet", str(folder), "--root", str(tmp_path / "d"), "--size", "24", "--jobs", "1"])
    said = capsys.readouterr().out
    assert "train: 11 pictures of 2 classes, 5 of them converted; 5 broken and left out" in said
    assert "train/n01/a-empty.JPEG: UnidentifiedImageError" in said
    assert "1 files are no pictures" in said
    assert data.load("imagenet-subset", tmp_path / "d").train[0].shape == (11, 3, 24, 24)


def test_the_script_packs_whole_pictures_and_says_how_much_that_is(folder, tmp_path, capsys):
    script.main(["--imagenet", str(folder), "--root", str(tmp_path / "d"), "--size", "24", "--jobs", "1", "--whole"])
    assert "train, 0.0 GB" in capsys.readouterr().err
    assert (tmp_path / "d" / "imagenet-subset" / "packed-24-whole" / "train-sides.npy").is_file()
    assert len(data.load("imagenet-subset", tmp_path / "d").train[0]) == 6
    with pytest.raises(SystemExit):
        script.main(["--help"])
    help = " ".join(capsys.readouterr().out.split())
    assert "Recommended for Table 2 is --whole" in help
    assert "takes 262 GB as squares" in help
    assert "349 GB if all are 4:3" in help
    assert "{train,val}/CLASS" in help


def test_the_script_takes_some_classes(folder, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("n02\n")
    for asked, expected in (("1", ["n01"]), (str(names), ["n02"])):
        target = tmp_path / f"root-{expected[0]}"
        script.main(
            ["--imagenet", str(folder), "--root", str(target), "--classes", asked, "--size", "8", "--jobs", "1"]
        )
        manifest = json.loads((target / "imagenet-subset" / "packed-8" / "manifest.json").read_text())
        assert manifest["classes"] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "3"], "has 2 classes"),
        (["--classes", "nosuch.txt"], "neither a number nor a file"),
        (["--classes", "0"], "has 2 classes"),
    ],
)
def test_the_script_says_what_is_wrong(arguments, message, folder, tmp_path):
    with pytest.raises(SystemExit, match=message):
        script.main(["--imagenet", str(folder), "--root", str(tmp_path / "d"), *arguments])
    with pytest.raises(SystemExit, match="has no folder train"):
        script.main(["--imagenet", str(tmp_path), "--root", str(tmp_path / "d")])
    assert not (tmp_path / "d").exists()


def test_imagenette_that_was_not_unpacked_whole_is_refused(tmp_path):
    (tmp_path / "imagenette2-320" / "train").mkdir(parents=True)
    with pytest.raises(SystemExit, match="holds 0 pictures of 9469: it was not unpacked whole"):
        script.main(["--imagenette", "--root", str(tmp_path)])


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no ImageNet subset in {REAL}")
def test_the_real_subset(tmp_path):
    """Every fifth class of it, and the number of all."""
    theirs = torchvision.datasets.ImageFolder(REAL / "train")
    assert (len(theirs.classes), len(theirs)) == (50, 25_000)
    manifest = packing.pack(REAL, tmp_path / "packed", 64, classes=theirs.classes[::5], progress=False)
    assert (len(manifest["classes"]), manifest["parts"]["train"]["count"], manifest["parts"]["val"]["count"]) == (
        10,
        5_000,
        500,
    )
    pixels, labels = _arrays(tmp_path / "packed")
    there = [k for k, label in enumerate(theirs.targets) if label % 5 == 0]
    assert labels.tolist() == [theirs.targets[k] // 5 for k in there]
    for k in range(0, 5_000, 203):
        assert np.array_equal(pixels[k].transpose(1, 2, 0), np.asarray(theirs[there[k]][0]))
    assert set(manifest["parts"]["train"]["converted"].values()) <= {"colours L"}
    assert manifest["parts"]["train"]["broken"] == {}
