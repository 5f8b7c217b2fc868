"""Networks that make features of one observation, and the encoder that makes beliefs of them."""

from __future__ import annotations

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from paracosm.core.encoder import Encoder, Observation, Window
from paracosm.core.networks import MLP
from paracosm.core.storage import storable
from paracosm.core.types import Action, Array, PRNGKey, State

_PIXELS = 16  # of a patch of 4x4
# Halved until a side is this small: what is left is flattened and goes through a dense network.
_SMALL = 7
_CHANNELS = (16, 32, 32)  # the first layer sees most pixels, and costs most


@storable
class ConvolutionalNetwork(eqx.Module):
    """Features `[features]` of a picture, `[height, width, channels]` in bytes, as a flat row.

    Convolutions of 4x4 pixels with stride 2 halve it until a side is at most 7; a dense network
    makes the features of what is left. Bytes enter as numbers from -1/2 to 1/2.

    Attributes:
        filters: Of each convolution, `[16 channels before, channels]`.
        biases: Of each convolution, `[channels]`.
        dense: From the last picture to the features.
        image: Height, width and channels of a picture.
    """

    filters: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    dense: MLP
    image: tuple[int, int, int] = eqx.field(static=True)

    def __init__(
        self, image: tuple[int, int, int], features: int, width: int, key: PRNGKey
    ) -> None:
        """Weights of a standard deviation that keeps the size of what goes through.

        Args:
            image: Height, width and channels of a picture.
            features: How many to make of it.
            width: Neurons of the hidden layer after the convolutions.
            key: Of the weights.
        """
        sides = [image[:2]]
        while min(sides[-1]) > _SMALL and len(sides) <= len(_CHANNELS):
            sides.append(_halved(sides[-1]))
        channels = (image[2], *_CHANNELS[: len(sides) - 1])
        drawn = zip(jax.random.split(key, len(sides)), itertools.pairwise(channels), strict=False)
        self.filters = tuple(
            jax.random.normal(k, (_PIXELS * m, n)) * math.sqrt(2 / (_PIXELS * m))
            for k, (m, n) in drawn
        )
        self.biases = tuple(jnp.zeros(n) for n in channels[1:])
        inputs = math.prod(sides[-1]) * channels[-1]
        self.dense = MLP(inputs, features, width, 1, jax.random.fold_in(key, 1))
        self.image = image

    def __call__(self, observation: Observation) -> Float[Array, " features"]:
        kind = self.dense.biases[0].dtype
        picture = observation.reshape(self.image).astype(kind) / 255 - 0.5
        for filters, bias in zip(self.filters, self.biases, strict=True):
            picture = jax.nn.silu(_patches(picture) @ filters + bias)
        return self.dense(picture.reshape(-1))


def _patches(picture: Float[Array, "height width channels"]) -> Float[Array, "_ _ _"]:
    """Every second patch of 4x4 pixels in a row of its own, `[height/2 - 1, width/2 - 1, 16
    channels]`.

    A convolution is then a product, which XLA compiles to code that is many times as fast on a
    CPU. Patches are four neighbouring blocks of 2x2 pixels; an odd side loses its last pixel.
    """
    height, width = (side // 2 for side in picture.shape[:2])
    blocks = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    blocks = blocks.transpose(0, 2, 1, 3, 4).reshape(height, width, -1)
    upper, lower = blocks[:-1], blocks[1:]
    corners = (upper[:, :-1], upper[:, 1:], lower[:, :-1], lower[:, 1:])
    return jnp.concatenate(corners, axis=-1)


def _halved(sides: tuple[int, int]) -> tuple[int, int]:
    """Height and width after a convolution."""
    return sides[0] // 2 - 1, sides[1] // 2 - 1


@storable
class EmbeddedWindow(Encoder):
    """Beliefs made of features: the window of what a network makes of each observation.

    `z_0 = initial(φ(o_0))`, `z_{t+1} = update(z_t, a_t, φ(o_{t+1}))` of a `Window`: the newest
    features, the differences between neighbours, and the actions between them.

    Attributes:
        embedding: φ, from one observation to its features.
        window: What makes beliefs of features.
    """

    embedding: ConvolutionalNetwork | MLP
    window: Window

    def initial(self, observation: Observation) -> State:
        return self.window.initial(self.embedding(observation))

    def update(self, state: State, action: Action, observation: Observation) -> State:
        return self.window.update(state, action, self.embedding(observation))


def new_embedding(
    observations: np.ndarray,
    image: tuple[int, int, int] | None,
    features: int,
    width: int,
    key: PRNGKey,
) -> ConvolutionalNetwork | MLP:
    """An untrained network from observations to features.

    Args:
        observations: Examples, `[rows, observation]`; of vectors they say centre and scale.
        image: Height, width and channels of pictures, None of vectors.
        features: How many to make of each.
        width: Neurons of its hidden layers.
        key: Of its weights.
    """
    if image is not None:
        return ConvolutionalNetwork(image, features, width, key)
    deviation = observations.std(axis=0)
    scale = jnp.asarray(np.where(deviation > 0, deviation, 1), jnp.float32)
    center = jnp.asarray(observations.mean(axis=0), jnp.float32)
    return MLP(observations.shape[1], features, width, 2, key, center=center, scale=scale)
