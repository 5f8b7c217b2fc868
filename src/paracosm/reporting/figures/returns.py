"""Real against imagined return."""

from __future__ import annotations

from matplotlib.figure import Figure

from paracosm.core.records import Diagnosis, discounted
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.theme import IMAGINED, INK, canvas, grid, house_style


@house_style()
def plot_returns(diagnosis: Diagnosis) -> Figure:
    """Both returns of the policy, with their intervals, on one axis."""
    figure = canvas(400, 110)
    axes = figure.subplots()
    for row, (estimate, color) in enumerate(
        [(diagnosis.gap.real, INK), (diagnosis.gap.predicted, IMAGINED)]
    ):
        intervals.interval(axes, estimate, float(row), color, size=9)
    means = [diagnosis.gap.real.mean, diagnosis.gap.predicted.mean]
    axes.plot(means, [0, 1], color=IMAGINED, linewidth=1, linestyle=(0, (2, 2)), zorder=2)
    intervals.rows(axes, ["real", "imagined"])
    axes.margins(x=0.08)
    grid(axes, "x")
    axes.set_xlabel(f"return of a whole episode, {discounted(diagnosis.discount)}")
    return figure
