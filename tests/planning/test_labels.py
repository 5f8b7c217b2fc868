"""Labels: the whole-number search against brute force, Corollary 2's regimes, limits, and what the
plan says.
"""

import numpy as np
import pytest

from paracosm.core.checks import BadArgument
from paracosm.core.records import Estimate
from paracosm.core.records.decisions import GradientNoise, LabelPlan
from paracosm.loop.plans import plan_labels
from paracosm.planning.fidelity import Bounded, FidelityTable, Floor, Power, UnlabelledRollout
from paracosm.planning.label_search import LabelProblem, search

ISSUE = {"budget": 5000.0, "cost_rollout": 1.0, "gradient_variance": 40.0, "noise_coefficient": 6.0}


def brute(problem, repeated):
    """The least variance over every number of rollouts and repeats, a law's labels as dear as the
    money allows.
    """
    most = int(problem.budget / (problem.cost_rollout + problem.least) * (1 + 1e-12)) + 1
    k = np.arange(1.0, most + 1)[:, None]
    r = np.arange(1.0, problem.budget / problem.least + 2)[None] if repeated else np.ones((1, 1))
    if isinstance(problem.fidelity, FidelityTable):
        costs = np.asarray(problem.fidelity.costs)[:, None, None]
    else:
        costs = np.minimum((problem.budget / k - problem.cost_rollout) / r, problem.most)
    spent = k * (problem.cost_rollout + r * costs)
    allowed = (costs >= problem.least * (1 - 1e-12)) & (spent <= problem.budget * (1 + 1e-12))
    costs = np.maximum(costs, problem.least)
    variance = (problem.intrinsic + problem.coefficient * problem.fidelity.variance(costs) / r) / k
    return np.where(allowed, variance, np.inf).min()


def random_problems(number, seed):
    rng = np.random.default_rng(seed)
    for i in range(number):
        a, b = 10 ** rng.uniform(-1, 1, 2)
        costs = tuple(np.unique(np.round(10 ** rng.uniform(-0.5, 1, 4), 2)).tolist())
        table = FidelityTable(costs, tuple(rng.uniform(0, 4, len(costs)).tolist()))
        law = [
            Power(a, rng.uniform(0.1, 2.5)),
            Power(a, 1.0),
            Bounded(a, b + 0.5),
            Floor(a, b),
            table,
        ][i % 5]
        c0, v0 = 10 ** rng.uniform(-1, 1, 2) * (rng.random(2) < 0.7)
        least, most = 10 ** rng.uniform(-1, -0.3), 10 ** rng.uniform(0, 1.5)
        if isinstance(law, FidelityTable):
            least, most = costs[0], costs[-1]
        most = min(most, getattr(law, "dearest", np.inf))
        budget = c0 + least * 10 ** rng.uniform(0.01, 2)
        yield LabelProblem(law, budget, c0, v0, 10 ** rng.uniform(-1, 1), least, most)


@pytest.mark.parametrize("number", [200, pytest.param(5000, marks=pytest.mark.full)])
@pytest.mark.parametrize("repeated", [False, True])
def test_search_equals_brute_force_over_all_whole_numbers_and_stays_in_budget(number, repeated):
    with_repeats = 0
    for problem in random_problems(number, seed=repeated):
        best = search(problem, repeated=repeated)
        assert problem.variance(*best) == pytest.approx(
            brute(problem, repeated), rel=1e-9, abs=1e-14
        )
        assert best.rollouts * (
            problem.cost_rollout + best.repeats * best.cost
        ) <= problem.budget * (1 + 1e-12)
        assert problem.least <= best.cost <= problem.most * (1 + 1e-12)
        assert best.rollouts == int(best.rollouts) >= 1
        assert best.repeats == int(best.repeats) >= 1
        with_repeats += best.repeats > 1
    assert (with_repeats > number / 10) == repeated


@pytest.mark.parametrize(
    "law", [Power(2.0, 0.7), Power(2.0, 1.6), Floor(0.5, 4.0), Bounded(30.0, 3.0)]
)
def test_whole_numbers_reach_the_real_optimum_as_the_budget_grows(law):
    problem = LabelProblem(law, 1e7, 1.0, 40.0, 6.0, 1e-3, min(1e3, law.dearest))
    real = problem.total(law.best_cost(problem.rollout, problem.least, problem.most))
    assert float(problem.variance(*search(problem, repeated=False))) * 1e7 == pytest.approx(
        real, rel=1e-6
    )


def test_repeats_bring_back_the_papers_rule():
    """With r free, min over r of (c₀ + r c)(V₀ + Q σ²/r) is (sqrt(c₀V₀) + sqrt(Q c σ²))²: only c
    σ²(c) counts.
    """
    law = Power(2.0, 0.7)
    problem = LabelProblem(law, 1e7, 1.0, 40.0, 6.0, 0.01, 10.0)
    best = search(problem, repeated=True)
    real = (np.sqrt(40.0) + np.sqrt(6.0 * 0.01 * law.variance(0.01))) ** 2
    assert best.cost == pytest.approx(0.01, rel=0.05)
    assert best.repeats == pytest.approx(np.sqrt(6.0 * law.variance(0.01) / (0.01 * 40.0)), abs=1)
    assert float(problem.variance(*best)) * 1e7 == pytest.approx(real, rel=1e-3)


# Without limits: an answer never hangs on the budget's unit.


def unlimited(number, seed):
    """Random laws, rollout prices and variances, zeros among them, no least cost named."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        a, b = 10 ** rng.uniform(-6, 6, 2)
        law = [
            Power(a, rng.uniform(0.1, 3.0)),
            Power(a, 1.0),
            Bounded(a, b),
            Floor(a * rng.integers(2), b),
        ][i % 4]
        c0, v0 = 10 ** rng.uniform(-4, 4, 2) * (rng.random(2) < 0.75)
        q = 10 ** rng.uniform(-3, 3)
        yield law, {"cost_rollout": c0, "gradient_variance": v0, "noise_coefficient": q}


def endless(law, cost_rollout, gradient_variance, noise_coefficient):
    """Section 7: whether the cheaper a label the better, without end."""
    if isinstance(law, Bounded):
        return not (
            cost_rollout * noise_coefficient * law.noisiest > law.dearest * gradient_variance
            or cost_rollout == gradient_variance == 0
        )
    if cost_rollout > 0:
        return False
    if isinstance(law, Floor):
        return gradient_variance + noise_coefficient * law.lowest > 0
    return law.exponent < 1 or (law.exponent == 1 and gradient_variance > 0)


def dearer(law, factor):
    """The law in another unit of money."""
    if isinstance(law, Power):
        return Power(law.scale * factor**law.exponent, law.exponent)
    return (
        Bounded(law.noisiest, law.dearest * factor)
        if isinstance(law, Bounded)
        else Floor(law.lowest, law.scale * factor)
    )


@pytest.mark.parametrize("number", [120, pytest.param(1000, marks=pytest.mark.full)])
def test_a_unit_of_money_changes_the_unit_of_the_answer_only(number):
    for law, numbers in unlimited(number, 1):
        budget = 1e3 * (numbers["cost_rollout"] + 1)
        plan = plan_labels(law, budget=budget, **numbers)
        for factor in (1e-9, 1e7):
            scaled = {**numbers, "cost_rollout": numbers["cost_rollout"] * factor}
            rescaled = plan_labels(dearer(law, factor), budget=budget * factor, **scaled)
            assert rescaled.cost == pytest.approx(plan.cost * factor, rel=1e-6), (law, numbers)
            assert rescaled.variance == pytest.approx(plan.variance, rel=1e-9)
            assert rescaled.rollouts == pytest.approx(plan.rollouts, rel=1e-9)
            assert rescaled.attained == plan.attained


@pytest.mark.parametrize("number", [120, pytest.param(1000, marks=pytest.mark.full)])
def test_a_larger_budget_buys_more_labels_at_the_same_price(number):
    """Where a best price exists in real numbers it is met by every large budget; the whole rest is
    whole numbers.
    """
    interior_count = 0
    for law, numbers in unlimited(number, 2):
        c0, v0, q = numbers.values()
        grid = np.geomspace(1e-14, 1e14, 4001)
        grid = grid[grid <= law.dearest]
        totals = law.total(grid, UnlabelledRollout(c0, v0, q))
        interior = totals.min() < 0.99 * min(totals[0], totals[-1]) and not isinstance(law, Bounded)
        for money in (1e3, 1e6, 1e9):
            budget = money * (
                c0 + (law.dearest if isinstance(law, Bounded) else grid[totals.argmin()])
            )
            plan = plan_labels(law, budget=budget, **numbers)
            assert plan.attained != endless(law, c0, v0, q), (law, numbers)
            assert ("no best price above zero" in plan.verdict) <= (not plan.attained)
            if interior:
                interior_count += 1
                best = law.best_cost(UnlabelledRollout(c0, v0, q), 1e-14, 1e14)
                assert c0 + plan.cost == pytest.approx(c0 + best, rel=3 / money, abs=0)
                assert plan.variance * budget <= totals.min() * (1 + 3 / money)
    assert interior_count > number / 2


@pytest.mark.parametrize("budget", [1e2, 1e4, 1e6, 1e9, 1e12])
def test_the_best_price_is_found_at_any_budget(budget):
    """The root of V₀ c² − c₀ Q A: 0.5477."""
    plan = plan_labels(Power(2.0, 1.0), **{**ISSUE, "budget": budget})
    assert plan.cost == pytest.approx(np.sqrt(12 / 40), rel=0.02 + 3 / budget)
    assert plan.attained
    assert "Cheaper labels" not in plan.verdict
    assert plan.regime.startswith("a balance")


def test_a_least_cost_above_the_best_price_is_said_and_is_no_limit_at_zero():
    plan = plan_labels(Power(2.0, 1.0), **ISSUE, least_cost=2.0)
    assert plan.attained
    assert (
        "Cheaper labels would be better still, down to 0.548: 2 is the least cost allowed."
        in plan.verdict
    )


@pytest.mark.parametrize("budget", [1000.0, 1001.0, 1004.0, 1009.0])
def test_money_left_over_from_the_cheapest_labels_changes_no_sentence(budget):
    """What does not buy a rollout more goes into labels, which are then up to 11% dearer."""
    plan = plan_labels(
        Power(0.01, 2.0), budget=budget, cost_rollout=10.0, gradient_variance=40.0, least_cost=1.0
    )
    assert plan.rollouts == budget // 11
    assert plan.regime.startswith("the cheapest label wins")
    assert "Cheaper labels would be better still, down to 0.171" in plan.verdict


def test_cheaper_labels_that_buy_no_rollout_more_are_no_better():
    plan = plan_labels(
        Power(0.01, 2.0), budget=15.0, cost_rollout=10.0, gradient_variance=40.0, least_cost=1.0
    )
    assert plan.rollouts == 1
    assert "Cheaper labels" not in plan.verdict


def test_labels_without_a_best_price_are_not_considered_below_what_can_be_counted():
    for law in (Power(2.0, 0.01), Power(0.056, 0.001), Floor(1.0, 1e-12)):
        plan = plan_labels(law, budget=5000.0, gradient_variance=40.0)
        assert not plan.attained
        assert plan.rollouts <= 1e10


def test_a_best_price_of_more_rollouts_than_can_be_counted_is_a_sentence():
    with pytest.raises(BadArgument, match=r"buys 2e\+304 rollouts with the best labels"):
        plan_labels(Power(1e-300, 1.01), budget=5000.0, gradient_variance=40.0)


@pytest.mark.parametrize(("budget", "cost"), [(1.0, 0.9), (1e6 + 0.1, 1e6)])
def test_a_budget_of_one_rollout_to_rounding_buys_it(budget, cost):
    """1 - 0.9 is less than 0.1 in floating point, and 1,000,000.1 - 1,000,000 still less."""
    plan = plan_labels(
        Power(1.0, 2.0), budget=budget, cost_rollout=cost, gradient_variance=3.0, least_cost=0.1
    )
    assert (plan.rollouts, plan.cost) == (1, 0.1)


def test_labels_that_add_no_noise_are_best_free_whatever_the_law():
    plans = [
        plan_labels(law, **(ISSUE | {"noise_coefficient": 0.0}), least_cost=3.0)
        for law in (Power(1.0, 1.0), Power(1.0, 0.5))
    ]
    assert not any(plan.attained for plan in plans)
    assert "Cheaper labels would be better still" in plans[0].verdict


def test_free_labels_are_no_price_either():
    plan = plan_labels(Bounded(2.0, 8.0), **ISSUE)
    assert not plan.attained
    assert "free ones are best" in plan.verdict


LIMITS = {"least_cost": 0.5, "most_cost": 8.0}


@pytest.mark.parametrize(
    ("law", "cost", "regime", "attained"),
    [
        (Power(2.0, 0.5), 0.5, "the cheapest label wins: noise falls more slowly", False),
        (Power(2.0, 2.0), 8.0, "the dearest label wins: noise falls faster", True),
        (Power(2.0, 1.0), 0.5, "every price is as good", True),
        (Floor(0.0, 2.0), 0.5, "every price is as good", True),
        (Bounded(2.0, 8.0), 8.0, "the two ends win", True),
        (Bounded(2.0, 9.0), 0.5, "the two ends win", False),
        (Floor(2.0, 1.0), 0.5, "the cheapest label wins: noise falls more slowly", False),
    ],
)
def test_three_regimes_of_corollary_2(law, cost, regime, attained):
    plan = plan_labels(law, budget=800.0, **LIMITS)
    assert plan.cost == pytest.approx(cost, rel=1e-9)
    assert plan.regime.startswith(regime)
    assert plan.attained == attained
    assert plan.variance == pytest.approx(cost * law.variance(cost) / 800, abs=1e-15)
    assert ("Cheaper labels would be better still" in plan.verdict) != attained


def test_a_gradient_that_was_said_not_to_vary_is_warned_of():
    warnings = plan_labels(Power(2.0, 2.0), budget=800.0).warnings
    assert warnings[0].startswith("The gradient was taken not to vary without label noise")
    assert not any(
        "taken not to vary" in sentence
        for sentence in plan_labels(Power(2.0, 2.0), **ISSUE).warnings
    )


def test_rollouts_that_cost_nothing_are_warned_of():
    free = {**ISSUE, "cost_rollout": 0.0}
    assert any(
        "to cost nothing" in sentence for sentence in plan_labels(Power(2.0, 0.7), **free).warnings
    )
    assert not any(
        "to cost nothing" in sentence for sentence in plan_labels(Power(2.0, 0.7), **ISSUE).warnings
    )


def test_the_middle_of_a_bounded_law_is_worst():
    plan = plan_labels(Bounded(2.0, 8.0), budget=800.0, least_cost=1e-3)
    middle = next(rule for rule in plan.alternatives if rule.why == "the middle")
    assert middle.variance == max(rule.variance for rule in plan.alternatives)
    assert max(plan.table, key=lambda row: row[2])[0] == pytest.approx(4.0, rel=0.1)


def test_issue_example_balances_and_says_what_other_prices_lose():
    plan = plan_labels(Power(2.0, 0.7), **ISSUE)
    c = plan.cost
    assert abs(40 * c**1.7 + 0.3 * 12 * c - 0.7 * 12) < 0.01
    assert plan.repeats == 1
    assert plan.attained
    assert plan.regime.startswith("a balance")
    assert plan.rollouts * (1 + c) == pytest.approx(5000, rel=1e-12)
    assert plan.variance == pytest.approx((40 + 6 * 2 * c**-0.7) / plan.rollouts, rel=1e-12)
    losses = {rule.why: rule.variance / plan.variance - 1 for rule in plan.alternatives}
    assert set(losses) == {
        "the cheapest",
        "half the price",
        "twice the price",
        "the middle",
        "the dearest",
    }
    assert min(losses.values()) > 0
    assert "Label noise makes up 37.9% of that." in plan.verdict
    assert "Half the price (labels at 0.181) would give 7.28% more variance." in plan.verdict
    assert any(
        sentence.startswith("Several labels on one rollout were not considered")
        for sentence in plan.warnings
    )


def test_repeats_are_considered_where_the_cheapest_label_is_known():
    plan = plan_labels(Power(2.0, 0.7), **ISSUE, least_cost=0.05)
    assert plan.repeats == 7
    assert not plan.attained
    assert plan.alternatives[0].why == "the best without repeats"
    assert plan.alternatives[0].variance > 1.2 * plan.variance
    assert any("only if their errors are independent" in sentence for sentence in plan.warnings)


def test_table_of_the_plan_is_the_real_total_cost_and_holds_the_choice():
    plan = plan_labels(Power(2.0, 0.7), **ISSUE)
    cost, label, gradient = np.asarray(plan.table).T
    np.testing.assert_allclose(label, 2 * cost**-0.7)
    np.testing.assert_allclose(gradient, (1 + cost) * (40 + 6 * label) / 5000)
    assert plan.cost in cost
    assert (np.diff(cost) > 0).all()


def test_measured_table_is_searched_row_by_row():
    table = FidelityTable((1.0, 2.0, 20.0), (3.0, 4.0, 0.0))
    plan = plan_labels(table, **ISSUE)
    assert (plan.cost, plan.rollouts, plan.repeats, plan.attained) == (1.0, 2500, 1, True)
    assert [row[0] for row in plan.table] == [1.0, 2.0, 20.0]
    assert any("noisier" in sentence for sentence in plan.warnings)
    assert plan_labels(table, **ISSUE, least_cost=1.5).cost == 2.0


def measured(spread):
    around = [
        Estimate(x, x * (1 - spread), x * (1 + spread), 100, "test") for x in (40.0, 6.0, 30.0)
    ]
    return GradientNoise(around[0], around[1], around[2], 100.0, "plain", 50)


def test_measured_noise_gives_the_same_plan_and_a_warning_only_where_its_interval_matters():
    exact = plan_labels(Power(2.0, 0.7), **ISSUE)
    budget = {"budget": 5000.0, "cost_rollout": 1.0}
    sure = plan_labels(Power(2.0, 0.7), **budget, noise=measured(0.02))
    assert (sure.cost, sure.rollouts, sure.variance) == (exact.cost, exact.rollouts, exact.variance)
    assert sure.warnings == exact.warnings
    unsure = plan_labels(Power(2.0, 0.7), **budget, noise=measured(0.9))
    assert unsure.cost == exact.cost
    assert any("another plan would have had" in sentence for sentence in unsure.warnings)
    assert LabelPlan.from_json(unsure.to_json()) == unsure


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"budget": 0.0}, "the budget is 0; it must be a positive number."),
        ({"budget": np.nan}, "the budget is nan; it must be a positive number."),
        ({"cost_rollout": -1.0}, "the cost of a rollout is -1; it must be at least 0."),
        ({"least_cost": 0.0}, "the least cost of a label is 0; it must be a positive number."),
        (
            {"least_cost": 3.0, "most_cost": 2.0},
            "the highest cost of a label is 2; it must be at least 3.",
        ),
        (
            {"budget": 0.5},
            "the budget of 0.5 buys not one rollout: with the cheapest label one costs 1.",
        ),
        ({"least_cost": 1e-8}, "at most 1e+10 are searched: name a higher least cost."),
        ({"gradient_variance": -1.0}, "the gradient variance is -1; it must be at least 0."),
    ],
)
def test_bad_numbers_are_a_sentence(changes, sentence):
    with pytest.raises(BadArgument) as refusal:
        plan_labels(Power(2.0, 0.7), **{**ISSUE, **changes})
    assert sentence in str(refusal.value)
    assert str(refusal.value).count(".") >= 1


def test_table_beyond_the_budget_is_a_sentence():
    with pytest.raises(
        BadArgument, match=r"buys not one rollout: with the cheapest label one costs 11\."
    ):
        plan_labels(FidelityTable((10.0, 20.0), (1.0, 0.5)), budget=9.0, cost_rollout=1.0)
    with pytest.raises(BadArgument, match="no label of the fidelity table costs between 11 and 12"):
        plan_labels(
            FidelityTable((10.0, 20.0), (1.0, 0.5)), budget=90.0, least_cost=11.0, most_cost=12.0
        )
