"""What other splits of the same budget would cost."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records import Estimate
from paracosm.core.records.decisions import Plan
from paracosm.reporting.decision_tables import split_rows
from paracosm.reporting.figures import marks
from paracosm.reporting.figures.series import money_share
from paracosm.reporting.figures.theme import BAND, INK, canvas, grid, house_style, key, logarithmic


@house_style()
def plot_plan_splits(plan: Plan) -> Figure:
    """Predicted error above, regret below, across shares of the money for transitions; rules by
    letter.
    """
    figure = canvas(400, 380)
    error, regret = figure.subplots(2, 1, sharex=True)
    _draw(error, plan, "error")
    _draw(regret, plan, "regret")
    error.set_ylabel("predicted error in return")
    regret.set_ylabel("expected regret")
    regret.set_xlabel("share of the money that goes to transitions, the rest to labels")
    regret.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    figure.align_ylabels([error, regret])
    key(error)
    return figure


def _draw(axes: Axes, plan: Plan, what: str) -> None:
    ways = [
        way
        for way in plan.across
        if _drawable(getattr(way, what)) and (what == "error" or way.regret.mean > 0)
    ]
    shares = [money_share(way, plan) for way in ways]
    terms: list[Estimate] = [getattr(way, what) for way in ways]
    axes.fill_between(
        shares, [t.low for t in terms], [t.high for t in terms], color=BAND, linewidth=0
    )
    axes.plot(shares, [term.mean for term in terms], color=INK, label="any split")
    chosen: Estimate = getattr(plan.best, what)
    marks.planned_line(axes, money_share(plan.best, plan))
    marks.planned(axes, money_share(plan.best, plan), chosen.mean)
    axes.set_xlim(-0.03, 1.03)
    if what == "regret":
        _limit_regret(axes, [way.regret.mean for way in (*ways, plan.best, *plan.alternatives)])
    else:
        _limit(axes, terms)
    grid(axes, "both")
    letters = [row.letter for row in split_rows(plan)][1:]
    rules = zip(letters, plan.alternatives, strict=False)
    marks.letters(
        axes, [(name, money_share(way, plan), getattr(way, what).mean) for name, way in rules]
    )


def _drawable(estimate: Estimate) -> bool:
    return all(map(math.isfinite, (estimate.mean, estimate.low, estimate.high)))


def _limit(axes: Axes, terms: list[Estimate]) -> None:
    """Show splits up to three times the least error: what lies above is as bad as any."""
    if terms:
        least = min(term.mean for term in terms)
        highest = max(term.high for term in terms if term.mean <= 3 * least)
        axes.set_ylim(0, 1.05 * highest)


def _limit_regret(axes: Axes, regrets: list[float]) -> None:
    """A logarithmic axis, where regret is not zero: at the best split it is tiny, else large."""
    drawn = [regret for regret in regrets if regret > 0 and math.isfinite(regret)]
    if drawn:
        axes.set_ylim(0.5 * min(drawn), 2 * max(drawn))
        logarithmic(axes.yaxis, percent=True)
