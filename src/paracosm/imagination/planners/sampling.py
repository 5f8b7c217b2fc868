"""What CEM and MPPI share: plans drawn about a mean, a mean of those that are worth most, and the
better of the last mean and the best plan that was tried.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.mdp import Discrete
from paracosm.core.types import Array, PRNGKey, State
from paracosm.imagination.planners.planner import Planner, draw_in_32

# Of a plan's first iteration: in half-boxes, to which plans are clipped, and of choices the share
# that is left to chance.
_FIRST_SPREAD = 0.5
_LEAST_SPREAD = 0.05


class SamplingPlanner(Planner):
    """Draws plans about a mean, and moves mean and spread to those that are worth most; settles on
    the last mean, or on the best plan that was tried if that is worth more: where there are two
    ways past an obstacle, their mean runs into it.

    Of discrete actions the mean of the choices at a step is the chance of each, by which the next
    ones are drawn; the likeliest acts. A plan whose worth is not finite counts as the worst that
    is.

    Attributes:
        plans: How many plans are tried in an iteration, the present mean one of them.
        iterations: How often the mean moves.
    """

    plans: int = eqx.field(static=True, default=64)
    iterations: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        checks.count("plans", self.plans, 2)
        checks.count("iterations", self.iterations)

    @abc.abstractmethod
    def weights(self, values: Float[Array, " plan"]) -> Float[Array, " plan"]:
        """How much each plan counts for the next mean, by what they are worth; they sum to 1."""

    @property
    def imagined_steps(self) -> int:
        """Steps of the world that one action takes, its own plan's included."""
        return (self.plans * self.iterations + 2) * self.steps

    def improve(
        self, plan: Float[Array, "step component"], state: State, key: PRNGKey
    ) -> tuple[Float[Array, "step component"], Array, Array]:
        """See `Planner`."""
        discrete = isinstance(self.world.spec.action, Discrete)
        draw = self._draw_choices if discrete else self._draw_moves

        def iterate(
            carry: tuple[Array, Array], key: PRNGKey
        ) -> tuple[tuple[Array, Array], tuple[Array, Array, Array]]:
            mean, spread = carry
            tried = draw(mean, spread, key)
            values = _replace_non_finite(jax.vmap(self.worth, (0, None))(tried, state))
            weights = self.weights(values)[:, None, None]
            center = jnp.sum(weights * tried, axis=0)
            apart = jnp.sqrt(jnp.sum(weights * (tried - center) ** 2, axis=0))
            new = (center, jnp.maximum(apart, _LEAST_SPREAD))
            best = tried[jnp.argmax(values)]
            return new, (best, values, jnp.mean(jnp.std(tried, axis=0)))

        first = (plan, jnp.full_like(plan, _FIRST_SPREAD))
        keys = jax.random.split(key, self.iterations)
        (mean, _), (best, values, spread) = jax.lax.scan(iterate, first, keys)
        tried = best[jnp.argmax(jnp.max(values, axis=1))]
        settled = self.worth(mean, state) >= jnp.max(values)
        return jnp.where(settled, mean, tried), values, spread

    def _draw_moves(self, mean: Array, spread: Array, key: PRNGKey) -> Array:
        """Plans of continuous actions, the mean first.

        Args:
            mean, spread: Mean and standard deviation of the plans, `[step, component]`.
            key: Randomness.
        """
        noise = self._draw_noise(jax.random.normal, key, mean)
        return jnp.clip(mean + spread * noise, -1, 1).astype(mean.dtype)

    def _draw_choices(self, mean: Array, spread: Array, key: PRNGKey) -> Array:
        """Plans of discrete actions as one-hot rows, the likeliest first.

        Args:
            mean: The mean of the plans, `[step, choice]`.
            spread: How much of each choice is left to chance.
            key: Randomness.
        """
        preferring = jnp.sum(mean, axis=-1, keepdims=True) > 0
        even = jnp.full_like(mean, 1 / mean.shape[-1])
        chances = jnp.where(preferring, jnp.maximum(mean, 0), even)
        logits = jnp.log((1 - spread) * chances + spread * even)
        noise = self._draw_noise(jax.random.gumbel, key, mean)
        chosen = jnp.argmax(logits + noise, axis=-1)
        return jax.nn.one_hot(chosen, mean.shape[-1], dtype=mean.dtype)

    def _draw_noise(self, draw: Callable, key: PRNGKey, mean: Array) -> Array:
        """Noise of every plan but the first, which has none.

        Args:
            draw: A function of `jax.random`; see `draw_in_32`.
            key: Randomness.
            mean: The mean of the plans, `[step, component]`.
        """
        noise = draw_in_32(draw, key, (self.plans, *mean.shape))
        return noise * (jnp.arange(self.plans) > 0)[:, None, None]


def _replace_non_finite(values: Float[Array, " plan"]) -> Float[Array, " plan"]:
    """What plans are worth, with the least finite one in place of those that are not."""
    finite = jnp.isfinite(values)
    least = jnp.min(values, where=finite, initial=jnp.inf)
    return jnp.where(finite, values, jnp.where(jnp.any(finite), least, 0.0))
