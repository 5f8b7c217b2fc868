"""The real systems of E2: frozen random networks, after which students learn."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.real.systems import Cube


class TeacherDynamics(eqx.Module):
    """`s' = tanh(W₂ᵀ relu(W₁ᵀ (s, a)))`."""

    first: Float[Array, "inputs hidden"]
    second: Float[Array, "hidden state"]

    def __call__(self, state: Array, action: Array, key: PRNGKey) -> Float[Array, " state"]:
        return jnp.tanh(jax.nn.relu(jnp.concatenate([state, action]) @ self.first) @ self.second)


class TeacherReward(eqx.Module):
    """`r = w · relu(W₁ᵀ (s, a)) / sqrt(hidden)`."""

    first: Float[Array, "inputs hidden"]
    second: Float[Array, " hidden"]

    def __call__(self, state: Array, action: Array, next_state: Array) -> Scalar:
        hidden = jax.nn.relu(jnp.concatenate([state, action]) @ self.first)
        return hidden @ self.second / math.sqrt(len(self.second))


def random_teacher(
    key: PRNGKey,
    *,
    state_size: int = 12,
    action_size: int = 4,
    hidden: int = 64,
    discount: float = 0.99,
    horizon: int = 500,
) -> MDP:
    """Frozen random two-layer ReLU dynamics and reward with standard normal weights.

    What the paper does not say is fixed so: no biases, starts uniform in the cube [-1, 1], actions
    in the box [-1, 1], discount 0.99. The other defaults are the paper's.

    Args:
        key: of the weights.
        state_size, action_size: numbers of components.
        hidden: ReLUs of the dynamics and of the reward.
        discount, horizon: of the MDP; the horizon in steps.
    """
    keys = jax.random.split(key, 4)
    inputs, action = state_size + action_size, jnp.ones(action_size)
    return MDP(
        Spec(state_size, Box(-action, action), jnp.ones(state_size), horizon),
        TeacherDynamics(
            jax.random.normal(keys[0], (inputs, hidden)),
            jax.random.normal(keys[1], (hidden, state_size)),
        ),
        TeacherReward(
            jax.random.normal(keys[2], (inputs, hidden)), jax.random.normal(keys[3], (hidden,))
        ),
        never,
        Cube(-jnp.ones(state_size), jnp.ones(state_size)),
        discount,
    )
