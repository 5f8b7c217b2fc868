"""`V̂_k(s)`: returns of a policy over k imagined steps from many states at once."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

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
    found = np.zeros(len(states))
    order = np.argsort(-steps, kind="stable")
    order = order[steps[order] > 0]
    rows = min(_ROWS, 1 << max(len(order) - 1, 1).bit_length())
    # Neighbours in length go to different devices, so that these finish together.
    dealt = np.arange(rows).reshape(-1, 2).T.ravel()
    for first in range(0, len(order), rows):
        block = order[first : first + rows]
        padded = np.resize(block, rows)[dealt]
        of_block = np.where(dealt < len(block), steps[padded], 0)
        result = np.asarray(_values(world, policy, states[padded], of_block, jax.random.fold_in(key, first)))
        found[block] = result[np.argsort(dealt)][: len(block)]
    return found


@eqx.filter_jit
def _values(
    world: MDP, policy: Policy, states: Float[Array, "rows state"], steps: Int[Array, " rows"], key: PRNGKey
) -> Float[Array, " rows"]:
    """One compiled program that runs as long as its longest row needs."""

    def local(world: MDP, policy: Policy, states: Array, steps: Array, keys: Array) -> Array:
        def step(t: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            state, alive, total = carry
            at = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
            _, next_state, reward, ended = advance(world, policy, state, alive & (t < steps), at)
            return next_state, alive & ~ended, total + world.discount**t * reward

        start = (states, jnp.ones(len(states), bool), jnp.zeros(len(states), states.dtype))
        return jax.lax.fori_loop(0, jnp.max(steps), step, start)[2]

    return spread(local, len(states), shared=2)(world, policy, states, steps, jax.random.split(key, len(states)))
