"""Array and key types shared by every room (shapes are checked in the tests)."""

from __future__ import annotations

import jax
import numpy as np
from jaxtyping import Bool, Float, Int, Key, UInt8

Array = jax.Array | np.ndarray

# Floats; of an environment that shows images the bytes of one, row-major of [height, width,
# channels].
State = Float[Array, " state"] | UInt8[Array, " state"]
Action = Float[Array, " action"] | Int[Array, ""]
Scalar = Float[Array, ""]
Flag = Bool[Array, ""]
PRNGKey = Key[jax.Array, ""]
