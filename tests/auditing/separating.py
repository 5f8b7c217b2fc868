"""Returns of policies whose order is known, and what a design of equal numbers needs for it.

`[policy, episode]`, the policies from the best to the worst; episodes i of all start alike.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
from scipy import special

from paracosm.auditing.sequential import SeparatedPolicies, separate

EPISODES = 1500  # of each policy: what all together may play at the most

Draw = Callable[[np.random.Generator], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
    """How returns are drawn, and their range where it is known."""

    name: str
    draw: Draw
    bounds: tuple[float, float] | None = None

    def __str__(self) -> str:
        return self.name


def normal(*means: float) -> Case:
    """Normal returns: starts spread them by 1, what else happens by 0.7."""
    column = np.asarray(means)[:, None]

    def draw(rng: np.random.Generator) -> np.ndarray:
        starts = rng.normal(size=(1, EPISODES))
        return column + starts + 0.7 * rng.normal(size=(len(means), EPISODES))

    return Case(f"normal, means {means}", draw)


def log_normal(sigma: float, *scales: float) -> Case:
    """Costs that are log-normal, of one shape and several scales, the smallest best."""
    column = np.asarray(scales)[:, None]

    def draw(rng: np.random.Generator) -> np.ndarray:
        starts = rng.normal(size=(1, EPISODES))
        own = rng.normal(size=(len(scales), EPISODES))
        return -column * np.exp(sigma * np.sqrt(0.5) * (starts + own))

    return Case(f"log-normal, σ {sigma}, scales {scales}", draw)


def failing(*shares: float, bounds: tuple[float, float] | None = (0.0, 1.0)) -> Case:
    """Paid 1 unless an episode fails, with these probabilities."""
    column = np.asarray(shares)[:, None]

    def draw(rng: np.random.Generator) -> np.ndarray:
        return (rng.random((len(shares), EPISODES)) >= column) * 1.0

    return Case(f"failing in {shares} of the episodes, range {bounds}", draw, bounds)


@dataclasses.dataclass(frozen=True)
class Score:
    """Of simulations: how many were sure and how many of these wrong, and episodes of each."""

    sims: int
    sure: int
    wrong: int
    episodes: float


def score(case: Case, sims: int, *, seed: int = 0, **options) -> Score:
    """Separate the policies of so many draws."""
    results = [_separated(case, number, seed, **options) for number in range(sims)]
    sure = [result for result in results if result.sure]
    best = options.get("best", False)
    wrong = sum(not _right(result, best) for result in sure)
    episodes = [sum(map(len, result.returns)) for result in results]
    return Score(sims, len(sure), wrong, float(np.mean(episodes)))


def _separated(case: Case, number: int, seed: int, **options) -> SeparatedPolicies:
    table = case.draw(np.random.default_rng([seed, number]))
    options = {"most": EPISODES, "bounds": case.bounds, **options}
    return separate(lambda k, i: float(table[k, i]), len(table), **options)


def _right(result: SeparatedPolicies, best: bool) -> bool:
    return result.order[0] == 0 if best else list(result.order) == sorted(result.order)


def fixed_design(
    case: Case, sims: int, share: float, *, best: bool = False, risk: float = 0.05, seed: int = 0
) -> int:
    """Episodes of all policies in the smallest design of equal numbers in which simultaneous
    paired Student intervals decide as much in a share of the same draws.
    """
    decided = np.zeros(EPISODES - 1)
    for number in range(sims):
        table = case.draw(np.random.default_rng([seed, number]))
        decided += _decided(table, best, risk)
    n = 2 + int(np.argmax(decided >= share * sims))
    return len(table) * n


def _decided(table: np.ndarray, best: bool, risk: float) -> np.ndarray:
    """Whether Student's intervals of the first 2, 3, … episodes tell the true order or best."""
    m, n = len(table), np.arange(2, EPISODES + 1)
    pairs = m - 1 if best else m * (m - 1) // 2
    reach = special.stdtrit(n - 1, 1 - risk / pairs / 2) / np.sqrt(n)
    decided = np.ones(len(n), bool)
    for i, j in [(0, k) for k in range(1, m)] if best else itertools.pairwise(range(m)):
        rows = table[i] - table[j]
        total, squares = np.cumsum(rows)[1:], np.cumsum(rows**2)[1:]
        spread = np.sqrt(np.maximum(squares - total**2 / n, 0) / (n - 1))
        decided &= total / n > reach * spread
    return decided
