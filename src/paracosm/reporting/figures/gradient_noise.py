"""What reward noise adds to a policy gradient."""

from __future__ import annotations

from matplotlib.figure import Figure

from paracosm.core.records.decisions import GradientNoise
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.theme import INK, MUTED, canvas, grid, house_style, logarithmic


@house_style()
def plot_gradient_noise(noise: GradientNoise) -> Figure:
    """The exact coefficients with intervals, and Theorem 2's bound, on one axis."""
    figure = canvas(400, 140)
    axes = figure.subplots()
    intervals.interval(axes, noise.coefficient, 0.0, INK)
    intervals.interval(axes, noise.shared, 1.0, INK)
    axes.plot([noise.bound], [2], "|", color=MUTED, markersize=16, markeredgewidth=2)
    intervals.rows(axes, ["independent errors", "one error per rollout", "Theorem 2’s bound"])
    axes.margins(x=0.1)
    if axes.dataLim.intervalx[0] > 0:
        logarithmic(axes.xaxis)
    grid(axes, "x")
    axes.set_xlabel("gradient variance per unit of label variance")
    return figure
