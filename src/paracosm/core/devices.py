"""Mapping over a batch on all of the host's devices.

On a CPU one XLA device uses its cores poorly on the small matrix products of world models; as many
host devices as cores, each with its share of the batch, is faster
(`--xla_force_host_platform_device_count`, which the command line sets). The device count changes
rounding, so it is recorded with a run's configuration.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from paracosm.core.types import Array

AXIS = "device"


@functools.cache
def mesh(count: int) -> Mesh:
    """A line of as many devices as divide `count` rows evenly."""
    devices = jax.local_devices()
    used = max(n for n in range(1, len(devices) + 1) if count % n == 0)
    return jax.make_mesh((used,), (AXIS,), devices=devices[:used], axis_types=(AxisType.Auto,))


def on_all(tree: Any, count: int) -> Any:
    """The tree on every device of `mesh(count)`, to be called inside `jit`.

    `map_over_devices` with `total` returns it so: a program that takes either is compiled once.
    """
    arrays, rest = eqx.partition(tree, eqx.is_array)
    everywhere = NamedSharding(mesh(count), P())
    return eqx.combine(jax.lax.with_sharding_constraint(arrays, everywhere), rest)


def step_on_all(
    step: Callable[[Any, Any, Array], tuple[Any, Any]], state: Any, shared: Any, count: int
) -> tuple[Any, Any]:
    """A training step on every device at once, to be called inside `jit`.

    Args:
        step: `(state, shared, numbers) -> (state, metrics)` on a device's part of the numbers `0 …
            count - 1`; it sums over `AXIS` itself, so that both are equal on all devices.
        state: A pytree; leaves that are no arrays stay as they are.
        shared: What every device gets whole.
        count: How many numbers there are.
    """
    arrays, static = eqx.partition(state, eqx.is_array)

    def local(whole: tuple[Any, Any], numbers: Array) -> tuple[Any, Any]:
        arrays, shared = whole
        new, metrics = step(eqx.combine(arrays, static), shared, numbers)
        return eqx.filter(new, eqx.is_array), metrics

    call = map_over_devices(local, count, shared=1, total=True)
    arrays, metrics = call((arrays, shared), jnp.arange(count))
    return eqx.combine(arrays, static), metrics


def map_over_devices(
    local: Callable[..., Any], count: int, *, shared: int, total: bool = False
) -> Callable[..., Any]:
    """A function that calls `local` on every device at once, to be called inside `jit`.

    Arguments are pytrees whose leaves may be anything. Results are joined along their first axis,
    unless they are a `total`.

    Args:
        local: What runs on each device, on its part of the arrays.
        count: Length of the first axis, along which arrays are cut.
        shared: How many arguments, the first ones, every device gets whole.
        total: Whether results are equal on all devices, since `local` sums over `AXIS` itself;
            they are then returned once.
    """

    def call(*arguments: Any) -> Any:
        arrays, static = eqx.partition(arguments, eqx.is_array)

        def on_device(*arrays: Any) -> Any:
            return local(*eqx.combine(arrays, static))

        specs = (P(),) * shared + (P(AXIS),) * (len(arguments) - shared)
        out = P() if total else P(AXIS)
        return jax.shard_map(
            on_device, mesh=mesh(count), in_specs=specs, out_specs=out, check_vma=False
        )(*arrays)

    return call
