"""Activations: functions of one number, of which the range of the slopes over an interval is
known.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from paracosm.core.types import Array

# Farther out every slope below has reached its limit: exp(-50) is 2e-22, and 64 bits end at 2e-16.
_TAIL = 50.0
# Spacings of the floating numbers by which a computed slope may be off: some ten operations each.
_ROUNDING = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Activation:
    """A function of one number and, over an interval `[low, high]`, the range `(least, most)` of
    its slopes.

    Both act elementwise. The range holds the slope of every secant between two points of the
    interval.
    """

    name: str
    function: Callable[[Array], Array]
    slopes: Callable[[Array, Array], tuple[Array, Array]]


def _smooth(
    slope: Callable[[Array], Array], turns: Sequence[float]
) -> Callable[[Array, Array], tuple[Array, Array]]:
    """The range of a slope that is monotone between the points `turns`."""

    def slopes(low: Array, high: Array) -> tuple[Array, Array]:
        low, high = jnp.clip(low, -_TAIL, _TAIL), jnp.clip(high, -_TAIL, _TAIL)
        ends = [slope(low), slope(high)]
        inside = [slope(jnp.clip(turn, low, high)) for turn in turns]
        extremes = jnp.stack([*ends, *inside])
        rounding = _ROUNDING * jnp.finfo(extremes.dtype).eps
        return extremes.min(axis=0) - rounding, extremes.max(axis=0) + rounding

    return slopes


def _bent(left: float, right: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    """The range of a slope that is `left` below 0 and `right` above."""

    def slopes(low: Array, high: Array) -> tuple[Array, Array]:
        first, last = jnp.where(low < 0, left, right), jnp.where(high > 0, right, left)
        return jnp.minimum(first, last), jnp.maximum(first, last)

    return slopes


def _of_clip(low: Array, high: Array) -> tuple[Array, Array]:
    outside = (high <= -1) | (low >= 1)
    return jnp.where((low >= -1) & (high <= 1), 1.0, 0.0), jnp.where(outside, 0.0, 1.0)


def _of_sin(low: Array, high: Array) -> tuple[Array, Array]:
    """Between the cosines of the ends, unless a whole turn's top or bottom lies between them."""

    def holds(phase: float) -> Array:
        return jnp.floor((high - phase) / (2 * math.pi) + 1e-9) >= jnp.ceil(
            (low - phase) / (2 * math.pi) - 1e-9
        )

    ends = jnp.minimum(jnp.cos(low), jnp.cos(high)), jnp.maximum(jnp.cos(low), jnp.cos(high))
    largest = jnp.maximum(jnp.abs(low), jnp.abs(high))
    rounding = _ROUNDING * jnp.finfo(ends[0].dtype).eps * (1 + largest)
    least = jnp.where(holds(math.pi), -1.0, jnp.maximum(ends[0] - rounding, -1.0))
    return least, jnp.where(holds(0.0), 1.0, jnp.minimum(ends[1] + rounding, 1.0))


def _of_silu(x: Array) -> Array:
    return jax.nn.sigmoid(x) * (1 + x * jax.nn.sigmoid(-x))


def _of_gelu(x: Array) -> Array:
    return jax.scipy.stats.norm.cdf(x) + x * jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _of_gelu_tanh(x: Array) -> Array:
    """Slope of `x (1 + tanh(sqrt(2/π) (x + 0.044715 x³))) / 2` (Hendrycks & Gimpel 2016)."""
    inner, growth = 0.044715, math.sqrt(2 / math.pi)
    t = jnp.tanh(growth * (x + inner * x**3))
    return (1 + t) / 2 + x * (1 - t**2) * growth * (1 + 3 * inner * x**2) / 2


IDENTITY = Activation(
    "identity", lambda x: x, lambda low, high: (jnp.ones_like(low), jnp.ones_like(low))
)
TANH = Activation("tanh", jnp.tanh, _smooth(lambda x: 1 - jnp.tanh(x) ** 2, (0.0,)))
RELU = Activation("relu", jax.nn.relu, _bent(0.0, 1.0))
SOFTPLUS = Activation("softplus", jax.nn.softplus, _smooth(jax.nn.sigmoid, ()))
SIGMOID = Activation(
    "sigmoid", jax.nn.sigmoid, _smooth(lambda x: jax.nn.sigmoid(x) * jax.nn.sigmoid(-x), (0.0,))
)
# Slopes turn where the second derivative is 0: of silu at `x tanh(x/2) = 2`, of gelu at `x² = 2`,
# of its approximation nearby (a root found numerically).
SILU = Activation("silu", jax.nn.silu, _smooth(_of_silu, (-2.3993572805154, 2.3993572805154)))
GELU = Activation(
    "gelu",
    functools.partial(jax.nn.gelu, approximate=False),
    _smooth(_of_gelu, (-math.sqrt(2), math.sqrt(2))),
)
GELU_TANH = Activation(
    "gelu_tanh", jax.nn.gelu, _smooth(_of_gelu_tanh, (-1.4185040087908, 1.4185040087908))
)
SIN = Activation("sin", jnp.sin, _of_sin)
CLIP = Activation("clip", lambda x: jnp.clip(x, -1, 1), _of_clip)


@functools.cache
def leaky_relu(slope: float) -> Activation:
    """`x` above 0 and `slope · x` below."""
    return Activation("leaky_relu", lambda x: jnp.where(x >= 0, x, slope * x), _bent(slope, 1.0))
