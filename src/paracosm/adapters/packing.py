"""Pytrees of arrays as flat vectors of floats, and back, without loss.

A number of 32 bits does not fit into a float of 32: whole numbers of more than 16 bits, random keys
among them, are cut into pieces of 16, each of which does.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.types import Array

_PIECE = 16  # bits
_LOW = 0xFFFF  # the lowest piece


class Packing(eqx.Module):
    """The form of a pytree: its structure, and each leaf's shape and type."""

    structure: Any = eqx.field(static=True)
    forms: tuple[jax.ShapeDtypeStruct, ...] = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Floats of a packed tree."""
        return sum(_width(form) for form in self.forms)

    def pack(self, tree: Any) -> Float[Array, " size"]:
        """The tree as one vector; leaves are first brought to the types of the form."""
        leaves = self.structure.flatten_up_to(tree)
        parts = [_pack_leaf(leaf, form) for leaf, form in zip(leaves, self.forms, strict=True)]
        return jnp.concatenate([jnp.zeros(0), *parts])

    def unpack(self, vector: Float[Array, " size"]) -> Any:
        """The tree of a vector."""
        leaves, first = [], 0
        for form in self.forms:
            leaves.append(_unpack_leaf(vector[first : first + _width(form)], form))
            first += _width(form)
        return jax.tree.unflatten(self.structure, leaves)


def packing_of(tree: Any, what: str) -> Packing:
    """The form of a tree of arrays, or of what `jax.eval_shape` gives; `what` names it in messages.

    Raises:
        Unsupported: a leaf holds complex numbers.
    """
    leaves, structure = jax.tree.flatten(tree)
    for leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise checks.Unsupported(f"{what} holds complex numbers; real ones are supported.")
    forms = (jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return Packing(structure, tuple(forms))


def _is_key(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _number_form(form: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """The form of a leaf's numbers; those of a random key are whole numbers."""
    return jax.eval_shape(jax.random.key_data, form) if _is_key(form.dtype) else form


def _pieces(dtype: Any) -> int:
    """Floats that one number takes."""
    integer = jnp.issubdtype(dtype, jnp.integer)
    return max(8 * jnp.dtype(dtype).itemsize // _PIECE, 1) if integer else 1


def _width(form: jax.ShapeDtypeStruct) -> int:
    """Floats of a packed leaf."""
    plain = _number_form(form)
    return math.prod(plain.shape) * _pieces(plain.dtype)


def _pack_leaf(leaf: Any, form: jax.ShapeDtypeStruct) -> Float[Array, " width"]:
    plain = _number_form(form)
    numbers = jax.random.key_data(leaf) if _is_key(form.dtype) else jnp.asarray(leaf, plain.dtype)
    flat, pieces = jnp.ravel(numbers), _pieces(plain.dtype)
    if pieces == 1:
        return flat.astype(float)
    bits = jax.lax.bitcast_convert_type(flat, f"uint{_PIECE * pieces}")
    cut = [(bits >> (_PIECE * piece)) & _LOW for piece in range(pieces)]
    return jnp.concatenate(cut).astype(float)


def _unpack_leaf(floats: Float[Array, " width"], form: jax.ShapeDtypeStruct) -> Array:
    plain = _number_form(form)
    pieces = _pieces(plain.dtype)
    if pieces == 1:
        return floats.astype(plain.dtype).reshape(plain.shape)
    unsigned = f"uint{_PIECE * pieces}"
    bits = [
        part.astype(unsigned) << (_PIECE * piece)
        for piece, part in enumerate(jnp.split(floats, pieces))
    ]
    numbers = jax.lax.bitcast_convert_type(sum(bits[1:], bits[0]), plain.dtype)
    shaped = numbers.reshape(plain.shape)
    if not _is_key(form.dtype):
        return shaped
    impl = jax.random.key_impl(jnp.empty((), form.dtype))
    return jax.random.wrap_key_data(shaped, impl=impl)
