"""Imagined returns as a control variate: against theory's variance, coverage, and when it is
silent.
"""

import numpy as np
import pytest

from paracosm.auditing.control_variate import LEAST, assisted_mean
from paracosm.core import checks, estimators
from paracosm.core.records import Estimate, Help

FRESH = 500


def normal(rng, n, fresh, correlation):
    """Real and imagined returns of mean 0 and 3, and fresh imagined ones."""
    imagined = rng.standard_normal(n + fresh)
    real = correlation * imagined[:n] + np.sqrt(1 - correlation**2) * rng.standard_normal(n)
    return real, imagined[:n] + 3, imagined[n:] + 3


def exponential(rng, n, fresh, correlation):
    """The same of exponential parts, less their means."""
    imagined = rng.exponential(size=n + fresh) - 1
    own = np.sqrt(1 - correlation**2) * (rng.exponential(size=n) - 1)
    return correlation * imagined[:n] + own, imagined[:n] + 3, imagined[n:] + 3


def log_normal(rng, n, fresh, correlation):
    """Exponentials of `normal`, the real ones less their mean: neither linear nor of one spread."""
    real, *imagined = normal(rng, n, fresh, correlation)
    return np.exp(real) - np.exp(0.5), *(np.exp(column - 3) for column in imagined)


LAWS = {"normal": normal, "exponential": exponential, "log-normal": log_normal}


@pytest.mark.parametrize("correlation", [0.5, 0.9, 0.99])
def test_variance_factor_is_one_less_the_squared_correlation_of_many(correlation):
    rng = np.random.default_rng(0)
    n, fresh = 10_000, 2_000_000
    assisted = assisted_mean(*normal(rng, n, fresh, correlation))
    assert assisted.help is Help.HELPED
    exact = 1 - correlation**2 * fresh / (n + fresh)
    assert assisted.factor == pytest.approx(exact, rel=0.05)
    if correlation < 0.95:  # beyond, so few fresh starts are still a fifth of what is left
        assert assisted.factor == pytest.approx(1 - correlation**2, rel=0.05)
    assert assisted.saved == pytest.approx(n / assisted.factor - n)
    assert assisted.coefficient == pytest.approx(correlation, rel=0.05)


@pytest.mark.parametrize(
    ("correlation", "number"),
    [(0.9, 2000), *(pytest.param(c, 20_000, marks=pytest.mark.full) for c in (0.6, 0.9))],
)
def test_means_scatter_by_that_factor(correlation, number):
    """Of 50 episodes and fifty times as many fresh starts; 5% at 20,000 replications."""
    rng = np.random.default_rng(1)
    n, fresh = 50, 2500
    values = [assisted_mean(*normal(rng, n, fresh, correlation)).value.mean for _ in range(number)]
    expected = 1 - correlation**2 * (1 - n / (n + fresh))
    assert np.var(values) * n == pytest.approx(expected, rel=0.05 if number > 2000 else 0.15)
    assert abs(np.mean(values)) < 4.5 * np.std(values) / np.sqrt(number)


def coverage(law, n, correlation, number):
    rng = np.random.default_rng(2)
    intervals = [assisted_mean(*LAWS[law](rng, n, FRESH, correlation)).value for _ in range(number)]
    return np.mean([interval.low <= 0 <= interval.high for interval in intervals])


# The intervals allow for skew, as those of the plain mean do: ten samples never tell their shape,
# so that normal ones are covered more often than they would need to be, and log-normal ones in
# 91.1% and 91.2% of 4,000 at correlations of 0.6 and 0.9
RANGES = {10: (0.92, 0.995), 20: (0.93, 0.99), 50: (0.93, 0.99)}


@pytest.mark.full
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("n", RANGES)
@pytest.mark.parametrize("law", LAWS)
def test_intervals_hold_the_mean_as_often_as_they_say(law, n, correlation):
    least, most = RANGES[n]
    assert least - 0.01 <= coverage(law, n, correlation, 4000) <= most


def test_intervals_hold_the_mean_as_often_as_they_say_in_a_few_sets():
    slack = 4.4 * np.sqrt(0.05 * 0.95 / 400)  # one in 100,000
    for law in LAWS:
        assert coverage(law, 20, 0.8, 400) >= 0.93 - slack


def test_falls_that_imagination_never_shows_are_missed_more_often_than_by_the_plain_mean():
    """A limit that docs/intervals.md names: of 20 returns that hold no fall, the corrected ones
    are near one another. One in 50 falls by 12.
    """
    rng, held = np.random.default_rng(5), []
    for _ in range(60):
        real, imagined, fresh = normal(rng, 20, FRESH, 0.96)
        falls = rng.random(20) < 0.02
        assisted = assisted_mean(real - 12 * falls, imagined, fresh)
        intervals = assisted.value, assisted.plain
        held.append([interval.low <= -12 * 0.02 <= interval.high for interval in intervals])
    with_imagination, plain = np.mean(held, axis=0)
    assert with_imagination < 0.7 < plain


def test_an_interval_of_related_returns_is_narrower_and_no_narrower_than_theory():
    rng = np.random.default_rng(3)
    means = [assisted_mean(*normal(rng, 20, FRESH, 0.9)) for _ in range(100)]
    ratios = [
        (mean.value.high - mean.value.low) / (mean.plain.high - mean.plain.low) for mean in means
    ]
    assert np.sqrt(1 - 0.9**2) < np.median(ratios) < 0.65
    assert all(mean.help is Help.HELPED for mean in means)


def test_unrelated_returns_leave_the_plain_mean_as_it_is():
    rng = np.random.default_rng(4)
    silent = 0
    for _ in range(200):
        real, imagined, fresh = normal(rng, 20, FRESH, 0.0)
        assisted = assisted_mean(real, imagined, fresh)
        if assisted.help is not Help.HELPED:
            silent += 1
            assert assisted.value == assisted.plain == estimators.varied_mean(real)
            assert assisted.factor == 1
            assert assisted.saved == 0
    assert silent > 120


@pytest.mark.parametrize("n", range(1, LEAST))
def test_too_few_returns_are_averaged_alone(n):
    real = np.arange(n) * 1.0
    assisted = assisted_mean(real, real, np.arange(100.0))
    assert assisted.help is Help.FEW
    assert assisted.value == estimators.varied_mean(real)


def test_without_fresh_starts_nothing_is_gained():
    real = np.arange(20.0)
    assert assisted_mean(real, real, []).help is Help.NO_STARTS
    assert assisted_mean(real, [], []).help is Help.NO_STARTS


def test_a_perfect_world_leaves_the_fresh_starts_error_alone():
    rng = np.random.default_rng(5)
    real, _, _ = normal(rng, 20, 1, 0.0)
    fresh = rng.standard_normal(1000)
    assisted = assisted_mean(real, real, fresh)
    assert assisted.value.mean == pytest.approx(
        real.mean() * 20 / 1020 + fresh.mean() * 1000 / 1020
    )
    assert assisted.factor < 0.05


def test_tied_returns_and_wider_plain_intervals_are_left_to_rare_episodes():
    rng = np.random.default_rng(6)
    real, imagined, fresh = normal(rng, 20, FRESH, 0.95)
    assert assisted_mean(np.where(np.arange(20) < 10, 0, real), imagined, fresh).help is Help.RARE
    spread = estimators.varied_mean(real)
    same = assisted_mean(real, imagined, fresh, plain=spread)
    assert same.help is Help.HELPED
    wider = Estimate(spread.mean, spread.low - 1, spread.high, spread.n, "betting")
    assisted = assisted_mean(real, imagined, fresh, plain=wider)
    assert (assisted.help, assisted.value) == (Help.RARE, wider)


def test_no_interval_is_beyond_what_returns_can_be_or_wider_than_the_plain_one():
    """Of returns of at most 0, as Pendulum's: five of one kind gave [-197, 33]."""
    rng, helped = np.random.default_rng(7), 0
    for _ in range(300):
        imagined = -np.abs(rng.normal(size=5 + FRESH)) * 120
        real = np.minimum(imagined[:5] + rng.normal(size=5) * 40, 0)
        assisted = assisted_mean(real, imagined[:5], imagined[5:], bounds=(-3000, 0))
        value, plain = assisted.value, assisted.plain
        assert -3000 <= value.low <= value.mean <= value.high <= 0
        if assisted.help is Help.HELPED:
            helped += 1
            assert value.high - value.low < plain.high - plain.low
        else:
            assert value == plain == estimators.varied_mean(real, bounds=(-3000, 0))
    assert 50 < helped < 250


def test_the_fewest_returns_of_unrelated_imagination_are_rarely_helped():
    """Of four the gate is |ρ| > 1, which rounding alone passes."""
    rng = np.random.default_rng(8)
    assert LEAST == 5
    four = [assisted_mean(*normal(rng, 4, FRESH, 1.0)).help for _ in range(50)]
    assert set(four) == {Help.FEW}


def test_counts_that_differ_and_values_that_are_no_numbers_are_refused():
    real = np.arange(6.0)
    for imagined, fresh in ((real[:2], real[:1]), (real[:4], np.arange(100.0)), (real[:4], [])):
        with pytest.raises(checks.BadData, match=rf"{len(imagined)} imagined returns of 6 real"):
            assisted_mean(real, imagined, fresh)
    with pytest.raises(checks.BadData):
        assisted_mean(real, np.where(real == 2, np.nan, real), real)
