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
# A share of what the best policy gained over random actions: where starts are alike, errors are 0,
# and of policies that are as good the later one learned from more.
_LEAST_GAIN = 0.01


class BestPolicy(NamedTuple):
    """The policy of the rounds before whose sampled actions collected the best purchases.

    Attributes:
        real_return: Mean return of the episodes in its purchases, not discounted.
        purchases: How many these are.
        state: Of its learner.
    """

    real_return: float
    purchases: int
    state: Any


class Earlier(NamedTuple):
    """What speaks for the best policy before, rather than the one that was trained last.

    Attributes:
        best: The best policy before.
        random_return: Mean return of random actions, not discounted.
        usual_gap: Median of real minus imagined return, of the policies of the last rounds;
            infinite where too few are known.
        last_policy_failed: Whether the last policy did so badly that this one is kept while the
            world learns from the failure.
        final_round: Whether no purchase follows, which would show what the last training came to.
    """

    best: BestPolicy
    random_return: float
    usual_gap: float
    last_policy_failed: bool
    final_round: bool


def choose_training(imagined: Imagined, earlier: Earlier, key: PRNGKey) -> Imagined:
    """The training as it is, or with the state of an earlier round in its place.

    The earlier state is taken if the last policy failed, or if the imagined return of its mode here
    is clearly higher. In the final round it is also taken if what was seen of it is worth more than
    what this training promises, both by sampled actions, as purchases are; see `_is_preferred`.

    Args:
        imagined: Training by a learner of its own kind, in the present world.
        earlier: The best policy before.
        key: Randomness of the imagined episodes, the same for both policies.
    """
    now = imagined.own_prediction
    if now is None:
        return imagined
    best, problem = earlier.best, now.problem
    best_policy = now.learner.policy(best.state)
    best_returns = _returns(best_policy.greedy(), problem, key)
    last_returns = _returns(imagined.policy.greedy(), problem, key)
    preferred = earlier.final_round and _is_preferred(
        earlier,
        imagined_return=float(jnp.mean(_returns(best_policy, problem, key))),
        promised=float(jnp.mean(_returns(imagined.policy, problem, key))),
    )
    least = least_gain(best.real_return, earlier.random_return)
    clearly_higher = _is_clearly_higher(best_returns, last_returns, least)
    if not (earlier.last_policy_failed or clearly_higher or preferred):
        return imagined
    training, reason = imagined.training, StopReason.EARLIER
    return imagined._replace(
        policy=best_policy,
        own_prediction=LearnerPrediction(now.learner, best.state, problem),
        training=dataclasses.replace(
            training,
            imagined_return=(*training.imagined_return[:-1], float(jnp.mean(best_returns))),
            stop=reason.sentence(training.stop_steps),
            stop_reason=reason,
            kept_step=None,
        ),
    )


def least_gain(real_return: float, random_return: float) -> float:
    """How much more than a return counts as more: a hundredth of its gain over random actions, 0
    where it has none or that of random actions is not known.
    """
    return max(0.0, _LEAST_GAIN * (real_return - random_return))


def _is_clearly_higher(returns: Array, others: Array, least: float) -> bool:
    """Whether returns exceed others of the same episodes, `[episode]`, by more than chance explains
    and by at least so much.
    """
    difference = returns - others
    error = float(jnp.std(difference)) / math.sqrt(len(difference))
    return float(jnp.mean(difference)) > max(_CLEAR * error, least)


def _is_preferred(earlier: Earlier, *, imagined_return: float, promised: float) -> bool:
    """Whether to keep the best policy before in the final round.

    The policy is kept if this world cannot tell what a training is worth: it imagines the policy to
    bring far less than it really did (by more than half of its gain over random actions), or far
    more while the usual gap is not known. Else the last policy's imagined return plus the usual gap
    is compared with the lower of the best one's real and imagined return, since the real episodes
    may have had lucky starts; the best one is kept if it has more by `least_gain`.

    Args:
        earlier: The best policy before.
        imagined_return: Of its sampled actions, in the present world.
        promised: The same of the last policy.
    """
    real_return = earlier.best.real_return
    gained, excess = real_return - earlier.random_return, imagined_return - real_return
    if gained > 0:
        far_more_by_unknown = excess > gained / 2 and math.isinf(earlier.usual_gap)
        if excess < -gained / 2 or far_more_by_unknown:
            return True
    least = least_gain(real_return, earlier.random_return)
    return min(imagined_return, real_return) > promised + earlier.usual_gap + least


@eqx.filter_jit
def _returns(policy: Policy, problem: Problem, key: PRNGKey) -> Float[Array, " episode"]:
    """Returns of the policy from the initial states of an evaluation, not discounted."""
    states, keys = evaluation_starts(problem, key)
    states, keys = states[:EPISODES], keys[:EPISODES]
    world = problem.world
    episodes = unroll(world, policy, states, keys, world.spec.horizon)
    return returns(episodes.reward, 1.0)
