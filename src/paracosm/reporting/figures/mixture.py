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
    variance = [_finite(choice.variance) for choice in plan.choices]
    axes.barh(
        rows,
        variance,
        height=0.56,
        color=MUTED,
        alpha=0.7,
        label="variance: shrinks with more money",
    )
    bias = [_finite(choice.squared_bias) for choice in plan.choices]
    axes.barh(
        rows, bias, left=variance, height=0.56, color=CAUSES["reward"], label="squared bias: stays"
    )
    for row, choice in zip(rows, plan.choices, strict=True):
        _number(axes, choice.error, row, choice.name == plan.winner)
    intervals.rows(axes, [choice.name for choice in plan.choices])
    axes.set_xlim(
        0, 1.22 * (max((_finite(choice.error) for choice in plan.choices), default=0.0) or 1.0)
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
    """A bar's number, and a tick at the winner's.

    Args:
        axes: Where it is drawn.
        error: The squared error, which is the bar's length.
        row: The bar.
        wins: Whether no way has a lower error.
    """
    text = f"{words.number(error)}{' ✓' if wins else ''}"
    axes.annotate(
        text, (_finite(error), row), (6, 0), textcoords="offset points", va="center", color=INK
    )
