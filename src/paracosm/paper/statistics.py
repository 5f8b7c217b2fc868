"""What is read off samples of gradients: means in blocks, squared lengths without bias, ratios and
slopes; no JAX.

Cells keep the means of equal blocks of their samples, so that intervals can be made of their
answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from paracosm.core import estimators
from paracosm.core.records import Estimate

BLOCKS = 40  # of a cell's samples: Student's t for as many is 3% above the normal's 1.96

Blocks = Sequence[float]
"""Means of blocks of independent samples."""


def block_means(values: ArrayLike, blocks: int = BLOCKS) -> list[float]:
    """Means of equal consecutive blocks of independent values `[n]`; what is left over at the end
    is dropped.
    """
    values = np.asarray(values, np.float64)
    return _cut(values, blocks).mean(axis=1).tolist()


def squared_length(samples: np.ndarray, blocks: int = 2 * BLOCKS) -> list[float]:
    """Unbiased estimates of `‖E x‖²` from vectors `[n, size]`, one for each pair of blocks:
    products of their means.
    """
    means = _cut(samples, blocks).mean(axis=1)
    return np.sum(means[::2] * means[1::2], axis=1).tolist()


def total_variance(samples: np.ndarray, blocks: int = BLOCKS) -> list[float]:
    """The trace of the covariance of vectors `[n, size]`, estimated in each block without bias."""
    return _cut(samples, blocks).var(axis=1, ddof=1).sum(axis=-1).tolist()


def _cut(values: np.ndarray, blocks: int) -> np.ndarray:
    return groups_of(values, len(values) // blocks)[:blocks]


def groups_of(samples: np.ndarray, size: int) -> np.ndarray:
    """Consecutive groups `[groups, size, …]` of samples `[n, …]`; what is left over is dropped."""
    groups = len(samples) // size
    return samples[: groups * size].reshape(groups, size, *samples.shape[1:])


def grouped(samples: np.ndarray, size: int) -> np.ndarray:
    """Means of groups of `size` vectors `[n, …]`; what is left over is dropped."""
    return groups_of(samples, size).mean(axis=1)


def ratio(over: Blocks, under: Blocks) -> Estimate:
    """The ratio of two means measured on different samples; Student's t interval of its
    logarithm.
    """
    half = float(np.hypot(relative_half(over), relative_half(under)))
    return around(float(np.mean(over) / np.mean(under)), half, min(len(over), len(under)))


def around(value: float, half: float, n: int) -> Estimate:
    """A ratio with the half-width of its logarithm's interval."""
    low, high = float(value * np.exp(-half)), float(value * np.exp(half))
    return Estimate(float(value), low, high, n, "ratio of means, 95% Student t, of its log")


def relative_half(values: Blocks) -> float:
    """Half of a mean's 95% Student t interval as a share of the mean; 0 without chance."""
    return (
        0.0
        if len(values) == 1
        else wide(len(values)) * _mean_and_error(values)[1] / abs(_mean_and_error(values)[0])
    )


def wide(n: int) -> float:
    """Student's t for a 95% interval of a mean of n."""
    return float(stats.t.isf(0.025, n - 1))


def paired_ratio(over: Blocks, under: Blocks) -> Estimate:
    """The ratio of two means measured on the same samples, block by block; Student's t interval."""
    a, b = np.asarray(over, np.float64), np.asarray(under, np.float64)
    value = float(a.mean() / b.mean())
    half = float(wide(len(a)) * np.std(a - value * b, ddof=1) / np.sqrt(len(a)) / abs(b.mean()))
    return Estimate(
        value,
        value - half,
        value + half,
        len(a),
        "ratio of means on the same samples, 95% Student t",
    )


def _mean_and_error(values: Blocks) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def log_slope(x: Sequence[float], y: Sequence[Blocks], weights: Sequence[float]) -> Estimate:
    """The slope of `log mean(y)` over `log x` by least squares; Student's t interval by the
    smallest set.

    The weights, best in proportion to how many samples each mean is of, must not depend on the
    samples (see `pooled`).
    """
    means, errors = np.array([_mean_and_error(blocks) for blocks in y]).T
    weight, log_x = np.array(weights, float), np.log(x)
    off = weight * (log_x - np.average(log_x, weights=weight))
    part = off / np.sum(off * log_x)
    slope, half = (
        float(part @ np.log(means)),
        float(wide(min(map(len, y))) * np.linalg.norm(part * errors / means)),
    )
    return Estimate(
        slope,
        slope - half,
        slope + half,
        len(means),
        "weighted least squares of logs, 95% Student t",
    )


def pooled(groups: Sequence[Blocks], weights: Sequence[float] | None = None) -> Estimate:
    """The mean that sets of samples share; its Student t interval is by the smallest set.

    The weights, equal unless given, must not depend on the samples: the errors of skewed samples go
    up and down with their means, and weights made of them would pull the mean down.
    """
    means, errors = np.array([_mean_and_error(blocks) for blocks in groups]).T
    weight = (
        np.full(len(groups), 1 / len(groups))
        if weights is None
        else np.array(weights) / np.sum(weights)
    )
    mean, half = (
        float(weight @ means),
        float(wide(min(map(len, groups))) * np.linalg.norm(weight * errors)),
    )
    return Estimate(
        mean,
        mean - half,
        mean + half,
        sum(map(len, groups)),
        "mean of several means, 95% Student t",
    )


def averaged(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of numbers that were measured apart, in chosen settings: its interval is made of
    theirs alone.
    """
    mean = float(np.mean([estimate.mean for estimate in estimates]))
    half = float(
        np.linalg.norm([(estimate.high - estimate.low) / 2 for estimate in estimates])
        / len(estimates)
    )
    return Estimate(
        mean,
        mean - half,
        mean + half,
        len(estimates),
        "mean of these settings, 95% by their own errors",
    )


def of_settings(value: float, n: int) -> Estimate:
    """A number counted or averaged over chosen settings, without an interval."""
    return Estimate(value, value, value, n, "these settings, no sampling")


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """An estimate in another unit."""
    return Estimate(
        estimate.mean * factor,
        estimate.low * factor,
        estimate.high * factor,
        estimate.n,
        estimate.method,
    )


def covering(groups: Sequence[Blocks], value: float) -> tuple[int, int]:
    """How many of the 95% intervals hold the value, and of how many."""
    estimates = [estimators.mean(estimate) for estimate in groups]
    return sum(estimate.low <= value <= estimate.high for estimate in estimates), len(estimates)
