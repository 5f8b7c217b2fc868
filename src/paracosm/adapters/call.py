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
from jaxtyping import Float, Num

from paracosm.adapters.host import Host
from paracosm.core import callbacks, checks
from paracosm.core.types import Array

# Inputs and outputs of a part with a dense Jacobian: one backward pass an output and a matrix of
# outputs by inputs for every row cost more than they are worth beyond.
MOST_INPUTS, MOST_OUTPUTS = 128, 16

_FLOATS = (jnp.float16, jnp.float32, jnp.float64)


def ask(host: Host, x: Num[Array, " inputs"]) -> Float[Array, " outputs"]:
    """The foreign function's answer to one row; map it over batches with `jax.vmap`.

    Raises:
        BadData: the row has another number of components than the function's arguments.
    """
    x = as_floats(x)
    if x.shape != (host.inputs,):
        names = ", ".join(slot.name for slot in host.takes)
        raise checks.BadData(
            f"the {host.name} is asked at an array of shape {x.shape}; {host.inputs} numbers"
            f" ({names}) are needed."
        )
    small = host.inputs <= MOST_INPUTS and host.outputs <= MOST_OUTPUTS
    return _dense(host, x) if small else _large(host, x)


def as_floats(x: Num[Array, " *shape"]) -> Float[Array, " *shape"]:
    """Numbers in a type that NumPy has and functions take: pictures, whole numbers and bfloat16 as
    float32, others as they are.
    """
    x = jnp.asarray(x)
    return x if x.dtype in _FLOATS else x.astype(jnp.float32)


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
    raise _no_second_derivatives(host)


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


def _evaluate_product(x: Array, vector: Array, *, host: Host, transposed: bool) -> Array:
    """The product itself, of arrays `[*batch, …]`.

    Args:
        x: Where the Jacobian is taken, `[*batch, inputs]`.
        vector: A cotangent `[*batch, outputs]`.
        host: The function whose Jacobian it is.
        transposed: Whether `vector` is a cotangent.

    Raises:
        Unsupported: `vector` is a tangent.
    """
    if not transposed:
        raise checks.Unsupported(
            f"the {host.name} has {host.inputs} inputs and {host.outputs} outputs; derivatives of"
            " so large a part are taken in reverse mode (jax.grad, jax.vjp), and forward mode"
            " (jax.jvp, jax.jacfwd) was asked for."
        )
    return _callback(
        host.vector_jacobian_product, (x, vector), jax.ShapeDtypeStruct(x.shape, vector.dtype)
    )


def _product_shape(x: Any, vector: Any, **params: Any) -> ShapedArray:
    """Shape and type of a product."""
    size = params["host"].inputs if params["transposed"] else params["host"].outputs
    return ShapedArray((*vector.shape[:-1], size), vector.dtype)


def _batch_product(
    arguments: Sequence[Array], axes: Sequence[int | None], **params: Any
) -> tuple[Array, int]:
    """The product of a further batch, whose axis comes first in the result."""
    size = next(
        argument.shape[axis]
        for argument, axis in zip(arguments, axes, strict=True)
        if axis is not None
    )
    batch_first = (
        batching.bdim_at_front(argument, axis, size)
        for argument, axis in zip(arguments, axes, strict=True)
    )
    return _product.bind(*batch_first, **params), 0


def _differentiate_product(
    primals: Sequence[Array], tangents: Sequence[Any], *, host: Host, transposed: bool
) -> tuple[Array, Any]:
    """The tangent of a product, which is linear in its vector.

    Args:
        primals, tangents: Those of `x` and of the vector.
        host, transposed: As for `_evaluate_product`.

    Raises:
        Unsupported: `x` has a tangent.
    """
    if not isinstance(tangents[0], ad.Zero):
        raise _no_second_derivatives(host)
    params = {"host": host, "transposed": transposed}
    return _product.bind(*primals, **params), _product.bind(primals[0], tangents[1], **params)


def _transpose_product(
    cotangent: Any, x: Array, vector: Any, *, host: Host, transposed: bool
) -> list[Any]:
    """The cotangent of the vector.

    Args:
        cotangent: The cotangent of the product.
        x: As for `_evaluate_product`.
        vector: The vector; only its shape and type are known.
        host, transposed: As for `_evaluate_product`.
    """
    if isinstance(cotangent, ad.Zero):
        return [None, ad.Zero(vector.aval)]
    return [None, _product.bind(x, cotangent, host=host, transposed=not transposed)]


_product.def_impl(_evaluate_product)
_product.def_abstract_eval(_product_shape)
ad.primitive_jvps[_product] = _differentiate_product
ad.primitive_transposes[_product] = _transpose_product
batching.primitive_batchers[_product] = _batch_product
mlir.register_lowering(_product, mlir.lower_fun(_evaluate_product, multiple_results=False))


def _no_second_derivatives(host: Host) -> checks.Unsupported:
    return checks.Unsupported(
        f"the {host.name} has first derivatives only; second ones were asked for."
    )


def _callback(function: Callable[..., Any], columns: tuple[Array, ...], shapes: Any) -> Any:
    """What `function` gives of the rows of the `columns`, called from a compiled program; its
    results, of these `shapes`, fill the program's buffers.
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
