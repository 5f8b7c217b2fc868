"""Real against imagined return."""

from __future__ import annotations

from matplotlib.figure import Figure

from paracosm.core.records import Diagnosis
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.theme import IMAGINED, INK, canvas, grid, house_style


@house_style()
def plot_returns(found: Diagnosis) -> Figure:
    """Both undiscounted returns of the policy, with their intervals, on one axis."""
    figure = canvas(400, 110)
    axes = figure.subplots()
    for row, (estimate, color) in enumerate([(found.real_return, INK), (found.imagined_return, IMAGINED)]):
        intervals.interval(axes, estimate, float(row), color, size=9)
    means = [found.real_return.mean, found.imagined_return.mean]
    axes.plot(means, [0, 1], color=IMAGINED, linewidth=1, linestyle=(0, (2, 2)), zorder=2)
    intervals.rows(axes, ["real", "imagined"])
    axes.margins(x=0.08)
    grid(axes, "x")
    axes.set_xlabel("return of a whole episode, not discounted")
    return figure
