"""The gap by cause."""

from __future__ import annotations

import dataclasses

from matplotlib.figure import Figure

from paracosm.core.records import Estimate, Gap
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.series import outer_limits
from paracosm.reporting.figures.theme import CAUSES, MUTED, canvas, grid, house_style, zero_line


def _without_rounding(term: Estimate, rounding: float) -> Estimate:
    """The term, with 0 for a mean or an end that is no more than rounding."""
    mean, low, high = (
        0.0 if abs(value) <= rounding else value for value in (term.mean, term.low, term.high)
    )
    return dataclasses.replace(term, mean=mean, low=low, high=high)


@house_style()
def plot_gap(gap: Gap, prediction: str, *, horizon: bool) -> Figure:
    """Signed bars of the total gap and of its causes, with intervals.

    Args:
        gap: Of whole episodes or of what training believed.
        prediction: What was subtracted from the real return: "imagined" or "predicted".
        horizon: Whether there is a horizon term: only of what a known training predicted.
    """
    names = ["total", *(cause for cause in CAUSES if cause != "horizon" or horizon)]
    figure = canvas(400, 30 + 40 * len(names))
    axes = figure.subplots()
    terms = [_without_rounding(getattr(gap, name), gap.rounding) for name in names]
    for row, (name, term) in enumerate(zip(names, terms, strict=True)):
        intervals.bar(axes, term, float(row), CAUSES.get(name, MUTED))
    intervals.rows(axes, ["gap", *names[1:]])
    values = [0.0, *(value for term in terms for value in (term.mean, term.low, term.high))]
    if not any(values):
        values = [-gap.largest_small, gap.largest_small]
    axes.set_xlim(*outer_limits(values))
    zero_line(axes, vertical=True)
    grid(axes, "x")
    axes.axhline(0.5, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.set_xlabel(f"return, real minus {prediction}")
    axes.text(0, 1.03, "← imagined too much", color=MUTED, fontsize=10.5, transform=axes.transAxes)
    axes.text(
        1,
        1.03,
        "imagined too little →",
        color=MUTED,
        fontsize=10.5,
        transform=axes.transAxes,
        ha="right",
    )
    return figure
