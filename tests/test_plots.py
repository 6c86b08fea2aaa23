"""Pictures: colours that stay apart, alternative text whose numbers are the picture's, the same bytes every time."""

import itertools

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from padam import plots, problems
from padam.catalog import CATALOG

PAPER = ("sgdm", "adam", "amsgrad", "adamw", "yogi", "adabound", "padam")

# Machado, Oliveira and Fernandes (2009), full severity: linear RGB as a colour-blind reader sees it.
VISION = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def _linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def _contrast(colour, background):
    light = sorted(np.dot([0.2126, 0.7152, 0.0722], _linear(c)) for c in (colour, background))
    return (light[1] + 0.05) / (light[0] + 0.05)


def test_one_colour_and_one_marker_per_optimizer():
    assert set(plots.STYLE) == set(CATALOG)
    assert len(set(plots.STYLE.values())) == len(CATALOG)
    assert len({plots.STYLE[name][0] for name in PAPER}) == len(PAPER)


@pytest.mark.parametrize("vision", VISION)
def test_the_papers_seven_stay_apart_for_every_eye(vision):
    seen = {name: _lab(np.clip(np.array(VISION[vision]) @ _linear(plots.STYLE[name][0]), 0, 1)) for name in PAPER}
    for one, other in itertools.combinations(PAPER, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 12, f"{one} and {other} look alike under {vision}"


def test_every_colour_stands_out_from_the_page():
    for colour, _ in plots.STYLE.values():
        assert _contrast(colour, "white") >= 3


def _run(losses, errors):
    return {"history": {"epoch": [1, 2], "train_loss": losses, "test_error": errors}}


def test_histories_say_how_each_run_ends():
    picture = plots.histories({"padam p=1/8": _run([1.0, 0.25], [0.5, 0.125]), "adam": _run([1.0, 0.5], [0.5, 0.2])})
    assert "Padam p = 1/8 0.25, 12.5%" in picture.alt
    assert "Adam 0.5, 20.0%" in picture.alt
    loss, error = picture.figure.axes
    assert loss.get_yscale() == "log"
    assert error.lines[0].get_ydata().tolist() == [50.0, 12.5]
    assert error.lines[1].get_color() == plots.STYLE["adam"][0]
    assert error.lines[1].get_marker() == plots.STYLE["adam"][1]


def test_trajectories_begin_at_the_start_and_say_where_they_end():
    problem = problems.quadratic()
    picture = plots.trajectories(problem, {"sgdm": np.array([[0.5, 0.5], [0.3, 0.4]])})
    assert "SGD-momentum is 0.5 away after 2 steps" in picture.alt
    assert "condition number 25" in picture.alt
    (line, _minimum) = picture.figure.axes[0].lines
    np.testing.assert_array_equal(line.get_xydata()[0], problem.start)


def test_rates_say_median_and_spread():
    picture = plots.effective_rates({"padam p=1/8": np.logspace(0, 2, 101)})
    assert "median 10, 95th over 5th percentile 63" in picture.alt


def test_curves_say_where_they_go():
    picture = plots.curves({"none": ([1, 10], [2.0, 3.0])}, x="step", y="rate", log="x", marks=[(5, "five")])
    assert picture.alt == "rate against step, from 1. none goes from 2 to 3."
    assert picture.figure.axes[0].get_xscale() == "log"
    (mark,) = picture.figure.axes[0].texts
    assert (mark.get_text(), mark.xy[0]) == ("five", 5)
    assert mark.xy[1] > 1  # above the axes, where no line is
    valley = plots.curves({"adam": ([1, 10, 100], [2.0, 0.5, 3.0])}, x="rate", y="loss", limits=(0.4, 2))
    assert "Adam goes from 2 to 3, lowest 0.5 at 10." in valley.alt
    assert valley.figure.axes[0].get_ylim() == (0.4, 2)


def test_what_others_published_looks_unlike_our_runs():
    run = {"optimizer": "sgdm", "epoch": [1, 2, 3], "test_error": [0.3, 0.05, 0.07]}
    picture = plots.published([run], source="Somebody (2020)", marks=(2,), limits=(0, 40))
    assert "Published by Somebody (2020)" in picture.alt
    assert "SGD-momentum ends at 7, lowest 5 in epoch 2" in picture.alt
    axes = picture.figure.axes[0]
    assert axes.lines[0].get_linestyle() == "--"
    assert axes.lines[0].get_markerfacecolor() == "white"
    assert "Somebody (2020)" in axes.get_xlabel()
    ours = plots.curves({"sgdm": ([1, 2], [1.0, 2.0])}, x="x", y="y").figure.axes[0].lines[0]
    assert ours.get_linestyle() == "-"


def test_whole_numbers_get_whole_ticks():
    whole = plots.curves({"none": ([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])}, x="epoch", y="y").figure.axes[0]
    parts = plots.curves({"none": ([0.0, 0.25, 0.5], [1.0, 2.0, 3.0])}, x="p", y="y").figure.axes[0]
    assert all(tick.is_integer() for tick in whole.get_xticks())
    assert not all(tick.is_integer() for tick in parts.get_xticks())


def test_a_legend_that_would_cover_a_line_stands_outside():
    free = plots.curves({"adam": ([0, 1, 2], [0.0, 1.0, 5.0])}, x="x", y="y", marks=[(0.5, "mark")])
    assert free.figure.axes[0].get_legend() is not None
    assert free.figure.legends == []
    full = plots.curves({f"line {n}": ([0, 1, 2], [n, n, n]) for n in range(9)}, x="x", y="y")
    assert full.figure.axes[0].get_legend() is None
    (legend,) = full.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [f"line {n}" for n in range(9)]
    full.figure.draw_without_rendering()
    assert legend.get_window_extent().y0 >= full.figure.axes[0].get_window_extent().y1
    long = plots.curves({f"a line with a long name {n}": ([0, 1, 2], [n, n, n]) for n in range(9)}, x="x", y="y")
    (legend,) = long.figure.legends
    assert legend.get_window_extent().width <= long.figure.bbox.width


def test_a_spread_is_shaded_around_its_line():
    picture = plots.curves({"sgdm": ([1, 2], [1.0, 2.0])}, x="x", y="y", spread={"sgdm": ([0, 1], [2, 3])})
    (shade,) = picture.figure.axes[0].collections
    assert shade.get_paths()[0].get_extents().intervaly.tolist() == [0, 3]


def test_the_envelope_says_how_many_coordinates_are_inside():
    picture = plots.envelope([1, 100], [0.1, 0.5], [10.0, 2.0], np.array([[1.0, 2.0, 20.0, 3.0], [1.0, 3.0, 0.4, 0.2]]))
    assert "at step 1 they are 0.1 and 10, the middle coordinate is at 2.5 and 75% of the coordinates" in picture.alt
    assert "at step 100 they are 0.5 and 2, the middle coordinate is at 0.7 and 25% of the coordinates" in picture.alt
    axes = picture.figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.lines[2].get_color() == plots.STYLE["adabound"][0]
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), [2.5, 0.7])


def test_the_dial_ends_in_the_colours_of_its_ends():
    for p, name in (("0", "sgdm"), ("1/8", "padam"), ("1/2", "amsgrad")):
        _, colour, _ = plots.look(f"padam p={p}")
        np.testing.assert_allclose(to_rgb(colour[:3]), to_rgb(plots.STYLE[name][0]), atol=0.01)


def test_the_norm_goes_from_rmsprops_colour_towards_adamaxs():
    colours = [to_rgb(plots.look(f"q={q}")[1][:3]) for q in (2, 8, 1e9)]
    np.testing.assert_allclose(colours[0], to_rgb(plots.STYLE["rmsprop"][0]), atol=0.01)
    np.testing.assert_allclose(colours[2], to_rgb(plots.STYLE["adamax"][0]), atol=0.01)
    assert len(set(colours)) == 3
    assert plots.look("q=8")[0] == "q = 8"


def test_a_picture_carries_its_text_and_is_the_same_every_time():
    picture = plots.curves({"none": ([1, 10], [2.0, 3.0])}, x="step", y="rate")
    shown, meta = picture._repr_mimebundle_()
    assert shown["image/png"].startswith(b"\x89PNG")
    assert shown["image/png"] == plots.curves({"none": ([1, 10], [2.0, 3.0])}, x="step", y="rate").png()
    assert shown["text/plain"] == meta["image/png"]["alt"] == picture.alt


def test_several_seeds_are_a_mean_and_a_shade():
    runs = {"adam": [_run([2.0, 1.0], [0.5, 0.2]), _run([1.0, 3.0], [0.5, 0.4])]}
    picture = plots.histories(runs, marks=(1.5,))
    loss, error = picture.figure.axes[:2]
    assert error.lines[0].get_ydata().tolist() == [50, pytest.approx(30)]
    assert loss.lines[0].get_ydata().tolist() == [1.5, 2.0]
    (shade,) = error.collections
    assert shade.get_paths()[0].get_extents().ymin == pytest.approx(20)
    assert shade.get_paths()[0].get_extents().ymax == pytest.approx(50)
    assert "Adam (2 seeds) 2, 30.0%" in picture.alt
    assert error.lines[1].get_xdata()[0] == 1.5


def test_differences_have_a_line_a_comparison_and_a_marker_a_source():
    sources = {"paper": "the paper", "other": "others", "ours": "ours"}
    rows = [("adam", "VGG-16", {"paper": (1.5, 0.0), "ours": (0.9, 0.3)}), ("padam", "VGG-16", {"ours": (-0.1, 0.2)})]
    picture = plots.differences(rows, "points behind", sources)
    (ax,) = picture.figure.axes
    points = [line for line in ax.lines if line.get_marker() not in ("None", None, "") and len(line.get_xdata()) == 1]
    assert [float(line.get_xdata()[0]) for line in points] == [1.5, 0.9, -0.1]
    assert points[0].get_marker() != points[1].get_marker() == points[2].get_marker()
    assert points[1].get_color() == plots.STYLE["adam"][0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["Adam, VGG-16", "Padam, VGG-16"]
    assert "Adam, VGG-16: the paper +1.50, ours +0.90 ± 0.30" in picture.alt
    drawn = [segment for bar in ax.collections for segment in bar.get_segments()]
    assert np.allclose([segment[:, 0] for segment in drawn], [(0.6, 1.2), (-0.3, 0.1)])


def test_a_network_is_drawn_layer_by_layer():
    from padam import models

    layers = models.layers(models.build("resnet18-w4"))
    picture = plots.network("ResNet-18", layers)
    upper, lower = picture.figure.axes
    assert [bar.get_height() for bar in upper.patches][: len(layers)] == [layer.size for layer in layers]
    assert [1000 * bar.get_height() for bar in lower.patches] == pytest.approx([one.parameters for one in layers])
    total = sum(weights.numel() for weights in models.build("resnet18-w4").parameters())
    assert "17 convolution, 3 shortcut, 1 linear; maps of 32, 16, 8, 4, 1 pixels" in picture.alt
    assert f"4 channels in the first layer, 32 at most; {total:,} parameters" in picture.alt


def test_samples_are_shown_as_they_are_and_told():
    images = torch.zeros(2, 3, 2, 4)
    images[1, 0, 0, 3] = 255.0  # red, upper right
    picture = plots.samples(images, ["black", "red"], "Two pictures")
    first, second = (ax.images[0].get_array() for ax in picture.figure.axes)
    assert first.shape == (2, 4, 3)
    assert not first.any()
    assert second[0, 3].tolist() == [255, 0, 0]
    assert second.sum() == 255
    assert [ax.get_title() for ax in picture.figure.axes] == ["black", "red"]
    assert picture.alt == "Two pictures: black, red."
    with pytest.raises(ValueError, match="2 images need as many titles; there are 1"):
        plots.samples(images, ["black"], "Two pictures")


def _bench(small, large):
    """A record of `bench step` with these milliseconds of each form, for a thousand and for a million parameters."""
    moved = {"copy": 36, "loop": 120, "foreach": 96, "fused": 36}
    return {
        "networks": {
            name: {
                "parameters": count,
                "forms": {
                    form: {"seconds": {"median": taken / 1e3}, "bytes": moved[form]} for form, taken in times.items()
                },
            }
            for name, count, times in (("large", 10**6, large), ("small", 1000, small))
        }
    }


def test_steps_are_drawn_by_size_and_told():
    record = _bench({"copy": 0.1, "loop": 2.0, "fused": 0.5}, {"copy": 1.0, "loop": 9.0, "fused": 3.0})
    picture = plots.steps(record)
    assert "for 1,000 and for 1,000,000 parameters: loop 2 and 9; fused 0.5 and 3; copy 0.1 and 1." in picture.alt
    lines = {line.get_label(): line.get_xydata().tolist() for line in picture.figure.axes[0].lines}
    assert lines["loop"] == [[1000, 2.0], [10**6, 9.0]]
    assert set(lines) == {"loop", "fused", "copy"}


def test_the_roofline_is_a_copys_speed():
    """A million parameters: a copy of 36 MB in 1 ms is 36e9 bytes a second, so 15 operations a 36 bytes allow 15e9."""
    picture = plots.roofline(_bench({}, {"copy": 1.0, "loop": 10.0, "fused": 1.0}), "large")
    lines = {line.get_label(): line.get_xydata() for line in picture.figure.axes[0].lines}
    (x, y), *_ = lines["fused"]
    assert (x, y) == pytest.approx((15 / 36, 15.0))
    assert lines["loop"][0] == pytest.approx((15 / 120, 1.5))
    roof = lines["what a copy's speed allows"]
    assert roof[:, 1] / roof[:, 0] == pytest.approx(36.0)
    assert "fused at 0.417 and 15" in picture.alt
