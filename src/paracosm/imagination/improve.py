"""Several gradient steps and a look at where they led: one compiled program over all devices."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, Key

from paracosm.core.data import Trajectory
from paracosm.core.devices import spread
from paracosm.core.mdp import MDP
from paracosm.core.policy import Mode, StochasticPolicy
from paracosm.core.rollout import returns, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.arguments import check_forms
from paracosm.imagination.debias import Count, GoldLabels, pick
from paracosm.imagination.learner import gradient_step, new_learner, new_policy
from paracosm.imagination.lesson import Learner, Task

LOOKS = 32


class Look(NamedTuple):
    """One look at training, at full episodes of the policy's mode from fixed starts.

    `score` is the mean discounted return in the guarded world, which decides; `imagined_return` the
    mean undiscounted return from the initial ones in the world itself; `entropy` the policy's at
    the starts. `edge_share` is the share of steps since the last look that reached the edge of the
    domain.
    """

    score: float
    imagined_return: float
    entropy: float
    edge_share: float


@eqx.filter_jit
def start(
    task: Task, policy: StochasticPolicy | None, key: PRNGKey
) -> tuple[Learner, Count | None]:
    """A learner about to start from `policy`, or from an untrained one, and the gold labels it
    asked for.
    """
    for_policy, for_value = jax.random.split(key)
    policy = new_policy(task, for_policy) if policy is None else policy
    check_forms(task.world, policy, None if task.gold is None else task.gold.world.reward)
    return new_learner(task, policy, for_value)


@eqx.filter_jit
def improve(
    learner: Learner, task: Task, key: PRNGKey, rate: Scalar
) -> tuple[Learner, Float[Array, 4], tuple[Count | None, Count | None]]:
    """`settings.check` gradient steps, the numbers of a `Look`, and the gold labels asked for by
    steps and look.
    """
    learner, edge, by_steps = _steps(learner, task, key, rate, jnp.arange(task.settings.check))
    *look, by_look = _look(learner.policy, task, key)
    return learner, jnp.stack([*look, edge]), (by_steps, by_look)


@eqx.filter_jit
def again(
    learner: Learner, task: Task, key: PRNGKey, rate: Scalar, number: Int[Array, ""]
) -> Learner:
    """The gradient step `number` of `improve`, alone."""
    return _steps(learner, task, key, rate, number[None])[0]


def _steps(
    learner: Learner, task: Task, key: PRNGKey, rate: Scalar, numbers: Int[Array, " step"]
) -> tuple[Learner, Scalar, Count | None]:
    """The gradient steps `numbers`, the share of steps at the edge of the domain, and the gold
    labels asked for.
    """
    arrays, rest = eqx.partition(learner, eqx.is_array)

    def local(arrays: Any, task: Task, key: PRNGKey, rate: Array, lanes: Array) -> Any:
        def step(arrays: Any, number: Array) -> tuple[Any, tuple[Array, Array | None]]:
            learner = eqx.combine(arrays, rest)
            learner, told = gradient_step(
                learner, task, jax.random.fold_in(key, number), rate, lanes
            )
            return eqx.filter(learner, eqx.is_array), told

        arrays, (edge, asked) = jax.lax.scan(step, arrays, numbers)
        return arrays, jnp.mean(edge), None if asked is None else jnp.sum(asked)

    rollouts = task.settings.rollouts
    arrays, edge, asked = spread(local, rollouts, shared=4, total=True)(
        arrays, task, key, rate, jnp.arange(rollouts)
    )
    return eqx.combine(arrays, rest), edge, asked


def _look(
    policy: StochasticPolicy, task: Task, key: PRNGKey
) -> tuple[Scalar, Scalar, Scalar, Count | None]:
    """Score, imagined return, entropy, and the gold labels asked for.

    With gold labels the score is that of the world's rewards plus the mean correction on the share
    of episodes that have them, always the same ones.
    """

    def local(policy: StochasticPolicy, task: Task, states: Array, keys: Any, lanes: Array) -> Any:
        episodes = unroll(task.world, Mode(policy), states, keys, task.world.spec.horizon)
        score = returns(_rewards_in(task.guarded, episodes), task.world.discount)
        corrected = (
            None if task.gold is None else _correction(task, task.gold, episodes, score, lanes)
        )
        return score, returns(episodes.reward, 1.0), jax.vmap(policy.entropy)(states), corrected

    states, keys = look_starts(task, key)
    lanes = jnp.arange(len(states))
    score, full, entropy, corrected = spread(local, len(states), shared=2)(
        policy, task, states, keys, lanes
    )
    told = (jnp.mean(full[:LOOKS]), jnp.mean(entropy))
    if task.gold is None or corrected is None:
        return jnp.mean(score), *told, None
    correction, asked = corrected
    return (
        jnp.mean(score) + jnp.sum(correction) / task.gold.count(len(states)),
        *told,
        jnp.sum(asked),
    )


def look_starts(task: Task, key: PRNGKey) -> tuple[Array, Key[jax.Array, " episode"]]:
    """Where a look's episodes start, and their keys."""
    states = jnp.concatenate([task.starts.initial[:LOOKS], task.starts.visited[:LOOKS]])
    return states, jax.random.split(key, len(states))


def _correction(
    task: Task, gold: GoldLabels, episodes: Trajectory, score: Array, lanes: Array
) -> tuple[Float[Array, " gold"], Int[Array, " gold"]]:
    """Of the episodes that have gold labels: their discounted return less that of the world's
    rewards, and how many.
    """
    rows, some = pick(gold, episodes, lanes, 2 * LOOKS)
    counts = some.alive & _before_end(gold.world, some)
    by_gold = returns(jnp.where(counts, some.reward, 0), task.world.discount)
    real = jnp.any(some.alive, axis=1)
    return jnp.where(real, by_gold - score[rows], 0), jnp.sum(counts, axis=1)


def _rewards_in(guarded: MDP, episodes: Trajectory) -> Float[Array, "episode time"]:
    """The rewards `[episode, time]` that episodes of the world would have had in its
    guarded copy.
    """
    reward = jax.vmap(jax.vmap(guarded.reward))(
        episodes.state, episodes.action, episodes.next_state
    )
    return jnp.where(episodes.alive & _before_end(guarded, episodes), reward, 0)


def _before_end(guarded: MDP, episodes: Trajectory) -> Bool[Array, "episode time"]:
    """Whether a step comes no later than the first one that ends the episode in the guarded
    world.
    """
    ended = jax.vmap(jax.vmap(guarded.termination))(
        episodes.state, episodes.action, episodes.next_state
    )
    return jnp.cumsum(ended & episodes.alive, axis=1) - (ended & episodes.alive) == 0
