"""The figures of a run's report as PNG files, for those who show no SVG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from paracosm.core.records.results import RunResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DOTS = 144  # an inch: two for a pixel of the page


def pictures(result: RunResult) -> dict[str, bytes]:
    """PNG files on white by name: `training`, `along` (of several rounds), `learning-PART`, and of
    the audit `returns`, `gap`, `steps` and `dimensions`.
    """
    from paracosm.reporting import figures  # Matplotlib is slow to import

    diagnosis = result.diagnosis
    drawn = {
        "returns": figures.plot_returns(diagnosis),
        "gap": figures.plot_gap(diagnosis.gap, "imagined", horizon=False),
        "steps": figures.plot_steps(diagnosis),
    }
    if diagnosis.dynamics_by_dimension.dimensions:
        drawn["dimensions"] = figures.plot_dimensions(diagnosis)
    if any(training.step for training in result.trainings):
        drawn["training"] = figures.plot_training(result)
    if result.rounds:
        drawn["along"] = figures.plot_rounds(result)
    for part, fit in result.fits.items():
        if fit.curve:
            drawn[f"learning-{part}"] = figures.plot_learning(fit)
    return {name: _png(figure) for name, figure in drawn.items()}


def _png(figure: Figure) -> bytes:
    from paracosm.reporting.figures.theme import house_style

    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=_DOTS, facecolor="white")
    return buffer.getvalue()
