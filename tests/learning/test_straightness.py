"""Curvature and its bounds: closed forms, zero velocity, and the angle of the worst vector in a
ball.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.learning import straightness


def test_curvature_of_an_angle():
    for angle in (0.0, 0.3, 1.5, 3.1):
        later = 3 * jnp.array([np.cos(angle), np.sin(angle)])
        assert straightness.curvature(jnp.array([2.0, 0.0]), later) == pytest.approx(
            1 - np.cos(angle), abs=1e-6
        )


def test_zero_velocity_has_curvature_and_gradient_nothing():
    zeros, ones = jnp.zeros(2), jnp.ones(2)
    for pair in ((zeros, ones), (ones, zeros), (zeros, zeros)):
        assert straightness.curvature(*pair) == 0
        for gradient in jax.grad(straightness.curvature, (0, 1))(*pair):
            assert np.all(np.asarray(gradient) == 0)


def test_the_sharp_bound_is_the_worst_direction_in_a_ball():
    angles = np.linspace(0, np.pi, 20001)
    for smoothness in (0.1, 0.5, 0.9):
        vectors = np.stack([1 + smoothness * np.cos(angles), smoothness * np.sin(angles)])
        worst = np.max(1 - vectors[0] / np.linalg.norm(vectors, axis=0))
        assert straightness.sharp_bound(smoothness) == pytest.approx(worst, rel=1e-5)
        assert straightness.paper_bound(smoothness) > worst
    assert straightness.sharp_bound(1.0) == 2
    assert np.isinf(straightness.paper_bound(1.0))


def test_a_change_of_action_adds_to_smoothness():
    assert straightness.with_actions(0.1, 2.0, jnp.array(0.3), jnp.array(3.0)) == pytest.approx(0.3)
    standing = straightness.with_actions(0.1, 2.0, jnp.array([0.0, 0.3]), jnp.zeros(2))
    assert standing[0] == pytest.approx(0.1)
    assert np.isinf(standing[1])


def test_least_smoothness_inverts_the_sharp_bound():
    for smoothness in (0.1, 0.5, 0.9):
        least = straightness.least_smoothness(straightness.sharp_bound(smoothness))
        assert least == pytest.approx(smoothness, rel=1e-5)
    assert straightness.least_smoothness(1.7) == 1
