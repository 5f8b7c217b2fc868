"""Casting a model to 64 bits, for analysis under `jax.enable_x64(True)`."""

from __future__ import annotations

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

Tree = TypeVar("Tree")


def in_double(tree: Tree) -> Tree:
    """A copy whose floating arrays are 64-bit JAX arrays; call it where 64 bits are enabled."""
    return jax.tree.map(
        lambda leaf: (
            jnp.asarray(leaf, jnp.float64)
            if eqx.is_inexact_array_like(leaf) and eqx.is_array_like(leaf) and not isinstance(leaf, float)
            else leaf
        ),
        tree,
    )
