"""Rounding to lots: splits into whole lots that never cost more than the budget."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from paracosm.core.checks import BadArgument
from paracosm.planning.budget import (
    BudgetProblem,
    BudgetSplit,
    Offer,
    Quantity,
    best_split,
    log_values,
    split_of,
)

# Lots to either side of the exact split that are tried: rounding one offer and filling up the other
# moves the split by one lot or by a ratio of lot prices, which seldom exceeds 64.
_NEAR = 64
_ROUNDING = 1e-12  # a price that reaches the budget to rounding is within it


def round_to_lots(problem: BudgetProblem, offers: Sequence[Offer], budget: float) -> BudgetSplit:
    """The best split of one budget into whole lots: of those near the exact one, with what is left
    spent too.

    Where no more than two offers have more than a lot and fewer than 64 lots can be paid, it is the
    best of all.

    Raises:
        BadArgument: as `best_split`, or the budget does not reach one lot.
    """
    cheapest = min(float(offer.cost) * offer.lot for offer in offers)
    if budget * (1 + _ROUNDING) < cheapest:
        raise BadArgument(
            f"the budget is {budget:g}; the cheapest lot for sale costs {cheapest:g}."
        )
    exact = best_split(problem, offers, budget)
    value = log_values(problem, offers, exact.counts)
    favourites = sorted(range(len(offers)), key=lambda k: (exact.amounts[k] <= 0, -value[k]))
    orders = [favourites, [*favourites[1::-1], *favourites[2:]]]
    candidates = split_of(
        problem,
        offers,
        np.concatenate([_candidates_near(exact, offers, budget, order) for order in orders]),
    )
    best = int(np.argmin(candidates.loss))
    return BudgetSplit(*(field[best] for field in candidates))


def fill_lots(
    offers: Sequence[Offer], amounts: np.ndarray, budget: float, order: Sequence[int]
) -> np.ndarray:
    """Amounts in whole lots, with as many lots more as what is left pays for, `[…, offers]`.

    Args:
        offers: What is for sale.
        amounts: Units of each offer, `[…, offers]`, which may be parts of lots.
        budget: Money for all of them.
        order: Which offers the money left goes to, the first one first.
    """
    lots, prices = np.array([offer.lot for offer in offers]), lot_prices(offers)
    bought = np.floor(amounts / lots * (1 + _ROUNDING))
    left = budget * (1 + _ROUNDING) - bought @ prices
    for offer in order:
        more = np.maximum(np.floor(left / prices[offer]), 0)
        bought[..., offer] += more
        left = left - more * prices[offer]
    return _trim_to_budget(bought, offers, budget, order[-1]) * lots


def _trim_to_budget(
    bought: np.ndarray, offers: Sequence[Offer], budget: float, last: int
) -> np.ndarray:
    """Lots `[…, offers]` that cost no more than the budget, exactly: prices are the decimals that
    they print as.

    So 0.1 three times is 0.3, and the last of 1e12 lots is not one too many.

    Args:
        bought: Lots of each offer, `[…, offers]`; changed in place.
        offers: What is for sale.
        budget: Money for all of them.
        last: The offer of which lots are given up first.
    """
    money, prices = decimals(budget), [exact_lot_price(offer) for offer in offers]
    for row in np.ndindex(bought.shape[:-1]):
        if bought[row] @ lot_prices(offers) <= budget:
            continue
        over = (
            sum(int(count) * price for count, price in zip(bought[row], prices, strict=True))
            - money
        )
        for offer in (last, *range(len(offers))):
            less = min(max(-(-over // prices[offer]), 0), int(bought[(*row, offer)]))
            bought[(*row, offer)] -= less
            over -= less * prices[offer]
    return bought


def decimals(amount: Quantity) -> Fraction:
    """The decimals that an amount of money prints as, exactly."""
    return Fraction(repr(float(amount)))


def exact_lot_price(offer: Offer) -> Fraction:
    """What a lot costs, in decimals: three at 0.1 cost 0.3."""
    return decimals(offer.cost) * offer.lot


def lot_prices(offers: Sequence[Offer]) -> np.ndarray:
    """What a lot of each offer costs, `[offers]`."""
    return np.array([float(offer.cost) * offer.lot for offer in offers])


def _candidates_near(
    exact: BudgetSplit, offers: Sequence[Offer], budget: float, order: Sequence[int]
) -> np.ndarray:
    """Affordable amounts `[candidates, offers]` around the exact one in the first offer, the rest
    filled up in order.

    Args:
        exact: The best split, lots left aside.
        offers: What is for sale.
        budget: Money for all of them.
        order: The offers; the number of lots of the first is varied.
    """
    first = order[0]
    most = np.floor(budget * (1 + _ROUNDING) / lot_prices(offers)[first])
    lots = np.unique(
        np.clip(exact.amounts[first] // offers[first].lot + np.arange(-_NEAR, _NEAR + 1), 0, most)
    )
    amounts = np.zeros((len(lots), len(offers)))
    amounts[:, first] = lots * offers[first].lot
    return fill_lots(offers, amounts, budget, [*order[1:], first])
