"""Means with intervals: coverage by simulation, identities, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from paracosm.core import estimators
from paracosm.core.anytime import anytime_mean
from paracosm.core.checks import BadArgument, BadData
from tests.core import coverage
from tests.statistical import FALSE_ALARM, assert_share

_DRAWS = 100
samples = hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(-1e3, 1e3))


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_students_interval_of_a_normal_mean_covers_as_often_as_it_says(n, level):
    draws = np.random.default_rng(n).normal(3, 2, size=(2000, n))
    estimates = [estimators.student_mean(row, level) for row in draws]
    assert_share(sum(e.low <= 3 <= e.high for e in estimates), len(estimates), level)
    assert_share(sum(e.high < 3 for e in estimates), len(estimates), (1 - level) / 2)


@given(samples)
def test_a_student_mean_is_that_of_scipy(values):
    estimate = estimators.student_mean(values)
    assert estimate.mean == pytest.approx(values.mean())
    assert estimate.n == len(values)
    if values.std() > 1e-6:
        reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert (estimate.low, estimate.high) == pytest.approx((reference.low, reference.high))
    assert estimate.low <= estimate.mean <= estimate.high


@given(samples)
def test_the_interval_of_a_mean_is_never_narrower_than_students_nor_of_width_zero(values):
    estimate, student = estimators.mean(values), estimators.student_mean(values)
    assert estimate.mean == student.mean
    assert estimate.low < estimate.high
    rounding = 1e-9 * max(1, np.abs(values).max())
    assert estimate.low <= student.low + rounding
    assert estimate.high >= student.high - rounding


@given(samples, st.floats(-9, 9), st.sampled_from([0.125, 0.7, 8.0, -1.0, -3.0]))
def test_the_interval_moves_with_shift_scale_and_sign(values, shift, factor):
    if np.min(np.diff(np.sort(values))) < 1e-6:
        return  # rounding decides how many are equal
    before, after = estimators.mean(values), estimators.mean(shift + factor * values)
    ends = [before.low, before.high] if factor > 0 else [before.high, before.low]
    expected = [shift + factor * x for x in (before.mean, *ends)]
    assert [after.mean, after.low, after.high] == pytest.approx(expected, rel=1e-4, abs=1e-4)


@given(samples, st.randoms())
def test_the_interval_does_not_hang_on_the_order(values, random):
    order = random.sample(range(len(values)), len(values))
    before, after = (
        estimators.mean(sample, bounds=(-1e3, 1e3)) for sample in (values, values[order])
    )
    assert (after.low, after.high) == pytest.approx((before.low, before.high), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("cell", coverage.CELLS, ids=str)
@pytest.mark.parametrize("n", coverage.SIZES)
def test_intervals_cover_in_every_cell(cell, n):
    """At least 90% at nominal 95%.

    False-alarm rate 1e-5 a cell, of a program that covers exactly 90% there.
    """
    hits, draws = coverage.hits(cell, n, _DRAWS, seed=1)
    assert stats.binom.cdf(hits, draws, 0.9) > FALSE_ALARM, f"{hits} of {draws}"


@pytest.mark.full
@pytest.mark.parametrize("cell", coverage.CELLS, ids=str)
@pytest.mark.parametrize("n", coverage.SIZES)
def test_intervals_cover_in_every_cell_at_full_size(cell, n):
    """The claim of docs/intervals.md on other draws than its table; the same false-alarm rate."""
    hits, draws = coverage.hits(cell, n, 2000, seed=2)
    assert stats.binom.cdf(hits, draws, 0.9) > FALSE_ALARM, f"{hits} of {draws}"


@pytest.mark.parametrize("n", coverage.SIZES)
def test_the_interval_of_normal_samples_is_at_most_1_6_times_students(n):
    """Measured 1.45, 1.13 and 1.03; the mean of 200 has a standard error of 0.05 at n = 10."""
    draws = np.random.default_rng(n).normal(-150, 40, size=(200, n))
    widths = [_width(estimators.mean(row)) / _width(estimators.student_mean(row)) for row in draws]
    assert np.mean(widths) <= 1.6


def _width(estimate):
    return estimate.high - estimate.low


@pytest.mark.parametrize(("n", "most"), [(1, 0.99), (10, 0.38), (20, 0.22), (100, 0.05)])
def test_equal_samples_exclude_what_n_of_them_can(n, most):
    """The exact bound is `1 - 0.025^{1/n}`; betting pays for holding at every n."""
    estimate = estimators.mean(np.zeros(n), bounds=(0, 1))
    assert (estimate.mean, estimate.low) == (0, 0)
    assert 1 - 0.025 ** (1 / n) <= estimate.high <= most
    assert "betting" in estimate.method
    mirrored = estimators.mean(np.full(n, 5.0), bounds=(-5, 5))
    assert (mirrored.mean, mirrored.high) == (5, 5)
    assert mirrored.low == pytest.approx(5 - 10 * estimate.high, abs=1e-6)


@pytest.mark.parametrize("bounds", [None, (0, np.inf), (-np.inf, 7)])
def test_equal_samples_of_unknown_range_say_that_nothing_is_excluded(bounds):
    estimate = estimators.mean(np.full(20, 0.1 * 3), bounds=bounds)
    low, high = bounds or (-np.inf, np.inf)
    assert (estimate.mean, estimate.low, estimate.high) == (pytest.approx(0.3), low, high)
    assert "20 equal samples, which up to 17% of others may differ from" in estimate.method


def test_what_cannot_vary_has_no_width():
    estimate = estimators.mean(np.zeros(4), bounds=(0, 0))
    assert (estimate.low, estimate.mean, estimate.high) == (0, 0, 0)
    assert "constant" in estimate.method


def test_the_interval_stays_within_the_bounds():
    values = np.random.default_rng(0).lognormal(sigma=2, size=12)
    free, cut = estimators.mean(values), estimators.mean(values, bounds=(0, np.inf))
    assert free.high > values.max()
    assert cut.high == free.high
    assert cut.low == max(free.low, 0)
    inside = estimators.mean(values, bounds=(0, values.max()))
    assert 0 <= inside.low < inside.high <= values.max()


def test_betting_within_the_bounds_is_taken_where_it_is_narrower():
    """Eight returns of Acrobot, which a step costs 1 and which lasts 500 steps at the most."""
    returns = np.array([-175, -180, -185, -190, -195, -205, -217, -500.0])
    estimate, bets = (
        estimators.varied_mean(returns, bounds=(-500, 0)),
        estimators.bounded_mean(returns, (-500, 0)),
    )
    free = estimators.varied_mean(returns)
    assert free.low < -500
    assert (estimate.low, estimate.high) == (bets.low, bets.high)
    assert _width(estimate) < _width(free)


@pytest.mark.parametrize("bounds", [None, (0.0, 10.0)])
def test_two_different_samples_are_not_half_of_one_value(bounds):
    estimate = estimators.varied_mean([1.0, 2.0], bounds=bounds)
    assert "range seen" not in estimate.method
    assert estimate.low < 1.5 < estimate.high
    assert not estimators.concentrated(np.array([1.0, 2.0]), 0, 3)


def test_samples_near_one_another_in_a_known_range_do_not_exclude_rare_ones():
    """The control cost of a policy that reached no goal: to vary by 1% says nothing of the prize of
    1.
    """
    values = 0.01 * np.random.default_rng(0).normal(size=20)
    assert estimators.mean(values, bounds=(-0.1, 1.1)).high > 0.17
    assert estimators.mean(values).high < 0.02
    filling = np.random.default_rng(0).normal(0, 0.3, size=20)
    estimate = estimators.mean(filling, bounds=(-1.0, 1.0))
    student = estimators.student_mean(filling)
    assert _width(estimate) <= 1.6 * _width(student)


def test_the_largest_samples_share_of_the_variance_is_told():
    assert "makes 90% of the variance" in estimators.mean([0.0, 0, 0, 0, 0, 0, 0, 0, 0, 9]).method
    assert "makes 50% of the variance" in estimators.mean([0.0, 1]).method


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e150])
def test_intervals_hold_at_the_ends_of_the_floating_numbers(scale):
    values = np.array([1.0, 2, 4, 9, 3])
    plain, scaled = estimators.mean(values), estimators.mean(scale * values)
    expected = [scale * plain.low, scale * plain.high]
    assert [scaled.low, scaled.high] == pytest.approx(expected, rel=1e-9, abs=0)


def test_a_bounded_mean_allows_for_what_the_samples_cannot_exclude():
    draws = np.random.default_rng(3)
    paid, near = draws.random((400, 20)) < 0.05, 0.01 * draws.random((400, 20))
    estimates = [estimators.bounded_mean(row, bounds=(0, 1.01)) for row in paid + near]
    assert np.mean([e.low <= 0.055 <= e.high for e in estimates]) >= 0.95
    for bounds in [(0, 0), (1, 0), (0, np.inf)]:
        with pytest.raises(BadArgument, match="the bounds are"):
            estimators.bounded_mean([0.0], bounds=bounds)
    with pytest.raises(BadArgument, match="the bounds are"):
        estimators.mean([0.0], bounds=(1, 0))
    with pytest.raises(BadData, match=r"reach from 2 to 2, beyond \[0, 1\]"):
        estimators.mean([2.0], bounds=(0, 1))


METHODS = {
    "mean": lambda level: estimators.mean([0.0, 1, 3, 4], level),
    "betting": lambda level: estimators.bounded_mean([0.0, 1, 3, 4], (0, 9), level),
    "Student": lambda level: estimators.student_mean([0.0, 1, 3, 4], level),
    "median": lambda level: estimators.median(np.arange(30.0), level),
    "no median": lambda level: estimators.median([0.0, 1, 3], level),
    "share": lambda level: estimators.share(3, 9, level),
    "any n": lambda level: anytime_mean([0.0, 1, 3, 4], level),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_the_method_of_a_level_below_one_never_says_100_per_cent(method):
    assert " 99.833% " in method(1 - 0.05 / 30).method
    assert " 99.999995% " in method(1 - 5e-8).method
    assert " 95% " in method(0.95).method


def test_one_sample_says_that_it_has_no_interval():
    estimate = estimators.mean([4.0])
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == (4, -np.inf, np.inf, 1)
    assert "no interval" in estimate.method


@pytest.mark.parametrize("bad", [[], [1.0, np.nan], [np.inf, 1.0]])
@pytest.mark.parametrize("estimator", [estimators.mean, estimators.root_mean_square])
def test_no_samples_or_bad_ones_are_refused(estimator, bad):
    with pytest.raises(BadData, match="samples"):
        estimator(bad)


INTERVALS = {
    "mean": estimators.mean,
    "varied": estimators.varied_mean,
    "bounded": lambda x, level=0.95: estimators.bounded_mean(x, (-9, 9), level),
    "student": estimators.student_mean,
    "root": estimators.root_mean_square,
    "median": estimators.median,
    "anytime": anytime_mean,
}


@pytest.mark.parametrize("name", INTERVALS)
def test_a_level_in_per_cent_and_samples_in_a_table_are_refused(name):
    with pytest.raises(BadArgument, match=r"level is 95; it must lie in \(0, 1\)"):
        INTERVALS[name]([0.0, 1.0, 3.0], level=95)
    for samples in (3.0, np.ones((5, 2))):
        with pytest.raises(BadData, match=r"the samples have shape \("):
            INTERVALS[name](samples)


def test_the_level_of_a_share_is_no_per_cent():
    with pytest.raises(BadArgument, match="level is 95"):
        estimators.share(1, 2, 95)


def test_a_bad_sample_is_named_by_its_place_in_what_was_given():
    with pytest.raises(BadData, match="the samples: nan at sample 0"):
        estimators.median([np.nan, 3.0, 1.0])


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1e3)))
def test_a_root_mean_square_is_the_root_of_the_mean(squares):
    root, squared = (
        estimators.root_mean_square(squares),
        estimators.mean(squares, bounds=(0, np.inf)),
    )
    assert root.mean == pytest.approx(np.sqrt(squares.mean()))
    assert 0 <= root.low <= root.mean <= root.high
    assert root.high == pytest.approx(np.sqrt(squared.high))


@pytest.mark.parametrize("n", [6, 7, 30, 101])
def test_the_interval_of_a_median_covers_at_least_as_often_as_it_says_and_is_the_narrowest(n):
    draws = np.random.default_rng(n).exponential(size=(4000, n))
    estimates = [estimators.median(row) for row in draws]
    inside = np.arange(n + 1)
    ranks = [
        int(np.searchsorted(np.sort(draws[0]), x)) for x in (estimates[0].low, estimates[0].high)
    ]
    covers = stats.binom.pmf(inside[(inside > ranks[0]) & (inside <= ranks[1])], n, 0.5).sum()
    narrower = stats.binom.pmf(
        inside[(inside > ranks[0] + 1) & (inside <= ranks[1] - 1)], n, 0.5
    ).sum()
    assert narrower < 0.95 <= covers
    assert_share(sum(e.low <= np.log(2) <= e.high for e in estimates), len(estimates), covers)


def test_five_samples_have_no_interval_of_the_median():
    estimate = estimators.median([5.0, 1, 3, 2, 4])
    assert (estimate.mean, estimate.low, estimate.high) == (3, -np.inf, np.inf)
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
