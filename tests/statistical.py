"""Statistical tests at a declared false-alarm rate.

Each takes samples drawn with a fixed key, so that it gives the same answer every time; had the key
been drawn at random, a correct program would fail with probability at most `FALSE_ALARM`.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

FALSE_ALARM = 1e-5


def assert_mean(samples: ArrayLike, expected: ArrayLike, rounding: float = 0.0) -> None:
    """Independent `samples` `[n, *shape]`, n large, have mean `expected`; z-tests, Bonferroni over
    components.

    `rounding` is how far the mean may be off for reasons other than chance.
    """
    samples = np.asarray(samples, np.float64).reshape(len(samples), -1)
    off = np.abs(samples.mean(axis=0) - np.asarray(expected, np.float64).reshape(-1))
    width = (
        stats.norm.isf(FALSE_ALARM / samples.shape[1] / 2)
        * samples.std(axis=0, ddof=1)
        / np.sqrt(len(samples))
    )
    worst = int(np.argmax(off - width))
    assert (off <= width + rounding).all(), (
        f"mean of component {worst} is off by {off[worst]:.3g} > {width[worst]:.3g}"
    )


def assert_frequencies(counts: ArrayLike, probabilities: ArrayLike) -> None:
    """`counts` of independent draws have the given `probabilities`, each expected at least 5 times;
    chi-squared.
    """
    counts, probabilities = np.asarray(counts, np.float64), np.asarray(probabilities, np.float64)
    assert abs(probabilities.sum() - 1) < 1e-5
    expected = counts.sum() * probabilities / probabilities.sum()
    assert expected.min() >= 5, "too few draws for the test"
    p = stats.chisquare(counts, expected).pvalue
    assert p > FALSE_ALARM, (
        f"frequencies {counts / counts.sum()} against {probabilities}: p = {p:.2g}"
    )


def assert_share(hits: int, draws: int, probability: float) -> None:
    """`hits` of `draws` independent trials of this `probability`; exact binomial test."""
    p = stats.binomtest(hits, draws, probability).pvalue
    assert p > FALSE_ALARM, (
        f"{hits} of {draws} against a probability of {probability:.4g}: p = {p:.2g}"
    )


def assert_distribution(samples: ArrayLike, cdf: object) -> None:
    """Independent `samples` `[n]` follow the continuous distribution function `cdf`;
    Kolmogorov-Smirnov.
    """
    p = stats.kstest(np.asarray(samples, np.float64), cdf).pvalue
    assert p > FALSE_ALARM, f"not the distribution expected: p = {p:.2g}"
