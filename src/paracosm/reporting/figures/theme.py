"""The look that all figures share: one colour per cause, quiet axes, Matplotlib's defaults whatever
the user's are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

INK = "#1f2328"
MUTED = "#656d77"
LINE = "#d0d7df"
BAND = "#e9edf1"
IMAGINED = "#8250df"
CAUSES = {
    "reward": "#d55e00",
    "termination": "#009e73",
    "dynamics": "#0072b2",
    "horizon": "#b98900",
}
ROLES = {"ink": INK, "muted": MUTED, "line": LINE, "band": BAND, "imagined": IMAGINED, **CAUSES}

_OWN_BY_SESSION = (
    "backend",
    "interactive",
    "toolbar",
    "timezone",
    "docstring",
    "date.epoch",
    "tk.",
    "webagg.",
)
_DEFAULTS = {
    key: value
    for key, value in matplotlib.rcParamsDefault.items()
    if not key.startswith(_OWN_BY_SESSION)
}
STYLE: dict[str, Any] = {
    **_DEFAULTS,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.dpi": 72,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 11,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "path.simplify_threshold": 0.3,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
    "ytick.labelsize": 10.5,
}


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """Draw in the house style, whatever the user's settings, and put those back; also a
    decorator.
    """
    with matplotlib.rc_context(cast("Any", STYLE)):
        yield


def canvas(width: int, height: int) -> Figure:
    """An empty figure of `width` × `height` pixels, not known to pyplot."""
    return Figure(figsize=(width / 72, height / 72))


def zero_line(axes: Axes, *, vertical: bool = False) -> None:
    """A quiet line at zero, behind the data."""
    draw = axes.axvline if vertical else axes.axhline
    draw(0, color=MUTED, linewidth=0.9, zorder=1)


def grid(axes: Axes, which: str) -> None:
    """Faint grid lines on one axis, behind the data."""
    axes.set_axisbelow(True)
    axes.grid(axis=which, color=BAND, linewidth=1)  # pyright: ignore[reportArgumentType]


def logarithmic(axis: XAxis | YAxis, *, percent: bool = False) -> None:
    """A logarithmic axis with plain numbers at the powers of ten, at 1, 2, 5 if there are few,
    evenly if fewer.
    """
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    powers = LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,), numticks=12)
    axis.set_major_locator(powers if high > 4 * low else MaxNLocator(4))
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{short(100 * value)}%" if percent else short(value))
    )
    axis.set_minor_locator(NullLocator())


def short(value: float) -> str:
    """A tick's number in few characters."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def key(axes: Axes, columns: int | None = None) -> None:
    """A frameless legend of the axes' lines above the figure, in one row unless told."""
    handles, labels = axes.get_legend_handles_labels()
    figure = axes.get_figure(root=True)
    figure.legend(  # pyright: ignore[reportOptionalMemberAccess]
        handles,
        labels,
        loc="outside upper left",
        ncols=columns or len(labels),
        frameon=False,
        fontsize=10.5,
        handlelength=1.5,
        handletextpad=0.5,
        columnspacing=1.1,
        borderpad=0,
    )
