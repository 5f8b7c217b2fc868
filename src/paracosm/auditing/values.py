"""`V̂_k(s)` and its gradient: returns of a policy over k imagined steps from many states at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from paracosm.core.devices import spread
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.rollout import advance
from paracosm.core.types import Array, PRNGKey

_ROWS = 512


def values(world: MDP, policy: Policy, states: np.ndarray, steps: np.ndarray, key: PRNGKey) -> np.ndarray:
    """Discounted return of `steps[i]` steps of `policy` in `world` from `states[i]`, `[rows]`.

    Rows of like length run together, so the cost is about `sum(steps)` imagined steps. Rows of no steps are 0.
    """
    keys = jax.random.split(key, len(states))
    size = min(_ROWS, 1 << max(int(np.sum(steps > 0)) - 1, 1).bit_length())
    return _in_blocks(partial(_values, world, policy), (states, keys), steps, size)[0]


def gradients(
    world: MDP, policy: Policy, states: np.ndarray, steps: np.ndarray, keys: Key[jax.Array, " rows"], *, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """`values`, and their gradients by the state, `[rows, state]`, which do not see that an end moves.

    Rows with equal keys share their noise. No row has more than `most` steps: one program serves any number of rows of
    any such length. The cost is about five times that of `values`.
    """
    value, gradient = _in_blocks(partial(_gradients, world, policy, most=most), (states, keys), steps, _ROWS)
    return value, gradient


def _in_blocks(run: Callable[..., Any], rows: tuple[Any, Any], steps: np.ndarray, size: int) -> list[np.ndarray]:
    """`run(states, steps, keys)` on blocks of `size` rows of like length; its results, 0 for rows of no steps."""
    states, keys = rows
    order = np.argsort(-steps, kind="stable")
    order = order[steps[order] > 0]
    # Neighbours in length go to different devices, so that these finish together.
    dealt = np.arange(size).reshape(-1, 2).T.ravel()
    found: list[np.ndarray] | None = None
    for first in range(0, len(order), size):
        block = order[first : first + size]
        padded = np.resize(block, size)[dealt]
        of_block = np.where(dealt < len(block), steps[padded], 0)
        results = [np.asarray(each) for each in run(states[padded], of_block, keys[padded])]
        found = found or [np.zeros((len(steps), *each.shape[1:])) for each in results]
        for all_rows, result in zip(found, results, strict=True):
            all_rows[block] = result[np.argsort(dealt)][: len(block)]
    return found or [np.zeros(len(steps)), np.zeros(states.shape)]


@eqx.filter_jit
def _values(
    world: MDP,
    policy: Policy,
    states: Float[Array, "rows state"],
    steps: Int[Array, " rows"],
    keys: Key[jax.Array, " rows"],
) -> tuple[Float[Array, " rows"]]:
    """One compiled program that runs as long as its longest row needs."""

    def local(world: MDP, policy: Policy, states: Array, steps: Array, keys: Array) -> Array:
        def step(t: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            state, alive, total = carry
            at = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
            _, next_state, reward, ended = advance(world, policy, state, alive & (t < steps), at)
            return next_state, alive & ~ended, total + world.discount**t * reward

        start = (states, jnp.ones(len(states), bool), jnp.zeros(len(states), states.dtype))
        return jax.lax.fori_loop(0, jnp.max(steps), step, start)[2]

    return (spread(local, len(states), shared=2)(world, policy, states, steps, keys),)


@eqx.filter_jit
def _gradients(
    world: MDP,
    policy: Policy,
    states: Float[Array, "rows state"],
    steps: Int[Array, " rows"],
    keys: Key[jax.Array, " rows"],
    *,
    most: int,
) -> tuple[Float[Array, " rows"], Float[Array, "rows state"]]:
    """Forward, keeping the states; then backward by the adjoint `λ_t = ∇_s [r̂ + γ λ_{t+1} · f̂]`, step by step.

    Written out, since a loop as long as its longest row has no reverse mode.
    """

    def local(world: MDP, policy: Policy, states: Array, steps: Array, keys: Array) -> tuple[Array, Array]:
        def move(t: Array, state: Array, alive: Array) -> tuple[Array, Array, Array]:
            at = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
            return advance(world, policy, state, alive, at)[1:]

        def forward(t: Array, carry: tuple[jax.Array, ...]) -> tuple[Array, ...]:
            state, alive, total, passed, lived = carry
            alive = alive & (t < steps)
            next_state, reward, ended = move(t, state, alive)
            total = total + world.discount**t * reward
            return next_state, alive & ~ended, total, passed.at[t].set(state), lived.at[t].set(alive)

        def backward(back: Array, adjoint: Array) -> Array:
            t = last - 1 - back
            pull = jax.vjp(lambda state: move(t, state, lived[t])[:2], passed[t])[1]
            return pull((world.discount * adjoint, jnp.ones_like(total)))[0] * lived[t][:, None]

        rows, last = len(states), jnp.max(steps)
        nothing = jnp.zeros(rows, states.dtype)
        buffers = jnp.zeros((most, *states.shape), states.dtype), jnp.zeros((most, rows), bool)
        start = (states, jnp.ones(rows, bool), nothing, *buffers)
        _, _, total, passed, lived = jax.lax.fori_loop(0, last, forward, start)
        return total, jax.lax.fori_loop(0, last, backward, jnp.zeros_like(states))

    return spread(local, len(states), shared=2)(world, policy, states, steps, keys)
