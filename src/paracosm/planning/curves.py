"""What a learning curve says about sizes that were not measured (theory, section 5)."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.decisions import Anchor, Curve, CurveFit
from paracosm.planning import gate, grid
from paracosm.planning.law import Law
from paracosm.planning.reading import read_curves

__all__ = ["Draws", "Posterior", "posterior", "read_curves"]

DRAWS = 4096
FAR = 10
BAND_POINTS = 33
EDGE, EDGE_SHARE = 1.1, 0.1


class Draws(NamedTuple):
    """Equally probable laws, and the noise around them: standard deviations of the log error, all `[draws]`."""

    law: Law
    seed_noise: np.ndarray
    anchor_noise: np.ndarray


@dataclasses.dataclass(frozen=True)
class Posterior:
    """The laws that a curve supports, with their probabilities on a grid; errors as root mean squares.

    Scale-free: errors times a constant give forecasts times that constant. Rows may come in any order.
    """

    curve: Curve
    pilot: grid.Pilot
    cells: grid.Cells

    def draws(self, number: int, seed: int) -> Draws:
        """Equally probable draws, stratified over the grid's cells, in random order."""
        cells, rng = self.cells, np.random.default_rng(seed)
        strata = rng.permutation((np.arange(number) + rng.random(number)) / number)
        reached = np.cumsum(cells.probability)
        chosen = np.minimum(np.searchsorted(reached, strata * reached[-1]), len(reached) - 1)
        noise = np.sqrt(cells.squares[chosen] / rng.chisquare(cells.rows, number))
        level = cells.level[chosen] + noise * np.sqrt(cells.variance[chosen]) * rng.standard_normal(number)
        exponent = cells.exponent[chosen]
        scale = np.exp(level + exponent * np.log(self.pilot.sizes[-1]))
        law = Law(scale, exponent, np.exp(level) * cells.floor[chosen])
        return Draws(law, noise, noise * cells.ratio[chosen])

    def forecast(self, samples: np.ndarray, level: float = 0.9) -> np.ndarray:
        """Low, median and high `[samples, 3]` of the error of the law; a model trained there scatters around it."""
        checks.between("level", level, 0, 1)
        error = self._law.error(np.asarray(samples, float)[:, None])
        return np.quantile(error, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=1).T

    @functools.cached_property
    def _law(self) -> Law:
        return self.draws(DRAWS, 0).law

    def record(self, reach: float) -> CurveFit:
        """The fit as a record; `reach` is the largest number of samples that a plan goes to."""
        law, sizes = self._law, self.pilot.sizes
        low, exponent, high = np.quantile(law.exponent, [0.025, 0.5, 0.975])
        points = np.geomspace(sizes[0], max(reach, sizes[-1]), BAND_POINTS)
        band = np.column_stack([points, self.forecast(points)])
        return CurveFit(
            prefactor=float(np.median(law.scale)),
            exponent=float(exponent),
            low=float(low),
            high=float(high),
            floor=float(np.median(law.floor)),
            r2=self._r2(),
            extrapolation=float(reach / sizes[-1]),
            anchors=_as_rms(self.curve),
            band=tuple(tuple(map(float, row)) for row in band),
        )

    def _r2(self) -> float:
        """Share of the variance of anchors' mean log errors, weighted by seeds, that the median forecast explains.

        Zero where it explains none, as of a flat curve.
        """
        mean, weight = self.pilot.mean, self.pilot.seeds
        left = np.sum(weight * (mean - np.log(self.forecast(self.pilot.sizes)[:, 1])) ** 2)
        there = np.sum(weight * (mean - np.average(mean, weights=weight)) ** 2)
        return float(max(0, 1 - left / there)) if there else 0.0

    def warnings(self, reach: float) -> tuple[str, ...]:
        """What to know before trusting a plan that goes to `reach` samples, a sentence each."""
        part, largest = self.curve.part, self.pilot.sizes[-1]
        found = []
        if self.curve.unit == "mse":
            found.append(
                f"The {part} errors were mean squares; their square roots are used, which halves the exponent."
            )
        if reach > FAR * largest:
            found.append(
                f"The plan takes {part} to {reach:,.0f} samples, {reach / largest:.0f} times the largest size "
                f"measured; past {FAR} times a forecast leans on the law more than on data."
            )
        for edge, share in self._edges().items():
            if share > EDGE_SHARE:
                found.append(
                    f"The {part} exponent lies at {edge:g}, an edge of the grid, with {share:.0%} probability."
                )
        if self.pilot.seeds.max() == 1:
            found.append(f"The {part} curve has one seed at each size, so noise that seeds share passes for their own.")
        return tuple(found)

    def _edges(self) -> dict[float, float]:
        """Probability of the exponents next to each edge of the grid."""
        exponent, probability = self.cells.exponent, self.cells.probability
        low, high = exponent < grid.LEAST_EXPONENT * EDGE, exponent > grid.MOST_EXPONENT / EDGE
        return {
            grid.LEAST_EXPONENT: float(probability[low].sum()),
            grid.MOST_EXPONENT: float(probability[high].sum()),
        }


def posterior(curve: Curve) -> Posterior:
    """The laws that a curve supports.

    Mean squares become root mean squares first: errors in theory's sections 1 to 4 are norms.

    Raises:
        BadData: if the curve cannot support a forecast: too few sizes, errors or samples that are not positive, a curve
            that rises, or one that bends against the law.
    """
    gate.usable(curve)
    pilot = _summary(_as_rms(curve))
    gate.falls(curve.part, pilot)
    return Posterior(curve, pilot, grid.cells(pilot))


def _as_rms(curve: Curve) -> tuple[Anchor, ...]:
    """Anchors by size, errors as root mean squares."""
    anchors = sorted(curve.anchors, key=lambda anchor: (anchor.samples, anchor.seed, anchor.error))
    if curve.unit == "rms":
        return tuple(anchors)
    return tuple(dataclasses.replace(anchor, error=float(np.sqrt(anchor.error))) for anchor in anchors)


def _summary(anchors: tuple[Anchor, ...]) -> grid.Pilot:
    sizes, where = np.unique([anchor.samples for anchor in anchors], return_inverse=True)
    log_error = np.log([anchor.error for anchor in anchors])
    seeds = np.bincount(where)
    mean = np.bincount(where, log_error) / seeds
    return grid.Pilot(sizes.astype(float), mean, seeds, float(np.sum((log_error - mean[where]) ** 2)))
