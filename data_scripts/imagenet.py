"""Pack ImageNet, a part of it, or another folder of pictures, into arrays that training maps into memory."""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import fetching

_SQUARES = (1_281_167 + 50_000) * 3 * 256**2 / 1e9  # GB of all of ImageNet at 256 pixels
EXAMPLES = f"""examples:
  python data_scripts/imagenet.py --imagenet /datasets/imagenet --whole          all of it, for Table 2
  python data_scripts/imagenet.py --imagenet /datasets/imagenet --classes 50     the first 50 classes, as the subset
  python data_scripts/imagenet.py --imagenet tiny-imagenet-200 --classes mine.txt --size 64
  python data_scripts/imagenet.py --imagenette                                   ten classes, downloaded (340 MB)

--imagenet takes a folder {{train,val}}/CLASS/*.JPEG, or Tiny-ImageNet as it is unpacked. Every picture that is broken
or had to be converted is named in manifest.json and counted at the end. Run it again after an interruption: it goes on.

Recommended for Table 2 is --whole: training then draws its random boxes from all of a picture, as is usual for
ImageNet. Without it boxes are drawn from the middle square alone, which is all that is kept. At 256 pixels all of
ImageNet takes {_SQUARES:.0f} GB as squares. Whole pictures take so many times more as their longer side is longer than
the shorter one: {_SQUARES * 4 / 3:.0f} GB if all are 4:3; the exact number is shown before anything is decoded.
"""
LICENCE = """ImageNet's pictures are for non-commercial research and education; their copyright stays with their owners.
Cite Deng et al. (2009), ImageNet: A Large-Scale Hierarchical Image Database.
"""
_IMAGENETTE, _PICTURES = "imagenette2-320", (9_469, 3_925)  # of train and val


def _arguments(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"{EXAMPLES}\n{LICENCE}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--imagenet", metavar="PATH", type=Path, help="folder {train,val}/CLASS/*.JPEG")
    source.add_argument("--imagenette", action="store_true", help="download Imagenette, ten of ImageNet's classes")
    parser.add_argument(
        "--classes", metavar="N|FILE", help="the first N classes by name, or a file with their names, one a line"
    )
    parser.add_argument("--size", type=int, default=256, help="pixels of a side as stored (default: 256, for 224)")
    parser.add_argument(
        "--whole",
        action="store_true",
        help="keep whole pictures, the shorter side of --size pixels, not middle squares",
    )
    parser.add_argument("--jobs", type=int, help="processes that decode (default: one a core)")
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(os.environ.get("PADAM_DATA") or "data"),
        help="folder of the data sets (default: the environment's PADAM_DATA, else data)",
    )
    found = parser.parse_args(argv)
    if found.size < 1 or (found.jobs is not None and found.jobs < 1):
        parser.error("--size and --jobs take a number of 1 or more")
    return found


def _classes(asked, folder):
    """The names that --classes asks for; None for all."""
    from padam.data import packing

    if asked is None:
        return None
    if asked.isdigit():
        there = packing.class_names(folder)
        if not 0 < int(asked) <= len(there):
            raise ValueError(f"--classes {asked}: {folder} has {len(there)} classes.")
        return there[: int(asked)]
    if not Path(asked).is_file():
        raise ValueError(f"--classes {asked}: neither a number nor a file that is there.")
    names = Path(asked).read_text().split()
    if not names:
        raise ValueError(f"--classes {asked}: the file names no class.")
    return names


def _imagenette(root):
    """The folder of Imagenette below root; torchvision downloads it and checks its MD5."""
    from torchvision.datasets import Imagenette

    folder = root / _IMAGENETTE
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        Imagenette(root, "train", "320px", download=True)
    for part, count in zip(("train", "val"), _PICTURES, strict=True):
        there = sum(1 for _ in (folder / part).rglob("*.JPEG"))
        if there != count:
            raise ValueError(
                f"{folder / part} holds {there} pictures of {count}: it was not unpacked whole. Remove {folder} and "
                "run this again."
            )
    return folder


def main(argv=None):
    """Pack what the command line asks for and say what was found; a fault ends with its message and exit code 1."""
    asked = _arguments(argv)
    try:
        from padam.data import packing
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. Install the package first: pip install . (in the repository's folder).")
    try:
        folder = _imagenette(asked.root) if asked.imagenette else asked.imagenet
        classes = _classes(asked.classes, folder)
        complete = classes is None and not asked.imagenette and len(packing.class_names(folder)) == 1000
        target = asked.root / ("imagenet" if complete else "imagenet-subset") / f"packed-{asked.size}"
        target = target.with_name(target.name + "-whole") if asked.whole else target
        manifest = packing.pack(folder, target, asked.size, whole=asked.whole, classes=classes, jobs=asked.jobs)
    except (ValueError, OSError, RuntimeError, ModuleNotFoundError) as error:
        sys.exit(f"Error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. What is decoded is kept; run this again to go on.")
    _tell(manifest, target)
    sys.stdout.write(
        f"Unless the root is ./data, name it to the package: PADAM_DATA={asked.root.absolute()}\n{LICENCE}"
    )


def _tell(manifest, target):
    for part, found in manifest["parts"].items():
        sys.stdout.write(
            f"{part}: {found['count']:,} pictures of {len(manifest['classes'])} classes, {len(found['converted'])} of "
            f"them converted; {len(found['broken'])} broken and left out\n"
        )
        for name, why in list(found["broken"].items())[:10]:
            sys.stdout.write(f"  {name}: {why}\n")
    more = "" if not manifest["ignored"] else f"; {len(manifest['ignored'])} files are no pictures"
    sys.stdout.write(f"{target.absolute()}, where manifest.json names all of these{more}.\n")


if __name__ == "__main__":
    fetching.tidy_when_ended()
    main()
