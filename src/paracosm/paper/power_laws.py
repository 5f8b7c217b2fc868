"""Power laws through learning curves of many seeds, as papers and plans fit them; no JAX."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from paracosm.core import checks
from paracosm.core.records import Estimate
from paracosm.core.records.decisions import Anchor, Bought, Curve
from paracosm.planning.curve_posterior import posterior

RESAMPLES = 2000  # as many as put 50 beyond each end of a 95% interval


class Curves(NamedTuple):
    """Mean squared errors `[seed, size]` of one task at the given sizes."""

    sizes: np.ndarray
    errors: np.ndarray

    def only(self, seeds: int, sizes: int) -> Curves:
        """The first seeds at the first sizes, so many of each."""
        return Curves(self.sizes[:sizes], self.errors[:seeds, :sizes])

    def norm(self) -> Curves:
        """The curves as root mean squared errors."""
        return Curves(self.sizes, np.sqrt(self.errors))


class PowerLawFit(NamedTuple):
    """`prefactor N^-exponent` by least squares of logarithms; arrays `[fits]`."""

    prefactor: np.ndarray
    exponent: np.ndarray
    r2: np.ndarray


def fit(sizes: np.ndarray, errors: np.ndarray) -> PowerLawFit:
    """Straight lines through `log errors`, `[fits, size]`, against `log sizes`."""
    x, y = np.log(sizes) - np.log(sizes).mean(), np.log(errors)
    exponent = -(y @ x) / (x @ x)
    level = y.mean(axis=1)
    residuals = y - level[:, None] + exponent[:, None] * x
    r2 = 1 - np.sum(residuals**2, axis=1) / np.sum((y - level[:, None]) ** 2, axis=1)
    return PowerLawFit(np.exp(level + exponent * np.log(sizes).mean()), exponent, r2)


def means_of(curve: Curves) -> np.ndarray:
    """The means over seeds, first, and then those over seeds drawn with replacement, `[1 +
    RESAMPLES, size]`.

    A seed keeps its teacher from size to size, so it is drawn with its whole curve; curves with the
    same seeds are drawn alike, so that differences between them are differences on the same
    teachers.
    """
    seeds = len(curve.errors)
    weights = (
        np.random.default_rng(0).multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES) / seeds
    )
    return np.vstack([np.full(seeds, 1 / seeds), weights]) @ curve.errors


def refits(curve: Curves) -> PowerLawFit:
    """The fit to the means over seeds, first, and then to those over seeds drawn with
    replacement.
    """
    return fit(curve.sizes, means_of(curve))


def resampled(values: np.ndarray, seeds: int) -> Estimate:
    """The first value, between the quantiles of the others as wide as Student's t asks for so few
    seeds.
    """
    value, ends = values[0], np.quantile(values[1:], [0.025, 0.975])
    wider = (
        stats.t.ppf(0.975, seeds - 1) / stats.norm.ppf(0.975) * np.sqrt(seeds / (seeds - 1))
        if seeds > 1
        else 1.0
    )
    low, high = value + wider * (ends - value)
    return Estimate(
        float(value),
        float(low),
        float(high),
        seeds,
        f"95% bootstrap over {seeds} seeds, widened by t",
    )


def exponent(curve: Curves) -> Estimate:
    """The exponent of the curve with its bootstrap interval."""
    return resampled(refits(curve).exponent, len(curve.errors))


def share_removed(varied_curves: Curves, dynamics: Curves, reward: Curves) -> Estimate:
    """The share of the way from the dynamics' exponent to the reward's that a change makes."""
    new, slow, fast = (refits(curve).exponent for curve in (varied_curves, dynamics, reward))
    return resampled((new - slow) / (fast - slow), len(varied_curves.errors))


def by_library(part: Bought, curve: Curves) -> Estimate | str:
    """The exponent of the norm by the posterior that plans are made with, or why it refuses the
    curve.
    """
    anchors = tuple(
        Anchor(int(size), float(error), seed)
        for seed, row in enumerate(curve.errors)
        for size, error in zip(curve.sizes, row, strict=True)
    )
    try:
        law = posterior(Curve(part, anchors, "mse", "held out")).record(curve.sizes[-1])
    except checks.BadData as refused:
        return str(refused)
    return Estimate(
        law.exponent,
        law.low,
        law.high,
        len(anchors),
        "95% posterior of a power law with a floor",
    )
