"""Numbers in words: the digits that the interval supports."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core.records import Estimate, Verdict
from paracosm.core.records.results import Comparison
from paracosm.reporting import words
from tests.reporting import report_records as records


def of(mean, half):
    return Estimate(float(mean), float(mean - half), float(mean + half), 9, "")


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (of(-134.23, 26.1), "−134 [−160, −108]"),
        (of(6.8412, 1.5), "6.8 [5.3, 8.3]"),
        (of(0.01352, 0.0017), "0.0135 [0.0118, 0.0152]"),
        (of(-0.001, 1.2), "0.0 [−1.2, 1.2]"),
        (of(12345.6, 789), "12,346 [11,557, 13,135]"),
        (of(500, 0), "500.0 [500.0, 500.0]"),
        (of(0, 0), "0 [0, 0]"),
        (of(-3.14159, math.inf), "−3.142 [−∞, ∞]"),
        (of(math.nan, math.nan), "undefined [undefined, undefined]"),
        (of(2e-9, 1e-9), "2.00e−09 [1.00e−09, 3.00e−09]"),
        (of(3e12, 2e11), "3.00e+12 [2.80e+12, 3.20e+12]"),
    ],
)
def test_estimates(estimate, text):
    assert words.estimate(estimate) == text


@given(st.floats(), st.floats(min_value=0))
def test_any_float_has_words(mean, half):
    assert words.estimate(of(mean, half))
    assert words.number(mean)
    assert "-" not in words.number(mean)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e3))
def test_rounding_stays_far_inside_the_interval(mean, half):
    shown = float(words.mean(of(mean, half)).replace(",", "").replace(words.MINUS, "-"))
    assert abs(shown - mean) <= half / 2


@pytest.mark.parametrize(
    ("duration", "text"),
    [(0.04, "0.0\u00a0s"), (29.6, "29.6\u00a0s"), (61.2, "1 min 1 s"), (7260.0, "2 h 1 min")],
)
def test_seconds(duration, text):
    assert words.seconds(duration) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0%"), (0.0213, "2.1%"), (1.0, "100%"), (2.3e-5, "0.0023%")]
)
def test_percent(share, text):
    assert words.percent(share) == text


def test_direction_follows_the_sign_and_only_outside_zero():
    def direction(*gap: float, **changes) -> str:
        record = records.diagnosis(**changes)
        return words.direction(
            dataclasses.replace(record, gap=dataclasses.replace(record.gap, total=of(*gap)))
        )

    assert "too hopeful" in direction(-3, 1)
    assert "too gloomy" in direction(3, 1)
    assert "neither" in direction(3, 4)
    rounding = Verdict("rounding", 0.0)
    assert direction(-3e-7, 1e-7, decision=rounding) == "The gap is no more than rounding."


@pytest.mark.parametrize(
    ("chance", "text"),
    [
        (0.95, "95%"),
        (0.9, "90%"),
        (0.975, "97.5%"),
        (0.995, "99.5%"),
        (0.999, "99.9%"),
        (0.99983, "99.983%"),
        (20 / 21, "95.24%"),
        (400 / 401, "99.751%"),
        (0.001, "0.1%"),
        (0.5, "50%"),
        (1.0, "100%"),
    ],
)
def test_a_probability_below_one_is_never_all(chance, text):
    assert words.probability(chance) == text


def test_things_are_counted_in_the_singular_and_the_plural():
    assert words.count_of(1, "step") == "1 step"
    assert words.count_of(1_200, "step") == "1,200 steps"
    assert words.count_of(2, "step is", "steps are") == "2 steps are"


def test_components_that_a_chart_leaves_out_are_said():
    split = records.dimensions((0.1,) * 17, 2.0)
    diagnosis = records.diagnosis(dynamics_by_dimension=split)
    assert words.components_shown(diagnosis, 12) == (
        " Shown: the 12 of 17 with the largest shares; its numbers have all."
    )
    assert words.components_shown(diagnosis, 17) == ""


def test_comparison_never_claims_more_than_the_intervals():
    runs = records.comparison().runs
    assert "overlaps no other" in words.comparison(
        Comparison({n: runs[n] for n in ("runs/labels", "runs/few")})
    )
    assert (
        words.comparison(Comparison({"only": records.run()}))
        == "only has the real return −134 [−166, −107]."
    )
    comparison = Comparison({"a": records.run(), "b": records.run(env="Hopper-v5")})
    assert "different tasks" in words.comparison(comparison)


def test_a_closure_of_rounding_is_no_number():
    assert "by less than a millionth of the largest quantity" in words.closure(
        records.diagnosis(closure=3e-9)
    )
    assert "by 47% of the largest quantity" in words.closure(records.diagnosis(closure=0.47))


@pytest.mark.parametrize(
    ("price", "text"),
    [(1e-6, "1.00e−06"), (0.004, "0.00400"), (0.0075, "0.00750"), (0.25, "0.25"), (10.5, "10.50")],
)
def test_the_price_of_a_unit_is_never_rounded_to_nothing(price, text):
    assert words.unit_price(price) == text
