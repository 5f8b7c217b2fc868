"""Theorem 1: against brute force, its first-order condition, closed forms and limits (theory,
section 4).
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from paracosm.core.checks import BadArgument
from paracosm.planning.budget import (
    BudgetProblem,
    BudgetSplit,
    Offer,
    best_split,
    log_values,
    split_of,
)
from paracosm.planning.law import Law
from paracosm.planning.lot_rounding import round_to_lots

TRANSITION, LABEL = Offer("dynamics", 1.0, transitions=1), Offer("reward", 10.0, labels=1)


def random_problems(number: int, seed: int = 0) -> tuple[BudgetProblem, list[Offer], np.ndarray]:
    """Exponents 0.05 to 1.5, prices over six decades; some parts owned, some floors. Two offers."""
    rng = np.random.default_rng(seed)

    def log10(low: float, high: float) -> np.ndarray:
        return 10 ** rng.uniform(low, high, number)

    def law() -> Law:
        floor = log10(-5, 0) * rng.integers(0, 2, number)
        return Law(log10(-2, 3)[:, None], rng.uniform(0.05, 1.5, number)[:, None], floor[:, None])

    owned = tuple(log10(1, 5) * rng.integers(0, 2, number) for _ in range(2))
    problem = BudgetProblem((law(), law()), (log10(-2, 2), log10(-2, 2)), (owned[0], owned[1]))
    return (
        problem,
        [Offer("d", log10(-3, 3), transitions=1), Offer("r", log10(-3, 3), labels=1)],
        log10(2, 7),
    )


def value(problem: BudgetProblem, dynamics: np.ndarray, reward: np.ndarray) -> np.ndarray:
    """The error in return of counts `[problems, …]` of sure laws, written out."""
    total = 0.0
    for law, weight, count in zip(problem.laws, problem.weights, (dynamics, reward), strict=True):
        with np.errstate(divide="ignore"):
            total = total + np.asarray(weight)[:, None] * (
                law.floor + law.scale * count**-law.exponent
            )
    return total


def brute_force(problem: BudgetProblem, offers: list[Offer], budget: np.ndarray) -> np.ndarray:
    """The least error between two offers: a grid of log-odds from end to end, again and again
    finer.
    """
    low, high = np.full(len(budget), -80.0), np.full(len(budget), 80.0)
    best = np.full(len(budget), np.inf)
    for _ in range(14):
        odds = np.linspace(low, high, 65, axis=1)
        odds = np.concatenate([odds, np.full((len(budget), 2), np.inf) * [-1, 1]], axis=1)
        with np.errstate(over="ignore"):
            shares = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(odds))
        money = [
            budget[:, None] * share / offer.cost[:, None]
            for share, offer in zip(shares, offers, strict=True)
        ]
        counts = [
            owned[:, None]
            + sum(units * offer.yields[part] for units, offer in zip(money, offers, strict=True))
            for part, owned in enumerate(problem.owned)
        ]
        losses = value(problem, *counts)
        best = np.minimum(best, losses.min(axis=1))
        middle = np.take_along_axis(odds, losses[:, :-2].argmin(axis=1)[:, None], axis=1)[:, 0]
        step = (high - low) / 64
        low, high = middle - step, middle + step
    return best


def assert_optimal(number: int) -> None:
    problem, offers, budget = random_problems(number)
    split = best_split(problem, offers, budget)
    assert np.all(split.loss <= brute_force(problem, offers, budget) * (1 + 1e-12))
    spent = sum(split.amounts[:, k] * offer.cost for k, offer in enumerate(offers))
    np.testing.assert_allclose(spent, budget, rtol=1e-14)
    worth = [
        problem.weights[k]
        * np.exp(problem.laws[k].log_slope(split.counts[:, k, None])[:, 0])
        / offers[k].cost
        for k in range(2)
    ]
    gap = (worth[0] - worth[1]) / (worth[0] + worth[1])
    inside = np.all(split.amounts > 0, axis=1)
    assert 0.3 < inside.mean() < 1, "both kinds of optimum are tested"
    assert np.abs(gap[inside]).max() <= 1e-12
    assert np.all(np.where(split.amounts[:, 0] > 0, gap, -gap)[~inside] >= 0), (
        "an end is best only where it pays"
    )


def test_best_split_is_optimal_small():
    assert_optimal(300)


@pytest.mark.full
def test_best_split_is_optimal_on_ten_thousand_problems():
    assert_optimal(10_000)


def test_best_split_between_several_offers():
    """Joint samples and a second source of labels: no worse than any edge, nor than mixtures of
    all.
    """
    problem, offers, budget = random_problems(200, seed=1)
    rng = np.random.default_rng(2)
    offers = [
        *offers,
        Offer("joint", 10 ** rng.uniform(-3, 3, 200), transitions=1, labels=1),
        Offer("noisy", 10 ** rng.uniform(-3, 3, 200), labels=0.5),
    ]
    split = best_split(problem, offers, budget)
    for pair in itertools.combinations(offers, 2):
        assert np.all(split.loss <= brute_force(problem, list(pair), budget) * (1 + 1e-12))
    shares = rng.dirichlet(np.full(4, 0.3), size=(50, 200))
    prices = np.stack([offer.cost for offer in offers], axis=-1)
    assert np.all(
        split.loss
        <= split_of(problem, offers, shares * budget[:, None] / prices).loss * (1 + 1e-12)
    )


def test_many_problems_are_solved_as_one_is():
    problems, offers, budget = random_problems(20, seed=3)
    together = best_split(problems, offers, budget)
    for k in range(20):
        laws = [Law(*(float(field[k, 0]) for field in law[:3])) for law in problems.laws]
        problem = BudgetProblem(
            (laws[0], laws[1]),
            *(tuple(float(x[k]) for x in pair) for pair in (problems.weights, problems.owned)),
        )
        alone = best_split(
            problem,
            [offer._replace(cost=float(offer.cost[k])) for offer in offers],
            float(budget[k]),
        )
        np.testing.assert_allclose(alone.amounts, together.amounts[k], rtol=1e-12)


def assert_best_over_draws(problem: BudgetProblem, split: BudgetSplit, budget: float) -> None:
    shares = np.linspace(0.001, 0.999, 999)
    counts = np.stack(
        [shares * budget / TRANSITION.cost, (1 - shares) * budget / LABEL.cost], axis=-1
    )
    assert split.loss <= np.min(problem.expected(counts))
    worth = log_values(problem, [TRANSITION, LABEL], split.counts)
    assert worth[0] == pytest.approx(worth[1], abs=1e-12)


def test_with_draws_the_mean_is_minimised():
    rng = np.random.default_rng(4)
    laws = [
        Law(rng.lognormal(2, 0.5, 50), rng.uniform(0.1, 1, 50), rng.uniform(0, 0.1, 50))
        for _ in range(2)
    ]
    problem = BudgetProblem((laws[0], laws[1]), (3.0, 1.0))
    assert_best_over_draws(problem, best_split(problem, [TRANSITION, LABEL], 1000.0), 1000.0)


def error(law: Law, count: float) -> float:
    return float(law.error(np.array([count]))[0])


def sure(alpha: float, beta: float, owned: tuple[float, float] = (0.0, 0.0)) -> BudgetProblem:
    return BudgetProblem((Law(2.0, alpha), Law(30.0, beta)), (3.2, 1.5), owned)


@pytest.mark.parametrize("exponent", [0.05, 0.3, 1.0, 1.5])
def test_equal_exponents_have_a_closed_form(exponent):
    problem, budget = sure(exponent, exponent), 2e4
    split = best_split(problem, [TRANSITION, LABEL], budget)
    ratio = (3.2 * 2.0 * 10 / (1.5 * 30.0 * 1)) ** (1 / (1 + exponent))
    terms = sum(
        (w * a * c**exponent) ** (1 / (1 + exponent))
        for w, a, c in ((3.2, 2.0, 1.0), (1.5, 30.0, 10.0))
    )
    assert split.counts[0] / split.counts[1] == pytest.approx(ratio, rel=1e-13)
    assert float(split.loss) == pytest.approx(
        budget**-exponent * terms ** (1 + exponent), rel=1e-13
    )


def test_the_slower_law_takes_over_as_the_budget_grows():
    alpha, beta = 0.2, 0.9
    counts = best_split(sure(alpha, beta), [TRANSITION, LABEL], 10.0 ** np.arange(2, 12)).counts
    growth = np.diff(np.log(counts[:, 0])) / np.diff(np.log(counts[:, 1]))
    np.testing.assert_allclose(growth, (1 + beta) / (1 + alpha), rtol=1e-12)
    share = counts[:, 0] / (counts[:, 0] + 10 * counts[:, 1])
    assert np.all(np.diff(share) > 0)
    assert share[-1] > 0.99


def test_the_ratio_is_the_fixed_point_of_the_theorem_with_floors():
    laws = Law(2.0, 0.3, 0.5), Law(30.0, 0.8, 0.02)
    split = best_split(BudgetProblem(laws, (3.2, 1.5)), [TRANSITION, LABEL], 2e4)
    left = [error(law, count) - law.floor for law, count in zip(laws, split.counts, strict=True)]
    expected = 0.3 / 0.8 * 3.2 / 1.5 * 10 / 1 * left[0] / left[1]
    assert split.counts[0] / split.counts[1] == pytest.approx(expected, rel=1e-12)


def test_floors_do_not_move_the_split():
    floored = BudgetProblem((Law(2.0, 0.3, 0.5), Law(30.0, 0.8, 0.02)), (3.2, 1.5))
    assert np.array_equal(
        best_split(floored, [TRANSITION, LABEL], 2e4).amounts,
        best_split(sure(0.3, 0.8), [TRANSITION, LABEL], 2e4).amounts,
    )


def test_the_worth_of_one_more_unit_of_money():
    alpha, beta, budget = 0.3, 0.8, 2e4
    problem = sure(alpha, beta)
    split = best_split(problem, [TRANSITION, LABEL], budget)
    parts = (
        3.2 * error(problem.laws[0], split.counts[0]),
        1.5 * error(problem.laws[1], split.counts[1]),
    )
    expected = (alpha * parts[0] + beta * parts[1]) / budget
    np.testing.assert_allclose(
        np.exp(log_values(problem, [TRANSITION, LABEL], split.counts)), expected, rtol=1e-12
    )
    less, more = best_split(
        problem, [TRANSITION, LABEL], budget * np.array([1 - 1e-4, 1 + 1e-4])
    ).loss
    assert (less - more) / (2e-4 * budget) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("off", [-0.02, 0.02])
def test_how_flat_the_optimum_is(off):
    """The second-order loss of a log-ratio error δ; the third order is what remains."""
    alpha, beta, budget = 0.3, 0.8, 2e4
    problem = sure(alpha, beta)
    split = best_split(problem, [TRANSITION, LABEL], budget)
    p = split.amounts[0] / budget
    odds = p / (1 - p) * np.exp(off)
    moved = split_of(problem, [TRANSITION, LABEL], budget / (1 + odds) * np.array([odds, 1 / 10]))
    level = alpha * 3.2 * error(problem.laws[0], split.counts[0]) / p
    expected = 0.5 * level * p * (1 - p) * off**2 * ((1 + alpha) * (1 - p) + (1 + beta) * p)
    assert float(moved.loss - split.loss) == pytest.approx(float(expected), rel=abs(off))


@pytest.mark.parametrize("compounding", [0.5, 0.9])
def test_a_smaller_discount_moves_money_to_rewards_with_the_weights_of_rung_one(compounding):
    gamma = np.array([0.1, 0.5, 0.9, 0.99])
    weights = gamma / ((1 - gamma) * (1 - gamma * compounding)), 1 / (1 - gamma)
    problem = BudgetProblem((Law(2.0, 0.3), Law(30.0, 0.8)), weights)
    assert np.all(np.diff(best_split(problem, [TRANSITION, LABEL], 2e4).amounts[:, 1]) < 0)


def test_owned_data_is_bought_around():
    """What is owned at the optimum of a larger budget and paid from it leaves the rest of that
    optimum to buy.
    """
    optimum = best_split(sure(0.3, 0.8), [TRANSITION, LABEL], 2e4)
    owned = optimum.counts * np.array([0.9, 0.2])
    rest = best_split(
        sure(0.3, 0.8, (owned[0], owned[1])), [TRANSITION, LABEL], 2e4 - owned[0] - 10 * owned[1]
    )
    np.testing.assert_allclose(rest.counts, optimum.counts, rtol=1e-12)


def test_a_part_that_counts_for_nothing_gets_nothing():
    split = best_split(sure(0.3, 0.8)._replace(weights=(1.0, 0.0)), [TRANSITION, LABEL], 100.0)
    assert split.amounts.tolist() == [100.0, 0.0]


@pytest.mark.parametrize("seed", range(8))
def test_whole_lots_are_the_best_that_can_be_paid(seed):
    rng = np.random.default_rng(seed)
    offers = [
        Offer("d", float(rng.uniform(0.5, 3)), transitions=1, lot=int(rng.integers(1, 40))),
        Offer("r", float(rng.uniform(0.5, 30)), labels=1, lot=int(rng.integers(1, 5))),
    ]
    problem, budget = sure(*rng.uniform(0.1, 1.2, 2), (50.0, 20.0)), 600.0
    lots = np.stack(
        np.meshgrid(*(np.arange(600 / offer.cost / offer.lot + 1) for offer in offers)), axis=-1
    )
    amounts = lots.reshape(-1, 2) * [offer.lot for offer in offers]
    paid = amounts @ [float(offer.cost) for offer in offers] <= budget
    split = round_to_lots(problem, offers, budget)
    assert split.amounts @ [float(offer.cost) for offer in offers] <= budget * (1 + 1e-12)
    assert np.all(split.amounts % [offer.lot for offer in offers] == 0)
    near = split_of(problem, offers, amounts[paid]).loss.min()
    exact = best_split(problem, offers, budget).loss
    assert (
        exact <= split.loss <= (near if max(lots.shape[:2]) <= 64 else near * 1.001) * (1 + 1e-12)
    )


def test_whole_lots_of_several_offers_stay_within_the_budget():
    offers = [
        TRANSITION._replace(lot=7),
        LABEL._replace(lot=3),
        Offer("joint", 10.7, 1, 1),
        Offer("noisy", 4.1, 0, 0.5),
    ]
    for budget in np.random.default_rng(0).uniform(20, 3000, 8):
        split = round_to_lots(sure(0.3, 0.8, (50.0, 20.0)), offers, float(budget))
        spend = split.amounts @ [float(offer.cost) for offer in offers]
        assert budget - 4.1 < spend <= budget * (1 + 1e-12), (
            "no more than is there, no less than one unit of anything"
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"budget": 0.0}, "the budget is 0; it must be a positive number"),
        ({"offers": [TRANSITION._replace(cost=-1.0), LABEL]}, "the cost of dynamics is -1"),
        ({"offers": [TRANSITION, LABEL._replace(lot=0)]}, "the lot of reward is 0"),
        ({"offers": [TRANSITION]}, "no reward labels are owned and nothing for sale yields any"),
        ({"problem": sure(0.3, 0.8)._replace(weights=(-1.0, 1.0))}, "a weight is -1"),
        ({"problem": sure(0.3, 0.8)._replace(weights=(0.0, 0.0))}, "the sum of the weights is 0"),
    ],
)
def test_what_is_no_problem_is_refused(change, words):
    arguments = {
        "problem": sure(0.3, 0.8),
        "offers": [TRANSITION, LABEL],
        "budget": 100.0,
        **change,
    }
    with pytest.raises(BadArgument, match=words):
        best_split(**arguments)


def test_a_budget_below_one_lot_is_refused():
    with pytest.raises(BadArgument, match="the budget is 5; the cheapest lot for sale costs 10"):
        round_to_lots(sure(0.3, 0.8), [TRANSITION._replace(lot=100), LABEL], 5.0)
