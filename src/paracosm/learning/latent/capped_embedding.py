"""Embeddings whose Lipschitz constant is held at ℓ while they are learned.

Like the parts of `learning/lipschitz_control.py`, an embedding φ with last bias b is drawn back,

    o ↦ t (φ(o) - b) + b,  t = min(1, ℓ / L)

with L a bound in closed form. Of a dense network it is that of averaged activations; a convolution
has the norm of its filters where patches lie side by side, and at most twice that where each pixel
is in four of them. Once it is trained, t becomes part of the last layer.
"""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.averaged_activations import Norm, averaged_bound
from paracosm.core.encoder import Observation
from paracosm.core.networks import MLP
from paracosm.core.precision import in_double
from paracosm.core.types import Array, Scalar
from paracosm.learning.latent.embedding import ConvolutionalNetwork
from paracosm.learning.lipschitz_control import TINY_BOUND, schatten

_SILU = 1.1  # the greatest slope is 1.0998, the least -0.0998
_ROUNDING = 1e-6  # relative: of norms in 64 bits, and of weights that are stored in 32


class CappedEmbedding(eqx.Module):
    """An embedding while it is learned: its features move by at most ℓ times as much as an
    observation, vectors divided by their standard deviation, pictures with bytes from 0 to 1.

    Attributes:
        embedding: φ.
        constant: ℓ.
    """

    embedding: ConvolutionalNetwork | MLP
    constant: float = eqx.field(static=True)

    def __call__(self, observation: Observation) -> Float[Array, " features"]:
        bias = _dense(self.embedding).biases[-1]
        return self.factor() * (self.embedding(observation) - bias) + bias

    def factor(self) -> Scalar:
        """The factor t."""
        bound = embedding_bound(self.embedding, schatten)
        return jnp.minimum(1.0, self.constant / jnp.maximum(bound, TINY_BOUND))

    def draw_back(self) -> ConvolutionalNetwork | MLP:
        """The embedding with the factor in its last layer."""
        with jax.enable_x64(True):
            factor = float(in_double(self).factor()) * (1 - _ROUNDING)
        return eqx.tree_at(
            lambda embedding: _dense(embedding).weights[-1],
            self.embedding,
            replace_fn=lambda last: last * jnp.float32(factor),
        )


def embedding_bound(embedding: ConvolutionalNetwork | MLP, norm: Norm) -> Scalar:
    """L: no two observations have features that are farther apart than L times what lies between
    them.

    Args:
        embedding: An embedding of vectors or of pictures.
        norm: No less than the norm of a matrix; see `core/averaged_activations.py`.
    """
    dense = _dense(embedding)
    slopes = [(jnp.zeros_like(bias), jnp.ones_like(bias)) for bias in dense.biases[:-1]]
    bound = averaged_bound([weight.T for weight in dense.weights], slopes, norm=norm)
    if isinstance(embedding, MLP):
        return bound
    for number, filters in enumerate(embedding.filters):
        overlap = 2 if number else 1
        bound = bound * overlap * _SILU * norm(filters, jnp.abs(filters))
    return bound


def _dense(embedding: ConvolutionalNetwork | MLP) -> MLP:
    """The network of dense layers that an embedding ends in, or is."""
    return embedding if isinstance(embedding, MLP) else embedding.dense
