"""Casting a model to 64 bits, for analysis under `jax.enable_x64(True)`; what rounding changes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

Tree = TypeVar("Tree")
Given = ParamSpec("Given")
Returned = TypeVar("Returned")

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


def in_32_bits(function: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """The function as it is where JAX's 64 bits are not enabled, wherever it is called: training
    has 32 bits, and what is to have more switches to 64 itself.
    """

    @functools.wraps(function)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        if jax.dtypes.canonicalize_dtype(np.float64) == np.float32:
            return function(*args, **kwargs)
        with jax.enable_x64(False):
            args, kwargs = jax.tree.map(_with_jax_in_32_bits, (args, kwargs))
            return function(*args, **kwargs)

    return run


def _with_jax_in_32_bits(leaf: Any) -> Any:
    """A leaf, cast if it is an array that JAX could only make with its 64 bits enabled."""
    if isinstance(leaf, jax.Array) and leaf.dtype in (np.float64, np.int64, np.uint64):
        return jnp.asarray(np.asarray(leaf))
    return leaf
