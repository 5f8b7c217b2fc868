"""The perceptron is its formula, and the constants of its data are not trained."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.networks import MLP

KEY = jax.random.key(0)


@pytest.mark.parametrize("depth", [0, 2])
def test_the_network_is_its_formula(depth):
    center, scale = jnp.array([1.0, -2.0, 0.5]), jnp.array([2.0, 0.1, 7.0])
    network = MLP(3, 2, 5, depth, KEY, center=center, scale=scale)
    x = np.array([0.3, -2.1, 4.0])
    h = (x - np.asarray(center)) / np.asarray(scale)
    layers = list(zip(network.weights, network.biases, strict=True))
    for weight, bias in layers[:-1]:
        h = np.tanh(h @ np.asarray(weight, float) + np.asarray(bias))
    h = h @ np.asarray(layers[-1][0], float) + np.asarray(layers[-1][1])
    np.testing.assert_allclose(network(jnp.asarray(x, jnp.float32)), h, rtol=1e-4, atol=1e-5)
    assert len(layers) == depth + 1


def test_weights_have_the_spread_of_glorot_and_the_last_layer_is_scaled():
    wide, last = MLP(200, 300, 400, 1, KEY), MLP(200, 300, 400, 1, KEY, last=0.01)
    for weight, sizes in zip(wide.weights, [(200, 400), (400, 300)], strict=True):
        assert np.std(weight) == pytest.approx(np.sqrt(2 / sum(sizes)), rel=0.02)
    np.testing.assert_array_equal(last.weights[0], wide.weights[0])
    np.testing.assert_allclose(last.weights[1], 0.01 * wide.weights[1], rtol=1e-6)
    assert all((np.asarray(bias) == 0).all() for bias in wide.biases)


def test_no_gradient_reaches_the_constants_of_the_data():
    network = MLP(3, 2, 5, 1, KEY, center=jnp.ones(3))
    gradient = eqx.filter_grad(lambda net: net(jnp.arange(3.0)).sum())(network)
    assert (np.asarray(gradient.center) == 0).all()
    assert (np.asarray(gradient.scale) == 0).all()
    assert all(np.abs(leaf).max() > 0 for leaf in gradient.weights)
