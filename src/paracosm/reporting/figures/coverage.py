"""What the predictive intervals of each level hold, and errors by horizon beside simple guesses."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from paracosm.core.records.calibration import Calibration, Coverage
from paracosm.reporting.figures.theme import (
    CAUSES,
    INK,
    MUTED,
    canvas,
    grid,
    house_style,
    key,
    logarithmic,
)

_GUESSES = {
    "model": (CAUSES["dynamics"], "-"),
    "no_change": (MUTED, (0, (5, 1.5))),
    "mean_state": (INK, (0, (1.5, 1.5))),
}


@house_style()
def plot_coverage(coverage: Coverage) -> Figure:
    """The observed share over the nominal level, with intervals, and the line of a calibrated
    spread.
    """
    figure = canvas(300, 280)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, zorder=1)
    means = [held.mean for held in coverage.observed]
    axes.plot(coverage.nominal, means, "o-", color=CAUSES["dynamics"], markersize=4)
    for level, held in zip(coverage.nominal, coverage.observed, strict=True):
        axes.plot([level] * 2, [held.low, held.high], color=CAUSES["dynamics"], alpha=0.55)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    _percent(axes)
    grid(axes, "both")
    axes.set_xlabel("level of the interval")
    axes.set_ylabel("real next states in it")
    return figure


@house_style()
def plot_horizons(calibration: Calibration) -> Figure:
    """Root mean square errors of the model and of the simple guesses over the horizon."""
    figure = canvas(400, 280)
    axes = figure.subplots()
    steps = [horizon.steps for horizon in calibration.horizons]
    lines = {
        name: [getattr(horizon, name).mean for horizon in calibration.horizons] for name in _GUESSES
    }
    for name, (color, dashes) in _GUESSES.items():
        label = name.replace("_", " ")
        axes.plot(
            steps, lines[name], color=color, linestyle=dashes, marker="o", markersize=3, label=label
        )
    if min(map(min, lines.values())) > 0:
        logarithmic(axes.yaxis)
    logarithmic(axes.xaxis)
    grid(axes, "y")
    key(axes)
    axes.set_xlabel("steps ahead, with the recorded actions")
    axes.set_ylabel("error in scaled states")
    return figure


def _percent(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f}%"))
