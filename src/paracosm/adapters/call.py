"""Asking a foreign function from inside a compiled JAX program, with derivatives.

Of a small part one callback returns value and dense Jacobian, and the tangent is a JAX product, so
that forward and reverse mode both work. Of a large part reverse mode asks for the product of a
cotangent with the Jacobian, which is one backward pass however many outputs there are; forward mode
is refused. Under `vmap` one callback serves the whole batch. The callback reads and writes the
program's own buffers: JAX's plain host callback copies through JAX, which hangs on large batches
with several host devices, and loses the last 32 bits where 64 are enabled for the calling thread
only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jax.experimental.buffer_callback import buffer_callback
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Float

from paracosm.adapters.host import Host
from paracosm.core import callbacks, checks
from paracosm.core.types import Array

# Inputs and outputs of a part with a dense Jacobian: one backward pass an output and a matrix of
# outputs by inputs for every row cost more than they are worth beyond.
MOST_INPUTS, MOST_OUTPUTS = 128, 16


def ask(host: Host, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
    """The foreign function's answer to one row; map it over batches with `jax.vmap`."""
    small = host.inputs <= MOST_INPUTS and host.outputs <= MOST_OUTPUTS
    return _dense(host, x) if small else _large(host, x)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _dense(host: Host, x: Array) -> Array:
    return _callback(host.value, (x,), jax.ShapeDtypeStruct((host.outputs,), x.dtype))


@_dense.defjvp
def _(host: Host, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    value, jacobian = _with_jacobian(host, *primals)
    return value, jacobian @ tangents[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _with_jacobian(host: Host, x: Array) -> tuple[Array, Array]:
    value = jax.ShapeDtypeStruct((host.outputs,), x.dtype)
    jacobian = jax.ShapeDtypeStruct((host.outputs, host.inputs), x.dtype)
    return _callback(host.value_and_jacobian, (x,), (value, jacobian))


@_with_jacobian.defjvp
def _(host: Host, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    raise _second(host)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _large(host: Host, x: Array) -> Array:
    return _callback(host.value, (x,), jax.ShapeDtypeStruct((host.outputs,), x.dtype))


@_large.defjvp
def _(host: Host, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _large(host, *primals), _product.bind(*primals, *tangents, host=host, transposed=False)


# The product of the Jacobian at x with a tangent, and its transpose, that with a cotangent: what
# JAX's own rules for custom derivatives do not offer under `vmap`, a tangent with a transpose that
# is computed in another way.
_product = Primitive("foreign_product")


def _product_now(x: Array, vector: Array, *, host: Host, transposed: bool) -> Array:
    """The product itself, of arrays `[*batch, …]`.

    Args:
        x: Where the Jacobian is taken, `[*batch, inputs]`.
        vector: A cotangent `[*batch, outputs]`.
        host: Whose Jacobian.
        transposed: Whether `vector` is a cotangent.

    Raises:
        Unsupported: it is a tangent.
    """
    if not transposed:
        raise checks.Unsupported(
            f"the {host.name} has {host.inputs} inputs and {host.outputs} outputs; derivatives of"
            " so large a part are taken in reverse mode (jax.grad, jax.vjp), and forward mode"
            " (jax.jvp, jax.jacfwd) was asked for."
        )
    return _callback(host.pulled_back, (x, vector), jax.ShapeDtypeStruct(x.shape, vector.dtype))


def _product_form(x: Any, vector: Any, **of: Any) -> ShapedArray:
    size = of["host"].inputs if of["transposed"] else of["host"].outputs
    return ShapedArray((*vector.shape[:-1], size), vector.dtype)


def _product_batched(
    arguments: Sequence[Array], axes: Sequence[int | None], **of: Any
) -> tuple[Array, int]:
    size = next(
        argument.shape[axis]
        for argument, axis in zip(arguments, axes, strict=True)
        if axis is not None
    )
    fronted = (
        batching.bdim_at_front(argument, axis, size)
        for argument, axis in zip(arguments, axes, strict=True)
    )
    return _product.bind(*fronted, **of), 0


def _product_tangent(
    primals: Sequence[Array], tangents: Sequence[Any], *, host: Host, transposed: bool
) -> tuple[Array, Any]:
    """The tangent of a product, which is linear in its vector.

    Args:
        primals, tangents: Of `x` and of the vector.
        host, transposed: As for `_product_now`.

    Raises:
        Unsupported: `x` has a tangent.
    """
    if not isinstance(tangents[0], ad.Zero):
        raise _second(host)
    of = {"host": host, "transposed": transposed}
    return _product.bind(*primals, **of), _product.bind(primals[0], tangents[1], **of)


def _product_transposed(
    cotangent: Any, x: Array, vector: Any, *, host: Host, transposed: bool
) -> list[Any]:
    """The cotangent of the vector.

    Args:
        cotangent: Of the product.
        x: As for `_product_now`.
        vector: The vector, of which nothing but the form is known.
        host, transposed: As for `_product_now`.
    """
    if isinstance(cotangent, ad.Zero):
        return [None, ad.Zero(vector.aval)]
    return [None, _product.bind(x, cotangent, host=host, transposed=not transposed)]


_product.def_impl(_product_now)
_product.def_abstract_eval(_product_form)
ad.primitive_jvps[_product] = _product_tangent
ad.primitive_transposes[_product] = _product_transposed
batching.primitive_batchers[_product] = _product_batched
mlir.register_lowering(_product, mlir.lower_fun(_product_now, multiple_results=False))


def _second(host: Host) -> checks.Unsupported:
    return checks.Unsupported(
        f"the {host.name} has first derivatives only; second ones were asked for."
    )


def _callback(function: Callable[..., Any], columns: tuple[Array, ...], shapes: Any) -> Any:
    """`function` of rows, from wherever the `columns` are in a compiled program; results fill the
    program's buffers.
    """

    def fill(context: Any, out: Any, *columns: Any) -> None:
        arrays = map(np.asarray, columns)
        try:
            results = function(*(array.reshape(-1, array.shape[-1]) for array in arrays))
        except checks.ParacosmError as error:
            callbacks.remember(error)
            raise
        for buffer, result in (
            zip(out, results, strict=True) if isinstance(out, tuple) else ((out, results),)
        ):
            place = np.asarray(buffer)
            place[...] = result.reshape(place.shape)

    call = buffer_callback(fill, shapes, vmap_method="broadcast_all")
    return call(*map(jnp.asarray, columns))
