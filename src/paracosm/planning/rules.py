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
from paracosm.planning.budget import BudgetProblem, Offer, best_split, split_of
from paracosm.planning.law import Law
from paracosm.planning.lot_rounding import fill_lots, round_to_lots


class Market(NamedTuple):
    """A problem, what is for sale, a budget, and the error in return of the best split under each
    draw, `[draws]`.
    """

    problem: BudgetProblem
    offers: tuple[Offer, ...]
    budget: float
    best: np.ndarray


def make_market(problem: BudgetProblem, offers: Sequence[Offer], budget: float) -> Market:
    """A market, with the problem of every draw solved."""
    return make_markets(problem, offers, [budget])[0]


def make_markets(
    problem: BudgetProblem, offers: Sequence[Offer], budgets: Sequence[float]
) -> list[Market]:
    """A market for each of several budgets."""
    best = best_split(
        one_problem_per_draw(problem), offers, np.asarray(budgets, float)[:, None]
    ).loss
    return [
        Market(problem, tuple(offers), float(money), row)
        for money, row in zip(budgets, best, strict=True)
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
    regret = estimate_over_draws(losses / market.best - 1)
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


def simple_rules(market: Market) -> tuple[Purchase, ...]:
    """The purchases of the rules that use nothing but prices; labels are bought where a label's
    worth is cheapest.
    """
    transition, label = cheapest_index(market.offers, 0), cheapest_index(market.offers, 1)
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


def split_by_weights(market: Market, weights: Weights, problem: BudgetProblem) -> Purchase:
    """The best split of the problem that these weights make, with its error and regret under the
    market's own.
    """
    amounts = round_to_lots(problem, market.offers, market.budget).amounts
    return purchase(f"weights from {weights.origin}", market, amounts)


def splits_by_share(market: Market, number: int = 41) -> tuple[Purchase, ...]:
    """So many splits, by the share of money that goes to transitions: from little to nearly all."""
    transition, label = cheapest_index(market.offers, 0), cheapest_index(market.offers, 1)
    shares = (np.arange(number) + 0.5) / number
    return tuple(
        _rule(f"{share:.1%} on transitions", market, {transition: share, label: 1 - share})
        for share in shares
    )


def _usable(rules: list[Purchase]) -> tuple[Purchase, ...]:
    """The rules after which no part that counts is left without a sample."""
    return tuple(rule for rule in rules if np.isfinite(rule.error.mean))


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


def _rule(name: str, market: Market, shares: dict[int, float]) -> Purchase:
    """The purchase of whole lots within each offer's share of the money, `{index: share}`; what is
    left over buys further lots of the same offers.
    """
    amounts = np.zeros(len(market.offers))
    for offer, share in shares.items():
        amounts[offer] = share * market.budget / float(market.offers[offer].cost)
    return purchase(name, market, fill_lots(market.offers, amounts, market.budget, list(shares)))
