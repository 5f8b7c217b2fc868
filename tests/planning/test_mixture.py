"""Cheap, gold or the mixture: formulas of theory against brute force, whole numbers, and the
estimator itself.
"""

import numpy as np
import pytest

from paracosm.core.checks import BadArgument
from paracosm.core.control_variates import debiased_mean
from paracosm.core.records.decisions import MixturePlan
from paracosm.loop.plans import plan_mixture
from paracosm.planning.mixture import MixtureProblem, allocate, least_correlation, squared_errors

ISSUE = {
    "budget": 5000.0,
    "cost_rollout": 1.0,
    "cheap_cost": 1.0,
    "gold_cost": 20.0,
    "cheap_variance": 50.0,
    "gold_variance": 40.0,
    "correlation": 0.8,
    "bias": 0.3,
}
WINS = ISSUE | {"correlation": 0.95, "bias": 2.0, "gold_cost": 40.0}


def prices(**changes):
    numbers = {name: value for name, value in (ISSUE | changes).items() if name != "budget"}
    return MixtureProblem(**numbers)


def random_prices(rng):
    c0, cheap, gold = 10 ** rng.uniform(-2, 2, 3)
    return prices(
        cost_rollout=c0 * (rng.random() < 0.9),
        cheap_cost=cheap,
        gold_cost=gold,
        cheap_variance=10 ** rng.uniform(-1, 1),
        gold_variance=10 ** rng.uniform(-1, 1),
        correlation=float(rng.choice([-1, 1]) * rng.uniform(0.02, 0.999)),
        bias=10 ** rng.uniform(-1.5, 0.5),
    )


def brute_constant(problem, points=4001):
    """Budget times variance of the mixture at the best N/n in [1, ∞) on a grid, and a step's
    relative error.
    """
    ratio = np.geomspace(1, 1e6, points)
    square = problem.correlation**2
    variance = (1 - square) + square / ratio
    cost = problem.gold_cost + problem.cheap_rollout_price * ratio
    return float(problem.gold_variance * np.min(cost * variance))


@pytest.mark.parametrize("number", [1000, pytest.param(20_000, marks=pytest.mark.full)])
def test_win_condition_is_never_wrong(number):
    rng, wrong, wins = np.random.default_rng(0), 0, 0
    for _ in range(number):
        problem = random_prices(rng)
        mixture, gold = brute_constant(problem), problem.gold_variance * problem.gold_rollout_price
        condition = abs(problem.correlation) > least_correlation(problem)
        close = abs(mixture / gold - 1) < 2e-5
        wrong += (mixture < gold) != condition and not close
        wins += condition
    assert wrong == 0
    assert wins > number / 20


def test_allocation_and_value_are_those_of_theory():
    rng = np.random.default_rng(1)
    for _ in range(300):
        problem = random_prices(rng)
        q, square = problem.cheap_rollout_price / problem.gold_cost, problem.correlation**2
        budget = 1e6 * (problem.cheap_rollout_price + problem.gold_cost) / min(1 - square, square)
        value = squared_errors(problem, np.array([budget]))[2, 0] * budget
        assert value == pytest.approx(brute_constant(problem), rel=2e-5)
        if square >= q / (1 + q):
            best = np.sqrt(square / (q * (1 - square)))
            assert problem.best_ratio == pytest.approx(best, rel=1e-12)
            cheap = problem.cheap_rollout_price
            root = np.sqrt(problem.gold_cost * (1 - square)) + np.sqrt(cheap * square)
            assert value == pytest.approx(problem.gold_variance * root**2, rel=1e-9)


def brute_allocation(problem, budget):
    """The least variance over every number of gold labels that passes the gate."""
    gold = np.arange(
        problem.fewest_gold,
        int(budget / (problem.gold_cost + problem.cheap_rollout_price) * (1 + 1e-12)) + 1,
    )
    if not len(gold):
        return np.inf
    left = budget - gold * problem.gold_cost
    rollouts = np.floor(left / problem.cheap_rollout_price * (1 + 1e-12))
    return problem.mixture_variance(rollouts, gold).min()


@pytest.mark.parametrize("number", [1000, pytest.param(20_000, marks=pytest.mark.full)])
def test_whole_numbers_equal_brute_force_and_stay_in_budget(number):
    rng, none = np.random.default_rng(2), 0
    for _ in range(number):
        problem = random_prices(rng)
        budget = (problem.cheap_rollout_price + problem.gold_cost) * 10 ** rng.uniform(0, 4)
        counts = allocate(problem, budget)
        none += counts is None
        if counts is None:
            assert brute_allocation(problem, budget) == np.inf
            continue
        rollouts, gold = counts
        assert rollouts >= gold
        spent = rollouts * problem.cheap_rollout_price + gold * problem.gold_cost
        assert spent <= budget * (1 + 1e-12)
        assert problem.mixture_variance(rollouts, gold) == brute_allocation(problem, budget)
    assert 0 < none < number


def test_gate_wants_more_gold_labels_the_weaker_the_correlation():
    for correlation, fewest in ((1.0, 5), (0.8, 5), (0.5, 8), (0.1, 104)):
        assert prices(correlation=correlation).fewest_gold == fewest
        assert abs(correlation) > 1 / np.sqrt(fewest - 3) - 1e-12
        assert fewest == 5 or abs(correlation) <= 1 / np.sqrt(fewest - 4) + 1e-12


def test_winner_is_the_least_error_and_changes_where_theory_says():
    plan = plan_mixture(**ISSUE)
    assert plan.winner == "cheap"
    by_name = {choice.name: choice for choice in plan.choices}
    assert by_name["cheap"].error == pytest.approx(50 / 2500 + 0.09)
    assert (by_name["gold"].rollouts, by_name["gold"].error) == (238, pytest.approx(40 / 238))
    constant = 40 * (np.sqrt(20 * 0.36) + np.sqrt(2 * 0.64)) ** 2
    assert plan.changes == {"mixture": pytest.approx((constant - 50 * 2) / 0.09, rel=1e-9)}
    assert plan.coefficient == pytest.approx(0.8 * np.sqrt(40 / 50))
    for share, winner in ((0.97, "cheap"), (1.03, "mixture")):
        assert (
            plan_mixture(**(ISSUE | {"budget": share * plan.changes["mixture"]})).winner == winner
        )
    assert plan.verdict.startswith("Buy cheap labels alone, on 2,500 rollouts")
    assert "from about 5,356 on the mixture" in plan.verdict
    assert MixturePlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("number", [30, pytest.param(300, marks=pytest.mark.full)])
def test_changes_part_the_budgets_as_a_fine_grid_does(number):
    rng = np.random.default_rng(4)
    for _ in range(number):
        problem = random_prices(rng)
        start = min(problem.cheap_rollout_price, problem.gold_rollout_price)
        plan = plan_mixture(budget=10 * start, **problem._asdict())
        budgets = start * np.geomspace(1.001, 1e5, 500)
        least = squared_errors(problem, budgets).argmin(axis=0)
        winners = np.array(["cheap", "gold", "mixture"])[least]
        marks = [start, *plan.changes.values()]
        assert marks == sorted(marks)
        for budget, winner in zip(budgets, winners, strict=True):
            last = [name for name, change in plan.changes.items() if change < budget][-1:]
            assert last in ([winner], []), (problem, budget)


@pytest.mark.parametrize("bias", [100.0, 500.0])
def test_changes_do_not_hang_on_a_budget_too_small_for_the_other_ways(bias):
    dear = ISSUE | {"cost_rollout": 0.0, "gold_cost": 1e5, "correlation": 0.9, "bias": bias}
    plans = [plan_mixture(**(dear | {"budget": budget})) for budget in (90.0, 600.0, 9e4)]
    for plan in plans:
        assert plan.winner == "cheap"
        assert plan.changes == {"gold": pytest.approx(1e5), "mixture": pytest.approx(500_005)}
    assert "from about 100,000 on gold labels alone" in plans[0].verdict


def test_a_budget_of_one_rollout_to_rounding_buys_it():
    """0.1 and 0.2 are more than 0.3 in floating point."""
    plan = plan_mixture(**(ISSUE | {"budget": 0.3, "cost_rollout": 0.1, "cheap_cost": 0.2}))
    assert [(choice.name, choice.rollouts) for choice in plan.choices] == [("cheap", 1)]


@pytest.mark.parametrize("bias", [1e-300, 1e-160, 5e-324, 1e-9, 1e150])
def test_a_bias_of_any_size_makes_a_plan(bias):
    plan = plan_mixture(**(ISSUE | {"bias": bias}))
    assert plan.winner == ("cheap" if bias < 1 else "mixture")
    assert np.isfinite([*plan.changes.values(), *(choice.error for choice in plan.choices)]).all()


def test_what_cannot_win_is_said():
    weak = plan_mixture(**(ISSUE | {"correlation": 0.3, "bias": 2.0}))
    assert weak.winner == "gold"
    assert weak.least_correlation > 0.3
    none = plan_mixture(**(ISSUE | {"correlation": 0.0}))
    assert [choice.name for choice in none.choices] == ["cheap", "gold"]
    assert none.warnings[0].startswith("Cheap and gold gradients do not correlate")
    low_budget = plan_mixture(**(ISSUE | {"budget": 100.0}))
    assert "with fewer than 5 gold labels, which this budget does not buy" in low_budget.warnings[0]
    dear = plan_mixture(**(ISSUE | {"gold_cost": 1.0}))
    assert dear.least_correlation == 1.0
    assert dear.winner == "gold"
    assert "no bias at all" in plan_mixture(**(ISSUE | {"bias": 0.0})).warnings[0]


def simulate(plan, number, size=4):
    """Mean squared errors of the mixture and of gold alone, with Gaussian gradients of the
    variances of `WINS`.
    """
    rng, by_name = np.random.default_rng(6), {choice.name: choice for choice in plan.choices}
    mixture, gold = by_name["mixture"], by_name["gold"]
    scale_gold, scale_cheap = np.sqrt(np.array([40.0, 50.0]) / size)
    correlation, squares = WINS["correlation"], []
    for _ in range(number):
        g = rng.standard_normal((mixture.rollouts, size))
        c = correlation * g + np.sqrt(1 - correlation**2) * rng.standard_normal(g.shape)
        debiased = debiased_mean(
            scale_gold * g[: mixture.gold], scale_cheap * c + WINS["bias"] / np.sqrt(size)
        )
        alone = scale_gold * rng.standard_normal((gold.rollouts, size)).mean(axis=0)
        squares.append((np.sum(debiased.value**2), np.sum(alone**2)))
    return np.mean(squares, axis=0)


@pytest.mark.parametrize("number", [1500, pytest.param(20_000, marks=pytest.mark.full)])
def test_simulated_mixture_has_its_formulas_variance_and_half_of_golds(number):
    plan = plan_mixture(**WINS)
    assert plan.winner == "mixture"
    formula = {choice.name: choice.variance for choice in plan.choices}
    assert formula["gold"] > 2.5 * formula["mixture"]
    mixture, gold = simulate(plan, number)
    chance = 4 * np.sqrt(2 / (4 * number))
    assert mixture == pytest.approx(formula["mixture"], rel=max(0.05, 0.02 + chance))
    assert gold == pytest.approx(formula["gold"], rel=max(0.05, chance))
    assert gold > 2 * mixture


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budget": -1.0}, "the budget is -1; it must be a positive number."),
        ({"cost_rollout": -1.0}, "the cost of a rollout is -1; it must be at least 0."),
        ({"cheap_cost": 0.0}, "the cost of cheap labels is 0; it must be a positive number."),
        ({"gold_cost": -2.0}, "the cost of gold labels is -2; it must be a positive number."),
        ({"correlation": 1.2}, "the correlation is 1.2; it must be at least -1 and at most 1."),
        (
            {"correlation": np.nan},
            "the correlation is nan; it must be finite and at least -1 and at most 1.",
        ),
        (
            {"cheap_variance": 0.0},
            "the variance under cheap labels is 0; it must be a positive number.",
        ),
        ({"bias": -0.1}, "the bias of cheap labels is -0.1; it must be at least 0."),
        (
            {"bias": 1e200},
            "the bias of cheap labels is 1e+200; it must be at least 0 and at most 1e+150.",
        ),
        ({"bias": np.inf}, "the bias of cheap labels is inf; it must be finite and at least 0."),
        (
            {"cost_rollout": np.inf},
            "the cost of a rollout is inf; it must be finite and at least 0.",
        ),
        (
            {"gold_variance": np.inf},
            "the variance under gold labels is inf; it must be a positive number.",
        ),
        ({"budget": 1.5}, "the budget of 1.5 buys not one rollout: a labelled one costs 2."),
    ],
)
def test_bad_numbers_are_a_sentence(changes, sentence):
    with pytest.raises(BadArgument) as refusal:
        plan_mixture(**(ISSUE | changes))
    assert str(refusal.value) == sentence
