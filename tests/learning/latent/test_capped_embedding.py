"""Embeddings whose Lipschitz constant is held while they are learned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.averaged_activations import spectral
from paracosm.core.precision import in_double
from paracosm.learning.latent.capped_embedding import CappedEmbedding, embedding_bound
from paracosm.learning.latent.embedding import new_embedding
from paracosm.learning.lipschitz_control import schatten
from tests.learning.latent.test_joint import fitted

IMAGES = {"vectors": None, "small": (9, 8, 1), "overlapping": (36, 32, 2)}


def random_embedding(image, seed):
    """With weights of a size at which activations bend, and observations of it."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(50, 3)) if image is None else rng.integers(0, 256, (50, np.prod(image)))
    embedding = new_embedding(rows, image, 4, 16, jax.random.key(seed))
    return jax.tree.map(lambda leaf: leaf * rng.uniform(0.5, 2), embedding), rows


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_no_slope_of_a_random_embedding_exceeds_its_bound(image, seed):
    embedding, rows = random_embedding(image, seed)
    with jax.enable_x64(True):
        embedding = in_double(embedding)
        bound, loose = (float(embedding_bound(embedding, norm)) for norm in (spectral, schatten))
        unit = np.asarray(embedding.scale) if image is None else 255.0
        jacobians = jax.vmap(jax.jacrev(embedding))(jnp.asarray(rows[:10], float)) * unit
        steepest = np.linalg.norm(jacobians, 2, axis=(1, 2)).max()
    assert 0.01 * bound < steepest <= bound <= loose * (1 + 1e-9)


@pytest.mark.parametrize("pixels", [False, pytest.param(True, marks=pytest.mark.full)])
def test_what_is_learned_keeps_the_constant_and_would_not_without(pixels):
    free, held = (
        fitted(pixels=pixels, most_steps=300, constant=constant)[1].networks.encoder.embedding
        for constant in (None, 0.5)
    )
    with jax.enable_x64(True):
        bounds = [float(embedding_bound(in_double(part), spectral)) for part in (free, held)]
    assert bounds[1] <= 0.5 < bounds[0]
    assert bounds[1] > 0.4, "and it is made use of"
    assert type(held) is type(free)


def test_a_fit_that_goes_on_holds_it_from_where_it_was():
    embedding, rows = random_embedding(None, 0)
    held = CappedEmbedding(embedding, 0.5)
    again = CappedEmbedding(held.draw_back(), 0.5)
    np.testing.assert_allclose(again.factor(), 1, rtol=1e-5)
    for row in rows[:5]:
        np.testing.assert_allclose(again(row), held(row), rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_a_constant_that_nothing_reaches_changes_nothing():
    _, free = fitted(pixels=False)
    _, held = fitted(pixels=False, constant=1e6)
    for name, loss in free.losses.items():
        assert held.losses[name] == pytest.approx(loss, rel=0.05, abs=1e-3)
