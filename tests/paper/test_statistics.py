"""Blocks, squared lengths, ratios and slopes: no bias, and the coverage that is claimed."""

import numpy as np
import pytest
from scipy import stats

from paracosm.core import estimators
from paracosm.paper import statistics
from tests.statistical import FALSE_ALARM, assert_mean

TRIALS = 400


def test_a_squared_length_has_no_bias():
    random = np.random.default_rng(0)
    center = np.array([0.1, -0.2, 0.0])
    samples = center + random.normal(size=(40_000, 3))
    assert_mean(statistics.squared_length(samples, 4000), center @ center)
    plugged_in = (samples.reshape(-1, 20, 3).mean(axis=1) ** 2).sum(axis=1).mean()
    assert plugged_in > 2 * center @ center, "the plug-in estimate would do as well"


def test_a_total_variance_and_block_means():
    samples = np.random.default_rng(1).normal(size=(4000, 2)) * [1.0, 2.0]
    assert_mean(statistics.total_variance(samples), 5.0)
    np.testing.assert_allclose(statistics.block_means(np.arange(9.0), 4), [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_allclose(statistics.grouped(np.arange(7.0)[:, None], 3), [[1], [4]])
    np.testing.assert_allclose(
        statistics.groups_of(np.arange(11.0), 4), [[0, 1, 2, 3], [4, 5, 6, 7]]
    )


def test_a_power_law_has_its_exponent():
    rows = [[3.0 / k, 3.0 / k + 1e-6, 3.0 / k - 1e-6] for k in (1, 2, 8)]
    estimate = statistics.log_slope([1, 2, 8], rows, [1, 1, 2])
    assert estimate.low < -1 < estimate.high
    assert estimate.high - estimate.low < 1e-5


def intervals(kind: str):
    random = np.random.default_rng(2)
    for _ in range(TRIALS):
        a, b = 2 + 0.5 * random.normal(size=40), 1 + 0.2 * random.normal(size=40)
        if kind == "ratio":
            yield statistics.ratio(a.tolist(), b.tolist()), 2.0
        elif kind == "paired ratio":
            yield statistics.paired_ratio((a + b).tolist(), b.tolist()), 3.0
        elif kind == "few":
            yield statistics.ratio(a[:8].tolist(), [1.0]), 2.0
        elif kind == "few paired":
            yield statistics.paired_ratio((a + b)[:8].tolist(), b[:8].tolist()), 3.0
        elif kind == "pooled":
            yield statistics.pooled([a.tolist(), (2 * b).tolist()], [1, 3]), 2.0
        elif kind == "skewed":
            yield statistics.pooled(random.exponential(size=(9, 40)).tolist()), 1.0
        elif kind == "averaged":
            yield statistics.averaged([estimators.mean(a), estimators.mean(b)]), 1.5
        else:
            half = 0.5 + 0.1 * random.normal(size=40)
            yield (
                statistics.log_slope([1, 2, 4], [a.tolist(), b.tolist(), half.tolist()], [3, 2, 1]),
                -1.0,
            )


@pytest.mark.parametrize(
    "kind", ["ratio", "paired ratio", "few", "few paired", "pooled", "skewed", "averaged", "slope"]
)
def test_intervals_cover(kind):
    """As often as the nominal 95% makes likely, of 400."""
    hits = sum(estimate.low <= truth <= estimate.high for estimate, truth in intervals(kind))
    assert stats.binom.cdf(hits, TRIALS, 0.95) > FALSE_ALARM
    assert hits < TRIALS


def test_scaled_and_covering():
    estimate = statistics.scaled(estimators.mean([1.0, 2.0, 3.0]), 2.0)
    assert (estimate.mean, estimate.n) == (4.0, 3)
    assert statistics.covering([[1.0, 2.0, 3.0], [5.0, 5.1, 4.9]], 2.0) == (1, 2)
