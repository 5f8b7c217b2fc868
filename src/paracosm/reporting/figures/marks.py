"""Points that a text beside the figure names: the plan, and its alternatives by letter."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from paracosm.reporting.figures.theme import IMAGINED, INK, MUTED

CLOSE = 0.035  # of the axes' width: letters nearer than that would overlap


def planned(axes: Axes, x: float, y: float, label: str | None = "this plan") -> None:
    """The plan's own point.

    Args:
        axes: Where it is drawn.
        x, y: The point, in the data's units; nothing is drawn of one that is not finite.
        label: Its name in the legend, if it is to have one.
    """
    if math.isfinite(x) and math.isfinite(y):
        axes.plot([x], [y], "D", color=IMAGINED, markersize=8, zorder=6, label=label)


def planned_line(axes: Axes, x: float) -> None:
    """A line through the plan's own point, from top to bottom."""
    axes.axvline(x, color=IMAGINED, linewidth=1, linestyle=(0, (3, 2)), zorder=1)


def letters(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """A dot at every point with its letter above; letters of points that touch stand together."""
    drawn = [(letter, x, y) for letter, x, y in points if math.isfinite(x) and math.isfinite(y)]
    axes.plot(
        [x for _, x, _ in drawn],
        [y for *_, y in drawn],
        "o",
        color=INK,
        markersize=5,
        zorder=5,
        linestyle="",
    )
    for names, x, y in _together(axes, drawn):
        axes.annotate(
            names, (x, y), (0, 8), textcoords="offset points", ha="center", color=MUTED, zorder=7
        )


def _together(
    axes: Axes, points: Sequence[tuple[str, float, float]]
) -> list[tuple[str, float, float]]:
    groups: list[tuple[str, float, float]] = []
    places: list[tuple[float, float]] = []
    for letter, x, y in points:
        at = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
        near = [n for n, place in enumerate(places) if math.dist(place, at) < CLOSE]
        if near:
            groups[near[0]] = (groups[near[0]][0] + letter, *groups[near[0]][1:])
        else:
            groups.append((letter, x, y))
            places.append((float(at[0]), float(at[1])))
    return groups
