"""The Penn Treebank on its way into place, and as tokens: tiny stand-ins, faults on the way, and the real files."""

import functools
import gc
import hashlib
import http.server
import importlib.util
import os
from pathlib import Path

import pytest
import torch
from conftest import serving

from padam import data
from padam.data import fetch, ptb

ROOT = Path(__file__).resolve().parent.parent
REAL = Path(os.environ.get("PADAM_DATA") or ROOT / "data")
TEXTS = {
    "ptb.train.txt": b" the cat sat \n <unk> the N \n",
    "ptb.valid.txt": b" the cat \n",
    "ptb.test.txt": b" sat the \n cat \n",
}


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A folder with stand-ins for the three files; the table describes them, and at their address there is nobody."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "PADAM_DATA"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "official"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_bytes(text)
    monkeypatch.setattr(ptb, "_MD5", {name: hashlib.md5(text).hexdigest() for name, text in TEXTS.items()})
    monkeypatch.setattr(ptb, "_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def server(official, monkeypatch):
    """The stand-ins over HTTP; `.asked` lists what was asked for."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def do_GET(self):
            listener.asked.append(self.path)
            super().do_GET()

    with serving(functools.partial(Handler, directory=official)) as listener:
        listener.asked = []
        monkeypatch.setattr(ptb, "_ADDRESS", f"http://127.0.0.1:{listener.server_port}")
        yield listener


def _main(*arguments):
    spec = importlib.util.spec_from_file_location("ptb_script", ROOT / "data_scripts" / "ptb.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([str(argument) for argument in arguments])


def _refused(match, given=None):
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    with pytest.raises(fetch.FetchError, match=match) as caught:
        fetch.fetch(ptb.files(), "data", given)
    assert {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()} == before
    assert not list(Path("data").glob(".*")), "a temporary folder is left"
    return str(caught.value)


def test_a_line_is_a_sentence_that_ends_with_eos(official):
    fetch.fetch(ptb.files(), "data", official)
    text = data.load("ptb", "data")
    assert text.vocabulary == ("the", "cat", "sat", "<eos>", "<unk>", "N")
    assert text.train.tolist() == [0, 1, 2, 3, 4, 0, 5, 3]
    assert text.valid.tolist() == [0, 1, 3]
    assert text.test.tolist() == [2, 0, 3, 1, 3]
    assert text.first == 3
    assert text.sha256 == hashlib.sha256(b"".join(TEXTS.values())).hexdigest()


@pytest.mark.parametrize("at", ["the folder", "the folder above"])
def test_files_at_hand_are_taken_and_the_licence_is_said(official, at, capsys):
    if at == "the folder above":
        official = official.rename(official.parent / "ptb").parent
    _main("--from", official)
    said = capsys.readouterr().out
    assert "ptb is in" in said
    assert "LDC" in said
    assert "for that alone" in said
    assert len(data.load("ptb", "data").train) == 8


def test_only_what_is_missing_or_damaged_is_downloaded(server, capsys):
    _main()
    assert sorted(server.asked) == ["/ptb.test.txt", "/ptb.train.txt", "/ptb.valid.txt"]
    _main()
    assert len(server.asked) == 3
    Path("data/ptb/ptb.valid.txt").write_bytes(b"half")
    kept = Path("data/ptb/ptb.train.txt").stat().st_ino
    _main()
    assert server.asked[3:] == ["/ptb.valid.txt"]
    assert Path("data/ptb/ptb.train.txt").stat().st_ino == kept
    assert len(data.load("ptb", "data").valid) == 3
    assert not list(Path("data").glob(".*"))


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_bad_and_missing_files_are_refused_and_leave_nothing(server, official):
    (official / "ptb.test.txt").write_bytes(b"<html>Please log in to this network.</html>")
    _refused("/ptb.test.txt sent is not the official file of ptb, .* MD5 hash of downloaded file .ptb.test.txt.")
    (official / "ptb.test.txt").unlink()
    _refused("could not be downloaded")
    gc.collect()  # requests leaves the socket of a failed download to the collector
    _refused("ptb.test.txt is missing", official)


def test_without_network_and_in_the_wrong_place_the_message_has_the_way_on(official):
    said = _refused("ptb is not in .* could not be downloaded")
    for words in ("ptb.train.txt", "PADAM_PROFILE=quick", "--from PATH", "get the files by other means"):
        assert words in said
    said = _refused(
        "ptb is not at nowhere: expected ptb, or a folder that holds ptb.train.txt, ptb.valid.txt", "nowhere"
    )
    assert ptb.files().url in said
    with pytest.raises(SystemExit, match="Error: ptb is not at nowhere"):
        _main("--from", "nowhere")


def test_loading_what_is_not_there_or_not_right_says_what_to_do(official):
    with pytest.raises(
        FileNotFoundError, match=r"ptb.train.txt, ptb.valid.txt, ptb.test.txt missing.*data_scripts/ptb.py"
    ):
        data.load("ptb", "data")
    folder = fetch.fetch(ptb.files(), "data", official)
    (folder / "ptb.valid.txt").write_bytes(b" the dog \n")
    with pytest.raises(ValueError, match="ptb.valid.txt is not the official file"):
        data.load("ptb", "data")


def test_the_real_text_has_the_numbers_that_everybody_states():
    if not (REAL / "ptb").is_dir():
        pytest.skip(f"no Penn Treebank in {REAL}")
    text = data.load("ptb", REAL)
    assert [len(part) for part in (text.train, text.valid, text.test)] == [929_589, 73_760, 82_430]
    assert len(text.vocabulary) == len(set(text.vocabulary)) == 10_000
    assert all(part.dtype == torch.int64 for part in text[:3])
    assert int(max(part.max() for part in text[:3])) == 9_999
    assert (text.train == text.first).sum() == 42_068  # sentences
    assert " ".join(text.vocabulary[k] for k in text.train[24:33].tolist()) == (
        "<eos> pierre <unk> N years old will join the"
    )
