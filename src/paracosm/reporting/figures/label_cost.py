"""What labels of each cost are worth."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records.decisions import LabelPlan
from paracosm.reporting.decision_tables import label_rows
from paracosm.reporting.figures import marks
from paracosm.reporting.figures.theme import BAND, INK, canvas, grid, house_style, key, logarithmic

FEW = 25  # costs up to which each has a dot: more would touch


@house_style()
def plot_label_cost(plan: LabelPlan) -> Figure:
    """Cost times label variance above, variance of the gradient at the whole budget below, along
    the allowed costs.
    """
    figure = canvas(400, 380)
    product, total = figure.subplots(2, 1, sharex=True)
    costs = [cost for cost, *_ in plan.table]
    _line(product, costs, [cost * variance for cost, variance, _ in plan.table], plan)
    _line(total, costs, [gradient for *_, gradient in plan.table], plan)
    marks.planned(total, plan.cost, plan.variance)
    if costs and min(costs) > 0:
        product.set_xlim(min(costs) / 1.3, max(costs) * 1.3)
        logarithmic(product.xaxis)
    for axes in (product, total):
        if min(axes.dataLim.intervaly) > 0:
            logarithmic(axes.yaxis)
    letters = [row.letter for row in label_rows(plan)][1:]
    rules = zip(letters, plan.alternatives, strict=False)
    marks.letters(total, [(letter, rule.cost, rule.variance) for letter, rule in rules])
    product.set_ylabel("cost × label variance")
    total.set_ylabel("gradient variance")
    total.set_xlabel("cost of the labels of one rollout")
    figure.align_ylabels([product, total])
    key(total)
    return figure


def _line(axes: Axes, costs: list[float], values: list[float], plan: LabelPlan) -> None:
    """A line over the costs allowed, with dots where there are few.

    Args:
        axes: Where it is drawn.
        costs, values: Costs and values of labels, both `[costs]`.
        plan: Whose own cost is marked.
    """
    marker = "o" if len(costs) <= FEW else ""
    if costs:
        axes.axvspan(min(costs), max(costs), color=BAND, linewidth=0, label="allowed", zorder=0)
    axes.plot(costs, values, color=INK, marker=marker, markersize=3, label="labels of this cost")
    marks.planned_line(axes, plan.cost)
    grid(axes, "y")
