"""Data sets out of their official archives or files: downloaded or at hand, verified, then put in place whole.

Nothing is unpacked or renamed into place before its checksum is right, and all work happens in a temporary folder
beside the destination: a run may be cut off anywhere and repeated. pooch downloads and verifies.
"""

import os
import shutil
import sys
import tarfile
import tempfile
import time
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_SCRATCH = ".fetch-"
_DAY = 24 * 60 * 60  # seconds


class FetchError(RuntimeError):
    """A data set could not be put in place. The message says what was wrong, what was expected and what to do."""


class Archive(NamedTuple):
    """An official archive of the data set `name`: where it is, its SHA-256, and the one folder inside.

    `files` maps the names of the files that are read to their MD5s; `optional` those of files that are verified only
    where they are present. `megabytes` is what archive and folder need on disk together.
    """

    name: str
    url: str
    sha256: str
    folder: str
    files: dict[str, str]
    optional: dict[str, str]
    megabytes: int

    @property
    def filename(self):
        """The archive's own name: the last part of its address."""
        return self.url.rsplit("/", 1)[-1]


class Files(NamedTuple):
    """Official files of the data set `name` that come one by one: `urls` has their addresses, `folder` takes them.

    `files` and `megabytes` are as in `Archive`.
    """

    name: str
    urls: dict[str, str]
    folder: str
    files: dict[str, str]
    megabytes: int
    optional = {}  # none of them
    filename = ""  # there is no archive

    @property
    def url(self):
        """Where they are, in words."""
        return ", ".join(self.urls.values())


def unverified(archive, folder):
    """{file: what is the matter with it} of an unpacked folder; empty if all its files are the official ones."""
    import pooch

    matter = {}
    for file, md5 in (archive.files | archive.optional).items():
        if not (folder / file).is_file():
            matter |= {file: "is missing"} if file in archive.files else {}
        elif pooch.file_hash(folder / file, "md5") != md5:
            matter[file] = f"has another MD5 than the official {md5}"
    return matter


def find(archive, path):
    """The archive, or its unpacked folder, at `path` itself or directly below it; None if neither is there."""
    for candidate in (Path(path, archive.folder), Path(path, archive.filename), Path(path)):
        is_archive = candidate.name == archive.filename and candidate.is_file()
        if is_archive or any((candidate / file).is_file() for file in archive.files):
            return candidate
    return None


def fetch(archive, root, given=None):
    """Put the official files of a data set into root/archive.folder; those there that are right are left alone.

    Args:
        archive: `Archive` or `Files`.
        root: folder of the data sets; made if it is not there. A downloaded archive is kept in it.
        given: archive or folder with the files to take instead of the network, or a folder with either; default None.

    Returns the path of the folder. Raises FetchError for a damaged, wrong or unsafe source, without network, and where
    nothing can be written; all that is in place then is verified.
    """
    root = Path(root)
    destination = root / archive.folder
    try:
        wrong = unverified(archive, destination)
        if wrong:
            root.mkdir(parents=True, exist_ok=True)
            _sweep(root)
            with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=root) as scratch:
                staged = _stage(archive, root, given, wrong, Path(scratch))
                _place(staged, destination, wrong)
    except OSError as error:
        raise FetchError(
            f"{archive.name} could not be put into {root.absolute()}: {error}. It takes a folder that you may write in "
            f"and up to {archive.megabytes} MB there. Free some space or name another folder with --root, and run this "
            f"again; nothing half-written is left."
        ) from error
    return destination


def _sweep(root):
    """Remove the temporary folders of runs that were killed outright; one younger than a day may be in use."""
    for scratch in root.glob(f"{_SCRATCH}*"):
        if scratch.stat().st_mtime < time.time() - _DAY:
            shutil.rmtree(scratch, ignore_errors=True)


def _stage(archive, root, given, wrong, scratch):
    """The unpacked folder below `scratch`, every file verified."""
    staged = scratch / archive.folder
    if given is None and isinstance(archive, Files):
        for file in wrong:
            _download(archive, root, archive.urls[file], f"md5:{archive.files[file]}", staged / file)
        return staged
    source = _kept(archive, root, scratch) if given is None else find(archive, given)
    if source is None:
        expected = ", ".join([archive.filename] * bool(archive.filename) + [archive.folder])
        raise FetchError(
            f"{archive.name} is not at {given}: expected {expected}, or a folder that holds "
            f"{'one of them under that name' if archive.filename else ', '.join(archive.files)}. The official "
            f"{'archive is' if archive.filename else 'files are'} {archive.url}."
        )
    if source.is_dir():
        staged.mkdir(exist_ok=True)
        for file in (*archive.files, *archive.optional):
            if (source / file).is_file():
                shutil.copyfile(source / file, staged / file)
    else:
        _verify(archive, source)
        _unpack(archive, source, scratch)
    matter = dict.fromkeys((file for file in wrong if not (staged / file).is_file()), "is missing")
    matter |= unverified(archive, staged)
    if matter:
        raise FetchError(
            f"{source} does not hold the official files of {archive.name}: "
            + "; ".join(f"{file} {what}" for file, what in matter.items())
            + f". Nothing was taken from it. Use the official {'archive' if archive.filename else 'files'}: leave "
            f"--from out, or get {archive.url}."
        )
    return staged


def _place(staged, destination, wrong):
    if not destination.exists():
        staged.rename(destination)  # the whole folder in one step
        return
    for file in wrong:  # a file in one step: cut off between two, what is there is verified, and the next run goes on
        (staged / file).replace(destination / file)


def _verify(archive, path):
    import pooch

    found = pooch.file_hash(path)
    if found != archive.sha256:
        raise FetchError(
            f"{path} is not the official archive of {archive.name}, or is damaged or incomplete: expected SHA-256 "
            f"{archive.sha256}, but its {path.stat().st_size:,} bytes have {found}. It was not unpacked. Get it again "
            f"from {archive.url}."
        )


def _kept(archive, root, scratch):
    """The archive in `root`, where it stays; downloaded if it is not there already and right."""
    import pooch

    kept, part = root / archive.filename, scratch / archive.filename
    if not (kept.is_file() and pooch.file_hash(kept) == archive.sha256):
        _download(archive, root, archive.url, f"sha256:{archive.sha256}", part)
        part.replace(kept)
    return kept


def _download(archive, root, url, checksum, path):
    """Download one address to a path, verified, with a bar where somebody watches."""
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel("WARNING")  # whoever calls says what is downloaded, and where it will lie
    what = "archive" if archive.filename else "files"
    loader = pooch.HTTPDownloader(progressbar=_watched(), chunk_size=1 << 16, timeout=30)
    try:
        # Into the temporary folder: a process that is killed outright leaves pooch's half-written file behind.
        pooch.retrieve(url, checksum, fname=path.name, path=path.parent, downloader=loader)
    except RequestException as error:
        raise FetchError(
            f"{archive.name} is not in {(root / archive.folder).absolute()}, and could not be downloaded from "
            f"{url}: {error}. Run this again when there is a network; or get the {what} by other means and use "
            f"--from PATH; or stay with the quick profile (PADAM_PROFILE=quick), which needs no download."
        ) from error
    except ValueError as error:
        raise FetchError(
            f"What {url} sent is not the official {what.rstrip('s')} of {archive.name}, or is damaged or incomplete: "
            f"{error} Run this again, or get the {what} by other means and use --from PATH."
        ) from error


def _unpack(archive, path, scratch):
    """Unpack into `scratch`: only plain files and folders, all in the one folder that the archive should hold."""
    # Not by pooch.Untar, which uses tarfile's filter from Python 3.12 on only, and in pooch 1.8 never.
    if not hasattr(tarfile, "data_filter"):
        raise FetchError(
            f"This Python cannot unpack safely: use 3.10.12, 3.11.4 or later; or unpack {path} yourself and use --from."
        )

    expected = f"Expected plain files inside {archive.folder}, as in {archive.url}."

    def inside(member, target):
        """A filter for tarfile: its own for data, after a stricter look."""
        parts = PurePosixPath(member.name).parts
        if parts[:1] != (archive.folder,) or ".." in parts or not (member.isfile() or member.isdir()):
            # None of tarfile's own errors: some of them it swallows, and unpacks the member all the same.
            raise FetchError(f"{path} was not unpacked: its member {member.name!r} reaches out of it. {expected}")
        return tarfile.data_filter(member, target)

    try:
        with tarfile.open(path) as tar:
            tar.extractall(scratch, filter=inside)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise FetchError(f"{path} was not unpacked: {error}. {expected}") from error


def _watched():
    """As padam.training.progress has it, which this part of the package may not import."""
    return os.environ.get("PADAM_PROGRESS") != "0" and (sys.stderr.isatty() or "ipykernel" in sys.modules)
