"""Networks that make features of one observation, and the encoder that makes beliefs of them."""

from __future__ import annotations

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
from paracosm.learning.scaling import not_zero, standard

_SIDE = 4  # of a patch
# Halved until a side is this small: what is left is flattened and goes through a dense network.
_SMALL = 7
_CHANNELS = 32


@storable
class ConvolutionalNetwork(eqx.Module):
    """Features `[features]` of a picture, `[height, width, channels]` in bytes, as a flat row.

    A convolution of 4x4 pixels with stride 4, then such of stride 2 until a side is at most 7; a
    dense network makes the features of what is left. Bytes enter as numbers from -1/2 to 1/2, and
    a side is filled up to a multiple of 4. The first stride is what makes it cheap: on a CPU the
    time goes into the pictures that layers hand on, not into products.

    Attributes:
        filters: The weights of each convolution, `[16 channels before, channels]`.
        biases: The biases of each convolution, `[channels]`.
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
            features: How many features to make of it.
            width: Neurons of the hidden layer after the convolutions.
            key: Randomness of the weights.
        """
        height, width_left = (-(-side // _SIDE) for side in image[:2])
        inputs = [_SIDE**2 * image[2]]
        while min(height, width_left) > _SMALL:
            height, width_left = height // 2 - 1, width_left // 2 - 1
            inputs.append(_SIDE**2 * _CHANNELS)
        *keys, last = jax.random.split(key, len(inputs) + 1)
        self.filters = tuple(
            jax.random.normal(k, (n, _CHANNELS)) * math.sqrt(2 / n)
            for k, n in zip(keys, inputs, strict=True)
        )
        self.biases = tuple(jnp.zeros(_CHANNELS) for _ in inputs)
        self.dense = MLP(height * width_left * _CHANNELS, features, width, 1, last)
        self.image = image

    def __call__(self, observation: Observation) -> Float[Array, " features"]:
        kind = self.dense.biases[0].dtype
        picture = observation.reshape(self.image).astype(kind) / 255 - 0.5
        for layer, (filters, bias) in enumerate(zip(self.filters, self.biases, strict=True)):
            patches = _overlapping_patches(picture) if layer else _blocks(_pad(picture), _SIDE)
            picture = jax.nn.silu(patches @ filters + bias)
        return self.dense(picture.reshape(-1))


def _pad(picture: Float[Array, "height width channels"]) -> Float[Array, "_ _ channels"]:
    """The picture with sides that are multiples of a patch's."""
    padding = ((0, -picture.shape[0] % _SIDE), (0, -picture.shape[1] % _SIDE), (0, 0))
    return jnp.pad(picture, padding)


def _blocks(picture: Float[Array, "height width channels"], side: int) -> Float[Array, "_ _ _"]:
    """Squares of `side` pixels side by side, each in a row of its own; what is over is lost."""
    height, width = (length // side for length in picture.shape[:2])
    cut = picture[: side * height, : side * width]
    return (
        cut.reshape(height, side, width, side, -1)
        .transpose(0, 2, 1, 3, 4)
        .reshape(height, width, -1)
    )


def _overlapping_patches(
    picture: Float[Array, "height width channels"],
) -> Float[Array, "_ _ _"]:
    """Every second patch of 4x4 pixels, each in a row of its own: four neighbouring blocks of 2x2.

    A convolution is then a product, which XLA compiles for a CPU to faster code.
    """
    blocks = _blocks(picture, _SIDE // 2)
    upper, lower = blocks[:-1], blocks[1:]
    corners = (upper[:, :-1], upper[:, 1:], lower[:, :-1], lower[:, 1:])
    return jnp.concatenate(corners, axis=-1)


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
        image: Height, width and channels of pictures, None if observations are vectors.
        features: How many features to make of each observation.
        width: Neurons of its hidden layers.
        key: Randomness of its weights.
    """
    if image is not None:
        return ConvolutionalNetwork(image, features, width, key)
    scaling = standard(observations)
    center, scale = jnp.asarray(scaling.center), jnp.asarray(not_zero(scaling.scale))
    return MLP(observations.shape[1], features, width, 2, key, center=center, scale=scale)
