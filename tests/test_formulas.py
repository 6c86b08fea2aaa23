"""The mathematics on the page: every formula of the catalog is evaluated against the code, every page quotes it."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from latex import Formula, tokens
from prose import PROSE

from padam import reference
from padam.catalog import CATALOG, CORRECTIONS, DECAYS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted((ROOT / "book").glob("*.md")), *sorted((ROOT / "chapters").glob("*.ipynb"))]

STEPS, SIZE = 12, 4
ENTRIES = pytest.mark.parametrize("entry", CATALOG.values(), ids=lambda entry: entry.name)


def _random_settings(entry, rng):
    """Every hyperparameter drawn at random, eps large enough to be seen."""
    draw = {
        "lr": lambda: rng.uniform(0.05, 0.5),
        "eps": lambda: rng.uniform(0.05, 0.3),
        "beta1": lambda: rng.uniform(0.3, 0.9),
        "beta2": lambda: rng.uniform(0.5, 0.95),
        "momentum": lambda: rng.uniform(0.3, 0.9),
        "momentum_decay": lambda: rng.uniform(0.1, 1.0),
        "p": lambda: rng.uniform(0.05, 0.45),
        "final_lr": lambda: rng.uniform(0.1, 0.4),
        "gamma": lambda: rng.uniform(0.2, 1.0),
        "initial_accumulator": lambda: rng.uniform(0.01, 0.1),
        "weight_decay": lambda: rng.uniform(0.1, 0.5),
    }
    chosen = {key: draw[key]() for key in draw if key in entry.defaults}
    chosen.setdefault("weight_decay", draw["weight_decay"]())
    return chosen


def _by_formula(entry, latex, x0, gradients, hyper):
    """The iterates that the LaTeX lines produce: decay, correction and rule, each from its formula."""
    constants = {
        r"\alpha": hyper["lr"],
        r"\epsilon": hyper.get("eps"),
        r"\beta_1": hyper.get("beta1"),
        r"\beta_2": hyper.get("beta2"),
        r"\mu": hyper.get("momentum"),
        r"\lambda": hyper["weight_decay"],
        r"\gamma": hyper.get("gamma"),
        r"\psi": hyper.get("momentum_decay"),
        "p": hyper.get("p", 0.5),
    }
    series = {
        "x": {1: x0},
        "g": {},
        "\\nabla f": {},
        r"\eta": dict.fromkeys(range(1, STEPS + 2), hyper.get("final_lr")),
    }
    for slot in entry.slots.values():
        start = hyper[slot.start] if isinstance(slot.start, str) and slot.start in hyper else 0.0
        series[re.sub(r"\\hat\{v\}", r"\\hat v", slot.latex)] = {0: np.full(SIZE, start)}
    correction = [Formula(line) for line in CORRECTIONS[hyper["correction"]].latex]
    decay, rule = Formula(DECAYS["l2"][0]), [Formula(line) for line in latex]
    for t, g in enumerate(gradients, start=1):
        series["\\nabla f"][t] = series["g"][t] = g
        if hyper["decay"] == "l2":
            decay.define(series, constants, t)
        if constants[r"\beta_1"] is not None and constants[r"\beta_2"] is not None:
            constants["c_1"], constants["c_2"] = 1 - constants[r"\beta_1"] ** t, 1 - constants[r"\beta_2"] ** t
        for formula in correction if hyper.get("eps") is not None else correction[:1]:
            formula.define(series, constants, t)
        for formula in rule:
            formula.define(series, constants, t)
    return np.stack([series["x"][t] for t in range(2, STEPS + 2)])


def _inputs(entry, seed, correction):
    rng = np.random.default_rng(seed)
    settings = _random_settings(entry, rng) | ({"correction": correction} if len(entry.corrections) > 1 else {})
    return rng.normal(size=SIZE), rng.normal(size=(STEPS, SIZE)), settings


@np.errstate(all="ignore")
def _error(entry, latex, seed, correction):
    x0, gradients, settings = _inputs(entry, seed, correction)
    typeset = _by_formula(entry, latex, x0, gradients, reference.settings(entry.name, **settings))
    return np.abs(typeset - reference.run(entry.name, x0, gradients, **settings)).max()


@pytest.mark.parametrize("seed", range(3))
@ENTRIES
def test_the_formula_of_an_entry_is_its_rule(entry, seed):
    for correction in entry.corrections:
        assert _error(entry, entry.latex, seed, correction) < 1e-10


def _misprints(line):
    """A formula with one thing wrong in it: sign, exponent, hat, index, or two symbols swapped."""
    swaps = [
        (" - ", " + "),
        (" + ", " - "),
        ("^2", "^3"),
        ("2p", "p"),
        (r"\hat{v}_t", "v_t"),
        (r"\beta_1", r"\beta_2"),
        (r"\beta_2", r"\beta_1"),
        ("_{t-1}", "_t"),
        (r"\max", r"\min"),
        (r"\min", r"\max"),
        (r"\sqrt", " "),
        ("g_t", "m_t"),
        ("m_t", "g_t"),
        ("u_{t-1}", "v_t"),
        ("^t", "^2"),
        ("x_t", "g_t"),
        (r"\tilde{x}_t", "x_t"),
        ("l_t), u_t", "u_t), l_t"),
        ("^p", "^2"),
        (r"\sum", r"\prod"),
    ]
    left, _, right = line.partition(" = ")
    for old, new in swaps:
        for at in [match.start() for match in re.finditer(re.escape(old), right)]:
            yield f"{left} = {right[:at]}{new}{right[at + len(old) :]}"


@ENTRIES
def test_a_misprint_in_any_line_is_noticed(entry):
    tried = 0
    for index, line in enumerate(entry.latex):
        for wrong in _misprints(line):
            latex = (*entry.latex[:index], wrong, *entry.latex[index + 1 :])
            try:
                error = min(_error(entry, latex, 0, c) for c in entry.corrections)
            except (SyntaxError, KeyError, TypeError, ValueError, ZeroDivisionError):
                error = np.inf
            assert not error < 1e-6, wrong
            tried += 1
    assert tried >= 3


def formulas(path):
    """Every formula a page or chapter shows, displayed or in the line, as LaTeX with single spaces."""
    if path.suffix == ".md":
        text = path.read_text()
    else:
        cells = nbformat.read(path, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert not [o for c in cells for o in c.get("outputs", []) if "$" in o.get("text", "")], "LaTeX in plain output"
    text = re.sub(r"```\{glossary\}\n(.*?)\n```", r"\1", text, flags=re.S)  # prose, unlike other fenced blocks
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.S)
    displayed = re.findall(r"\$\$(.+?)\$\$", text, flags=re.S)
    inline = re.findall(r"\$(.+?)\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S), flags=re.S)
    return [normal(formula) for formula in displayed + inline]


def normal(formula):
    """One way to write what LaTeX lets one write in several."""
    formula = re.sub(r"\\(hat|tilde|bar) ([a-z])", r"\\\1{\2}", formula.replace("\\,", ""))
    return re.sub(r"\s+", " ", formula).replace("\\lvert", "|").replace("\\rvert", "|").strip()


def is_plain(formula):
    """A symbol, a number, a list or an interval of them, or a symbol with a numeric value: nothing to get wrong."""
    left, _, right = formula.partition("=")
    numeric = r"[\d./ ^{}-]*"
    symbol = r"(\\(hat|tilde|bar)\{[a-z]\}|\\?[A-Za-z]+)(_(\w|\{[^}]*\}))?"
    one = re.compile(rf"\s*({symbol}|{numeric})\s*")
    if right:
        return bool(one.fullmatch(left)) and bool(re.fullmatch(rf"\s*-?{numeric}", right))
    return all(one.fullmatch(part) for part in formula.strip("()[]|").split(","))


KNOWN = {normal(line) for entry in CATALOG.values() for line in entry.latex}
KNOWN |= {normal(line) for correction in CORRECTIONS.values() for line in correction.latex}
KNOWN |= {normal(line) for line, _ in DECAYS.values()}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_formula_of_a_page_is_checked_somewhere(path):
    """It is the catalog's, and evaluated above, or stands in `prose.PROSE`, and is evaluated below."""
    table = {normal(formula) for formula in PROSE}
    unknown = [f for f in formulas(path) if not is_plain(f) and f not in KNOWN and f not in table]
    assert not unknown, f"not in the catalog and not in tests/prose.py: {unknown}"


def test_the_table_of_prose_has_no_formula_that_no_page_shows():
    shown = {formula for path in PAGES for formula in formulas(path)}
    assert not [formula for formula in PROSE if normal(formula) not in shown]


def _page_numbers():
    """One value per symbol of the prose: settings at random, moments from real steps of Padam (eps = 0)."""
    rng = np.random.default_rng(7)
    alpha, beta1, beta2, p, g, t = 0.3, 0.8, 0.95, 0.21, 1.7, 3
    gradients = np.array([[g], *rng.normal(size=(2, 1))])
    settings = {"lr": alpha, "beta1": beta1, "beta2": beta2, "p": p, "eps": 0.0}
    states = [state for _, state, _ in reference.iterate("padam", [0.0], gradients, **settings)]
    at = lambda slot: {i: getattr(state, slot)[0] for i, state in enumerate(states, start=1)}  # noqa: E731
    constants = {
        r"\alpha": alpha,
        r"\beta_1": beta1,
        r"\beta_2": beta2,
        "p": p,
        "g": g,
        "t": t,
        r"\epsilon": 0.02,
        "x": 1.3,
        r"\lambda": 0.05,
        r"\beta": 0.7,
        "a": 0.4,
        "b": 0.9,
        "m": 0.6,
        "v": 0.35,
        r"\hat v": 0.45,
        "c_1": 1 - beta1**t,
        "c_2": 1 - beta2**t,
        "q": 5,
    }
    series = {
        "m": at("m"),
        "v": at("v"),
        r"\hat v": at("v_hat"),
        r"\alpha": {t: 0.27},
        r"\epsilon": {t: 0.03},
        "g": {i: row[0] for i, row in enumerate(gradients, start=1)},
    }
    return constants, series, t


@pytest.mark.parametrize("latex", PROSE)
def test_a_formula_in_the_prose_says_what_python_says(latex):
    constants, series, t = _page_numbers()
    name = {key: re.sub(r"\W", "", key) for key in constants}
    python = {name[key]: value for key, value in constants.items()}
    python |= {f"{re.sub(chr(92) + 'W', '', key)}_t": values[t] for key, values in series.items()}
    python["lambda_"] = python.pop("lambda")  # a word of Python's own
    python |= {"abs": abs, "log": np.log, "sqrt": np.sqrt, "sum": sum, "sign": np.sign, "series": series, "t": t}
    expected = eval(PROSE[latex], {"__builtins__": {}} | python)
    rough = r"\approx" in latex
    sides = re.split(r"=|\\approx", re.sub(r"\\sum_\{(\w)=", r"\\sum_{\1:", normal(latex)))
    for side in sides:
        value = Formula(side.replace(":", "=")).value(series, constants, t)
        assert value == pytest.approx(expected, rel=5e-3 if rough else 1e-12), side


def test_two_symbols_swapped_in_any_formula_of_any_page_are_noticed():
    """Swap each pair of neighbouring, different symbols of each formula: the page no longer passes."""
    table = {normal(formula) for formula in PROSE}
    tried = 0
    for path in PAGES:
        for formula in {f for f in formulas(path) if not is_plain(f)}:
            parts = tokens(formula.replace(r"\approx", "="))
            letters = [i for i, part in enumerate(parts) if part.isalpha() or part.startswith("\\")]
            for one, other in zip(letters, letters[1:], strict=False):
                if parts[one] == parts[other]:
                    continue
                swapped = list(parts)
                swapped[one], swapped[other] = parts[other], parts[one]
                wrong = normal("".join(f"{part} " if part.startswith("\\") else part for part in swapped))
                same = {re.sub(r"\s", "", known) for known in KNOWN | table}
                assert re.sub(r"\s", "", wrong) not in same, (formula, wrong)
                tried += 1
    assert tried > 20
