"""A planner of one's own: the best of random plans about the last one.

paracosm run Pendulum-v1 --planner my_module:RandomPlans
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.imagination.planners import Planner
from paracosm.imagination.planners.planner import draw_in_32


class RandomPlans(Planner):
    """Tries the last plan and random ones about it, and keeps the best."""

    plans: int = eqx.field(static=True, default=64)
    reach: float = eqx.field(static=True, default=0.5)

    @property
    def imagined_steps(self):
        return (self.plans + 1) * self.steps  # `search` plays the plan that is kept once more

    def improve(self, plan, state, key):
        noise = draw_in_32(jax.random.normal, key, (self.plans, *plan.shape))
        tried = plan + self.reach * noise.at[0].set(0)
        values = jax.vmap(self.worth, (0, None))(tried, state)
        spread = jnp.mean(jnp.std(tried, axis=0))
        return tried[jnp.argmax(values)], values[None], spread[None]
