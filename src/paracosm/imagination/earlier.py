"""The policy of an earlier round in the present world: training can lose what it had."""

from __future__ import annotations

import dataclasses
import math
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
        by_mode: Whether its mode collected them, rather than its sampled actions.
        random_return: Mean return of random actions, not discounted.
        usual_gap: Mean of real minus imagined return, of the policies of the last rounds; infinite
            where too few are known.
        last_policy_failed: Whether the last policy did so badly that this one is kept while the
            world learns from the failure.
        final_round: Whether no purchase follows, which would show what the last training came to.
    """

    state: Any
    real_return: float
    by_mode: bool
    random_return: float
    usual_gap: float
    last_policy_failed: bool
    final_round: bool


def choose_training(imagined: Imagined, earlier: Earlier, key: PRNGKey) -> Imagined:
    """The training as it is, or with the state of an earlier round in its place.

    The earlier state is taken if the last policy failed, or if its imagined return here is clearly
    higher. In the final round it is also taken if what was seen of it is worth more than what this
    training promises; see `_is_preferred`.

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
    as_collected = before if earlier.by_mode else _returns(earlier_policy, now.problem, key)
    preferred = earlier.final_round and _is_preferred(
        earlier,
        imagined_return=float(jnp.mean(before)),
        as_collected=float(jnp.mean(as_collected)),
        promised=float(jnp.mean(after)),
    )
    if not (earlier.last_policy_failed or _is_clearly_higher(before, after) or preferred):
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


def _is_preferred(
    earlier: Earlier, *, imagined_return: float, as_collected: float, promised: float
) -> bool:
    """Whether what was seen of the earlier policy is worth more than the last training promises.

    Such promises have been off by the usual gap. With it the last policy is compared with what is
    sure of the earlier one: the lower of its real and its imagined return, since the episodes seen
    may have had lucky starts. A world that gives the earlier policy far less than it really brought
    (by more than half of its gain over random actions) cannot tell what a training is worth; nor,
    where the usual gap is not known, one that gives it far more.

    Args:
        earlier: The best policy before.
        imagined_return: Of its mode, in the present world.
        as_collected: The same, of actions chosen as when it collected.
        promised: The imagined return of the last policy's mode.
    """
    gained = earlier.real_return - earlier.random_return
    excess = as_collected - earlier.real_return
    if gained > 0 and abs(excess) > gained / 2 and (excess < 0 or math.isinf(earlier.usual_gap)):
        return True
    return min(imagined_return, earlier.real_return) > promised + earlier.usual_gap


@eqx.filter_jit
def _returns(policy: Policy, problem: Problem, key: PRNGKey) -> Float[Array, " episode"]:
    """Returns of the policy from the initial states of an evaluation, not discounted."""
    states, keys = evaluation_starts(problem, key)
    states, keys = states[:EPISODES], keys[:EPISODES]
    world = problem.world
    episodes = unroll(world, policy, states, keys, world.spec.horizon)
    return returns(episodes.reward, 1.0)
