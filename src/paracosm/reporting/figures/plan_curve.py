"""The learning curve of one part and the point that a plan reaches on it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records.decisions import CurveFit, Plan
from paracosm.reporting.figures import marks
from paracosm.reporting.figures.theme import (
    CAUSES,
    MUTED,
    canvas,
    grid,
    house_style,
    key,
    logarithmic,
)

SAMPLES = {"dynamics": "transitions learned from", "reward": "reward labels learned from"}


@house_style()
def plot_plan_curve(plan: Plan, part: str) -> Figure:
    """Measured errors, forecast with its 90% band, what is owned and where the plan ends; both axes
    logarithmic.
    """
    fit, owned = plan.curves[part], plan.owned.get(part, 0)
    figure = canvas(400, 260)
    axes = figure.subplots()
    _band(axes, fit, CAUSES[part])
    samples = [anchor.samples for anchor in fit.anchors]
    errors = [anchor.error for anchor in fit.anchors]
    axes.plot(
        samples,
        errors,
        "o",
        color=CAUSES[part],
        markersize=4,
        alpha=0.7,
        label="measured",
        zorder=3,
    )
    if owned > 0:
        axes.axvline(owned, color=MUTED, linewidth=1, linestyle=(0, (1, 2)), label="owned now")
    _reached(axes, fit, owned + getattr(plan, part))
    logarithmic(axes.xaxis)
    logarithmic(axes.yaxis)
    grid(axes, "both")
    key(axes)
    axes.set_xlabel(SAMPLES[part])
    axes.set_ylabel(f"error of the {part} model")
    return figure


def _band(axes: Axes, fit: CurveFit, color: str) -> None:
    if fit.band:
        samples, low, median, high = np.asarray(fit.band).T
        axes.fill_between(samples, low, high, color=color, alpha=0.16, linewidth=0, zorder=1)
        axes.plot(samples, median, color=color, label="forecast", zorder=2)


def _reached(axes: Axes, fit: CurveFit, samples: int) -> None:
    """The forecast's median where the plan ends, read off the drawn line."""
    if fit.band and samples > 0:
        counts, _, median, _ = np.log(np.asarray(fit.band)).T
        marks.planned_line(axes, samples)
        marks.planned(
            axes,
            samples,
            float(np.exp(np.interp(np.log(samples), counts, median))),
            "after this plan",
        )
