"""What all pictures share: colours and markers, axes, legends that cover no line, marks above the axes."""

from fractions import Fraction

from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from padam.catalog import CATALOG

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


def panels(columns=1, width=6.0, height=3.4):
    """(figure, its axes side by side), without the frame's upper and right line; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=10)
    return figure, axes


def look(name):
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


def legend(figure, ax):
    """The legend where it covers no line: inside the axes if some corner is free, else above, in columns that fit."""
    style = {"fontsize": 9, "framealpha": 0.9, "edgecolor": "none"}
    drawn = ax.legend(**style)
    figure.draw_without_rendering()
    box = drawn.get_window_extent()
    named = [line for line in ax.lines if not line.get_label().startswith("_")]
    paths = [line.get_path().transformed(line.get_transform()) for line in named]
    columns = 3 if any(path.intersects_bbox(box, filled=False) for path in paths) else 0
    while columns:
        drawn.remove()
        drawn = figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=columns, **style)
        figure.draw_without_rendering()
        columns = columns - 1 if drawn.get_window_extent().width > figure.bbox.width else 0


def mark(ax, value, text=""):
    """A vertical line at a value of the x axis, and what it means above the axes, where no curve is."""
    ax.axvline(value, color="#999999", lw=0.8, zorder=0)
    ax.annotate(text, (value, 1.01), xycoords=("data", "axes fraction"), fontsize=9, color="#555555", ha="center")
