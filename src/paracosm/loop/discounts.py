"""The discount of training by the length of an episode and by what the first rewards tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from paracosm.core.data import Dataset
from paracosm.core.learned import known_rewards
from paracosm.core.records.discount import DiscountChoice, DiscountReason
from paracosm.imagination.exploration import rewards_are_uninformative

# For rollouts of a fixed length, which are some thirty steps long.
_DISCOUNT_OF_ROLLOUTS = 0.95
# A discount of 1 - 1/L looks about L steps ahead. Values of more steps are learned more slowly and
# carry more of a world's errors: a fifth of an episode, but what is a goal once in an episode, if
# at all, must be seen from farther off.
_SHARE, _SHARE_IF_SPARSE = 1 / 5, 1 / 4
_LEAST_STEPS, _MOST_STEPS = 100, 1000


def discount_choice(
    given: float | None,
    horizon: int,
    first: Dataset,
    *,
    rollout_steps: int | None,
    known_reward: Callable | None = None,
) -> DiscountChoice:
    """The discount of training: the one given, else 0.95 for rollouts of a fixed length, else
    `1 - 1/L`. L is a fifth of an episode, a quarter where nothing in the first purchase tells a
    good state from a bad one, and between 100 and 1,000 steps. A time limit ends no value: it
    counts as an episode's length alone.

    Args:
        given: The user's, None to choose one.
        horizon: Steps of an episode.
        first: The first purchase.
        rollout_steps: Steps of imagined rollouts of a fixed length, None of short rounds and
            planners.
        known_reward: What tells a good state from a bad one in place of the labels, None where the
            reward is learned.
    """
    if given is not None:
        return DiscountChoice(given, DiscountReason.GIVEN, horizon)
    if rollout_steps is not None:
        return DiscountChoice(_DISCOUNT_OF_ROLLOUTS, DiscountReason.ROLLOUTS, rollout_steps)
    if known_reward is None:
        rewards, action = np.asarray(first.labels.reward), first.labels.action
    else:
        transitions = first.transitions
        rewards, action = known_rewards(known_reward, transitions), transitions.action
    sparse = len(rewards) > 0 and rewards_are_uninformative(first, rewards, action)
    reason = DiscountReason.SPARSE if sparse else DiscountReason.LENGTH
    share = _SHARE_IF_SPARSE if sparse else _SHARE
    ahead = min(max(round(share * horizon), _LEAST_STEPS), _MOST_STEPS)
    return DiscountChoice(1 - 1 / ahead, reason, horizon)
