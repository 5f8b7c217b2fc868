"""What a smaller or a larger budget would reach, and how it would be split."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records.decisions import Plan, Purchase
from paracosm.reporting.decision_tables import at_budget
from paracosm.reporting.figures import marks
from paracosm.reporting.figures.series import finite_interval, money_share
from paracosm.reporting.figures.theme import (
    BAND,
    INK,
    MUTED,
    canvas,
    grid,
    house_style,
    key,
    logarithmic,
)


@house_style()
def plot_plan_frontier(plan: Plan) -> Figure:
    """Against money spent: the best split's predicted error with its interval, and its share for
    transitions.
    """
    figure = canvas(400, 360)
    error, share = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    ways = [way for way in plan.frontier if way.spend > 0 and finite_interval(way.error)]
    _errors(error, plan, ways)
    _shares(share, plan, ways)
    for axes in (error, share):
        grid(axes, "both")
    if ways:
        logarithmic(share.xaxis)
    key(error)
    figure.align_ylabels([error, share])
    share.set_xlabel("money spent")
    return figure


def _errors(axes: Axes, plan: Plan, ways: list[Purchase]) -> None:
    spend = [way.spend for way in ways]
    axes.fill_between(
        spend, [w.error.low for w in ways], [w.error.high for w in ways], color=BAND, linewidth=0
    )
    axes.plot(
        spend, [way.error.mean for way in ways], "o-", color=INK, markersize=3, label="best split"
    )
    before = plan.predicted_error.get("before")
    if before and math.isfinite(before.mean):
        axes.axhline(
            before.mean, color=MUTED, linewidth=1, linestyle=(0, (1, 2)), label="nothing bought"
        )
    marks.planned(axes, plan.best.spend, plan.best.error.mean)
    axes.set_ylabel("predicted error in return")
    for factor, name in ((0.5, "half"), (2.0, "double")):
        way = at_budget(plan, factor)
        if way and math.isfinite(way.error.mean):
            at = (way.spend, way.error.mean)
            axes.plot(*at, "o", color=INK, markersize=7, zorder=5)
            axes.annotate(name, at, (0, 9), textcoords="offset points", ha="center", color=INK)


def _shares(axes: Axes, plan: Plan, ways: list[Purchase]) -> None:
    axes.plot(
        [way.spend for way in ways],
        [money_share(way, plan) for way in ways],
        "o-",
        color=INK,
        markersize=3,
    )
    marks.planned(axes, plan.best.spend, money_share(plan.best, plan))
    axes.set_ylim(-0.05, 1.05)
    axes.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
    axes.set_ylabel("for transitions")
