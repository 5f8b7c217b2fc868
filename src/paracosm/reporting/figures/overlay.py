"""An imagined rollout over the real episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records import Diagnosis, Overlay
from paracosm.reporting.figures.series import outer_limits, thin
from paracosm.reporting.figures.theme import IMAGINED, INK, canvas, grid, house_style, key

MOST_DIMENSIONS = 6  # panels that fit on a page beside each other's episodes


def parted_most(overlays: Sequence[Overlay]) -> list[int]:
    """The state dimensions where imagined and real part most for their real range, at most six, in
    order.
    """
    parted = np.max([_parting(overlay) for overlay in overlays], axis=0)
    return sorted(int(index) for index in np.argsort(-parted, kind="stable")[:MOST_DIMENSIONS])


def _parting(overlay: Overlay) -> np.ndarray:
    steps = min(len(overlay.real), len(overlay.imagined))
    real, imagined = np.asarray(overlay.real), np.asarray(overlay.imagined)
    spread = np.ptp(real, axis=0)
    return np.abs(real[:steps] - imagined[:steps]).max(axis=0) / np.where(spread > 0, spread, 1)


@house_style()
def plot_overlay(diagnosis: Diagnosis, episode: int = 0) -> Figure:
    """One panel per state dimension of one episode, on the scales that all drawn episodes share."""
    dimensions = parted_most(diagnosis.overlays)
    figure = canvas(310, 54 + 82 * len(dimensions))
    panels = figure.subplots(len(dimensions), 1, sharex=True, squeeze=False)[:, 0]
    for axes, dimension in zip(panels, dimensions, strict=True):
        _panel(axes, diagnosis.overlays[episode], dimension)
        axes.set_ylim(
            *outer_limits(
                [s[dimension] for o in diagnosis.overlays for s in (*o.real, *o.imagined)]
            )
        )
    figure.align_ylabels(panels)
    key(panels[0])
    panels[-1].set_xlabel("time step")
    return figure


def _panel(axes: Axes, overlay: Overlay, dimension: int) -> None:
    axes.plot(
        *thin([state[dimension] for state in overlay.real]), color=INK, linewidth=1.3, label="real"
    )
    times, imagined = thin([state[dimension] for state in overlay.imagined])
    axes.plot(times, imagined, color=IMAGINED, linestyle=(0, (4, 1.5)), label="imagined")
    axes.plot(times[-1:], imagined[-1:], "o", color=IMAGINED, markersize=3.5)
    axes.set_ylabel(f"state {dimension}")
    grid(axes, "y")
