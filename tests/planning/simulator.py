"""Simulated pilots of learning curves whose true law is known; fixed keys.

Written before any prior of the fit, and unlike one on purpose. The true error is `floor + A (N +
shift)^-exponent`: the shift bends the curve away from every law that the fit knows, by up to a
tenth of the smallest anchor. The floor is where the falling part arrives after a random number of
samples, from well inside the pilot to eight times beyond it. Noise in the logarithm has heavy tails
(Student t with 5 degrees of freedom) of a random size: one draw per seed and, where there is anchor
noise, one that all seeds of an anchor share (the subset of data that they were given).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from paracosm.core.records.decisions import Anchor, Curve

SMALLEST, LARGEST = 500, 8_000
EXTRAPOLATION = 16
EXPONENTS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
TAILS = 5


@dataclasses.dataclass(frozen=True)
class Cell:
    """What the pilots of one row of the table have in common."""

    exponent: float
    floor: bool
    anchor_noise: bool


CELLS = tuple(Cell(*row) for row in itertools.product(EXPONENTS, (False, True), (False, True)))


@dataclasses.dataclass(frozen=True)
class TrueLaw:
    """`floor + scale (N + shift)^-exponent`."""

    scale: float
    exponent: float
    shift: float
    floor: float

    def error(self, samples):
        return self.floor + self.scale * (np.asarray(samples, float) + self.shift) ** -self.exponent


def pilots(cell: Cell, number: int, seed: int = 0) -> Iterator[tuple[Curve, TrueLaw]]:
    """The same `number` pilots for the same cell and seed, each the curve measured and the law
    behind it.
    """
    for index in range(number):
        rng = np.random.default_rng((seed, CELLS.index(cell), index))
        law = true_law(cell, rng)
        yield measured(law, cell.anchor_noise, rng), law


def true_law(cell: Cell, rng: np.random.Generator) -> TrueLaw:
    """A law with the cell's exponent; a floor is met between 1,000 and 64,000 samples."""
    scale, shift = np.exp(rng.uniform(-2, 5)), rng.uniform(0, SMALLEST / 10)
    met = np.exp(rng.uniform(np.log(2 * SMALLEST), np.log(8 * LARGEST)))
    return TrueLaw(
        scale, cell.exponent, shift, cell.floor * scale * (met + shift) ** -cell.exponent
    )


@dataclasses.dataclass(frozen=True)
class Flattening:
    """A power law whose exponent drops to `later` at size `at`."""

    scale: float
    exponent: float
    at: float
    later: float

    def error(self, samples):
        samples = np.asarray(samples, float)
        on = self.at**-self.exponent * (samples / self.at) ** -self.later
        return self.scale * np.where(samples <= self.at, samples**-self.exponent, on)


OFF_PRIOR = (
    "exponent 0.03 with a floor",
    "flattens beyond the pilot",
    "floor under half of the error",
)


def off_prior(
    kind: str, number: int, seed: int = 9
) -> Iterator[tuple[Curve, TrueLaw | Flattening]]:
    """Pilots as `pilots` makes them, half with noise of sizes, of laws that the prior was not made
    for.
    """
    for index in range(number):
        rng = np.random.default_rng((seed, OFF_PRIOR.index(kind), index))
        law = _off_prior_law(kind, rng)
        yield measured(law, bool(rng.integers(2)), rng), law


def _off_prior_law(kind: str, rng: np.random.Generator) -> TrueLaw | Flattening:
    """The slowest law that the fit knows, above a floor; one that stops falling at 1 to 4 times the
    largest size; one whose floor is up to half of the error at the largest size.
    """
    if kind == OFF_PRIOR[0]:
        return true_law(Cell(0.03, floor=True, anchor_noise=False), rng)
    scale = np.exp(rng.uniform(-2, 5))
    if kind == OFF_PRIOR[1]:
        return Flattening(
            scale,
            rng.choice([0.2, 0.35, 0.5, 0.75]),
            LARGEST * np.exp(rng.uniform(0, np.log(4))),
            0.0,
        )
    exponent, share = rng.uniform(0.1, 1.0), rng.uniform(0, 0.5)
    return TrueLaw(scale, exponent, 0.0, scale * LARGEST**-exponent * share / (1 - share))


def measured(law: TrueLaw | Flattening, anchor_noise: bool, rng: np.random.Generator) -> Curve:
    """6 to 8 nested sizes, evenly spaced in logarithm over 16 times, and 3 to 5 seeds at each."""
    sizes = np.rint(np.geomspace(SMALLEST, LARGEST, rng.integers(6, 9))).astype(int)
    seeds = int(rng.integers(3, 6))
    per_seed = np.exp(rng.uniform(np.log(0.05), np.log(0.3)))
    per_anchor = anchor_noise * np.exp(rng.uniform(np.log(0.03), np.log(0.15)))
    noise = per_seed * heavy(rng, (len(sizes), seeds)) + per_anchor * heavy(rng, (len(sizes), 1))
    errors = law.error(sizes)[:, None] * np.exp(noise)
    rows = itertools.product(range(len(sizes)), range(seeds))
    anchors = tuple(Anchor(int(sizes[i]), float(errors[i, s]), s) for i, s in rows)
    return Curve("dynamics", anchors, "rms", "simulated")


def heavy(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Student t with 5 degrees of freedom, scaled to variance 1."""
    return rng.standard_t(TAILS, shape) * np.sqrt((TAILS - 2) / TAILS)
