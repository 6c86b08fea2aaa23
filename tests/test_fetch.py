"""CIFAR on its way into place: tiny stand-ins for the official archives, every fault on the way, and the real files."""

import errno
import functools
import gc
import hashlib
import http.server
import importlib.util
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch
import warm
from conftest import serving

from padam import data
from padam.data import cifar, fetch

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("PADAM_DATA") or ROOT / "data")
NAMES = ("cifar10", "cifar100")


def _script():
    spec = importlib.util.spec_from_file_location("cifar_script", ROOT / "data_scripts" / "cifar.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def _pack(path, folder, files, *more):
    """A .tar.gz of {name: bytes} inside a folder, and of further TarInfo; its SHA-256."""
    with tarfile.open(path, "w:gz") as tar:
        for name, raw in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(raw)
            tar.addfile(member, io.BytesIO(raw))
        for member in more:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return pooch.file_hash(path)


def _tables(server):
    """Stand-ins for the tables of `cifar`, and for what the two archives hold: {folder: {file: bytes}}."""
    rng, sets, archives, contents = np.random.default_rng(0), {}, {}, {}
    for name, (folder, key, moments, train, test) in cifar._SETS.items():
        url, _, classes = cifar._ARCHIVES[name]
        files = {"readme.html": b"a file that nothing here knows"} | {file: file.encode() for file in classes}
        for file in (*train, *test):
            batch = {"data": rng.integers(256, size=(4, 3072), dtype=np.uint8), key: [0, 1, 2, 3], "coarse_labels": [9]}
            files[file] = pickle.dumps(batch)
        md5 = {file: hashlib.md5(raw).hexdigest() for file, raw in files.items()}
        contents[folder] = files
        sets[name] = (folder, key, moments, {file: md5[file] for file in train}, {file: md5[file] for file in test})
        archives[name] = (f"{server}/{Path(url).name}", None, {file: md5[file] for file in classes})
    return sets, archives, contents


@pytest.fixture
def official(tmp_path, monkeypatch):
    """Folder with both stand-in archives; the tables describe them, and at their address there is nobody."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "PADAM_DATA"):
        monkeypatch.delenv(variable, raising=False)
    sets, archives, contents = _tables("http://127.0.0.1:9")
    folder = tmp_path / "official"
    folder.mkdir()
    for name, (url, _, names) in archives.items():
        inside = sets[name][0]
        archives[name] = (url, _pack(folder / Path(url).name, inside, contents[inside]), names)
    monkeypatch.setattr(cifar, "_SETS", sets)
    monkeypatch.setattr(cifar, "_ARCHIVES", archives)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def server(official, monkeypatch):
    """The stand-ins over HTTP. `.asked` lists what was asked for; with `.cut` or `.stall`, half a file is sent."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def copyfile(self, source, target):
            listener.asked.append(self.path)
            raw = source.read()
            target.write(raw[: len(raw) // 2] if listener.cut or listener.stall else raw)
            if listener.stall:
                target.flush()
                listener.stalled.set()
                listener.go_on.wait(60)

    with serving(functools.partial(Handler, directory=official)) as listener:
        listener.asked, listener.cut, listener.stall = [], False, False
        listener.stalled, listener.go_on = threading.Event(), threading.Event()
        address = f"http://127.0.0.1:{listener.server_port}"
        for name, (url, *rest) in list(cifar._ARCHIVES.items()):
            monkeypatch.setitem(cifar._ARCHIVES, name, (f"{address}/{Path(url).name}", *rest))
        yield listener
        listener.go_on.set()


def _state(root):
    """{path: (bytes, inode)} of every file below a folder, hidden ones too: what must not change."""
    return {path: (path.read_bytes(), path.stat().st_ino) for path in Path(root).rglob("*") if path.is_file()}


def _fetch(name="cifar10", given=None):
    return fetch.fetch(cifar.archive(name), Path("data"), given)


def _refused(match, given=None, root="data", name="cifar10"):
    """Fetching is refused with this message, and leaves everything below root as it was; returns the message."""
    before = _state(root)
    with pytest.raises(fetch.FetchError, match=match) as caught:
        fetch.fetch(cifar.archive(name), Path(root), given)
    assert _state(root) == before
    assert not [path for path in Path(root).glob("*") if path.name.startswith(".")], "a temporary folder is left"
    return str(caught.value)


def _complete(*names):
    for name in names:
        assert fetch.unverified(cifar.archive(name), Path("data", cifar._SETS[name][0])) == {}
        assert len(data.load(name, "data").train[1]) == 4 * len(cifar._SETS[name][3])
    assert not list(Path("data").glob(".*"))


def _flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


# What works


@pytest.mark.parametrize("at", ["archive", "folder of archives", "folder of the unpacked", "unpacked"])
@pytest.mark.parametrize("name", NAMES)
def test_files_at_hand_are_taken_in_every_shape(official, name, at):
    archive = cifar.archive(name)
    shutil.unpack_archive(official / archive.filename, "unpacked", filter="data")
    given = {"archive": official / archive.filename, "folder of archives": official, "unpacked": Path("unpacked")}
    given["folder of the unpacked"], given["unpacked"] = Path("unpacked"), Path("unpacked", archive.folder)
    before = _state("unpacked") | _state(official)
    assert _fetch(name, given[at]) == Path("data", archive.folder)
    _complete(name)
    assert _state("unpacked") | _state(official) == before


def test_both_are_downloaded_once_and_only_what_is_missing_again(server, capsys):
    main = _script()
    main([])
    assert server.asked == ["/cifar-10-python.tar.gz", "/cifar-100-python.tar.gz"]
    _complete(*NAMES)
    archive = Path("data/cifar-100-python.tar.gz")
    whole = archive.read_bytes()
    archive.unlink()  # which is no longer needed
    before = _state("data")
    main([])
    assert (len(server.asked), _state("data")) == (2, before)
    shutil.rmtree("data/cifar-10-batches-py")  # its archive is still there: no request
    shutil.rmtree("data/cifar-100-python")
    archive.write_bytes(whole[:1000])  # as if cut off: that one again
    main([])
    assert server.asked[2:] == ["/cifar-100-python.tar.gz"]
    _complete(*NAMES)


def test_only_a_damaged_or_missing_file_is_replaced(official):
    folder = _fetch(given=official)
    (folder / "data_batch_2").unlink()
    _flip(folder / "test_batch")
    _flip(folder / "batches.meta")
    good = {path: state for path, state in _state(folder).items() if path.name not in ("test_batch", "batches.meta")}
    _fetch(given=official)
    after = _state(folder)
    _complete("cifar10")
    assert {path: after[path] for path in good} == good
    assert len(after) == len(good) + 3


def test_a_folder_without_the_names_of_classes_will_do(official):
    shutil.unpack_archive(official / "cifar-100-python.tar.gz", "unpacked", filter="data")
    Path("unpacked/cifar-100-python/meta").unlink()
    _fetch("cifar100", "unpacked")
    _complete("cifar100")


def test_the_script_takes_what_from_holds_and_says_where_it_lies(official, capsys, monkeypatch):
    monkeypatch.setenv("PADAM_DATA", "elsewhere")
    _script()(["--from", str(official / "cifar-100-python.tar.gz")])
    out = capsys.readouterr().out
    for words in (str(Path("elsewhere/cifar-100-python").absolute()), f"PADAM_DATA={Path('elsewhere').absolute()}"):
        assert words in out
    assert "no licence" in out
    assert "Krizhevsky (2009)" in out
    assert not Path("elsewhere/cifar-10-batches-py").exists()


def test_the_scripts_help_needs_no_torch_and_faults_end_it_with_one_message(official, capsys):
    script = ROOT / "data_scripts" / "cifar.py"
    run = subprocess.run([sys.executable, "-X", "importtime", script, "--help"], capture_output=True, text=True)
    assert (run.returncode, "examples:" in run.stdout, " torch\n" in run.stderr) == (0, True, False)
    with pytest.raises(SystemExit) as caught:
        _script()(["cifar10", "--from", "nowhere"])
    assert str(caught.value).startswith("Error: cifar10 is not at nowhere")  # a text means exit code 1, on stderr
    with pytest.raises(SystemExit, match="2"):
        _script()(["cifar11"])
    assert "cifar11" in capsys.readouterr().err


# Faults of the source


def test_damaged_files_and_archives_are_refused(official):
    shutil.unpack_archive(official / "cifar-10-python.tar.gz", "unpacked", filter="data")
    _flip(Path("unpacked/cifar-10-batches-py/data_batch_3"))
    Path("unpacked/cifar-10-batches-py/data_batch_4").unlink()
    message = _refused("does not hold the official files", "unpacked")
    assert f"data_batch_3 has another MD5 than the official {cifar.archive('cifar10').files['data_batch_3']}" in message
    assert "data_batch_4 is missing" in message
    archive = official / "cifar-10-python.tar.gz"
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert f"its {len(whole) // 2:,} bytes have" in _refused("damaged or incomplete: expected SHA-256", archive)
    archive.write_bytes(whole)
    _flip(archive)
    assert cifar.archive("cifar10").url in _refused("not the official archive of cifar10", archive)
    archive.write_bytes(whole)
    _fetch(given=archive)
    _complete("cifar10")


def test_what_is_there_survives_a_bad_source(official):
    folder = _fetch(given=official)
    _flip(folder / "test_batch")
    _flip(official / "cifar-10-python.tar.gz")
    _refused("not the official archive", official)


def test_a_damaged_extra_that_the_source_lacks_is_not_passed_over(official):
    shutil.copytree(_fetch(given=official), "unpacked")
    Path("unpacked/batches.meta").unlink()
    _flip(Path("data/cifar-10-batches-py/batches.meta"))
    _refused("batches.meta is missing", "unpacked")


def _member(name, kind=tarfile.REGTYPE, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "member",
    [
        _member("../escaped"),
        _member("cifar-10-batches-py/../../escaped"),
        _member("/HERE/escaped"),
        _member("cifar-10-batches-py/link", tarfile.SYMTYPE, "../../escaped"),
        _member("cifar-10-batches-py/hard", tarfile.LNKTYPE, "../escaped"),
        _member("cifar-10-batches-py/pipe", tarfile.FIFOTYPE),
        _member("beside"),
    ],
    ids=lambda member: member.name,
)
def test_an_archive_that_reaches_out_of_its_folder_is_refused(official, monkeypatch, member):
    """Even where its checksum is right, which the official ones' never is."""
    path = official / "cifar-10-python.tar.gz"
    url, _, names = cifar._ARCHIVES["cifar10"]
    member.name = member.name.replace("/HERE", str(Path.cwd()))
    sha256 = _pack(path, "cifar-10-batches-py", _tables("")[2]["cifar-10-batches-py"], member)
    monkeypatch.setitem(cifar._ARCHIVES, "cifar10", (url, sha256, names))
    before = {path.name for path in Path.cwd().rglob("*")}
    message = _refused("was not unpacked: .* Expected plain files inside cifar-10-batches-py", path)
    assert f"its member {member.name!r} reaches out" in message
    assert {path.name for path in Path.cwd().rglob("*")} == before | {"data"}


def test_the_wrong_place_is_refused_with_what_was_expected(official):
    Path("empty").mkdir()
    for place in ("empty", "nowhere", official / "cifar-100-python.tar.gz"):
        _refused("cifar10 is not at .* expected cifar-10-python.tar.gz, cifar-10-batches-py, or a folder", place)


def test_an_old_python_is_told_so(official, monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    _refused("cannot unpack safely: use 3.10.12", official)


# Faults of the network


def test_without_network_the_message_has_the_way_on(official):
    message = _refused("cifar10 is not in .* could not be downloaded")
    for words in (cifar.archive("cifar10").url, str(Path("data").absolute()), "PADAM_PROFILE=quick", "--from PATH"):
        assert words in message


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fault", ["cut", "absent", "other"])
def test_a_download_that_fails_leaves_nothing(server, official, fault):
    archive = official / "cifar-10-python.tar.gz"
    whole = archive.read_bytes()
    server.cut = fault == "cut"
    if fault == "absent":
        archive.unlink()
    if fault == "other":
        archive.write_bytes(b"<html>Please log in to this network.</html>")
    _refused("sent is not the official archive" if fault == "other" else "could not be downloaded|not the official")
    gc.collect()  # requests leaves the socket of a failed download to the collector, which would warn in a later test
    server.cut = False
    archive.write_bytes(whole)
    _fetch()
    _complete("cifar10")


# Faults of the disk, and interruptions


def _stop(monkeypatch, where, error, after=0):
    """Make a step raise: the download (half done), unpacking or copying (one file done), a rename, a new folder."""
    calls = []

    def stop(original, *arguments, **keywords):
        calls.append(1)
        if len(calls) > after:
            raise error
        return original(*arguments, **keywords)

    def half(self, url, output, pooch):
        Path(output).write_bytes(b"half")
        raise error

    if where == "download":
        monkeypatch.setattr(pooch.HTTPDownloader, "__call__", half)
        return
    owner, name = {
        "unpack": (tarfile, "copyfileobj"),
        "copy": (shutil, "copyfile"),
        "rename": (Path, "replace"),
        "place": (Path, "rename"),
        "folder": (tempfile, "mkdtemp"),
    }[where]
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *arguments, **keywords: stop(original, *arguments, **keywords))


STEPS = [("download", 0), ("unpack", 2), ("copy", 2), ("rename", 0), ("rename", 1), ("place", 0), ("folder", 0)]


@pytest.mark.parametrize(("where", "after"), STEPS)
@pytest.mark.parametrize("name", ["ENOSPC", "EROFS", "EACCES", "SIGINT"])
def test_cut_off_anywhere_it_leaves_only_what_is_verified_and_can_be_repeated(server, monkeypatch, where, after, name):
    """Two files of the destination are bad and the rest is to be kept, except where it is put there whole."""
    folder, given = Path("data/cifar-10-batches-py"), None
    if where == "copy":
        shutil.unpack_archive("official/cifar-10-python.tar.gz", "unpacked", filter="data")
        given = "unpacked"
    if where == "rename":
        _fetch()
        for file in ("data_batch_2", "data_batch_5"):
            _flip(folder / file)
        if after == 0:
            Path("data/cifar-10-python.tar.gz").unlink()  # so that the first rename is the archive's
    error = (
        KeyboardInterrupt() if name == "SIGINT" else OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
    )
    with monkeypatch.context() as patch:
        _stop(patch, where, error, after)
        with pytest.raises(KeyboardInterrupt if name == "SIGINT" else fetch.FetchError) as caught:
            _fetch(given=given)
    if name != "SIGINT":
        assert f"{error.strerror}. It takes a folder that you may write in and up to 360 MB" in str(caught.value)
    assert {path.name for path in Path("data").iterdir()} <= {"cifar-10-python.tar.gz", folder.name}
    assert len(fetch.unverified(cifar.archive("cifar10"), folder)) == ({0: 2, 1: 1}[after] if where == "rename" else 6)
    assert folder.exists() == (where == "rename")
    _fetch(given=given)
    _complete("cifar10")


def test_interrupting_the_script_is_no_traceback(server, monkeypatch):
    _stop(monkeypatch, "download", KeyboardInterrupt())
    with pytest.raises(SystemExit, match="Interrupted. Nothing half-written is left"):
        _script()([])
    assert list(Path("data").iterdir()) == []


SCRIPT = """
import runpy, sys
from padam.data import cifar
cifar._SETS, cifar._ARCHIVES = eval(sys.argv.pop(1))
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_run_that_is_really_killed_can_be_repeated(server, number):
    server.stall = True
    tables, script = repr((cifar._SETS, cifar._ARCHIVES)), ROOT / "data_scripts" / "cifar.py"
    with warm.Process("-c", SCRIPT, tables, script, "cifar10") as run:
        assert server.stalled.wait(60)
        run.send_signal(number)
        error = run.communicate(timeout=60)[1]
    server.stall = False
    server.go_on.set()
    assert "Traceback" not in error
    assert not Path("data/cifar-10-python.tar.gz").exists()
    if number == signal.SIGTERM:
        assert (run.returncode, list(Path("data").iterdir())) == (1, [])
    for scratch in Path("data").glob(".fetch-*"):  # nobody can tidy up after SIGKILL but the next run, a day later
        os.utime(scratch, (0, 0))
    _fetch()
    _complete("cifar10")


@pytest.mark.parametrize(("terminal", "setting", "shown"), [(True, "1", True), (True, "0", False), (False, "1", False)])
def test_a_bar_is_shown_where_somebody_watches(server, monkeypatch, capsys, terminal, setting, shown):
    monkeypatch.setenv("PADAM_PROGRESS", setting)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    _fetch()
    assert ("100%" in capsys.readouterr().err) == shown


def test_what_a_killed_run_left_is_removed_after_a_day(official):
    for name, age in ((".fetch-old", 25), (".fetch-new", 23)):
        Path("data", name).mkdir(parents=True)
        os.utime(Path("data", name), (time.time() - 3600 * age,) * 2)
    _fetch(given=official)
    assert [path.name for path in Path("data").glob(".*")] == [".fetch-new"]


LIMITED = """
import resource, signal, sys
from padam.data import cifar, fetch
cifar._SETS, cifar._ARCHIVES = eval(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    fetch.fetch(cifar.archive("cifar10"), "data", sys.argv[2])
except fetch.FetchError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no RLIMIT_FSIZE")
@pytest.mark.parametrize("shape", ["official", "unpacked"])
def test_a_disk_that_really_refuses_to_be_written_is_one_message(official, shape):
    shutil.unpack_archive(official / "cifar-10-python.tar.gz", "unpacked", filter="data")
    tables = repr((cifar._SETS, cifar._ARCHIVES))
    run = warm.run("-c", LIMITED, tables, shape)
    assert run.returncode == 1
    assert f"could not be put into {Path('data').absolute()}: [Errno {errno.EFBIG}]" in run.stderr
    assert "Traceback" not in run.stderr
    assert list(Path("data").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no user ids")
def test_a_folder_that_really_may_not_be_written_is_one_message(official):
    """Root may write anywhere, so as root this is done as nobody."""
    with tempfile.TemporaryDirectory() as place:
        given, root = Path(place, "official"), Path(place, "data")
        shutil.copytree(official, given)
        root.mkdir()
        for folder in (place, given, root):
            os.chmod(folder, 0o555)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            _refused("Permission denied.* name another folder with --root", given, root)
        finally:
            os.seteuid(user)
            os.chmod(place, 0o755)
            os.chmod(root, 0o755)
            os.chmod(given, 0o755)


# The reader


def test_missing_files_say_where_they_were_looked_for_and_how_to_get_them(official, monkeypatch):
    monkeypatch.setenv("PADAM_DATA", "elsewhere")
    with pytest.raises(FileNotFoundError) as caught:
        data.load("cifar10")
    for words in ("data_scripts/cifar.py cifar10", str(Path("elsewhere").absolute()), "PADAM_DATA", "quick profile"):
        assert words in str(caught.value)
    Path(_fetch(given=official), "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py: data_batch_4 missing"):
        data.load("cifar10", "data")


class _Weapon:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_a_file_that_is_not_the_official_one_is_refused_before_it_is_unpickled(official):
    file = _fetch(given=official) / "data_batch_1"
    raw = pickle.dumps(_Weapon())
    pickle.loads(raw).close()
    Path("executed").unlink()  # so it works
    file.write_bytes(raw)
    with pytest.raises(ValueError, match="data_batch_1 is not the official file .* data_scripts/cifar.py"):
        data.load("cifar10", "data")
    assert not Path("executed").exists()
    assert _fetch(given=official)
    _flip(file)
    with pytest.raises(ValueError, match="its MD5 differs"):
        data.load("cifar10", "data")


@pytest.fixture(scope="module", params=NAMES)
def real(request):
    """(name, `Images`, classes) of the official files, where they are."""
    archive = cifar.archive(request.param)
    if not Path(REAL, archive.folder).is_dir():
        pytest.skip(f"{archive.folder} is not in {REAL}")
    return request.param, data.load(request.param, REAL), int(request.param[5:])


def test_every_real_file_is_the_official_one(real):
    archive = cifar.archive(real[0])
    assert fetch.unverified(archive, REAL / archive.folder) == {}


def test_the_reader_agrees_with_torchvision_on_every_picture_and_label(real):
    datasets = pytest.importorskip("torchvision.datasets")
    name, images, _ = real
    for part, train in ((images.train, True), (images.test, False)):
        theirs = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name](REAL, train=train)
        assert torch.equal(part[0], torch.from_numpy(theirs.data).permute(0, 3, 1, 2))
        assert part[1].tolist() == theirs.targets


def test_classes_of_the_real_data_are_the_fine_ones_and_equally_many(real):
    _, images, classes = real
    for (pictures, labels), count in ((images.train, 50_000), (images.test, 10_000)):
        assert pictures.shape == (count, 3, 32, 32)
        assert (pictures.dtype, labels.dtype) == (torch.uint8, torch.int64)
        assert labels.bincount().tolist() == [count // classes] * classes


def test_mean_and_std_are_the_authors(real):
    """github.com/uclaml/Padam, run_cnn_test_cifar10.py and ..._cifar100.py. CIFAR-10's std is that within pictures."""
    name, images, _ = real
    theirs = {
        "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        "cifar100": ((0.507, 0.487, 0.441), (0.267, 0.256, 0.276)),
    }
    assert torch.equal(torch.stack((images.mean, images.std)), torch.tensor(theirs[name]))
    pixels = images.train[0][::10].float() / 255
    within = pixels.std((2, 3)).mean(0) if name == "cifar10" else pixels.std((0, 2, 3))
    torch.testing.assert_close(images.mean, pixels.mean((0, 2, 3)), atol=5e-3, rtol=0)
    torch.testing.assert_close(images.std, within, atol=5e-3, rtol=0)
