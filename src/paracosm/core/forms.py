"""In which form a part of a world or a policy answers one step: asked by tracing, nothing is
computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from paracosm.core import checks

_KINDS = (jnp.bool_, jnp.integer, jnp.floating)


def form(name: str, answer: Callable[[], Any]) -> jax.ShapeDtypeStruct:
    """Shape and type of what `answer()` gives.

    Raises:
        BadData: it raises an error of its own; `name` says what was asked.
    """
    try:
        return jax.eval_shape(lambda: jnp.asarray(answer()))
    except checks.ParacosmError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).split(". ")[0].rstrip(".")
        raise checks.BadData(
            f"{name} cannot be had for one step: {type(error).__name__}, {reason}."
        ) from error


def require_shape(
    name: str, answer: Callable[[], Any], shape: tuple[int, ...]
) -> jax.ShapeDtypeStruct:
    """Require an answer of this shape; returns its form.

    Raises:
        BadData: it has another, or cannot be had.
    """
    struct = form(name, answer)
    if struct.shape != shape:
        raise checks.BadData(
            f"{name} has the shape {struct.shape} for one step; {shape} is needed."
        )
    return struct


def require_form(name: str, answer: Callable[[], Any], like: jax.Array) -> None:
    """Require an answer of the shape and the kind of `like`: a number, an integer or a flag, of any
    precision.

    Raises:
        BadData: it has another, or cannot be had.
    """
    struct = require_shape(name, answer, like.shape)
    if not any(
        jnp.issubdtype(struct.dtype, kind) and jnp.issubdtype(like.dtype, kind) for kind in _KINDS
    ):
        raise checks.BadData(
            f"{name} is of the type {struct.dtype} for one step; {like.dtype} is needed."
        )
