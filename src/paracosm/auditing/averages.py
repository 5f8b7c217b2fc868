"""Means over episodes with intervals that know what a return, and so a term of the gap, can be.

Most returns vary from episode to episode, and what they vary by says how sure a mean is. Where half of the real
returns or more are one value (nothing was paid, every step was survived), they do not, and the rare other episode
decides. There a return is taken to lie in the range of those seen, real and imagined, 0 included, and a term, the
difference of two returns, in the range of their differences; a return may be one of the known rewards, whether or not
an episode with it was seen. What is nearly the same in most episodes then gets a betting interval in that range.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from paracosm.auditing.onestep import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.estimators import bounded_mean, mean, most_equal
from paracosm.core.mdp import MDP, never
from paracosm.core.records import Estimate

_NEAR = 0.01  # of the range of returns: samples this near their median do not tell how far others may be


class Averages(NamedTuple):
    """How returns and terms of one set of episodes are averaged, at one discount.

    `sparse` says that half of the real returns or more are one value. `low` to `high` is the range of a return, of no
    width where nothing is known, and `reward_error` the most that one-step reward errors sum to. `ends` says whether
    an episode can end in either world.
    """

    sparse: bool
    low: float
    high: float
    reward_error: float
    ends: bool

    def value(self, returns: ArrayLike) -> Estimate:
        """The mean of returns `[episode]`; where all are one value, what so few cannot exclude of the range."""
        returns = np.asarray(returns, np.float64)
        if _constant(returns) and self.low < self.high:
            low, high = min(self.low, returns[0]), max(self.high, returns[0])
            return bounded_mean(returns, (float(low), float(high)))
        return self._mean(returns, self.low, self.high)

    def term(self, differences: ArrayLike, cause: str = "") -> Estimate:
        """The mean of differences of returns `[episode]`, those that `cause` makes where it is named.

        Where returns vary, a term that is the same in every episode is taken for a constant: an exact part of the
        world has the term 0. An end rule has none where no episode can end.
        """
        differences = np.asarray(differences, np.float64)
        if (not self.sparse or (cause == "termination" and not self.ends)) and _constant(differences):
            return _certain(differences)
        width = self.high - self.low
        width = min(width, self.reward_error) if cause == "reward" else width
        return self._mean(differences, -width, width)

    def _mean(self, samples: np.ndarray, low: float, high: float) -> Estimate:
        """Betting in the range where most samples are alike; else what they vary by says enough."""
        if not self.sparse or self.low == self.high:
            return mean(samples)
        low, high = min(low, float(np.min(samples))), max(high, float(np.max(samples)))
        if low == high:
            return _certain(samples)
        near = np.abs(samples - np.median(samples)) <= _NEAR * (self.high - self.low)
        return bounded_mean(samples, (low, high)) if 2 * near.sum() >= len(samples) else mean(samples)


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
    real, dreamt = (np.asarray(each.reward) @ discounts for each in (episodes, imagined))
    alive = np.asarray(episodes.alive)
    paid = [np.asarray(column)[alive] for column in (episodes.reward, asked.real.reward)]
    paid = np.concatenate([*paid, np.asarray(imagined.reward)[np.asarray(imagined.alive)], rewards])
    possible = np.concatenate([[0.0], real, dreamt, paid])
    return Averages(
        sparse=not reweighted and 2 * most_equal(real) >= len(real) > 1,
        low=float(np.min(possible)),
        high=float(np.max(possible)),
        reward_error=float(np.ptp(paid)) * float(discounts.sum()),
        ends=world.termination is not never or bool(np.any(episodes.terminated)),
    )


def _certain(samples: np.ndarray) -> Estimate:
    center, n = float(np.mean(samples)), len(samples)
    return Estimate(center, center, center, n, f"the same in all {n} episodes: taken for a constant")


def _constant(samples: np.ndarray) -> bool:
    return most_equal(samples) == len(samples) > 1
