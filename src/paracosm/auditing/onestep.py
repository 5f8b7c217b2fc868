"""The learned parts asked once at every real step, and how far off they are there."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box, Discrete
from paracosm.core.policy import Policy
from paracosm.core.records import Baselines
from paracosm.core.types import Array, PRNGKey

_SAME_ACTION = 1e-3  # of the box: more than 32 bits can be off
_OTHER_ACTIONS = 0.05  # share of steps: beyond, the episodes are another policy's


class After(NamedTuple):
    """What the learned parts say of a step to one next state: r̂, d̂ and V̂, `[episode, time]`
    each.
    """

    reward: Array
    ended: Array
    value: Array

    def worth(self, discount: float) -> np.ndarray:
        """`r̂ + γ (1 - d̂) V̂`."""
        return np.asarray(self.reward) + discount * np.where(self.ended, 0.0, self.value)


class OneStep(NamedTuple):
    """The learned parts at every real step: ŝ' `[episode, time, state]`, and what they say of s'
    and of ŝ'.

    V̂ is not known yet: 0. `action` is the policy's mode; `other_action` says where the recorded
    action is another beyond rounding, `noisy` where another draw of the dynamics is another state.
    """

    imagined_state: Array
    real: After
    dreamt: After
    action: Array
    other_action: Array
    noisy: Array


def ask(
    world: MDP,
    policy: Policy,
    episodes: Trajectory,
    key: PRNGKey,
    *,
    mode: bool = True,
    as_played: Policy | None = None,
) -> OneStep:
    """Ask the learned `world` at every step of real `episodes`; the answer is in NumPy.

    Args:
        world, policy: In the precision of the analysis.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        key: Of the noise.
        mode: Whether the episodes must be of the policy's mode.
        as_played: The policy in the precision in which it played; where it repeats the recorded
            action in 32 bits, a policy that jumps fell to the other side by rounding.

    Raises:
        BadData: the world or the policy gives numbers that are not finite; the recorded actions are
            not those of the policy's mode.
    """
    asked = jax.tree.map(np.asarray, _ask(world, policy, episodes, key))
    answers = {
        "the world's next state": asked.imagined_state,
        "the world's reward": asked.real.reward,
        "the world's reward to its own next state": asked.dreamt.reward,
        "the policy's action": asked.action,
    }
    checks.finite_steps("real episode", answers, np.asarray(episodes.alive))
    alive = np.asarray(episodes.alive)
    other = asked.other_action & alive & mode
    if other.any() and as_played is not None:
        other[other] = _not_as_played(world, as_played, episodes, other)
    asked = asked._replace(other_action=other)
    if not mode:
        return asked
    others, taken = int(other.sum()), int(alive.sum())
    if others > _OTHER_ACTIONS * taken:
        raise checks.BadData(
            f"{others} of the {taken} recorded actions are not those of the policy to be audited,"
            " its mode: attribution"
            " needs on-policy episodes, or a stochastic policy of known density to reweight others"
            " by (recorded_by=);"
            f" still valid are the one-step errors: {_in_words(baselines(world, episodes, asked))}."
        )
    return asked


@eqx.filter_jit
def _ask(world: MDP, policy: Policy, episodes: Trajectory, key: PRNGKey) -> OneStep:
    def at(state: Array, action: Array, next_state: Array, key: PRNGKey) -> OneStep:
        imagined = world.dynamics(
            state, action, jax.random.split(key)[1]
        )  # the noise of a rollout at that time

        def after(next_state: Array) -> After:
            reward = world.reward(state, action, next_state)
            return After(
                reward, world.termination(state, action, next_state), jnp.zeros_like(reward)
            )

        chosen = policy.mode(state)
        other = _differ(world.spec.action, action, chosen)
        noisy = jnp.any(world.dynamics(state, action, jax.random.fold_in(key, 2)) != imagined)
        return OneStep(imagined, after(next_state), after(imagined), chosen, other, noisy)

    count, times = episodes.alive.shape
    keys = jax.vmap(lambda key: jax.random.split(key, times))(jax.random.split(key, count))
    return jax.vmap(jax.vmap(at))(episodes.state, episodes.action, episodes.next_state, keys)


def _differ(space: Box | Discrete, recorded: Array, now: Array) -> Array:
    if isinstance(space, Discrete):
        return jnp.asarray(recorded != now)
    same = jnp.abs(recorded - now) <= _SAME_ACTION * (
        space.high - space.low
    )  # not a number: not the same
    return ~jnp.all(same)


def _not_as_played(
    world: MDP, policy: Policy, episodes: Trajectory, where: np.ndarray
) -> np.ndarray:
    """Whether the policy in 32 bits, too, acts otherwise than recorded, at the steps `where`,
    `[rows]`.
    """
    with jax.enable_x64(False):
        states = jnp.asarray(np.asarray(episodes.state)[where], jnp.float32)
        chosen = np.asarray(jax.vmap(policy.mode)(states))
    recorded = np.asarray(episodes.action)[where]
    return np.array(
        [bool(_differ(world.spec.action, *pair)) for pair in zip(recorded, chosen, strict=True)]
    )


def _in_words(errors: Baselines) -> str:
    return (
        f"dynamics {errors.dynamics:.3g} scaled states (the mean next state"
        f" {errors.mean_next_state:.3g}),"
        f" reward {errors.reward:.3g} (the mean reward {errors.mean_reward:.3g})"
    )


def baselines(world: MDP, episodes: Trajectory, asked: OneStep) -> Baselines:
    """One-step errors of the learned parts on the real steps beside those of the simplest
    predictors.
    """
    alive, scale = np.asarray(episodes.alive), np.asarray(world.spec.state_scale)
    before, state, after, reward, expected = (
        np.asarray(column)[alive]
        for column in (
            episodes.state,
            asked.imagined_state,
            episodes.next_state,
            episodes.reward,
            asked.real.reward,
        )
    )

    def root_mean_square(errors: np.ndarray) -> float:
        return float(np.sqrt(np.sum(errors**2) / len(errors)))

    return Baselines(
        dynamics=root_mean_square((state - after) / scale),
        mean_next_state=root_mean_square((after - after.mean(axis=0)) / scale),
        persistence=root_mean_square((after - before) / scale),
        reward=root_mean_square(expected - reward),
        zero_reward=root_mean_square(reward),
        mean_reward=root_mean_square(reward - reward.mean()),
    )
