"""The policy of an earlier round in the present world: training can lose what it had."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.learner import LearnerPrediction, Problem
from paracosm.core.policy import Policy
from paracosm.core.records.stop_reason import StopReason
from paracosm.core.rollout import returns, unroll
from paracosm.core.types import Array, PRNGKey
from paracosm.imagination.evaluation import EPISODES, evaluation_starts
from paracosm.imagination.imagine import Imagined

# Standard errors of the mean difference: of 20 rounds chance passes it in one of two thousand runs.
_CLEAR = 4.0


class Earlier(NamedTuple):
    """The best policy of the rounds before, in the real world.

    Attributes:
        state: The state of its learner.
        real_return: Mean return of the episodes that it collected, not discounted.
        random_return: Mean return of random actions, not discounted.
        last_policy_failed: Whether the last policy did so badly that this one is kept while the
            world learns from the failure.
        final_round: Whether no purchase follows, which would show what the last training came to.
    """

    state: Any
    real_return: float
    random_return: float
    last_policy_failed: bool
    final_round: bool


def choose_training(imagined: Imagined, earlier: Earlier, key: PRNGKey) -> Imagined:
    """The training as it is, or with the state of an earlier round in its place.

    The earlier state is taken if the last policy failed; if its imagined return here is clearly
    higher; or, in the final round, if its imagined return here misses its real one by more than
    half of its gain over random actions: then no training in this world is worth more than what was
    seen. (The real episodes were of actions drawn from the policy, and so are the imagined ones
    that this compares; the others are of its mode.)

    Args:
        imagined: Training by a learner of its own kind, in the present world.
        earlier: The best policy before.
        key: Randomness of the imagined episodes, the same for both policies.
    """
    now = imagined.own_prediction
    if now is None:
        return imagined
    earlier_policy = now.learner.policy(earlier.state)
    before = _returns(earlier_policy.greedy(), now.problem, key)
    after = _returns(imagined.policy.greedy(), now.problem, key)
    denied = earlier.final_round and _is_denied(earlier, earlier_policy, now.problem, key)
    if not (earlier.last_policy_failed or _is_clearly_higher(before, after) or denied):
        return imagined
    training, reason = imagined.training, StopReason.EARLIER
    return imagined._replace(
        policy=earlier_policy,
        own_prediction=LearnerPrediction(now.learner, earlier.state, now.problem),
        training=dataclasses.replace(
            training,
            imagined_return=(*training.imagined_return[:-1], float(jnp.mean(before))),
            stop=reason.sentence(training.stop_steps),
            stop_reason=reason,
        ),
    )


def _is_clearly_higher(before: Array, after: Array) -> bool:
    """Whether returns `before` exceed those `after`, `[episode]`, by more than chance explains."""
    difference = before - after
    error = jnp.std(difference) / jnp.sqrt(len(difference))
    return bool(jnp.mean(difference) > _CLEAR * error)


def _is_denied(earlier: Earlier, policy: Policy, problem: Problem, key: PRNGKey) -> bool:
    """Whether this world gives the earlier policy another return than it really had, by more than
    half of its gain over random actions; never if it gained nothing.

    Args:
        earlier: The best policy before.
        policy: That policy, whose actions are drawn as in its real episodes.
        problem: Says where it is imagined.
        key: Randomness of the imagined episodes.
    """
    gained = earlier.real_return - earlier.random_return
    imagined_mean = float(jnp.mean(_returns(policy, problem, key)))
    return gained > 0 and abs(imagined_mean - earlier.real_return) > gained / 2


@eqx.filter_jit
def _returns(policy: Policy, problem: Problem, key: PRNGKey) -> Float[Array, " episode"]:
    """Returns of the policy from the initial states of an evaluation, not discounted."""
    states, keys = evaluation_starts(problem, key)
    states, keys = states[:EPISODES], keys[:EPISODES]
    world = problem.world
    episodes = unroll(world, policy, states, keys, world.spec.horizon)
    return returns(episodes.reward, 1.0)
