"""Returns `V̂_k(s)` of a policy over k imagined steps from many states, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key

from paracosm.core.devices import map_over_devices
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy, Policy
from paracosm.core.rollout import advance
from paracosm.core.types import Array, PRNGKey

_FEWEST, _MOST = 32, 512  # rows of a block
_BLOCKS = 8  # at least, of the size that is chosen: of like length, and none of them mostly empty


def block_size(rows: int) -> int:
    """How many of so many rollouts run together, a power of two.

    A block runs until its last row has ended and computes rows that it lacks too. On a processor
    that is what it costs; on other devices a step costs the same for all sizes.
    """
    if jax.default_backend() != "cpu":
        return _MOST
    return min(1 << max(rows // _BLOCKS, _FEWEST).bit_length() - 1, _MOST)


def values(
    world: MDP, policy: MarkovPolicy, states: np.ndarray, steps: np.ndarray, key: PRNGKey
) -> np.ndarray:
    """Discounted return of `steps[i]` steps of `policy` in `world` from `states[i]`, `[rows]`.

    Args:
        world: What is imagined; its discount is that of the returns.
        policy, states, steps: As for `values_at`.
        key: Of the noise; each row has its own.
    """
    return values_at(world, policy, states, steps, key, discounts=(world.discount,))[0]


def values_at(
    world: MDP,
    policy: Policy,
    states: np.ndarray,
    steps: np.ndarray,
    keys: Key[jax.Array, " *rows"],
    *,
    discounts: Sequence[float],
    since: np.ndarray | int = 0,
    block: int | None = None,
) -> Float[np.ndarray, "discount rows"]:
    """Returns of the same imagined rollouts at several discounts, `[discount, rows]`.

    Rows of like length run together, so the cost is about `sum(steps)` imagined steps.

    Args:
        world, policy: What is imagined; the policy looks at the state alone.
        states: First states, `[rows, state]`.
        steps: Length of each rollout, `[rows]`; rows of no steps are 0.
        keys: Of the noise: one for all rows to be apart, or one by row.
        discounts: γ of each return, in [0, 1]; that of `world` is not used.
        since: The time at which each rollout starts, `[rows]`: rows of equal keys have the same
            noise at the same time.
        block: How many rows run together, `block_size` of them if None.
    """
    keys = jax.random.split(keys, len(states)) if keys.ndim == 0 else keys
    size = block or block_size(int(np.sum(steps > 0)))
    run = partial(_values_of_block, np.asarray(discounts, states.dtype), (world, policy))
    rows = states, keys, np.broadcast_to(since, len(states))
    return _in_blocks(run, rows, steps, size, (len(discounts),))[0].T


def gradients(
    world: MDP,
    policy: MarkovPolicy,
    states: np.ndarray,
    steps: np.ndarray,
    keys: Key[jax.Array, " rows"],
    *,
    most: int,
    block: int,
) -> tuple[np.ndarray, np.ndarray]:
    """`values` and their gradients by the state `[rows, state]`, blind to ends that move.

    Rows with equal keys share their noise. No row has more than `most` steps: one program serves
    any number of rows of any such length. The cost is about five times that of `values`.

    Args:
        world, policy, states, steps: As for `values`.
        keys: Of the noise, one by row.
        most: Bound of `steps`; so many states are stored for each row.
        block: How many rows run together.
    """
    run = partial(_gradients_of_block, world, policy, most=most)
    value, gradient = _in_blocks(run, (states, keys), steps, block, (), states.shape[1:])
    return value, gradient


def _in_blocks(
    run: Callable[..., Any],
    rows: tuple[Any, ...],
    steps: np.ndarray,
    size: int,
    *shapes: tuple[int, ...],
) -> list[np.ndarray]:
    """`run(steps, *rows)` on blocks of `size` rows of like length; 0 for rows of no steps.

    Args:
        run: Called with the lengths `[size]` and the columns `[size, …]` of a block.
        rows: The columns that it reads, `[rows, …]` each.
        steps: Length of each row, `[rows]`.
        size: Rows in a block.
        shapes: Of one row of each result.
    """
    order = np.argsort(-steps, kind="stable")
    order = order[steps[order] > 0]
    # Neighbours in length go to different devices, so that these finish together.
    row_at_place = np.arange(size).reshape(-1, 2).T.ravel()
    place_of_row = np.argsort(row_at_place)
    results = [np.zeros((len(steps), *shape)) for shape in shapes]
    for first in range(0, len(order), size):
        block = order[first : first + size]
        padded = np.resize(block, size)[row_at_place]
        of_block = np.where(row_at_place < len(block), steps[padded], 0)
        for all_rows, result in zip(
            results, run(of_block, *(column[padded] for column in rows)), strict=True
        ):
            all_rows[block] = np.asarray(result)[place_of_row][: len(block)]
    return results


@eqx.filter_jit
def _values_of_block(
    discounts: Float[Array, " discount"],
    played: tuple[MDP, Policy],
    steps: Int[Array, " rows"],
    states: Float[Array, "rows state"],
    *noise: Array,
) -> tuple[Float[Array, "rows discount"]]:
    """One compiled program that runs until all its rows have ended.

    Args:
        discounts: γ of each return.
        played: The world and the policy.
        steps: Length of each row.
        states: First states.
        noise: The keys and the first times of the rows, `[rows]` each.
    """

    def local(discounts: Array, played: tuple[MDP, Policy], *rows: Array) -> Array:
        steps, states, keys, since = rows

        def step(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            t, state, alive, total = carry
            at = jax.vmap(jax.random.fold_in)(keys, since + t)
            _, next_state, reward, ended, _ = advance(*played, state, alive, at)
            alive = alive & ~ended & (t + 1 < steps)
            return t + 1, next_state, alive, total + discounts**t * reward[:, None]

        total = jnp.zeros((len(states), len(discounts)), states.dtype)
        start: tuple[Any, ...] = (jnp.zeros((), int), states, steps > 0, total)
        return jax.lax.while_loop(lambda carry: jnp.any(carry[2]), step, start)[3]

    return (
        map_over_devices(local, len(states), shared=2)(discounts, played, steps, states, *noise),
    )


@eqx.filter_jit
def _gradients_of_block(
    world: MDP,
    policy: MarkovPolicy,
    steps: Int[Array, " rows"],
    states: Float[Array, "rows state"],
    keys: Key[jax.Array, " rows"],
    *,
    most: int,
) -> tuple[Float[Array, " rows"], Float[Array, "rows state"]]:
    """Forward, keeping the states; then backward by the adjoint `λ_t = ∇_s [r̂ + γ λ_{t+1} · f̂]`,
    step by step.

    Written out, since a loop that ends with its last row has no reverse mode.

    Args:
        world, policy, steps, states, keys: As for `gradients`.
        most: As for `gradients`.
    """

    def local(
        world: MDP, policy: MarkovPolicy, states: Array, steps: Array, keys: Array
    ) -> tuple[Array, Array]:
        """Values and gradients of one device's rows.

        Args:
            world, policy: As for `gradients`.
            states, steps, keys: Of the device's rows, as for `gradients`.
        """

        def move(t: Array, state: Array, alive: Array) -> tuple[Array, Array, Array]:
            at = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
            return advance(world, policy, state, alive, at)[1:4]

        def forward(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            t, state, alive, total, visited, was_alive = carry
            next_state, reward, ended = move(t, state, alive)
            return (
                t + 1,
                next_state,
                alive & ~ended & (t + 1 < steps),
                total + world.discount**t * reward,
                visited.at[t].set(state),
                was_alive.at[t].set(alive),
            )

        def backward(steps_back: Array, adjoint: Array) -> Array:
            t = last - 1 - steps_back
            pull = jax.vjp(lambda state: move(t, state, was_alive[t])[:2], visited[t])[1]
            return pull((world.discount * adjoint, jnp.ones_like(total)))[0] * was_alive[t][:, None]

        rows = len(states)
        nothing = jnp.zeros(rows, states.dtype)
        buffers = jnp.zeros((most, *states.shape), states.dtype), jnp.zeros((most, rows), bool)
        start: tuple[Any, ...] = (jnp.zeros((), int), states, steps > 0, nothing, *buffers)
        played = jax.lax.while_loop(lambda carry: jnp.any(carry[2]), forward, start)
        last, _, _, total, visited, was_alive = played
        return total, jax.lax.fori_loop(0, last, backward, jnp.zeros_like(states))

    return map_over_devices(local, len(states), shared=2)(world, policy, states, steps, keys)
