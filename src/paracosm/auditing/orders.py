"""The gap with its two errors put right in either order, where the real reward can be asked at
imagined states.

`J(f, r) - J(f̂, r̂)` goes by `J(f, r̂)` (the reward is put right last, at real states) or by `J(f̂,
r)` (at imagined ones). The Shapley value of each error is the mean of its two differences (theory,
section 2; Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from paracosm.auditing.attribution import Terms, steps_of
from paracosm.auditing.averages import Averages
from paracosm.auditing.dreams import Dreams
from paracosm.auditing.values import values
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.records import Orders
from paracosm.core.types import Action, PRNGKey, Scalar, State


def both_orders(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    terms: Terms,
    dreams: Dreams,
    *,
    reward: Callable[[State, Action, State], Scalar],
    average: Averages,
    key: PRNGKey,
) -> Orders:
    """The reward's and the model's (dynamics and end rule) share of the gap, each at real and at
    imagined states.

    Args:
        world, policy, episodes: What is audited.
        terms: The attribution, which asks the learned reward at real states.
        dreams: The imagined episodes.
        reward: The real reward, which is asked at imagined states.
        average: How terms are averaged over episodes.
        key: Of the rollouts' noise.
    """
    corrected = world.replace(reward=reward)
    start = np.asarray(episodes.state[:, 0])
    paid = values(corrected, policy, start, steps_of(episodes), jax.random.fold_in(key, 5))
    at_real = {
        "reward": terms.reward.sum(axis=1),
        "model": (terms.termination + terms.dynamics).sum(axis=1),
    }
    at_imagined = {"reward": paid - dreams.full}
    at_imagined["model"] = at_real["reward"] + at_real["model"] - at_imagined["reward"]
    return Orders(
        reward_at_real=average.term(at_real["reward"]),
        reward_at_imagined=average.term(at_imagined["reward"]),
        reward_shapley=average.term((at_real["reward"] + at_imagined["reward"]) / 2),
        model_at_real=average.term(at_imagined["model"]),
        model_at_imagined=average.term(at_real["model"]),
        model_shapley=average.term((at_real["model"] + at_imagined["model"]) / 2),
    )
