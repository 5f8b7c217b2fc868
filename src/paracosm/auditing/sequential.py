"""Real episodes bought one at a time, where they separate two policies, until an order is sure.

Episode i of every policy starts from the same seed, so that the differences of two policies'
returns by episode, `D_i = G_i(a) - G_i(b)`, are independent samples of `J(a) - J(b)`, whoever is
chosen to play when. `core/anytime.py` gives an interval of their mean that holds at every n at
once with probability `1 - α` of a pair. So whatever is bought, and whenever the buying stops, all
pairs are right together with probability `1 - (number of pairs) α`:

* the full order rests on all m (m - 1) / 2 pairs, each at the risk over their number. Bounds of two
  pairs add up, `J(a) - J(c) ≥ low(a, b) + low(b, c)`: neighbours suffice;
* the best alone rests on m - 1. To call b the best though i is, the interval of the pair (b, i)
  must be wrong, and only the m - 1 pairs of the best policy i, whichever it is, can be so wrong.
  Sums of bounds would rest on others, and are not used.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from paracosm.core import checks
from paracosm.core.anytime import anytime_mean

# Episodes of each policy before anything is decided: the t mixture is for near-normal differences,
# and means of ten are nearer to normal than single ones.
LEAST = 10
_MOST_EQUAL = 1_000_000  # episodes a policy that are counted for a design of equal numbers

Play = Callable[[int, int], float]


@dataclasses.dataclass
class _Buying:
    """Returns that were bought, and what they say of each pair.

    Attributes:
        play: As for `separate`.
        returns: `[policy, episode]`, of which `counts` `[policy]` are bought.
        low: Lower ends of `J(i) - J(j)`, `[policy, policy]`.
        level: Of the interval of a pair.
        bounds: Of a difference, where known.
        best, within: As for `separate`.
    """

    play: Play
    returns: np.ndarray
    counts: np.ndarray
    low: np.ndarray
    level: float
    bounds: tuple[float, float] | None
    best: bool
    within: float

    def buy(self, policy: int) -> None:
        """Buy the next episode of a policy, and compare it with those of its rivals."""
        number = self.counts[policy]
        if number == self.returns.shape[1]:
            self.returns = np.concatenate([self.returns, np.zeros_like(self.returns)], axis=1)
        self.returns[policy, number] = self.play(policy, int(number))
        self.counts[policy] += 1
        for rival in np.flatnonzero(self.counts > number).tolist():
            if rival != policy and not self._is_decided(policy, rival):
                self._compare(policy, rival, spared=self.within)

    def complete(self) -> None:
        """Compute the whole interval of each open pair: `buy` spares what cannot decide the pair,
        but sums along chains would rest on it.
        """
        for pair in itertools.combinations(range(len(self.counts)), 2):
            if not self._is_decided(*pair):
                self._compare(*pair)

    def _is_decided(self, policy: int, rival: int) -> bool:
        """Whether an interval of the pair has decided it already: intervals at all n hold
        together.
        """
        ends = self.low[policy, rival], self.low[rival, policy]
        return bool(max(ends) > 0 or min(ends) > -self.within)

    def _compare(self, policy: int, rival: int, *, spared: float | None = None) -> None:
        """Compute the interval of the difference of two policies, by `anytime_mean`."""
        rows = self.differences(policy, rival)
        difference = anytime_mean(rows, self.level, self.bounds, spared=spared)
        self.low[policy, rival], self.low[rival, policy] = difference.low, -difference.high

    def differences(self, policy: int, rival: int) -> np.ndarray:
        """The differences of the episodes that both policies have played."""
        n = min(self.counts[policy], self.counts[rival])
        return self.returns[policy, :n] - self.returns[rival, :n]

    def state(self) -> tuple[list[int], tuple[int, int] | None]:
        """The present order, and which two policies to tell apart next, None if all are."""
        low = self.low if self.best else added_up(self.low)
        means = [row[:n].mean() for row, n in zip(self.returns, self.counts, strict=True)]
        by_mean = np.argsort(-np.asarray(means), kind="stable").tolist()
        order = corrected_order(by_mean, lambda i, j: bool(low[i, j] > 0))
        unsure = [pair for pair in self._claims(order) if not low[pair] > -self.within]
        place = {policy: number for number, policy in enumerate(order)}

        def urgency(pair: tuple[int, int]) -> tuple[float, float]:
            better, worse = pair
            gap = low[pair] if self.best else place[worse] - place[better]
            return float(gap), int(self.counts[better] + self.counts[worse])

        return order, min(unsure, key=urgency, default=None)

    def _claims(self, order: Sequence[int]) -> list[tuple[int, int]]:
        """The pairs that an order claims to be so."""
        if self.best:
            return [(order[0], rival) for rival in order[1:]]
        return list(itertools.combinations(order, 2))


@dataclasses.dataclass(frozen=True)
class SeparatedPolicies:
    """What buying came to.

    Attributes:
        returns: By policy, `[episode]`.
        lower_ends: Lower ends of `J(i) - J(j)`, `[policy, policy]`, which hold together; None where
            only the best was told from the rest, whose intervals hold for its own pairs alone.
        order: The policies by their means, the best first, but for neighbours that are surely the
            other way round.
        sure: Whether the order, or its first place if only the best counts, is sure.
        equal: How many episodes of each a design of equal numbers would need, None where the
            differences cannot tell.
    """

    returns: tuple[np.ndarray, ...]
    lower_ends: np.ndarray | None
    order: tuple[int, ...]
    sure: bool
    equal: int | None


def separate(
    play: Play,
    policies: int,
    *,
    most: int,
    best: bool = False,
    within: float = 0.0,
    risk: float = 0.05,
    least: int = LEAST,
    bounds: tuple[float, float] | None = None,
) -> SeparatedPolicies:
    """Buy real episodes until the order of the policies is sure, or `most` are bought.

    Each next episode is of the pair of policies nearest to one another in the present order among
    those that are open, of several that with the fewest episodes; where only the best counts, of
    the present best and the rival that may be the most better. Of the pair that one plays that has
    played fewer.

    Args:
        play: Plays episode i of policy k, `play(k, i)`, and gives its return; episodes i of all
            policies start alike.
        policies: How many there are.
        most: Episodes of all policies together, at the most.
        best: Whether the best alone is to be told from the rest, else the whole order.
        within: Returns that differ by no more need not be told apart.
        risk: That what is called sure is wrong: that a policy stands above another that is better
            by more than `within`.
        least: Episodes of every policy before anything is decided.
        bounds: The least and the most that a return can be, where rare episodes may decide.

    Raises:
        BadArgument: fewer than two policies, or counts, tolerance or risk out of range.
    """
    _check(policies, most, least, within, risk)
    pairs = policies - 1 if best else policies * (policies - 1) // 2
    span = None if bounds is None else bounds[1] - bounds[0]
    first = np.array([[play(k, i) for i in range(least)] for k in range(policies)])
    low = np.full((policies, policies), -math.inf)
    np.fill_diagonal(low, 0)
    buying = _Buying(
        play=play,
        returns=first,
        counts=np.full(policies, least),
        low=low,
        level=1 - risk / pairs,
        bounds=None if span is None else (-span, span),
        best=best,
        within=within,
    )
    buying.complete()
    order, pair = buying.state()
    while pair is not None and buying.counts.sum() < most:
        buying.buy(min(pair, key=lambda policy: buying.counts[policy]))
        order, pair = buying.state()
        if pair is None or buying.counts.sum() == most:
            buying.complete()
            order, pair = buying.state()
    rests_on = [(order[0], k) for k in order[1:]] if best else itertools.pairwise(order)
    differences = [buying.differences(*two) for two in rests_on]
    equal = equal_episodes(differences, within, risk / pairs)
    return SeparatedPolicies(
        returns=tuple(row[:n] for row, n in zip(buying.returns, buying.counts, strict=True)),
        lower_ends=None if best else buying.low,
        order=tuple(order),
        sure=pair is None,
        equal=None if equal is None else max(equal, least),
    )


def _check(policies: int, most: int, least: int, within: float, risk: float) -> None:
    """Refuse counts, a tolerance or a risk that are out of range.

    Args:
        policies, most, least, within, risk: As for `separate`.
    """
    checks.at_least("the number of policies", policies, 2)
    checks.count("the least episodes of a policy", least, 2)
    checks.count("the most episodes of all policies", most)
    checks.at_least("the most episodes of all policies", most, least * policies)
    checks.at_least("within", within, 0)
    checks.between("risk", risk, 1e-12, 0.5)


def corrected_order(order: Sequence[int], surely_above: Callable[[int, int], bool]) -> list[int]:
    """The order with neighbours exchanged that are surely the other way round: means of different
    episodes may have misplaced them.
    """
    corrected = list(order)
    for _ in corrected:
        for i in range(len(corrected) - 1):
            above, below = corrected[i : i + 2]
            if surely_above(below, above):
                corrected[i : i + 2] = below, above
    return corrected


def added_up(low: np.ndarray) -> np.ndarray:
    """Lower ends of `J(i) - J(j)` `[policy, policy]` with those that sums along chains of pairs
    give (Floyd & Warshall); unchanged where they contradict one another.
    """
    sums = low.copy()
    for middle in range(len(low)):
        np.maximum(sums, sums[:, middle, None] + sums[None, middle, :], out=sums)
    return low if (np.diagonal(sums) > 0).any() else sums


def equal_episodes(differences: Sequence[np.ndarray], within: float, risk: float) -> int | None:
    """How many episodes of every policy a design of equal numbers needs: the least n at which
    Student's interval decides every one of these pairs, if the differences go on as they are.

    Args:
        differences: Of each pair that must be told apart, `[n]`, the better minus the worse.
        within: Pairs need not be told apart if they surely differ by no more.
        risk: Of each pair's interval.

    Returns:
        None where a pair's differences do not vary, or are no better than its tolerance.
    """
    counts = [_equal_episodes(row, within, risk) for row in differences]
    possible = [count for count in counts if count is not None]
    return max(possible) if len(possible) == len(counts) else None


def _equal_episodes(differences: np.ndarray, within: float, risk: float) -> int | None:
    margin, spread = float(np.mean(differences)) + within, float(np.std(differences, ddof=1))
    if not (spread > 0 and margin > 0):
        return None
    least, most = 2, _MOST_EQUAL
    while least < most:
        n = (least + most) // 2
        decides = margin * math.sqrt(n) > spread * float(special.stdtrit(n - 1, 1 - risk / 2))
        least, most = (least, n) if decides else (n + 1, most)
    return None if least == _MOST_EQUAL else least
