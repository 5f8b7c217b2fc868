"""Networks as affine maps with activations between them, of which the slopes are known (theory,
section 1).

A `Layered` network holds 64-bit NumPy arrays. It is what a Lipschitz bound can be proven of;
`readers.py` turns learned parts, policies and foreign networks into it, and `compose` makes the
closed loop of two.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag

from paracosm.core.types import Array

_TAIL = 50.0  # farther out every slope below has reached its limit, in 64 bits


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

    def over(low: Array, high: Array) -> tuple[Array, Array]:
        low, high = jnp.clip(low, -_TAIL, _TAIL), jnp.clip(high, -_TAIL, _TAIL)
        ends = [slope(low), slope(high)]
        inside = [slope(jnp.clip(turn, low, high)) for turn in turns]
        found = jnp.stack([*ends, *inside])
        rounding = 64 * jnp.finfo(found.dtype).eps
        return found.min(axis=0) - rounding, found.max(axis=0) + rounding

    return over


def _bent(left: float, right: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    """The range of a slope that is `left` below 0 and `right` above."""

    def over(low: Array, high: Array) -> tuple[Array, Array]:
        first, last = jnp.where(low < 0, left, right), jnp.where(high > 0, right, left)
        return jnp.minimum(first, last), jnp.maximum(first, last)

    return over


def _of_clip(low: Array, high: Array) -> tuple[Array, Array]:
    outside = (high <= -1) | (low >= 1)
    return jnp.where((low >= -1) & (high <= 1), 1.0, 0.0), jnp.where(outside, 0.0, 1.0)


def _of_sin(low: Array, high: Array) -> tuple[Array, Array]:
    def holds(phase: float) -> Array:
        return jnp.floor((high - phase) / (2 * math.pi) + 1e-9) >= jnp.ceil(
            (low - phase) / (2 * math.pi) - 1e-9
        )

    ends = jnp.minimum(jnp.cos(low), jnp.cos(high)), jnp.maximum(jnp.cos(low), jnp.cos(high))
    rounding = 64 * jnp.finfo(ends[0].dtype).eps * (1 + jnp.maximum(jnp.abs(low), jnp.abs(high)))
    least = jnp.where(holds(math.pi), -1.0, jnp.maximum(ends[0] - rounding, -1.0))
    return least, jnp.where(holds(0.0), 1.0, jnp.minimum(ends[1] + rounding, 1.0))


def _of_silu(x: Array) -> Array:
    return jax.nn.sigmoid(x) * (1 + x * jax.nn.sigmoid(-x))


def _of_gelu(x: Array) -> Array:
    return jax.scipy.stats.norm.cdf(x) + x * jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _of_gelu_tanh(x: Array) -> Array:
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


class Neurons(NamedTuple):
    """So many neighbouring neurons of one activation."""

    activation: Activation
    width: int


class Layered(eqx.Module):
    """`x ↦ W_l φ(… φ(W_1 x + b_1) …) + b_l`, `[inputs] -> [outputs]`.

    `weights` are `[outputs, inputs]`, one more than there are `hidden` layers; a hidden layer is a
    row of neurons.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    hidden: tuple[tuple[Neurons, ...], ...] = eqx.field(static=True)

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        for weight, bias, neurons in zip(self.weights, self.biases, self.hidden, strict=False):
            x = activate(neurons, weight @ x + bias)
        return self.weights[-1] @ x + self.biases[-1]

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.weights[0].shape[1]

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.weights[-1].shape[0]


def activate(neurons: tuple[Neurons, ...], x: Float[Array, " width"]) -> Float[Array, " width"]:
    """What a layer's neurons make of their inputs."""
    return jnp.concatenate([n.activation.function(part) for n, part in _parts(neurons, x)])


def slope_range(neurons: tuple[Neurons, ...], low: Array, high: Array) -> tuple[Array, Array]:
    """Least and greatest slope of each neuron of a layer whose inputs lie in `[low, high]`,
    `[width]` each.
    """
    lows, highs = _parts(neurons, low), _parts(neurons, high)
    found = [n.activation.slopes(a, b) for (n, a), (_, b) in zip(lows, highs, strict=True)]
    least, most = zip(*found, strict=True)
    return jnp.concatenate(least), jnp.concatenate(most)


def _parts(neurons: tuple[Neurons, ...], x: Array) -> list[tuple[Neurons, Array]]:
    ends = list(itertools.accumulate(n.width for n in neurons))
    return [(n, x[end - n.width : end]) for n, end in zip(neurons, ends, strict=True)]


def affine(weight: Array, bias: Array | float = 0.0) -> Layered:
    """`x ↦ weight x + bias`."""
    weight = np.asarray(weight, np.float64)
    return Layered(
        (weight,), (np.broadcast_to(np.asarray(bias, np.float64), weight.shape[:1]).copy(),), ()
    )


def identity(size: int) -> Layered:
    """`x ↦ x`."""
    return affine(np.eye(size))


def activated(activation: Activation, size: int) -> Layered:
    """The activation alone, on each of `size` components."""
    eye, zero = np.eye(size), np.zeros(size)
    return Layered((eye, eye), (zero, zero), ((Neurons(activation, size),),))


def compose(last: Layered, *earlier: Layered) -> Layered:
    """`x ↦ last(… first(x))`: the affine maps that meet become one."""
    if not earlier:
        return last
    inner = compose(*earlier)
    meeting = last.weights[0] @ inner.weights[-1]
    shift = last.weights[0] @ inner.biases[-1] + last.biases[0]
    return Layered(
        (*inner.weights[:-1], meeting, *last.weights[1:]),
        (*inner.biases[:-1], shift, *last.biases[1:]),
        inner.hidden + last.hidden,
    )


def beside(*networks: Layered) -> Layered:
    """`x ↦ (first(x), second(x), …)`: side by side, the shallower carried on by neurons of
    slope 1.
    """
    depth = max(len(network.hidden) for network in networks)
    padded = [_deepened(network, depth) for network in networks]
    weights = [
        np.asarray(block_diag(*layer))
        for layer in zip(*(n.weights[1:] for n in padded), strict=True)
    ]
    if depth == 0:
        weights = []
    return Layered(
        (np.concatenate([n.weights[0] for n in padded]), *weights),
        tuple(np.concatenate(layer) for layer in zip(*(n.biases for n in padded), strict=True)),
        tuple(sum(layer, ()) for layer in zip(*(n.hidden for n in padded), strict=True)),
    )


def _deepened(network: Layered, depth: int) -> Layered:
    for _ in range(depth - len(network.hidden)):
        network = compose(activated(IDENTITY, network.outputs), network)
    return network


def rescaled(network: Layered, inputs: Array | float, outputs: Array | float) -> Layered:
    """`x ↦ network(inputs · x) / outputs`: the same network in other units."""
    into = np.diag(np.broadcast_to(np.asarray(inputs, np.float64), (network.inputs,)))
    out = np.diag(1 / np.broadcast_to(np.asarray(outputs, np.float64), (network.outputs,)))
    return compose(affine(out), network, affine(into))
