"""A policy with a carry: random shooting that starts its search at its last plan."""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy


class Shooting(Policy):
    """The first action of the best of the plans near the last one, by their reward in `world`.

    `spread` is what is added to the last plan, `[plan, step, action]`, its first entry 0, so that
    the last plan itself is one of them. The same spread at every step makes the policy
    deterministic.
    """

    world: MDP
    spread: Float[jax.Array, "plan step action"]

    def initial(self):
        return jnp.zeros(self.spread.shape[1:])

    def act(self, carry, state, key):
        box = self.world.spec.action
        plans = jnp.clip(carry + self.spread, box.low, box.high)
        worth = jax.vmap(self._worth, (None, 0))(state, plans)
        plan = plans[jnp.argmax(worth)]
        return plan[0], jnp.concatenate([plan[1:], jnp.zeros_like(plan[:1])])

    def greedy(self):
        return self

    def _worth(self, state, plan):
        """The return of a plan from a state."""

        def step(state, action):
            after = self.world.dynamics(state, action, jax.random.key(0))
            return after, self.world.reward(state, action, after)

        return jnp.sum(jax.lax.scan(step, state, plan)[1])
