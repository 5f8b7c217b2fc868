"""An encoder with memory: what is observed, and a smoothed estimate of how fast it changes."""

import equinox as eqx
import jax.numpy as jnp

from paracosm.core.encoder import Encoder


class Filter(Encoder):
    """Beliefs `(o, v)` with `v' = memory v + (1 - memory) (o' - o)`, twice as long as o."""

    memory: float = eqx.field(static=True, default=0.5)

    def initial(self, observation):
        return jnp.concatenate([observation, jnp.zeros_like(observation)])

    def update(self, state, action, observation):
        before, speed = jnp.split(state, 2)
        speed = self.memory * speed + (1 - self.memory) * (observation - before)
        return jnp.concatenate([observation, speed])
