"""Asking a foreign function from inside a compiled JAX program, with derivatives.

One callback returns value and dense Jacobian, and the tangent is a JAX product, so that forward and
reverse mode both work; under `vmap` one callback serves the whole batch. The callback reads and
writes the program's own buffers: JAX's plain host callback copies through JAX, which hangs on large
batches with several host devices, and loses the last 32 bits where 64 are enabled for the calling
thread only."""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.types import Array
from paracosm.real.foreign.host import Host

# Inputs; beyond, a dense Jacobian costs more than it is worth and there is reverse mode only
MOST_DENSE = 128

_MOST_FAILURES = 8  # of one program: each device may fail
_NOTE = "A foreign function said so."
_failures: collections.deque[checks.ParacosmError] = collections.deque(maxlen=_MOST_FAILURES)


def ask(host: Host, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
    """The foreign function's answer to one row; map it over batches with `jax.vmap`."""
    return _dense(host, x) if x.shape[0] <= MOST_DENSE else _reverse(host, x)


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Around compiled programs: a foreign function's complaint is raised as itself, not as JAX's
    account of it.

    That account is a JaxRuntimeError, or from later calls of a program a ValueError, and holds the
    complaint's words. The complaint carries a note, by which `complained` tells it from what our
    own checks refuse."""
    _failures.clear()
    try:
        yield
    except checks.ParacosmError:
        raise
    except Exception as error:
        failure = next((failure for failure in _failures if str(failure) in str(error)), None)
        if failure is None:
            raise
        _forget()
        failure.add_note(_NOTE)
        raise failure from None


def _forget() -> None:
    """Let JAX forget programs that failed: it waits for them when Python exits, and would print a
    second traceback.
    """
    _failures.clear()
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("jax._src.dispatch").runtime_tokens.clear()


def complained(error: Exception) -> bool:
    """Whether this is a foreign function's own complaint, raised within `plainly`."""
    return _NOTE in getattr(error, "__notes__", ())


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
            found = function(rows.reshape(-1, rows.shape[-1]))
        except checks.ParacosmError as error:
            _failures.append(error)
            raise
        for buffer, result in (
            zip(out, found, strict=True) if isinstance(out, tuple) else ((out, found),)
        ):
            place = np.asarray(buffer)
            place[...] = result.reshape(place.shape)

    return buffer_callback(fill, shapes, vmap_method="broadcast_all")(jnp.asarray(x))
