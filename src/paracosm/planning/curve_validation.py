"""Validation of learning curves: which cannot support a forecast, and why."""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from paracosm.core import checks
from paracosm.core.records.decisions import Bought, Curve
from paracosm.core.records.refusal import CurveRefused, Refusal
from paracosm.planning.grid import NOISE, NOISE_FREEDOM, CurveSummary

LEAST_SIZES = 3  # a law has three numbers
# False alarms: of a rise on a flat curve (many, since a flat curve hardly supports a plan either),
# of a bend on a straight one, and of any rise at the end where nothing rises.
RISING, BENDING, RISING_END = 0.1, 0.01, 0.02
AGAINST = 10.0  # odds against the law, for a curve that steepens, from which it is refused
# The same for one that rises at its end: by chance 1% of pilots of laws (docs/learning-curves.md)
RISE_AGAINST = 5.0


def require_anchors(curve: Curve) -> None:
    """Require positive errors and samples, and at least 3 sizes.

    Raises:
        CurveRefused: saying what was found.
    """
    checks.one_of("unit", curve.unit, ("rms", "mse"))
    for anchor in curve.anchors:
        if not (anchor.samples > 0 and 0 < anchor.error < np.inf):
            raise Refusal.NOT_POSITIVE.error(
                part=curve.part, error=anchor.error, samples=anchor.samples
            )
    sizes = len({anchor.samples for anchor in curve.anchors})
    if sizes < LEAST_SIZES:
        counted = f"{sizes} {'size' if sizes == 1 else 'sizes'}"
        raise Refusal.FEW_SIZES.error(part=curve.part, sizes=counted, least=LEAST_SIZES)


def require_fall(part: Bought, measured: CurveSummary) -> None:
    """Require a curve that neither rises nor falls steeper and steeper beyond its noise.

    Straight line and parabola through mean log errors against log sizes, noise from what they leave
    and the prior of the seed noise; one-sided t tests which a flat curve fails with 10% and a
    straight one with 1%.

    Raises:
        CurveRefused: saying which.
    """
    slope, spread, critical = _last_coefficient(measured, 1, RISING)
    if slope > critical * spread:
        raise Refusal.RISES.error(part=part, **_change(measured, 0))
    bend, spread, critical = _last_coefficient(measured, 2, BENDING)
    if bend < -critical * spread:
        raise _bent(part, measured)


def require_law(part: Bought, measured: CurveSummary, *, steepens: float, rises: float) -> None:
    """Require a curve whose end a law explains.

    `steepens` and `rises` are the log odds that the pilot gives to curves that steepen, or rise
    after a fall, against the law (Bayes factors; under the law one exceeds 10 in at most a tenth of
    pilots and 5 in at most a fifth, in simulation in a hundredth). Both know the noise within
    sizes, so that more seeds make a rise plainer. Beside the latter stand the slopes of the last
    sizes, each against the noise that a parabola leaves: t tests of which some one fails with at
    most 2% where nothing rises.

    Args:
        part: The part that the curve is of, for the sentence.
        measured: The measured curve.
        steepens, rises: Log odds against the law.

    Raises:
        CurveRefused: saying which.
    """
    first = _rises_from(measured, RISING_END)
    if first is None and rises > np.log(RISE_AGAINST):
        first = int(np.argmin(measured.mean[:-1]))
    if first is not None:
        size = _size_by_place(first + 1)
        raise Refusal.RISES_AT_END.error(part=part, size=size, **_change(measured, first))
    if steepens > np.log(AGAINST):
        raise _bent(part, measured)


def _rises_from(measured: CurveSummary, alarm: float) -> int | None:
    """The size from which the error rises to the end by more than chance; none if it does not."""
    x, number = np.log(measured.sizes), len(measured.sizes)
    noise, freedom = _noise(measured, min(2, number - 1))
    critical = stdtrit(freedom, 1 - alarm / max(number - 2, 1))
    for first in range(1, number - 1):
        off = x[first:] - x[first:].mean()
        if off @ measured.mean[first:] > critical * noise * np.sqrt(off @ off):
            return first + int(np.argmin(measured.mean[first:-1]))
    return None


def _size_by_place(number: int) -> str:
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")
    return f"its {names[number - 1]} size" if number <= len(names) else f"size {number}"


def _change(measured: CurveSummary, first: int) -> dict[str, float]:
    """Sizes and mean errors of a size and of the last one."""
    errors = np.exp(measured.mean)
    return {
        "before": errors[first],
        "first": measured.sizes[first],
        "after": errors[-1],
        "last": measured.sizes[-1],
    }


def _bent(part: Bought, measured: CurveSummary) -> CurveRefused:
    line = np.polynomial.Polynomial.fit(np.log(measured.sizes), measured.mean, 2).deriv()
    before, after = -line(np.log(measured.sizes[[0, -1]]))
    return Refusal.BENDS.error(part=part, before=before, after=after)


def _noise(measured: CurveSummary, degree: int) -> tuple[float, int]:
    """Standard deviation of mean log errors, from what a polynomial leaves and the noise's prior,
    and its freedom.
    """
    x = np.log(measured.sizes / measured.sizes[-1])
    q, _ = np.linalg.qr(np.vander(x, degree + 1, increasing=True))
    left = np.sum((measured.mean - q @ (q.T @ measured.mean)) ** 2)
    freedom = NOISE_FREEDOM + len(x) - degree - 1
    return float(np.sqrt((NOISE_FREEDOM * NOISE**2 + left) / freedom)), freedom


def _last_coefficient(
    measured: CurveSummary, degree: int, alarm: float
) -> tuple[float, float, float]:
    """The last coefficient of a fitted polynomial, its standard error, and how many standard errors
    chance allows.
    """
    x = np.log(measured.sizes / measured.sizes[-1])
    q, r = np.linalg.qr(np.vander(x, degree + 1, increasing=True))
    noise, freedom = _noise(measured, degree)
    return (
        float(q[:, -1] @ measured.mean / r[-1, -1]),
        noise / abs(r[-1, -1]),
        float(stdtrit(freedom, 1 - alarm)),
    )
