"""Which point of a learning curve is worth measuring before the rest of the budget is spent.

Preposterior analysis: a draw of the laws is taken for true, the pilot's outcome is simulated from
it with its noise, the other draws are reweighted by how well they foretell that outcome, the split
is decided again, and its regret is counted under the draw that was true. A pilot's samples stay
owned, so its price is that no split can buy fewer.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from paracosm.core.records.decisions import Bought, Pilot
from paracosm.planning.budget import counts_after
from paracosm.planning.law import Law
from paracosm.planning.market import Market, cheapest_index, unit_price

# Simulated outcomes of a pilot while pilots are compared; the best one is judged by all draws.
_OUTCOMES = 500
_SHARES = 201  # splits considered between each two offers: neighbours are 7% apart in odds
# Candidates are the owned count times powers of 2, up to 4,096 times it.
_GROWTH, _DOUBLINGS = 2.0, 13


class Belief(NamedTuple):
    """Draws of a part's law, standard deviations `[draws]` of the log error from seed to seed and
    from anchor to anchor, and how many seeds an anchor is measured with.
    """

    law: Law
    seed_noise: np.ndarray
    anchor_noise: np.ndarray
    seeds: int

    def noise(self) -> np.ndarray:
        """Standard deviation of an anchor's mean log error around the law, `[draws]`."""
        return np.sqrt(self.anchor_noise**2 + self.seed_noise**2 / self.seeds)


class Splits(NamedTuple):
    """Counts `[splits, 2]` owned after each way to split a budget, and its losses `[draws, splits]`
    under each draw.
    """

    counts: np.ndarray
    losses: np.ndarray


def next_pilot(
    market: Market, beliefs: tuple[Belief, Belief], regret: float, seed: int
) -> Pilot | None:
    """The pilot with the lowest expected regret of the split decided after it, its price counted.

    What a pilot saves of the regret is counted over the same draws, between splits that no lot
    binds: what whole lots lose, no pilot saves. None where no pilot lowers the expected regret by
    more than chance: twice the standard error of its simulation.

    Args:
        market: What is for sale, and the best split under each draw.
        beliefs: What is known of either part's curve, dynamics first.
        regret: The planned purchase's mean relative regret over the market's draws.
        seed: The seed of the simulated outcomes.
    """
    splits = _splits(market)
    saved = {
        pilot: _regret_saved(market, splits, beliefs[pilot[0]], *pilot, number=_OUTCOMES, seed=seed)
        for pilot in _candidates(market)
    }
    worth = {pilot: values.mean() for pilot, values in saved.items() if _is_certain(values)}
    if not worth:
        return None
    part, samples = max(worth, key=lambda pilot: worth[pilot])
    values = _regret_saved(
        market, splits, beliefs[part], part, samples, number=len(market.least_losses), seed=seed
    )
    if not _is_certain(values):
        return None
    name: Bought = "reward" if part else "dynamics"
    return Pilot(
        part=name,
        samples=samples,
        cost=_price(market, part, samples),
        regret_now=regret,
        regret_then=max(0.0, regret - float(values.mean())),
    )


def _is_certain(saved: np.ndarray) -> bool:
    return bool(saved.mean() > 2 * saved.std(ddof=1) / np.sqrt(len(saved)))


def _price(market: Market, part: int, samples: int) -> float:
    return (samples - float(market.problem.owned[part])) * unit_price(market, part)


def _candidates(market: Market) -> list[tuple[int, int]]:
    """Counts of either part beyond the owned one and beyond what was measured, in whole lots that
    the budget pays for.
    """
    pilots = []
    for part in (0, 1):
        owned, offer = (
            float(market.problem.owned[part]),
            market.offers[cheapest_index(market.offers, part)],
        )
        sizes = owned * _GROWTH ** np.arange(1, _DOUBLINGS)
        lots = np.unique(np.ceil((sizes - owned) / (offer.lot * offer.yields[part])))
        affordable = lots * offer.lot * float(offer.cost) <= market.budget
        counts = owned + lots[affordable] * offer.lot * offer.yields[part]
        counts = counts[counts > np.max(market.problem.laws[part].largest_measured)]
        pilots += [(part, int(count)) for count in counts]
    return pilots


def _regret_saved(
    market: Market,
    splits: Splits,
    belief: Belief,
    part: int,
    samples: int,
    *,
    number: int,
    seed: int,
) -> np.ndarray:
    """How much less regret the split that is decided after the pilot has, `[number]`.

    Args:
        market: What is for sale, and the best split under each draw.
        splits: The splits among which is decided.
        belief: What is known of the part's curve.
        part, samples: The pilot: 0 for dynamics or 1 for reward, and the count measured.
        number: How many of the draws are taken for true, the first ones first.
        seed: The seed of the simulated outcomes.
    """
    least = _with_losses(market, _split_with_pilot(market, part, _price(market, part, samples)))
    counts = np.concatenate([splits.counts, least.counts])
    losses = np.concatenate([splits.losses, least.losses], axis=1)
    allowed = counts[:, part] >= samples * (1 - 1e-9)
    outcomes = np.arange(min(number, len(losses)))
    if not allowed.any():
        return np.zeros(len(outcomes))
    weights = _reweigh(belief, samples, outcomes, seed)
    after = np.argmin(np.where(allowed, weights @ losses, np.inf), axis=1)
    now = int(np.argmin(losses.mean(axis=0)))
    return (losses[outcomes, now] - losses[outcomes, after]) / market.least_losses[outcomes]


def _reweigh(belief: Belief, samples: int, outcomes: np.ndarray, seed: int) -> np.ndarray:
    """Weights of the draws `[outcomes, draws]` after the simulated outcome of each, whose own draw
    counts for nothing.

    Left in, the true draw would always be among those that its outcome is compared with.

    Args:
        belief: What is known of the part's curve.
        samples: The count that the pilot measures.
        outcomes: Which draws are taken for true, indices `[outcomes]`.
        seed: The seed of the noise of the outcomes.
    """
    noise = belief.noise()
    foretold = np.log(belief.law.error(samples))
    chance = np.random.default_rng([seed, samples]).standard_normal(len(outcomes))
    measured = foretold[outcomes] + noise[outcomes] * chance
    # In place: the array takes tens of megabytes, and a new one for every step half of the time.
    weights = measured[:, None] - foretold
    weights /= noise
    weights *= weights
    weights *= -0.5
    weights -= np.log(noise)
    weights[outcomes, outcomes] = -np.inf
    weights -= weights.max(axis=1, keepdims=True)
    np.exp(weights, out=weights)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _splits(market: Market) -> Splits:
    """Splits of the whole budget between each two offers, close in log-odds."""
    shares = np.concatenate([[0.0], 1 / (1 + np.exp(-np.linspace(-7, 7, _SHARES))), [1.0]])
    amounts_of_pairs = []
    for first, second in itertools.combinations(range(len(market.offers)), 2):
        amounts = np.zeros((len(shares), len(market.offers)))
        amounts[:, first] = shares * market.budget / float(market.offers[first].cost)
        amounts[:, second] = (1 - shares) * market.budget / float(market.offers[second].cost)
        amounts_of_pairs.append(amounts)
    return _with_losses(market, _undominated(market, np.concatenate(amounts_of_pairs)))


def _with_losses(market: Market, amounts: np.ndarray) -> Splits:
    """The splits after which no part that counts is left without a sample."""
    counts = counts_after(market.problem, market.offers, amounts)
    losses = market.problem.losses(counts)
    usable = np.isfinite(losses).all(axis=1)
    return Splits(counts[usable], losses[usable].T)


def _undominated(market: Market, amounts: np.ndarray) -> np.ndarray:
    """The amounts than which no others yield more of one part and as much of the other."""
    dynamics, reward = counts_after(market.problem, market.offers, amounts).T
    order = np.lexsort((-reward, -dynamics))
    most = np.maximum.accumulate(reward[order])
    return amounts[order[np.concatenate([[True], reward[order][1:] > most[:-1]])]]


def _split_with_pilot(market: Market, part: int, cost: float) -> np.ndarray:
    """The split `[1, offers]` that buys the pilot and spends the rest on the other part."""
    amounts = np.zeros((1, len(market.offers)))
    bought, rest = cheapest_index(market.offers, part), cheapest_index(market.offers, 1 - part)
    amounts[0, bought] = cost / float(market.offers[bought].cost)
    amounts[0, rest] = (market.budget - cost) / float(market.offers[rest].cost)
    return amounts
