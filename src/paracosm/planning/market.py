"""A budget, what it can buy, and what a purchase is expected to lose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core.records import Estimate
from paracosm.core.records.decisions import Purchase
from paracosm.planning.budget import BudgetProblem, Offer, best_split, split_of
from paracosm.planning.law import Law


class Market(NamedTuple):
    """A problem, what is for sale, a budget, and the least error in return that the budget can
    reach under each draw, `[draws]`.
    """

    problem: BudgetProblem
    offers: tuple[Offer, ...]
    budget: float
    least_losses: np.ndarray


def make_market(problem: BudgetProblem, offers: Sequence[Offer], budget: float) -> Market:
    """A market, with the problem of every draw solved."""
    return make_markets(problem, offers, [budget])[0]


def make_markets(
    problem: BudgetProblem, offers: Sequence[Offer], budgets: Sequence[float]
) -> list[Market]:
    """A market for each of several budgets."""
    least_losses = best_split(
        one_problem_per_draw(problem), offers, np.asarray(budgets, float)[:, None]
    ).loss
    return [
        Market(problem, tuple(offers), float(money), row)
        for money, row in zip(budgets, least_losses, strict=True)
    ]


def one_problem_per_draw(problem: BudgetProblem) -> BudgetProblem:
    """The problem of each draw apart: `draws` problems with a sure law each."""
    dynamics, reward = (
        Law(*(np.atleast_1d(np.asarray(x, float))[..., None] for x in law)) for law in problem.laws
    )
    return problem._replace(laws=(dynamics, reward))


def purchase(name: str, market: Market, amounts: np.ndarray) -> Purchase:
    """The purchase of these amounts `[offers]`, with its predicted error and its regret over the
    draws.
    """
    bought = split_of(market.problem, market.offers, amounts)
    losses = market.problem.losses(bought.counts)
    gained = bought.counts - np.asarray(market.problem.owned, float)
    units = {offer.name: round(float(n)) for offer, n in zip(market.offers, amounts, strict=True)}
    spend = sum(float(offer.cost) * units[offer.name] for offer in market.offers)
    regret = estimate_over_draws(losses / market.least_losses - 1)
    return Purchase(
        name=name,
        units=units,
        dynamics=float(gained[0]),
        reward=float(gained[1]),
        spend=float(spend),
        error=estimate_over_draws(losses),
        regret=regret,
    )


def estimate_over_draws(values: np.ndarray) -> Estimate:
    """Mean over draws of the laws, with the interval that holds 95% of them."""
    low, high = quantiles(values, 0.95)
    return Estimate(
        mean=float(np.mean(values)),
        low=low,
        high=high,
        n=len(values),
        method="draws of the laws, 95% interval",
    )


def worst_quarter_mean(regrets: np.ndarray) -> float:
    """Mean regret in the worst quarter of the draws, `[draws]`.

    The mean over all of them is what plans lose where curves follow a law; where they leave it
    plans lose more than twice that, and this much (docs/splitting.md).
    """
    return float(np.mean(np.sort(regrets)[-max(1, len(regrets) // 4) :]))


def quantiles(values: np.ndarray, level: float) -> tuple[float, float]:
    """Draws between which a share `level` of them lies; draws may be infinite."""
    low, high = np.quantile(
        values, ((1 - level) / 2, (1 + level) / 2), method="closest_observation"
    )
    return float(low), float(high)


def cheapest_index(offers: Sequence[Offer], part: int) -> int:
    """The index of the offer that yields only this part at the lowest price per sample."""
    alone = [
        k
        for k, offer in enumerate(offers)
        if offer.yields[part] > 0 and offer.yields[1 - part] == 0
    ]
    return min(alone, key=lambda k: float(offers[k].cost) / offers[k].yields[part])


def unit_price(market: Market, part: int) -> float:
    """The lowest price of one more sample of a part alone."""
    offer = market.offers[cheapest_index(market.offers, part)]
    return float(offer.cost) / offer.yields[part]
