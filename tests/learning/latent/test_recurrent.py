"""A recurrent filter learned with the dynamics of its beliefs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.encoder import encode_rows
from paracosm.core.storage import describe
from paracosm.learning.latent import recurrent
from paracosm.learning.latent.recurrent import RecurrentSettings, fit_recurrent
from tests.learning.latent.examples import IMAGE, SPACE, episodes

SMALL = RecurrentSettings(
    memory=24, stochastic=4, features=8, steps=8, width=32, batch=32, most_steps=800, rate=3e-3
)


@pytest.fixture(scope="module")
def fitted():
    data = episodes(150)
    return data, fit_recurrent(data, SPACE, jax.random.key(0), settings=SMALL)


def test_what_is_seen_and_paid_is_read_from_beliefs(fitted):
    data, fit = fitted
    assert fit.losses["observation"] < 0.2
    decoded = fit.networks.decode(jnp.asarray(encode_rows(fit.networks.encoder, data).state))
    missed = np.mean((decoded - data.state) ** 2, axis=0)
    assert (missed < 0.2 * np.var(data.state, axis=0)).all()
    assert fit.losses["reward"] < 0.3


def test_its_dynamics_move_on_the_memory_exactly_and_know_the_next_belief_better_than_none(fitted):
    data, fit = fitted
    encoder = fit.networks.encoder
    beliefs = encode_rows(encoder, data)
    late = data.time >= 3  # of the speed nothing can be known before
    dynamics, key = fit.parts["dynamics"], jax.random.key(0)
    states, after = beliefs.state[late], beliefs.next_state[late]
    predicted = jax.vmap(lambda z, a: dynamics(z, a, key))(states, data.action[late])
    np.testing.assert_allclose(predicted[:, :24], after[:, :24], atol=1e-4)
    missed, moved = (np.mean((guess - after)[:, 24:] ** 2) for guess in (predicted, states))
    assert missed < moved / 2
    rewards = jax.vmap(fit.parts["reward"])(states, data.action[late], after)
    assert np.mean((rewards - data.reward[late]) ** 2) < np.var(data.reward) / 2


def test_a_fit_goes_on_from_the_one_before_whatever_rewards_came_since(fitted):
    data, fit = fitted
    later = dataclasses.replace(data, reward=data.reward + 100 * (data.time == 0))
    going = dataclasses.replace(SMALL, most_steps=1, rate=1e-9)
    again = fit_recurrent(later, SPACE, jax.random.key(1), settings=going, before=fit.networks)
    beliefs = encode_rows(fit.networks.encoder, data)
    rows = (beliefs.state, beliefs.action, beliefs.next_state)
    first, second = (jax.vmap(world.parts["reward"])(*rows) for world in (fit, again))
    np.testing.assert_allclose(second, first, atol=1e-4)


def test_divergences_are_those_of_gaussians():
    mean, spread = np.array([0.3, -1.0]), np.array([0.5, 2.0])
    prior = np.array([0.0, 0.5]), np.array([1.0, 1.5])
    draws = mean + spread * np.random.default_rng(0).normal(size=(200_000, 2))
    densities = [-0.5 * ((draws - m) / s) ** 2 - np.log(s) for m, s in ((mean, spread), prior)]
    sampled = np.mean(np.sum(densities[0] - densities[1], axis=1))
    exact = recurrent._divergence((mean, spread), prior)
    assert exact == pytest.approx(sampled, abs=0.02)  # five standard errors
    assert recurrent._balanced_divergence((mean, spread), prior) == pytest.approx(exact)


def test_the_balance_moves_the_prior_four_times_as_much_as_the_posterior():
    posterior, prior = jnp.array([0.3]), jnp.array([-0.2])
    spread = jnp.ones(1)
    slopes = jax.grad(
        lambda q, p: recurrent._balanced_divergence((q, spread), (p, spread)), (0, 1)
    )(posterior, prior)
    assert float(slopes[1][0]) == pytest.approx(-4 * float(slopes[0][0]))


@pytest.mark.full
def test_pictures_are_filtered_too_and_a_fit_goes_on():
    data = episodes(4, pixels=True)
    settings = dataclasses.replace(SMALL, most_steps=2)
    first = fit_recurrent(data, SPACE, jax.random.key(0), image=IMAGE, settings=settings)
    again = fit_recurrent(
        data, SPACE, jax.random.key(0), image=IMAGE, settings=settings, before=first.networks
    )
    assert describe(again.networks)
    assert again.losses["observation"] != first.losses["observation"]
    assert describe(tuple(again.parts.values()))
