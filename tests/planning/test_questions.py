"""Plans carry what they were asked: enough to get their own numbers back."""

import dataclasses

import numpy as np
import pytest

from paracosm.core.records import Weights
from paracosm.core.records.decisions import LabelPlan, Plan
from paracosm.planning.fidelity import FidelityTable, Floor, Power
from paracosm.planning.labels import plan_labels
from paracosm.planning.law import Law
from paracosm.planning.mixture import plan_mixture
from paracosm.planning.plan import plan
from tests.planning.test_plan import CURVES


@pytest.fixture(scope="module")
def planned():
    weights = Weights(3.2, 6.0, "scaled", 0.99, 200, "realised", {"reward": 2.0})
    owned = {"dynamics": 8000, "reward": 800}
    prices = {"cost_dynamics": 1, "cost_reward": 10}
    return plan(CURVES, weights, budget=40_000, **prices, owned=owned, lots=(30, 1))


def test_the_draws_give_the_predicted_error_back(planned):
    """Of the sure weight as it is, of the unsure one with the draws of its error."""
    left = np.zeros(2000)
    for part, sample in planned.question.laws.items():
        *columns, size, reach = map(np.asarray, vars(sample).values())
        scale, exponent, floor, chance, added, bend = columns
        weight, unsure = getattr(planned.weights[0], part), planned.weights[0].unsure.get(part, 0)
        assert len(chance) == (2000 if unsure else 0)
        factor = abs(weight + unsure * chance) if unsure else weight
        count = planned.owned[part] + getattr(planned.best, part)
        left += factor * Law(scale, exponent, floor, added, bend, size, reach).error(count)
    assert left.mean() == pytest.approx(planned.best.error.mean, rel=1e-12)
    low = np.quantile(left, 0.025, method="closest_observation")
    assert low == pytest.approx(planned.best.error.low, rel=1e-12)


def test_offers_and_budget_are_as_asked(planned):
    offers = planned.question.offers
    assert [(sold.name, sold.cost, sold.lot) for sold in offers] == [
        ("dynamics", 1.0, 30),
        ("reward", 10.0, 1),
    ]
    assert planned.question.budget == 40_000


def test_no_file_holds_the_draws(planned):
    back = Plan.from_json(planned.to_json())
    assert "question" not in planned.to_dict()
    assert back.question is None
    assert back == planned


@pytest.mark.parametrize(
    ("law", "form", "numbers", "variances"),
    [
        (Power(2.0, 0.7), "power", (2.0, 0.7), ()),
        (Floor(0.5, 3.0), "floor", (0.5, 3.0), ()),
        (FidelityTable((1.0, 2.0), (5.0, 4.0)), "table", (1.0, 2.0), (5.0, 4.0)),
    ],
)
def test_a_label_plan_names_its_law(law, form, numbers, variances):
    label_plan = plan_labels(law, budget=100, cost_rollout=1, gradient_variance=4, most_cost=3)
    question = label_plan.question
    assert (question.form, question.numbers, question.variances) == (form, numbers, variances)
    assert (question.least_cost, question.most_cost, question.cost_rollout) == (None, 3.0, 1.0)
    assert LabelPlan.from_json(label_plan.to_json()) == label_plan


def test_a_law_of_ones_own_is_no_question():
    class Halved(Power):
        def variance(self, cost):
            return super().variance(cost) / 2

    assert plan_labels(Halved(2.0, 0.7), budget=100, cost_rollout=1).question is None


def test_a_mixture_plan_holds_its_prices():
    prices = {
        "budget": 5000.0,
        "cost_rollout": 1.0,
        "cheap_cost": 1.0,
        "gold_cost": 20.0,
        "cheap_variance": 50.0,
        "gold_variance": 40.0,
        "correlation": 0.8,
        "bias": 0.3,
    }
    assert dataclasses.asdict(plan_mixture(**prices).question) == prices
