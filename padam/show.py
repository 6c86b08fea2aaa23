"""What a chapter shows of the live code and of the catalog: source, differences, formulas, tables.

Everything is read at call time, so a page cannot drift from the package. Results display themselves in a
notebook as Markdown or LaTeX; str() gives the text.
"""

import difflib
import inspect
import re

from padam import rules
from padam.catalog import CATALOG, CORRECTIONS, DECAYS


class Markdown(str):
    """Text that a notebook renders as Markdown."""

    def _repr_markdown_(self):
        return str(self)


class Latex(str):
    """LaTeX that a notebook typesets as a displayed formula."""

    def _repr_latex_(self):
        return f"$$\n{self}\n$$"

    def __repr__(self):
        return f"{type(self).__name__}({str(self)!r})"


def _entry(name):
    if name not in CATALOG:
        raise ValueError(f"no optimizer is called {name!r}; the catalog has {', '.join(CATALOG)}.")
    return CATALOG[name]


def _source(thing):
    if isinstance(thing, str):
        thing = getattr(rules, _entry(thing).name)
    return inspect.getsource(thing).rstrip()


def source(*things):
    """The source of rules (by their names in the catalog) or of any functions and classes, as it is now."""
    return Markdown("```python\n" + "\n\n\n".join(_source(thing) for thing in things) + "\n```")


def diff_lines(before, after):
    """The changed lines between the bodies of two rules: lists of those that go and those that come."""
    old, new = (_source(name).splitlines()[1:] for name in (before, after))
    marked = [line for line in difflib.ndiff(old, new) if line[:2] in ("- ", "+ ")]
    return [line[2:] for line in marked if line[0] == "-"], [line[2:] for line in marked if line[0] == "+"]


def diff(before, after):
    """What changes from one rule to another, body against body, from the live source."""
    old, new = (_source(name).splitlines()[1:] for name in (before, after))
    lines = [f"  def {before} -> {after}", *(line for line in difflib.ndiff(old, new) if line[0] != "?")]
    return Markdown("```diff\n" + "\n".join(line.rstrip() for line in lines) + "\n```")


def _aligned(lines):
    if len(lines) == 1:
        return lines[0]
    rows = " \\\\\n".join(line.replace(" = ", " &= ", 1) for line in lines)
    return "\\begin{aligned}\n" + rows + "\n\\end{aligned}"


def math(name):
    """The update rule of an optimizer as the catalog has it; the tests evaluate the same LaTeX."""
    return Latex(_aligned(_entry(name).latex))


def correction(name):
    """The correction `none`, `folded` or `exact` as a formula; c_1 = 1 - beta_1^t, c_2 = 1 - beta_2^t."""
    return Latex(_aligned(CORRECTIONS[name].latex))


def decay(name):
    """The weight decay `l2` or `decoupled` as a formula."""
    return Latex(DECAYS[name][0])


def rows(header, *body):
    """A Markdown table; numbers are shown as they are, so round them first."""
    lines = [header, ["---"] * len(header), *body]
    return Markdown("\n".join("| " + " | ".join(_unbroken(str(cell)) for cell in line) + " |" for line in lines))


def _unbroken(cell):
    """A cell that a narrow page does not break within "0.9 ± 0.1", "+1 / -1", "p = 1/8" or "1e-06"."""
    if "$" in cell or "`" in cell:
        return cell
    return re.sub(r" ([±/=]) ", "\u00a0\\1\u00a0", re.sub(r"(?<=\de-)(?=\d)", "\u2060", cell))


def sides(lines):
    """The right-hand sides of LaTeX lines, each as an inline formula for a table."""
    return [f"${line.split(' = ', 1)[1]}$" for line in lines]


def table(*names):
    """The columns of the one equation for the optimizers named (default: all), one row each."""
    entries = [_entry(name) for name in names or CATALOG]
    body = [
        [e.title, *(e.columns[c] for c in ("m", "v", "p", "correction")), e.defaults.get("decay", "l2")]
        for e in entries
    ]
    return rows(["optimizer", "m", "v", "p", "correction", "decay"], *body)
