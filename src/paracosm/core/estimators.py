"""Means with intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paracosm.core import checks
from paracosm.core.betting import betting_interval
from paracosm.core.numerals import probability
from paracosm.core.records import Estimate
from paracosm.core.skewed import skewed_interval, student_interval

_EQUAL = 1e-12  # of the largest: samples that differ by less are one value
_NEAR = 0.05  # of the range: half of the samples nearer to one another say nothing of rare others


def mean(
    samples: ArrayLike, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Mean of independent samples `[n]`, with an interval that holds on skewed and sparse ones.

    Within finite `bounds` rare samples decide where half of them are near one another
    (`concentrated`): a betting interval, which holds whatever the distribution. So `bounds` should
    be no further than one rare event reaches. Else, and where no range is known, the interval is
    that of `varied_mean`. Equal samples never give an interval of width zero: within bounds it says
    what n of them exclude, without bounds it is infinite. `method` says which it was, and the share
    of the variance that the largest sample makes (docs/intervals.md).

    Args:
        samples: What to average, in any unit.
        level: Of the interval, two-sided.
        bounds: The least and the most that a sample can be, where known; either may be infinite. If
            they are equal, nothing is left to chance.

    Raises:
        BadArgument: bounds that are not ordered, or a level outside (0, 1).
        BadData: samples that are no `[n]`, none, not finite, or outside the bounds.
    """
    samples = as_samples(samples, level)
    n, center = len(samples), float(np.mean(samples))
    low, high = _limits(samples, bounds)
    if high - low <= _EQUAL * abs(center):
        return Estimate(center, center, center, n, "constant: the bounds are equal")
    if concentrated(samples, low, high):
        return bounded_mean(samples, (low, high), level)
    return varied_mean(samples, level, bounds)


def varied_mean(
    samples: ArrayLike, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Mean of independent samples `[n]`, as sure as their own spread says.

    Rare samples of another kind are not allowed for. Where one value is half of the samples, the
    interval is that of betting within what was seen, widened to Student's; else it is one for
    skewed samples. Either is cut at `bounds`, and a betting interval in them is taken where it is
    narrower.

    Raises:
        BadArgument: bounds that are not ordered, or a level outside (0, 1).
        BadData: samples that are no `[n]`, none, not finite, or outside the bounds.
    """
    samples = as_samples(samples, level)
    center = float(np.mean(samples))
    (low, high), method = _interval(samples, level, *_limits(samples, bounds))
    return Estimate(
        center,
        min(low, center),
        max(high, center),
        len(samples),
        f"mean, {probability(level)} {method}",
    )


def concentrated(samples: np.ndarray, low: float, high: float, near: float = _NEAR) -> bool:
    """Whether half of the samples, two at least, lie close together in a finite range.

    Args:
        samples: `[n]`, in any unit.
        low, high: The range, in the samples' unit; false where it is infinite.
        near: How close, as a share of the range.
    """
    if not np.isfinite(high - low):
        return False
    ordered, half = np.sort(samples), max(2, (len(samples) + 1) // 2)
    if len(ordered) < half:
        return True
    return bool(
        np.min(ordered[half - 1 :] - ordered[: len(ordered) - half + 1]) <= near * (high - low)
    )


def bounded_mean(samples: ArrayLike, bounds: tuple[float, float], level: float = 0.95) -> Estimate:
    """Mean of independent samples `[n]` with a betting interval: rare ones may matter most.

    It covers at every n, whatever the distribution within `bounds`, which are finite and not equal.
    Where samples are near each other and the bounds far apart, it is much wider than that of
    `mean`: it allows for what n samples cannot exclude.

    Raises:
        BadArgument: bounds that are not ordered or not finite, or a level outside (0, 1).
        BadData: samples that are no `[n]`, none, not finite, or outside the bounds.
    """
    samples = as_samples(samples, level)
    low, high = _limits(samples, bounds)
    if not -np.inf < low < high < np.inf:
        raise checks.BadArgument(
            f"the bounds are {low:g} and {high:g}; two finite numbers in order are needed."
        )
    ends = betting_interval(samples, low, high, level)
    method = f"mean, {probability(level)} {_betting(low, high)}"
    return Estimate(float(np.mean(samples)), *ends, len(samples), method)


def student_mean(samples: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of independent samples `[n]` with Student's t interval, for samples known to be near
    normal.

    Raises:
        BadArgument: a level outside (0, 1).
        BadData: samples that are no `[n]`, none, or not finite.
    """
    samples = as_samples(samples, level)
    if len(samples) == 1:
        return Estimate(float(samples[0]), -np.inf, np.inf, 1, "one sample: no interval")
    low, high = student_interval(samples, level)
    return Estimate(
        float(np.mean(samples)), low, high, len(samples), f"mean, {probability(level)} Student t"
    )


def most_equal(samples: np.ndarray) -> int:
    """How many of the samples `[n]` are one value, to rounding, at the most."""
    ordered = np.sort(samples)
    steps = np.diff(ordered) > _EQUAL * np.max(np.abs(ordered))
    edges = np.concatenate([[-1], np.flatnonzero(steps), [len(ordered) - 1]])
    return int(np.max(np.diff(edges)))


def as_samples(samples: ArrayLike, level: float) -> np.ndarray:
    """Samples `[n]` in 64 bits, if they and the level are what an interval can be made of.

    Raises:
        BadArgument: a level outside (0, 1).
        BadData: samples that are no `[n]`, none, or not finite.
    """
    checks.LEVEL.check("level", level)
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 1:
        raise checks.BadData(
            f"the samples have shape {samples.shape}; one number each, in one row, is needed."
        )
    if not len(samples):
        raise checks.BadData("the samples are none; at least one is needed.")
    checks.finite("the samples", samples, "sample")
    return samples


def _limits(samples: np.ndarray, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """The bounds, moved to samples that are beyond them by rounding."""
    if bounds is None:
        return -np.inf, np.inf
    low, high = map(float, bounds)
    if not low <= high:
        raise checks.BadArgument(
            f"the bounds are {low:g} and {high:g}; two numbers in order are needed."
        )
    least, most = float(np.min(samples)), float(np.max(samples))
    slack = _EQUAL * max(abs(least), abs(most))
    if least < low - slack or most > high + slack:
        raise checks.BadData(
            f"the samples to average reach from {least:g} to {most:g}, beyond [{low:g}, {high:g}]."
        )
    return min(low, least), max(high, most)


def _interval(
    samples: np.ndarray, level: float, low: float, high: float
) -> tuple[tuple[float, float], str]:
    """The ends, and in words how they were made.

    Args:
        samples: `[n]`, in any unit.
        level: Of the interval, two-sided.
        low, high: Bounds of the samples, in their unit; either may be infinite.
    """
    n, tied = len(samples), most_equal(samples)
    if tied == n:
        return (low, high), f"{_nothing_varies(n, level)}: no interval without bounds"
    if 2 * tied >= n > 2:
        range_bets = betting_interval(samples, float(samples.min()), float(samples.max()), level)
        student = student_interval(samples, level)
        ends = min(range_bets[0], student[0]), max(range_bets[1], student[1])
        method = "betting in the range seen"
    else:
        ends, method = skewed_interval(samples, level), "allowing for skew"
    ends = max(ends[0], low), min(ends[1], high)
    if np.isfinite(high - low):
        bets = betting_interval(samples, low, high, level)
        if bets[1] - bets[0] < ends[1] - ends[0]:
            return bets, _betting(low, high)
    return ends, f"{method}; {_largest(samples)}"


def _betting(low: float, high: float) -> str:
    return f"betting in [{low:.4g}, {high:.4g}]"


def _nothing_varies(n: int, level: float) -> str:
    """What equal samples say without a range: how many others may differ from them, at the most."""
    portion = 1 - ((1 - level) / 2) ** (1 / n)
    return (
        "one sample"
        if n == 1
        else f"{n} equal samples, which up to {portion:.0%} of others may differ from"
    )


def _largest(samples: np.ndarray) -> str:
    off = samples - np.mean(samples)
    squares = (off / np.max(np.abs(off))) ** 2
    return f"the sample furthest off makes {np.max(squares) / np.sum(squares):.0%} of the variance"


def root_mean_square(squares: ArrayLike, level: float = 0.95) -> Estimate:
    """Root of the mean of independent squared errors `[n]`; the interval's ends are roots too.

    Raises:
        BadArgument: a level outside (0, 1).
        BadData: squares that are no `[n]`, none, not finite, or below 0.
    """
    squared = mean(squares, level, bounds=(0, np.inf))
    low, center, high = np.sqrt(np.maximum([squared.low, squared.mean, squared.high], 0))
    return Estimate(
        float(center), float(low), float(high), squared.n, f"root of the {squared.method}"
    )


def median(samples: ArrayLike, level: float = 0.95) -> Estimate:
    """Median of independent samples `[n]` between two order statistics, whatever the distribution.

    The interval is the narrowest symmetric pair that covers with at least `level`; six samples are
    the fewest that have one at 95%, fewer get an infinite one.

    Raises:
        BadArgument: a level outside (0, 1).
        BadData: samples that are no `[n]`, none, or not finite.
    """
    ordered = np.sort(as_samples(samples, level))
    n, center = len(ordered), float(np.median(ordered))
    outside = int(
        stats.binom.ppf((1 - level) / 2, n, 0.5)
    )  # P(at most outside - 1 below) <= (1 - level) / 2
    if not outside:
        return Estimate(
            center, -np.inf, np.inf, n, f"median of {n}: no {probability(level)} interval"
        )
    low, high = float(ordered[outside - 1]), float(ordered[n - outside])
    return Estimate(center, low, high, n, f"median, {probability(level)} order statistics")


def share(hits: int, trials: int, level: float = 0.95) -> Estimate:
    """Share of independent trials that hit, with Clopper and Pearson's exact interval.

    Raises:
        BadArgument: fewer than one trial, hits that are not between none and all of them, or a
            level outside (0, 1).
    """
    checks.LEVEL.check("level", level)
    checks.at_least("the number of trials", trials, 1)
    checks.between("the number of hits", hits, 0, trials)
    exact = stats.binomtest(hits, trials).proportion_ci(level, "exact")
    return Estimate(
        hits / trials,
        float(exact.low),
        float(exact.high),
        trials,
        f"share, {probability(level)} Clopper-Pearson",
    )
