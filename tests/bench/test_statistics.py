"""The interquartile mean by hand, and its interval by its coverage."""

import numpy as np
import pytest

from paracosm.bench.statistics import interquartile_estimate, interquartile_mean


@pytest.mark.parametrize(
    ("scores", "mean"),
    [
        ([[0.0, 1.0, 2.0, 9.0]], 1.5),
        ([[1.0, 1.0], [1.0, 100.0]], 1.0),
        ([[3.0]], 3.0),
        ([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 80.0]], 4.0),
    ],
)
def test_the_mean_of_the_middle_half(scores, mean):
    assert interquartile_mean(np.array(scores)) == mean


def test_the_interval_holds_as_often_as_the_bootstrap_of_ten_seeds_can():
    """Normal scores about task means that are apart: the true interquartile mean is that of many
    seeds. With 10 seeds a bootstrap's spread is too small by about sqrt(9/10), so that 95% are
    93.7%. Of 200 intervals fewer than 174 hold with probability below 1e-3, and more than 199 with
    1e-4.
    """
    draws = np.random.default_rng(0)
    means = np.array([0.0, 0.4, 0.8, 1.2])[:, None]
    truth = interquartile_mean(means + 0.2 * draws.standard_normal((4, 100_000)))
    holds = 0
    for number in range(200):
        estimate = interquartile_estimate(means + 0.2 * draws.standard_normal((4, 10)), number)
        holds += estimate.low <= truth <= estimate.high
    assert 174 <= holds <= 199


def test_tasks_are_kept():
    """Seeds of a task that agree leave nothing to draw, however far tasks lie apart."""
    estimate = interquartile_estimate(np.repeat([[0.0], [1.0], [5.0], [9.0]], 3, axis=1))
    assert estimate.low == estimate.mean == estimate.high
