"""The figures: one colour per cause, thinned without losing the outline, independent of the user's
settings.
"""

import dataclasses
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core.records import Overlay
from paracosm.reporting import figures
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.overlay import parted_most
from paracosm.reporting.figures.series import outer_limits, running_sum, thin
from paracosm.reporting.figures.svg import inline
from paracosm.reporting.figures.theme import CAUSES, canvas, logarithmic, short
from tests.reporting import report_records as records


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=2000))
def test_thinning_keeps_ends_extremes_and_order(values):
    times, thinned = thin(values, buckets=50)
    assert len(thinned) <= max(102, min(len(values), 100))
    assert (np.diff(times) > 0).all()
    assert (thinned == np.asarray(values)[times]).all()
    assert (thinned[0], thinned[-1], thinned.min(), thinned.max()) == (
        values[0],
        values[-1],
        min(values),
        max(values),
    )


def test_running_sum_ends_at_the_cause():
    diagnosis = records.diagnosis()
    for name, series in diagnosis.causes.items():
        assert running_sum(series.signed)[1][-1] == pytest.approx(getattr(diagnosis.gap, name).mean)


@given(st.lists(st.floats(), max_size=20))
def test_limits_are_an_interval_around_every_finite_value(values):
    low, high = outer_limits(
        [value for value in values if abs(value) < 1e300 or not np.isfinite(value)]
    )
    assert low < high


def test_dimensions_that_part_the_most_are_chosen_in_order():
    real = np.tile(np.linspace(0, 1, 5)[:, None], 9)
    imagined = real + np.arange(9) * np.linspace(0, 1, 5)[:, None]
    overlay = Overlay(*(tuple(map(tuple, rows.tolist())) for rows in (real, imagined)))
    assert parted_most([overlay]) == [3, 4, 5, 6, 7, 8]


def test_causes_keep_their_colour_in_every_figure():
    diagnosis = records.diagnosis()
    lines = {
        line.get_label(): line.get_color() for line in figures.plot_steps(diagnosis).axes[0].lines
    }
    learned = {cause: color for cause, color in CAUSES.items() if cause != "horizon"}
    assert learned.items() <= lines.items()
    for gap, prediction, colors in (
        (diagnosis.gap, "imagined", learned),
        (diagnosis.gap_training, "predicted", CAUSES),
    ):
        drawn = figures.plot_gap(gap, prediction, horizon="horizon" in colors).axes[0].patches
        assert [matplotlib.colors.to_hex(bar.get_facecolor()) for bar in drawn][1:] == list(
            colors.values()
        )


def test_figures_ignore_the_users_settings_and_leave_them_alone():
    plain = inline(figures.plot_gap(records.diagnosis().gap, "imagined", horizon=False), "gap", "")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "svg.fonttype": "path"}):
        assert (
            inline(figures.plot_gap(records.diagnosis().gap, "imagined", horizon=False), "gap", "")
            == plain
        )
        assert matplotlib.rcParams["font.size"] == 30


def test_same_figure_under_two_names_shares_no_id():
    diagnosis = records.diagnosis()
    first, second = (
        inline(figures.plot_returns(diagnosis), name, "") for name in ("first", "second")
    )
    assert first.replace("first-", "") != first
    assert 'id="first-' in first
    assert 'id="first-' not in second


def test_reporting_needs_neither_jax_nor_matplotlib_before_it_draws():
    code = (
        "import sys, paracosm.reporting; sys.exit(bool({'jax', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_needs_neither_jax_nor_pyplot():
    code = (
        "import sys, paracosm.reporting.drawing; sys.exit(bool({'jax', 'matplotlib.pyplot'} &"
        " set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["a", "runs/a-rather-long-name-of-a-run"], ["a", "…ong-name-of-a-run"]),
        (
            ["runs/seed10-of-a-name-that-is-long", "runs/seed20-of-a-name-that-is-long"],
            ["…ns/seed1…-is-long", "…ns/seed2…-is-long"],
        ),
        (
            ["pendulum-pathwise-2000", "runs/pendulum-pathwise-2000"],
            ["…lum-pathwise-2000", "runs/…ise-2000"],
        ),
        (
            [f"runs/seed{n}/pendulum-{how}" for how in ("pathwise", "reinforce") for n in "01"],
            [f"…ns/seed{n}…{how}" for how in ("pathwise", "einforce") for n in "01"],
        ),
        (
            [f"{a}/{'long' * 9}/{b}/{'end' * 9}" for a in "xy" for b in "01"],
            [f"{a}…g/{b}…ndendend" for a in "xy" for b in "01"],
        ),
        (
            [f"{a}{'x' * 30}{b}{'y' * 10}" for a in "01" for b in "01"],
            [f"{number}: …x{b}{'y' * 10}" for number, b in enumerate("0101", 1)],
        ),
    ],
)
def test_short_labels_of_two_names_are_never_alike(names, labels):
    assert intervals.short(names) == labels


@given(st.lists(st.text("01/", min_size=1, max_size=40), unique=True, max_size=6))
def test_labels_are_short_and_differ(names):
    labels = intervals.short(names)
    assert len(set(labels)) == len(names)
    assert all(len(label) <= 18 for label in labels)


def test_a_long_component_keeps_its_number_and_index_and_leaves_room_for_its_bar():
    names = tuple(f"observation_of_the_left_hand_side_sensor_array[{i}]" for i in range(3))
    split = dataclasses.replace(records.dimensions((0.3, 0.2, 0.1), 0.6), components=names)
    figure = figures.plot_dimensions(records.diagnosis(dynamics_by_dimension=split))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [*(f"component {i} observ…or_array[{i}]" for i in range(3)), "remainder"]
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.4


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, "0.05"), (200.0, "200"), (1000.0, "1k"), (2.5e4, "25k"), (1e6, "1M"), (3e9, "3G")],
)
def test_ticks_are_short(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("low", "high"),
    [*((1.3, 1.3 * high) for high in (1.05, 3.0, 20.0, 1e4)), (2000.0, 50_000.0), (2.5, 70.0)],
)
def test_logarithmic_axes_have_ticks_whatever_their_range(low, high):
    axes = canvas(300, 200).subplots()
    axes.plot([low, high], [0, 1])
    logarithmic(axes.xaxis)
    low, top = axes.get_xlim()
    assert 2 <= sum(low <= tick <= top for tick in axes.get_xticks()) <= 12
