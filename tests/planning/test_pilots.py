"""Preposterior analysis: the update against its closed form, and limits where the answer is
known.
"""

from __future__ import annotations

import numpy as np
import pytest

from paracosm.core.records.decisions import Pilot
from paracosm.planning import pilots
from paracosm.planning.budget import BudgetProblem, Offer, split_of
from paracosm.planning.law import Law
from paracosm.planning.lot_rounding import round_to_lots
from paracosm.planning.market import Market, make_market, purchase
from paracosm.planning.pilots import Belief, next_pilot

OFFERS = (Offer("dynamics", 1.0, transitions=1), Offer("reward", 10.0, labels=1))


def belief(spread: float, noise: float, seed: int, draws: int = 1000) -> Belief:
    """An unsure exponent around 0.5; error 1 at 1,000 samples is certain."""
    exponent = np.exp(np.log(0.5) + spread * np.random.default_rng(seed).standard_normal(draws))
    law = Law(1000**exponent, exponent, np.zeros(draws))
    return Belief(law, np.full(draws, noise), np.full(draws, noise / 2), 4)


def market_of(
    beliefs: tuple[Belief, Belief],
    weights: tuple[float, float] = (1.0, 1.0),
    budget: float = 50_000.0,
) -> Market:
    return make_market(
        BudgetProblem((beliefs[0].law, beliefs[1].law), weights, (1000, 1000)), OFFERS, budget
    )


def proposed(stall: Market, beliefs: tuple[Belief, Belief]) -> Pilot | None:
    return next_pilot(stall, beliefs, planned_regret(stall), seed=0)


def planned_regret(stall: Market) -> float:
    return purchase("planned", stall, round_to_lots(*stall[:3]).amounts).regret.mean


def test_reweighting_is_the_update_of_a_normal_law():
    """Log scale normal around 0, sd 0.5; a pilot's log error has sd 0.2: posterior mean 0.25/0.29
    of what is seen.
    """
    rng, draws, sd, noise = np.random.default_rng(0), 20_000, 0.5, 0.2
    law = Law(np.exp(sd * rng.standard_normal(draws)), np.full(draws, 0.4), np.zeros(draws))
    unsure = Belief(law, np.full(draws, noise), np.zeros(draws), 1)
    outcomes = np.arange(200)
    weights = pilots._reweigh(unsure, 1, outcomes, seed=1)
    normal = np.random.default_rng([1, 1]).standard_normal(200)
    log_errors = np.log(law.scale)[outcomes] + noise * normal
    expected = log_errors * sd**2 / (sd**2 + noise**2)
    inside = np.abs(log_errors) < 1  # where there are draws enough
    means = weights @ np.log(law.scale)
    np.testing.assert_allclose(means[inside], expected[inside], atol=0.03)
    assert np.all(weights[outcomes, outcomes] == 0)


def test_the_noise_of_an_anchor_is_shared_by_its_seeds():
    np.testing.assert_allclose(belief(0.1, 0.2, 0).noise(), np.sqrt(0.1**2 + 0.2**2 / 4))


def test_a_pilot_that_tells_everything_leaves_no_regret():
    """Only the dynamics law is unsure, and a pilot that is bought anyway shows it without noise."""
    beliefs = belief(0.5, 1e-3, 0), belief(0.0, 1e-3, 1)
    pilot = proposed(market_of(beliefs), beliefs)
    assert pilot is not None
    assert pilot.part == "dynamics"
    assert pilot.regret_now > 0.003
    assert pilot.regret_then < 0.02 * pilot.regret_now


def test_its_price_is_that_of_the_samples_beyond_the_owned_ones():
    beliefs = belief(0.0, 0.05, 0), belief(0.5, 0.05, 1)
    pilot = proposed(market_of(beliefs), beliefs)
    assert pilot is not None
    assert (pilot.part, pilot.cost) == ("reward", 10.0 * (pilot.samples - 1000))
    assert pilot.cost <= 50_000


@pytest.mark.parametrize(
    ("beliefs", "why"),
    [
        ((belief(0.0, 0.1, 0), belief(0.0, 0.1, 1)), "nothing is unsure"),
        ((belief(0.3, 50.0, 0), belief(0.3, 50.0, 1)), "the outcome would be noise"),
    ],
)
def test_no_pilot_where_nothing_can_be_learned(beliefs, why):
    assert proposed(market_of(beliefs), beliefs) is None, why


def test_no_pilot_of_a_part_that_is_not_worth_its_price():
    """Labels are unsure but count for nearly nothing: every pilot of them spends money that
    transitions need.
    """
    beliefs = belief(0.0, 0.01, 0), belief(0.3, 0.01, 1)
    assert proposed(market_of(beliefs, weights=(1.0, 1e-4)), beliefs) is None


def test_no_pilot_where_the_budget_does_not_pay_for_one():
    beliefs = belief(0.5, 0.01, 0), belief(0.5, 0.01, 1)
    assert proposed(market_of(beliefs, budget=500.0), beliefs) is None


def test_pilots_are_whole_lots_beyond_what_was_measured():
    beliefs = belief(0.5, 0.01, 0), belief(0.5, 0.01, 1)
    stall = market_of(beliefs)
    offers = OFFERS[0]._replace(lot=7000), OFFERS[1]._replace(lot=300)
    dynamics, reward = (law._replace(largest_measured=8000.0) for law in stall.problem.laws)
    stall = stall._replace(offers=offers, problem=stall.problem._replace(laws=(dynamics, reward)))
    sizes = {part: [n for of, n in pilots._candidates(stall) if of == part] for part in (0, 1)}
    assert sizes == {0: [22_000, 36_000], 1: []}
    dearer = stall._replace(offers=(offers[0]._replace(lot=60_000), offers[1]))
    assert pilots._candidates(dearer) == []


def test_splits_that_another_beats_on_both_parts_are_left_out():
    beliefs = belief(0.3, 0.1, 0), belief(0.3, 0.1, 1)
    with_joint = market_of(beliefs)._replace(
        offers=(*OFFERS, Offer("joint", 10.5, transitions=1, labels=1))
    )
    counts = pilots._splits(with_joint).counts
    beaten = np.all(counts[:, None] <= counts, axis=-1) & np.any(counts[:, None] < counts, axis=-1)
    assert not beaten.any()
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    mixtures = split_of(
        with_joint.problem, with_joint.offers, shares * 50_000 / np.array([1.0, 10.0, 10.5])
    ).counts
    assert np.all(
        with_joint.problem.expected(mixtures)
        >= with_joint.problem.expected(counts).min() * (1 - 1e-3)
    )
