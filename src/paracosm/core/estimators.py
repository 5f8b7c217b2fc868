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
