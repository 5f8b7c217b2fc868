"""How many real episodes of the policy to buy, so that its return is known.

Better models bring the real return near to the imagined one; real episodes tell what it is. Let
E(M) be the expected error in return that the best split of the money M leaves, and

    h(m) = t σ / √m,    t the 97.5% quantile of Student's t with m - 1 degrees of freedom,

the half-width of the 95% interval of a mean of m returns whose standard deviation is σ. The mean
lies within h of the real return, which is expected within E of the imagined one, so that the sum is
how far what is shown may be from what was imagined. With a price c an episode and a budget B the
plan minimises

    E(B - c m) + h(m)    over whole m ≥ 2.

Both terms are convex in m, E because the loss is convex in the counts and the budget is linear in
them: a sum that rises to either side of a count is least there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from paracosm.core import checks
from paracosm.core.records.decisions import EpisodePurchase, EvaluationChoice
from paracosm.planning.budget import BudgetProblem, Offer, best_split

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
    task: BudgetProblem, offers: Sequence[Offer], money: float, offer: EpisodeOffer
) -> EpisodePurchase:
    """The number of episodes that leaves the least sum of predicted error and half-width, lots of
    the models' data left aside.

    Args:
        task: The models' laws, weights and owned samples.
        offers: What is for sale for the models.
        money: For models and episodes together.
        offer: The episodes.

    Raises:
        BadArgument: price or deviation are not positive, or the money does not pay for two episodes
            and a lot.
    """
    checks.positive("the cost of an episode", offer.cost)
    checks.positive("the standard deviation of an episode's return", offer.deviation)
    least = min(float(sold.cost) * sold.lot for sold in offers)
    most = int(np.floor((money - least) / offer.cost))
    if most < LEAST:
        raise checks.BadArgument(
            f"the budget leaves {money:g} to spend; two episodes at {offer.cost:g} each and the"
            f" cheapest lot cost {LEAST * offer.cost + least:g}, at least that is needed."
        )

    def ways(counts: np.ndarray) -> list[EvaluationChoice]:
        errors = best_split(task, offers, money - offer.cost * counts).loss
        widths = half_width(counts, offer.deviation)
        return [
            EvaluationChoice(int(count), float(width), float(error), float(width + error))
            for count, width, error in zip(counts, widths, errors, strict=True)
        ]

    best = _least(ways, LEAST, most)
    usual = np.array([count for count in USUAL if count <= most and count != best.episodes])
    return EpisodePurchase(
        best,
        offer.cost,
        best.episodes * offer.cost,
        offer.deviation,
        tuple(ways(usual)) if len(usual) else (),
    )


def in_whole_lots(purchase: EpisodePurchase, error: float) -> EpisodePurchase:
    """The purchase with the predicted error that whole lots for the models leave."""
    best = purchase.best
    best = dataclasses.replace(best, error=error, total=best.half_width + error)
    return dataclasses.replace(purchase, best=best)


def _least(
    ways: Callable[[np.ndarray], list[EvaluationChoice]], low: int, high: int
) -> EvaluationChoice:
    """The best of all counts from `low` to `high`, whose totals fall and then rise."""
    while True:
        counts = np.unique(np.round(np.geomspace(low, high, _GRID)))
        tried = ways(counts)
        place = min(range(len(tried)), key=lambda k: tried[k].total)
        if len(counts) > high - low:
            return tried[place]
        low, high = int(counts[max(place - 1, 0)]), int(counts[min(place + 1, len(counts) - 1)])
