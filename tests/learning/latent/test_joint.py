"""An encoder learned together with the world of its beliefs."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.encoder import encode_rows
from paracosm.core.mdp import Discrete
from paracosm.core.storage import describe
from paracosm.learning.latent.embedding import ConvolutionalNetwork, new_embedding
from paracosm.learning.latent.frames import frames_of
from paracosm.learning.latent.joint import (
    JointObjective,
    LatentSettings,
    _init_networks,
    fit_latent,
)
from paracosm.learning.latent.training import _split
from tests.learning.latent.examples import IMAGE, SPACE, episodes

DISCRETE = Discrete(3)
SMALL = LatentSettings(features=2, steps=3, width=32, batch=32, most_steps=800, rate=3e-3)


def fitted(*, pixels, **changed):
    settings = dataclasses.replace(SMALL, **changed)
    image = IMAGE if pixels else None
    data = episodes(150, pixels=pixels)
    return data, fit_latent(data, SPACE, jax.random.key(0), image=image, settings=settings)


@pytest.fixture(scope="module")
def of_pictures():
    return fitted(pixels=True)


def test_rewards_and_features_are_predicted_from_pictures_and_nothing_collapses(of_pictures):
    data, fit = of_pictures
    # Of features with a variance of about 1; it was 0.19 and 0.22 of two choices of held-out rows.
    assert fit.losses["prediction"] < 0.25
    assert fit.losses["reward"] < 0.2
    features = jax.vmap(fit.networks.encoder.embedding)(data.state)
    assert np.std(features, axis=0).min() > 0.3


def test_without_variance_and_covariance_there_is_less_to_tell_observations_apart(monkeypatch):
    _, full = fitted(pixels=False)
    monkeypatch.setattr(JointObjective, "total", lambda _, losses: losses["prediction"])
    _, reduced = fitted(pixels=False, batch=31)  # another size, for which the loss is traced anew
    assert reduced.losses["variance"] > full.losses["variance"] + 0.05


def test_beliefs_hold_the_speed_that_no_picture_shows(of_pictures):
    data, fit = of_pictures
    beliefs = encode_rows(fit.networks.encoder, data)
    features = fit.networks.encoder.embedding
    now, after = (np.asarray(jax.vmap(features)(rows)) for rows in (data.state, data.next_state))
    np.testing.assert_allclose(beliefs.next_state[:, :2], after, atol=1e-4)
    np.testing.assert_allclose(beliefs.next_state[:, 2:4], after - now, atol=1e-4)


def test_its_parts_are_a_world_of_beliefs_that_knows_the_next_one_and_its_reward(of_pictures):
    data, fit = of_pictures
    beliefs, key = encode_rows(fit.networks.encoder, data), jax.random.key(0)
    late = data.time > 0
    states, actions, after = (
        column[late] for column in (beliefs.state, beliefs.action, beliefs.next_state)
    )
    predicted = jax.vmap(lambda z, a: fit.parts["dynamics"](z, a, key))(states, actions)
    np.testing.assert_allclose(predicted[:, -1:], actions, atol=1e-6)  # the newest action in it
    missed, moved = (np.mean((guess - after)[:, :2] ** 2) for guess in (predicted, states))
    assert missed < moved / 4
    rewards = jax.vmap(fit.parts["reward"])(states, actions, after)
    assert np.mean((rewards - data.reward[late]) ** 2) < np.var(data.reward) / 4
    assert describe(tuple(fit.parts.values()))


def test_a_fit_goes_on_from_the_one_before_whatever_rewards_came_since(of_pictures):
    """The unit of rewards is another one then, and the rewards learned are the same."""
    data, fit = of_pictures
    later = dataclasses.replace(data, reward=data.reward + 100 * (data.time == 0))
    going = dataclasses.replace(SMALL, most_steps=1, rate=1e-9)
    again = fit_latent(
        later, SPACE, jax.random.key(1), image=IMAGE, settings=going, before=fit.networks
    )
    beliefs = encode_rows(fit.networks.encoder, data)
    rows = (beliefs.state, beliefs.action, beliefs.next_state)
    first, second = (jax.vmap(world.parts["reward"])(*rows) for world in (fit, again))
    np.testing.assert_allclose(second, first, atol=1e-4)
    assert describe(fit.networks)


def test_nothing_bought_is_nothing_to_learn_from():
    data = episodes(2)
    none = dataclasses.replace(data, has_transition=np.zeros(data.real_steps, bool))
    with pytest.raises(checks.BadData, match="no transition was bought"):
        fit_latent(none, SPACE, jax.random.key(0))


@pytest.mark.parametrize(
    ("pixels", "image", "space"),
    [
        (True, None, SPACE),
        (True, (5, 5, 1), SPACE),
        (False, (1, 2, 1), SPACE),
        (False, None, DISCRETE),
    ],
)
def test_observations_and_actions_of_another_form_are_refused(pixels, image, space):
    with pytest.raises(checks.BadArgument):
        fit_latent(episodes(2, pixels=pixels), space, jax.random.key(0), image=image)


def test_a_component_that_does_not_vary_is_no_unit():
    data = episodes(4)
    state = np.concatenate([data.state, np.full((len(data.state), 1), 0.1, np.float32)], axis=1)
    embedding = new_embedding(state, None, 2, 8, jax.random.key(0))
    assert float(embedding.scale[2]) == 1


def test_windows_of_a_stretch_of_every_ten_are_held_out_and_the_newest_rows_are_trained_on():
    train, held = _split(frames_of(episodes(200), 1))
    assert len(held) == 200
    assert not set(train) & set(held)
    assert max(train) == 2399


@pytest.mark.parametrize(
    "image", [(32, 32, 1), (24, 24, 3), (64, 64, 3), (5, 9, 2), (1, 1, 1), (64, 3, 1)]
)
def test_pictures_of_every_supported_size_have_features(image):
    network = ConvolutionalNetwork(image, 6, 16, jax.random.key(0))
    rows = np.random.default_rng(0).integers(0, 256, (2, np.prod(image)), np.uint8)
    features = np.asarray(jax.vmap(network)(rows))
    assert features.shape == (2, 6)
    assert (features[0] != features[1]).any()


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_the_derivative_is_that_of_the_loss_unless_targets_have_none(stop_gradient):
    settings = dataclasses.replace(SMALL, stop_gradient=stop_gradient)
    data = episodes(4)
    networks = _init_networks(data, SPACE, None, settings, jax.random.key(0))
    objective = JointObjective(
        frames=frames_of(data, 1),
        reward_center=jnp.zeros(()),
        reward_scale=jnp.ones(()),
        settings=settings,
    )
    embedding: Any = networks.encoder.embedding
    leaf = embedding.weights[-1]

    def prediction(by):
        moved = eqx.tree_at(lambda net: net.encoder.embedding.weights[-1], networks, leaf + by)
        return objective.losses(moved, np.arange(20), jax.random.key(0))["prediction"]

    slope = jax.grad(lambda by: prediction(by * jnp.ones_like(leaf)))(0.0)
    difference = (prediction(1e-2) - prediction(-1e-2)) / 2e-2
    assert np.isclose(slope, difference, rtol=0.02) == (not stop_gradient)
