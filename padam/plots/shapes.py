"""Pictures that are no lines over an axis: paths, histograms, the map of the book, networks."""

import numpy as np
from matplotlib.figure import Figure

from padam.catalog import CATALOG
from padam.picture import Picture
from padam.plots.axes import STYLE, legend, look, panels


def trajectories(problem, paths, scale=3, styles=None):
    """Paths of optimizers over the level lines of a problem in two dimensions.

    Args:
        problem: `padam.problems.Problem`.
        paths: name -> iterates, (T, 2), as `padam.reference.run` returns them; the start is put before them.
        scale: level lines are drawn at powers of this factor.
        styles: name -> line style, where paths of one optimizer must differ ("-", "--", ":").
    """
    figure, (ax,) = panels(height=3.8)
    left, right, bottom, top = problem.box
    grid = np.stack(np.meshgrid(np.linspace(left, right, 200), np.linspace(bottom, top, 200)), axis=-1)
    height = problem.f(grid) - problem.f(problem.minimum)
    levels = height.max() * float(scale) ** np.arange(-8, 1)
    ax.contour(*np.moveaxis(grid, -1, 0), height, levels=levels, colors="#BBBBBB", linewidths=0.8)
    ends = []
    for name, path in paths.items():
        label, colour, marker = look(name)
        path = np.vstack([problem.start, path])
        line = (styles or {}).get(name, "-")
        ax.plot(*path.T, line, color=colour, marker=marker, ms=4 if line == "-" else 0, lw=1.5, label=label)
        distance = np.linalg.norm(path[-1] - problem.minimum)
        ends.append(f"{label} is {distance:.2g} away after {len(path) - 1} steps")
    ax.plot(*problem.minimum, marker="+", color="black", ms=12)
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="$x_1$", ylabel="$x_2$")
    legend(figure, ax)
    alt = f"Paths over the level lines of a {problem.name}. From the minimum, {'; '.join(ends)}."
    return Picture(figure, alt)


def effective_rates(rates, xlabel="effective learning rate of a coordinate"):
    """How effective learning rates spread over coordinates: one outlined histogram a name, on a logarithmic axis.

    Args:
        rates: name -> array of positive numbers, one a coordinate.
        xlabel: what they are.
    """
    figure, (ax,) = panels(height=3.2)
    decades = np.log10([[values.min(), values.max()] for values in rates.values()])
    bins = np.logspace(np.floor(decades.min()), np.ceil(decades.max()), 81)
    spreads = []
    for name, values in rates.items():
        label, colour, _ = look(name)
        ax.hist(np.ravel(values), bins=bins, histtype="step", color=colour, lw=1.8, label=label)
        low, middle, high = np.percentile(values, [5, 50, 95])
        spreads.append(f"{label}: median {middle:.2g}, 95th over 5th percentile {high / low:.2g}")
    ax.set(xscale="log", xlabel=xlabel, ylabel="coordinates")
    legend(figure, ax)
    return Picture(figure, f"Histograms of the {xlabel}. {'; '.join(spreads)}.")


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


_KINDS = {"convolution": "#4A6FA5", "shortcut": "#A9B8CC", "linear": "#333333"}


def network(title, layers):
    """A network layer by layer: how large its maps are, how many channels, and where its parameters lie.

    Args:
        title: its name.
        layers: `padam.models.layers(...)` of it.
    """
    figure = Figure(figsize=(6.8, 3.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    for ax in (upper, lower):
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=9)
    x = np.arange(1, len(layers) + 1)
    colours = [_KINDS[layer.kind] for layer in layers]
    upper.bar(x, [layer.size for layer in layers], color=colours)
    lower.bar(x, [layer.parameters / 1e3 for layer in layers], color=colours)
    for at, layer in zip(x, layers, strict=True):
        upper.annotate(layer.channels, (at, layer.size), ha="center", va="bottom", fontsize=7, color="#555555")
    for kind in dict.fromkeys(layer.kind for layer in layers):
        upper.bar([1], [0], color=_KINDS[kind], label=kind)
    upper.set(ylabel="map, pixels", title=title, yscale="log", yticks=(1, 2, 4, 8, 16, 32), ylim=(0.8, 55))
    upper.set_yticklabels((1, 2, 4, 8, 16, 32))
    upper.minorticks_off()
    upper.legend(fontsize=8, edgecolor="none", loc="upper right", ncols=3)
    lower.set(ylabel="parameters, thousands", xlabel="layer, in the order of computation (above a bar: its channels)")
    return Picture(figure, f"{title} layer by layer: {_told(layers)}.")


def _told(layers):
    total, kinds = sum(layer.parameters for layer in layers), [layer.kind for layer in layers]
    half = next(k for k in range(len(layers)) if 2 * sum(one.parameters for one in layers[-k - 1 :]) > total)
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    sizes = ", ".join(f"{size:g}" for size in dict.fromkeys(one.size for one in layers))
    return (
        f"{counts}; maps of {sizes} pixels; {layers[0].channels} channels in the first layer, "
        f"{max(one.channels for one in layers)} at most; {total:,} parameters, half of them in the last {half + 1} "
        "layers"
    )


def samples(images, titles, what):
    """Pictures of a data set side by side, each with its title above it.

    Args:
        images: uint8 (N, 3, H, W), or float of 0 to 255.
        titles: N of them.
        what: what they show, in words; the alternative text begins with it and ends with the titles.

    Raises ValueError unless there is a title for each image.
    """
    if len(images) != len(titles):
        raise ValueError(f"{len(images)} images need as many titles; there are {len(titles)}.")
    figure, axes = panels(len(images), width=6.8, height=6.8 / len(images) + 0.3)
    for ax, image, title in zip(axes, images, titles, strict=True):
        ax.imshow(np.asarray(image).transpose(1, 2, 0).astype(np.uint8), interpolation="nearest")
        ax.set_title(title, fontsize=10)
        ax.set_axis_off()
    return Picture(figure, f"{what}: {', '.join(map(str, titles))}.")
