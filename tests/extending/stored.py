"""A policy and a part of one's own that a run directory holds."""

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.core.policy import MarkovPolicy
from paracosm.core.storage import storable


@storable
class Switching(MarkovPolicy):
    """Full torque against the pendulum's speed, from a threshold on."""

    threshold: jax.Array
    torque: float = eqx.field(static=True)

    def sample(self, state, key):
        return self.mode(state)

    def mode(self, state):
        return jnp.where(jnp.abs(state[2:]) > self.threshold, -jnp.sign(state[2:]), 0) * self.torque


@storable
class Friction(eqx.Module):
    """Dynamics that only slow down."""

    share: jax.Array

    def __call__(self, state, action, key):
        return state * (1 - self.share)
