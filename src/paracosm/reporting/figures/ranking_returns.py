"""Real and imagined return of ranked policies."""

from __future__ import annotations

from matplotlib.figure import Figure

from paracosm.core.records import discounted
from paracosm.core.records.ranking import Ranking
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.theme import IMAGINED, INK, canvas, grid, house_style, key


@house_style()
def plot_ranking_returns(ranking: Ranking) -> Figure:
    """A row per policy, the best first: real return above imagined return, with intervals."""
    figure = canvas(400, 70 + 46 * len(ranking.policies))
    axes = figure.subplots()
    for row, policy in enumerate(ranking.policies):
        intervals.interval(axes, policy.real, row - 0.14, INK)
        intervals.interval(axes, policy.imagined, row + 0.14, IMAGINED)
    axes.plot([], [], "o", color=INK, label="real")
    axes.plot([], [], "o", color=IMAGINED, label="imagined")
    intervals.rows(axes, intervals.short(policy.name for policy in ranking.policies))
    key(axes)
    axes.margins(x=0.08)
    grid(axes, "x")
    axes.set_xlabel(f"return of a whole episode, {discounted(ranking.discount)}")
    return figure
