"""What a smaller or a larger budget would reach."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.decisions import Plan
from paracosm.reporting.decision_tables import at_budget
from paracosm.reporting.figures import marks
from paracosm.reporting.figures.series import finite_interval
from paracosm.reporting.figures.theme import BAND, INK, MUTED, canvas, grid, house_style, key, logarithmic


@house_style()
def plot_plan_frontier(plan: Plan) -> Figure:
    """Predicted error of the best split against what is spent, with intervals; half, this and double marked."""
    figure = canvas(400, 260)
    axes = figure.subplots()
    ways = [way for way in plan.frontier if way.spend > 0 and finite_interval(way.error)]
    spend = [way.spend for way in ways]
    axes.fill_between(spend, [w.error.low for w in ways], [w.error.high for w in ways], color=BAND, linewidth=0)
    axes.plot(spend, [way.error.mean for way in ways], "o-", color=INK, markersize=3, label="best split")
    before = plan.predicted_error.get("before")
    if before and math.isfinite(before.mean):
        axes.axhline(before.mean, color=MUTED, linewidth=1, linestyle=(0, (1, 2)), label="nothing bought")
    marks.planned(axes, plan.best.spend, plan.best.error.mean)
    if ways:
        logarithmic(axes.xaxis)
    grid(axes, "both")
    _mark(axes, plan)
    key(axes)
    axes.set_xlabel("money spent")
    axes.set_ylabel("predicted error in return")
    return figure


def _mark(axes: Axes, plan: Plan) -> None:
    for factor, name in ((0.5, "half"), (2.0, "double")):
        way = at_budget(plan, factor)
        if way and math.isfinite(way.error.mean):
            axes.plot([way.spend], [way.error.mean], "o", color=INK, markersize=7, zorder=5)
            at = (way.spend, way.error.mean)
            axes.annotate(name, at, (0, 9), textcoords="offset points", ha="center", color=INK)
