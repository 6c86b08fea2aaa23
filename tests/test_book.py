"""The book's sources: every chapter listed once, every link and citation resolved, everything local."""

import ast
import importlib.util
import re
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK, CHAPTERS = ROOT / "book", sorted((ROOT / "chapters").glob("*.ipynb"))
PAGES = sorted(BOOK.glob("*.md"))

_spec = importlib.util.spec_from_file_location("make", BOOK / "make.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

EACH_CHAPTER = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def _prose(path):
    """The Markdown of a page or of a chapter."""
    if path.suffix == ".md":
        return path.read_text()
    return "\n\n".join(c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "markdown")


def _code(path):
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def test_the_table_of_contents_lists_every_page_and_chapter_once():
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text())
    listed = [toc["root"], *(page["file"] for part in toc["parts"] for page in part["chapters"])]
    there = [str(path.relative_to(ROOT).with_suffix("")) for path in (*PAGES, *CHAPTERS)]
    assert sorted(listed) == sorted(there)
    numbers = [name for name in listed if name.startswith("chapters/")]
    assert numbers == sorted(numbers)


@EACH_CHAPTER
def test_a_chapter_is_named_as_chapters_are_and_is_light(path):
    assert re.fullmatch(r"\d\d-[a-z0-9-]+", path.stem)
    assert path.stat().st_size <= 1_000_000


@EACH_CHAPTER
def test_the_set_up_cell_comes_first_and_from_one_place(path):
    first = _code(path)[0]
    assert first.source == make.setup_cell()
    assert "remove-cell" in first.metadata.tags


@EACH_CHAPTER
def test_a_chapter_is_plain_markdown(path):
    text = _prose(path)
    for raw in ("```{", ":::", "{doc}", "{cite", "{ref}", "\\begin{align"):
        assert raw not in text, f"{raw} shows as raw text on Colab and GitHub"
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>")
    for opened in re.findall(r"<details>(.*?)</details>", text, flags=re.S):
        assert opened.count("\n\n") >= 2, "Markdown inside <details> needs empty lines around it"


@EACH_CHAPTER
def test_a_chapter_has_the_parts_every_chapter_has(path):
    text = _prose(path)
    assert text.startswith("# ")
    for part in (
        "In this chapter you will",
        "minutes to read",
        "**Predict.**",
        "## What goes wrong",
        "## Exercises",
        "## Summary",
        "## Further reading",
        "## The next question",
    ):
        assert part in text, part
    solutions = [cell for cell in _code(path) if "hide-cell" in cell.metadata.get("tags", [])]
    assert len(solutions) == text.count("<summary>Solution</summary>") >= 3
    assert _code(path)[1].outputs[0].get("data", {}).get("image/png"), "the first thing to see is a picture"


@EACH_CHAPTER
def test_functions_in_a_chapter_are_short_and_plots_are_not_drawn_there(path):
    for cell in _code(path)[1:]:
        assert "matplotlib" not in cell.source
        assert not cell.source.rstrip().endswith(";")
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 5, f"{node.name} belongs into the package"


@EACH_CHAPTER
def test_a_chapter_was_run_top_to_bottom_without_errors(path):
    cells = _code(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            assert not re.search(r"0x[0-9a-f]{8}|/home/|/root/|/tmp/", str(output.get("text", "")))


@EACH_CHAPTER
def test_every_picture_has_alternative_text_in_its_cell(path):
    pictures = 0
    for cell in _code(path):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                pictures += 1
                alt = cell.metadata["mystnb"]["image"]["alt"]
                assert alt == output.data["text/plain"]
                assert len(alt) > 40
    assert pictures >= 2


@EACH_CHAPTER
def test_the_stored_chapter_is_as_the_tool_leaves_it(path):
    text = path.read_text()
    notebook = nbformat.reads(text, as_version=4)
    assert nbformat.writes(make.normalise(notebook, path.name)) + "\n" == text
    assert "python_version" not in text
    assert notebook.metadata.language_info == {"name": "python"}


@pytest.mark.parametrize("path", [*PAGES, *CHAPTERS], ids=lambda path: path.stem)
def test_links_between_pages_and_citations_resolve(path):
    text = _prose(path)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            assert (path.parent / target.split("#")[0]).exists(), target
    bibliography = (BOOK / "references.bib").read_text()
    for keys in re.findall(r"\{cite:\w+\}`([^`]+)`", text):
        for key in keys.split(","):
            assert f"{{{key.strip()}," in bibliography, key


def test_the_addresses_in_the_chapters_are_the_bibliographys():
    """A link to a paper in a chapter is the one that references.bib has, so that one place can be mended."""
    known = (BOOK / "references.bib").read_text()
    for path in CHAPTERS:
        for address in re.findall(r"\((https://(?:arxiv|openreview|jmlr|proceedings)[^)]*)\)", _prose(path)):
            assert address in known, address


def test_nothing_is_fetched_from_elsewhere_while_reading():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["launch_buttons"]["thebe"] is False
    static = BOOK / "_static"
    assert (static / config["sphinx"]["config"]["mathjax_path"]).exists()
    fonts = static / "mathjax" / "output" / "chtml" / "fonts" / "woff-v2"
    assert len(list(fonts.glob("*.woff"))) >= 20


def test_the_address_stands_in_one_place():
    address = make.repository()
    config = (ROOT / "_config.yml").read_text()
    assert (address in config) if address else ("repository:\n" not in config)
    for path in CHAPTERS:
        assert f'repository = "{address}"' in _code(path)[0].source


def test_stamping_writes_the_address_everywhere(tmp_path, monkeypatch):
    for name in ("_config.yml", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "chapters").mkdir()
    copy = tmp_path / "chapters" / CHAPTERS[0].name
    copy.write_text(CHAPTERS[0].read_text())
    monkeypatch.setattr(make, "ROOT", tmp_path)
    monkeypatch.setattr(make, "CHAPTERS", tmp_path / "chapters")
    monkeypatch.setenv("REPOSITORY", "https://example.org/owner/name")
    make.stamp()
    config = yaml.safe_load((tmp_path / "_config.yml").read_text())
    assert config["repository"]["url"] == "https://example.org/owner/name"
    assert config["launch_buttons"]["colab_url"]
    assert 'repository = "https://example.org/owner/name"' in _code(copy)[0].source
    monkeypatch.delenv("REPOSITORY")
    make.stamp()
    assert (tmp_path / "_config.yml").read_text() == (ROOT / "_config.yml").read_text()
    assert copy.read_text() == CHAPTERS[0].read_text()


def test_normalising_refuses_what_would_embarrass(tmp_path):
    def notebook(output):
        cell = nbformat.v4.new_code_cell("x", outputs=[output])
        return nbformat.v4.new_notebook(cells=[cell])

    warned = nbformat.v4.new_output("stream", name="stderr", text="a warning")
    with pytest.raises(ValueError, match="wrote to stderr: a warning"):
        make.normalise(notebook(warned), "chapter")
    bare = nbformat.v4.new_output("display_data", {"image/png": "aaaa"})
    with pytest.raises(ValueError, match="picture with alternative text"):
        make.normalise(notebook(bare), "chapter")


def _run_set_up(monkeypatch, address, installed):
    """Execute the set-up cell as on Colab; returns the lines it gave to IPython."""
    import sys

    commands = []

    class Shell:
        def run_line_magic(self, magic, line):
            commands.append(f"%{magic} {line}")

    monkeypatch.setitem(sys.modules, "google.colab", object())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in installed else None)
    exec(make.SETUP.format(repository=address), {"get_ipython": Shell})
    return commands


EVERYTHING = {"padam", "matplotlib", "mlxtend", "numpy", "torch", "tqdm"}


def test_the_set_up_cell_on_colab_never_touches_its_torch(monkeypatch):
    (command,) = _run_set_up(monkeypatch, "https://example.org/owner/name", EVERYTHING)
    assert command == "%pip install --quiet --no-deps git+https://example.org/owner/name@main"
    assert _run_set_up(monkeypatch, "", EVERYTHING) == []


def test_the_set_up_cell_says_what_is_missing(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="padam-"):
        _run_set_up(monkeypatch, "", EVERYTHING - {"padam"})
    assert "make wheel" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="mlxtend"):
        _run_set_up(monkeypatch, "", EVERYTHING - {"mlxtend"})


def test_the_set_up_cell_does_nothing_elsewhere():
    names = {}
    exec(make.SETUP.format(repository="https://example.org/owner/name"), names)
    assert set(names) - {"__builtins__"} == {"importlib", "sys"}  # it only looked where it is


def test_the_readmes_commands_exist():
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for target in re.findall(r"^    make (\w+)", readme, flags=re.M):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_readmes_loop_runs():
    import torch

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.S)
    model = torch.nn.Linear(3, 2)
    before = model.weight.detach().clone()
    exec(code, {"torch": torch, "model": model, "loader": [(torch.randn(4, 3), torch.tensor([0, 1, 1, 0]))]})
    assert not torch.equal(before, model.weight)


def test_the_pictures_of_the_first_page_are_the_packages():
    """The map is drawn again; the dial is the Padam chapter's first picture; both carry the text they should."""
    import base64

    from padam import plots

    intro = (BOOK / "intro.md").read_text()
    assert f":alt: {plots.family().alt}" in intro
    assert (BOOK / "_static" / "map.png").read_bytes().startswith(b"\x89PNG")
    outputs = [o.get("data", {}) for c in _code(ROOT / "chapters" / "08-padam.ipynb") for o in c.outputs]
    first = next(data for data in outputs if "image/png" in data)
    assert (BOOK / "_static" / "dial.png").read_bytes() == base64.b64decode(first["image/png"])
    assert f":alt: {first['text/plain']}" in intro


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<img src="gone.png" alt="a">', "page.html: gone.png leads nowhere"),
        (
            '<script src="https://example.org/a.js"></script>',
            "page.html: needs the network for https://example.org/a.js",
        ),
        ('<link rel="stylesheet" href="//example.org/a.css">', "page.html: needs the network for //example.org/a.css"),
        ('<a href="other.html#part">x</a>', "page.html: other.html#part leads nowhere"),
        ("<p>see {doc}`intro`</p>", "page.html: shows '{doc}`'"),
        ("<p>**bold</p>", "page.html: shows '**b'"),
        ("<p>$$ x $$</p>", "page.html: shows '$$'"),
        ('<img src="page.html">', "page.html: shows '{picture without alternative text}'"),
    ],
)
def test_what_a_reader_would_stumble_over_fails_the_build(body, fault, tmp_path):
    (tmp_path / "page.html").write_text(f"<body>{body}</body>")
    assert fault in make.faults_of(tmp_path)


def test_pages_without_faults_pass(tmp_path):
    fine = '<a href="https://example.org">x</a> <a href="#top">y</a> <code>**kwargs {doc}`</code> <a href="page.html">'
    (tmp_path / "page.html").write_text(f"<body>{fine}</body>")
    assert make.faults_of(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(("chapter", "archive"), [("13-cifar", "cifar10"), ("15-treebank", "ptb")])
def test_the_cell_that_retrains_runs_what_it_says_and_on_colab_keeps_it_on_the_drive(chapter, archive, monkeypatch):
    """As it stands it does nothing; switched on it fetches, trains and shows, with commands that the package has."""
    import sys
    import types

    from typer.testing import CliRunner

    from padam import cli
    from padam.data import fetch

    (cell,) = [c.source for c in _code(ROOT / "chapters" / f"{chapter}.ipynb") if c.source.startswith("RETRAIN")]
    assert cell.startswith("RETRAIN = False\n")
    done, fetched, mounted, piped = [], [], [], []
    shell = types.SimpleNamespace(system=done.append, run_line_magic=lambda *line: piped.append(" ".join(line)))
    names = {"sys": sys, "get_ipython": lambda: shell}
    exec(cell, dict(names))
    assert not done
    monkeypatch.setattr(fetch, "fetch", lambda archive, root, given: fetched.append((archive.name, root)))
    switched = cell.replace("RETRAIN = False", "RETRAIN = True")
    exec(switched, dict(names))
    assert fetched == [(archive, "data")]
    assert [command.split(" -m padam ")[1].split()[0] for command in done] == ["reproduce", "results"]
    assert all(command.startswith(sys.executable) and "--out padam-runs" in command for command in done)
    planned = CliRunner().invoke(cli.app, [*done[0].split()[3:], "--plan"])
    assert planned.exit_code == 0, planned.output
    drive = types.SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(drive=drive))
    exec(switched, dict(names))
    assert mounted == ["/content/drive"]
    assert piped == ["pip install --quiet pooch rich typer"]  # nothing that would touch Colab's torch
    assert all("--out /content/drive/MyDrive/padam-runs" in command for command in done[2:])
