"""E6: its cells against the closed form, and its verdicts on answers made by hand."""

import numpy as np
import pytest
from scipy import stats

from paracosm.core import estimators
from paracosm.paper import e6, e6_cells, e6_winners, labelled
from paracosm.paper.study import Answer
from tests.statistical import FALSE_ALARM

FLOOR, CHEAP, GOLD, BETWEEN = 2.0, 300.0, 100.0, 150.0
SQUARE = BETWEEN**2 / (CHEAP * GOLD)


def test_the_squared_error_is_variance_and_floor():
    bias = labelled.expected("linear", labelled.tilt("linear"))
    error = estimators.mean(
        e6_cells.floor(world="linear", rollouts=16, total=2**15, seed=2)["errors"]
    )
    assert error.low - 2 < 329 / 16 + bias @ bias < error.high + 2


def test_a_few_gold_labels_leave_no_bias_and_the_formulas_variance():
    result = e6_cells.debiased(world="linear", gold=32, tuning="leave-one-out", total=2**15, seed=3)
    bias = estimators.mean(result["bias"])
    assert bias.high < 0.5
    assert abs(bias.mean) < 2 * (bias.high - bias.low)
    np.testing.assert_allclose(np.mean(result["variance"]), 0.77, rtol=0.25)


def test_who_wins_is_measured_where_the_budget_buys():
    plan = e6_cells._plan_arguments(
        (1.0, 1.0, 20.0), {"cheap": CHEAP, "gold": GOLD, "between": BETWEEN, "paired": FLOOR}
    )
    np.testing.assert_allclose(plan["correlation"] ** 2, SQUARE)
    np.testing.assert_allclose(plan["bias"] ** 2, FLOOR)
    random = np.random.default_rng(0)
    gold = labelled.truth("linear")[0] + random.normal(size=(4096, 8))
    cheap = gold + 0.5 + 0.1 * random.normal(size=gold.shape)
    errors = {
        name: np.mean(e6_cells._errors("linear", (gold, cheap), name, (64, 16)))
        for name in e6_cells.NAMES
    }
    np.testing.assert_allclose(errors["gold"], 8 / 64, rtol=0.3)
    np.testing.assert_allclose(errors["cheap"], 8 * (1.01 / 64 + 0.25), rtol=0.2)
    np.testing.assert_allclose(errors["mixture"], 8 / 64 + 8 * 0.01 / 16, rtol=0.3)
    assert not len(e6_cells._errors("linear", (gold, cheap), "mixture", None))


def fresh(errors, noise=0.02):
    """Blocks about the errors of each way, none of a way that was not bought."""
    spread = noise * (-1.0) ** np.arange(e6_cells.WINNER_BLOCKS)
    return [[[] if e < 0 else (e * (1 + spread)).tolist() for e in row] for row in errors]


def answers(change=lambda name, result: result):
    """Answers as theory has them, with a little noise; `change` makes some wrong."""

    def near(value, n=40):
        """Values about this one, whose mean it is."""
        return (value * (1 + 0.02 * (-1.0) ** np.arange(n))).tolist()

    def result(name, arguments):
        if name == "floor":
            return {"errors": near(CHEAP / arguments["rollouts"] + FLOOR)}
        if name == "moments":
            moments = {
                "cheap": near(CHEAP),
                "gold": near(GOLD),
                "between": near(BETWEEN),
                "paired": near(FLOOR),
            }
            return moments | ({"closed": [FLOOR]} if arguments["world"] == "linear" else {})
        if name == "debiased":
            variance = GOLD * ((1 - SQUARE) / arguments["gold"] + SQUARE / e6_cells.MIXED)
            return {
                "bias": (0.01 * (-1.0) ** np.arange(40)).tolist(),
                "variance": near(1.03 * variance),
            }
        errors = [[3.0, 9.0, -1.0]] + [
            [2.0 + 8 / k, 9.0 / k, 4.0 / k] for k in range(1, len(e6_cells.AFFORDED))
        ]
        return {"predicted": errors, "measured": errors, "again": fresh(errors)}

    answers_made = []
    for cell in e6_cells.cells("quick"):
        name = cell.function.split(":")[1]
        answers_made.append(
            Answer(cell.function, cell.arguments, change(name, result(name, cell.arguments)))
        )
    return answers_made


def claims(change=lambda name, result: result):
    return {claim.id: claim for claim in e6.read(answers(change)).claims}


def test_the_claims_are_read_off_the_answers():
    by_id = claims()
    for name in ("floor_ratio", "error_over_prediction", "slope_at_large_k"):
        assert by_id[name].verdict == "agrees", by_id[name]
    bias = by_id["debiased_squared_bias"]
    assert bias.paper is None
    assert "which is met" in bias.why
    np.testing.assert_allclose(by_id["mixture_variance_ratio"].ours, 1.03, atol=0.02)
    agreement, cost = by_id["winner_agreement"], by_id["cost_of_following"]
    assert (agreement.low, agreement.ours, agreement.high) == (1, 1, 1)
    assert (cost.low, cost.ours, cost.high) == (0, 0, 0)
    assert by_id["slope_at_large_k"].paper == pytest.approx(
        np.log(2.0183 / 2.293) / np.log(16), abs=1e-3
    )


@pytest.mark.parametrize(
    ("name", "of", "change"),
    [
        ("floor_ratio", "moments", lambda r: r | {"paired": [1.5 * v for v in r["paired"]]}),
        ("error_over_prediction", "floor", lambda r: {"errors": [1.2 * v for v in r["errors"]]}),
        (
            "slope_at_large_k",
            "floor",
            lambda r: {
                "errors": [v - FLOOR for v in r["errors"]]
                if r["errors"][0] > 100
                else [v**4 for v in r["errors"]]
            },
        ),
    ],
)
def test_a_verdict_turns_when_the_numbers_do(name, of, change):
    assert (
        claims(lambda kind, result: change(result) if kind == of else result)[name].verdict
        == "differs"
    )


def test_a_bias_that_is_left_is_told():
    biased = answers(
        lambda kind, r: r | {"bias": [v + 0.3 for v in r["bias"]]} if kind == "debiased" else r
    )
    findings = e6.read(biased)
    assert "not shown to go below" in findings.found
    assert (
        "which is not shown"
        in next(claim for claim in findings.claims if claim.id == "debiased_squared_bias").why
    )


def test_the_best_is_scored_on_other_rollouts():
    """Ways that are equally good do not differ on average, though one of them is always best by
    chance.
    """
    random = np.random.default_rng(0)

    def chance(kind, result):
        if kind != "winners":
            return result
        shape = len(e6_cells.AFFORDED), len(e6_cells.NAMES)
        errors = {name: 1 + 0.1 * random.normal(size=shape) for name in ("predicted", "measured")}
        errors["again"] = 1 + 0.1 * random.normal(size=(*shape, e6_cells.WINNER_BLOCKS))
        return {name: values.tolist() for name, values in errors.items()}

    by_id = claims(chance)
    agreement, cost = by_id["winner_agreement"], by_id["cost_of_following"]
    assert cost.low < 0 < cost.high
    assert abs(cost.ours) < 0.07
    assert agreement.low < 0.2
    assert agreement.high > 0.8


def test_a_wrong_winner_costs():
    def worse(kind, result):
        if kind != "winners":
            return result
        wrong = [[e if e < 0 else 10 / e for e in item] for item in result["measured"]]
        return result | {"measured": wrong, "again": fresh(wrong)}

    by_id = claims(worse)
    assert by_id["winner_agreement"].high < 0.5
    assert by_id["cost_of_following"].low > 0
    findings = e6.read(answers())
    assert [len(item.rows) for item in findings.tables] == [16, 10, 16]
    assert {item.name for item in findings.charts} == {"floor", "budgets"}


@pytest.mark.parametrize(
    ("cheap", "sentence"),
    [
        ([1] * 8, "best at every budget tried, up to 8,192, in the linear world"),
        ([1, 1] + [9] * 6, "best up to a budget of 128 in the linear world"),
        ([1, 1] + [9] * 5 + [1], "best up to a budget of 128 in the linear world"),
        ([9] * 8, "best at no budget in the linear world"),
    ],
)
def test_a_budget_that_is_the_last_tried_is_no_limit(cheap, sentence):
    def change(kind, result):
        measured = [[float(error), 5.0, -1.0] for error in cheap]
        return result | {"measured": measured} if kind == "winners" else result

    assert sentence in e6.read(answers(change)).found


def test_the_cost_of_following_has_an_interval_that_covers():
    """Every budget costs a tenth more than the best, as measured in noisy blocks: 200 trials."""
    random, hits = np.random.default_rng(1), 0
    shape = (len(e6_cells.AFFORDED), len(e6_cells.NAMES))
    for _ in range(200):
        fresh_errors = np.array([1.1, 1.0, 2.0])[:, None] * (
            1 + 0.3 * random.normal(size=(*shape, e6_cells.WINNER_BLOCKS))
        )
        predicted, errors = (
            np.tile(row, (shape[0], 1)).tolist() for row in ([1.0, 2.0, 3.0], [2.0, 1.0, 3.0])
        )
        result = {"predicted": predicted, "measured": errors, "again": fresh_errors.tolist()}
        cost = e6_winners.followed([Answer("x:winners", {}, result)])[1]
        hits += cost.low <= 0.1 <= cost.high
    assert stats.binom.cdf(hits, 200, 0.95) > FALSE_ALARM


@pytest.mark.full
@pytest.mark.parametrize("world", e6_cells.WORLDS)
def test_debiased_gradients_go_below_the_floor_by_ten(world):
    floor = estimators.mean(e6_cells.moments(world=world, total=2**16, seed=1)["paired"])
    bias = estimators.mean(
        e6_cells.debiased(world=world, gold=64, tuning="leave-one-out", total=2**19, seed=5)["bias"]
    )
    assert bias.high < floor.low / 10
    error = estimators.mean(
        e6_cells.floor(world=world, rollouts=16_384, total=40 * 16_384, seed=6)["errors"]
    )
    assert error.low > 0.8 * floor.mean
