"""Means with their intervals, drawn the same way everywhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from matplotlib.axes import Axes

from paracosm.core.records import Estimate
from paracosm.reporting.figures.series import finite_interval
from paracosm.reporting.figures.theme import INK


def interval(axes: Axes, estimate: Estimate, height: float, color: str, *, size: int = 7) -> None:
    """A dot at the mean on a line over the interval; without a finite interval the dot is
    hollow.

    Args:
        axes: Where it is drawn.
        estimate: Mean and interval, in the units of the horizontal axis.
        height: On the vertical axis.
        color: The color of both.
        size: The size of the dot, in points.
    """
    if finite_interval(estimate):
        axes.plot(
            [estimate.low, estimate.high],
            [height, height],
            color=color,
            linewidth=2.2,
            alpha=0.55,
            zorder=3,
        )
    face = color if finite_interval(estimate) else "none"
    axes.plot(
        [estimate.mean], [height], "o", markersize=size, color=color, markerfacecolor=face, zorder=4
    )


def bar(axes: Axes, estimate: Estimate, height: float, color: str) -> None:
    """A bar from zero to the mean with a thin line over the interval; pale without a finite
    interval.

    Args:
        axes, estimate, height: As `interval` has them.
        color: The color of the bar.
    """
    axes.barh(
        height,
        estimate.mean,
        height=0.56,
        color=color,
        alpha=0.85 if finite_interval(estimate) else 0.3,
        zorder=2,
    )
    if finite_interval(estimate):
        axes.plot(
            [estimate.low, estimate.high], [height, height], color=INK, linewidth=1.3, zorder=4
        )
        for end in (estimate.low, estimate.high):
            axes.plot(
                [end, end], [height - 0.12, height + 0.12], color=INK, linewidth=1.3, zorder=4
            )


def rows(axes: Axes, labels: list[str]) -> None:
    """Name the rows from the top down, without an axis line."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.spines["left"].set_visible(False)


def without_middle(name: str) -> str:
    """A name that fits beside an axis: the start and the end, with the index, of a long one."""
    return name if len(name) <= 18 else f"{name[:6]}…{name[-11:]}"


def short(names: Iterable[str], most: int = 18) -> list[str]:
    """Names of at most so many characters: the end of a long one, or where others end alike, what
    comes before and a shorter end. Where two would look alike even so, long ones are numbered.
    """
    names = list(names)
    labels = {name: name if len(name) <= most else f"…{name[1 - most :]}" for name in names}
    for label in set(labels.values()):
        alike = [name for name in labels if labels[name] == label]
        if len(alike) > 1:
            starts = short(_without_common_end(alike), most // 2)
            pairs = zip(alike, starts, strict=True)
            labels |= {name: f"{start}…{name[1 - most // 2 :]}" for name, start in pairs if start}
    fit = all(len(label) <= most for label in labels.values())
    if fit and len(set(labels.values())) == len(labels):
        return [labels[name] for name in names]
    return [
        name if len(name) <= most else f"{number}: …{name[6 - most :]}"
        for number, name in enumerate(names, 1)
    ]


def _without_common_end(names: list[str]) -> list[str]:
    """The names without the end that they share, from its first slash on where it has one."""
    letters = zip(*(name[::-1] for name in names), strict=False)
    alike = itertools.takewhile(lambda at_once: len(set(at_once)) == 1, letters)
    end = "".join(letter for letter, *_ in alike)[::-1]
    length = len(end) - max(end.find("/"), 0)
    return [name[:-length] for name in names]
