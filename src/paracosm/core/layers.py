"""What a part says of its own layers: affine maps with activations between them.

A part, a policy or a network that has the method `as_layers(spec) -> Layered` describes itself: it
gives the map that it computes, as one of its arguments in a row, `(s)`, `(s, a)` or `(s, a, s')` in
the environment's units, actions of a finite set one-hot. A Lipschitz bound can be proven of the
description, so it must compute the same numbers as the part. Further methods that a part may have:

- dynamics: `image() -> Domain`, the box that holds every next state;
- a reward: `reward_range() -> float`, no less than its largest value minus its smallest;
- an end rule that ends an episode where a margin is positive: `margin(s, a, s')`, and
  `margin_as_layers(spec) -> tuple[Layered, ...]`, networks whose mean is that margin.

A `Layered` network holds 64-bit NumPy arrays; `compose` and `beside` make larger ones of it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.linalg import block_diag

from paracosm.core import activations, checks
from paracosm.core.activations import Activation
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.types import Array


class Unreadable(checks.Unsupported):
    """A part is not made of layers whose slopes are known; the message is the clause that says what
    it is.
    """


def own(part: Any, method: str) -> Any:
    """A method that the class of `part` defines itself, or None.

    An inherited description does not count: a subclass may compute something else.
    """
    return getattr(part, method) if method in vars(type(part)) else None


def layers_of(part: Any, spec: Spec) -> Layered:
    """What a part, a policy or a network of Equinox says of its layers.

    Raises:
        Unreadable: it says nothing, or it holds an activation whose slopes are not known.
    """
    describe = own(part, "as_layers")
    if describe is not None:
        return describe(spec)
    if type(part) in _EQUINOX:
        return _EQUINOX[type(part)](part, spec)
    raise unknown(getattr(part, "__name__", type(part).__name__))


def unknown(name: str) -> Unreadable:
    """The error of a layer of this name."""
    return Unreadable(f"{name} is of a type whose slopes are not known")


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
    ranges = [n.activation.slopes(a, b) for (n, a), (_, b) in zip(lows, highs, strict=True)]
    least, most = zip(*ranges, strict=True)
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
        network = compose(activated(activations.IDENTITY, network.outputs), network)
    return network


def mean_of(networks: Sequence[Layered]) -> Layered:
    """The mean of networks: one network of all their hidden layers side by side."""
    members, outputs = len(networks), networks[0].outputs
    mean = np.concatenate([np.eye(outputs) / members] * members, axis=1)
    return compose(affine(mean), beside(*networks))


def encoded(space: Box | Discrete, states: int, after: int) -> Layered:
    """What a network sees of a row `(s, a, …)`: the action by `Box.encode`, one-hot actions as they
    are; `states` numbers stand before the action, `after` behind it.
    """
    scale, shift = np.ones(space.size), np.zeros(space.size)
    if isinstance(space, Box):
        low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)
        scale, shift = 2 / (high - low), -(high + low) / (high - low)
    diagonal = np.concatenate([np.ones(states), scale, np.ones(after)])
    return affine(np.diag(diagonal), np.concatenate([np.zeros(states), shift, np.zeros(after)]))


def clipped(low: Array, high: Array) -> Layered:
    """The nearest point of a box; a component whose bounds meet is constant.

    Raises:
        Unreadable: a bound is not finite.
    """
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise Unreadable("a bound of the box of states is not finite")
    middle, half = (low + high) / 2, (high - low) / 2
    inverse = np.divide(1, half, out=np.zeros_like(half), where=half > 0)
    unit = affine(np.diag(inverse), -middle * inverse)
    return compose(affine(np.diag(half), middle), activated(activations.CLIP, len(low)), unit)


def gaussian_mode(network: Layered, space: Box, reach: float, squash: bool) -> Layered:
    """`s ↦ centre + half · φ(reach · tanh(network(s) / reach))`, φ `tanh` or the clip to [-1, 1].

    Args:
        network: What gives the mean, in half-boxes from the centre.
        space: The box of actions, of which `centre` and `half` are.
        reach: What the mean never exceeds, in half-boxes.
        squash: Whether φ is `tanh`.
    """
    low, high = np.asarray(space.low, np.float64), np.asarray(space.high, np.float64)
    size = len(low)
    into_box = activated(activations.TANH if squash else activations.CLIP, size)
    limiter = compose(
        affine(reach * np.eye(size)),
        activated(activations.TANH, size),
        affine(np.eye(size) / reach),
    )
    return compose(affine(np.diag((high - low) / 2), (high + low) / 2), into_box, limiter, network)


def rescaled(network: Layered, inputs: Array | float, outputs: Array | float) -> Layered:
    """`x ↦ network(inputs · x) / outputs`: the same network in other units."""
    input_scale = np.diag(np.broadcast_to(np.asarray(inputs, np.float64), (network.inputs,)))
    output_scale = np.diag(1 / np.broadcast_to(np.asarray(outputs, np.float64), (network.outputs,)))
    return compose(affine(output_scale), network, affine(input_scale))


def in_a_row(
    row: Iterable[Any],
    activation_of: Callable[[Any], Activation | None],
    reader: Callable[[Any], Layered],
) -> Layered:
    """Layers of another library, one after the other.

    Args:
        row: The library's layers, the first one first.
        activation_of: The activation that a layer is, None if it is none.
        reader: What a layer that is no activation computes.

    Raises:
        Unreadable: there are no layers, or the first of them is an activation.
    """
    network: Layered | None = None
    for layer in row:
        activation = activation_of(layer)
        if activation is None:
            successor = reader(layer)
        elif network is None:
            raise Unreadable(
                "its first layer is an activation, so the number of inputs is not known"
            )
        else:
            successor = activated(activation, network.outputs)
        network = successor if network is None else compose(successor, network)
    if network is None:
        raise Unreadable("it has no layers")
    return network


def _linear(layer: eqx.nn.Linear, spec: Spec) -> Layered:
    return affine(layer.weight, 0.0 if layer.bias is None else layer.bias)


def _perceptron(part: eqx.nn.MLP, spec: Spec) -> Layered:
    network = layers_of(part.layers[0], spec)
    for layer in part.layers[1:]:
        activation = activated(_of_jax(part.activation), network.outputs)
        network = compose(layers_of(layer, spec), activation, network)
    return compose(activated(_of_jax(part.final_activation), network.outputs), network)


def _sequential(part: eqx.nn.Sequential, spec: Spec) -> Layered:
    return in_a_row(
        part.layers,
        lambda layer: _of_jax(layer.fn) if isinstance(layer, eqx.nn.Lambda) else None,
        lambda layer: layers_of(layer, spec),
    )


# Classes of Equinox cannot be given a method, so they are looked up by their exact type.
_EQUINOX: dict[type, Callable[[Any, Spec], Layered]] = {
    eqx.nn.Linear: _linear,
    eqx.nn.MLP: _perceptron,
    eqx.nn.Sequential: _sequential,
}
_JAX: dict[Any, Activation] = {
    jnp.tanh: activations.TANH,
    jax.nn.relu: activations.RELU,
    jax.nn.softplus: activations.SOFTPLUS,
    jax.nn.sigmoid: activations.SIGMOID,
    jax.nn.silu: activations.SILU,
    jax.nn.gelu: activations.GELU_TANH,
    jax.nn.leaky_relu: activations.leaky_relu(0.01),  # JAX's own default slope below 0
    jax.nn.identity: activations.IDENTITY,
    jnp.sin: activations.SIN,
}


def _of_jax(function: Any) -> Activation:
    if isinstance(function, functools.partial) and function.func is jax.nn.gelu:
        approximate = function.keywords.get("approximate", True)
        return activations.GELU_TANH if approximate else activations.GELU
    # The default last activation of Equinox: none.
    if getattr(function, "__module__", "") == "equinox.nn._mlp":
        return activations.IDENTITY
    try:
        return _JAX[function]
    except (KeyError, TypeError):  # a module's hash is that of its arrays, which have none
        name = getattr(function, "__name__", type(function).__name__)
        raise Unreadable(f"the activation {name} has slopes that are not known") from None
