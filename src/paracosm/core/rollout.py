"""One rollout for real JAX-native and imagined MDPs alike, and the returns of what it recorded."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Key

from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy, in_kinds_of, initial_carries
from paracosm.core.types import Array


class RolloutStep(NamedTuple):
    """One step of every episode, `[episode, …]`; `carry` is what the policy hands to the next step.

    Where an episode is over, `next_state` is the state it ended in, `reward` 0 and `ended` false;
    `action` and `carry` go on and mean nothing.
    """

    action: Array
    next_state: Float[Array, "episode state"]
    reward: Float[Array, " episode"]
    ended: Bool[Array, " episode"]
    carry: Any


def advance(
    mdp: MDP,
    policy: Policy,
    state: Float[Array, "episode state"],
    alive: Bool[Array, " episode"],
    keys: Key[jax.Array, " episode"],
    *,
    carry: Any = None,
) -> RolloutStep:
    """Play one step of every episode.

    Args:
        mdp, policy: What is played.
        state: Where each episode is, `[episode, state]`.
        alive: Which episodes go on, `[episode]`.
        keys: Of the noise of this step, `[episode]`.
        carry: What the policy carried to this step, `[episode, …]` in every leaf; a Markov policy
            carries nothing.
    """

    def step(state: Array, key: Array, carry: Any) -> tuple[Any, ...]:
        for_action, for_dynamics = jax.random.split(key)
        action, after = policy.act(carry, state, for_action)
        next_state = mdp.dynamics(state, action, for_dynamics)
        reward = mdp.reward(state, action, next_state)
        ended = mdp.termination(state, action, next_state)
        return action, next_state, reward, ended, in_kinds_of(carry, after)

    action, next_state, reward, ended, carry = jax.vmap(step)(state, keys, carry)
    next_state = jnp.where(alive[:, None], next_state, state)
    return RolloutStep(action, next_state, jnp.where(alive, reward, 0), ended & alive, carry)


def unroll(
    mdp: MDP,
    policy: Policy,
    initial: Float[Array, "episode state"],
    keys: Key[jax.Array, " episode"],
    horizon: int,
) -> Trajectory:
    """`horizon` steps of `policy` in `mdp` from each initial state, to be traced into a larger
    program.

    Termination is absorbing: afterwards the state stays, rewards are 0 and `alive` is false. A step
    at the horizon that did not terminate is truncated. Randomness belongs to the episode's key, so
    an episode does not depend on its neighbours.

    Args:
        mdp, policy: What is played; the policy starts every episode with its initial carry.
        initial: First states, `[episode, state]`.
        keys: Of all noise, `[episode]`.
        horizon: Steps.
    """

    def scan_step(
        now: tuple[Array, Array, Any], keys: jax.Array
    ) -> tuple[tuple[Array, Array, Any], tuple[Array, ...]]:
        state, alive, carry = now
        action, next_state, reward, ended, carry = advance(
            mdp, policy, state, alive, keys, carry=carry
        )
        row = (state, action, next_state, reward, ended, alive)
        return (next_state, alive & ~ended, carry), row

    by_time = jax.vmap(lambda key: jax.random.split(key, horizon), out_axes=1)(keys)
    initial = jnp.asarray(initial)
    start = (initial, jnp.ones(len(initial), bool), initial_carries(policy, len(initial)))
    columns = jax.lax.scan(scan_step, start, by_time)[1]
    state, action, next_state, reward, terminated, alive = (
        jnp.moveaxis(column, 0, 1) for column in columns
    )
    truncated = (alive & ~terminated).at[:, :-1].set(False)
    return Trajectory(state, action, next_state, reward, terminated, truncated, alive)


@eqx.filter_jit
def rollout(
    mdp: MDP,
    policy: Policy,
    initial: Float[Array, "episode state"],
    keys: Key[jax.Array, " episode"],
    horizon: int,
) -> Trajectory:
    """`unroll`, compiled.

    Args:
        mdp, policy, initial, keys, horizon: As for `unroll`.
    """
    return unroll(mdp, policy, initial, keys, horizon)


def returns(reward: Float[Array, "episode time"], discount: float) -> Float[Array, " episode"]:
    """`Σ_t γ^t r_t`, `[episode]`; `discount=1` gives the undiscounted return."""
    return reward @ discount ** jnp.arange(reward.shape[1], dtype=reward.dtype)


def returns_to_go(
    reward: Float[Array, "episode time"],
    discount: float,
    final: Float[Array, " episode"] | float = 0.0,
) -> Float[Array, "episode time"]:
    """`G_t = r_t + γ G_{t+1}` with `G_T = final`, `[episode, time]`."""
    later = jnp.zeros_like(reward)
    return lambda_returns(reward, later, discount, 1.0, final)


def lambda_returns(
    reward: Float[Array, "episode time"],
    next_value: Float[Array, "episode time"],
    discount: float | Float[Array, "episode time"],
    lambda_: float,
    final: Float[Array, " episode"] | float = 0.0,
) -> Float[Array, "episode time"]:
    """`G_t = r_t + γ_t ((1-λ) v_{t+1} + λ G_{t+1})`, `[episode, time]` (Sutton 1988).

    Args:
        reward: `r_t`, `[episode, time]`.
        next_value: `v_{t+1}`, `[episode, time]`, in units of return; 0 after an end.
        discount: γ, the same for all steps or `[episode, time]`: times the chance that a step does
            not end the episode, for one.
        lambda_: λ, in [0, 1]: 1 is the return itself, less trades its noise for the value's bias.
        final: `G_T`, `[episode]` or one number.
    """

    def back(later: Array, now: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        reward, value, discount = now
        to_go = reward + discount * ((1 - lambda_) * value + lambda_ * later)
        return to_go, to_go

    final = jnp.broadcast_to(jnp.asarray(final, reward.dtype), reward.shape[:1])
    discounts = jnp.broadcast_to(jnp.asarray(discount, reward.dtype), reward.shape)
    return jax.lax.scan(back, final, (reward.T, next_value.T, discounts.T), reverse=True)[1].T
