"""The multilayer perceptron that policies and learned parts share."""

from __future__ import annotations

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core import activations
from paracosm.core.layers import Layered, activated, affine, compose
from paracosm.core.mdp import Spec
from paracosm.core.storage import storable
from paracosm.core.types import Array, PRNGKey


@storable
class MLP(eqx.Module):
    """`x ↦ W_l tanh(… tanh(W_1 (x - center)/scale + b_1) …) + b_l`, `[inputs] -> [outputs]`.

    Weights are `[inputs, outputs]` so that a batch is a plain row-major product. `center` and
    `scale` (`[inputs]`) are constants of the data, not trained.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    center: Float[Array, " inputs"]
    scale: Float[Array, " inputs"]

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        depth: int,
        key: PRNGKey,
        *,
        center: Array | None = None,
        scale: Array | None = None,
        last: float = 1.0,
    ) -> None:
        """Glorot-normal weights and zero biases.

        Args:
            inputs, outputs: Numbers of components.
            width, depth: Of the hidden layers: neurons in each, and how many of them.
            key: Of the weights.
            center, scale: `[inputs]`; inputs enter as `(x - center) / scale`. 0 and 1 if not given.
            last: Factor of the last layer's weights.
        """
        sizes = (inputs, *(width,) * depth, outputs)
        layers = tuple(itertools.pairwise(sizes))
        ends = np.cumsum([m * n for m, n in layers])
        drawn = jnp.split(
            jax.random.normal(key, (int(ends[-1]),)), ends[:-1]
        )  # one draw: one to compile
        weights = [
            z.reshape(m, n) * math.sqrt(2 / (m + n))
            for z, (m, n) in zip(drawn, layers, strict=True)
        ]
        self.weights = (*weights[:-1], weights[-1] * last)
        self.biases = tuple(jnp.zeros(n) for n in sizes[1:])
        self.center = jnp.zeros(inputs) if center is None else jnp.asarray(center)
        self.scale = jnp.ones(inputs) if scale is None else jnp.asarray(scale)

    def __call__(self, x: Float[Array, " inputs"]) -> Float[Array, " outputs"]:
        x = (x - jax.lax.stop_gradient(self.center)) / jax.lax.stop_gradient(self.scale)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = jnp.tanh(x @ weight + bias)
        return x @ self.weights[-1] + self.biases[-1]

    def as_layers(self, spec: Spec) -> Layered:
        """The network itself; see `core/layers.py`."""
        scale = np.asarray(self.scale, np.float64)
        network = affine(np.diag(1 / scale), -np.asarray(self.center, np.float64) / scale)
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if i:
                network = compose(activated(activations.TANH, network.outputs), network)
            network = compose(affine(np.asarray(weight).T, bias), network)
        return network


def restandardised(network: MLP, center: Array, scale: Array) -> MLP:
    """The same function with other constants for its inputs, so that it can be trained on from
    there when the data have grown.

    `W (x - c) / s + b = W' (x - c') / s' + b'` for `W' = W s'/s` and `b' = b + W (c' - c) / s`.

    Args:
        network: What is to keep its values.
        center, scale: The new constants, `[inputs]`.
    """
    first, bias = network.weights[0], network.biases[0]
    return eqx.tree_at(
        lambda net: (net.weights[0], net.biases[0], net.center, net.scale),
        network,
        (
            first * (scale / network.scale)[:, None],
            bias + ((center - network.center) / network.scale) @ first,
            center,
            scale,
        ),
    )


def rescaled(network: MLP, factor: Array, shift: Array) -> MLP:
    """`x ↦ factor * network(x) + shift`, both `[outputs]`, as a network of the same shape."""
    return eqx.tree_at(
        lambda net: (net.weights[-1], net.biases[-1]),
        network,
        (network.weights[-1] * factor, network.biases[-1] * factor + shift),
    )


def unstacked(ensemble: MLP) -> list[MLP]:
    """The networks of a stack `[member, …]`, one by one."""
    return [
        jax.tree.map(lambda leaf, i=i: leaf[i], ensemble) for i in range(len(ensemble.biases[0]))
    ]
