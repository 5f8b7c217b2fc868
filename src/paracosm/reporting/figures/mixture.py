"""Squared errors of cheap labels, gold labels and the mixture."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paracosm.core.records.decisions import MixturePlan
from paracosm.reporting import words
from paracosm.reporting.figures import intervals
from paracosm.reporting.figures.theme import CAUSES, INK, MUTED, canvas, grid, house_style, key


@house_style()
def plot_mixture(plan: MixturePlan) -> Figure:
    """A bar for each way to label: its variance, and its squared bias on top."""
    figure = canvas(400, 90 + 40 * len(plan.choices))
    axes = figure.subplots()
    rows = range(len(plan.choices))
    variance = [_finite(each.variance) for each in plan.choices]
    axes.barh(
        rows,
        variance,
        height=0.56,
        color=MUTED,
        alpha=0.7,
        label="variance: shrinks with more money",
    )
    bias = [_finite(each.squared_bias) for each in plan.choices]
    axes.barh(
        rows, bias, left=variance, height=0.56, color=CAUSES["reward"], label="squared bias: stays"
    )
    for row, each in zip(rows, plan.choices, strict=True):
        _number(axes, each.error, row, each.name == plan.winner)
    intervals.rows(axes, [each.name for each in plan.choices])
    axes.set_xlim(
        0, 1.22 * (max((_finite(each.error) for each in plan.choices), default=0.0) or 1.0)
    )
    axes.xaxis.set_major_locator(MaxNLocator(5))
    grid(axes, "x")
    key(axes)
    axes.set_xlabel("squared error of the gradient at this budget")
    return figure


def _finite(value: float) -> float:
    """What can be drawn: an infinite error has a number and no bar."""
    return value if math.isfinite(value) else 0.0


def _number(axes: Axes, error: float, row: int, wins: bool) -> None:
    text = f"{words.number(error)}{' ✓' if wins else ''}"
    axes.annotate(
        text, (_finite(error), row), (6, 0), textcoords="offset points", va="center", color=INK
    )
