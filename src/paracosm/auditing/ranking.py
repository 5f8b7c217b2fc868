"""The order of policies by real and by imagined returns: which pairs flip, what trusting
imagination costs, and up to which horizon it may be trusted.

Of m policies with real returns J and imagined ones Ĵ: the share of pairs whose sign of
`Ĵ(i) - Ĵ(j)` is not that of `J(i) - J(j)`, Kendall's τ of both, and the selection regret
`max_i J(i) - J(argmax Ĵ)`. Episodes i of all policies start alike, so differences are paired. All
intervals of pairs hold together (Bonferroni); then whatever is said of the decided pairs is right
with that probability, and the open ones may be anything. So the share of flips lies between that
of the pairs that certainly flip and that of those that do not certainly agree; τ likewise; and the
regret between the largest lower end and the largest upper end of `J(i) - J(argmax Ĵ)`. Where
imagined returns tie for the largest, any of these policies may be taken: the regret then lies
between the least lower and the largest upper end of theirs, and its mean is their mean.

The safe horizon is the largest h of a grid such that at no k ≤ h of it a pair certainly flips; it
is not known where none does and no pair is decided
(exploitability: Bhamidipaty et al. 2026, arXiv 2605.15960). At each horizon the intervals of
all pairs hold together, not those of all horizons.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from paracosm.auditing.averages import ReturnRange, of_differences, widened_to
from paracosm.auditing.sequential import added_up, corrected_order
from paracosm.core import checks
from paracosm.core.anytime import anytime_mean
from paracosm.core.estimators import mean, most_equal
from paracosm.core.records import Estimate
from paracosm.core.records.ranking import (
    HorizonFlips,
    Ordering,
    PolicyPair,
    RankedPolicy,
    Ranking,
)

# Of the risk: imagined starts cost next to nothing, real episodes everything.
IMAGINED_SHARE = 0.1
_ROUNDING = 1e-12  # of a return, as ties are told by `most_equal`
_GRID = (1, 2, 5)  # times powers of ten: horizons of a grid


def ranking(
    names: Sequence[str],
    real: Sequence[ArrayLike] | np.ndarray,
    imagined: Sequence[ArrayLike] | np.ndarray,
    *,
    discount: float = 1.0,
    level: float = 0.95,
    bounds: ReturnRange = None,
    anytime: bool = False,
    lower_ends: np.ndarray | None = None,
    order: Sequence[int] | None = None,
    horizons: Sequence[int] | None = None,
) -> Ranking:
    """Rank policies by their real returns, and compare how imagination ranks them.

    Args:
        names: Of the policies.
        real: Rewards of each policy's real episodes, `[episode, time]`, 0 after an end; episodes i
            of all policies start alike. Counts may differ: pairs are of the episodes that both
            have.
        imagined: Rewards of each policy's imagined episodes, `[start, time]`, likewise.
        discount: At which returns are added up.
        level: Of all pairs together; of each policy's own interval.
        bounds: The least and the most that a return can be, where rare episodes may decide: equal
            samples are then no evidence of equal means.
        anytime: Whether the real episodes were bought until something was sure: all intervals of
            real returns then hold at every number of episodes.
        lower_ends: Lower ends of `J(i) - J(j)`, `[policy, policy]`, that hold besides, as
            `separate` gives them.
        order: The policies in the order to report, the best first; by default by their means, but
            for neighbours that are surely the other way round.
        horizons: At which flips are looked for, in steps; 1, 2, 5, 10, … up to the longest episode
            if None.

    Raises:
        BadArgument: fewer than two policies, or as many names, real and imagined rewards as do not
            fit together; a discount, level or horizon out of its range.
        BadData: rewards that are not finite or not `[episode, time]`.
    """
    checks.at_least("the number of policies", len(names), 2)
    if not len(names) == len(real) == len(imagined) == len(set(names)):
        raise checks.BadArgument(
            f"{len(set(names))} names are given for {len(real)} policies' real and"
            f" {len(imagined)} policies' imagined rewards; one of its own for each is needed."
        )
    checks.in_unit_interval("discount", discount)
    checks.LEVEL.check("level", level)
    played = _Rewards(_arrays("real", names, real), _arrays("imagined", names, imagined), discount)
    grid = horizon_grid(played.steps) if horizons is None else _ascending(horizons)
    sides = _Sides(len(names), 1 - level, bounds, anytime)
    differences = sides.differences(played, played.steps, lower_ends)
    returns, imaginations = played.returns(played.real), played.returns(played.imagined)
    if order is None:
        by_mean = np.argsort([-float(np.mean(row)) for row in returns], kind="stable").tolist()
        order = corrected_order(by_mean, lambda i, j: differences.real[i, j].low > 0)
    flips = tuple(
        _flips_at(
            names,
            differences if steps >= played.steps else sides.differences(played, steps),
            steps,
        )
        for steps in grid
    )
    pairs = tuple(
        PolicyPair(
            names[i],
            names[j],
            differences.real[i, j],
            differences.imagined[i, j],
            differences.ordering(i, j),
        )
        for i, j in itertools.combinations(order, 2)
    )
    likely = _likely_best(imaginations)
    chosen, *tied = (names[k] for k in order if k in likely)
    return Ranking(
        policies=tuple(_policy(names[k], returns[k], imaginations[k], level, sides) for k in order),
        pairs=pairs,
        flips=_share_of_flips(pairs),
        tau=_kendall(pairs),
        regret=_regret(likely, differences.real),
        chosen=chosen,
        horizons=flips,
        safe_horizon=_safe(flips, pairs),
        level=level,
        discount=discount,
        tied=tuple(tied),
    )


def _ascending(horizons: Sequence[int]) -> tuple[int, ...]:
    """The horizons in their order.

    Raises:
        BadArgument: there is none, or one is no number of steps.
    """
    checks.at_least("the number of horizons", len(horizons), 1)
    return tuple(sorted({checks.count("a horizon", steps) for steps in horizons}))


def horizon_grid(steps: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, … and `steps` itself."""
    powers = range(len(str(steps)))
    return (*(a * 10**k for k in powers for a in _GRID if a * 10**k < steps), steps)


class _Rewards(NamedTuple):
    """Rewards by policy, `[episode, time]` each, and the discount of returns."""

    real: list[np.ndarray]
    imagined: list[np.ndarray]
    discount: float

    @property
    def steps(self) -> int:
        """Of the longest episode."""
        return max(rows.shape[1] for rows in (*self.real, *self.imagined))

    def returns(self, rewards: list[np.ndarray], steps: int | None = None) -> list[np.ndarray]:
        """Returns by policy, `[episode]`, of the first `steps` steps or of all."""
        return [
            rows[:, :steps] @ self.discount ** np.arange(rows[:, :steps].shape[1])
            for rows in rewards
        ]


class _Differences(NamedTuple):
    """The differences of each ordered pair `(i, j)` of policies."""

    real: dict[tuple[int, int], Estimate]
    imagined: dict[tuple[int, int], Estimate]

    def ordering(self, i: int, j: int) -> Ordering:
        real, imagined = self.real[i, j], self.imagined[i, j]
        if not (real.excludes_zero and imagined.excludes_zero):
            return Ordering.UNDECIDED
        return Ordering.AGREES if (real.low > 0) == (imagined.low > 0) else Ordering.FLIPS


class _Sides(NamedTuple):
    """How the differences of both sides are averaged, and at which risk for all pairs."""

    policies: int
    risk: float
    bounds: ReturnRange
    anytime: bool

    def differences(
        self, played: _Rewards, steps: int, lower_ends: np.ndarray | None = None
    ) -> _Differences:
        """The differences of returns of the first `steps` steps.

        Args:
            played: The rewards.
            steps: How many.
            lower_ends: Lower ends of differences of real returns that hold besides.
        """
        averaged = anytime_mean if self.anytime else mean
        real = self._all(
            played.returns(played.real, steps),
            (1 - IMAGINED_SHARE) * self.risk,
            averaged,
            lower_ends,
        )
        imagined = self._all(
            played.returns(played.imagined, steps), IMAGINED_SHARE * self.risk, mean
        )
        return _Differences(real, imagined)

    def _all(
        self,
        returns: list[np.ndarray],
        risk: float,
        averaged: Callable[..., Estimate],
        lower_ends: np.ndarray | None = None,
    ) -> dict[tuple[int, int], Estimate]:
        """The differences of all pairs, both ways.

        Args:
            returns: By policy.
            risk: Of all pairs together.
            averaged: Gives a mean with its interval.
            lower_ends: Lower ends that hold besides.
        """
        pairs = list(itertools.combinations(range(self.policies), 2))
        paired = {}
        for i, j in pairs:
            n = min(len(returns[i]), len(returns[j]))
            rows = _difference(returns[i][:n], returns[j][:n])
            paired[i, j] = averaged(rows, 1 - risk / len(pairs), of_differences(self.bounds, rows))
        low = np.zeros((self.policies, self.policies))
        for (i, j), difference in paired.items():
            low[i, j], low[j, i] = difference.low, -difference.high
        low = added_up(low if lower_ends is None else np.maximum(low, lower_ends))
        return {
            key: difference
            for (i, j), pair in paired.items()
            for key, difference in _both_ways(i, j, pair, float(low[i, j]), -float(low[j, i]))
        }


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """`first - second`, 0 where both are equal to rounding, so that it orders no pair."""
    return np.where(np.isclose(first, second, rtol=_ROUNDING, atol=0), 0.0, first - second)


def _both_ways(
    i: int, j: int, pair: Estimate, low: float, high: float
) -> list[tuple[tuple[int, int], Estimate]]:
    """`J(i) - J(j)` and `J(j) - J(i)`, whose interval other pairs may have narrowed.

    Args:
        i, j: The policies.
        pair: The mean of the differences.
        low, high: The ends.
    """
    low, high = min(low, pair.mean), max(high, pair.mean)
    return [
        ((i, j), Estimate(pair.mean, low, high, pair.n, pair.method)),
        ((j, i), Estimate(-pair.mean, -high, -low, pair.n, pair.method)),
    ]


def _arrays(
    side: str, names: Sequence[str], rewards: Sequence[ArrayLike] | np.ndarray
) -> list[np.ndarray]:
    arrays = [np.asarray(rows, np.float64) for rows in rewards]
    for name, rows in zip(names, arrays, strict=True):
        if rows.ndim != 2 or not rows.size:
            raise checks.BadData(
                f"the {side} rewards of {name} have shape {rows.shape}; [episode, time] is needed."
            )
        checks.finite(f"the {side} rewards of {name}", rows, "episode")
    return arrays


def _policy(
    name: str, real: np.ndarray, imagined: np.ndarray, level: float, sides: _Sides
) -> RankedPolicy:
    """A policy's own returns.

    Args:
        name: Of the policy.
        real, imagined: Its returns, `[episode]` and `[start]`.
        level: Of the interval of each.
        sides: How means are taken.
    """
    averaged = anytime_mean if sides.anytime else mean
    return RankedPolicy(
        name,
        averaged(real, level, widened_to(sides.bounds, real)),
        mean(imagined, level, widened_to(sides.bounds, imagined)),
    )


def _flips_at(names: Sequence[str], differences: _Differences, steps: int) -> HorizonFlips:
    """The pairs that certainly flip, by the `differences` of returns of the first `steps` steps."""
    flipped = [
        pair
        for pair in itertools.combinations(range(len(names)), 2)
        if differences.ordering(*pair) is Ordering.FLIPS
    ]
    example = tuple(names[k] for k in flipped[0]) if flipped else ()
    return HorizonFlips(steps, len(flipped), example)


def _safe(flips: Sequence[HorizonFlips], pairs: Sequence[PolicyPair]) -> int | None:
    """The safe horizon; None where no pair flips since none is decided."""
    if not any(at.flips for at in flips) and _counts(pairs).undecided == len(pairs):
        return None
    safe = itertools.takewhile(lambda at: not at.flips, flips)
    return max((at.steps for at in safe), default=0)


def _signs(pair: PolicyPair) -> int:
    """1 where both means have one sign, -1 where they have opposite ones, 0 where one is 0."""
    return int(np.sign(pair.real.mean) * np.sign(pair.imagined.mean))


class _Counts(NamedTuple):
    """How many pairs flip and agree for certain, and how many are open."""

    flips: int
    agree: int
    undecided: int


def _counts(pairs: Sequence[PolicyPair]) -> _Counts:
    orderings = [pair.ordering for pair in pairs]
    return _Counts(*map(orderings.count, (Ordering.FLIPS, Ordering.AGREES, Ordering.UNDECIDED)))


def _share_of_flips(pairs: Sequence[PolicyPair]) -> Estimate:
    """The share of pairs that flip, between certain flips and what is not certain to agree."""
    n, counts = len(pairs), _counts(pairs)
    center = sum(_signs(pair) < 0 for pair in pairs) / n
    ends = counts.flips / n, (counts.flips + counts.undecided) / n
    return Estimate(center, *ends, n, "share of pairs, the open ones as may be")


def _kendall(pairs: Sequence[PolicyPair]) -> Estimate:
    """Kendall's τ, pairs of equal returns counted as neither, between what open pairs may be."""
    n, counts = len(pairs), _counts(pairs)
    certain = counts.agree - counts.flips
    ends = (certain - counts.undecided) / n, (certain + counts.undecided) / n
    center = sum(map(_signs, pairs)) / n
    return Estimate(center, *ends, n, "τ, the open pairs as may be")


def _likely_best(imaginations: Sequence[np.ndarray]) -> tuple[int, ...]:
    """The policies whose imagined return is the largest, to rounding."""
    means = [float(np.mean(row)) for row in imaginations]
    return tuple(
        k for k, value in enumerate(means) if most_equal(np.array([value, max(means)])) == 2
    )


def _regret(likely: Sequence[int], real: dict[tuple[int, int], Estimate]) -> Estimate:
    """`max_i J(i) - J(k)`, between the largest lower and the largest upper ends, of whichever k
    imagination takes for the best.

    Args:
        likely: The policies that it may be.
        real: Differences of real returns.
    """
    rests = [[difference for (_, j), difference in real.items() if j == k] for k in likely]
    centers, lows, highs = (
        [max(0.0, *(getattr(difference, end) for difference in rest)) for rest in rests]
        for end in ("mean", "low", "high")
    )
    n = min(difference.n for rest in rests for difference in rest)
    which = "the chosen policy" if len(likely) == 1 else "any of the policies that tie"
    method = f"largest of the differences from {which}"
    return Estimate(float(np.mean(centers)), min(lows), max(highs), n, method)
