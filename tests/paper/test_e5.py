"""E5: its cells against `c σ²(c)` and exact variances, and its verdicts on answers made by hand."""

import numpy as np
import pytest

from paracosm.paper import e5, e5_cells
from paracosm.paper.study import Answer
from paracosm.planning.fidelity import parse

V0, Q = 100.0, 130.0


@pytest.mark.full
def test_the_error_that_labels_cause_is_cost_times_variance():
    law = f"bounded:1,{e5_cells.DEAREST}"
    errors = e5_cells.alone(world="linear", law=law, total=2**15, seed=1)["errors"]
    costs = e5_cells.BUDGET / np.array(e5_cells.ALONE[law], float)
    product = costs * parse(law).variance(costs) / e5_cells.BUDGET
    means = np.mean(errors, axis=1)
    assert means[0] == 0
    np.testing.assert_allclose(means[1:] / product[1:], Q, rtol=0.25)


def answers(change=lambda arguments, result: result):
    """Answers as theory has them, with a little noise; `change` makes some wrong."""

    def near(value, n):
        """Values about this one, whose mean it is."""
        return (value * (1 + 0.02 * (-1.0) ** np.arange(n))).tolist()

    def alone(law):
        costs = e5_cells.BUDGET / np.array(e5_cells.ALONE[law], float)
        return {
            "errors": [
                near(Q * value, 40)
                for value in costs * parse(law).variance(costs) / e5_cells.BUDGET
            ]
        }

    def whole_error(law):
        purchases = [
            [e5_cells.BUDGET / k - 1, k, 1]
            for k in (e5_cells.ALMOST_FREE, *e5_cells.CHEAPEST_FIRST)
        ]
        errors = [(V0 + Q * parse(law).variance(c)) / k for c, k, _ in purchases]
        best = int(np.argmin(errors))
        purchases, errors = purchases + 2 * [purchases[best]], errors + 2 * [errors[best]]
        blocks = [near(value, 20) for value in errors]
        moments = {
            "intrinsic": V0,
            "coefficient": Q,
            "intrinsic_half": 0.1 * V0,
            "coefficient_half": 0.1 * Q,
        }
        return {"bought": purchases, "errors": blocks, "predicted": errors} | moments

    return [
        Answer(
            cell.function,
            cell.arguments,
            change(
                cell.arguments,
                (whole_error if "whole" in cell.function else alone)(cell.arguments["law"]),
            ),
        )
        for cell in e5_cells.cells("quick")
    ]


def claims(change=lambda arguments, result: result):
    return {claim.id: claim for claim in e5.read(answers(change)).claims}


def test_the_claims_are_read_off_the_answers():
    by_id = claims()
    for name in (
        "steep_slope",
        "even_slope",
        "flat_slope",
        "bounded_worst_cost",
        "floor_dearest_over_cheapest",
    ):
        assert by_id[name].verdict == "agrees", by_id[name]
        assert "1/K" in by_id[name].why
    assert by_id["bounded_clean"].verdict == "must hold"
    assert by_id["floor_dearest_over_cheapest"].low > 25
    assert abs(by_id["regret_total_cost"].ours) < 0.02
    agreement = by_id["measured_over_predicted"]
    np.testing.assert_allclose(agreement.ours, 1, atol=0.01)
    np.testing.assert_allclose(
        np.log(agreement.high), 0.1 / np.sqrt(2), rtol=0.02
    )  # once for each world
    assert by_id["paper_rule_steep"].low > 3
    np.testing.assert_allclose(by_id["paper_rule_noisier_bounded"].ours, 1, atol=0.05)


@pytest.mark.parametrize(
    ("name", "law", "change"),
    [
        ("steep_slope", "power:1,2", lambda errors: errors[::-1]),
        (
            "even_slope",
            "power:1,1",
            lambda errors: [[v * (i + 1) for v in values] for i, values in enumerate(errors)],
        ),
        ("flat_slope", "power:1,0.5", lambda errors: errors[::-1]),
        ("floor_dearest_over_cheapest", "floor:1,8", lambda errors: errors[::-1]),
        ("bounded_clean", "bounded:1,32", lambda errors: [errors[1], *errors[1:]]),
        (
            "bounded_worst_cost",
            "bounded:1,32",
            lambda errors: [[v * i for v in e] for i, e in enumerate(errors)],
        ),
    ],
)
def test_a_verdict_turns_when_the_numbers_do(name, law, change):
    def of_law(arguments, result):
        wrong = arguments["law"] == law and "bought" not in result
        return {"errors": change(result["errors"])} if wrong else result

    assert claims(of_law)[name].verdict == "differs"


def test_a_bad_plan_shows_as_regret_and_the_tables_are_whole():
    def worse(arguments, result):
        if "bought" in result:
            result["errors"][-2] = [3 * value for value in result["errors"][-2]]
        return result

    assert claims(worse)["regret_total_cost"].low > 1
    findings = e5.read(answers())
    assert [len(item.rows) for item in findings.tables] == [10, 12]
    assert {item.name for item in findings.charts} == {"labels-alone", "whole-error"}
    assert "5 of 5 statements of Corollary 2 agree" in findings.found


def test_set_up_constants_are_read_from_the_set_up(monkeypatch):
    monkeypatch.setattr(e5, "BUDGET", 512)
    monkeypatch.setattr(e5, "ROLLOUT_PRICE", 2.0)
    monkeypatch.setattr(e5, "MOST_COST", 30.0)
    setup = " ".join(e5._setup())
    assert "512 buys K = 512/c" in setup
    assert "costs 2 before it is labelled" in setup
    assert "from 0.0078 to 30" in setup
    assert e5._limits() == "0.13 to 30"


def test_the_papers_rule_buys_an_end_of_the_grid():
    expected = {
        "power:1,0.5": 240,
        "power:1,2": 16,
        "floor:1,8": 240,
        "bounded:4,15": 16,
        "bounded:40,15": 16,
    }
    assert expected == e5_cells.PAPER_BUYS


@pytest.mark.full
def test_the_whole_error_is_the_exact_one_and_the_plan_is_near_the_best():
    arguments = {"world": "linear", "law": "power:1,2", "total": 2**19, "seed": 4}
    result = e5_cells.whole(**arguments)
    ratios = np.mean(result["errors"], axis=1) / result["predicted"]
    np.testing.assert_allclose(ratios, 1, atol=0.06)
    least = min(result["predicted"][:-2])
    assert result["predicted"][-2] <= 1.001 * least
