"""What errors of the learned parts cost in return: one pass for a direction, one for every step (theory, section 3).

The paper measures `S_f = |V(f + hΔf, r) - V(f, r)| / (h ‖Δf‖)` by finite differences. It is a directional derivative: a
forward pass through the rollout gives it for one error `Δf`, a reverse pass the gradient by the error of every step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from paracosm.auditing.attribution import steps_of
from paracosm.auditing.onestep import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.records import Weights
from paracosm.core.rollout import advance, unroll
from paracosm.core.types import Action, Array, PRNGKey, Scalar, State

_NORM = "root mean square: of the dynamics in scaled states, of the reward in its own unit"


class ByStep(NamedTuple):
    """Gradient of the discounted imagined return by an error added at each step.

    `dynamics` `[episode, time, state]` by one added to the next state, in the environment's units; `reward`
    `[episode, time]` by one added to the reward: the discount while alive.
    """

    dynamics: np.ndarray
    reward: np.ndarray


class _Perturbed(NamedTuple):
    """The parts of a world with something added."""

    world: MDP
    dynamics_error: Callable[[State, Action], State]
    reward_error: Callable[[State, Action, State], Scalar]

    def at(self, dynamics: Array, reward: Array) -> MDP:
        """The world whose errors are `dynamics` and `reward` times as large as the given ones."""
        world = self.world

        def next_state(state: Array, action: Array, key: PRNGKey) -> Array:
            return world.dynamics(state, action, key) + dynamics * self.dynamics_error(state, action)

        def paid(state: Array, action: Array, after: Array) -> Array:
            return world.reward(state, action, after) + reward * self.reward_error(state, action, after)

        return world.replace(dynamics=next_state, reward=paid)


@eqx.filter_jit
def along(
    world: MDP,
    policy: Policy,
    start: Float[Array, "episode state"],
    keys: Key[jax.Array, " episode"],
    *,
    dynamics_error: Callable[[State, Action], State],
    reward_error: Callable[[State, Action, State], Scalar],
    horizon: int,
) -> tuple[Float[Array, " episode"], Float[Array, " episode"]]:
    """Change of each episode's discounted imagined return per unit of a dynamics error and of a reward error.

    One forward pass for both. `dynamics_error(s, a)` is in the environment's units of the next state, `reward_error(s,
    a, s')` in those of the reward.
    """
    perturbed = _Perturbed(world, dynamics_error, reward_error)

    def returns(dynamics: Array, reward: Array) -> Array:
        paid = unroll(perturbed.at(dynamics, reward), policy, start, keys, horizon).reward
        return paid @ world.discount ** jnp.arange(horizon, dtype=paid.dtype)

    zero, one = jnp.zeros((), start.dtype), jnp.ones((), start.dtype)
    tangents = jnp.stack([one, zero]), jnp.stack([zero, one])
    by_dynamics, by_reward = jax.vmap(lambda *tangent: jax.jvp(returns, (zero, zero), tangent)[1])(*tangents)
    return by_dynamics, by_reward


def by_step(world: MDP, policy: Policy, start: np.ndarray, steps: np.ndarray, key: PRNGKey, *, horizon: int) -> ByStep:
    """The gradient by the error of every step, in one reverse pass over imagined episodes from `start`.

    Args:
        world, policy: What is imagined.
        start: First states, `[episode, state]`.
        steps: Length of each episode, `[episode]`, at most `horizon`.
        key: Of the noise.
        horizon: Length of the longest.
    """
    keys = jax.random.split(key, len(start))
    return ByStep(*(np.asarray(each) for each in _by_step(world, policy, start, steps, keys, horizon=horizon)))


@eqx.filter_jit
def _by_step(
    world: MDP,
    policy: Policy,
    start: Float[Array, "episode state"],
    steps: Int[Array, " episode"],
    keys: Key[jax.Array, " episode"],
    *,
    horizon: int,
) -> tuple[Float[Array, "episode time state"], Float[Array, "episode time"]]:
    def one(start: Array, steps: Array, key: jax.Array) -> tuple[Array, Array]:
        def returned(added: Array, paid: Array) -> Scalar:
            def step(carry: tuple[Array, ...], now: tuple[Any, ...]) -> tuple[tuple[Array, ...], None]:
                state, alive, total = carry
                t, key, offset, bonus = now
                alive, one = alive & (t < steps), jnp.ones((), start.dtype)
                moved = _Perturbed(world, lambda s, a: offset, lambda s, a, after: bonus).at(one, one)
                _, after, reward, ended = advance(moved, policy, state, alive, key[None])
                return (after, alive & ~ended, total + world.discount**t * reward[0]), None

            begin = (start[None], jnp.ones(1, bool), jnp.zeros((), start.dtype))
            each = (jnp.arange(horizon), jax.random.split(key, horizon), added, paid)
            return jax.lax.scan(step, begin, each)[0][2]

        nothing = jnp.zeros((horizon, *start.shape), start.dtype), jnp.zeros(horizon, start.dtype)
        return jax.grad(returned, argnums=(0, 1))(*nothing)

    return jax.vmap(one)(start, steps, keys)


def weights(world: MDP, policy: Policy, episodes: Trajectory, asked: OneStep, key: PRNGKey) -> tuple[Weights, Weights]:
    """What a unit of root mean square error of each part costs in return.

    The first weights are *realised*: along the errors that were measured on the real episodes, step by step, with
    signs, so that errors which cancel cost little; the second are the *steepest*, for errors of the same size that
    never cancel: `E Σ ‖gradient‖`.
    """
    horizon = episodes.alive.shape[1]
    gradient = by_step(world, policy, np.asarray(episodes.state)[:, 0], steps_of(episodes), key, horizon=horizon)
    alive, scale = np.asarray(episodes.alive), np.asarray(world.spec.state_scale)
    off = np.where(alive[..., None], (np.asarray(asked.imagined_state) - episodes.next_state) / scale, 0)
    miss = np.where(alive, np.asarray(asked.real.reward) - episodes.reward, 0)
    slope = gradient.dynamics * scale
    taken = alive.sum()
    size = np.sqrt(np.sum(off**2) / taken), np.sqrt(np.sum(miss**2) / taken)
    cost = (
        abs(np.mean(np.sum(slope * off, axis=(1, 2)))),
        abs(np.mean(np.sum(gradient.reward * miss, axis=1))),
    )
    realised = [float(c / s) if s > 0 else 0.0 for c, s in zip(cost, size, strict=True)]
    about = (_NORM, world.discount, horizon)
    return (
        Weights(realised[0], realised[1], *about, "realised: along the errors measured on the real episodes"),
        _steepest(world, gradient, horizon),
    )


def steepest(world: MDP, policy: Policy, start: np.ndarray, key: PRNGKey) -> Weights:
    """The steepest weights of imagined episodes from `start`, `[episode, state]`: no real step is needed."""
    horizon = world.spec.horizon
    steps = np.full(len(start), horizon)
    return _steepest(world, by_step(world, policy, start, steps, key, horizon=horizon), horizon)


def _steepest(world: MDP, gradient: ByStep, horizon: int) -> Weights:
    slope = np.linalg.norm(gradient.dynamics * np.asarray(world.spec.state_scale), axis=-1)
    cost = (float(np.mean(slope.sum(axis=1))), float(np.mean(gradient.reward.sum(axis=1))))
    return Weights(*cost, _NORM, world.discount, horizon, "steepest: for errors that never cancel")
