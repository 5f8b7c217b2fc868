"""From which region to buy: the conditions of an optimum, and what simple cases must give."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from paracosm.core.checks import BadArgument
from paracosm.core.records import Estimate
from paracosm.core.records.regions import Placement, StateRegion, StateRegions
from paracosm.planning.placement import placement, placement_of_plan, transitions_by_region
from tests.reporting.decision_records import plan


def exactly(value: float) -> Estimate:
    return Estimate(value, value, value, 10, "exact")


def regions_with(errors, owned, steps) -> StateRegions:
    zero = exactly(0.0)
    rows = tuple(
        StateRegion(
            (0.0,), (1.0,), (-1.0,), int(step), int(count), zero, zero, zero, exactly(error), zero
        )
        for error, count, step in zip(errors, owned, steps, strict=True)
    )
    return StateRegions(rows, 0, 10, 1.0)


def test_what_is_bought_meets_the_conditions_of_an_optimum():
    """Random instances; the marginal is the same where anything is bought, and no larger
    elsewhere.
    """
    draws = np.random.default_rng(0)
    idle = 0
    for _ in range(300):
        size = int(draws.integers(2, 9))
        errors = np.exp(3 * draws.standard_normal(size)) * (draws.random(size) < 0.9)
        errors[0] += 1e-3
        owned = np.exp(3 * draws.random(size)).round()
        budget, exponent = float(np.exp(8 * draws.random())), float(draws.uniform(0.1, 1.5))
        bought = transitions_by_region(errors, owned, budget, exponent)
        assert bought.sum() == pytest.approx(budget)
        assert (bought >= 0).all()
        marginal = exponent * errors / owned * (1 + bought / owned) ** (-exponent - 1)
        level = marginal[bought > 0]
        np.testing.assert_allclose(level, level[0], rtol=1e-6)
        assert (marginal[bought == 0] <= level[0] * (1 + 1e-9)).all()
        idle += int((bought == 0).sum())
    assert idle > 100, "instances in which some regions get nothing are among them"


def test_equal_errors_a_visit_and_data_as_the_visits_are_bought_as_the_visits():
    visits = np.array([300.0, 120.0, 80.0])
    np.testing.assert_allclose(
        transitions_by_region(0.01 * visits, visits / 2, 100, 0.3), visits / 5, rtol=1e-9
    )


def test_a_region_without_data_gets_the_first_transitions_and_one_without_errors_none():
    where = placement(regions_with([1.0, 1.0, 0.0], [500, 0, 0], [50, 40, 30]), 20)
    assert isinstance(where, Placement)
    np.testing.assert_allclose(where.shares, [0, 1, 0])
    assert where.predicted["now"] == 2
    assert where.predicted["regions"] < where.predicted["visits"] < 2


def test_shares_are_never_predicted_to_be_worse_than_the_visits():
    draws = np.random.default_rng(1)
    for _ in range(50):
        errors, owned = np.exp(draws.standard_normal((2, 5)))
        rows = regions_with(errors, (100 * owned).astype(int), draws.integers(30, 300, 5).tolist())
        where = placement(rows, 200, 0.4)
        assert where is not None
        assert where.predicted["regions"] <= where.predicted["visits"] * (1 + 1e-12)
        assert sum(where.shares) == pytest.approx(1)


def test_a_floor_stays_and_moves_no_share():
    rows = regions_with([1.0, 2.0], [10, 30], [40, 40])
    without, above = (placement(rows, 100, 0.5, floor) for floor in (0.0, 0.4))
    assert without is not None
    assert above is not None
    assert above.shares == without.shares
    assert above.predicted["now"] == pytest.approx(3)
    left = {name: 0.4 * 3 + 0.6 * error for name, error in without.predicted.items()}
    assert above.predicted == pytest.approx(left)


def test_a_plan_is_placed_with_its_own_curve_and_count_where_there_is_something_to_place():
    rows = regions_with([1.0, 2.0], [10, 10], [40, 40])
    bought = plan()
    where = placement_of_plan(rows, bought)
    assert where is not None
    assert where.transitions == bought.dynamics
    assert where.exponent == bought.curves["dynamics"].exponent
    assert Placement.from_json(where.to_json()) == where
    assert placement_of_plan(None, bought) is None
    assert placement_of_plan(rows, dataclasses.replace(bought, dynamics=0)) is None
    assert placement_of_plan(regions_with([0.0, 0.0], [10, 10], [40, 40]), bought) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"errors": [-1.0, 1.0]}, "none may be negative"),
        ({"errors": [0.0, 0.0]}, "one must be positive"),
        ({"owned": [0.0, 1.0]}, "every number must be positive"),
        ({"transitions": 0.0}, "the transitions to buy"),
        ({"exponent": -0.5}, "the exponent"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    usual = {"errors": [1.0, 1.0], "owned": [1.0, 1.0], "transitions": 10.0, "exponent": 0.5}
    with pytest.raises(BadArgument, match=message):
        transitions_by_region(
            **{
                name: np.array(value) if isinstance(value, list) else value
                for name, value in {**usual, **change}.items()
            }
        )
