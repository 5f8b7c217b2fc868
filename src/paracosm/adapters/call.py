"""Asking a foreign function from inside a compiled JAX program, with derivatives.

One callback returns value and dense Jacobian, and the tangent is a JAX product, so that forward and
reverse mode both work; under `vmap` one callback serves the whole batch. The callback reads and
writes the program's own buffers: JAX's plain host callback copies through JAX, which hangs on large
batches with several host devices, and loses the last 32 bits where 64 are enabled for the calling
thread only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Float

from paracosm.adapters.host import Host
from paracosm.core import callbacks, checks
from paracosm.core.types import Array

# Inputs; beyond, a dense Jacobian costs more than it is worth and there is reverse mode only
MOST_DENSE = 128


def ask(host: Host, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
    """The foreign function's answer to one row; map it over batches with `jax.vmap`."""
    return _dense(host, x) if x.shape[0] <= MOST_DENSE else _reverse(host, x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _dense(host: Host, x: Array) -> Array:
    return _callback(host.value, x, jax.ShapeDtypeStruct((host.outputs,), x.dtype))


@_dense.defjvp
def _(host: Host, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value, jacobian = _with_jacobian(host, *primals)
    return value, jacobian @ tangents[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _with_jacobian(host: Host, x: Array) -> tuple[Array, Array]:
    value = jax.ShapeDtypeStruct((host.outputs,), x.dtype)
    jacobian = jax.ShapeDtypeStruct((host.outputs, host.inputs), x.dtype)
    return _callback(host.value_and_jacobian, x, (value, jacobian))


@_with_jacobian.defjvp
def _(host: Host, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    raise checks.Unsupported(
        f"the {host.name} has first derivatives only; second ones were asked for."
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _reverse(host: Host, x: Array) -> Array:
    return _callback(host.value, x, jax.ShapeDtypeStruct((host.outputs,), x.dtype))


def _forward_pass(host: Host, x: Array) -> tuple[Array, Array]:
    return _reverse(host, x), x


def _backward_pass(host: Host, x: Array, cotangent: Array) -> tuple[Array]:
    return (cotangent @ _with_jacobian(host, x)[1],)


_reverse.defvjp(_forward_pass, _backward_pass)


def _callback(function: Callable[[np.ndarray], Any], x: Array, shapes: Any) -> Any:
    """`function` of rows, from wherever `x` is in a compiled program; results fill the program's
    buffers.
    """

    def fill(context: Any, out: Any, x: Any) -> None:
        rows = np.asarray(x)
        try:
            results = function(rows.reshape(-1, rows.shape[-1]))
        except checks.ParacosmError as error:
            callbacks.remember(error)
            raise
        for buffer, result in (
            zip(out, results, strict=True) if isinstance(out, tuple) else ((out, results),)
        ):
            place = np.asarray(buffer)
            place[...] = result.reshape(place.shape)

    return buffer_callback(fill, shapes, vmap_method="broadcast_all")(jnp.asarray(x))
