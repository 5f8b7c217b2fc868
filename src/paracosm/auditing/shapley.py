"""The gap with its two errors put right in either order, where the real reward is known at imagined
states.

`J(f, r) - J(f̂, r̂)` goes by `J(f, r̂)` (the reward is put right last, at real states: the terms of
the attribution) or by `J(f̂, r)` (at imagined ones). The Shapley value of each error is the mean of
its two differences (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from paracosm.auditing.attribution import Terms
from paracosm.auditing.averages import averages
from paracosm.auditing.imagined_returns import ImaginedReturns
from paracosm.auditing.subject import AuditSubject
from paracosm.auditing.values import values
from paracosm.core.records import ShapleyValues
from paracosm.core.types import Action, Scalar, State


def shapley_values(
    subject: AuditSubject,
    terms: Terms,
    imagined: ImaginedReturns,
    reward: Callable[[State, Action, State], Scalar],
) -> ShapleyValues:
    """The reward's and the model's (dynamics and end rule) share of the gap at the reporting
    discount, each at real and at imagined states.

    Args:
        subject: What is audited.
        terms: The attribution, of the learned reward at real states, `[episode, time]`.
        imagined: The imagined episodes and their returns.
        reward: The real reward `(s, a, s') -> r`, which is computed at imagined states.
    """
    episodes = subject.episodes
    average = averages(
        subject.world,
        episodes,
        subject.predictions,
        imagined.episodes,
        discount=subject.discounts[0],
        reweighted=subject.importance is not None,
    )
    corrected = subject.reported_world.replace(reward=reward)
    start, key = np.asarray(episodes.state[:, 0]), jax.random.fold_in(subject.key, 5)
    paid = values(corrected, subject.played, start, episodes.horizons, key)
    reward_at_real_states = terms.reward.sum(axis=1)
    reward_at_imagined_states = paid - imagined.full
    model_by_learned_reward = (terms.termination + terms.dynamics).sum(axis=1)
    # Either order sums to the gap.
    model_by_real_reward = (
        reward_at_real_states + model_by_learned_reward - reward_at_imagined_states
    )
    return ShapleyValues(
        reward_at_real=average.mean_term(reward_at_real_states),
        reward_at_imagined=average.mean_term(reward_at_imagined_states),
        reward_shapley=average.mean_term((reward_at_real_states + reward_at_imagined_states) / 2),
        model_at_real=average.mean_term(model_by_real_reward),
        model_at_imagined=average.mean_term(model_by_learned_reward),
        model_shapley=average.mean_term((model_by_learned_reward + model_by_real_reward) / 2),
    )
