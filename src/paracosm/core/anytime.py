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

Skewed samples are not near-normal: of log-normal ones (σ 1, n from 10 on) the t mixture at 95%
misses the mean in 22%. So the interval also holds that of `skewed.py`, which covers at one n. That
is no proof at all n, and not enough where a tail is heavier than the samples show: 15% and, at
99.2%, 4% instead of 10% (measured; tests/core/test_anytime.py).

Samples of a known range that are mostly near one another may be decided by rare ones. There the
wealth of `betting.py` is a martingale, since its bets are constants, and holds at every n whatever
the distribution.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from paracosm.core import checks
from paracosm.core.betting import betting_interval
from paracosm.core.estimators import as_samples, concentrated, most_equal
from paracosm.core.numerals import probability
from paracosm.core.records import Estimate
from paracosm.core.skewed import skewed_interval

# Variance g of the effect size: intervals are narrowest at about 4 (2 log(1/α) + 3) samples, some
# 50, which is when effects of half a standard deviation are decided.
EFFECT_VARIANCE = 0.25


def anytime_mean(
    samples: ArrayLike,
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
    *,
    spared: float | None = None,
) -> Estimate:
    """Mean of the first n of independent samples, with an interval that covers at all n at once.

    Within finite `bounds` it is a betting interval where half of the samples are near one another
    (`concentrated`), else a t mixture, each at half of the risk: which of the two it is may depend
    on the samples. Without bounds it is a t mixture, but infinite where half of the samples are one
    value: nothing then tells how far rare ones may be. A t mixture is widened to the interval for
    skewed samples.

    Args:
        samples: `[n]`, in any unit.
        level: Of the interval, two-sided, for all n together.
        bounds: The least and the most that a sample can be, where known; they are moved to samples
            beyond them, since a range that was guessed before the first one may turn out too small.
        spared: Where the t mixture holds all numbers up to this size, the interval for skewed
            samples, which takes milliseconds, is spared; never if None.

    Raises:
        BadArgument: bounds that are not ordered, or a level outside (0, 1).
        BadData: samples that are no `[n]`, none, or not finite.
    """
    samples = as_samples(samples, level)
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    if not low <= high:
        raise checks.BadArgument(
            f"the bounds are {low:g} and {high:g}; two numbers in order are needed."
        )
    low, high = min(low, float(samples.min())), max(high, float(samples.max()))
    risk, center = 1 - level, float(np.mean(samples))
    bounded = math.isfinite(high - low) and high > low
    if bounded and concentrated(samples, low, high):
        ends = betting_interval(samples, low, high, 1 - risk / 2)
        method = f"betting in [{low:.4g}, {high:.4g}]"
    elif 2 * most_equal(samples) >= len(samples) > 2:
        ends, method = (low, high), "half of the samples are one value: no interval without a range"
    else:
        ends = _varied_interval(samples, risk / 2 if bounded else risk, spared)
        ends, method = (max(ends[0], low), min(ends[1], high)), "t mixture allowing for skew"
    ends = min(ends[0], center), max(ends[1], center)
    return Estimate(center, *ends, len(samples), f"mean, {probability(level)} at every n: {method}")


def _varied_interval(samples: np.ndarray, risk: float, spared: float | None) -> tuple[float, float]:
    """The t mixture, and what skewed samples need beside it.

    Args:
        samples: `[n]`, in any unit.
        risk: That it misses the mean.
        spared: As for `anytime_mean`.
    """
    low, high = t_mixture_interval(samples, risk)
    if math.isinf(low) or (spared is not None and low <= -spared and high >= spared):
        return low, high
    start, end = skewed_interval(samples, 1 - risk)
    return min(low, start), max(high, end)


def t_mixture_interval(samples: np.ndarray, risk: float) -> tuple[float, float]:
    """The ends of the t mixture's interval for the mean of near-normal samples.

    Args:
        samples: `[n]`, in any unit.
        risk: That it misses the mean at any n.
    """
    n, center, reach = len(samples), float(np.mean(samples)), t_mixture_reach(len(samples), risk)
    if math.isinf(reach):
        return -math.inf, math.inf
    spread = float(np.sum((samples - center) ** 2))
    half = math.sqrt(spread * reach / n)
    return center - half, center + half


def t_mixture_reach(n: int, risk: float) -> float:
    """The largest `n (x̄ - m)² / S` of a mean m that n samples leave possible."""
    growth = 1 + n * EFFECT_VARIANCE
    ratio = (math.sqrt(growth) / risk) ** (2 / n)
    return (ratio - 1) / (1 - ratio / growth) if ratio < growth else math.inf
