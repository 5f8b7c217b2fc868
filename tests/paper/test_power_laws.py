"""Power laws: exact curves give their exponents back, intervals cover, and plans' posterior reads
them alike.
"""

import numpy as np
import pytest

from paracosm.core.records import Estimate
from paracosm.paper.power_laws import Curves, by_library, exponent, fit, refits, share_removed
from tests.statistical import assert_share

SIZES = np.array([2e3, 5e3, 1e4, 2e4, 5e4])


def curves(power, seeds, rng, spread=0.2):
    """Curves whose seeds have a level each, and errors of mean one around it."""
    noise = rng.normal(size=(seeds, 1)) * spread + rng.normal(size=(seeds, len(SIZES))) * spread
    return Curves(SIZES, 3 * SIZES**-power * np.exp(noise - spread**2))


def test_the_fit_is_that_of_numpy():
    errors = curves(0.5, 4, np.random.default_rng(0)).errors
    law = fit(SIZES, errors)
    for n, row in enumerate(errors):
        slope, level = np.polyfit(np.log(SIZES), np.log(row), 1)
        r2 = np.corrcoef(np.log(SIZES), np.log(row))[0, 1] ** 2
        np.testing.assert_allclose(
            [law.exponent[n], law.prefactor[n], law.r2[n]], [-slope, np.exp(level), r2]
        )


def test_an_exact_law_has_no_spread_and_half_its_exponent_in_norm():
    curve = Curves(SIZES, np.tile(90.4 * SIZES**-0.96, (5, 1)))
    estimate = exponent(curve)
    np.testing.assert_allclose([estimate.mean, estimate.low, estimate.high], 0.96)
    np.testing.assert_allclose(exponent(curve.norm()).mean, 0.48)
    np.testing.assert_allclose([refits(curve).prefactor[0], refits(curve).r2[0]], [90.4, 1])


@pytest.mark.parametrize("seeds", [6, 30])
def test_the_interval_covers(seeds):
    rng, repeats = np.random.default_rng(1), 200
    estimates = [exponent(curves(0.3, seeds, rng)) for _ in range(repeats)]
    assert_share(sum(estimate.low <= 0.3 <= estimate.high for estimate in estimates), repeats, 0.95)


def test_shares_are_of_the_way_from_slow_to_fast():
    curves = [Curves(SIZES, np.tile(SIZES**-power, (4, 1))) for power in (0.7, 0.2, 1.2)]
    np.testing.assert_allclose(share_removed(*curves).mean, 0.5)


def test_the_library_reads_the_norm_and_refuses_what_bends():
    estimate = by_library("reward", curves(0.96, 6, np.random.default_rng(2)))
    assert isinstance(estimate, Estimate)
    assert estimate.low < 0.48 < estimate.high
    steeper = Curves(SIZES, np.tile(np.exp(-0.3 * np.log(SIZES / 2e3) ** 2), (6, 1)))
    assert "bends against the law" in str(by_library("dynamics", steeper))


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_have_intervals_still(seeds):
    estimate = exponent(Curves(SIZES, np.tile(SIZES**-0.5, (seeds, 1))))
    assert estimate.low <= estimate.mean + 1e-9
    assert estimate.n == seeds
