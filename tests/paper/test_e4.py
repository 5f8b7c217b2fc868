"""E4: its cells against exact values, and its verdicts on answers made by hand."""

import numpy as np
import pytest

from paracosm.core import estimators
from paracosm.paper import e4, e4_cells
from paracosm.paper.study import Answer

COEFFICIENT, SHARED, UNEVEN, BOUND, LENGTH = 100.0, 700.0, 150.0, 20_000.0, 2.0
Q = 130.5  # of the linear world with the weight γ^t, by 2**17 rollouts of `gradient_noise`


def ask(**changes):
    arguments = {
        "world": "linear",
        "weighting": "discounted",
        "baseline": "none",
        "noise": "normal",
        "rollouts": 4,
    }
    return e4_cells.noisy(**{**arguments, "total": 2**15, "seed": 3, **changes})


def test_a_cell_measures_what_noise_adds():
    result = ask()
    np.testing.assert_allclose(np.mean(result["added"]) * 4, Q, rtol=0.2)
    for name in ("bias", "off"):
        bias = estimators.mean(result[name])
        assert abs(bias.mean) < 2 * (bias.high - bias.low)


@pytest.mark.full
def test_a_cell_of_exact_coefficients():
    exact = e4_cells.exact(world="linear", weighting="discounted", rollouts=2**13, seed=7)
    assert {len(values) for values in exact.values()} == {e4_cells.REPEATS}
    np.testing.assert_allclose(np.mean(exact["coefficient"]), Q, rtol=0.02)
    assert exact["coefficient"] < exact["shared"] < exact["bound"]


@pytest.mark.full
def test_the_leave_one_out_baseline_carries_the_others_noise():
    two = ask(baseline="leave-one-out", rollouts=2)
    np.testing.assert_allclose(
        np.mean(two["added"]), Q, rtol=0.2
    )  # σ²Q/(K−1), where without a baseline it is half


def answers(change=lambda arguments, result: result):
    """Answers as theory has them, a little noise on each; `change` makes some wrong."""

    def near(value, n=40):
        """Values about this one, whose mean it is."""
        return (value * (1 + 0.02 * (-1.0) ** np.arange(n))).tolist()

    def result(arguments):
        if "rollouts" in arguments and "noise" not in arguments:
            values = {
                "coefficient": COEFFICIENT,
                "shared": SHARED,
                "bound": BOUND,
                "uneven": UNEVEN,
            }
            return {name: near(value, e4_cells.REPEATS) for name, value in values.items()}
        k, per = (
            arguments["rollouts"],
            {"shared": SHARED, "uneven": UNEVEN}.get(arguments["noise"], COEFFICIENT),
        )
        k_added = k - 1 if arguments["baseline"] == "leave-one-out" else k
        small = 1e-3 * (-1.0) ** np.arange(40)
        result = {"added": near(per / k_added), "bias": small.tolist(), "length": [LENGTH]}
        if arguments["world"] == "linear":
            shift = LENGTH / k**2 if arguments["baseline"] == "batch mean" else 0.0
            result["off"] = (shift + small).tolist()
        return change(arguments, result)

    return [
        Answer(cell.function, cell.arguments, result(cell.arguments))
        for cell in e4_cells.cells("quick")
    ]


def claims(change=lambda arguments, result: result):
    return {claim.id: claim for claim in e4.read(answers(change)).claims}


def test_the_claims_are_read_off_the_answers():
    by_id = claims()
    assert by_id["within_bound"].verdict == "must hold"
    for name in ("bias_squared", "bias_squared_closed_form", "slope_in_rollouts"):
        assert by_id[name].verdict == "agrees", by_id[name]
    near = {"measured_over_exact": 1, "leave_one_out_at_two": 2}
    near |= {"shared_measured_over_exact": 1, "uneven_measured_over_exact": 1}
    for name, value in near.items():
        np.testing.assert_allclose(by_id[name].ours, value, rtol=0.04)
        assert by_id[name].low < by_id[name].ours < by_id[name].high
    for name, value in {"bound_over_exact": 200, "shared_error_factor": 7}.items():
        np.testing.assert_allclose(
            [by_id[name].low, by_id[name].high], value
        )  # on the same rollouts: exact here
    assert by_id["within_bound"].low == by_id["within_bound"].high


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("bias_squared", lambda arguments, r: r | {"bias": [value + 0.1 for value in r["bias"]]}),
        (
            "bias_squared_closed_form",
            lambda arguments, r: r | {"off": [value + 0.1 for value in r.get("off", [])]},
        ),
        (
            "slope_in_rollouts",
            lambda arguments, r: (
                r | {"added": [v * arguments["rollouts"] ** 0.2 for v in r["added"]]}
            ),
        ),
        (
            "within_bound",
            lambda arguments, r: (
                r | {"added": [v * 1000 for v in r["added"]]}
                if arguments["baseline"] == "none"
                else r
            ),
        ),
    ],
)
def test_a_verdict_turns_when_the_numbers_do(name, change):
    def only_linear(arguments, result):
        return change(arguments, result) if arguments["world"] == "linear" else result

    assert claims(only_linear)[name].verdict == "differs"


def test_theorem_2_is_checked_where_it_is_proved():
    """Of a baseline, whose noise is added, it says nothing: with γ = 0 two rollouts exceed it."""

    def beyond(arguments, result):
        of_baseline = arguments["baseline"] != "none"
        return result | {"added": [v * 1e6 for v in result["added"]]} if of_baseline else result

    claim = claims(beyond)["within_bound"]
    assert claim.verdict == "must hold"
    assert "38 of 38 settings" in claim.why
    assert "no baseline" in claim.claim


def test_tables_and_choices_have_a_row_for_everything_asked():
    findings = e4.read(answers())
    assert [len(item.rows) for item in findings.tables] == [4, 9, 14]
    assert len(findings.choices) == 4
    assert {item.name for item in findings.charts} == {"inflation"}
    assert "unbiased" not in findings.found
    assert "was not seen to move" in findings.found
    assert "which holds 1" in findings.found


@pytest.mark.full
@pytest.mark.parametrize("world", e4_cells.WORLDS)
def test_added_variance_falls_as_one_over_the_rollouts(world):
    exact = e4_cells.exact(world=world, weighting="plain", rollouts=2**14, seed=7)
    for k in (1, 16, 256):
        result = ask(world=world, weighting="plain", rollouts=k, total=2**19, seed=k)
        np.testing.assert_allclose(
            np.mean(result["added"]) * k, np.mean(exact["coefficient"]), rtol=0.06
        )
        bias = estimators.mean(result["bias"])
        assert abs(bias.mean) < 2.5 * (bias.high - bias.low)
