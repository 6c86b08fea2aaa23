"""Pictures of benchmark records: the time of a step, and how near it comes to what memory allows."""

from padam.picture import Picture
from padam.plots.axes import STYLE, legend, panels

FLOPS = 15  # of a step of Padam a parameter: 3 for m, 4 for v, 1 maximum, 3 square roots, 1 sum, 3 for x
# Form -> colour, marker, line.
_FORMS = {
    "loop": (STYLE["adagrad"][0], "v", ":"),
    "foreach": (STYLE["adam"][0], "o", "--"),
    "fused": (STYLE["padam"][0], "*", "-"),
    "torch foreach": ("#777777", "o", "--"),
    "torch fused": ("#777777", "*", "-"),
    "copy": ("#333333", "", "-"),
}


def _rows(record):
    """[(network, parameters, its forms), ...] from the fewest parameters to the most."""
    found = [(name, network["parameters"], network["forms"]) for name, network in record["networks"].items()]
    return sorted(found, key=lambda row: row[1])


def steps(record):
    """The time of a step against the number of parameters, a line a form; the copy's is the least that can be.

    Args:
        record: what `padam.bench.step` returned, or was kept of it.
    """
    figure, (ax,) = panels(width=6.4, height=3.8)
    rows, ends = _rows(record), []
    for form, (colour, marker, line) in _FORMS.items():
        points = [(count, 1e3 * forms[form]["seconds"]["median"]) for _, count, forms in rows if form in forms]
        if points:
            style = {"color": colour, "ls": line, "marker": marker, "ms": 6, "lw": 2.5 if form == "copy" else 1.4}
            ax.plot(*zip(*points, strict=True), label=form, **style)
            ends.append(f"{form} {points[0][1]:.3g} and {points[-1][1]:.3g}")
    ax.set(xlabel="parameters", ylabel="time of a step (ms)", xscale="log", yscale="log")
    legend(figure, ax)
    least, most = rows[0][1], rows[-1][1]
    return Picture(
        figure, f"Time of a step in milliseconds, for {least:,} and for {most:,} parameters: {'; '.join(ends)}."
    )


def roofline(record, network):
    """Operations a second against operations a byte: under the slanted line memory is waited for, above it caches help.

    Args:
        record: as `steps` takes it.
        network: which of its networks.
    """
    figure, (ax,) = panels(width=6.4, height=3.8)
    found = record["networks"][network]
    count, forms = found["parameters"], found["forms"]
    bandwidth = forms["copy"]["bytes"] * count / forms["copy"]["seconds"]["median"]  # bytes a second
    told = []
    for form in ("loop", "foreach", "fused"):
        if form in forms:
            colour, marker, _ = _FORMS[form]
            intensity = FLOPS / forms[form]["bytes"]
            speed = FLOPS * count / forms[form]["seconds"]["median"] / 1e9
            ax.plot(intensity, speed, marker, color=colour, ms=11, label=form)
            told.append(f"{form} at {intensity:.3g} and {speed:.3g}")
    ends = (FLOPS / 150, FLOPS / 30)
    ax.plot(ends, [x * bandwidth / 1e9 for x in ends], color="#333333", lw=2, label="what a copy's speed allows")
    ax.set(xlabel="operations a byte", ylabel="10⁹ operations a second", xscale="log", yscale="log")
    ax.set_xticks([0.1, 0.2, 0.3, 0.4, 0.5], ["0.1", "0.2", "0.3", "0.4", "0.5"])
    low, high = ax.get_ylim()
    rates = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)]
    rates = [rate for rate in rates if low <= rate <= high]
    ax.set_yticks(rates, [f"{rate:g}" for rate in rates])
    ax.set_xticks([], minor=True)
    ax.set_yticks([], minor=True)
    legend(figure, ax)
    return Picture(
        figure,
        f"Operations a second, in 10⁹, against operations a byte, for {network}: {', '.join(told)}; a copy's speed "
        f"allows {bandwidth / 1e9:.3g} a byte.",
    )
