"""A world's answers at changed inputs: many at once, in one compiled program of one size."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import callbacks, checks
from paracosm.core.mdp import MDP
from paracosm.core.types import Array, PRNGKey

_ROWS = 2048  # a call; fewer are filled up, so that there is one program for a world


def next_states(
    world: MDP, state: np.ndarray, action: np.ndarray, key: PRNGKey, period: int
) -> Float[np.ndarray, "rows state"]:
    """Next states of rows `(s, a)`, `[rows, state]`.

    Infinite where somebody's model fails: it need not answer inputs that it was not made for.

    Args:
        world: The learned world.
        state, action: Inputs, `[rows, …]`.
        key: Of the noise.
        period: Rows so far apart draw the same noise.
    """
    noise = jnp.arange(len(state)) % period
    return _batched(
        lambda *rows: _next_states(world, key, *rows), (state, action, noise), state.shape[1:]
    )


def rewards(
    world: MDP, state: np.ndarray, action: np.ndarray, next_state: np.ndarray
) -> Float[np.ndarray, " rows"]:
    """Rewards of rows `(s, a, s')`; infinite where somebody's model fails.

    Args:
        world: The learned world.
        state, action, next_state: Inputs, `[rows, …]`.
    """
    return _batched(lambda *rows: _rewards(world, *rows), (state, action, next_state), ())


def _batched(model: Callable[..., Array], columns: tuple, shape: tuple[int, ...]) -> np.ndarray:
    answers = []
    for start in range(0, len(columns[0]), _ROWS):
        rows = [np.asarray(column[start : start + _ROWS]) for column in columns]
        filled = [
            np.concatenate([part, np.repeat(part[:1], _ROWS - len(part), axis=0)]) for part in rows
        ]
        answers.append(_answered(model, filled, shape)[: len(rows[0])])
    answer = np.concatenate(answers)
    return np.where(np.isfinite(answer), answer, np.inf)


def _answered(
    model: Callable[..., Array], rows: list[np.ndarray], shape: tuple[int, ...]
) -> np.ndarray:
    try:
        with callbacks.as_raised():
            return np.asarray(model(*rows), np.float64)
    except checks.ParacosmError:
        return np.full((_ROWS, *shape), np.inf)


@eqx.filter_jit
def _next_states(world: MDP, key: PRNGKey, state: Array, action: Array, noise: Array) -> Array:
    """One compiled program.

    Args:
        world, key, state, action: As for `next_states`.
        noise: Which draw of the noise, `[rows]`.
    """

    def at(state: Array, action: Array, noise: Array) -> Array:
        return world.dynamics(state, action, jax.random.fold_in(key, noise))

    return jax.vmap(at)(state, action, noise)


@eqx.filter_jit
def _rewards(world: MDP, state: Array, action: Array, next_state: Array) -> Array:
    """One compiled program.

    Args:
        world, state, action, next_state: As for `rewards`.
    """
    return jax.vmap(world.reward)(state, action, next_state)
