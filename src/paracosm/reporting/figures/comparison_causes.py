"""The gap by cause of several runs."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records import Gap
from paracosm.core.records.results import Comparison
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.theme import CAUSES, canvas, grid, house_style, key, zero_line

LEARNED = {cause: color for cause, color in CAUSES.items() if cause != "horizon"}


@house_style()
def plot_comparison_causes(comparison: Comparison) -> Figure:
    """A row per run: the causes of its whole-episode gap, with intervals."""
    figure = canvas(400, 70 + 62 * len(comparison.runs))
    axes = figure.subplots()
    for row, run in enumerate(comparison.runs.values()):
        _causes(axes, run.diagnosis.gap, row)
    for name, color in LEARNED.items():
        axes.plot([], [], "o", color=color, label=name)
    intervals.rows(axes, intervals.short(comparison.runs))
    key(axes)
    zero_line(axes, vertical=True)
    axes.margins(x=0.08)
    grid(axes, "x")
    axes.set_xlabel("return of whole episodes, real minus imagined")
    return figure


def _causes(axes: Axes, gap: Gap, row: int) -> None:
    for place, (name, color) in enumerate(LEARNED.items()):
        intervals.interval(axes, getattr(gap, name), row + 0.18 * (place - 1), color, size=5)
