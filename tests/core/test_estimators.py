"""Means with intervals: coverage by simulation, identities, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from paracosm.core import estimators
from paracosm.core.checks import BadArgument, BadData
from tests.statistical import assert_share

samples = hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e3, 1e3))


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_the_interval_of_a_normal_mean_covers_as_often_as_it_says(n, level):
    draws = np.random.default_rng(n).normal(3, 2, size=(2000, n))
    found = [estimators.mean(row, level) for row in draws]
    assert_share(sum(e.low <= 3 <= e.high for e in found), len(found), level)
    assert_share(sum(e.high < 3 for e in found), len(found), (1 - level) / 2)


@given(samples)
def test_a_mean_is_that_of_scipy(values):
    found = estimators.mean(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.n == len(values)
    if values.std() > 1e-6:
        reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (found.low, found.high) == pytest.approx((reference.low, reference.high))
    assert found.low <= found.mean <= found.high


@given(samples, st.floats(-9, 9), st.floats(0.125, 8))
def test_the_interval_moves_with_shift_and_scale(values, shift, factor):
    before, after = estimators.mean(values), estimators.mean(shift + factor * values)
    expected = [shift + factor * x for x in (before.mean, before.low, before.high)]
    assert [after.mean, after.low, after.high] == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_one_sample_says_that_it_has_no_interval():
    found = estimators.mean([4.0])
    assert (found.mean, found.low, found.high, found.n) == (4, -np.inf, np.inf, 1)
    assert "no interval" in found.method


@pytest.mark.parametrize("bad", [[], [1.0, np.nan], [np.inf, 1.0]])
@pytest.mark.parametrize("estimator", [estimators.mean, estimators.root_mean_square])
def test_no_samples_or_bad_ones_are_refused(estimator, bad):
    with pytest.raises(BadData, match="samples"):
        estimator(bad)


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1e3)))
def test_a_root_mean_square_is_the_root_of_the_mean(squares):
    found, squared = estimators.root_mean_square(squares), estimators.mean(squares)
    assert found.mean == pytest.approx(np.sqrt(squares.mean()))
    assert 0 <= found.low <= found.mean <= found.high
    assert found.high == pytest.approx(np.sqrt(squared.high))


@pytest.mark.parametrize("n", [6, 7, 30, 101])
def test_the_interval_of_a_median_covers_at_least_as_often_as_it_says_and_is_the_narrowest(n):
    draws = np.random.default_rng(n).exponential(size=(4000, n))
    found = [estimators.median(row) for row in draws]
    inside = np.arange(n + 1)
    ranks = [int(np.searchsorted(np.sort(draws[0]), x)) for x in (found[0].low, found[0].high)]
    covers = stats.binom.pmf(inside[(inside > ranks[0]) & (inside <= ranks[1])], n, 0.5).sum()
    narrower = stats.binom.pmf(inside[(inside > ranks[0] + 1) & (inside <= ranks[1] - 1)], n, 0.5).sum()
    assert narrower < 0.95 <= covers
    assert_share(sum(e.low <= np.log(2) <= e.high for e in found), len(found), covers)


def test_five_samples_have_no_interval_of_the_median():
    found = estimators.median([5.0, 1, 3, 2, 4])
    assert (found.mean, found.low, found.high) == (3, -np.inf, np.inf)
    with pytest.raises(BadData, match="at least one"):
        estimators.median([])


def test_a_share_has_the_exact_interval():
    none, half = estimators.share(0, 525), estimators.share(30, 60)
    assert (none.mean, none.low) == (0, 0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 525))
    assert stats.binom.cdf(30, 60, half.high) == pytest.approx(0.025)
    assert stats.binom.sf(29, 60, half.low) == pytest.approx(0.025)
    with pytest.raises(BadArgument, match="hits"):
        estimators.share(3, 2)
