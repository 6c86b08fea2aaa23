"""Lines by epoch, step or setting: our runs, others' runs, computed points."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from padam.picture import Picture
from padam.plots.axes import legend, look, mark, panels


def histories(runs, keys=("train_loss", "test_error"), log=("train_loss",), marks=()):
    """Training curves, one panel a key, one line a run or the mean of several.

    Args:
        runs: name -> what `padam.training.fit` returned (or its "history"), or a list of those, one a seed: then the
            line is their mean, and the shade reaches from the lowest to the highest. A name begins with the
            optimizer's name in the catalog, as in "padam p=1/8".
        keys: which lists of the history; default training loss and test error.
        log: keys drawn on a logarithmic axis.
        marks: epochs worth a vertical line.
    """
    figure, axes = panels(len(keys), width=6.8, height=3.2)
    ends = []
    for name, seeds in runs.items():
        found = [run.get("history", run) for run in (seeds if isinstance(seeds, list) else [seeds])]
        label, colour, marker = look(name)
        for ax, key in zip(axes, keys, strict=True):
            epochs = found[0]["epoch"]
            values = np.array([history[key] for history in found], dtype=float)
            values *= 100 if key.endswith("error") else 1
            every = max(1, len(epochs) // 8)
            ax.plot(epochs, values.mean(0), color=colour, marker=marker, markevery=every, ms=5, label=label)
            if len(found) > 1:
                ax.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0)
        means = [np.mean([history[key][-1] for history in found]) for key in keys]
        seeds = f" ({len(found)} seeds)" if len(found) > 1 else ""
        ends.append(f"{label}{seeds} {', '.join(map(_amount, keys, means))}")
    for ax, key in zip(axes, keys, strict=True):
        for epoch in marks:
            mark(ax, epoch)
        ax.set(xlabel="epoch", ylabel=_LABELS[key], yscale="log" if key in log else "linear")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    legend(figure, axes[-1])
    what = " and ".join(_LABELS[key].split(" (")[0] for key in keys)
    return Picture(figure, f"Line chart of {what} by epoch. At the end: {'; '.join(ends)}.")


_LABELS = {
    "lr": "base learning rate",
    "train_loss": "training loss (nats)",
    "train_error": "training error (%)",
    "test_loss": "test loss (nats)",
    "train_perplexity": "training perplexity",
    "test_perplexity": "test perplexity",
    "test_error": "test error (%)",
}


def _amount(key, value):
    return f"{value:.1%}" if key.endswith("error") else f"{value:.3g}"


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
    figure, (ax,) = panels(height=3.4)
    ends = []
    for name, (xs, ys) in series.items():
        label, colour, marker = look(name)
        every = max(1, len(xs) // 8)
        ax.plot(xs, ys, (styles or {}).get(name, "-"), color=colour, marker=marker, markevery=every, ms=5, label=label)
        if spread and name in spread:
            ax.fill_between(xs, *spread[name], color=colour, alpha=0.2, lw=0)
        low, low_x = min(zip(ys, xs, strict=True))
        dip = f", lowest {low:.3g} at {low_x:g}" if low < min(ys[0], ys[-1]) else ""
        ends.append(f"{label} goes from {ys[0]:.3g} to {ys[-1]:.3g}{dip}")
    for value, text in marks:
        mark(ax, value, text)
    ax.set(xlabel=x, ylabel=y, xscale="log" if "x" in log else "linear", yscale="log" if "y" in log else "linear")
    ax.set(ylim=limits)
    if "x" not in log and all(float(value).is_integer() for xs, _ in series.values() for value in xs):
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    legend(figure, ax)
    return Picture(figure, f"{y} against {x}, from {min(s[0][0] for s in series.values()):.3g}. {'; '.join(ends)}.")


def published(runs, key="test_error", *, source, marks=(), limits=None):
    """Curves that others measured, in a style of their own: thin broken lines, hollow markers, the source on the axes.

    Args:
        runs: runs of `padam.evidence.published.load()`, lists of one number an epoch.
        key: the list to draw; errors become percent.
        source: who measured them, in words.
        marks: epochs worth a vertical line.
        limits: (lowest, highest) to draw.
    """
    figure, (ax,) = panels(height=3.4)
    ends = []
    for run in runs:
        label, colour, marker = look(run["optimizer"])
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
        mark(ax, epoch)
    ax.set(xlabel=f"epoch (published by {source})", ylabel=_LABELS.get(key, key), ylim=limits)
    legend(figure, ax)
    return Picture(figure, f"Published by {source}: {_LABELS.get(key, key)} by epoch. {'; '.join(ends)}.")


def envelope(steps, lower, upper, rates):
    """How two closing bounds meet the effective rates of the coordinates, on logarithmic axes.

    Args:
        steps: the T steps looked at.
        lower, upper: the bounds at those steps.
        rates: (T, n), the rate of each of n coordinates before it is clipped.
    """
    figure, (ax,) = panels(height=3.8)
    _, colour, _ = look("adabound")
    low, middle, high = np.percentile(rates, [5, 50, 95], axis=1)
    ax.fill_between(steps, lower, upper, color="#DDDDDD", label="between the bounds")
    ax.plot(steps, lower, color="#777777", lw=1)
    ax.plot(steps, upper, color="#777777", lw=1)
    ax.fill_between(steps, low, high, color=colour, alpha=0.35, lw=0, label="nine coordinates in ten")
    ax.plot(steps, middle, color=colour, lw=2, label="the middle coordinate")
    ax.set(xlabel="step", ylabel="effective rate before the clip", xscale="log", yscale="log")
    legend(figure, ax)
    inside = [np.mean((rates[i] >= lower[i]) & (rates[i] <= upper[i])) for i in (0, -1)]
    ends = [
        f"at step {steps[i]:g} they are {lower[i]:.2g} and {upper[i]:.2g}, the middle coordinate is at {middle[i]:.2g} "
        f"and {inside[i]:.0%} of the coordinates are between them"
        for i in (0, -1)
    ]
    return Picture(figure, f"Two bounds that close, and the effective rates before the clip: {'; '.join(ends)}.")


# How the sources of a comparison are told apart: marker, filled or hollow.
_MARKS = (("s", True), ("o", False), ("D", False), ("^", False), ("v", False), ("P", True), ("*", True))


def differences(rows, x, sources):
    """Differences with their intervals, a line of the page each: one optimizer on one network, a marker a source.

    Args:
        rows: (name, place, {source: (difference, half of its interval)}) from the top down: an optimizer's name as in
            `histories`, and what it was compared on. Without an interval (None or 0) there is no bar.
        x: what the differences are, the axis' label.
        sources: source -> its name in the legend, in an order that gives each the same marker everywhere.
    """
    figure, (ax,) = panels(width=6.8, height=0.9 + 0.3 * len(rows))
    ends = []
    for at, (name, place, found) in enumerate(rows):
        label, colour, _ = look(name)
        for number, (source, (difference, half)) in enumerate(found.items()):
            shape, filled = _MARKS[list(sources).index(source)]
            y = -at + 0.22 * ((len(found) - 1) / 2 - number)
            ax.errorbar(difference, y, xerr=half or None, color=colour, lw=1.4)
            ax.plot(difference, y, shape, color=colour, mfc=colour if filled else "white", ms=7)
        told = [f"{sources[s]} {d:+.2f}" + (f" ± {half:.2f}" if half else "") for s, (d, half) in found.items()]
        ends.append(f"{label}, {place}: {', '.join(told)}")
    for source in dict.fromkeys(source for _, _, found in rows for source in found):
        shape, filled = _MARKS[list(sources).index(source)]
        ax.plot([], [], shape, color="#555555", mfc="#555555" if filled else "white", ms=7, label=sources[source])
    ax.axvline(0, color="#999999", lw=0.8, zorder=0)
    ax.set(xlabel=x, ylim=(-len(rows) + 0.4, 0.6))
    ax.set_yticks(
        [-at for at in range(len(rows))], [f"{look(name)[0]}, {place}" for name, place, _ in rows], fontsize=9
    )
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9, edgecolor="none")
    return Picture(figure, f"{x}. {'; '.join(ends)}.")
