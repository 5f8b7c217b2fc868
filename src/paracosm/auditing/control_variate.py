"""Imagined returns as a control variate of real ones.

`mean_n(R − λ R̂) + λ mean_N(R̂)` has the mean of the real returns R whatever the world model is
wrong about, as long as R and R̂ start from the same n states and the N fresh starts are of the same
law. Where R̂ follows R from start to start with correlation ρ its variance is `1 − ρ²` times that
of the plain mean as N grows. Resets cost no real step and imagination none either, so that real
episodes are saved (multi-fidelity Monte Carlo: Peherstorfer, Willcox & Gunzburger 2016; with a
model's predictions: Angelopoulos et al. 2023).

Starts that the world was fitted to are not fresh: there R̂ knows what happened, and no correction
measured on other starts holds. So fresh starts are seeded apart from the purchase.
"""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num
from numpy.typing import ArrayLike
from scipy import stats

from paracosm.auditing.imagined_returns import EpisodeStarts, play_in
from paracosm.core import callbacks, checks, estimators
from paracosm.core.control_variates import DebiasedMean, debiased_mean
from paracosm.core.mdp import MDP
from paracosm.core.numerals import probability
from paracosm.core.policy import Policy
from paracosm.core.precision import in_double
from paracosm.core.records import AssistedMean, Estimate, Help
from paracosm.core.rollout import returns
from paracosm.core.types import Array, PRNGKey

# The fewest real returns of which a correlation can be told from noise, by the gate of
# `debiased_mean` with one row left out
LEAST = 5
_ROUNDING = 1e-6  # of an interval's width: returns that were summed in another order


def assisted_mean(
    real: ArrayLike,
    imagined: ArrayLike,
    fresh: ArrayLike,
    *,
    level: float = 0.95,
    plain: Estimate | None = None,
    bounds: tuple[float, float] | None = None,
) -> AssistedMean:
    """The mean of real returns, its interval narrowed by imagined ones where they are correlated.

    The interval is that of `estimators.varied_mean` of the corrected returns `R − λ R̂`, each λ
    from the other episodes, so that λ's own error is in their spread and n − 1 degrees of freedom
    hold. Corrected returns can hide the skew of real ones: neither end is nearer than that of the
    plain interval times the standard deviations' ratio. The error of the fresh mean is added as an
    independent part. Of few, tied or uncorrelated returns, of those that rare episodes may decide,
    and where the interval would be no narrower, the plain mean is given.

    Args:
        real: Real returns `[n]`, or differences of them.
        imagined: Imagined ones of the same starts, `[n]`; none where `fresh` is empty too.
        fresh: Imagined ones of other starts of the same law, `[N]`.
        level: Of the intervals, two-sided.
        plain: The mean of the real returns with the interval that stands for them elsewhere, at
            the same level; `varied_mean` of them if None. One that is wider than that of
            `varied_mean` allows for rare episodes, which no correlation does.
        bounds: What no return is beyond, if known: no interval is either.

    Raises:
        BadData: there is no real return, counts differ, or a value is not finite.
    """
    real, imagined, fresh = (np.asarray(x, np.float64) for x in (real, imagined, fresh))
    if len(imagined) != len(real) and (len(imagined) or len(fresh)):
        raise checks.BadData(
            f"there are {len(imagined)} imagined returns of {len(real)} real episodes; one from"
            " the start of each is needed."
        )
    spread = estimators.varied_mean(real, level, bounds)
    plain = spread if plain is None else plain
    if not len(fresh):
        return _unassisted(plain, Help.NO_STARTS, 0)
    if len(real) < LEAST:
        return _unassisted(plain, Help.FEW, len(fresh))
    debiased = debiased_mean(real, np.concatenate([imagined, fresh]))
    correlation = debiased.correlation
    if 2 * estimators.most_equal(real) >= len(real) or _wider(plain, spread):
        return _unassisted(plain, Help.RARE, len(fresh), correlation)
    if debiased.coefficient == 0:
        return _unassisted(plain, Help.UNRELATED, len(fresh), correlation)
    n, plain_variance = len(real), float(real.var(ddof=1)) / len(real)
    factor = debiased.variance / plain_variance
    value = _within(_interval(debiased, plain, plain_variance, level), bounds)
    narrower = value is not None and value.high - value.low < plain.high - plain.low
    if factor >= 1 or value is None or not narrower:
        return _unassisted(plain, Help.NO_GAIN, len(fresh), correlation)
    return AssistedMean(
        value=value,
        plain=plain,
        help=Help.HELPED,
        coefficient=debiased.coefficient,
        correlation=correlation,
        factor=factor,
        fresh=len(fresh),
        saved=n / factor - n,
    )


def _within(value: Estimate, bounds: tuple[float, float] | None) -> Estimate | None:
    """The estimate with its interval cut at the bounds; None where its mean is beyond them."""
    low, high = bounds or (-np.inf, np.inf)
    if not low <= value.mean <= high:
        return None
    return Estimate(value.mean, max(low, value.low), min(high, value.high), value.n, value.method)


def _wider(plain: Estimate, spread: Estimate) -> bool:
    """Whether an interval reaches beyond that of the returns' own spread, rounding apart."""
    slack = _ROUNDING * (spread.high - spread.low)
    return plain.low < spread.low - slack or plain.high > spread.high + slack


def _unassisted(plain: Estimate, why: Help, fresh: int, correlation: float = 0.0) -> AssistedMean:
    """The plain mean, which imagination does not narrow.

    Args:
        plain: The mean of the real returns with its interval.
        why: What imagination could not do.
        fresh: Number of fresh imagined starts.
        correlation: Of real and imagined returns, 0 where it was not computed.
    """
    return AssistedMean(
        value=plain,
        plain=plain,
        help=why,
        coefficient=0.0,
        correlation=correlation,
        factor=1.0,
        fresh=fresh,
        saved=0.0,
    )


def _interval(
    debiased: DebiasedMean, plain: Estimate, plain_variance: float, level: float
) -> Estimate:
    """The debiased mean with its interval.

    Args:
        debiased: The mean.
        plain: The mean of the real returns alone, with its interval.
        plain_variance: Of that mean.
        level: Of the interval.
    """
    rows, center = debiased.corrected, float(debiased.value)
    rows_variance = float(rows.var(ddof=1)) / len(rows)
    fresh_variance = max(debiased.variance - rows_variance, 0.0)
    corrected, ratio = (
        estimators.varied_mean(rows, level),
        math.sqrt(rows_variance / plain_variance),
    )
    fresh_width = float(stats.norm.ppf((1 + level) / 2)) * math.sqrt(fresh_variance)
    width_below, width_above = (
        math.hypot(max(corrected_width, ratio * plain_width), fresh_width)
        for corrected_width, plain_width in (
            (corrected.mean - corrected.low, plain.mean - plain.low),
            (corrected.high - corrected.mean, plain.high - plain.mean),
        )
    )
    method = f"mean, {probability(level)} with imagined returns as control variate"
    return Estimate(center, center - width_below, center + width_above, len(rows), method)


def imagined_from(
    world: MDP,
    policy: Policy,
    starts: Num[np.ndarray, "start state"],
    steps: Int[np.ndarray, " start"],
    *,
    discount: float,
    key: PRNGKey,
) -> Float[np.ndarray, " start"]:
    """Imagined returns of the policy's greedy play from these starts, in 64 bits as an audit's.

    Args:
        world: The learned world.
        policy: What plays.
        starts: First states, or beliefs.
        steps: How many steps each is imagined for, `[start]`.
        discount: Of the returns, in [0, 1] a step.
        key: Of the noise of a stochastic world.

    Raises:
        BadData: the world leaves the finite numbers.
    """
    with jax.enable_x64(True), callbacks.as_raised():
        world, policy, starts = in_double((world, policy.greedy(), np.asarray(starts)))
        episode_starts = EpisodeStarts(
            jnp.asarray(starts), jnp.asarray(steps), jax.random.split(key, len(starts))
        )
        total = _imagined(world, policy, episode_starts, int(np.max(steps)), discount)
    columns = np.asarray(total, np.float64)
    checks.finite("the imagined returns", columns, "start")
    return columns


@eqx.filter_jit
def _imagined(
    world: MDP, policy: Policy, starts: EpisodeStarts, horizon: int, discount: float
) -> Float[Array, " start"]:
    """`imagined_from` in one compiled program.

    Args:
        world, policy: What is imagined.
        starts: Where each episode starts, how long it is, and its noise.
        horizon: Steps of the longest.
        discount: Of the returns.
    """
    return returns(play_in(world, policy, starts, horizon).reward, discount)
