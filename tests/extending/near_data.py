"""A caution of one's own: a price on leaving where the data lie.

paracosm run Pendulum-v1 --caution my_module:NearData
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.core.types import Array
from paracosm.imagination.caution import Caution, Priced


class NearData(Caution):
    """A step costs up to `weight` sizes of a recorded reward, the farther from the recorded states
    it leads.
    """

    weight: float = 1.0

    def __call__(self, world, data, rewards):
        recorded = jnp.asarray(data.transitions.state)
        price = PriceOfDistance(
            center=recorded.mean(axis=0),
            scale=world.spec.state_scale,
            farthest=jnp.ones(()),
            most=self.weight * jnp.asarray(rewards.size),
        )
        farthest = jnp.max(jax.vmap(price.distance)(recorded))
        price = eqx.tree_at(lambda price: price.farthest, price, farthest)
        return world.replace(reward=Priced(world.reward, price, -price.most))


class PriceOfDistance(eqx.Module):
    """0 up to the farthest recorded state, -`most` far beyond; it has derivatives everywhere."""

    center: Array
    scale: Array
    farthest: Array
    most: Array

    def distance(self, state):
        return jnp.sum(((state - self.center) / self.scale) ** 2)

    def __call__(self, state, action, next_state):
        beyond = self.distance(next_state) / self.farthest - 1
        return -self.most * jnp.tanh(jnp.maximum(beyond, 0))
