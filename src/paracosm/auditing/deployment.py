"""Is a new policy better than an old one? Four answers of decreasing strength.

`J(π') − J(π) ≥ Ĵ(π') − Ĵ(π) − gap(π') − gap(π)`, each policy in its own world: certified where the
gaps are bounded by proven rungs of the ladder, estimated by its other rungs. Real episodes of both
policies from the same starts give the difference itself, with an interval of its mean; and the
next such episode is at least the k-th smallest of n with probability `1 − k/(n + 1)` whatever the
distribution (conformal prediction: Vovk, Gammerman & Shafer 2005).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special

from paracosm.auditing.control_variate import assisted_mean
from paracosm.core import checks, estimators
from paracosm.core.records import AssistedMean, Certificate
from paracosm.core.records.deployment import BoundedDifference, DeploymentVerdict, NextEpisode

_POWER = float(special.ndtri(0.8))  # for a chance of four in five; at 0 it would be a half
_MEAN_ERROR = "mean_error"  # the rung that is asked where nothing is proven, chosen beforehand
_MOST = 1_000_000  # paired episodes: nobody plays more


class ImaginedPair(NamedTuple):
    """Imagined returns of both policies, each in its own world: of the recorded episodes' starts,
    `[episode]`, and of fresh ones, `[N]`.
    """

    old: Float[np.ndarray, " episode"]
    new: Float[np.ndarray, " episode"]
    fresh_old: Float[np.ndarray, " fresh"]
    fresh_new: Float[np.ndarray, " fresh"]

    @property
    def recorded(self) -> np.ndarray:
        """Differences of the recorded episodes' imagined returns, new minus old."""
        return self.new - self.old

    @property
    def fresh(self) -> np.ndarray:
        """Differences of imagined returns of fresh starts, new minus old."""
        return self.fresh_new - self.fresh_old


def bounded_difference(
    imagined: ImaginedPair, old: Certificate, new: Certificate, *, level: float = 0.95
) -> BoundedDifference:
    """`J(new) − J(old)` by a bound on either gap.

    It is proven for the recorded starts where both bounds are. For all starts the mean over
    recorded ones of `D̂ ∓ (b' + b)` is estimated, its interval narrowed by fresh imagined starts,
    which leave the sampling error of the bounds alone.

    Args:
        imagined: Imagined returns of both.
        old, new: The bounds on their gaps over the recorded episodes.
        level: Of what is said of all starts, two-sided.
    """
    difference = float(np.mean(imagined.recorded))
    reach = old.value + new.value
    proven = old.kind == new.kind == "certificate"
    return BoundedDifference(
        kind="certificate" if proven else "estimate",
        old_rung=old.rung,
        new_rung=new.rung,
        imagined=difference,
        old_gap=old.value,
        new_gap=new.value,
        low=difference - reach,
        high=difference + reach,
        over_starts=_over_starts(imagined, old, new, level),
    )


def _over_starts(
    imagined: ImaginedPair, old: Certificate, new: Certificate, level: float
) -> tuple[float, ...]:
    """Ends for the mean over all starts.

    Args:
        imagined, old, new, level: As for `bounded_difference`.
    """
    recorded = imagined.recorded
    if not len(recorded) == len(old.episodes) == len(new.episodes):
        return ()
    reach = np.asarray(old.episodes) + np.asarray(new.episodes)
    if not np.isfinite(reach).all():
        return ()
    low, high = (
        assisted_mean(recorded + sign * reach, recorded, imagined.fresh, level=level).value
        for sign in (-1, 1)
    )
    return low.low, high.high


def by_rung(
    imagined: ImaginedPair,
    old: Sequence[Certificate],
    new: Sequence[Certificate],
    *,
    level: float = 0.95,
) -> tuple[BoundedDifference, ...]:
    """The difference by every rung that both ladders have, from the top.

    Args:
        imagined: Imagined returns of both.
        old, new: The ladders.
        level: As for `bounded_difference`.
    """
    new_rungs = {rung.rung: rung for rung in new}
    shared = [rung for rung in old if rung.rung in new_rungs and rung.rung != "minimum"]
    return tuple(
        bounded_difference(imagined, rung, new_rungs[rung.rung], level=level) for rung in shared
    )


def certified(
    imagined: ImaginedPair,
    old: Sequence[Certificate],
    new: Sequence[Certificate],
    *,
    level: float = 0.95,
) -> BoundedDifference | None:
    """The difference by the lowest proven rung of either ladder; none where one has no proven rung.

    Args:
        imagined: Imagined returns of both.
        old, new: The ladders.
        level: As for `bounded_difference`.
    """
    lowest = [
        min(
            (rung for rung in ladder if rung.kind == "certificate" and rung.rung != "minimum"),
            key=lambda rung: rung.value,
            default=None,
        )
        for ladder in (old, new)
    ]
    if lowest[0] is None or lowest[1] is None:
        return None
    return bounded_difference(imagined, lowest[0], lowest[1], level=level)


def next_episode(differences: Float[np.ndarray, " pair"], level: float = 0.95) -> NextEpisode:
    """What the next paired difference is at least, by ranks alone.

    The rank is the largest k with `k/(n + 1) ≤ 1 − level`. With fewer pairs than that needs it is
    1, at the lower probability that these n give.

    Args:
        differences: Real return of the new policy minus that of the old one, `[pair]`.
        level: The probability that is asked for.

    Raises:
        BadData: there is no pair, or a difference is not finite.
    """
    differences = np.asarray(differences, np.float64)
    if not len(differences):
        raise checks.BadData("there are no paired episodes; at least one pair is needed.")
    checks.finite("the differences of paired returns", differences, "pair")
    ordered = np.sort(differences)
    n, risk = len(ordered), 1 - level
    rank = max(1, math.floor(risk * (n + 1) * (1 + 1e-12)))  # 0.05 × 20 is 1, rounding or not
    least = math.ceil(1 / risk * (1 - 1e-12)) - 1
    return NextEpisode(
        low=float(ordered[rank - 1]),
        probability=1 - rank / (n + 1),
        rank=rank,
        pairs=n,
        least=least,
    )


def further_pairs(
    differences: Float[np.ndarray, " pair"],
    assisted: AssistedMean,
    level: float = 0.95,
    bounds: tuple[float, float] | None = None,
) -> int | None:
    """How many more paired episodes would settle the sign of a mean difference with a chance of
    four in five, if mean and spread stay as they are.

    The smallest m for which the mean is at least the reach of the interval of m differences and z
    of the power 0.8 times their standard error, both less what imagination takes off them. The
    interval is that of `estimators.mean`, of these differences repeated to m; 0 where it excludes
    zero already. None where m is above a million, or no interval is finite.

    Args:
        differences: Real return of the new policy minus that of the old one, `[pair]`.
        assisted: Their mean.
        level: Of the interval.
        bounds: The least and the most that a difference can be, where rare episodes may decide.
    """
    value, n = assisted.value, len(differences)
    if value.excludes_zero:
        return 0
    if not math.isfinite(assisted.plain.high - assisted.plain.low) or value.mean == 0:
        return None
    ordered = np.sort(differences)
    spread = float(np.std(differences, ddof=1)) if n > 1 else 0.0

    def settles(m: int) -> bool:
        plain = estimators.mean(ordered[np.arange(m) * n // m], level, bounds)
        reach = plain.mean - plain.low if value.mean > 0 else plain.high - plain.mean
        required = reach + _POWER * spread / math.sqrt(m)
        return required * math.sqrt(_factor(assisted, m)) <= abs(value.mean)

    low, high = n, min(2 * n, _MOST)
    while not settles(high):
        if high == _MOST:
            return None
        low, high = high, min(2 * high, _MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settles(middle) else (middle, high)
    return high - n


def _factor(assisted: AssistedMean, pairs: int) -> float:
    """What as many fresh starts take off the variance of so many pairs: `1 - ρ² N / (N + m)`."""
    fresh = assisted.fresh
    gain = (1 - assisted.factor) * (fresh + assisted.value.n)
    return 1 - gain / (fresh + pairs)


def decide(
    proven: BoundedDifference | None,
    bounds: Sequence[BoundedDifference],
    assisted: AssistedMean,
) -> tuple[DeploymentVerdict, str]:
    """The verdict on the mean over all starts, and the form that it rests on.

    The strongest form that settles the sign speaks: proven bounds, then real episodes, then the
    mean-error form, whose bounds are estimates. Proven bounds speak where they settle the sign for
    the recorded starts, which is certain, and by the spread of starts for all of them, which is
    not.
    """
    if proven is not None and proven.over_starts:
        if min(proven.low, proven.over_starts[0]) > 0:
            return DeploymentVerdict.CERTIFIED, "certificate"
        if max(proven.high, proven.over_starts[1]) < 0:
            return DeploymentVerdict.WORSE, "certificate"
    if assisted.value.excludes_zero:
        better = assisted.value.low > 0
        return (DeploymentVerdict.ESTIMATED if better else DeploymentVerdict.WORSE), "episodes"
    for bound in (bound for bound in bounds if bound.old_rung == _MEAN_ERROR):
        if bound.over_starts and bound.over_starts[0] > 0:
            return DeploymentVerdict.ESTIMATED, bound.old_rung
        if bound.over_starts and bound.over_starts[1] < 0:
            return DeploymentVerdict.WORSE, bound.old_rung
    return DeploymentVerdict.NOT_YET, ""
