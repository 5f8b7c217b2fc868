"""What is read off the latent worlds of E9: by maze and λ, with intervals over seeds; no JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.paper.e9_cells import row
from paracosm.paper.e9_choices import PLANNERS, VARIATIONS, WEIGHTS
from paracosm.paper.power_laws import RESAMPLES, resampled
from paracosm.paper.study import Answer

FromResult = Callable[[dict[str, Any]], float]
LEAST, MOST = min(WEIGHTS), max(WEIGHTS)


class Worlds:
    """The answers by maze and λ, in the order of the seeds."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._fitted = [a for a in answers if a.function.endswith(":straightened")]
        self.known = {
            a.arguments["maze"]: a.result for a in answers if a.function.endswith(":known")
        }
        self.sizes = self._fitted[0].arguments

    def results(self, maze: str, weight: float, variation: str = "") -> list[dict[str, Any]]:
        """Results of the chosen settings, or of a variation."""
        changed = VARIATIONS[variation] if variation else {}
        varied = {name for change in VARIATIONS.values() for name in change}
        return [
            a.result
            for a in self._fitted
            if (a.arguments["maze"], a.arguments["weight"]) == (maze, weight)
            and {name: a.arguments[name] for name in varied & a.arguments.keys()} == changed
        ]

    def everything(self) -> list[dict[str, Any]]:
        """Results of the chosen settings, of all mazes and λ."""
        return [r for maze in self.known for weight in WEIGHTS for r in self.results(maze, weight)]

    def mean(self, maze: str, weight: float, number: FromResult, variation: str = "") -> float:
        """The mean of a number over seeds.

        Args:
            maze, weight, variation: As for `results`.
            number: Reads it off a result.
        """
        return float(np.mean([number(r) for r in self.results(maze, weight, variation)]))

    def estimate(self, maze: str, weight: float, number: FromResult) -> Estimate:
        """The mean of a number over seeds, with Student's t interval."""
        return estimators.student_mean([number(r) for r in self.results(maze, weight)])

    def change(self, maze: str, number: FromResult) -> Estimate:
        """How much a number changes from the least to the most straightening, seed by seed."""
        first, last = (self.results(maze, weight) for weight in (LEAST, MOST))
        pairs = zip(first, last, strict=True)
        return estimators.student_mean([number(after) - number(before) for before, after in pairs])

    def success(self, maze: str, weight: float, planner: str, length: int) -> Estimate:
        """The share of starts from which the goal is reached, with an interval over seeds; over
        starts where all seeds reach the same share.

        Args:
            maze, weight: As for `results`.
            planner: Of `PLANNERS`.
            length: Of its plans.
        """
        shares = [reached(planner, length)(r) for r in self.results(maze, weight)]
        if np.ptp(shares):
            return _within(estimators.student_mean(shares), 0.0, 1.0)
        starts = len(shares) * self.sizes["starts"]
        return estimators.share(round(shares[0] * starts), starts)

    def gain(self, maze: str, planner: str, length: int) -> Estimate:
        """How much success changes from the least to the most straightening.

        Args:
            maze: Of `MAZES`.
            planner: Of `PLANNERS`.
            length: Of its plans.
        """
        number = reached(planner, length)
        first, last = (self.results(maze, weight) for weight in (LEAST, MOST))
        gains = [number(b) - number(a) for a, b in zip(first, last, strict=True)]
        if np.ptp(gains):
            return _within(estimators.student_mean(gains), -1.0, 1.0)
        before, after = (self.success(maze, weight, planner, length) for weight in (LEAST, MOST))
        ends = after.low - before.high, after.high - before.low
        return Estimate(gains[0], *ends, len(gains), f"difference of two: {before.method}")

    def explained(self, maze: str, explains: FromResult, explained: FromResult) -> Estimate:
        """Spearman's rank correlation of two numbers over the worlds of a maze, of all λ; its
        interval is over seeds, each drawn with its worlds of all λ, which share data and starts.

        Args:
            maze: Of `MAZES`.
            explains, explained: Read the two off a result.
        """
        by_weight = [self.results(maze, weight) for weight in WEIGHTS]
        numbers = np.array(
            [
                [[number(r) for r in results] for results in by_weight]
                for number in (explains, explained)
            ]
        )
        seeds = numbers.shape[2]
        if not np.ptp(numbers, axis=(1, 2)).all():
            return Estimate(0.0, -1.0, 1.0, seeds, "one of them does not vary")
        drawn = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
        draws = numbers[:, :, np.vstack([np.arange(seeds), drawn])]
        ranks = _rank_correlations(*draws.swapaxes(1, 2).reshape(2, 1 + RESAMPLES, -1))
        return _within(resampled(ranks, seeds), -1.0, 1.0)

    def best(self, maze: str, weight: float, length: int) -> str:
        """The planner that reaches the goal most often."""
        return max(PLANNERS, key=lambda p: self.success(maze, weight, p, length).mean)


def reached(planner: str, length: int, cost: str = "") -> FromResult:
    """Reads the share of starts from which a planner reaches the goal.

    Args:
        planner: Of `PLANNERS`.
        length: Of its plans.
        cost: Of a step in a known maze.
    """
    return lambda result: result["success"][row(planner, length, cost)]


def of_paths(paths: str, name: str) -> FromResult:
    """Reads a number of `positions`, of `seen` or of `imagined` paths."""
    return lambda result: result[paths][name]


def _rank_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's of each draw `[draw, world]`, 0 where one of the two does not vary."""
    a, b = (
        stats.rankdata(column, axis=1) - (column.shape[1] + 1) / 2 for column in (first, second)
    )
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.divide(np.sum(a * b, axis=1), lengths, out=np.zeros(len(a)), where=lengths > 0)


def _within(estimate: Estimate, low: float, high: float) -> Estimate:
    """The estimate with its interval cut at what is possible."""
    ends = max(estimate.low, low), min(estimate.high, high)
    return Estimate(estimate.mean, *ends, estimate.n, estimate.method)
