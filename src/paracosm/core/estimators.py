"""Means with intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paracosm.core import checks
from paracosm.core.records import Estimate


def mean(samples: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of independent samples `[n]` with Student's t interval; one sample gets an infinite interval.

    Raises:
        BadData: if there is no sample or one is not finite.
    """
    samples = np.asarray(samples, np.float64)
    if not len(samples):
        raise checks.BadData("the samples to average are none; at least one is needed.")
    checks.finite("the samples to average", samples)
    n, center = len(samples), float(np.mean(samples))
    if n == 1:
        return Estimate(center, -np.inf, np.inf, 1, "one sample: no interval")
    half = float(stats.t.ppf((1 + level) / 2, n - 1) * np.std(samples, ddof=1) / np.sqrt(n))
    return Estimate(center, center - half, center + half, n, f"mean, {level:.0%} Student t")


def root_mean_square(squares: ArrayLike, level: float = 0.95) -> Estimate:
    """Square root of the mean of independent squared errors `[n]`, the interval carried through the root."""
    squared = mean(squares, level)
    low, center, high = np.sqrt(np.maximum([squared.low, squared.mean, squared.high], 0))
    return Estimate(float(center), float(low), float(high), squared.n, f"root mean square, {level:.0%} Student t")


def median(samples: ArrayLike, level: float = 0.95) -> Estimate:
    """Median of independent samples `[n]` between two order statistics, whatever the distribution.

    The interval is the narrowest symmetric pair that covers with at least `level`; six samples are the fewest that
    have one at 95%, fewer get an infinite one.

    Raises:
        BadData: if there is no sample or one is not finite.
    """
    ordered = np.sort(np.asarray(samples, np.float64))
    if not len(ordered):
        raise checks.BadData("the samples to take the median of are none; at least one is needed.")
    checks.finite("the samples to take the median of", ordered)
    n, center = len(ordered), float(np.median(ordered))
    outside = int(stats.binom.ppf((1 - level) / 2, n, 0.5))  # P(at most outside - 1 below) <= (1 - level) / 2
    if not outside:
        return Estimate(center, -np.inf, np.inf, n, f"median of {n}: no {level:.0%} interval")
    low, high = float(ordered[outside - 1]), float(ordered[n - outside])
    return Estimate(center, low, high, n, f"median, {level:.0%} order statistics")


def share(hits: int, trials: int, level: float = 0.95) -> Estimate:
    """Share of independent trials that hit, with Clopper and Pearson's exact interval.

    Raises:
        BadArgument: fewer than one trial, or hits that are not between none and all of them.
    """
    checks.at_least("the number of trials", trials, 1)
    checks.between("the number of hits", hits, 0, trials)
    exact = stats.binomtest(hits, trials).proportion_ci(level, "exact")
    return Estimate(hits / trials, float(exact.low), float(exact.high), trials, f"share, {level:.0%} Clopper-Pearson")
