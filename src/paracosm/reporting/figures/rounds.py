"""The audits along a run, by the real transitions that each round had learned from."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from paracosm.core.records.results import RunResult
from paracosm.core.records.rounds import RoundAudit
from paracosm.reporting.figures.steps import DASHES
from paracosm.reporting.figures.theme import (
    CAUSES,
    IMAGINED,
    INK,
    MUTED,
    canvas,
    grid,
    house_style,
    logarithmic,
    zero_line,
)

_TERMS = ("reward", "termination", "dynamics")


@house_style()
def plot_rounds(result: RunResult) -> Figure:
    """Real and predicted return, the terms of their gap, and below calibration and edge share."""
    rounds = result.rounds
    figure = canvas(400, 520)
    returns, terms, calibration, edge = figure.subplots(
        4, 1, sharex=True, height_ratios=[1.6, 1.6, 1, 0.8]
    )
    _line(returns, rounds, "real_return", INK, label="real")
    _line(returns, rounds, "predicted_return", IMAGINED, label="imagined", dashes=(0, (5, 1.5)))
    _named(returns, "return")
    for cause in _TERMS:
        _line(terms, rounds, cause, CAUSES[cause], label=cause, dashes=DASHES[cause])
    zero_line(terms)
    _named(terms, "term of the gap")
    _line(calibration, rounds, "calibration", INK)
    calibration.axhline(1, color=MUTED, linewidth=0.9, zorder=1)
    if any(audit.calibration for audit in rounds):
        logarithmic(calibration.yaxis)
    calibration.set_ylabel("error² / spread²")
    _line(edge, rounds, "edge_share", MUTED)
    edge.set_ylim(bottom=0)
    edge.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.3g}%"))
    edge.set_ylabel("at the edge")
    edge.set_xlabel("real transitions that the round had learned from")
    for axes in (returns, terms, calibration, edge):
        grid(axes, "y")
    figure.align_ylabels()
    return figure


def _line(
    axes: Axes,
    rounds: Sequence[RoundAudit],
    number: str,
    color: str,
    *,
    label: str | None = None,
    dashes: str | tuple[int, tuple[float, ...]] = "-",
) -> None:
    """One number over the rounds in which it is known.

    Args:
        axes: Where it is drawn.
        rounds: The audits that are drawn.
        number: The number's name in `RoundAudit`.
        color, label, dashes: Color, label and dashes of the line.
    """
    known = [audit for audit in rounds if getattr(audit, number) is not None]
    axes.plot(
        [audit.transitions for audit in known],
        [getattr(audit, number) for audit in known],
        color=color,
        linestyle=dashes,
        marker="o",
        markersize=3,
        label=label,
    )


def _named(axes: Axes, name: str) -> None:
    """The axis' name, and its lines' above it."""
    axes.set_ylabel(name)
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        fontsize=10.5,
        borderpad=0,
        handlelength=2.6,
        columnspacing=1.1,
    )
