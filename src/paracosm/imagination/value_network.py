"""A network for values, whose layers are normalised: it learns from targets that move with it."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.networks import MLP
from paracosm.core.types import Array


class ValueNetwork(eqx.Module):
    """A perceptron of `SiLU(normalise(W x + b))`, `[state] -> scalar`.

    Layers normalised to mean 0 and variance 1 keep values from running away where targets are made
    of them (Ba et al. 2016; Hiraoka et al. 2022).
    """

    network: MLP

    def __call__(self, state: Float[Array, " state"]) -> Array:
        network = self.network
        x = (state - jax.lax.stop_gradient(network.center)) / jax.lax.stop_gradient(network.scale)
        for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
            x = x @ weight + bias
            x = (x - jnp.mean(x)) * jax.lax.rsqrt(jnp.var(x) + 1e-5)
            x = jax.nn.silu(x)
        return (x @ network.weights[-1] + network.biases[-1])[0]
