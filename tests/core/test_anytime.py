"""Intervals that hold at every number of samples: two routes to the mixture, and how often it
misses.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from paracosm.core import anytime
from paracosm.core.anytime import anytime_mean, t_mixture_interval
from paracosm.core.checks import BadArgument, BadData
from tests.statistical import FALSE_ALARM

_N = 300


def _bayes_factor(samples, mean):
    """`B_n(mean)` by numerical integration over effect size and logarithm of scale."""
    off = np.asarray(samples) - mean
    width = np.sqrt(anytime.EFFECT_VARIANCE)
    log_scales = np.log(np.std(off)) + np.linspace(-4, 4, 2001)
    effects = np.linspace(-7, 7, 1401) * width

    def by_scale(effect):
        squares = np.sum((off / np.exp(log_scales)[:, None] - effect) ** 2, axis=1)
        usual = len(off) * (log_scales - np.log(np.std(off)))
        return integrate.trapezoid(np.exp(-squares / 2 - usual), log_scales)

    prior = stats.norm.pdf(effects, 0, width)
    mixed = integrate.trapezoid([by_scale(effect) for effect in effects] * prior, effects)
    return mixed / by_scale(0.0)


@pytest.mark.parametrize("risk", [0.3, 0.05])
def test_at_the_ends_the_bayes_factor_by_integration_is_one_over_the_risk(risk):
    samples = np.random.default_rng(3).normal(1, 2, size=12)
    for end in t_mixture_interval(samples, risk):
        assert _bayes_factor(samples, end) == pytest.approx(1 / risk, rel=1e-6)


@given(st.floats(-5, 5), st.sampled_from([0.1, -1.0, 30.0]))
def test_the_interval_moves_with_shift_scale_and_sign(shift, factor):
    samples = np.random.default_rng(0).normal(size=20)
    before, after = anytime_mean(samples), anytime_mean(shift + factor * samples)
    ends = sorted(shift + factor * end for end in (before.low, before.high))
    assert (after.low, after.high) == pytest.approx(tuple(ends), rel=1e-3, abs=1e-3)


def _ever_missed(draws, risk, least=10):
    """How many rows `[draw, n]` of mean 0 have 0 outside of the t mixture at any n from `least`."""
    n = np.arange(1, draws.shape[1] + 1)
    center = np.cumsum(draws, axis=1) / n
    spread = np.maximum(np.cumsum(draws**2, axis=1) - n * center**2, 1e-300)
    reach = np.array([anytime.t_mixture_reach(int(k), risk) for k in n])
    missed = n * center**2 / spread > reach
    return int(missed[:, least - 1 :].any(axis=1).sum())


def _require_missing_at_most(risk, draws, seed):
    samples = np.random.default_rng(seed).normal(size=(draws, _N))
    missed = _ever_missed(samples, risk, least=2)
    assert stats.binom.sf(missed - 1, draws, risk) > FALSE_ALARM, f"{missed} of {draws}"
    assert missed > 0.3 * risk * draws, "far too wide"


def test_normal_means_are_missed_at_any_n_at_most_at_the_stated_rate():
    """A false alarm in 1e-5 of all keys, of a program that misses exactly 20%."""
    _require_missing_at_most(0.2, 300, seed=1)


@pytest.mark.full
@pytest.mark.parametrize("risk", [0.2, 0.05, 0.01])
def test_normal_means_are_missed_at_most_at_the_stated_rate_at_full_size(risk):
    _require_missing_at_most(risk, 20_000, seed=2)


def test_students_interval_at_every_n_would_miss_far_more_often():
    """Looking at a fixed-n interval after each sample is no test at its level."""
    samples = np.random.default_rng(1).normal(size=(300, _N))
    n = np.arange(1, _N + 1)
    center = np.cumsum(samples, axis=1) / n
    spread = np.sqrt((np.cumsum(samples**2, axis=1) / n - center**2)[:, 1:] / n[:-1])
    missed = np.abs(center[:, 1:]) > stats.t.ppf(0.975, n[:-1]) * spread
    assert missed[:, 9:].any(axis=1).mean() > 0.2


def test_skewed_samples_are_missed_by_the_mixture_alone_and_less_by_the_whole():
    """Log-normal (σ 1) at 99%: the limits hold what was measured, 10% and 4% at 2,000 draws."""
    draws = np.random.default_rng(5).lognormal(sigma=1, size=(200, 100)) - np.exp(0.5)
    alone = _ever_missed(draws, 0.01)
    assert alone >= 8
    combined = 0
    for row in draws[[_ever_missed(row[None], 0.01) > 0 for row in draws]]:
        means = (anytime_mean(row[:n], 0.99, spared=0.0) for n in range(10, 101))
        combined += any(mean.excludes_zero for mean in means)
    assert combined <= 0.7 * alone


def test_equal_samples_are_no_evidence():
    without = anytime_mean(np.zeros(50))
    assert (without.low, without.high) == (-np.inf, np.inf)
    within = anytime_mean(np.zeros(50), bounds=(-1, 1))
    assert -1 < within.low < -0.05
    assert 0.05 < within.high < 1
    assert "betting" in within.method


def test_a_range_is_in_order_and_moved_to_samples_beyond_it():
    for bounds in [(1, 0), (np.nan, 1)]:
        with pytest.raises(BadArgument, match="two numbers in order"):
            anytime_mean([0.0, 1.0], bounds=bounds)
    beyond, inside = (anytime_mean([0.0, 0.0, 2.0], bounds=(0, most)) for most in (1, 2))
    assert beyond == inside


def test_rare_failures_within_a_range_are_covered_at_every_n():
    """5% fail; the mixture alone would miss 60% of these."""
    draws = (np.random.default_rng(2).random((60, 100)) < 0.05) * 1.0
    noisy = draws + 0.001 * np.random.default_rng(3).normal(size=draws.shape)
    missed = sum(
        any(not (e.low <= 0.05 <= e.high) for e in _every(row, (-0.01, 1.01))) for row in noisy
    )
    assert stats.binom.sf(missed - 1, 60, 0.05) > FALSE_ALARM
    assert _ever_missed(noisy - 0.05, 0.05) > 20


def _every(row, bounds):
    return [anytime_mean(row[:n], 0.95, bounds) for n in range(10, len(row) + 1, 6)]


def test_one_sample_says_nothing():
    assert anytime_mean([3.0]).high == np.inf


@pytest.mark.parametrize("samples", [[], [1.0, np.nan]])
def test_nothing_and_nan_are_refused(samples):
    with pytest.raises(BadData):
        anytime_mean(samples)
