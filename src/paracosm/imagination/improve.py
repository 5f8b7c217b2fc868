"""Several gradient steps and a look at where they led: one compiled program over all devices."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.data import Trajectory
from paracosm.core.devices import spread
from paracosm.core.mdp import MDP
from paracosm.core.policy import Mode, StochasticPolicy
from paracosm.core.rollout import returns, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.learner import Learner, Task, gradient_step, new_learner, new_policy

LOOKS = 32


class Look(NamedTuple):
    """One look at training, at full episodes of the policy's mode from fixed starts.

    `score` is the mean discounted return in the guarded world, which decides; `imagined_return` the mean
    undiscounted return from the initial ones in the world itself; `entropy` the policy's at the starts.
    `edge_share` is the share of steps since the last look that reached the edge of the domain.
    """

    score: float
    imagined_return: float
    entropy: float
    edge_share: float


@eqx.filter_jit
def start(task: Task, policy: StochasticPolicy | None, key: PRNGKey) -> Learner:
    """A learner about to start from `policy`, or from an untrained one."""
    for_policy, for_value = jax.random.split(key)
    return new_learner(task, new_policy(task, for_policy) if policy is None else policy, for_value)


@eqx.filter_jit
def improve(learner: Learner, task: Task, key: PRNGKey, rate: Scalar) -> tuple[Learner, Float[Array, 4]]:
    """`settings.check` gradient steps, and the numbers of a `Look`."""
    arrays, rest = eqx.partition(learner, eqx.is_array)

    def local(arrays: Any, task: Task, key: PRNGKey, rate: Array, lanes: Array) -> Any:
        def step(arrays: Any, number: Array) -> tuple[Any, Array]:
            learner = eqx.combine(arrays, rest)
            learner, edge = gradient_step(learner, task, jax.random.fold_in(key, number), rate, lanes)
            return eqx.filter(learner, eqx.is_array), edge

        arrays, edge = jax.lax.scan(step, arrays, jnp.arange(task.settings.check))
        return arrays, jnp.mean(edge)

    rollouts = task.settings.rollouts
    arrays, edge = spread(local, rollouts, shared=4, total=True)(arrays, task, key, rate, jnp.arange(rollouts))
    learner = eqx.combine(arrays, rest)
    return learner, jnp.stack([*_look(learner.policy, task, key), edge])


def _look(policy: StochasticPolicy, task: Task, key: PRNGKey) -> tuple[Scalar, Scalar, Scalar]:
    """Score, imagined return and entropy."""

    def local(policy: StochasticPolicy, task: Task, states: Array, keys: Any) -> Any:
        episodes = unroll(task.world, Mode(policy), states, keys, task.world.spec.horizon)
        score = returns(_rewards_in(task.guarded, episodes), task.world.discount)
        return score, returns(episodes.reward, 1.0), jax.vmap(policy.entropy)(states)

    states = jnp.concatenate([task.starts.initial[:LOOKS], task.starts.visited[:LOOKS]])
    keys = jax.random.split(key, len(states))
    score, full, entropy = spread(local, len(states), shared=2)(policy, task, states, keys)
    return jnp.mean(score), jnp.mean(full[:LOOKS]), jnp.mean(entropy)


def _rewards_in(guarded: MDP, episodes: Trajectory) -> Float[Array, "episode time"]:
    """The rewards `[episode, time]` that episodes of the world would have had in its guarded copy."""
    steps = (episodes.state, episodes.action, episodes.next_state)
    reward, ended = (jax.vmap(jax.vmap(part))(*steps) for part in (guarded.reward, guarded.termination))
    before = jnp.cumsum(ended & episodes.alive, axis=1) - (ended & episodes.alive)
    return jnp.where(episodes.alive & (before == 0), reward, 0)
