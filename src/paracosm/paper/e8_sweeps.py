"""The answers of E8 by system, ℓ and seed, and what is compared over ℓ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.paper.e8_cells import CONSTANTS, FREE
from paracosm.paper.study import Answer

EQUAL = 1.1
"""Errors up to this multiple of those without a limit count as equal."""
PARTS = ("dynamics", "reward")

Measure = Callable[[dict[str, Any]], float]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """The results of one system, `[multiple][seed]`, the multiples in order and `FREE` the last."""

    name: str
    results: dict[float, list[dict[str, Any]]]

    @staticmethod
    def lemma(result: dict[str, Any]) -> float:
        """log10 of Lemma 1's bound of the trained policy."""
        return result["bounds"]["global"]

    @staticmethod
    def closed_loop(result: dict[str, Any]) -> float:
        """log10 of the rung with the closed loop's own constants."""
        return result["bounds"]["closed_loop"]

    @staticmethod
    def idle(result: dict[str, Any]) -> float:
        """log10 of Lemma 1's bound of the policy that does nothing."""
        return result["idle"]["bound"]

    @staticmethod
    def real(result: dict[str, Any]) -> float:
        """The real return of the trained policy."""
        return result["real"]

    @staticmethod
    def error(result: dict[str, Any]) -> float:
        """The dynamics' held-out error."""
        return result["error"]["dynamics"]

    def column(self, multiple: float, measure: Measure) -> list[float]:
        """A measure at one ℓ, by seed."""
        return [measure(result) for result in self.results[multiple]]

    def mean(self, multiple: float, measure: Measure) -> Estimate:
        """Over seeds."""
        return estimators.student_mean(self.column(multiple, measure))

    def paired(self, measure: Measure, multiple: float) -> Estimate:
        """How much a measure is above that without a limit, seed by seed."""
        here, free = (np.array(self.column(m, measure)) for m in (multiple, FREE))
        return estimators.student_mean(here - free)

    def ratio(self, multiple: float, part: str) -> float:
        """A part's held-out error over that without a limit, of the means over seeds."""
        here, free = (self.column(m, lambda r: r["error"][part]) for m in (multiple, FREE))
        return float(np.mean(here) / np.mean(free))

    def equal(self, most: float = EQUAL) -> float:
        """The smallest multiple at which neither error is more than `most` times that without a
        limit.
        """
        fit = [m for m in self.results if all(self.ratio(m, part) <= most for part in PARTS)]
        return min(fit)

    def errors_in_words(self, multiple: float) -> str:
        """Both errors at one ℓ as shares of those without a limit."""
        return " and ".join(f"{self.ratio(multiple, part):.2f} ({part})" for part in PARTS)

    def held(self) -> list[float]:
        """Each certified constant over its ℓ, where there is one."""
        limits = dict(zip(PARTS, CONSTANTS[self.name], strict=True))
        return [
            result["certified"][part] / (multiple * limit)
            for multiple, results in self.results.items()
            if multiple != FREE
            for result in results
            for part, limit in limits.items()
        ]

    def proven(self) -> list[bool]:
        """Whether all constants of each world and its policy are certificates."""
        return [result["proven"] for results in self.results.values() for result in results]

    def within(self) -> list[bool]:
        """Whether each gap keeps Lemma 1: of the trained policy, and of the one that does
        nothing.
        """
        both = [
            pair
            for results in self.results.values()
            for r in results
            for pair in ((r["gap"]["total"], self.lemma(r)), (r["idle"]["gap"], self.idle(r)))
        ]
        return [abs(gap) <= 10.0**bound for gap, bound in both]

    def rank(self, measure: Measure) -> Estimate:
        """Spearman's rank correlation over ℓ of a measure and the real return, the mean over
        seeds.
        """
        tables = [np.array([self.column(m, f) for m in self.results]) for f in (measure, self.real)]
        ranks = [
            0.0
            if min(np.ptp(x), np.ptp(y)) == 0
            else _correlation(stats.rankdata(x), stats.rankdata(y))
            for x, y in zip(tables[0].T, tables[1].T, strict=True)
        ]
        mean = estimators.student_mean(ranks)
        return dataclasses.replace(mean, low=max(mean.low, -1.0), high=min(mean.high, 1.0))

    def cost_of_choosing(self) -> Estimate:
        """The real return without a limit minus that at the ℓ of the lowest bound of the trained
        policy, seed by seed.
        """
        bounds, real = (
            np.array([self.column(m, measure) for m in self.results])
            for measure in (self.lemma, self.real)
        )
        lowest = real[np.argmin(bounds, axis=0), np.arange(bounds.shape[1])]
        return estimators.student_mean(real[-1] - lowest)


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def sweeps(answers: Sequence[Answer]) -> list[Sweep]:
    """The answers by system, in the order of `CONSTANTS`."""
    by_system: dict[str, dict[float, list[dict[str, Any]]]] = {name: {} for name in CONSTANTS}
    for answer in sorted(answers, key=lambda a: (a.arguments["multiple"], a.arguments["seed"])):
        of_system = by_system[answer.arguments["system"]]
        of_system.setdefault(answer.arguments["multiple"], []).append(answer.result)
    return [Sweep(name, results) for name, results in by_system.items()]
