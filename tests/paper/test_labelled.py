"""The worlds of E4 to E6: REINFORCE gradients against the closed form and against the library's own
measurements.
"""

import numpy as np
import pytest

from paracosm.core.noise import GaussianNoise
from paracosm.paper import labelled
from tests.statistical import assert_mean

ROLLOUTS = 2**15
REWARD = labelled.small("linear").world.reward


def draw(noise, seed=0, **choices):
    return labelled.gradients(
        "linear", noise, seed, groups=ROLLOUTS // choices.get("size", 1), **choices
    )


def test_the_closed_forms_are_the_means_of_reinforce():
    """Under true labels, and of what biased ones add."""
    tilt = labelled.tilt("linear")
    true, cheap = draw(labelled.Cheap(tilt, 0.5))
    assert_mean(true, labelled.expected("linear", REWARD))
    assert_mean(cheap - true, labelled.expected("linear", tilt))
    assert np.abs(labelled.expected("linear", tilt)).max() > 0.5


@pytest.mark.full
def test_without_the_time_weight_too():
    true, noisy = draw(GaussianNoise(1.0), weighting="plain")
    assert_mean(true, labelled.expected("linear", REWARD, "plain"))
    assert_mean(noisy, labelled.expected("linear", REWARD, "plain"))
    assert np.abs(true.mean(axis=0) - labelled.expected("linear", REWARD)).max() > 0.1


@pytest.mark.full
def test_groups_are_means_of_their_rollouts():
    alone, _ = draw(GaussianNoise(1.0))
    together, _ = draw(GaussianNoise(1.0), size=16)
    np.testing.assert_allclose(
        alone.reshape(-1, 16, 8).mean(axis=1), together, rtol=1e-3, atol=1e-4
    )
