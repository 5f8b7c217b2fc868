"""Which learning curves cannot support a forecast, and why."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from paracosm.core import checks
from paracosm.core.decisions import Bought, Curve
from paracosm.planning.grid import NOISE, NOISE_ROWS, Pilot

LEAST_SIZES = 3
RISING, BENDING = 0.1, 0.01


def usable(curve: Curve) -> None:
    """Require positive errors and samples, and at least 3 sizes.

    Raises:
        BadData: saying what was found.
    """
    checks.one_of("unit", curve.unit, ("rms", "mse"))
    for anchor in curve.anchors:
        if not (anchor.samples > 0 and 0 < anchor.error < np.inf):
            raise checks.BadData(
                f"the {curve.part} curve has an error of {anchor.error:g} at {anchor.samples:,} samples; "
                "both must be positive."
            )
    sizes = len({anchor.samples for anchor in curve.anchors})
    if sizes < LEAST_SIZES:
        raise checks.BadData(
            f"the {curve.part} curve was measured at {sizes} {'size' if sizes == 1 else 'sizes'}; "
            f"at least {LEAST_SIZES} different numbers of samples are needed."
        )


def falls(part: Bought, pilot: Pilot) -> None:
    """Require a curve that neither rises nor falls steeper and steeper beyond its noise.

    Straight line and parabola through mean log errors against log sizes, noise from what they leave and the prior of
    the seed noise; one-sided t tests which a flat curve fails with 10% and a straight one with 1%.

    Raises:
        BadData: saying which.
    """
    slope, spread, critical = _last_coefficient(pilot, 1, RISING)
    if slope > critical * spread:
        raise checks.BadData(
            f"the {part} error rises with more samples, from {np.exp(pilot.mean[0]):.3g} at {pilot.sizes[0]:,.0f} to "
            f"{np.exp(pilot.mean[-1]):.3g} at {pilot.sizes[-1]:,.0f}; a curve that falls is needed to plan from it."
        )
    bend, spread, critical = _last_coefficient(pilot, 2, BENDING)
    if bend < -critical * spread:
        first, last = (np.diff(pilot.mean) / np.diff(np.log(pilot.sizes)))[[0, -1]]
        raise checks.BadData(
            f"the {part} curve bends against the law: its error falls as the power {first:.2g} of the samples at first "
            f"and as {last:.2g} at last; a power law only flattens, so measure larger sizes, where it has settled."
        )


def _last_coefficient(pilot: Pilot, degree: int, alarm: float) -> tuple[float, float, float]:
    """Of a polynomial's last coefficient: its value, its standard error, and how many of them chance allows."""
    x = np.log(pilot.sizes / pilot.sizes[-1])
    q, r = np.linalg.qr(np.vander(x, degree + 1, increasing=True))
    along = q.T @ pilot.mean
    left = np.sum((pilot.mean - q @ along) ** 2)
    rows = NOISE_ROWS + len(x) - degree - 1
    spread = np.sqrt((NOISE_ROWS * NOISE**2 + left) / rows) / abs(r[-1, -1])
    return float(along[-1] / r[-1, -1]), float(spread), float(stdtrit(rows, 1 - alarm))
