"""The closed-form bound: above every slope, below the product of norms, exact where it can be."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core.averaged_activations import averaged_bound, with_unit_columns
from paracosm.core.layers import clipped, compose, identity, layers_of
from paracosm.core.networks import MLP
from tests.core.test_layers import SPEC


def tanh_slopes(weights):
    return [(np.zeros(len(weight)), np.ones(len(weight))) for weight in weights[:-1]]


def bound(weights, **options):
    with jax.enable_x64(True):
        return float(averaged_bound(weights, tanh_slopes(weights), **options))


def products(weights, patterns):
    """The Jacobians of the network for so many slopes of its neurons, at random in [0, 1]."""
    rng = np.random.default_rng(1)
    for _ in range(patterns):
        jacobian = weights[0]
        for weight in weights[1:]:
            slopes = rng.integers(0, 2, size=len(jacobian)) * rng.uniform(0.5, 1)
            jacobian = weight @ (slopes[:, None] * jacobian)
        yield jacobian


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_it_lies_between_every_jacobian_and_the_product_of_norms(depth):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        sizes = [3, *[5] * depth, 2]
        weights = [rng.normal(size=(n, m)) for m, n in itertools.pairwise(sizes)]
        beside = rng.normal(size=(2, 3))
        steepest = max(np.linalg.norm(j, 2) for j in products(weights, 300))
        together = max(np.linalg.norm(j + beside, 2) for j in products(weights, 300))
        product = np.prod([np.linalg.norm(weight, 2) for weight in weights])
        assert steepest <= bound(weights) < product
        assert together <= bound(weights, beside=beside) < product + np.linalg.norm(beside, 2)


def test_what_dampens_is_exact_and_the_product_of_norms_is_not():
    """`s - tanh(s)/2` has the constant 1."""
    weights, beside = [np.eye(2), -np.eye(2) / 2], np.eye(2)
    assert bound(weights, beside=beside) == pytest.approx(1, rel=1e-12)


def test_a_linear_map_beside_a_network_is_neurons_of_slope_1():
    rng = np.random.default_rng(0)
    first, last, beside = (rng.normal(size=size) for size in ((4, 3), (2, 4), (2, 3)))
    weights = [np.concatenate([first, np.eye(3)]), np.concatenate([last, beside], axis=1)]
    slopes = [(np.array([0.0] * 4 + [1.0] * 3), np.ones(7))]
    with jax.enable_x64(True):
        inside = float(averaged_bound(weights, slopes))
    assert inside == pytest.approx(bound([first, last], beside=beside), rel=1e-12)


def test_a_clip_to_a_box_costs_nothing_with_unit_columns():
    clip = clipped(np.array([-1.0, -10.0, 2.0]), np.array([2.0, 10.0, 2.5]))
    network = compose(clip, identity(3))
    slopes = [(np.zeros(3), np.ones(3))]
    with jax.enable_x64(True):
        plain = float(averaged_bound(network.weights, slopes))
        unit = float(averaged_bound(with_unit_columns(network.weights), slopes))
    assert unit == pytest.approx(1, rel=1e-12)
    assert plain > 5
    none = with_unit_columns([np.eye(2), np.array([[1.0, 0.0]])])
    np.testing.assert_array_equal(none[0], np.diag([1.0, 0.0]))


def test_it_is_the_same_for_a_network_that_describes_itself():
    network = MLP(3, 2, 4, 2, jax.random.key(0), scale=jnp.array([1.0, 2.0, 4.0]))
    weights = [np.asarray(weight, np.float64).T for weight in network.weights]
    weights[0] = weights[0] / np.array([1.0, 2.0, 4.0])
    assert bound(layers_of(network, SPEC).weights) == pytest.approx(bound(weights), rel=1e-9)
