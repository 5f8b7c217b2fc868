"""Ways to spend a budget that need no learning curves, and what each is expected to lose: of the
counts `N` that it buys, `κ_dyn ε_dyn(N_dyn) + κ_rew ε_rew(N_rew)` over the least that the budget
can reach, less 1.
"""

from __future__ import annotations

import numpy as np

from paracosm.core.records import Weights
from paracosm.core.records.decisions import Purchase
from paracosm.core.records.reasons import Rule
from paracosm.planning.budget import BudgetProblem
from paracosm.planning.lot_rounding import fill_lots, round_to_lots
from paracosm.planning.market import Market, cheapest_index, purchase, unit_price


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


def _rule(name: str, market: Market, shares: dict[int, float]) -> Purchase:
    """The purchase of whole lots within each offer's share of the money, `{index: share}`; what is
    left over buys further lots of the same offers.
    """
    amounts = np.zeros(len(market.offers))
    for offer, share in shares.items():
        amounts[offer] = share * market.budget / float(market.offers[offer].cost)
    return purchase(name, market, fill_lots(market.offers, amounts, market.budget, list(shares)))
