"""How one part of the world was learned."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records import PartFit
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.series import thin
from paracosm.reporting.figures.theme import (
    CAUSES,
    LINE,
    MUTED,
    canvas,
    grid,
    house_style,
    logarithmic,
)


@house_style()
def plot_learning(fit: PartFit) -> Figure:
    """Validation loss by epoch with each member's stop; held-out error beside its baseline,
    logarithmic if far.
    """
    figure = canvas(310, 290)
    curve, error = figure.subplots(2, 1, height_ratios=[2.2, 1])
    _curve(curve, fit)
    _error(error, fit)
    return figure


def _curve(axes: Axes, fit: PartFit) -> None:
    epochs, losses = thin(fit.curve)
    axes.plot(epochs + 1, losses, color=CAUSES[fit.part])
    for stop in fit.epochs:
        axes.axvline(stop, color=LINE, linewidth=1, zorder=1)
    if len(losses) and losses.min() > 0:
        logarithmic(axes.yaxis)
    grid(axes, "y")
    axes.set_ylabel("validation loss")
    axes.set_xlabel("epoch")


def _error(axes: Axes, fit: PartFit) -> None:
    if fit.baseline is not None:
        axes.plot([fit.baseline], [0], "|", markersize=16, markeredgewidth=2, color=MUTED)
        axes.annotate(
            "baseline",
            (fit.baseline, 0),
            (0, 10),
            textcoords="offset points",
            ha="center",
            color=MUTED,
        )
    for member in fit.members:
        axes.plot(
            [member], [0], "o", markersize=4, color=CAUSES[fit.part], alpha=0.35, markeredgewidth=0
        )
    if fit.error is not None:
        intervals.interval(axes, fit.error, 0.0, CAUSES[fit.part])
    axes.set_ylim(-0.8, 1.2)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.15)
    drawn = axes.dataLim.intervalx
    if 0 < 5 * drawn[0] < drawn[1]:
        logarithmic(axes.xaxis)
    else:
        axes.set_xlim(left=0)
    axes.set_xlabel(f"held-out error ({fit.unit})")
