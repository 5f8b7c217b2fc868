"""Model predictive path integral control."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.storage import storable
from paracosm.core.types import Array, Scalar
from paracosm.imagination.planners.sampling import SamplingPlanner


@storable
class MPPI(SamplingPlanner):
    """The mean of all plans, weighted by `exp(value / temperature)` (Williams et al. 2017).

    Attributes:
        temperature: In standard deviations of what the plans of an iteration are worth, so that it
            fits rewards of any size.
    """

    temperature: float | Scalar = 0.3

    def __check_init__(self) -> None:
        if not isinstance(self.temperature, jax.Array):
            checks.POSITIVE_32.check("temperature", self.temperature)

    def weights(self, values: Float[Array, " plan"]) -> Float[Array, " plan"]:
        """`softmax(value / (temperature · spread))`; all the same where all are worth the same."""
        unit = self.temperature * jnp.std(values)
        return jax.nn.softmax((values - jnp.max(values)) / jnp.where(unit > 0, unit, 1))
