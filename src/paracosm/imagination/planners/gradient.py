"""Planning by the derivative of what a plan is worth."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.mdp import Discrete
from paracosm.core.storage import storable
from paracosm.core.types import Array, PRNGKey, State
from paracosm.imagination.planners.planner import Planner, draw_in_32


@storable
class GradientPlanner(Planner):
    """Adam from the last plan and from random ones, through the world; the best of them acts.

    A slope that is not finite counts as 0. Where none of the plans that it ends with is worth a
    finite number, the best of those on the way acts.

    Attributes:
        plans: How many plans are improved, the last plan one of them.
        iterations: Steps of Adam.
        rate: Adam's learning rate, in half-boxes.
    """

    plans: int = eqx.field(static=True, default=8)
    iterations: int = eqx.field(static=True, default=10)
    rate: float = eqx.field(static=True, default=0.1)

    def __check_init__(self) -> None:
        checks.count("plans", self.plans)
        checks.count("iterations", self.iterations)
        checks.POSITIVE_32.check("rate", self.rate)
        if isinstance(self.world.spec.action, Discrete):
            raise checks.BadArgument(
                "the world has discrete actions; gradient planning needs continuous ones: CEM and"
                " MPPI plan among discrete ones."
            )

    @property
    def imagined_steps(self) -> int:
        """Steps of the world that one action takes, its own plan's included."""
        return (self.plans * (self.iterations + 1) + 1) * self.steps

    def improve(
        self, plan: Float[Array, "step component"], state: State, key: PRNGKey
    ) -> tuple[Float[Array, "step component"], Array, Array]:
        """See `Planner`."""
        adam = optax.scale_by_adam()
        others = (self.plans - 1, *plan.shape)
        drawn = 2 * draw_in_32(jax.random.uniform, key, others) - 1
        first = jnp.concatenate([plan[None], drawn.astype(plan.dtype)])
        worth = jax.vmap(jax.value_and_grad(self.worth), (0, None))

        def iterate(
            carry: tuple[Array, optax.OptState], _: None
        ) -> tuple[tuple[Array, optax.OptState], tuple[Array, Array]]:
            plans, moments = carry
            values, slopes = worth(plans, state)
            slopes = jnp.where(jnp.isfinite(slopes), slopes, 0.0)
            update, moments = adam.update(slopes, moments)
            moved = jnp.clip(plans + self.rate * jnp.asarray(update), -1, 1)
            return (moved, moments), (plans, values)

        start = (first, adam.init(first))
        (last, _), (plans, values) = jax.lax.scan(iterate, start, None, self.iterations)
        plans = jnp.concatenate([plans, last[None]])
        values = jnp.concatenate([values, jax.vmap(self.worth, (0, None))(last, state)[None]])
        spread = jnp.mean(jnp.std(plans, axis=1), axis=(1, 2))
        return _best(plans, values), values, spread


def _best(
    plans: Float[Array, "iteration plan step component"], values: Float[Array, "iteration plan"]
) -> Float[Array, "step component"]:
    """The best plan of the last iteration; of all of them where that has none of finite worth."""
    finite = jnp.where(jnp.isfinite(values), values, -jnp.inf)
    ended = plans[-1, jnp.argmax(finite[-1])]
    tried = plans.reshape(-1, *plans.shape[2:])[jnp.argmax(finite)]
    return jnp.where(jnp.any(jnp.isfinite(values[-1])), ended, tried)
