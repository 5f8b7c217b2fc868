"""The cross-entropy method."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.storage import storable
from paracosm.core.types import Array
from paracosm.imagination.planners.sampling import SamplingPlanner


@storable
class CEM(SamplingPlanner):
    """The mean of the best plans, in each iteration (Rubinstein 1999; as a planner in
    learned worlds, Chua et al. 2018).

    Attributes:
        elites: How many plans count as the best.
    """

    elites: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        checks.Range(1, self.plans, integer=True).check("elites", self.elites)

    def weights(self, values: Float[Array, " plan"]) -> Float[Array, " plan"]:
        """The same for each of the elites, 0 for the others."""
        best = jax.lax.top_k(values, self.elites)[1]
        return jnp.zeros_like(values).at[best].set(1 / self.elites)
