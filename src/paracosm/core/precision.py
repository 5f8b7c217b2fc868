"""Casting a model to 64 bits, for analysis under `jax.enable_x64(True)`."""

from __future__ import annotations

from typing import TypeVar

import equinox as eqx
import jax
import numpy as np

Tree = TypeVar("Tree")


def in_double(tree: Tree) -> Tree:
    """A copy whose floating arrays are 64-bit NumPy arrays, for use where JAX's 64 bits are
    enabled.
    """
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64) if eqx.is_inexact_array(leaf) else leaf, tree
    )
