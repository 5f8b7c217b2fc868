"""A chart of an experiment: series over one axis."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records.experiments import Chart, Series
from paracosm.reporting.figures.theme import (
    CAUSES,
    IMAGINED,
    INK,
    canvas,
    grid,
    house_style,
    key,
    logarithmic,
)

COLORS = (
    CAUSES["dynamics"],
    CAUSES["reward"],
    CAUSES["termination"],
    IMAGINED,
    INK,
    CAUSES["horizon"],
)
STYLES = {
    "line": {},
    "dashed": {"linestyle": (0, (4, 2))},
    "points": {"linestyle": "", "marker": "o"},
}


@house_style()
def plot_chart(chart: Chart) -> Figure:
    """Every series with its interval as a band, or as bars if it is drawn as points."""
    figure = canvas(480, 300)
    axes = figure.subplots()
    for number, series in enumerate(chart.series):
        _series(axes, series, COLORS[number % len(COLORS)])
    if chart.log_x:
        logarithmic(axes.xaxis)
    if chart.log_y:
        logarithmic(axes.yaxis)
    grid(axes, "both")
    _key(axes, chart)
    axes.set_xlabel(chart.x)
    axes.set_ylabel(chart.y)
    return figure


def _series(axes: Axes, series: Series, color: str) -> None:
    if series.low and series.mark == "points":
        axes.vlines(series.x, series.low, series.high, color=color, linewidth=1, alpha=0.6)
    elif series.low:
        axes.fill_between(series.x, series.low, series.high, color=color, alpha=0.16, linewidth=0)
    axes.plot(
        series.x, series.y, color=color, markersize=4, label=series.name, **STYLES[series.mark]
    )


def _key(axes: Axes, chart: Chart) -> None:
    """A legend above the figure, in two columns where one row is too long; none for a single
    series.
    """
    names = [series.name for series in chart.series]
    if len(names) > 1:
        key(axes, columns=len(names) if sum(map(len, names)) + 6 * len(names) <= 72 else 2)
