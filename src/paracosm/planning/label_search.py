"""The best whole numbers of rollouts and of labels on each, and the cost of a label, searched
exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.planning.fidelity import (
    Fidelity,
    FidelityLaw,
    FidelityTable,
    Numbers,
    UnlabelledRollout,
)

ROUNDING = 1e-12
"""Relative slack in "never over budget": 0.1 three times is 0.3."""


class LabelProblem(NamedTuple):
    """A budget, the price of a rollout without labels, and the two variances; costs between `least`
    and `most`.
    """

    fidelity: Fidelity
    budget: float
    cost_rollout: float
    intrinsic: float
    coefficient: float
    least: float
    most: float

    @property
    def rollout(self) -> UnlabelledRollout:
        """One rollout, without its labels."""
        return UnlabelledRollout(self.cost_rollout, self.intrinsic, self.coefficient)

    def variance(self, cost: Numbers, rollouts: Numbers, repeats: Numbers) -> Numbers:
        """Variance of the gradient, `(V₀ + Q σ²(c)/r)/K`."""
        return (
            self.intrinsic + self.coefficient * self.fidelity.variance(cost) / repeats
        ) / rollouts

    def total(self, cost: Numbers) -> Numbers:
        """Variance times budget in real numbers, one label of this cost on each rollout."""
        return self.fidelity.total(cost, self.rollout)

    def price(self, cost: float, repeats: float = 1) -> float:
        """What one labelled rollout costs."""
        return self.cost_rollout + repeats * cost

    def affordable(self, cost: float) -> int:
        """How many rollouts with one label each the budget buys."""
        return int(self.budget / self.price(cost) * (1 + ROUNDING))


class Allocation(NamedTuple):
    """One way to spend the budget."""

    cost: float
    rollouts: int
    repeats: int


class Allocations(NamedTuple):
    """Ways to spend the budget, side by side: arrays `[choice]`."""

    cost: np.ndarray
    rollouts: np.ndarray
    repeats: np.ndarray

    def take(self, which: np.ndarray) -> Allocations:
        """Some of them."""
        return Allocations(*(column[which] for column in self))


def search(problem: LabelProblem, *, repeated: bool) -> Allocation:
    """The choice of least variance among all whole numbers of rollouts and, if `repeated`, of
    labels on each.

    Of choices that are equally good, the one with the fewest repeats and then the most rollouts.

    Raises:
        BadArgument: the budget buys not one rollout.
    """
    choices = (
        _allocations_of_table(problem, repeated)
        if isinstance(problem.fidelity, FidelityTable)
        else _allocations_of_law(problem, repeated)
    )
    if not len(choices.cost):
        raise checks.BadArgument(
            f"the budget of {problem.budget:g} buys not one rollout: with the cheapest label one"
            " costs "
            f"{problem.price(problem.least):g}."
        )
    variance = np.asarray(problem.variance(*choices))
    best = choices.take(variance <= variance.min() * (1 + ROUNDING))
    cost, rollouts, repeats = best.take(np.lexsort((-best.rollouts, best.repeats))[:1])
    return Allocation(float(cost[0]), int(rollouts[0]), int(repeats[0]))


def _small_counts(problem: LabelProblem, repeated: bool) -> np.ndarray:
    """Whole numbers up to the square root of all labels: either the rollouts or the repeats are
    among them.
    """
    return np.arange(1.0, np.sqrt(problem.budget / problem.least) + 2) if repeated else np.ones(1)


def _allocations_of_law(problem: LabelProblem, repeated: bool) -> Allocations:
    """Choices among which the best is.

    For so many repeats r the variance is that of one label at rollout price c₀/r and intrinsic
    variance r V₀, which falls and then rises with the cost (or is concave), so that the best whole
    number of rollouts is next to the real one or at an end. For so many rollouts the labels' money
    per rollout is given, and `cost · variance` is monotone or concave, so that the best number of
    repeats is at an end.
    """
    law, small = problem.fidelity, _small_counts(problem, repeated)
    assert isinstance(law, FidelityLaw)
    least, most = problem.least, problem.most
    rollout = UnlabelledRollout(
        problem.cost_rollout / small, small * problem.intrinsic, problem.coefficient
    )
    best = law.best_cost(rollout, least, most)
    costs = np.stack([np.full_like(small, least), best, np.full_like(small, most)])
    rollouts = _floor_and_ceil(problem.budget / (problem.cost_rollout + small * costs))
    pairs = [np.broadcast_arrays(rollouts, small)]
    if repeated:
        money = problem.budget / small - problem.cost_rollout
        pairs.append(
            np.broadcast_arrays(small, _floor_and_ceil(np.stack([money / least, money / most])))
        )
    rollouts, repeats = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    keep = (rollouts >= 1) & (repeats >= 1)
    rollouts, repeats = rollouts[keep], repeats[keep]
    cost = np.minimum((problem.budget / rollouts - problem.cost_rollout) / repeats, most)
    spent = rollouts * (problem.cost_rollout + repeats * least)
    keep = spent <= problem.budget * (1 + ROUNDING)
    return Allocations(np.maximum(cost, least), rollouts, repeats).take(keep)


def _floor_and_ceil(numbers: np.ndarray) -> np.ndarray:
    """The whole numbers below and above, `[2, *shape]`."""
    return np.stack([np.floor(numbers * (1 + ROUNDING)), np.ceil(numbers * (1 - ROUNDING))])


def _allocations_of_table(problem: LabelProblem, repeated: bool) -> Allocations:
    """Every useful number of rollouts and of repeats for each of the table's own costs within the
    limits.
    """
    costs, small = own_costs(problem), _small_counts(problem, repeated)

    def of(cost: float) -> Allocations:
        rollouts = np.floor(problem.budget / (problem.cost_rollout + small * cost) * (1 + ROUNDING))
        repeats = np.floor((problem.budget / small - problem.cost_rollout) / cost * (1 + ROUNDING))
        pairs = (rollouts, small), (small, repeats)
        k, r = np.concatenate(pairs if repeated else pairs[:1], axis=1)
        return Allocations(np.full_like(k, cost), k, r).take((k >= 1) & (r >= 1))

    return Allocations(*map(np.concatenate, zip(*map(of, costs), strict=True)))


def own_costs(problem: LabelProblem) -> np.ndarray:
    """The costs within the limits at which a measured table sells labels; none for a law."""
    costs = (
        np.asarray(problem.fidelity.costs)
        if isinstance(problem.fidelity, FidelityTable)
        else np.zeros(0)
    )
    return costs[(costs >= problem.least) & (costs <= problem.most)]
