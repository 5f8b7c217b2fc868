"""Numbers in words: the digits that the interval supports."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core.records import Estimate
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
    assert "too hopeful" in words.direction(of(-3, 1))
    assert "too gloomy" in words.direction(of(3, 1))
    assert "neither" in words.direction(of(3, 4))


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
    assert "different environments" in words.comparison(comparison)


def test_a_closure_of_rounding_is_no_number():
    assert "by less than a millionth of the largest quantity" in words.closure(
        records.diagnosis(closure=3e-9)
    )
    assert "by 47% of the largest quantity" in words.closure(records.diagnosis(closure=0.47))
