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
        mean: Mean return of the episodes that it collected, not discounted.
        least: Mean return of random actions, not discounted.
        astray: Whether the last policy did so badly that this one is kept while the world learns
            from the failure.
        last: Whether no purchase follows, which would show what the last training came to.
    """

    state: Any
    mean: float
    least: float
    astray: bool
    last: bool


def choose_training(imagined: Imagined, earlier: Earlier, key: PRNGKey) -> Imagined:
    """The training as it is, or with the state of an earlier round in its place.

    The earlier state takes its place where the last policy was astray; where the earlier policy has
    clearly the higher imagined return in this world; and at last where this world does not believe
    what the earlier policy brought, within half of what it brought above random actions: then no
    training in it is worth more than what was seen. (The real episodes were of actions drawn from
    the policy, and so are the imagined ones that this compares; the others are of its mode.)

    Args:
        imagined: Training by a learner of its own kind, in the present world.
        earlier: The best policy before.
        key: Randomness of the imagined episodes, the same for both policies.
    """
    now = imagined.own_prediction
    if now is None:
        return imagined
    policies = (now.learner.policy(earlier.state), imagined.policy)
    before, after = (_returns(policy.greedy(), now.problem, key) for policy in policies)
    difference = before - after
    error = jnp.std(difference) / jnp.sqrt(len(difference))
    clear = jnp.mean(difference) > _CLEAR * error
    gained = earlier.mean - earlier.least
    as_collected = _returns(policies[0], now.problem, key) if earlier.last else before
    disbelieved = abs(float(jnp.mean(as_collected)) - earlier.mean) > gained / 2 > 0
    if not (earlier.astray or clear or (earlier.last and disbelieved)):
        return imagined
    training, reason = imagined.training, StopReason.EARLIER
    return imagined._replace(
        policy=policies[0],
        own_prediction=LearnerPrediction(now.learner, earlier.state, now.problem),
        training=dataclasses.replace(
            training,
            imagined_return=(*training.imagined_return[:-1], float(jnp.mean(before))),
            stop=reason.sentence(training.stop_steps),
            stop_reason=reason,
        ),
    )


@eqx.filter_jit
def _returns(policy: Policy, problem: Problem, key: PRNGKey) -> Float[Array, " episode"]:
    """Returns of the policy from the initial states of an evaluation, not discounted."""
    states, keys = evaluation_starts(problem, key)
    states, keys = states[:EPISODES], keys[:EPISODES]
    world = problem.world
    episodes = unroll(world, policy, states, keys, world.spec.horizon)
    return returns(episodes.reward, 1.0)
