"""What precedes the gap: a planted lead is seen, series that only move together are not."""

import inspect

import numpy as np
import pytest
from scipy import stats

from paracosm.auditing.indicators import LEVEL, holm, indicators, pairing_test, residual_test
from paracosm.core.checks import BadArgument, BadData
from paracosm.core.records.indicators import Indicators, LeadVerdict
from tests.auditing.series import leading, repeating, unrelated
from tests.statistical import FALSE_ALARM

NULLS = [
    (make, kind, length)
    for make, kind in [
        (unrelated, "noise"),
        (unrelated, "autoregressive"),
        (unrelated, "random walk"),
        (unrelated, "size of a random walk"),
        (unrelated, "drifting walk"),
        (unrelated, "learning"),
        (unrelated, "learning in proportion"),
        (repeating, "autoregressive"),
        (repeating, "learning"),
    ]
    for length in (10, 20, 40)
] + [(unrelated, "step", 20)]


def _share(make, kind, count, length, lag=1):
    """How often p is at most 5%, of residuals."""
    x, y = make(kind, count, length, 1)
    rng, blocks = np.random.default_rng(2), range(0, count, 200)
    p = [residual_test([x[i : i + 200]], [y[i : i + 200]], lag, rng, draws=199)[1] for i in blocks]
    return np.mean(np.concatenate(p) <= 0.05)


def _require_at_most(share, count, probability):
    hits = round(share * count)
    assert stats.binom.sf(hits - 1, count, probability) > FALSE_ALARM, f"{hits} of {count}"


@pytest.mark.parametrize(("make", "kind", "length"), NULLS)
@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.full)])
def test_series_that_only_move_alike_are_seldom_said_to_lead(make, kind, length, count):
    _require_at_most(_share(make, kind, count, length), count, 0.05)


LONGER_LAGS = [("learning", 20, 2), ("random walk", 40, 2), ("smoothed walk", 40, 4)]


@pytest.mark.parametrize(("kind", "length", "lag"), LONGER_LAGS)
@pytest.mark.parametrize("count", [600, pytest.param(2000, marks=pytest.mark.full)])
def test_longer_lags_keep_the_rate(kind, length, lag, count):
    _require_at_most(_share(unrelated, kind, count, length, lag), count, 0.05)


def test_a_naive_test_would_find_trends_leading():
    """What the levels alone without trend and lag say: that the cases above are hard."""
    x, y = unrelated("learning in proportion", 200, 40, 1)
    p = [stats.spearmanr(a[:-1], b[1:]).pvalue for a, b in zip(x, y, strict=True)]
    assert np.mean(np.array(p) <= 0.05) > 0.9


@pytest.mark.parametrize(
    ("kind", "length", "power"),
    [("noise", 12, 0.4), ("noise", 20, 0.83), ("learning", 20, 0.5), ("random walk", 40, 0.17)],
)
@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.full)])
def test_a_planted_lead_is_seen_as_often_as_documented(kind, length, power, count):
    hits = round(_share(leading, kind, count, length) * count)
    assert stats.binom.cdf(hits, count, power) > FALSE_ALARM, f"{hits} of {count}"


def _paired_share(make, kind, count, trainings, length):
    x, y = (
        series.reshape(count, trainings, length)
        for series in make(kind, count * trainings, length, 3)
    )
    rng = np.random.default_rng(4)
    p = [pairing_test(a, b, 1, rng)[1] for a, b in zip(x, y, strict=True)]
    return np.mean(np.array(p) <= 0.05 + 1e-9)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (unrelated, "step"),
        (unrelated, "random walk"),
        (unrelated, "learning"),
        (repeating, "noise"),
    ],
)
@pytest.mark.parametrize("count", [50, pytest.param(2000, marks=pytest.mark.full)])
def test_pairings_of_trainings_keep_the_rate_where_all_share_a_step(make, kind, count):
    _require_at_most(_paired_share(make, kind, count, 5, 12), count, 0.05)


def test_pairings_of_trainings_see_a_planted_lead():
    hits = round(_paired_share(leading, "learning", 50, 5, 12) * 50)
    assert stats.binom.cdf(hits, 50, 0.8) > FALSE_ALARM


SHUFFLED = (3, 7, 1, 9, 4, 6, 2, 8, 5, 10)


def _shifted(x, sign=1):
    """x, and a gap that is x one checkpoint before."""
    return {"x": x, "gap": [20.0, *(10.0 + sign * value for value in x[:-1])]}


def test_a_gap_that_repeats_its_indicator_has_a_correlation_of_one():
    """By hand: the ranks are y_{t+1} = x_t, so that no covariate leaves anything open."""
    record = indicators({"a": _shifted(SHUFFLED)})
    (indicator,) = record.indicators
    assert indicator.statistic == pytest.approx(1)
    assert indicator.p == pytest.approx(1 / 5000, abs=1e-3)
    assert indicator.verdict is LeadVerdict.LEADS
    assert record.leading == (indicator,)
    (opposite,) = indicators({"a": _shifted(SHUFFLED, -1)}).indicators
    assert opposite.statistic == pytest.approx(-1)


def _partial(response, regressor, *covariates):
    """A partial correlation by another route: the t statistic of a coefficient in a regression."""
    design = np.column_stack([regressor, np.ones(len(response)), *covariates])
    coefficient, *_ = np.linalg.lstsq(design, response)
    residual = response - design @ coefficient
    degrees = len(response) - design.shape[1]
    error = residual @ residual / degrees * np.linalg.inv(design.T @ design)[0, 0]
    t = coefficient[0] / np.sqrt(error)
    return t / np.sqrt(t**2 + degrees)


@pytest.mark.parametrize("lag", [1, 2])
def test_the_statistic_is_that_of_two_regressions(lag):
    rng = np.random.default_rng(5)
    series, gap = rng.normal(size=(2, 14))
    gap[lag:] += 1.5 * series[:-lag]
    x, y = stats.rankdata(series), stats.rankdata(gap)
    t = np.arange(1, 14 - lag)
    levels = _partial(y[t + lag], x[t], t, y[t], x[t - 1])
    differences = _partial(y[t + lag] - y[t], x[t] - x[t - 1], y[t] - y[t - 1])
    statistic, _ = residual_test([series], [gap], lag, rng, draws=9)
    assert statistic == pytest.approx(min(levels, differences))
    assert min(levels, differences) > 0


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.6, 0.9]) == [1.0, 1.0]


def _table(length, seed, names=("a", "b", "c")):
    rng = np.random.default_rng(seed)
    return {name: np.cumsum(rng.normal(size=length)) for name in ("gap", *names)}


def test_of_several_unrelated_walks_none_leads_more_often_than_stated():
    alarms = sum(bool(indicators({"a": _table(20, seed)}).leading) for seed in range(25))
    _require_at_most(alarms / 25, 25, LEVEL)


def test_a_planted_lead_is_seen_among_others():
    x, y = leading("noise", 1, 40, 0)
    record = indicators({"a": {**_table(40, 1), "b": x[0], "gap": 10 + y[0]}})
    assert [indicator.name for indicator in record.leading] == ["b"]
    assert (record.checkpoints, record.needed, record.method) == ((40,), 10, "residuals")


def test_several_trainings_show_what_one_of_them_does_not():
    x, y = leading("noise", 5, 12, 0)
    tables = {f"t{n}": {"x": x[n], "gap": 10 + y[n]} for n in range(5)}
    record = indicators(tables)
    assert record.method == "trainings"
    assert record.indicators[0].verdict is LeadVerdict.LEADS
    assert record.indicators[0].p == pytest.approx(1 / 120)
    three = indicators({name: tables[name] for name in ("t0", "t1", "t2")})
    assert three.method == "residuals"
    assert three.indicators[0].verdict is LeadVerdict.LEADS


def test_six_indicators_of_five_trainings_can_lead():
    x, y = leading("noise", 5, 20, 0)
    walks = [_table(20, seed, "abcde") for seed in range(5)]
    tables = {f"t{n}": {**walks[n], "x": x[n], "gap": 10 + y[n]} for n in range(5)}
    leads = indicators(tables).leading
    assert [(indicator.name, indicator.corrected) for indicator in leads] == [
        ("x", pytest.approx(0.05))
    ]


def test_trainings_of_unequal_length_are_permuted_each_by_itself():
    tables = {f"t{n}": _table(12 + n, n) for n in range(5)}
    record = indicators(tables)
    assert (record.method, record.checkpoints) == ("residuals", (12, 13, 14, 15, 16))


def test_an_indicator_that_is_the_gap_says_nothing_beyond_it():
    gap = np.random.default_rng(0).normal(size=20)
    (indicator,) = indicators({"a": {"gap": gap, "dynamics": 2 * np.abs(gap)}}).indicators
    assert (indicator.statistic, indicator.p, indicator.verdict) == (0, 1, LeadVerdict.NOT_SHOWN)


def test_what_never_changes_is_not_tested_and_costs_nothing():
    table = {**_shifted(SHUFFLED), "flat": [0.0] * 10}
    leads, flat = indicators({"a": table}).indicators
    assert (flat.p, flat.verdict) == (None, LeadVerdict.CONSTANT)
    assert leads.corrected == leads.p


@pytest.mark.parametrize(("count", "length"), [(1, 9), (2, 9), (5, 7)])
def test_too_few_checkpoints_are_said_to_be_too_few(count, length):
    record = indicators({f"t{n}": _table(length, n) for n in range(count)})
    assert {indicator.verdict for indicator in record.indicators} == {LeadVerdict.TOO_FEW}
    assert {indicator.p for indicator in record.indicators} == {None}
    assert length < record.needed == length + 1


def test_a_longer_lag_needs_as_many_blocks_of_checkpoints():
    record = indicators({"a": _table(20, 0)}, lag=4)
    assert {indicator.verdict for indicator in record.indicators} == {LeadVerdict.TOO_FEW}
    assert record.needed == 21
    assert indicators({"a": _table(20, 0)}, lag=2).needed == 11


def test_the_sign_of_the_gap_does_not_count():
    table = _table(20, 3)
    signed = {**table, "gap": np.abs(table["gap"]) * np.resize([1, -1], 20)}
    positive = {**table, "gap": np.abs(table["gap"])}
    assert indicators({"a": signed}) == indicators({"a": positive})


def test_it_goes_to_json_and_comes_back_equal():
    record = indicators({"a": {**_table(20, 3), "flat": [1.0] * 20}}, left_out=("spread",))
    assert Indicators.from_json(record.to_json()) == record


@pytest.mark.parametrize(
    ("trainings", "error", "sentence"),
    [
        ({}, BadArgument, "no training is given"),
        ({"a": {"x": [1, 2]}}, BadArgument, "no series gap"),
        ({"a": {"gap": [1, 2]}}, BadArgument, "no series beside gap"),
        ({"a": {"gap": [1, 2], "x": [1]}}, BadData, "unequal length .gap has 2, x has 1."),
        ({"a": {"gap": [1, 2], "x": [1, np.nan]}}, BadData, "x of a"),
        ({"a": {"gap": [1, 2], "x": [1, None]}}, BadData, "x of a"),
        ({"a": {"gap": [1, 2], "x": ["a", 2]}}, BadData, "x of a holds what is no number"),
        ({"a": {"gap": [], "x": []}}, BadData, "a number per checkpoint"),
        (
            {"a": {"gap": [1, 2], "x": [1, 2]}, "b": {"gap": [1, 2], "z": [1, 2]}},
            BadData,
            "the same ones are needed",
        ),
    ],
)
def test_series_that_cannot_be_tested_are_refused(trainings, error, sentence):
    with pytest.raises(error, match=sentence):
        inspect.unwrap(indicators)(trainings)


def test_a_lag_is_at_least_one():
    with pytest.raises(BadArgument, match="lag is 0"):
        indicators({"a": _table(20, 0)}, lag=0)
