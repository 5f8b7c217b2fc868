"""Intervals of a mean that hold at every number of samples at once, so that one may look after each
sample and stop whenever one likes.

Near-normal samples: the scale-invariant t mixture (Lai 1976; Wang & Ramdas 2024, "Anytime-valid
t-tests and confidence sequences for Gaussian means with unknown variance", theorem 4.9). For a mean
m let `B_n(m)` be the Bayes factor of effect sizes `(μ - m) / σ ~ N(0, g)` against 0, the right Haar
prior `dσ / σ` on both sides. With the sample mean x̄ and `S = Σ (x_i - x̄)²`

    B_n(m) = (1 + n g)^(-1/2) [(S + n (x̄ - m)²) / (S + n (x̄ - m)² / (1 + n g))]^(n/2).

It is the likelihood ratio of the ratios `(x_i - m) / |x_1 - m|`, whose law does not depend on σ
if m is the mean. So it is a martingale among what the ratios tell, it is 1 at n = 1, and it passes
`1/α` at any n with probability at most α (Ville). The interval holds all m with `B_n(m) < 1/α`,
which is solved for m in closed form.

Samples of a known range that are mostly near one another are not near-normal: rare ones decide.
There the wealth of `betting.py` is a martingale, since its bets are constants, and so holds at
every n likewise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from paracosm.core import checks
from paracosm.core.betting import betting_interval
from paracosm.core.estimators import concentrated, most_equal
from paracosm.core.records import Estimate

# Variance g of the effect size: intervals are narrowest at about 4 (2 log(1/α) + 3) samples, some
# 50, which is when effects of half a standard deviation are decided.
EFFECT_VARIANCE = 0.25


def anytime_mean(
    samples: ArrayLike, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> Estimate:
    """Mean of the first n of independent samples, with an interval that covers at all n at once.

    Within finite `bounds` it is a betting interval where half of the samples are near one another
    (`concentrated`), else a t mixture, each at half of the risk: which of the two it is may depend
    on the samples. Without bounds it is a t mixture, but infinite where half of the samples are one
    value: nothing then tells how far rare ones may be.

    Args:
        samples: `[n]`, in any unit.
        level: Of the interval, two-sided, for all n together.
        bounds: The least and the most that a sample can be, where known.

    Raises:
        BadData: if there is no sample or one is not finite.
    """
    samples = np.asarray(samples, np.float64)
    if not len(samples):
        raise checks.BadData("the samples to average are none; at least one is needed.")
    checks.finite("the samples to average", samples)
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    ends, method = _interval(samples, 1 - level, min(low, samples.min()), max(high, samples.max()))
    return Estimate(
        float(np.mean(samples)), *ends, len(samples), f"mean, {level:.4g} at every n, {method}"
    )


def _interval(
    samples: np.ndarray, risk: float, low: float, high: float
) -> tuple[tuple[float, float], str]:
    """The ends, and in words how they were made.

    Args:
        samples: `[n]`, in any unit.
        risk: That the interval ever misses the mean.
        low, high: The range of the samples; either may be infinite.
    """
    bounded = math.isfinite(high - low) and high > low
    if bounded and concentrated(samples, low, high):
        ends = betting_interval(samples, low, high, 1 - risk / 2)
        return ends, f"betting in [{low:.4g}, {high:.4g}]"
    if 2 * most_equal(samples) >= len(samples):
        return (low, high), "half of the samples are one value: no interval without a range"
    start, end = t_mixture_interval(samples, risk / 2 if bounded else risk)
    return (max(start, low), min(end, high)), "t mixture"


def t_mixture_interval(samples: np.ndarray, risk: float) -> tuple[float, float]:
    """The ends of the t mixture's interval for the mean of near-normal samples.

    Args:
        samples: `[n]`, in any unit.
        risk: That it misses the mean at any n.
    """
    n, center = len(samples), float(np.mean(samples))
    spread = float(np.sum((samples - center) ** 2))
    half = math.sqrt(spread * t_mixture_reach(n, risk) / n)
    return center - half, center + half


def t_mixture_reach(n: int, risk: float) -> float:
    """The largest `n (x̄ - m)² / S` of a mean m that n samples leave possible."""
    growth = 1 + n * EFFECT_VARIANCE
    ratio = (math.sqrt(growth) / risk) ** (2 / n)
    return (ratio - 1) / (1 - ratio / growth) if ratio < growth else math.inf
