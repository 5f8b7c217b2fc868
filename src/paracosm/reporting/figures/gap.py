"""The gap by cause."""

from __future__ import annotations

from matplotlib.figure import Figure

from paracosm.core.records import Diagnosis
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.series import outer_limits
from paracosm.reporting.figures.theme import CAUSES, MUTED, canvas, grid, house_style, zero_line


@house_style()
def plot_gap(found: Diagnosis) -> Figure:
    """Signed bars of the total gap and of its four causes, with intervals."""
    figure = canvas(400, 230)
    axes = figure.subplots()
    names = ["total", *CAUSES]
    terms = [getattr(found.gap, name) for name in names]
    for row, (name, term) in enumerate(zip(names, terms, strict=True)):
        intervals.bar(axes, term, float(row), CAUSES.get(name, MUTED))
    intervals.rows(axes, names)
    axes.set_xlim(*outer_limits([0.0, *(value for term in terms for value in (term.mean, term.low, term.high))]))
    zero_line(axes, vertical=True)
    grid(axes, "x")
    axes.axhline(0.5, color=MUTED, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.set_xlabel("discounted return, real minus believed")
    axes.text(0, 1.03, "← imagined too much", color=MUTED, fontsize=10.5, transform=axes.transAxes)
    axes.text(1, 1.03, "imagined too little →", color=MUTED, fontsize=10.5, transform=axes.transAxes, ha="right")
    return figure
