"""Array and key types shared by every room (shapes are checked in the tests)."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Key

Array = jax.Array | np.ndarray

State = Float[Array, " state"]
Action = Float[Array, " action"] | Int[Array, ""]
Scalar = Float[Array, ""]
Flag = Bool[Array, ""]
PRNGKey = Key[jax.Array, ""]
