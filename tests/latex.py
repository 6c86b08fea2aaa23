"""A small evaluator of LaTeX formulas on numbers: it knows symbols and operators, and no optimizer's name.

Formula("v_t = \\beta_2 v_{t-1} + (1 - \\beta_2) g_t^2") parses once; `define(series, constants, t)` evaluates the right
side at step t and stores the result under the left side's symbol. A series is a dict {index: value} per symbol with
a time index; a constant is a value per symbol without one. What the grammar does not know is a SyntaxError.
"""

import re
from math import prod

import numpy as np

_TOKEN = re.compile(r"\s*(?:(\\operatorname\{\w+\})|(\\[A-Za-z]+)|(\d+(?:\.\d+)?)|([A-Za-z])|([-+/=(){}|,^_]))")
_FUNCTIONS = {"max": np.maximum, "min": np.minimum, "sign": np.sign, "exp": np.exp, "log": np.log}
_SPACES = ("\\,", "\\;", "\\!", "\\left", "\\right", "\\quad")
_ACCENTS = ("hat", "tilde", "bar")


def tokens(text):
    """The LaTeX tokens of a formula: commands as "\\name", numbers, letters and marks."""
    for space in _SPACES:
        text = text.replace(space, " ")
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SyntaxError(f"cannot read {text[at : at + 20]!r} in {text!r}")
        found.append(next(part for part in match.groups() if part))
        at = match.end()
    return found


class _Parser:
    """Recursive descent from tokens to nested tuples (operation, parts...)."""

    def __init__(self, text):
        self.text, self.tokens, self.at, self.bars = text, tokens(text), 0, 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected=None):
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise SyntaxError(f"expected {expected!r} but found {token!r} in {self.text!r}")
        self.at += 1
        return token

    def group(self):
        """{expression}, or the single token that LaTeX takes where braces are left out."""
        if self.peek() == "{":
            self.take()
            inside = self.sum()
            self.take("}")
            return inside
        return self.atom()

    def sum(self):
        left = ("neg", self.product()) if self.peek() == "-" and self.take() else self.product()
        while self.peek() in ("+", "-"):
            left = ("add" if self.take() == "+" else "sub", left, self.product())
        return left

    def product(self):
        left = self.power()
        while (
            self.peek() and self.peek() not in ("+", "-", "=", ")", "}", ",") and not (self.bars and self.peek() == "|")
        ):
            if self.peek() == "/":
                self.take()
                left = ("div", left, self.power())
            else:
                if self.peek() in ("\\cdot", "\\times"):
                    self.take()
                left = ("mul", left, self.power())
        return left

    def power(self):
        base = self.atom()
        if self.peek() == "^":
            self.take()
            return ("pow", base, self.group())
        return base

    def subscript(self):
        """The index behind "_", as text without spaces, or None."""
        if self.peek() != "_":
            return None
        self.take()
        if self.peek() != "{":
            return self.take()
        self.take()
        inside = ""
        while self.peek() != "}":
            inside += self.take()
        self.take("}")
        return inside

    def symbol(self, name):
        return ("symbol", name, self.subscript())

    def bracket(self, opening, closing):
        self.take(opening)
        inside = self.sum()
        self.take(closing)
        return inside

    def atom(self):
        token = self.take()
        if token[0].isdigit():
            return ("number", float(token))
        if token.isalpha():
            return self.symbol(token)
        if token == "(":
            self.at -= 1
            return self.bracket("(", ")")
        if token == "|":
            self.bars += 1
            inside = self.sum()
            self.bars -= 1
            self.take("|")
            return ("abs", inside)
        if token.startswith("\\"):
            return self.command(token[1:].removeprefix("operatorname{").rstrip("}"))
        raise SyntaxError(f"did not expect {token!r} in {self.text!r}")

    def command(self, name):
        if name == "frac":
            return ("div", self.group(), self.group())
        if name == "sqrt":
            return ("pow", self.group(), ("number", 0.5))
        if name in _ACCENTS:
            inner = self.group()
            return self.symbol(f"\\{name} {inner[1]}")
        if name in ("sum", "prod"):
            return self.series(name)
        if name == "nabla":  # \nabla f_t(x_t): the gradient handed in
            self.symbol(self.take("f"))
            self.bracket("(", ")")
            return ("symbol", "\\nabla f", "t")
        if name in ("lvert", "rvert"):
            raise SyntaxError("write |x|")
        if name in _FUNCTIONS:
            self.take("(")
            parts = [self.sum()]
            while self.peek() == ",":
                self.take()
                parts.append(self.sum())
            self.take(")")
            return ("call", name, *parts)
        return self.symbol(f"\\{name}")

    def series(self, name):
        """\\sum_{j=1}^{t} body: the body is the product that follows."""
        counter, _, first = self.subscript().partition("=")
        self.take("^")
        last = self.group()
        return (name, counter, int(first), last, self.product())


class Formula:
    """A parsed "left = right", or an expression alone (then `left` is None)."""

    def __init__(self, text):
        parser = _Parser(text)
        first = parser.sum()
        self.text, self.left, self.right = text, None, first
        if parser.peek() == "=":
            parser.take()
            self.left, self.right = first, parser.sum()
        if parser.peek():
            raise SyntaxError(f"cannot read from {parser.peek()!r} on in {text!r}")

    def value(self, series, constants, t=None):
        """The right side (or the expression) at step t."""
        return _evaluate(self.right, series, constants, {"t": t})

    def define(self, series, constants, t):
        """Evaluate the right side and store it under the left side's symbol; returns the value."""
        value = self.value(series, constants, t)
        _, name, index = self.left
        where = _index(index, {"t": t}) if index is not None else None
        if where is None:
            constants[_constant(name, index)] = value
        else:
            series.setdefault(name, {})[where] = value
        return value


def _constant(name, index):
    return name if index is None else f"{name}_{index}"


def _index(text, counters):
    """ "t-1" -> the number, if it is made of known counters; otherwise None (as in \\beta_1)."""
    match = re.fullmatch(r"([a-z])(?:([+-])(\d+))?", text)
    if match is None or counters.get(match[1]) is None:
        return None
    return counters[match[1]] + int((match[2] or "+") + (match[3] or "0"))


def _evaluate(node, series, constants, counters):
    def of(part):
        return _evaluate(part, series, constants, counters)

    operation, *parts = node
    if operation == "number":
        return parts[0]
    if operation == "symbol":
        name, index = parts
        where = _index(index, counters) if index is not None else None
        if where is not None:
            return series[name][where]
        if name in series and (index or "").isdigit():  # m_1: the first step
            return series[name][int(index)]
        if index is None and counters.get(name) is not None:
            return counters[name]
        return constants[_constant(name, index)]
    if operation in ("sum", "prod"):
        counter, first, last, body = parts
        terms = [_evaluate(body, series, constants, counters | {counter: i}) for i in range(first, int(of(last)) + 1)]
        return sum(terms) if operation == "sum" else prod(terms)
    if operation == "call":
        return _FUNCTIONS[parts[0]](*map(of, parts[1:]))
    values = [of(part) for part in parts]
    return _OPERATIONS[operation](*values)


_OPERATIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "neg": lambda a: -a,
    "abs": abs,
}
