"""Ways to spend a budget that need no learning curves, and what each is expected to lose: of the
counts `N` that it buys, `κ_dyn ε_dyn(N_dyn) + κ_rew ε_rew(N_rew)` over the least that the budget
can reach, less 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core.records import Estimate, Weights
from paracosm.core.records.decisions import Purchase
from paracosm.core.records.reasons import Rule
from paracosm.planning.budget import BudgetProblem, Offer, at, best_split
from paracosm.planning.law import Law
from paracosm.planning.lot_rounding import filled, round_to_lots


class Market(NamedTuple):
    """A task, what is for sale, a budget, and the error in return of the best split under each
    draw, `[draws]`.
    """

    task: BudgetProblem
    offers: tuple[Offer, ...]
    budget: float
    best: np.ndarray


def market(task: BudgetProblem, offers: Sequence[Offer], budget: float) -> Market:
    """A market, with the problem of every draw solved."""
    return markets(task, offers, [budget])[0]


def markets(task: BudgetProblem, offers: Sequence[Offer], budgets: Sequence[float]) -> list[Market]:
    """The same with several budgets."""
    best = best_split(apart(task), offers, np.asarray(budgets, float)[:, None]).loss
    return [
        Market(task, tuple(offers), float(money), row)
        for money, row in zip(budgets, best, strict=True)
    ]


def apart(task: BudgetProblem) -> BudgetProblem:
    """The task of every draw on its own: `draws` problems with a sure law each."""
    dynamics, reward = (
        Law(*(np.atleast_1d(np.asarray(x, float))[..., None] for x in law)) for law in task.laws
    )
    return task._replace(laws=(dynamics, reward))


def purchase(name: str, market: Market, amounts: np.ndarray) -> Purchase:
    """The purchase of these amounts `[offers]`, with its predicted error and its regret over the
    draws.
    """
    bought = at(market.task, market.offers, amounts)
    losses = market.task.losses(bought.counts)
    gained = bought.counts - np.asarray(market.task.owned, float)
    units = {offer.name: round(float(n)) for offer, n in zip(market.offers, amounts, strict=True)}
    spend = sum(float(offer.cost) * units[offer.name] for offer in market.offers)
    regret = over_draws(losses / market.best - 1)
    return Purchase(
        name, units, float(gained[0]), float(gained[1]), float(spend), over_draws(losses), regret
    )


def over_draws(values: np.ndarray) -> Estimate:
    """Mean over draws of the laws, with the interval that holds 95% of them."""
    low, high = quantiles(values, 0.95)
    return Estimate(
        float(np.mean(values)), low, high, len(values), "draws of the laws, 95% interval"
    )


def cautious(regrets: np.ndarray) -> float:
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


def simple(market: Market) -> tuple[Purchase, ...]:
    """Every rule that uses nothing but prices; labels are bought where a label's worth is
    cheapest.
    """
    transition, label = cheapest(market.offers, 0), cheapest(market.offers, 1)
    prices = unit_price(market, 0), unit_price(market, 1)
    evenly = prices[0] / sum(prices)
    rules = [
        _rule(Rule.EQUAL_SPENDING, market, {transition: 0.5, label: 0.5}),
        _rule(Rule.EQUAL_COUNTS, market, {transition: evenly, label: 1 - evenly}),
        _rule(Rule.ALL_TRANSITIONS, market, {transition: 1.0}),
        _rule(Rule.ALL_LABELS, market, {label: 1.0}),
    ]
    joint = [k for k, offer in enumerate(market.offers) if min(offer.yields) > 0]
    return _usable([*rules, *(_rule(Rule.ALL_JOINT, market, {k: 1.0}) for k in joint)])


def by_weights(market: Market, weights: Weights, believed: BudgetProblem) -> Purchase:
    """The best split of the task that these weights make, with its error and regret under the
    market's own.
    """
    amounts = round_to_lots(believed, market.offers, market.budget).amounts
    return purchase(f"weights from {weights.origin}", market, amounts)


def across(market: Market, number: int = 41) -> tuple[Purchase, ...]:
    """Splits by the share of money that goes to transitions, from little to nearly all."""
    transition, label = cheapest(market.offers, 0), cheapest(market.offers, 1)
    shares = (np.arange(number) + 0.5) / number
    return tuple(
        _rule(f"{share:.1%} on transitions", market, {transition: share, label: 1 - share})
        for share in shares
    )


def _usable(rules: list[Purchase]) -> tuple[Purchase, ...]:
    """Those after which no part that counts is left without a sample."""
    return tuple(rule for rule in rules if np.isfinite(rule.error.mean))


def cheapest(offers: Sequence[Offer], part: int) -> int:
    """Which offer that yields only this part has the lowest price per sample."""
    alone = [
        k
        for k, offer in enumerate(offers)
        if offer.yields[part] > 0 and offer.yields[1 - part] == 0
    ]
    return min(alone, key=lambda k: float(offers[k].cost) / offers[k].yields[part])


def unit_price(market: Market, part: int) -> float:
    """The lowest price of one more sample of a part alone."""
    offer = market.offers[cheapest(market.offers, part)]
    return float(offer.cost) / offer.yields[part]


def _rule(name: str, market: Market, shares: dict[int, float]) -> Purchase:
    """Whole lots within each share of the money; what is left over tops up the offers of
    the rule.
    """
    amounts = np.zeros(len(market.offers))
    for offer, share in shares.items():
        amounts[offer] = share * market.budget / float(market.offers[offer].cost)
    return purchase(name, market, filled(market.offers, amounts, market.budget, list(shares)))
