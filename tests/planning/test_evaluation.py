"""Evaluation episodes as a third thing to buy: the best count of all, and what it balances."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from paracosm.core.checks import BadArgument
from paracosm.core.records.decisions import Plan
from paracosm.loop.plans import plan
from paracosm.planning.budget import BudgetProblem, Offer, best_split
from paracosm.planning.evaluation import (
    EpisodeOffer,
    buy_episodes,
    half_width,
    left_by_episodes,
    most_episodes,
)
from paracosm.planning.law import Law
from paracosm.planning.lot_rounding import round_to_lots
from tests.planning.test_plan import CURVES, PRICES, WEIGHTS

OFFERS = (Offer("dynamics", 1.0, transitions=1), Offer("reward", 10.0, labels=1))


def problem(scale=4.0) -> BudgetProblem:
    return BudgetProblem((Law(scale, 0.3), Law(20.0, 0.45)), (3.2, 6.0), (8000, 8000))


@pytest.mark.parametrize("lots", [(1, 1), (100, 5), (30, 30)])
def test_the_count_is_nearly_the_best_of_all_counts_in_whole_lots(lots):
    rng = np.random.default_rng(0)
    offers = [sold._replace(lot=lot) for sold, lot in zip(OFFERS, lots, strict=True)]
    for _ in range(6):
        money, price = float(rng.uniform(300, 3000)), float(rng.uniform(20, 60))
        offer = EpisodeOffer(price, float(10 ** rng.uniform(-2, 2)))
        counts = np.arange(2, int((money - min(100, 10 * lots[1], lots[0])) / price) + 1)
        left = [round_to_lots(problem(), offers, money - price * count).loss for count in counts]
        total = np.array(left) + half_width(counts, offer.deviation)
        best = buy_episodes(problem(), offers, money, offer).best
        assert best.total == pytest.approx(total[counts == best.episodes][0], rel=1e-12)
        assert best.total <= total.min() * (1 + 1e-3)


def test_lots_that_bind_move_the_count_to_what_they_leave(planned):
    """A lot of transitions costs as much as many episodes: as many are bought as leave one."""
    lots = plan(
        CURVES,
        WEIGHTS,
        budget=60_000,
        episodes=EpisodeOffer(200.0, 3.0),
        lots=(25_000, 1),
        **PRICES,
    )
    shown = lots.evaluation.best, *lots.evaluation.others
    assert lots.evaluation.best.total == min(choice.total for choice in shown)
    assert lots.evaluation.best.error == lots.best.error.mean
    assert lots.budget - lots.spend < 200, "what an episode costs is not left over"


def test_half_widths_are_those_of_students_interval():
    rows = np.random.default_rng(1).normal(size=7)
    low, high = stats.t.interval(0.95, 6, rows.mean(), stats.sem(rows))
    assert half_width(7, float(rows.std(ddof=1))) == pytest.approx((high - low) / 2)


def test_at_the_best_count_money_is_worth_the_same_on_episodes_as_on_models():
    """Two routes: the smallest sum, and the equal slopes that it implies."""
    money, offer = 1e6, EpisodeOffer(1.0, 300.0)
    count = buy_episodes(problem(), OFFERS, money, offer).best.episodes
    step = 0.01 * count
    left = money - count
    of_models = [float(best_split(problem(), OFFERS, left + sign * step).loss) for sign in (1, -1)]
    of_width = [float(half_width(count + sign * step, 300.0)) for sign in (1, -1)]
    assert np.diff(of_models) == pytest.approx(np.diff(of_width), rel=0.02)


def test_surer_returns_need_fewer_episodes():
    counts = [
        buy_episodes(problem(), OFFERS, 1e5, EpisodeOffer(200.0, spread)).best.episodes
        for spread in (0.1, 1.0, 10.0)
    ]
    assert counts[0] < counts[1] < counts[2]


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(CURVES, WEIGHTS, budget=60_000, episodes=EpisodeOffer(200.0, 3.0), **PRICES)


def test_what_episodes_leave_is_split_as_a_budget_of_its_own(planned):
    left = 60_000 - planned.evaluation.spend
    alone = plan(CURVES, WEIGHTS, budget=left, **PRICES)
    assert dataclasses.replace(planned, evaluation=None) == dataclasses.replace(
        alone, verdict=planned.verdict
    )
    assert planned.evaluation.best.error == planned.best.error.mean


def test_the_verdict_names_all_three_purchases_and_the_whole_price(planned):
    best = planned.evaluation.best
    assert f"and {best.episodes} evaluation episodes for 60,000." in planned.verdict
    assert f"to within {best.half_width:.3g} (95%)" in planned.verdict


@pytest.mark.parametrize(
    ("offer", "sentence"),
    [
        (EpisodeOffer(0.0, 1.0), "the cost of an episode is 0"),
        (EpisodeOffer(1.0, 0.0), "the standard deviation of an episode's return is 0"),
        (EpisodeOffer(1e-310, 1.0), "too many episodes at 1e-310 each; at most 1e.15 can be"),
        (EpisodeOffer(1e-20, 1.0), "too many episodes at 1e-20 each"),
        (EpisodeOffer(40_000.0, 1.0), "two episodes at 40000 each and the cheapest lot cost 80001"),
    ],
)
def test_what_is_no_offer_is_refused(offer, sentence):
    with pytest.raises(BadArgument, match=sentence):
        plan(CURVES, WEIGHTS, budget=60_000, episodes=offer, **PRICES)


def test_an_exactly_affordable_budget_loses_no_episode_to_rounding():
    """A lot of 0.1 and so many episodes at 0.1: prices are the decimals that they print as."""
    sold = [Offer("dynamics", 0.1, transitions=1)]
    for count in range(2, 300):
        assert most_episodes(sold, float(f"{(count + 1) / 10:.1f}"), 0.1) == count
        assert left_by_episodes(float(f"{(count + 1) / 10:.1f}"), 0.1, count) == 0.1
