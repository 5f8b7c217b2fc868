"""The posterior of a learning curve's law on a grid that covers all laws, so that there are no
local minima.

Model, with `N₀` the largest size measured, anchors i and seeds s:

    log ε_is = a + log((N_i/N₀)^-α + κ) + u_i + e_is,    u_i ~ N(0, τ²),    e_is ~ N(0, σ²)

`u` is what all seeds of an anchor share, such as the subset of data; `e` a seed's own. An effect of
a seed that returns at every anchor would move only the level, and is not modelled.

Prior, chosen for these reasons before any coverage was looked at:

- `κ = 0` has probability 1/2, since many curves show no floor; else the floor's share `κ/(1+κ)` of
  the error at `N₀` is uniform: a floor may be a trace or nearly all that is left;
- `α` is log-uniform from 0.03 (16 times the data take off 8%: as good as flat) to 2: known by its
  order of magnitude;
- `σ²` is scaled inverse χ² with 1 degree of freedom and scale 0.05²: 90% between 0.026 and 0.8,
  worth one sample;
- `τ/σ` is log-uniform from 1/16 to 4. So more seeds never buy away what they share;
- `a` is flat: the unit of the error carries no information.

Given `(α, κ, τ/σ)` the anchors' means have variances `σ² d_i`, `d_i = (τ/σ)² + 1/n_i`; generalised
least squares gives `a` a normal distribution, and `σ²` an inverse χ² one. Both are integrated in
closed form; the rest is the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# The prior's bounds and scales, with their reasons, stand above.
LEAST_EXPONENT, MOST_EXPONENT = 0.03, 2.0
NOISE, NOISE_FREEDOM = 0.05, 1
RATIOS = 2.0 ** np.linspace(-4, 2, 13)  # of τ/σ, half an octave apart: the density varies slowly
# Cells of exponent and of floor's share, refined so often: then a cell is narrow beside any
# posterior that a pilot of a few sizes has.
EXPONENTS, SHARES, ROUNDS = 64, 32, 3
BENDS = 24  # cells of how much a curve steepens, which one number of evidence averages over
TURNS, TURN_SHARES = 20, 8  # cells of each exponent and of the floor in the evidence of a rise
# Density over the highest, below which 27,000 cells hold less than 0.3% of what the highest holds.
NEGLIGIBLE = np.log(1e-7)


class CurveSummary(NamedTuple):
    """A measured curve, sizes rising: `sizes`, mean log error and number of seeds, all `[anchors]`;
    squares of seeds.

    `within` is the sum of squared distances of seeds from their anchor's mean.
    """

    sizes: np.ndarray
    mean: np.ndarray
    seeds: np.ndarray
    within: float


class Cells(NamedTuple):
    """Cells of the grid `[cells]`: a law up to its level, the probability of it, and the level's
    distribution.

    Given the cell, `squares/σ²` is χ² with `freedom` degrees of freedom, and given σ too, `a` is
    normal with mean `level` and variance `σ² · variance`. `bend` is how the log error bends in log
    size over the pilot: `-bend (log N/N₀)²`, 0 of a law. `evidence` is the logarithm of the pilot's
    prior density, up to a constant.
    """

    exponent: np.ndarray
    floor: np.ndarray
    bend: np.ndarray
    ratio: np.ndarray
    probability: np.ndarray
    level: np.ndarray
    variance: np.ndarray
    squares: np.ndarray
    freedom: float
    evidence: float


class GridBounds(NamedTuple):
    """Bounds of the log exponent and of the floor's share."""

    exponent: tuple[float, float]
    share: tuple[float, float]


_WHOLE_GRID = GridBounds((float(np.log(LEAST_EXPONENT)), float(np.log(MOST_EXPONENT))), (0.0, 1.0))
_LOG_EXPONENT_RANGE = _WHOLE_GRID.exponent[1] - _WHOLE_GRID.exponent[0]


class _LevelFit(NamedTuple):
    """What is known in each cell of the grid once the level `a` and `σ²` are integrated out.

    Attributes:
        log_density: Of the posterior, `[…, ratio]`, up to a constant.
        level: The mean of `a`, `[…, ratio]`.
        variance: That of `a` over σ², `[ratio]`.
        squares: What `squares/σ²` is χ² of, `[…, ratio]`.
    """

    log_density: np.ndarray
    level: np.ndarray
    variance: np.ndarray
    squares: np.ndarray


def law_cells(measured: CurveSummary) -> Cells:
    """The posterior over the whole grid, refined twice to where its density is above a
    ten-millionth of the highest.
    """
    box = _WHOLE_GRID
    for _ in range(ROUNDS - 1):
        box = _narrow_grid(box, _fit_laws(measured, *_cell_middles(box)).log_density)
    exponent, share = _cell_middles(box)
    fitted = _fit_laws(measured, exponent, share)
    density = fitted.log_density
    density[:, 1:] += np.log((box.share[1] - box.share[0]) / SHARES)
    evidence = _log_sum(density) + np.log(
        (box.exponent[1] - box.exponent[0]) / _LOG_EXPONENT_RANGE / density.shape[0] / 2
    )
    laws = exponent[:, None, None], (share / (1 - share))[:, None], np.zeros(1)
    return _flat_cells(measured, laws, fitted, evidence)


def steepening_cells(measured: CurveSummary) -> Cells:
    """Curves that no law describes: the local exponent grows evenly in log size.

    At the largest size it has the law's prior, at the smallest it is a share of that, uniform from
    0 to 3/4. Beyond the largest size the cells go on as a power whose exponent has grown by a
    quarter as much again.
    """
    exponent, ratio = _cell_middles(_WHOLE_GRID)[0], _middles(0.0, 0.75, BENDS)
    x = np.log(measured.sizes / measured.sizes[-1])
    half = (1 - ratio) / np.maximum(-x[0], 1e-300) / 2
    shape = -exponent[:, None, None] * (x + half[:, None] * x**2)
    later = exponent[:, None, None] * (1 + (1 - ratio[:, None]) / 4)
    return _alternative(
        measured, (later, np.zeros(1), exponent[:, None, None] * half[:, None]), shape
    )


def rise_evidence(measured: CurveSummary) -> float:
    """The logarithm of the evidence of curves that no law describes: they fall as a law up to a
    size in between, then rise as a power.

    Every size in between is as probable; both exponents and the floor have the prior of the law's.
    Without the floor a curve that flattens before it rises at its last size alone would seem as far
    from this family as from the law.
    """
    exponent = np.exp(_middles(*_WHOLE_GRID.exponent, TURNS))
    share = np.concatenate([[0.0], _middles(0.0, 1.0, TURN_SHARES)])
    past = np.log(measured.sizes / measured.sizes[1:-1, None])
    falling = np.exp(-exponent[:, None, None] * np.minimum(past, 0))
    falls = np.log(falling[:, None] + (share / (1 - share))[:, None, None])
    rises = exponent[:, None, None] * np.maximum(past, 0)
    density = _level_fit(measured, falls[:, :, None] + rises).log_density
    density[:, 1:] -= np.log(TURN_SHARES)
    return _log_sum(density) - float(np.log(2 * len(exponent) ** 2 * len(past)))


def _alternative(measured: CurveSummary, laws: tuple[np.ndarray, ...], shape: np.ndarray) -> Cells:
    fitted = _level_fit(measured, shape)
    density = fitted.log_density
    evidence = _log_sum(density) - float(np.log(density.size / len(RATIOS)))
    return _flat_cells(measured, laws, fitted, evidence)


def _flat_cells(
    measured: CurveSummary,
    laws: tuple[np.ndarray, ...],
    fitted: _LevelFit,
    evidence: float,
) -> Cells:
    """Flat cells of the grid.

    Args:
        measured: The measured curve.
        laws: Exponents, floors and bends, which broadcast against the density.
        fitted: What is known in each of them.
        evidence: Logarithm of the pilot's prior density.
    """
    density, *rest = fitted
    probability = np.exp(density - density.max())
    shares = probability / probability.sum()
    columns = [column.ravel() for column in np.broadcast_arrays(*laws, RATIOS, shares, *rest)]
    freedom = float(NOISE_FREEDOM + measured.seeds.sum() - 1)
    return Cells._make([*columns, freedom, evidence])


def _log_sum(density: np.ndarray) -> float:
    """The logarithm of the sum of densities, of logarithms."""
    top = density.max()
    return float(top + np.log(np.exp(density - top).sum()))


def _cell_middles(box: GridBounds) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the cells: exponents, and shares of the floor after a first share of zero."""
    exponent = np.exp(_middles(*box.exponent, EXPONENTS))
    return exponent, np.concatenate([[0.0], _middles(*box.share, SHARES)])


def _middles(low: float, high: float, number: int) -> np.ndarray:
    """The middles of so many equal cells of [low, high]."""
    return low + (high - low) * (np.arange(number) + 0.5) / number


def _fit_laws(measured: CurveSummary, exponent: np.ndarray, share: np.ndarray) -> _LevelFit:
    """The fit of every law, `[exponent, share, ratio]`, by a flat prior."""
    falling = np.exp(-exponent[:, None] * np.log(measured.sizes / measured.sizes[-1]))
    return _level_fit(measured, np.log(falling[:, None] + (share / (1 - share))[:, None]))


def _level_fit(measured: CurveSummary, shape: np.ndarray) -> _LevelFit:
    """The fit of the level to log errors of this `shape`, `[…, anchors]`, for each ratio τ/σ.

    With `w = 1/d`, `â = Σ w (y - g) / Σ w` and `S = Σ w (y - g - â)²`, integrating `a` and `σ²`
    leaves `Π w^½ (Σ w)^-½ (scale + within + S)^{-freedom/2}`.
    """
    residual = measured.mean - shape
    weight = 1 / (RATIOS[:, None] ** 2 + 1 / measured.seeds)
    total = weight.sum(axis=1)
    level = residual @ weight.T / total
    middle = residual.mean(axis=-1, keepdims=True)
    misfit = (residual - middle) ** 2 @ weight.T - total * (level - middle) ** 2
    squares = NOISE_FREEDOM * NOISE**2 + measured.within + np.maximum(misfit, 0)
    freedom = NOISE_FREEDOM + measured.seeds.sum() - 1
    density = 0.5 * (np.log(weight).sum(axis=1) - np.log(total)) - 0.5 * freedom * np.log(squares)
    return _LevelFit(density, level, 1 / total, squares)


def _narrow_grid(box: GridBounds, density: np.ndarray) -> GridBounds:
    """The part of the box that holds what is not negligible, and one cell more on either side."""
    density = density.max(axis=-1)
    near = density > density.max() + NEGLIGIBLE
    exponent = _narrow_interval(*box.exponent, near.any(axis=1))
    return GridBounds(exponent, _narrow_interval(*box.share, near[:, 1:].any(axis=0)))


def _narrow_interval(low: float, high: float, near: np.ndarray) -> tuple[float, float]:
    """The part of [low, high] whose cells are `near` the highest density, and one cell more on
    either side; all of it if none is.
    """
    if not near.any():
        return low, high
    first, last = np.flatnonzero(near)[[0, -1]]
    step = (high - low) / len(near)
    return max(low, low + (first - 1) * step), min(high, low + (last + 2) * step)
