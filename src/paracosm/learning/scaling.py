"""Columns in standard units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from paracosm.core.recordings import constant


class Scaling(NamedTuple):
    """Centre and scale of columns, in 32 bits."""

    center: np.ndarray
    scale: np.ndarray


def standard(values: Float[np.ndarray, "rows column"]) -> Scaling:
    """Mean and standard deviation by column; scale 0 where a column varies no more than
    rounding.
    """
    center, spread = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    spread = np.where(constant(center, spread), 0, spread)
    return Scaling(center.astype(np.float32), spread.astype(np.float32))


def not_zero(scale: np.ndarray) -> np.ndarray:
    """The scale to divide by: 1 where a column does not vary."""
    return np.where(scale == 0, 1, scale)
