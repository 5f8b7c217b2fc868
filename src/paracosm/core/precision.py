"""Casting a model to 64 bits, for analysis under `jax.enable_x64(True)`; what rounding changes."""

from __future__ import annotations

from typing import TypeVar

import equinox as eqx
import jax
import numpy as np

Tree = TypeVar("Tree")

# By how much of the largest answer rounding in batches of other sizes may change an answer: in 64
# bits and in fewer; and by how many roundings if these are larger, as in 16 bits
_DOUBLE_TOLERANCE, _COARSE_TOLERANCE = 1e-6, 1e-3
_ROUNDINGS = 8
LEAST_TOLERANCE = 1e-9  # of answers that are 0


def answer_tolerance(eps: float) -> float:
    """By how much of the largest answer two answers of one function to one question may differ.

    Args:
        eps: The answers' relative rounding.
    """
    if eps < _DOUBLE_TOLERANCE**2:
        return _DOUBLE_TOLERANCE
    return max(_COARSE_TOLERANCE, _ROUNDINGS * eps)


def in_double(tree: Tree) -> Tree:
    """A copy whose floating arrays are 64-bit NumPy arrays, for use where JAX's 64 bits are
    enabled.
    """
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64) if eqx.is_inexact_array(leaf) else leaf, tree
    )
