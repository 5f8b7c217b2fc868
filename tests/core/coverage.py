"""Samples whose mean is known, of the kinds on which Student's t misses; fixed keys.

Sparse: one is paid with a small probability, else nothing. Pole: steps until the first failure of a
chance at every step, cut at the time limit. These two have a known range. Log-normal and Pareto
have none. The neighbours are kinds that nothing was chosen by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate

SIZES = (10, 20, 100)
LIMIT = 500

Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A distribution: its name, how to draw n samples, its mean, and the range where that
    is known.
    """

    name: str
    draw: Draw
    mean: float
    bounds: tuple[float, float] | None = None

    def __str__(self) -> str:
        return self.name


def sparse(share: float) -> Cell:
    return Cell(
        f"sparse, {share:.0%} paid", lambda rng, n: (rng.random(n) < share) * 1.0, share, (0, 1)
    )


def trembling(share: float, spread: float) -> Cell:
    """Paid 1 with a small probability, less a control cost that varies by `spread`, no more than
    four times.
    """
    reach = 4 * spread

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        return (rng.random(n) < share) + spread * np.clip(rng.normal(size=n), -4, 4)

    return Cell(
        f"sparse, {share:.0%} paid, varying by {spread:.0%}", draw, share, (-reach, 1 + reach)
    )


def pole(lasts: int) -> Cell:
    """Falls at every step with probability `1 / lasts`."""
    mean = (1 - (1 - 1 / lasts) ** LIMIT) * lasts
    return Cell(
        f"falling pole, {lasts} steps",
        lambda rng, n: np.minimum(rng.geometric(1 / lasts, n), LIMIT) * 1.0,
        mean,
        (0, LIMIT),
    )


def log_normal(sigma: float) -> Cell:
    return Cell(
        f"log-normal, σ {sigma}",
        lambda rng, n: rng.lognormal(sigma=sigma, size=n),
        np.exp(sigma**2 / 2),
    )


def pareto(shape: float) -> Cell:
    return Cell(
        f"Pareto, shape {shape}", lambda rng, n: 1 + rng.pareto(shape, n), shape / (shape - 1)
    )


def paid_unequally(share: float) -> Cell:
    """Exponential amounts, range unknown."""
    return Cell(
        f"sparse, {share:.0%} paid unequally",
        lambda rng, n: (rng.random(n) < share) * rng.exponential(size=n),
        share,
    )


def bump(share: float, height: float) -> Cell:
    return Cell(
        f"normal, {share:.0%} of it {height:g} higher",
        lambda rng, n: rng.normal(size=n) + height * (rng.random(n) < share),
        share * height,
    )


NORMAL = Cell("normal", lambda rng, n: rng.normal(size=n), 0.0)
CELLS = (
    sparse(0.05),
    sparse(0.16),
    log_normal(1.5),
    log_normal(2.2),
    pareto(2.5),
    pareto(1.5),
    pole(30),
    pole(100),
    pole(300),
    trembling(0.05, 0.01),
    trembling(0.16, 0.01),
)
NEIGHBOURS = (
    NORMAL,
    sparse(0.02),
    dataclasses.replace(sparse(0.05), name="sparse, 5% paid, range not given", bounds=None),
    paid_unequally(0.05),
    paid_unequally(0.4),
    Cell("log-normal, σ 1, negative", lambda rng, n: -rng.lognormal(size=n), -np.exp(0.5)),
    Cell("exponential", lambda rng, n: rng.exponential(size=n), 1.0),
    Cell("gamma, shape 0.2", lambda rng, n: rng.gamma(0.2, size=n), 0.2),
    Cell("half-normal", lambda rng, n: np.abs(rng.normal(size=n)), np.sqrt(2 / np.pi)),
    Cell("uniform", lambda rng, n: rng.random(n), 0.5),
    Cell("Student t, 3 degrees", lambda rng, n: rng.standard_t(3, n), 0.0),
    Cell("Poisson, mean 1", lambda rng, n: rng.poisson(1, n) * 1.0, 1.0),
    trembling(0.05, 0.05),
    bump(0.2, 8),
    bump(0.1, 8),
)


def estimates(cell: Cell, n: int, draws: int, seed: int = 0) -> list[tuple[np.ndarray, Estimate]]:
    """`draws` sets of n samples, the same for the same cell, n and seed, and the mean of each."""
    rng = np.random.default_rng([seed, n, *cell.name.encode()])
    sets = [cell.draw(rng, n) for _ in range(draws)]
    return [(samples, estimators.mean(samples, bounds=cell.bounds)) for samples in sets]


def hits(cell: Cell, n: int, draws: int, seed: int = 0) -> tuple[int, int]:
    """How many of the intervals hold the mean, and of how many."""
    inside = [
        estimate.low <= cell.mean <= estimate.high
        for _, estimate in estimates(cell, n, draws, seed)
    ]
    return sum(inside), draws
