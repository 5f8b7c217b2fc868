"""The policy of an earlier round in the present world: training can lose what it had."""

from __future__ import annotations

import dataclasses
from typing import Any

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


def better_of(imagined: Imagined, earlier: Any, key: PRNGKey) -> Imagined:
    """The training as it is, or with the state of an earlier one in its place if that has clearly
    the higher imagined return in this world.

    Args:
        imagined: Training by a learner of its own kind, in the present world.
        earlier: That learner's state in an earlier round.
        key: Of the imagined episodes, which are the same for both.
    """
    now = imagined.own_prediction
    if now is None:
        return imagined
    policies = (now.learner.policy(earlier), imagined.policy)
    before, after = (_returns(policy, now.problem, key) for policy in policies)
    difference = before - after
    error = jnp.std(difference) / jnp.sqrt(len(difference))
    clear = jnp.mean(difference) > _CLEAR * error
    return given_back(imagined, earlier, key) if clear else imagined


def given_back(imagined: Imagined, earlier: Any, key: PRNGKey) -> Imagined:
    """The training with the state of an earlier round in place of its own, and that policy's
    imagined return at the end.

    Args:
        imagined, earlier, key: As for `better_of`.
    """
    now = imagined.own_prediction
    if now is None:
        return imagined
    policy, training = now.learner.policy(earlier), imagined.training
    mean, reason = float(jnp.mean(_returns(policy, now.problem, key))), StopReason.EARLIER
    return imagined._replace(
        policy=policy,
        own_prediction=LearnerPrediction(now.learner, earlier, now.problem),
        training=dataclasses.replace(
            training,
            imagined_return=(*training.imagined_return[:-1], mean),
            stop=reason.sentence(training.stop_steps),
            stop_reason=reason,
        ),
    )


@eqx.filter_jit
def _returns(policy: Policy, problem: Problem, key: PRNGKey) -> Float[Array, " episode"]:
    """Returns of the policy's mode from the initial states of an evaluation, not discounted."""
    states, keys = evaluation_starts(problem, key)
    states, keys = states[:EPISODES], keys[:EPISODES]
    world = problem.world
    episodes = unroll(world, policy.greedy(), states, keys, world.spec.horizon)
    return returns(episodes.reward, 1.0)
