"""Imagined return over training."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records import Estimate
from paracosm.core.records.results import RunResult
from paracosm.reporting.figures.series import finite_interval, outer_limits
from paracosm.reporting.figures.theme import (
    IMAGINED,
    INK,
    LINE,
    MUTED,
    canvas,
    grid,
    house_style,
    key,
)


@house_style()
def plot_training(result: RunResult) -> Figure:
    """Imagined return over all rounds, real return of the final policy as a band, the end enlarged;
    entropy.
    """
    figure = canvas(400, 430)
    returns, late, entropy = figure.subplots(3, 1, height_ratios=[2.2, 2.2, 1])
    rounds = _rounds(result)
    for axes in (returns, late):
        _lines(axes, [(steps, values) for steps, values, _ in rounds], IMAGINED, "imagined return")
        _real(axes, result.diagnosis.real_return)
        axes.set_ylabel("return")
    _lines(entropy, [(steps, values) for steps, _, values in rounds], MUTED, "entropy")
    entropy.set_ylabel("entropy")
    entropy.set_xlabel("gradient step")
    late.set_title(
        f"second half{' of the last round' if len(rounds) > 1 else ''}, enlarged",
        fontsize=10.5,
        color=MUTED,
    )
    _enlarge(late, rounds[-1], result.diagnosis.real_return)
    key(returns)
    return figure


StepNumbers = list[int]
Values = tuple[float, ...]


def _rounds(result: RunResult) -> list[tuple[StepNumbers, Values, Values]]:
    rounds, start = [], 0
    for training in result.trainings:
        steps = [start + step for step in training.step]
        rounds.append((steps, training.imagined_return, training.entropy))
        start = steps[-1] if steps else start
    return rounds


def _lines(axes: Axes, rounds: list[tuple[StepNumbers, Values]], color: str, label: str) -> None:
    """The curves of all rounds as one line, with a rule where a round begins.

    Args:
        axes: Where it is drawn.
        rounds: Steps and values of each round, both `[checks]`.
        color: The color of the line.
        label: The name of the line in the legend.
    """
    for index, (steps, values) in enumerate(rounds):
        marker = "o" if len(steps) == 1 else ""
        axes.plot(
            steps, values, color=color, marker=marker, markersize=3, label=None if index else label
        )
        if index and steps:
            axes.axvline(steps[0], color=LINE, linewidth=1, zorder=1)
    grid(axes, "y")
    axes.margins(x=0.02)


def _real(axes: Axes, real: Estimate) -> None:
    if finite_interval(real):
        axes.axhspan(real.low, real.high, color=LINE, alpha=0.6, linewidth=0, zorder=0)
    axes.axhline(
        real.mean, color=INK, linewidth=1.2, zorder=1, label="real return of the final policy"
    )


def _enlarge(axes: Axes, last: tuple[StepNumbers, Values, Values], real: Estimate) -> None:
    steps, values, _ = last
    if not steps:
        return
    middle = (steps[0] + steps[-1]) / 2
    late = [value for step, value in zip(steps, values, strict=True) if step >= middle]
    axes.set_xlim(middle, steps[-1] + 0.02 * (steps[-1] - middle) + 0.5)
    axes.set_ylim(*outer_limits([*late, real.mean, real.low, real.high]))
