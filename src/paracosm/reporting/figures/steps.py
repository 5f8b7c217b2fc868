"""The gap by time step."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paracosm.core.records import Diagnosis
from paracosm.reporting.figures.series import running_sum
from paracosm.reporting.figures.theme import CAUSES, canvas, grid, house_style, key, zero_line

DASHES = {
    "reward": "-",
    "termination": (0, (5, 1.5)),
    "dynamics": (0, (7, 1.5, 1.5, 1.5)),
    "horizon": (0, (1.5, 1.5)),
}


@house_style()
def plot_steps(diagnosis: Diagnosis) -> Figure:
    """Running sums over the episode: signed contributions above, their absolute sizes below."""
    figure = canvas(400, 330)
    signed, absolute = figure.subplots(2, 1, sharex=True)
    _sums(signed, diagnosis, "signed")
    _sums(absolute, diagnosis, "absolute")
    key(signed)
    signed.set_ylabel("signed sum")
    absolute.set_ylabel("absolute sum")
    absolute.set_ylim(bottom=0)
    absolute.set_xlabel("time step of the episode")
    return figure


def _sums(axes: Axes, diagnosis: Diagnosis, kind: str) -> None:
    for name, series in diagnosis.causes.items():
        axes.plot(
            *running_sum(getattr(series, kind)),
            color=CAUSES[name],
            linestyle=DASHES[name],
            label=name,
        )
    zero_line(axes)
    _not_below_rounding(axes, diagnosis)
    grid(axes, "y")
    axes.margins(x=0.01)


def _not_below_rounding(axes: Axes, diagnosis: Diagnosis) -> None:
    """Keep the scale at a millionth of the returns at least, where sums are rounding."""
    least = 1e-6 * max(abs(diagnosis.gap.real.mean), abs(diagnosis.gap.predicted.mean))
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, -least), max(high, least))
