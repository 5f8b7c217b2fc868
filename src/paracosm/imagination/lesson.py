"""What imagined rollouts teach: rewards as labels, returns-to-go, advantages, by cheap labels or
gold ones.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS
from paracosm.core.mdp import MDP
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import StochasticPolicy
from paracosm.core.rollout import lambda_returns
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.debias import (
    Agreement,
    Count,
    GoldLabels,
    agreement,
    best_coefficient,
    mixed,
    pick,
)
from paracosm.imagination.reinforce import Value, time_weights, without_baseline
from paracosm.imagination.settings import ImagineSettings

# Of how gold and cheap labels agree, a step: some ten steps, in which the policy moves little
MEMORY = 0.9


class Starts(NamedTuple):
    """Real states in which imagined rollouts start; looks start in the first of each."""

    initial: Float[Array, "starts state"]
    visited: Float[Array, "rows state"]


class Task(eqx.Module):
    """What is trained for: the world, its guarded copy that rollouts run in, their starts and their
    length.

    `noise` is on the world's rewards in gradient steps; `gold` says where gold labels can be had.
    """

    world: MDP
    guarded: MDP
    starts: Starts
    horizon: int = eqx.field(static=True)
    settings: ImagineSettings = eqx.field(static=True)
    noise: LabelNoise | None = None
    gold: GoldLabels | None = None

    @property
    def bootstrap(self) -> bool:
        """Whether rollouts are shorter than an episode, so that a learned value completes them."""
        return self.horizon < self.world.spec.horizon

    @property
    def progress(self) -> Float[Array, " _"]:
        """Share of the rollout that is over at each of its `horizon + 1` states.

        A rollout completed by a value is a window onto an endless one: its value does not know the
        time.
        """
        return (
            jnp.zeros(self.horizon + 1)
            if self.bootstrap
            else jnp.arange(self.horizon + 1) / self.horizon
        )

    @property
    def weight(self) -> Float[Array, " time"]:
        """Time weights of the policy gradient."""
        return time_weights(self.settings.weighting, self.world.discount, self.horizon)


class Learner(NamedTuple):
    """What training changes: a policy, its value, and the state of their optimisers.

    `agreement` of cheap and gold labels on the rollouts of earlier steps sets λ of the next
    debiased gradient.
    """

    policy: StochasticPolicy
    value: Value
    policy_state: optax.OptState
    value_state: optax.OptState
    agreement: Agreement | None = None


class Lesson(NamedTuple):
    """What rollouts teach: the policy `advantage` over all of them, the value `to_go` on the
    `taught` ones.

    `unit` is the size of advantages, `agreement` is for the step after, `asked` the gold labels
    that were asked for.
    """

    advantage: Float[Array, "episode time"]
    unit: Scalar
    taught: Trajectory
    to_go: Float[Array, "taught time"]
    agreement: Agreement | None
    asked: Count | None


class Along(NamedTuple):
    """The value at the states of rollouts and, 0 after an end, at the next ones; `[episode, time]`
    each.
    """

    here: Float[Array, "episode time"]
    after: Float[Array, "episode time"]


def with_noise(noise: LabelNoise, world: MDP, episodes: Trajectory, keys: Array) -> Trajectory:
    """The episodes of a guarded `world` with noise on the world's own rewards, the guard's price
    left as it is.
    """

    def shift(state: Array, action: Array, next_state: Array, key: PRNGKey) -> Scalar:
        reward = world.reward(state, action, next_state)
        return noise.apply(reward, state, action, next_state, key) - reward

    by_step = jax.vmap(
        lambda key: jax.random.split(jax.random.fold_in(key, 2), episodes.reward.shape[1])
    )(keys)
    found = jax.vmap(jax.vmap(shift))(episodes.state, episodes.action, episodes.next_state, by_step)
    return dataclasses.replace(
        episodes, reward=jnp.where(episodes.alive, episodes.reward + found, 0)
    )


def lesson(
    learner: Learner, episodes: Trajectory, task: Task, lanes: Int[Array, " episode"]
) -> Lesson:
    """What this device's rollouts teach.

    With gold labels the policy learns from the mixture, and the value from the gold rollouts alone:
    a value fitted to cheap rewards would bring their bias back through the returns that it
    completes.
    """
    to_go, advantage = _to_go(learner, episodes, task, task.settings.rollouts)
    if task.gold is None:
        return Lesson(advantage, _unit(advantage, episodes), episodes, to_go, None, None)
    rollouts, weight = task.settings.rollouts, task.weight
    picked = pick(task.gold, episodes, lanes, rollouts)
    count = task.gold.count(rollouts)
    gold_to_go, gold = _to_go(learner, picked.episodes, task, count)
    before = jnp.asarray(learner.agreement)
    both = mixed(advantage, gold, picked, best_coefficient(before), rollouts / count)
    after = MEMORY * before + agreement(
        learner.policy, picked, advantage[picked.rows], gold, weight
    )
    asked = jax.lax.psum(jnp.sum(picked.episodes.alive), AXIS)
    return Lesson(both, _unit(gold, picked.episodes), picked.episodes, gold_to_go, after, asked)


def _to_go(learner: Learner, episodes: Trajectory, task: Task, count: int) -> tuple[Array, Array]:
    """Returns-to-go that the value completes, and advantages, of `count` rollouts on all devices;
    `[episode, time]`.
    """
    along, settings = _along(learner.value, episodes, task), task.settings
    to_go = lambda_returns(
        episodes.reward, along.after, task.world.discount, settings.trace, along.after[:, -1]
    )
    return to_go, without_baseline(to_go, settings.baseline, along.here, count)


def _unit(advantage: Float[Array, "episode time"], episodes: Trajectory) -> Scalar:
    return jnp.sqrt(mean_alive(advantage**2, episodes)) + 1e-8


def _along(value: Value, episodes: Trajectory, task: Task) -> Along:
    states = jnp.concatenate([episodes.state, episodes.next_state[:, -1:]], axis=1)
    found = jax.vmap(jax.vmap(value), (0, None))(states, task.progress)
    after = jnp.where(episodes.alive & ~episodes.terminated, found[:, 1:], 0)
    return Along(found[:, :-1], after if task.bootstrap else after.at[:, -1].set(0))


def mean_alive(values: Array, episodes: Trajectory) -> Scalar:
    """Mean over the steps taken on all devices."""
    total, count = jax.lax.psum(
        (jnp.sum(jnp.where(episodes.alive, values, 0)), jnp.sum(episodes.alive)), AXIS
    )
    return total / count
