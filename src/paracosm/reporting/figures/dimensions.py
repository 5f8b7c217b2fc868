"""The dynamics term by state component."""

from __future__ import annotations

from matplotlib.figure import Figure

from paracosm.core.records import Diagnosis
from paracosm.reporting import words
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.series import outer_limits
from paracosm.reporting.figures.theme import CAUSES, MUTED, canvas, grid, house_style, zero_line

MOST_COMPONENTS = 12  # bars that can be read on one figure


@house_style()
def plot_dimensions(diagnosis: Diagnosis) -> Figure:
    """Signed bars of the components with the largest shares, and of what no gradient sees, with
    intervals.
    """
    by = diagnosis.dynamics_by_dimension
    largest = sorted(range(len(by.dimensions)), key=lambda i: -abs(by.dimensions[i].mean))[
        :MOST_COMPONENTS
    ]
    known = [intervals.without_middle(name) for name in by.components]
    names = {i: f"component {words.component(i, known)}" for i in sorted(largest)}
    rows = {names[i]: (by.dimensions[i], CAUSES["dynamics"]) for i in names}
    rows["remainder"] = (by.remainder, MUTED)
    figure = canvas(400, 70 + 22 * len(rows))
    axes = figure.subplots()
    for row, (term, color) in enumerate(rows.values()):
        intervals.bar(axes, term, float(row), color)
    intervals.rows(axes, list(rows))
    axes.set_xlim(
        *outer_limits(
            [0.0, *(x for term, _ in rows.values() for x in (term.mean, term.low, term.high))]
        )
    )
    zero_line(axes, vertical=True)
    grid(axes, "x")
    axes.set_xlabel("return, share of the dynamics term")
    return figure
