"""What the Makefile's targets for the book do: run the chapters, stage the sources, build, stamp.

python book/make.py notebooks   run every chapter in place and write its outputs and alternative texts
python book/make.py book        run copies of the chapters, then build the pages from them
python book/make.py html        build the pages from the outputs stored in the chapters
python book/make.py stamp       write the repository's address (pyproject.toml) where it is needed
"""

import argparse
import base64
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import nbformat

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
CHAPTERS = ROOT / "chapters"
STAGE = ROOT / "book" / "_build" / "source"
PAGES = ROOT / "book" / "_build" / "html"

# The first code cell of every chapter; {repository} is the address in pyproject.toml, or nothing.
SETUP = """\
import importlib.util
import sys

if "google.colab" in sys.modules:  # elsewhere the package is there already
    repository = "{repository}"
    if repository:
        command = f"install --quiet --no-deps git+{{repository}}@main"
        get_ipython().run_line_magic("pip", command)
    elif importlib.util.find_spec("padam") is None:
        print("Build the wheel (make wheel) and upload it here, then run:")
        raise SystemExit("%pip install --no-deps padam-*.whl")
    needed = ("matplotlib", "mlxtend", "numpy", "torch", "tqdm")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit("Install what is missing: %pip install " + " ".join(missing))"""


def repository():
    """The address: REPOSITORY if it is set, else that of [project.urls] in pyproject.toml, else ""."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return os.environ.get("REPOSITORY") or project.get("urls", {}).get("Repository", "")


def setup_cell():
    """The source of the set-up cell, for the address that pyproject.toml has."""
    return SETUP.format(repository=repository())


def chapters():
    """The notebooks, in the order of their numbers."""
    return sorted(CHAPTERS.glob("[0-9][0-9]-*.ipynb"))


def normalise(notebook, name):
    """Make an executed notebook the same every time: no timings, no versions, alternative texts in the metadata.

    Raises ValueError for a cell that wrote to stderr, that shows more than one picture, or a picture without text.
    """
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        cell.outputs = _joined(cell.outputs)
        texts = []
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise ValueError(f"{name}: a cell wrote to stderr: {output.text.strip()[:500]}")
            if "image/png" in output.get("data", {}):
                texts.append(output.metadata.get("image/png", {}).get("alt", ""))
        if len(texts) > 1 or texts == [""]:
            raise ValueError(f"{name}: a cell needs exactly one picture with alternative text: {cell.source[:200]}")
        cell.metadata.pop("mystnb", None)
        if texts:
            cell.metadata["mystnb"] = {"image": {"alt": texts[0]}}
    return notebook


def _joined(outputs):
    """The outputs, with what print wrote in several pieces as one; where the pieces end is chance."""
    joined = []
    for output in outputs:
        if joined and output.output_type == "stream" and joined[-1].get("name") == output.name:
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined


def run(path, target):
    """Execute one notebook, top to bottom in a fresh kernel with one thread, and write the result to `target`."""
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    env = os.environ | {"PADAM_PROGRESS": "0", "PADAM_PROFILE": "quick", "OMP_NUM_THREADS": "1"}
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": CHAPTERS}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # it warns that it listens on this machine
    )
    client.execute(env=env)
    text = nbformat.writes(normalise(notebook, path.name)) + "\n"
    temporary = target.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(target)
    print(f"ran {path.relative_to(ROOT)}", flush=True)


def run_all(folder):
    """Execute every chapter into `folder`, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        for finished in [pool.submit(run, path, folder / path.name) for path in chapters()]:
            finished.result()


def pictures():
    """Write the pictures of the README and the first page: the Padam chapter's opening, and the map of the book."""
    from padam import plots

    notebook = nbformat.read(CHAPTERS / "08-padam.ipynb", as_version=4)
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    first = next(data["image/png"] for data in outputs if "image/png" in data)
    static = ROOT / "book" / "_static"
    (static / "dial.png").write_bytes(base64.b64decode(first))
    (static / "map.png").write_bytes(plots.family().png())


def stage():
    """A clean copy of what the book is made of, so that nothing else can find its way into it."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "book", STAGE / "book", ignore=shutil.ignore_patterns("_build", "__pycache__", "*.py"))
    (STAGE / "chapters").mkdir()
    for path in chapters():
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:  # the mark is for `make test`, not for readers
            cell.source = cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n")
        nbformat.write(notebook, STAGE / "chapters" / path.name)
    shutil.copy(ROOT / "_config.yml", STAGE)


def build():
    """Build the pages from the staged copy; any warning is an error."""
    shutil.rmtree(PAGES, ignore_errors=True)
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(STAGE),
        "--path-output",
        str(ROOT / "book"),
    ]
    command += ["--config", str(STAGE / "_config.yml"), "--toc", str(STAGE / "book" / "_toc.yml")]
    code = subprocess.run([*command, "-W", "-n", "--keep-going", "--all"]).returncode
    if code or not (PAGES / "index.html").exists():
        raise SystemExit(f"The book was not built (jupyter-book ended with {code}); its messages are above.")
    if faults := faults_of(PAGES):
        raise SystemExit("The book was built, but:\n" + "\n".join(faults))
    print(f"The book: {PAGES / 'index.html'}")


class _Page(HTMLParser):
    """The addresses of a page, and its text outside of code and formulas."""

    def __init__(self, text):
        super().__init__()
        self.needed, self.linked, self.text, self._skip = [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        at = dict(attributes)
        if tag in ("script", "img", "iframe") and at.get("src"):
            self.needed.append(at["src"])
        if tag == "link" and at.get("rel") in ("stylesheet", "preload", "shortcut icon") and at.get("href"):
            self.needed.append(at["href"])
        if tag == "a" and at.get("href"):
            self.linked.append(at["href"])
        if tag == "img" and not at.get("alt"):
            self.text.append("{picture without alternative text}")
        self._skip += tag in ("pre", "code", "script", "style")

    def handle_endtag(self, tag):
        self._skip -= tag in ("pre", "code", "script", "style")

    def handle_data(self, data):
        if not self._skip:
            self.text.append(data)


def faults_of(folder):
    """What a reader of the built pages would stumble over: addresses that lead nowhere or elsewhere, raw markup."""
    faults = []
    for path in sorted(folder.rglob("*.html")):
        if path.name in ("genindex.html", "search.html") or "_static" in path.parts:
            continue
        page, name = _Page(path.read_text()), path.relative_to(folder)
        for address in page.needed + page.linked:
            if address.startswith(("http:", "https:", "//")):
                if address in page.needed:
                    faults.append(f"{name}: needs the network for {address}")
            elif address.startswith(("#", "mailto:", "data:", "javascript:")):
                continue
            elif not (path.parent / re.split(r"[?#]", address)[0]).exists():
                faults.append(f"{name}: {address} leads nowhere")
        for raw in re.findall(r"\{[a-z:]+\}`|```|\$\$|\*\*\w|\{picture without[^}]*\}", " ".join(page.text)):
            faults.append(f"{name}: shows {raw!r}")
    return faults


def stamp():
    """Write the repository's address into _config.yml and every set-up cell."""
    address = repository()
    lines = ["launch_buttons:", "  thebe: false"]
    if address:
        lines = ["repository:", f"  url: {address}", "  branch: main", *lines]
        lines += ["  colab_url: https://colab.research.google.com", "  notebook_interface: classic"]
    config = ROOT / "_config.yml"
    text = re.sub(
        r"(# stamp: begin\n).*?(# stamp: end)",
        lambda m: m[1] + "\n".join(lines) + "\n" + m[2],
        config.read_text(),
        flags=re.S,
    )
    config.write_text(text)
    for path in chapters():
        notebook = nbformat.read(path, as_version=4)
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source = setup_cell()
        path.write_text(nbformat.writes(notebook) + "\n")


def main():
    """Read the command line; `--help` lists the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=("notebooks", "book", "html", "stamp"))
    target = parser.parse_args().target
    if target == "stamp":
        stamp()
    elif target == "notebooks":
        run_all(CHAPTERS)
        pictures()
    else:
        stage()
        if target == "book":
            run_all(STAGE / "chapters")
        build()


if __name__ == "__main__":
    main()
