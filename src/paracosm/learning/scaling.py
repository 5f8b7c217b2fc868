"""Columns in standard units."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Scaling(NamedTuple):
    """Centre and scale of columns, in 32 bits."""

    center: np.ndarray
    scale: np.ndarray


def standard(values: Float[np.ndarray, "rows column"]) -> Scaling:
    """Mean and standard deviation by column; scale 0 where a column varies no more than
    rounding.
    """
    center, spread = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    flat = spread <= 1e-6 * np.maximum(np.abs(center), 1e-6)
    return Scaling(center.astype(np.float32), np.where(flat, 0, spread).astype(np.float32))


def not_zero(scale: np.ndarray) -> np.ndarray:
    """The scale to divide by: 1 where a column does not vary."""
    return np.where(scale == 0, 1, scale)
