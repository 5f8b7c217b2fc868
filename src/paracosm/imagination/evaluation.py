"""Where training has led: full episodes of the policy's mode in the learned world, from fixed
starts.
"""

from __future__ import annotations

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Key

from paracosm.core.data import Trajectory
from paracosm.core.devices import map_over_devices
from paracosm.core.learner import Problem
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy, StochasticPolicy
from paracosm.core.rollout import returns, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.gradient_estimators import Count, GoldLabels, Rollouts, pick

EPISODES = 32  # of each kind of start: the mean of so many moves little between evaluations


class Evaluation(NamedTuple):
    """One evaluation of a policy.

    Attributes:
        score: The mean discounted return in the training world, which decides.
        imagined_return: The mean undiscounted return from the initial states in the world itself.
        entropy: The policy's entropy at the starts, 0 of a policy without a density.
    """

    score: Scalar
    imagined_return: Scalar
    entropy: Scalar


class Score(eqx.Module):
    """How episodes of an evaluation are scored."""

    @abc.abstractmethod
    def by_episode(self, problem: Problem, episodes: Rollouts) -> Any:
        """What `total` needs of this device's episodes, every array with the episodes first."""

    @abc.abstractmethod
    def total(self, parts: Any, episodes: int) -> tuple[Scalar, Count]:
        """The score, and the gold labels bought for it.

        Args:
            parts: What `by_episode` gave of all devices' episodes.
            episodes: How many episodes there are.
        """


class TrainingWorldReturn(Score):
    """The mean discounted return that the episodes would have had in the training world."""

    def by_episode(self, problem: Problem, episodes: Rollouts) -> Any:
        reward = rewards_in(problem.training_world, episodes.episodes)
        return returns(reward, problem.world.discount)

    def total(self, parts: Any, episodes: int) -> tuple[Scalar, Count]:
        return jnp.mean(parts), jnp.zeros((), int)


class GoldReturn(Score):
    """The return by the world's rewards, plus the mean correction on those episodes, always the
    same ones, that have gold labels.
    """

    gold: GoldLabels

    def by_episode(self, problem: Problem, episodes: Rollouts) -> Any:
        score = TrainingWorldReturn().by_episode(problem, episodes)
        rows, subset = pick(self.gold, episodes)
        counts = subset.alive & _before_end(self.gold.world, subset)
        by_gold = returns(jnp.where(counts, subset.reward, 0), problem.world.discount)
        filled = jnp.any(subset.alive, axis=1)  # not padding
        return score, jnp.where(filled, by_gold - score[rows], 0), jnp.sum(counts, axis=1)

    def total(self, parts: Any, episodes: int) -> tuple[Scalar, Count]:
        score, correction, labels = parts
        mean = jnp.mean(score) + jnp.sum(correction) / self.gold.count(episodes)
        return mean, jnp.sum(labels)


def evaluate(
    policy: Policy, problem: Problem, key: PRNGKey, score: Score
) -> tuple[Evaluation, Count]:
    """An evaluation of the policy's mode and the gold labels bought for it, on all devices.

    Args:
        policy: The policy whose mode acts.
        problem: Where its episodes start, and in which world.
        key: Randomness of a stochastic world.
        score: How episodes are scored.
    """
    starts, keys = evaluation_starts(problem, key)
    count = len(starts)

    def local(shared: tuple[Policy, Problem, Score], rows: tuple[Array, Any, Array]) -> Any:
        (policy, problem, score), (states, keys, numbers) = shared, rows
        episodes = unroll(problem.world, policy.greedy(), states, keys, problem.world.spec.horizon)
        parts = score.by_episode(problem, Rollouts(episodes, numbers, count))
        return parts, returns(episodes.reward, 1.0), _entropy(policy, states)

    parts, full, entropy = map_over_devices(local, count, shared=1)(
        (policy, problem, score), (starts, keys, jnp.arange(count))
    )
    mean, labels = score.total(parts, count)
    return Evaluation(mean, jnp.mean(full[:EPISODES]), jnp.mean(entropy)), labels


def evaluation_starts(problem: Problem, key: PRNGKey) -> tuple[Array, Key[jax.Array, " episode"]]:
    """Where an evaluation's episodes start, and their keys."""
    starts = problem.starts
    states = jnp.concatenate([starts.initial[:EPISODES], starts.visited[:EPISODES]])
    return states, jax.random.split(key, len(states))


def rewards_in(training_world: MDP, episodes: Trajectory) -> Float[Array, "episode time"]:
    """The rewards `[episode, time]` that episodes of the learned world would have had in the
    training world.
    """
    reward = jax.vmap(jax.vmap(training_world.reward))(
        episodes.state, episodes.action, episodes.next_state
    )
    return jnp.where(episodes.alive & _before_end(training_world, episodes), reward, 0)


def _before_end(training_world: MDP, episodes: Trajectory) -> Bool[Array, "episode time"]:
    """Whether a step comes no later than the first one that ends the episode in the training
    world.
    """
    ended = jax.vmap(jax.vmap(training_world.termination))(
        episodes.state, episodes.action, episodes.next_state
    )
    return jnp.cumsum(ended & episodes.alive, axis=1) - (ended & episodes.alive) == 0


def _entropy(policy: Policy, states: Array) -> Float[Array, " episode"]:
    if isinstance(policy, StochasticPolicy):
        return jax.vmap(policy.entropy)(states)
    return jnp.zeros(len(states))
