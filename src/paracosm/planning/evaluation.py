"""How many real episodes of the policy to buy, so that its return is known.

Better models bring the real return near to the imagined one; real episodes tell what it is. Let
E(M) be the expected error in return that the best split of the money M leaves, and

    h(m) = t σ / √m,    t the 97.5% quantile of Student's t with m - 1 degrees of freedom,

the half-width of the 95% interval of a mean of m returns whose standard deviation is σ. The mean
lies within h of the real return, which is expected within E of the imagined one, so that the sum is
how far what is shown may be from what was imagined. With a price c an episode and a budget B the
plan minimises

    E(B - c m) + h(m)    over whole m ≥ 2.

Both terms are convex in m, E because the loss is convex in the counts (nearly, where a law bends:
`planning.budget`) and the budget is linear in them: a sum that rises to either side of a count is
least there. Whole lots make steps of E; so the counts that leave just the lots around the exact
split are compared with that one, in whole lots. Where the money buys only a few lots another count
may be better still, by about 1%.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy import special

from paracosm.core import checks
from paracosm.core.records.decisions import EpisodePurchase, EvaluationChoice
from paracosm.planning.budget import BudgetProblem, Offer, best_split
from paracosm.planning.lot_rounding import decimals, exact_lot_price, round_to_lots
from paracosm.planning.reading import MOST_SAMPLES

LEAST = 2  # episodes, of which a spread can be told
USUAL = (5, 10, 20, 50, 100)  # what people evaluate on
_GRID = 33  # counts that are tried side by side
_LEVEL = 0.95


class EpisodeOffer(NamedTuple):
    """Real episodes of the policy that is trained on the purchase: what one costs, and the standard
    deviation of its return, in the unit and at the discount of the weights.
    """

    cost: float
    deviation: float


def half_width(episodes: np.ndarray | float, deviation: float) -> np.ndarray:
    """Half of the 95% interval of the mean return, for each number of episodes, at least 2."""
    count = np.asarray(episodes, float)
    return np.asarray(special.stdtrit(count - 1, (1 + _LEVEL) / 2) * deviation / np.sqrt(count))


def buy_episodes(
    problem: BudgetProblem, offers: Sequence[Offer], money: float, offer: EpisodeOffer
) -> EpisodePurchase:
    """The number of episodes that leaves nearly the least sum of predicted error and half-width,
    whole lots bought for the models with the rest.

    Args:
        problem: The models' laws, weights and owned samples.
        offers: What is for sale for the models.
        money: The money for models and episodes together.
        offer: The price of an episode and the spread of its return.

    Raises:
        BadArgument: as `most_episodes`, or the deviation is not positive.
    """
    checks.positive("the standard deviation of an episode's return", offer.deviation)
    most = most_episodes(offers, money, offer.cost)

    def choice_of(count: int) -> EvaluationChoice:
        width = float(half_width(count, offer.deviation))
        left = left_by_episodes(money, offer.cost, count)
        error = float(round_to_lots(problem, offers, left).loss)
        return EvaluationChoice(episodes=count, half_width=width, error=error, total=width + error)

    exact = _best_count(problem, offers, money, offer, most=most)
    near = _counts_leaving_lots(problem, offers, money, offer, exact)
    usual = [count for count in USUAL if count <= most]
    choices = {
        count: choice_of(count) for count in {exact, *usual, *np.clip(near, LEAST, most).tolist()}
    }
    best = min(choices.values(), key=lambda choice: (choice.total, choice.episodes))
    return EpisodePurchase(
        best=best,
        price=offer.cost,
        spend=best.episodes * offer.cost,
        deviation=offer.deviation,
        others=tuple(choices[count] for count in usual if count != best.episodes),
    )


def most_episodes(offers: Sequence[Offer], money: float, cost: float) -> int:
    """How many episodes the money pays for beside the cheapest lot, in exact decimals.

    Raises:
        BadArgument: the price is not positive, or the money does not pay for two episodes and a
            lot, or for more episodes than can be counted exactly.
    """
    checks.positive("the cost of an episode", cost)
    least = min(exact_lot_price(sold) for sold in offers)
    most = (decimals(money) - least) // decimals(cost)
    if most < LEAST:
        raise checks.BadArgument(
            f"the budget leaves {money:g} to spend; two episodes at {cost:g} each and the"
            f" cheapest lot cost {float(LEAST * decimals(cost) + least):g}, at least that is"
            " needed."
        )
    if most > MOST_SAMPLES:
        raise checks.BadArgument(
            f"the budget leaves {money:g} to spend, which buys too many episodes at {cost:g} each;"
            f" at most {MOST_SAMPLES:g} can be counted exactly."
        )
    return most


def left_by_episodes(money: float, cost: float, count: int) -> float:
    """The money that so many episodes leave, to the last decimal: 0.3 less twice 0.1 is 0.1."""
    return float(decimals(money) - count * decimals(cost))


def _counts_leaving_lots(
    problem: BudgetProblem, offers: Sequence[Offer], money: float, offer: EpisodeOffer, count: int
) -> list[int]:
    """The most episodes that leave the money for the lots around the split beside `count` of them.

    Args:
        problem, offers, money, offer: As `buy_episodes` has them.
        count: Episodes.
    """
    amounts = best_split(problem, offers, money - offer.cost * count).amounts
    lots = amounts / np.array([sold.lot for sold in offers])
    around = itertools.product(*({np.floor(number), np.ceil(number)} for number in lots))
    prices = [exact_lot_price(sold) for sold in offers]
    return [
        int((decimals(money) - _total(bought, prices)) // decimals(offer.cost)) for bought in around
    ]


def _total(lots: Sequence[float], prices: Sequence[Fraction]) -> Fraction:
    """What so many lots cost."""
    return sum((int(count) * price for count, price in zip(lots, prices, strict=True)), Fraction())


def _best_count(
    problem: BudgetProblem,
    offers: Sequence[Offer],
    money: float,
    offer: EpisodeOffer,
    *,
    most: int,
) -> int:
    """The best of all counts up to `most`, whose sums fall and then rise, lots left aside.

    Args:
        problem, offers, money, offer: As `buy_episodes` has them.
        most: Episodes that leave the money for the cheapest lot.
    """
    low, high = LEAST, most
    while True:
        counts = np.unique(np.round(np.geomspace(low, high, _GRID)))
        errors = best_split(problem, offers, money - offer.cost * counts).loss
        best = int(np.argmin(errors + half_width(counts, offer.deviation)))
        if len(counts) > high - low:
            return int(counts[best])
        low, high = int(counts[max(best - 1, 0)]), int(counts[min(best + 1, len(counts) - 1)])
