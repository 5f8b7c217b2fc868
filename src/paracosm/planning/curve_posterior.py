"""What a learning curve says about sizes that were not measured: a posterior over the laws
`log ε(N) = a + log((N/N₀)^-α + κ)`, with `N₀` the largest size measured.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.records.decisions import Anchor, Curve, CurveFit
from paracosm.core.records.reasons import Caveat, CaveatKind
from paracosm.planning import curve_validation, grid
from paracosm.planning.law import Law

DRAWS = 4096  # of a forecast: beyond either end of a 90% interval lie 205 of them, give or take 14
# Times the largest size measured, past which a forecast leans on the law more than on data.
FAR = 10
BAND_POINTS = 33  # of a forecast's band: on a logarithmic axis its lines look smooth
# An exponent within a tenth of an edge of the grid is at that edge; a tenth of the probability
# there is worth a word.
EDGE, EDGE_SHARE = 1.1, 0.1
# Prior shares of curves that leave the law after the pilot; set by the coverage table.
FLATTENS, STEEPENS = 0.3, 0.05
# Odds against the law from which a warning is given and forecasts allow for the alternative
DOUBT = 2.0
# A law that explains less than this share of the variance of the log errors is worth a word.
POOR = 0.7
SCATTER = 0.1  # of log errors about the law: less is as good as a fit


class LawDraws(NamedTuple):
    """Equally probable laws, and the noise around them: standard deviations of the log error, all
    `[draws]`.
    """

    law: Law
    seed_noise: np.ndarray
    anchor_noise: np.ndarray


@dataclasses.dataclass(frozen=True)
class Posterior:
    """The laws that a curve supports, with their probabilities on a grid; errors as root mean
    squares.

    Scale-free: errors times a constant give forecasts times that constant. Rows may come in any
    order.

    Attributes:
        curve: As it was measured.
        measured: The same in logarithms, by size.
        cells: Of the law.
        steep: Of curves that steepen, which no law describes.
        log_odds_of_rise: What the pilot gives to a curve that rises at its end, against the law.
    """

    curve: Curve
    measured: grid.CurveSummary
    cells: grid.Cells
    steep: grid.Cells
    log_odds_of_rise: float

    def draws_of_law(self, number: int, seed: int) -> LawDraws:
        """Equally probable draws of the law itself, stratified over the grid's cells, in random
        order.
        """
        return _draw(self.measured, self.cells, number, np.random.default_rng(seed))[0]

    def draws(self, number: int, seed: int) -> LawDraws:
        """Equally probable curves.

        Each is a draw of the law or, with probability `_steepens`, one of the fitted curves that
        steepen. Beyond the largest size measured nothing says how a curve goes on: one that
        steepens goes on as a power; of the others a share `FLATTENS` (twice that where the curve
        seems to rise) flattens, a part of what still falls, uniform from none to all, becoming
        floor. Every draw is continuous at the largest size, so that a forecast's band widens with
        distance and never jumps.
        """
        chosen, bend, chance = self._draw_with_alternatives(number, seed)
        flattens = FLATTENS if self.log_odds_of_rise < np.log(DOUBT) else 2 * FLATTENS
        becomes = np.where((bend == 0) & (chance[0] < flattens), chance[1], 0.0)
        first, last = self.measured.sizes[[0, -1]]
        law = _flatten(chosen.law, float(last), becomes)
        return chosen._replace(law=law._replace(bend=bend, log_range=float(np.log(last / first))))

    def _draw_with_alternatives(
        self, number: int, seed: int
    ) -> tuple[LawDraws, np.ndarray, np.ndarray]:
        """Draws as they leave the pilot, the bend of each `[number]`, and chance `[2, number]` for
        the rest.
        """
        own, rng = self.draws_of_law(number, seed), np.random.default_rng([seed, 1])
        steep, bend = _draw(self.measured, self.steep, number, rng)
        chance = rng.random((3, number))
        steepens = chance[0] < self._steepens
        chosen = LawDraws(
            Law(
                *(
                    np.where(steepens, bent, lawful)
                    for lawful, bent in zip(own.law, steep.law, strict=True)
                )
            ),
            np.where(steepens, steep.seed_noise, own.seed_noise),
            np.where(steepens, steep.anchor_noise, own.anchor_noise),
        )
        return chosen, np.where(steepens, bend, 0.0), chance[1:]

    @property
    def _steepens(self) -> float:
        """Probability that the curve steepens; at least a half where the pilot itself gives reason
        to doubt the law.
        """
        odds = np.exp(min(self.steep.evidence - self.cells.evidence, 100.0))
        share = STEEPENS * odds / (STEEPENS * odds + 1 - STEEPENS)
        return float(max(share, 0.5) if odds > DOUBT else share)

    def forecast(self, samples: np.ndarray, level: float = 0.9) -> np.ndarray:
        """Low, median and high `[samples, 3]` of the error over `draws`: the law, and the curves
        that steepen or flatten against it. A model trained there scatters around it.
        """
        checks.between("level", level, 0, 1)
        samples = np.asarray(samples, float)[:, None]
        ends = [(1 - level) / 2, 0.5, (1 + level) / 2]
        return np.quantile(self._curve_draws.error(samples), ends, axis=1).T

    @functools.cached_property
    def _curve_draws(self) -> Law:
        return self.draws(DRAWS, 0).law

    @functools.cached_property
    def _law_draws(self) -> Law:
        return self.draws_of_law(DRAWS, 0).law

    def record(self, reach: float) -> CurveFit:
        """The fit as a record; `reach` is the largest number of samples that a plan goes to."""
        law, sizes = self._law_draws, self.measured.sizes
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

    @property
    def _residuals(self) -> np.ndarray:
        """Anchors' mean log errors less those of the median forecast, `[anchor]`."""
        return self.measured.mean - np.log(self.forecast(self.measured.sizes)[:, 1])

    def _r2(self) -> float:
        """Share of the variance of anchors' mean log errors, weighted by seeds, that the median
        forecast explains.

        Zero where it explains none, as of a flat curve.
        """
        mean, weight = self.measured.mean, self.measured.seeds
        left = np.sum(weight * self._residuals**2)
        total = np.sum(weight * (mean - np.average(mean, weights=weight)) ** 2)
        return float(max(0, 1 - left / total)) if total else 0.0

    @property
    def _poor(self) -> bool:
        """Whether the law explains little of errors that do differ: a flat curve it fits well."""
        scatter = np.sqrt(np.average(self._residuals**2, weights=self.measured.seeds))
        return bool(self._r2() < POOR and scatter > SCATTER)

    def caveats(self, reach: float) -> tuple[Caveat, ...]:
        """What to know before trusting a plan that goes to `reach` samples."""
        largest = float(self.measured.sizes[-1])
        steep, part = self.steep.evidence - self.cells.evidence, self.curve.part
        far = {"reach": reach, "largest": largest, "far": float(FAR)}
        conditions = (
            (self.curve.unit == "mse", CaveatKind.MEAN_SQUARES, {}),
            (reach > FAR * largest, CaveatKind.FAR_FORECAST, far),
            *(
                (share > EDGE_SHARE, CaveatKind.EDGE_OF_GRID, {"edge": edge, "share": share})
                for edge, share in self._edges().items()
            ),
            (steep > np.log(DOUBT), CaveatKind.STEEPENING, {}),
            (self.log_odds_of_rise > np.log(DOUBT), CaveatKind.NO_LONGER_FALLING, {}),
            (self.measured.seeds.max() == 1, CaveatKind.ONE_SEED, {}),
            (self._poor, CaveatKind.POOR_FIT, {"share": self._r2()}),
        )
        return tuple(Caveat(kind, part, numbers) for holds, kind, numbers in conditions if holds)

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

    Mean squares become root mean squares first: weights are multiplied with norms.

    Raises:
        CurveRefused: if the curve cannot support a forecast: too few sizes, errors or samples that
            are not positive, a curve that rises, or one that bends against the law.
    """
    curve_validation.require_anchors(curve)
    measured = _summary(_as_rms(curve))
    curve_validation.require_fall(curve.part, measured)
    fit = Posterior(curve, measured, grid.law_cells(measured), grid.steepening_cells(measured), 0.0)
    fit = dataclasses.replace(
        fit, log_odds_of_rise=grid.rise_evidence(measured) - fit.cells.evidence
    )
    curve_validation.require_law(
        curve.part,
        measured,
        steepens=fit.steep.evidence - fit.cells.evidence,
        rises=fit.log_odds_of_rise,
    )
    return fit


def _draw(
    measured: grid.CurveSummary, cells: grid.Cells, number: int, rng: np.random.Generator
) -> tuple[LawDraws, np.ndarray]:
    """Draws, and the bend of their cells `[number]`.

    Args:
        measured: The measured curve.
        cells: The posterior on its grid, `[cells]`.
        number: How many draws.
        rng: The generator that they are drawn with.
    """
    strata = rng.permutation((np.arange(number) + rng.random(number)) / number)
    reached = np.cumsum(cells.probability)
    chosen = np.minimum(np.searchsorted(reached, strata * reached[-1]), len(reached) - 1)
    noise = np.sqrt(cells.squares[chosen] / rng.chisquare(cells.freedom, number))
    level = cells.level[chosen] + noise * np.sqrt(cells.variance[chosen]) * rng.standard_normal(
        number
    )
    exponent = cells.exponent[chosen]
    scale = np.exp(level + exponent * np.log(measured.sizes[-1]))
    law = Law(scale, exponent, np.exp(level) * cells.floor[chosen])
    return LawDraws(law, noise, noise * cells.ratio[chosen]), cells.bend[chosen]


def _flatten(law: Law, size: float, share: np.ndarray) -> Law:
    """Laws `[draws]` in which a share of what falls at this size is floor from there on; the error
    there is the same.
    """
    to_floor = share * law.scale * size ** -np.asarray(law.exponent)
    return Law(
        scale=law.scale * (1 - share),
        exponent=law.exponent,
        floor=law.floor + to_floor,
        decaying_floor=to_floor,
        largest_measured=size,
    )


def _as_rms(curve: Curve) -> tuple[Anchor, ...]:
    """Anchors by size, errors as root mean squares."""
    anchors = sorted(curve.anchors, key=lambda anchor: (anchor.samples, anchor.seed, anchor.error))
    if curve.unit == "rms":
        return tuple(anchors)
    return tuple(
        dataclasses.replace(anchor, error=float(np.sqrt(anchor.error))) for anchor in anchors
    )


def _summary(anchors: tuple[Anchor, ...]) -> grid.CurveSummary:
    sizes, where = np.unique([anchor.samples for anchor in anchors], return_inverse=True)
    log_error = np.log([anchor.error for anchor in anchors])
    seeds = np.bincount(where)
    mean = np.bincount(where, log_error) / seeds
    return grid.CurveSummary(
        sizes.astype(float), mean, seeds, float(np.sum((log_error - mean[where]) ** 2))
    )
