"""Real and imagined return of several runs."""

from __future__ import annotations

from matplotlib.figure import Figure

from paracosm.core.records.results import Comparison
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.theme import IMAGINED, INK, canvas, grid, house_style, key


@house_style()
def plot_comparison_returns(comparison: Comparison) -> Figure:
    """A row per run: real return above imagined return, with intervals."""
    figure = canvas(400, 70 + 46 * len(comparison.runs))
    axes = figure.subplots()
    for row, run in enumerate(comparison.runs.values()):
        intervals.interval(axes, run.diagnosis.real_return, row - 0.14, INK)
        intervals.interval(axes, run.diagnosis.imagined_return, row + 0.14, IMAGINED)
    axes.plot([], [], "o", color=INK, label="real")
    axes.plot([], [], "o", color=IMAGINED, label="imagined")
    intervals.rows(axes, intervals.short(comparison.runs))
    key(axes)
    axes.margins(x=0.08)
    grid(axes, "x")
    axes.set_xlabel("return of a whole episode, not discounted")
    return figure
