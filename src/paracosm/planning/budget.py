"""How to split a budget between transitions and reward labels (Timor et al. 2026, Theorem 1).

With errors `ε_i(N) = φ_i + A_i N^{-a_i}` of dynamics and reward, and weights κ_i of them in the
return, minimise

    κ_d ε_d(N_d) + κ_r ε_r(N_r)    subject to    Σ_k c_k n_k = B,   N_i = owned_i + Σ_k y_ik n_k,

over the amounts `n_k ≥ 0` of what is for sale; `y_ik` is how many samples of part i a unit of offer
k yields. The loss is convex and falls in both counts, and the counts that a budget can reach are a
polygon: the best point lies on an edge, between two offers. There the last unit of money is worth
as much on either offer: one equation in the log-odds of the share, solved to machine precision for
any number of problems at once.

A law that bends (`Law.bend`) is not convex: its error falls faster from `largest_measured` on.
There money is worth as much on either offer at the point found, too, but another such point may be
better: by at most 1% in random problems that owned few samples, by up to 13% for a single draw.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.planning.law import Law
from paracosm.planning.roots import find_roots

Quantity = np.ndarray | float | int

_WIDEST = 300.0  # log-odds of a share; one beyond is 0 or 1 to any precision


class Offer(NamedTuple):
    """Something for sale: a unit costs `cost`, a number or `[problems]`, and yields transitions,
    labels or both.

    A label with twice the noise variance of another counts as half a label. Units are sold in whole
    `lot`s.
    """

    name: str
    cost: Quantity
    transitions: float | int = 0.0
    labels: float | int = 0.0
    lot: int = 1

    @property
    def yields(self) -> tuple[float | int, float | int]:
        """Samples a unit: dynamics, reward."""
        return self.transitions, self.labels


class BudgetProblem(NamedTuple):
    """Laws of the two errors, their weights in the return, and the samples owned already: dynamics,
    reward.

    Weights and owned counts are numbers or `[problems]`. A law's arrays are `[draws]` for one
    unsure law or `[problems, draws]`: many problems with one sure law each have `[problems, 1]`.
    """

    laws: tuple[Law, Law]
    weights: tuple[Quantity, Quantity]
    owned: tuple[Quantity, Quantity] = (0.0, 0.0)

    def losses(self, counts: np.ndarray) -> np.ndarray:
        """Predicted error in return `κ_d ε_d + κ_r ε_r` of counts `[…, 2]`, for each draw: `[…,
        draws]`.
        """
        return self._weighted_error(0, counts) + self._weighted_error(1, counts)

    def expected(self, counts: np.ndarray) -> np.ndarray:
        """The mean of `losses` over the draws, `[…]`."""
        return np.asarray(self.losses(counts).mean(axis=-1))

    def log_slopes(self, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of how fast the expected error falls with either count, `log(-∂/∂N_i)`, each
        `[…]`.
        """
        return self._log_slope(0, counts), self._log_slope(1, counts)

    def _weighted_error(self, part: int, counts: np.ndarray) -> np.ndarray:
        weight = np.asarray(self.weights[part], float)[..., None]
        with np.errstate(invalid="ignore"):
            return np.where(
                weight > 0, weight * self.laws[part].error(counts[..., part, None]), 0.0
            )

    def _log_slope(self, part: int, counts: np.ndarray) -> np.ndarray:
        weight = np.asarray(self.weights[part], float)[..., None]
        with np.errstate(divide="ignore"):
            return _log_mean(np.log(weight) + self.laws[part].log_slope(counts[..., part, None]))


class BudgetSplit(NamedTuple):
    """Units to buy `[…, offers]`, the counts owned then `[…, 2]`, and the expected error in return
    `[…]`.
    """

    amounts: np.ndarray
    counts: np.ndarray
    loss: np.ndarray


def best_split(problem: BudgetProblem, offers: Sequence[Offer], budget: Quantity) -> BudgetSplit:
    """The amounts that minimise the expected error in return, to machine precision, lots left
    aside; nearly minimise it where a law bends, as the module says.

    Problems are solved side by side along the axes that costs, weights, owned counts and the budget
    share, and the leading axes of the laws' arrays.

    Raises:
        BadArgument: a cost or the budget is not positive, a lot is no count, a yield is negative,
            weights are negative or both zero, or a part that counts is neither owned nor for sale.
    """
    require_solvable(problem, offers, budget)
    flat, offers, money, shape = _flatten(problem, offers, budget)
    pairs = [*itertools.combinations(range(len(offers)), 2)] or [(0, 0)]
    amounts = np.stack([_best_along_edge(flat, offers, money, pair) for pair in pairs])
    splits = split_of(flat, offers, amounts)
    best = np.argmin(splits.loss, axis=0), np.arange(len(money))
    return BudgetSplit(*(field[best].reshape((*shape, *field.shape[2:])) for field in splits))


def split_of(problem: BudgetProblem, offers: Sequence[Offer], amounts: np.ndarray) -> BudgetSplit:
    """The split that buys these amounts `[…, offers]`."""
    counts = counts_after(problem, offers, amounts)
    return BudgetSplit(amounts, counts, problem.expected(counts))


def counts_after(
    problem: BudgetProblem, offers: Sequence[Offer], amounts: np.ndarray
) -> np.ndarray:
    """Samples `[…, 2]` that are owned once these amounts `[…, offers]` are bought."""
    owned = [np.asarray(count, float) for count in problem.owned]
    yields = np.array([offer.yields for offer in offers], float)
    return np.stack(np.broadcast_arrays(*owned), axis=-1) + amounts @ yields


def log_values(
    problem: BudgetProblem, offers: Sequence[Offer], counts: np.ndarray
) -> list[np.ndarray]:
    """Logarithm of how much the expected error falls per unit of money spent on each offer, each
    `[…]`.
    """
    slopes = problem.log_slopes(counts)
    values = []
    for offer in offers:
        yielded = [
            np.log(count) + slope
            for count, slope in zip(offer.yields, slopes, strict=True)
            if count > 0
        ]
        values.append(
            np.asarray(np.logaddexp.reduce(yielded) - np.log(np.asarray(offer.cost, float)))
        )
    return values


def require_solvable(problem: BudgetProblem, offers: Sequence[Offer], budget: Quantity) -> None:
    """Require prices, weights and a budget that describe a problem; `best_split` says what it
    raises.
    """
    checks.positive("the budget", float(np.min(budget)))
    for offer in offers:
        checks.positive(f"the cost of {offer.name}", float(np.min(offer.cost)))
        require_units(offer)
    for weight in problem.weights:
        checks.at_least("a weight", float(np.min(weight)), 0)
    checks.positive("the sum of the weights", float(np.min(np.add(*problem.weights))))
    for part, what in enumerate(("transitions", "reward labels")):
        for_sale = any(offer.yields[part] > 0 for offer in offers)
        if not for_sale and np.any(
            (np.asarray(problem.weights[part]) > 0) & (np.asarray(problem.owned[part]) <= 0)
        ):
            raise checks.BadArgument(
                f"no {what} are owned and nothing for sale yields any; one of the two is needed."
            )


def require_units(offer: Offer) -> None:
    """Require whole lots, and units that take nothing away.

    Raises:
        BadArgument: the lot is no count, or a yield is negative.
    """
    checks.count(f"the lot of {offer.name}", offer.lot)
    for what, number in zip(("transitions", "labels"), offer.yields, strict=True):
        checks.at_least(f"the {what} in a unit of {offer.name}", number, 0)


def _flatten(
    problem: BudgetProblem, offers: Sequence[Offer], budget: Quantity
) -> tuple[BudgetProblem, list[Offer], np.ndarray, tuple]:
    """Problem, offers and budget with every number as an array `[problems]` along one axis, and the
    shape of the problems before.
    """
    laws = [
        np.broadcast_arrays(*(np.atleast_1d(np.asarray(field, float)) for field in law))
        for law in problem.laws
    ]
    numbers = [
        np.asarray(x, float)
        for x in (budget, *problem.weights, *problem.owned, *(offer.cost for offer in offers))
    ]
    shape = np.broadcast_shapes(
        *(law[0].shape[:-1] for law in laws), *(number.shape for number in numbers)
    )

    def rows(field: np.ndarray) -> np.ndarray:
        return np.broadcast_to(field, (*shape, field.shape[-1])).reshape(-1, field.shape[-1])

    money, *rest = (np.broadcast_to(number, shape).reshape(-1) for number in numbers)
    costs = [offer._replace(cost=cost) for offer, cost in zip(offers, rest[4:], strict=True)]
    dynamics, reward = (Law(*map(rows, law)) for law in laws)
    return (
        BudgetProblem((dynamics, reward), (rest[0], rest[1]), (rest[2], rest[3])),
        costs,
        money,
        shape,
    )


def _best_along_edge(
    problem: BudgetProblem, offers: list[Offer], money: np.ndarray, pair: tuple[int, int]
) -> np.ndarray:
    """The best amounts `[problems, offers]` between two offers: equal worth of money at the margin,
    or one end.

    Args:
        problem: The problems along one axis, `[problems]`.
        offers: What is for sale, with costs `[problems]`.
        money: The budgets, `[problems]`.
        pair: Which two offers.
    """
    first, second = pair

    def gain(odds: np.ndarray) -> np.ndarray:
        counts = counts_after(problem, offers, _amounts_at_odds(odds, offers, money, pair))
        values = log_values(problem, [offers[first], offers[second]], counts)
        return values[0] - values[1]

    widest = np.full(len(money), _WIDEST)
    if first == second:
        return _amounts_at_odds(widest * np.inf, offers, money, pair)
    odds = find_roots(gain, -widest, widest)
    with np.errstate(invalid="ignore"):
        end = np.where(gain(widest) > 0, np.inf, -np.inf)
    return _amounts_at_odds(np.where(np.isnan(odds), end, odds), offers, money, pair)


def _amounts_at_odds(
    odds: np.ndarray, offers: list[Offer], money: np.ndarray, pair: tuple[int, int]
) -> np.ndarray:
    """Amounts `[problems, offers]` when the budget is split between two offers.

    Args:
        odds: The logarithm of the first one's share over the second one's, `[problems]`.
        offers, money, pair: As `_best_along_edge` has them.
    """
    amounts = np.zeros((*odds.shape, len(offers)))
    for offer, against in zip(pair, (-odds, odds), strict=True):
        amounts[..., offer] += money / (1 + np.exp(against)) / offers[offer].cost
    return amounts


def _log_mean(terms: np.ndarray) -> np.ndarray:
    """`log mean exp` over the last axis; exact for one term, and infinite where a term is."""
    if terms.shape[-1] == 1:
        return np.asarray(terms[..., 0])
    top = terms.max(axis=-1, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.mean(np.exp(terms - top), axis=-1)) + top[..., 0])
