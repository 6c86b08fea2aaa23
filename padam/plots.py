"""Pictures for the book; the only module that imports matplotlib.

Every function returns a `Picture`: the figure with the alternative text that describes it, whose numbers are
computed from what is drawn. One colour and one marker per optimizer, the same everywhere.
"""

from fractions import Fraction

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from padam.catalog import CATALOG
from padam.picture import Picture

# Colour, marker. The seven of the paper's Section 5 stay apart under every kind of colour blindness (tested).
STYLE = {
    "sgdm": ("#333333", "s"),
    "sgdm_ema": ("#333333", "D"),
    "adagrad": ("#882255", "v"),
    "adagrad_mean": ("#882255", "^"),
    "rmsprop": ("#CC6677", "<"),
    "adadelta": ("#6B6BBF", ">"),
    "adamax": ("#6B4E2E", "p"),
    "adam": ("#0072B2", "o"),
    "nadam": ("#0072B2", "h"),
    "amsgrad": ("#14A689", "^"),
    "padam": ("#D55E00", "*"),
    "partial_adagrad": ("#D55E00", "v"),
    "partial_rmsprop": ("#D55E00", "<"),
    "partial_adadelta": ("#D55E00", ">"),
    "partial_adamax": ("#D55E00", "p"),
    "adamw": ("#13460A", "D"),
    "yogi": ("#8A226F", "X"),
    "adabound": ("#955D43", "P"),
}
# The dial p: from SGD-momentum's colour at 0 over Padam's at 1/8 to Amsgrad's at 1/2, a marker for the usual stops.
_STOPS = {
    0: STYLE["sgdm"][0],
    1 / 16: "#7F3B08",
    1 / 8: STYLE["padam"][0],
    1 / 4: "#8073AC",
    1 / 2: STYLE["amsgrad"][0],
}
_DIAL = LinearSegmentedColormap.from_list("p", [(2 * p, colour) for p, colour in _STOPS.items()])
_DIAL_MARKERS = {0: "s", 1 / 16: "v", 1 / 8: "*", 1 / 4: "D", 1 / 2: "^"}
# The power q of a norm of past gradients: from RMSprop's colour at 2 to AdaMax's in the limit.
_NORM = LinearSegmentedColormap.from_list("q", [STYLE["rmsprop"][0], STYLE["adamax"][0]])


def fraction(text):
    """ "1/8" -> 0.125: a partially adaptive parameter as it is written in labels."""
    return float(Fraction(text))


def _axes(columns=1, width=6.0, height=3.4):
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=10)
    return figure, axes


def _look(name):
    """(label, colour, marker) for a run called "padam", "padam p=1/4", "q=8" or as an optimizer and what follows."""
    key, _, rest = name.partition(" ")
    title = CATALOG[key].title if key in CATALOG else key
    colour, marker = STYLE.get(key, ("#555555", "."))
    if key == "sgd":  # SGD-momentum without momentum
        title, colour, marker = "gradient descent", "#8A8A8A", "o"
    if rest.startswith("p="):
        p = fraction(rest[2:])
        colour, marker = _DIAL(2 * p), _DIAL_MARKERS.get(p, "o")
    if key.startswith("q="):
        colour, marker = _NORM(1 - 2 / float(key[2:])), "."
    return f"{title} {rest}".strip().replace("=", " = "), colour, marker


def _legend(figure, ax):
    """The legend where it covers no line: inside the axes if some corner is free, else above, in columns that fit."""
    look = {"fontsize": 9, "framealpha": 0.9, "edgecolor": "none"}
    legend = ax.legend(**look)
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    named = [line for line in ax.lines if not line.get_label().startswith("_")]
    paths = [line.get_path().transformed(line.get_transform()) for line in named]
    columns = 3 if any(path.intersects_bbox(box, filled=False) for path in paths) else 0
    while columns:
        legend.remove()
        legend = figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=columns, **look)
        figure.draw_without_rendering()
        columns = columns - 1 if legend.get_window_extent().width > figure.bbox.width else 0


def _mark(ax, value, text=""):
    """A vertical line at a value of the x axis, and what it means above the axes, where no curve is."""
    ax.axvline(value, color="#999999", lw=0.8, zorder=0)
    ax.annotate(text, (value, 1.01), xycoords=("data", "axes fraction"), fontsize=9, color="#555555", ha="center")


def histories(runs, keys=("train_loss", "test_error"), log=("train_loss",)):
    """Training curves, one panel a key, one line a run.

    Args:
        runs: name -> what `padam.training.fit` returned (or its "history"). A name begins with the optimizer's
            name in the catalog, as in "padam p=1/8".
        keys: which lists of the history; default training loss and test error.
        log: keys drawn on a logarithmic axis.
    """
    figure, axes = _axes(len(keys), width=6.8, height=3.2)
    ends = []
    for name, run in runs.items():
        history = run.get("history", run)
        label, colour, marker = _look(name)
        for ax, key in zip(axes, keys, strict=True):
            every = max(1, len(history["epoch"]) // 8)
            values = np.array(history[key], dtype=float) * (100 if key.endswith("error") else 1)
            ax.plot(history["epoch"], values, color=colour, marker=marker, markevery=every, ms=5, label=label)
        ends.append(f"{label} {', '.join(_amount(key, history[key][-1]) for key in keys)}")
    for ax, key in zip(axes, keys, strict=True):
        ax.set(xlabel="epoch", ylabel=_LABELS[key], yscale="log" if key in log else "linear")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _legend(figure, axes[-1])
    what = " and ".join(_LABELS[key].split(" (")[0] for key in keys)
    return Picture(figure, f"Line chart of {what} by epoch. At the end: {'; '.join(ends)}.")


_LABELS = {
    "lr": "base learning rate",
    "train_loss": "training loss (nats)",
    "train_error": "training error (%)",
    "test_loss": "test loss (nats)",
    "test_error": "test error (%)",
}


def _amount(key, value):
    return f"{value:.1%}" if key.endswith("error") else f"{value:.3g}"


def trajectories(problem, paths, scale=3, styles=None):
    """Paths of optimizers over the level lines of a problem in two dimensions.

    Args:
        problem: `padam.problems.Problem`.
        paths: name -> iterates, (T, 2), as `padam.reference.run` returns them; the start is put before them.
        scale: level lines are drawn at powers of this factor.
        styles: name -> line style, where paths of one optimizer must differ ("-", "--", ":").
    """
    figure, (ax,) = _axes(height=3.8)
    left, right, bottom, top = problem.box
    grid = np.stack(np.meshgrid(np.linspace(left, right, 200), np.linspace(bottom, top, 200)), axis=-1)
    height = problem.f(grid) - problem.f(problem.minimum)
    levels = height.max() * float(scale) ** np.arange(-8, 1)
    ax.contour(*np.moveaxis(grid, -1, 0), height, levels=levels, colors="#BBBBBB", linewidths=0.8)
    ends = []
    for name, path in paths.items():
        label, colour, marker = _look(name)
        path = np.vstack([problem.start, path])
        line = (styles or {}).get(name, "-")
        ax.plot(*path.T, line, color=colour, marker=marker, ms=4 if line == "-" else 0, lw=1.5, label=label)
        distance = np.linalg.norm(path[-1] - problem.minimum)
        ends.append(f"{label} is {distance:.2g} away after {len(path) - 1} steps")
    ax.plot(*problem.minimum, marker="+", color="black", ms=12)
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="$x_1$", ylabel="$x_2$")
    _legend(figure, ax)
    alt = f"Paths over the level lines of a {problem.name}. From the minimum, {'; '.join(ends)}."
    return Picture(figure, alt)


def effective_rates(rates, xlabel="effective learning rate of a coordinate"):
    """How effective learning rates spread over coordinates: one outlined histogram a name, on a logarithmic axis.

    Args:
        rates: name -> array of positive numbers, one a coordinate.
        xlabel: what they are.
    """
    figure, (ax,) = _axes(height=3.2)
    decades = np.log10([[values.min(), values.max()] for values in rates.values()])
    bins = np.logspace(np.floor(decades.min()), np.ceil(decades.max()), 81)
    spreads = []
    for name, values in rates.items():
        label, colour, _ = _look(name)
        ax.hist(np.ravel(values), bins=bins, histtype="step", color=colour, lw=1.8, label=label)
        low, middle, high = np.percentile(values, [5, 50, 95])
        spreads.append(f"{label}: median {middle:.2g}, 95th over 5th percentile {high / low:.2g}")
    ax.set(xscale="log", xlabel=xlabel, ylabel="coordinates")
    _legend(figure, ax)
    return Picture(figure, f"Histograms of the {xlabel}. {'; '.join(spreads)}.")


def curves(series, *, x, y, log="", styles=None, marks=(), limits=None, spread=None):
    """Plain lines through computed points.

    Args:
        series: name -> (x values, y values); names as in `histories`, or anything.
        x, y: axis labels.
        log: which axes are logarithmic: "", "x", "y" or "xy".
        styles: name -> line style, where lines of one optimizer must differ ("-", "--", ":").
        marks: (x value, text) of points on the x axis worth a vertical line.
        limits: (lowest, highest) y to draw, where what lies beyond would flatten the rest.
        spread: name -> (lower y values, upper y values) to shade around its line.
    """
    figure, (ax,) = _axes(height=3.4)
    ends = []
    for name, (xs, ys) in series.items():
        label, colour, marker = _look(name)
        every = max(1, len(xs) // 8)
        ax.plot(xs, ys, (styles or {}).get(name, "-"), color=colour, marker=marker, markevery=every, ms=5, label=label)
        if spread and name in spread:
            ax.fill_between(xs, *spread[name], color=colour, alpha=0.2, lw=0)
        low, low_x = min(zip(ys, xs, strict=True))
        dip = f", lowest {low:.3g} at {low_x:g}" if low < min(ys[0], ys[-1]) else ""
        ends.append(f"{label} goes from {ys[0]:.3g} to {ys[-1]:.3g}{dip}")
    for value, text in marks:
        _mark(ax, value, text)
    ax.set(xlabel=x, ylabel=y, xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    ax.set(ylim=limits)
    if "x" not in log and all(float(value).is_integer() for xs, _ in series.values() for value in xs):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    _legend(figure, ax)
    return Picture(figure, f"{y} against {x}, from {min(s[0][0] for s in series.values()):.3g}. {'; '.join(ends)}.")


def published(runs, key="test_error", *, source, marks=(), limits=None):
    """Curves that others measured, in a style of their own: thin broken lines, hollow markers, the source on the axes.

    Args:
        runs: runs of `padam.records.published.load()`, lists of one number an epoch.
        key: the list to draw; errors become percent.
        source: who measured them, in words.
        marks: epochs worth a vertical line.
        limits: (lowest, highest) to draw.
    """
    figure, (ax,) = _axes(height=3.4)
    ends = []
    for run in runs:
        label, colour, marker = _look(run["optimizer"])
        scale = 100 if key.endswith("error") else 1
        pairs = [(epoch, scale * v) for epoch, v in zip(run["epoch"], run[key], strict=True) if v is not None]
        epochs, values = zip(*pairs, strict=True)
        every = max(1, len(epochs) // 8)
        ax.plot(
            epochs, values, "--", color=colour, lw=1, marker=marker, markevery=every, ms=6, mfc="white", label=label
        )
        best = min(range(len(values)), key=values.__getitem__)
        ends.append(f"{label} ends at {values[-1]:.3g}, lowest {values[best]:.3g} in epoch {epochs[best]}")
    for epoch in marks:
        _mark(ax, epoch)
    ax.set(xlabel=f"epoch (published by {source})", ylabel=_LABELS.get(key, key), ylim=limits)
    _legend(figure, ax)
    return Picture(figure, f"Published by {source}: {_LABELS.get(key, key)} by epoch. {'; '.join(ends)}.")


def envelope(steps, lower, upper, rates):
    """How two closing bounds meet the effective rates of the coordinates, on logarithmic axes.

    Args:
        steps: the T steps looked at.
        lower, upper: the bounds at those steps.
        rates: (T, n), the rate of each of n coordinates before it is clipped.
    """
    figure, (ax,) = _axes(height=3.8)
    _, colour, _ = _look("adabound")
    low, middle, high = np.percentile(rates, [5, 50, 95], axis=1)
    ax.fill_between(steps, lower, upper, color="#DDDDDD", label="between the bounds")
    ax.plot(steps, lower, color="#777777", lw=1)
    ax.plot(steps, upper, color="#777777", lw=1)
    ax.fill_between(steps, low, high, color=colour, alpha=0.35, lw=0, label="nine coordinates in ten")
    ax.plot(steps, middle, color=colour, lw=2, label="the middle coordinate")
    ax.set(xlabel="step", ylabel="effective rate before the clip", xscale="log", yscale="log")
    _legend(figure, ax)
    inside = [np.mean((rates[i] >= lower[i]) & (rates[i] <= upper[i])) for i in (0, -1)]
    ends = [
        f"at step {steps[i]:g} they are {lower[i]:.2g} and {upper[i]:.2g}, the middle coordinate is at {middle[i]:.2g} "
        f"and {inside[i]:.0%} of the coordinates are between them"
        for i in (0, -1)
    ]
    return Picture(figure, f"Two bounds that close, and the effective rates before the clip: {'; '.join(ends)}.")


# The way from Adagrad to Padam: optimizer -> place; (from, to, what changes, where the words stand).
_PLACES = {"adagrad": (0, 1), "rmsprop": (1, 1), "sgdm": (1, 0), "adam": (2, 1), "amsgrad": (3, 1), "padam": (4, 0.5)}
_STEPS = (
    ("adagrad", "rmsprop", "let the past fade", (0.5, 1.2)),
    ("rmsprop", "adam", "add momentum", (1.5, 1.2)),
    ("sgdm", "adam", "scale each coordinate", (2.05, 0.5)),
    ("adam", "amsgrad", "keep the maximum", (2.5, 1.2)),
    ("amsgrad", "padam", "p = 1/2", (3.65, 0.9)),
    ("sgdm", "padam", "p = 0", (2.8, 0.15)),
)


def family():
    """The map of the book: from Adagrad to Padam, and what changes on each step of the way."""
    figure = Figure(figsize=(7.2, 3.1), layout="constrained")
    ax = figure.subplots()
    ax.set(xlim=(-0.35, 4.35), ylim=(-0.2, 1.3))
    ax.set_axis_off()
    for start, end, change, place in _STEPS:
        arrow = {"arrowstyle": "-|>", "color": "#777777", "shrinkA": 34, "shrinkB": 34, "lw": 1.4}
        ax.annotate("", _PLACES[end], _PLACES[start], arrowprops=arrow)
        ax.text(*place, change, ha="center", va="center", fontsize=9, color="#444444")
    for name, (x, y) in _PLACES.items():
        box = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": STYLE[name][0], "lw": 2.2}
        ax.text(x, y, CATALOG[name].title, ha="center", va="center", fontsize=11, color=STYLE[name][0], bbox=box)
    ways = "; ".join(f"{CATALOG[a].title} to {CATALOG[b].title}: {change}" for a, b, change, _ in _STEPS)
    return Picture(figure, f"Map of the optimizers as boxes with arrows. {ways}.")
