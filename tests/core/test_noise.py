"""Models of label noise: what they draw has the mean and the variance they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from paracosm.core import checks
from paracosm.core.data import RewardLabels
from paracosm.core.noise import (
    Bias,
    Flips,
    GaussianNoise,
    HeavyTailedNoise,
    LocalNoise,
    ProportionalNoise,
    mislabelled,
)
from tests.statistical import assert_distribution, assert_mean, assert_share

STATE, ACTION, AFTER = jnp.array([1.0, -2.0]), jnp.array([0.5]), jnp.array([3.0, 0.0])
STEP = (STATE, ACTION, AFTER)
DRAWS = 20_000

MODELS = {
    "Gaussian": (GaussianNoise(1.5), 2.0),
    "heavy-tailed": (HeavyTailedNoise(1.5, 9.0), 2.0),
    "proportional": (ProportionalNoise(0.2, 0.7), -2.0),
    "local": (LocalNoise(lambda s, a, t: s[0] + t[0] * a[0]), 2.0),
    "constant bias": (Bias(0.7), 2.0),
    "bias by place": (Bias(lambda s, a, t: s[1] * a[0]), 2.0),
    "flips of a 1": (Flips(0.0, 1.0, 0.2), 1.0),
    "flips of a -3": (Flips(-3.0, 1.0, 0.4), -3.0),
}


def draws(model, reward: float) -> np.ndarray:
    keys = jax.random.split(jax.random.key(0), DRAWS)
    labels = jax.vmap(lambda key: model.apply(jnp.asarray(reward), *STEP, key))(keys)
    return np.asarray(labels, np.float64)


@pytest.mark.parametrize("name", MODELS)
def test_labels_have_the_mean_and_variance_that_is_said(name):
    model, reward = MODELS[name]
    labels = draws(model, reward)
    mean = reward + float(model.mean_shift(jnp.asarray(reward), *STEP))
    assert_mean(labels, mean, rounding=1e-6)
    assert_mean(
        (labels - mean) ** 2, float(model.variance(jnp.asarray(reward), *STEP)), rounding=1e-6
    )


def test_what_the_models_say_is_what_was_asked_for():
    reward = jnp.asarray(-2.0)
    assert float(GaussianNoise(1.5).variance(reward, *STEP)) == pytest.approx(2.25)
    assert float(HeavyTailedNoise(1.5).variance(reward, *STEP)) == pytest.approx(2.25)
    assert float(ProportionalNoise(0.2, 0.7).variance(reward, *STEP)) == pytest.approx(1.6**2)
    assert float(LocalNoise(lambda s, a, t: s[0]).variance(reward, *STEP)) == pytest.approx(1.0)
    assert float(Bias(0.7).mean_shift(reward, *STEP)) == pytest.approx(0.7)
    assert float(Bias(lambda s, a, t: s[1] * a[0]).mean_shift(reward, *STEP)) == pytest.approx(-1.0)


def test_shapes_of_the_noise():
    assert_distribution((draws(GaussianNoise(1.5), 2.0) - 2) / 1.5, stats.norm.cdf)
    heavy = (draws(HeavyTailedNoise(1.5, 3.0), 2.0) - 2) / 1.5
    assert_distribution(heavy * np.sqrt(3), stats.t(3).cdf)
    assert_share(int((draws(Flips(0.0, 1.0, 0.2), 1.0) == 0).sum()), DRAWS, 0.2)


@given(st.floats(-5, 5), st.floats(0.1, 5), st.floats(0, 0.49), st.booleans())
def test_flips_can_be_undone_on_average(low, width, probability, upper):
    """The mean of the two labels, by their chances, is the reward again; the variance as said."""
    flips = Flips(low, low + width, probability)
    reward = low + width * upper
    label = np.array([reward, 2 * low + width - reward])
    chance = np.array([1 - probability, probability])
    np.testing.assert_allclose(chance @ flips.undone(label), reward, atol=1e-6)
    given_reward = jnp.asarray(reward)
    np.testing.assert_allclose(
        chance @ label - reward, flips.mean_shift(given_reward, *STEP), atol=1e-4
    )
    variance = chance @ label**2 - (chance @ label) ** 2
    np.testing.assert_allclose(variance, flips.variance(given_reward, *STEP), rtol=1e-4, atol=1e-4)


def labels(rows: int) -> RewardLabels:
    state = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
    return RewardLabels(state, state[:, :1], state + 1, np.linspace(-1, 1, 200)[:rows])


def test_a_bought_label_keeps_its_error_when_more_are_bought():
    small, large = (
        mislabelled(labels(rows), GaussianNoise(1.0), jax.random.key(1)) for rows in (50, 200)
    )
    np.testing.assert_array_equal(small.reward, large.reward[:50])
    np.testing.assert_array_equal(small.state, labels(50).state)
    off = large.reward - labels(200).reward
    assert_distribution(off, stats.norm.cdf)
    assert abs(np.corrcoef(off[1:], off[:-1])[0, 1]) < 0.3
    assert not np.array_equal(
        large.reward, mislabelled(labels(200), GaussianNoise(1.0), jax.random.key(2)).reward
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: GaussianNoise(-1.0),
        lambda: HeavyTailedNoise(1.0, 2.0),
        lambda: ProportionalNoise(-0.1, 0.0),
        lambda: Flips(0.0, 1.0, 0.5),
    ],
)
def test_noise_that_means_nothing_is_refused(make):
    with pytest.raises(checks.BadArgument, match=r"\.$"):
        make()
