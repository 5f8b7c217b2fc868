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
        """The next episode of a policy."""
        number = self.counts[policy]
        if number == self.returns.shape[1]:
            self.returns = np.concatenate([self.returns, np.zeros_like(self.returns)], axis=1)
        self.returns[policy, number] = self.play(policy, int(number))
        self.counts[policy] += 1
        for rival in np.flatnonzero(self.counts > number).tolist():
            if rival != policy and not self._told(policy, rival):
                self._compare(policy, rival, spared=self.within)

    def complete(self) -> None:
        """The whole interval of each pair that is open: `buy` spares what cannot tell the pair, but
        sums along chains would rest on it.
        """
        for two in itertools.combinations(range(len(self.counts)), 2):
            if not self._told(*two):
                self._compare(*two)

    def _told(self, policy: int, rival: int) -> bool:
        """Whether the interval of a pair has told it already: intervals at all n hold together."""
        ends = self.low[policy, rival], self.low[rival, policy]
        return bool(max(ends) > 0 or min(ends) > -self.within)

    def _compare(self, policy: int, rival: int, *, spared: float | None = None) -> None:
        """Look at the difference of two policies, by `anytime_mean`."""
        rows = self.differences(policy, rival)
        difference = anytime_mean(rows, self.level, self.bounds, spared=spared)
        self.low[policy, rival], self.low[rival, policy] = difference.low, -difference.high

    def differences(self, policy: int, rival: int) -> np.ndarray:
        """Of the episodes that both have played."""
        n = min(self.counts[policy], self.counts[rival])
        return self.returns[policy, :n] - self.returns[rival, :n]

    def order(self, low: np.ndarray) -> list[int]:
        """The policies by their means, but neighbours that are surely the other way round."""
        means = [row[:n].mean() for row, n in zip(self.returns, self.counts, strict=True)]
        order = np.argsort(-np.asarray(means), kind="stable").tolist()
        for _ in order:
            for i in range(len(order) - 1):
                if low[order[i + 1], order[i]] > 0:
                    order[i], order[i + 1] = order[i + 1], order[i]
        return order

    def state(self) -> tuple[list[int], tuple[int, int] | None]:
        """The present order, and which two policies to tell apart next, None if all are."""
        low = self.low if self.best else added_up(self.low)
        order = self.order(low)
        unsure = [pair for pair in self._places(order) if not low[pair] > -self.within]
        place = {policy: number for number, policy in enumerate(order)}

        def urgency(pair: tuple[int, int]) -> tuple[float, float]:
            better, worse = pair
            gap = low[pair] if self.best else place[worse] - place[better]
            return float(gap), int(self.counts[better] + self.counts[worse])

        return order, min(unsure, key=urgency, default=None)

    def _places(self, order: Sequence[int]) -> list[tuple[int, int]]:
        """The pairs that an order claims to be so."""
        if self.best:
            return [(order[0], rival) for rival in order[1:]]
        return list(itertools.combinations(order, 2))


@dataclasses.dataclass(frozen=True)
class SeparatedPolicies:
    """What buying came to.

    Attributes:
        returns: By policy, `[episode]`.
        low: Lower ends of `J(i) - J(j)`, `[policy, policy]`, which hold together; of the best alone
            none do.
        order: The policies from the best on.
        sure: Whether that is sure.
        equal: How many episodes of each a design of equal numbers would need, None where the
            differences cannot tell.
    """

    returns: tuple[np.ndarray, ...]
    low: np.ndarray
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
        play,
        first,
        np.full(policies, least),
        low.copy(),
        1 - risk / pairs,
        None if span is None else (-span, span),
        best,
        within,
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
    told = [buying.differences(*two) for two in rests_on]
    returns = tuple(row[:n] for row, n in zip(buying.returns, buying.counts, strict=True))
    equal = equal_episodes(told, within, risk / pairs)
    equal = None if equal is None else max(equal, least)
    together = low if best else buying.low
    return SeparatedPolicies(returns, together, tuple(order), pair is None, equal)


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
    Student's interval of every one of these pairs tells it, if the differences go on as they are.

    Args:
        differences: Of each pair that must be told, `[n]`, the better minus the worse.
        within: Pairs are told if they surely differ by no more.
        risk: Of each pair's interval.

    Returns:
        None where a pair's differences do not vary, or are no better than its tolerance.
    """
    counts = [_equal_episodes(row, within, risk) for row in differences]
    known = [count for count in counts if count is not None]
    return max(known) if len(known) == len(counts) else None


def _equal_episodes(differences: np.ndarray, within: float, risk: float) -> int | None:
    margin, spread = float(np.mean(differences)) + within, float(np.std(differences, ddof=1))
    if not (spread > 0 and margin > 0):
        return None
    least, most = 2, _MOST_EQUAL
    while least < most:
        n = (least + most) // 2
        told = margin * math.sqrt(n) > spread * float(special.stdtrit(n - 1, 1 - risk / 2))
        least, most = (least, n) if told else (n + 1, most)
    return None if least == _MOST_EQUAL else least
