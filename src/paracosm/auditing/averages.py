"""Means over episodes with intervals that know what a return, and so a term of the gap, can be.

Most returns vary from episode to episode, and what they vary by says how sure a mean is. Where half of the
real returns are near one another (nothing was paid but a control cost, every step was survived), they do not, and
the rare other episode decides. How far one rare event takes a return is known from those seen, from the usual return
and one more of the known rewards, and, where episodes can end, from one that ends at its first step. Half of the
returns within 5% of that range are near one another and get a betting interval: in that range, or, where no episode
ends, so that a payment may be repeated at every step, in all that the rewards allow. So does a term, the difference of
two returns, of which half are within 2%, in the range of their differences. Where returns vary more, their interval
is cut at what the known rewards allow in as many steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from paracosm.auditing.onestep import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.estimators import bounded_mean, concentrated, mean, most_equal, varied_mean
from paracosm.core.mdp import MDP, never
from paracosm.core.records import Estimate

_NEAR_TERM = 0.02  # of the range of returns; less than for returns, since all terms of a world nearly right are small


class Span(NamedTuple):
    """Where returns lie: those that one rare reward or end makes of what was seen, and all that the rewards allow.

    `reach` is how far rare episodes go: to what one event makes, or, where no payment ends an episode so that it may
    be repeated at every step, to what the rewards allow.
    """

    rare: tuple[float, float]
    reach: tuple[float, float]
    outer: tuple[float, float]

    @property
    def width(self) -> float:
        return self.rare[1] - self.rare[0]


class Averages(NamedTuple):
    """How returns and terms of one set of episodes are averaged, at one discount.

    `sparse` says that rare episodes decide the real return. `real` is what real returns can be, `both` what real and
    imagined ones can, of no width where nothing is known; where episodes are reweighted they say nothing.
    `reward_error` is the most that one-step reward errors sum to. `ends_known` says that the end rule was right where
    it could be wrong: an end was recorded and all are predicted, or no episode can end in either world.
    """

    sparse: bool
    real: Span
    both: Span
    reward_error: float
    ends_known: bool
    never_ends: bool
    reweighted: bool = False

    def value(self, returns: ArrayLike, *, imagined: bool = False) -> Estimate:
        """The mean of returns `[episode]`: in the range that rare ones reach where half are near one another."""
        returns = np.asarray(returns, np.float64)
        if self.reweighted:
            return mean(returns)
        span = self.both if imagined or not self.real.width else self.real
        reach = _around(span.reach, returns)
        if len(returns) > 1 and reach[0] < reach[1] and concentrated(returns, *_around(span.rare, returns)):
            return bounded_mean(returns, reach)
        return varied_mean(returns, bounds=_around(span.outer, returns) if span.width else None)

    def term(self, differences: ArrayLike, cause: str = "") -> Estimate:
        """The mean of differences of returns `[episode]`, those that `cause` makes where it is named; "total": all.

        Where returns vary, a reward or dynamics term that is the same in every episode is taken for a constant: an
        exact part of the world has the term 0. An end rule has none where no episode can end, or where it was right
        about ends that were seen; else, and for the total, what so few episodes cannot exclude.
        """
        differences = np.asarray(differences, np.float64)
        if _constant(differences) and self._certain(cause):
            return _as_constant(differences)
        if self.reweighted:
            return mean(differences)
        width = self.both.reach[1] - self.both.reach[0]
        width = min(width, self.reward_error) if cause == "reward" else width
        low, high = _around((-width, width), differences)
        if low == high:
            return mean(differences) if not self.both.width else _as_constant(differences)
        if _constant(differences) or (self.sparse and concentrated(differences, 0, self.both.width, _NEAR_TERM)):
            return bounded_mean(differences, (low, high)) if len(differences) > 1 else mean(differences)
        return varied_mean(differences, bounds=self._of_total(differences) if cause == "total" else None)

    def _certain(self, cause: str) -> bool:
        if self.reweighted:
            return True
        if cause in ("termination", "total") and not self.ends_known:
            return False
        return (cause == "termination" and self.never_ends) or not self.sparse

    def _of_total(self, differences: np.ndarray) -> tuple[float, float]:
        reach = self.both.outer[1] - self.both.outer[0]
        return _around((-reach, reach), differences)


def averages(
    world: MDP,
    episodes: Trajectory,
    asked: OneStep,
    imagined: Trajectory,
    *,
    discount: float,
    rewards: tuple[float, ...] = (),
    reweighted: bool = False,
) -> Averages:
    """How to average what is known of these episodes.

    Args:
        world: The learned world.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        asked: The world asked at each of their steps.
        imagined: Episodes of the learned world from the same starts.
        discount: At which returns are added up.
        rewards: Rewards that are known beside those of the episodes.
        reweighted: Whether the episodes stand for another policy's: weighted returns have no known range.
    """
    discounts = discount ** np.arange(episodes.alive.shape[1])
    steps = float(discounts.sum())
    real, dreamt = (np.asarray(each.reward) @ discounts for each in (episodes, imagined))
    alive, ended = np.asarray(episodes.alive), np.asarray(episodes.terminated)
    predicted = np.asarray(asked.real.ended)
    paid = np.concatenate([np.asarray(episodes.reward)[alive], rewards])
    learned = [np.asarray(asked.real.reward)[alive], np.asarray(imagined.reward)[np.asarray(imagined.alive)]]
    every = np.concatenate([paid, *learned])
    never_ends = world.termination is never and not (ended & alive).any()
    of_real = _span(real, paid, steps, can_end=not never_ends)
    of_both = _span(np.concatenate([real, dreamt]), every, steps, can_end=not never_ends)
    where = of_real if of_real.width else of_both
    return Averages(
        sparse=not reweighted and len(real) > 1 and (not where.width or concentrated(real, *where.rare)),
        real=of_real,
        both=of_both,
        reward_error=float(np.ptp(every)) * steps,
        ends_known=never_ends or bool((ended & alive).any() and np.array_equal(predicted & alive, ended & alive)),
        never_ends=never_ends,
        reweighted=reweighted,
    )


def _span(returns: np.ndarray, paid: np.ndarray, steps: float, *, can_end: bool) -> Span:
    """Of returns `[episode]` of rewards `paid`, `[…]`, in at most so many steps (discounted)."""
    least, most = float(np.min(paid)), float(np.max(paid))
    outer = min(least, 0.0, steps * least), max(most, 0.0, steps * most)
    usual = float(np.median(returns))
    low = min(float(np.min(returns)), usual + min(least, 0.0))
    high = max(float(np.max(returns)), usual + max(most, 0.0))
    if can_end:
        low, high = min(low, least, 0.0), max(high, most, 0.0)
    rare = max(low, outer[0]), min(high, outer[1])
    return Span(rare, outer if rare[0] < rare[1] and not can_end else rare, outer)


def _around(span: tuple[float, float], samples: np.ndarray) -> tuple[float, float]:
    return min(span[0], float(np.min(samples))), max(span[1], float(np.max(samples)))


def _as_constant(samples: np.ndarray) -> Estimate:
    center, n = float(np.mean(samples)), len(samples)
    return Estimate(center, center, center, n, f"the same in all {n} episodes: taken for a constant")


def _constant(samples: np.ndarray) -> bool:
    return most_equal(samples) == len(samples) > 1
