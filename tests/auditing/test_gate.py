"""The gate on records: what is worse fails it whatever the direction, and chance does not."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from scipy import stats

from paracosm.auditing.gate import NEGLIGIBLE, UNKNOWN_ERRORS, UNKNOWN_RETURNS, gate
from paracosm.auditing.refits import REFITS
from paracosm.core.checks import BadData
from paracosm.core.records import Estimate
from paracosm.core.records.gate import GATED, SHARES, Gate, GateRule, GateRules
from paracosm.core.records.ranking import Ordering, PolicyPair, Ranking
from paracosm.reporting import gate_words
from tests.auditing.refitted import PARTS, refit
from tests.reporting import report_records as records

EVERY = GateRules(0.95, tuple(GateRule(s, name, None) for s in GATED for name in GATED[s]))


def estimate(mean, half=0.5, n=20):
    return Estimate(float(mean), float(mean - half), float(mean + half), n, "as given")


def run(real=-130.0, dynamics=5.0, error=0.01, seed=0, **changes):
    """A run with these numbers."""
    before = usual().diagnosis
    gap = dataclasses.replace(before.gap, dynamics=estimate(dynamics))
    diagnosis = dataclasses.replace(before, gap=gap, real_return=estimate(real, 2), **changes)
    fit = dataclasses.replace(usual().fits["dynamics"], error=estimate(error, error / 10, 500))
    return dataclasses.replace(usual(), diagnosis=diagnosis, fits={"dynamics": fit}, seed=seed)


@functools.cache
def usual():
    return records.run()


def refits(count=6):
    """Runs of one configuration, by name; no two have the same numbers."""
    draws = np.random.default_rng(1).normal(size=(count, 3))
    return {
        f"run-{i}": run(-130 + 2 * a, 5 + 0.3 * b, 0.01 * math.exp(0.1 * c), i)
        for i, (a, b, c) in enumerate(draws)
    }


def of(result, section, name):
    return next(check for check in result.checks if (check.section, check.name) == (section, name))


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_one_more_refit_passes(count):
    result = gate(refits(count), ("new", run(-131, 5.2, 0.0105)), EVERY)
    assert result.passed
    assert result.refits == (count >= REFITS)
    assert Gate.from_json(result.to_json()) == result


@pytest.mark.parametrize(
    ("worse", "section", "name"),
    [
        ({"real": -200}, "return", "real"),
        ({"dynamics": 12}, "terms", "dynamics"),
        ({"dynamics": -60}, "terms", "dynamics"),
        ({"error": 0.05}, "errors", "dynamics"),
        ({"error": math.nan}, "errors", "dynamics"),
    ],
)
@pytest.mark.parametrize("count", [1, 6])
def test_what_is_worse_fails_the_gate_and_comes_first(worse, section, name, count):
    if count == 1:
        worse = {key: value * (6 if key == "dynamics" else 1) for key, value in worse.items()}
    result = gate(refits(count), ("new", run(**worse)), EVERY)
    first = result.checks[0]
    assert not result.passed
    assert (first.section, first.name, first.verdict) == (section, name, "worse")
    assert not first.beyond <= 0


@pytest.mark.parametrize("better", [{"real": -20}, {"dynamics": 0.1}, {"error": 1e-5}])
@pytest.mark.parametrize("count", [1, 6])
def test_what_is_better_passes(better, count):
    assert gate(refits(count), ("new", run(**better)), EVERY).passed


def test_an_allowance_moves_the_limit_in_its_unit():
    def limit(section, name, allowance):
        rules = GateRules(0.95, (GateRule(section, name, allowance),))
        return gate(refits(), ("new", run()), rules).checks[0]

    for section, name in (("terms", "dynamics"), ("errors", "dynamics"), ("return", "real")):
        free, granted = limit(section, name, 0.0), limit(section, name, 0.5)
        size = 0.5 * free.baseline if section in SHARES else 0.5
        down = name == "real"
        assert granted.limit == pytest.approx(free.limit - size if down else free.limit + size)
        assert granted.allowance == pytest.approx(size)


def test_what_is_no_worse_is_ordered_by_its_way_to_the_limit():
    checks = gate(refits(1), ("new", run(real=-150)), EVERY).checks
    passed = [check for check in checks if check.verdict == "no worse"]
    ways = [1 + check.beyond / abs(check.limit - check.baseline) for check in passed]
    assert len(passed) > 3
    assert ways == sorted(ways, reverse=True)
    assert checks[-1].verdict == "not compared"


def test_what_the_gate_file_names_is_named():
    named = GateRules(0.95, (GateRule("terms", "dynamics", 0.0),))
    assert gate(refits(), ("new", run()), named).checks[0].named
    assert not any(check.named for check in gate(refits(), ("new", run()), EVERY).checks)


def test_fewer_quantities_and_lower_levels_have_closer_limits():
    def limit(level, rules):
        return of(
            gate(refits(), ("new", run()), GateRules(level, rules)), "terms", "dynamics"
        ).limit

    alone = (GateRule("terms", "dynamics", 0.0),)
    assert limit(0.9, alone) < limit(0.95, alone) < limit(0.95, EVERY.rules)


def test_the_limit_is_that_of_a_prediction_interval():
    """By scipy: of 6 baselines, one quantity, both sides."""
    baselines = {
        name: run(dynamics=value) for name, value in zip("abcdef", (4, 6, 5, 9, 2, 3), strict=True)
    }
    result = gate(baselines, ("new", run()), GateRules(0.95, (GateRule("terms", "dynamics", 0.0),)))
    values = [baseline.diagnosis.gap.dynamics.mean for baseline in baselines.values()]
    side = stats.t.isf(0.025, 5) * np.std(values, ddof=1) * np.sqrt(7 / 6)
    assert result.checks[0].limit == pytest.approx(np.mean(values) + side)
    assert result.checks[0].reason == "refits"


def test_one_baseline_allows_what_refits_may_differ_by():
    result = gate(refits(1), ("new", run()), EVERY)
    error, real = of(result, "errors", "dynamics"), of(result, "return", "real")
    simplest = usual().fits["dynamics"].baseline
    assert error.allowance == pytest.approx(UNKNOWN_ERRORS * error.baseline + NEGLIGIBLE * simplest)
    assert real.allowance == pytest.approx(UNKNOWN_RETURNS * 143.9, rel=0.01)
    assert error.reason == real.reason == "episodes"


def test_episodes_hold_a_limit_where_baselines_agree_by_chance():
    """Ends that none of the baselines called wrongly, but whose interval is not zero."""
    baselines = {name: run(seed=i, real=-130 + i) for i, name in enumerate("abcd")}
    agreed = gate(baselines, ("new", run(dynamics=5.3)), EVERY)
    assert of(agreed, "terms", "dynamics").reason == "episodes"
    assert agreed.passed
    assert not gate(baselines, ("new", run(dynamics=8.0)), EVERY).passed


def test_a_part_that_is_known_may_not_become_wrong():
    result = gate(refits(), ("new", run()), EVERY)
    term = of(result, "terms", "termination")
    assert (term.baseline, term.candidate, term.verdict) == (0, 0, "no worse")
    wrong = dataclasses.replace(usual().diagnosis.gap, termination=estimate(0.1, 0.01))
    worse = gate(refits(), ("new", _with_gap(wrong)), EVERY)
    assert of(worse, "terms", "termination").verdict == "worse"
    assert worse.compared == result.compared


def _with_gap(gap):
    result = run()
    return dataclasses.replace(result, diagnosis=dataclasses.replace(result.diagnosis, gap=gap))


def test_what_was_not_measured_is_not_compared():
    result = gate(refits(), ("new", run(gap_training=None)), EVERY)
    horizon = of(result, "terms", "horizon")
    assert (horizon.verdict, horizon.candidate, horizon.limit) == ("not compared", None, None)
    assert horizon.baseline == pytest.approx(0.39)
    assert result.passed


def ranked(flips, regret, discount=1.0, *, half=0.5):
    """A run whose checkpoints were ranked, with this share of flips and this selection regret, give
    or take `half`.
    """
    pair = PolicyPair("a", "b", estimate(5.0), estimate(4.0), Ordering.AGREES)
    share = Estimate(flips, flips, flips, 1, "share")
    ranking = Ranking((), (pair,), share, share, estimate(regret, half), "a", (), 0, 0.95, discount)
    return run(ranking=ranking)


@pytest.mark.parametrize(
    ("flips", "regret", "worse"), [(0.5, 3.0, "flips"), (0.1, 300.0, "regret"), (0.1, 3.0, None)]
)
def test_imaginations_order_of_checkpoints_may_not_become_worse(flips, regret, worse):
    rules = GateRules(0.95, tuple(GateRule("ranks", name, None) for name in GATED["ranks"]))
    result = gate({"before": ranked(0.1, 3.0)}, ("after", ranked(flips, regret)), rules)
    assert [check.name for check in result.worse] == ([worse] if worse else [])


def test_orders_share_the_chance_of_a_false_alarm():
    rules = tuple(GateRule("ranks", name, 0.0) for name in GATED["ranks"])
    before = {name: ranked(0.1 + i / 10, 3.0 + i) for i, name in enumerate("abc")}
    both = gate(before, ("after", ranked(0.1, 3.0)), GateRules(0.95, rules))
    alone = gate(before, ("after", ranked(0.1, 3.0)), GateRules(0.975, rules[1:]))
    assert (both.compared, alone.compared) == (2, 1)
    assert of(both, "ranks", "regret") == of(alone, "ranks", "regret")
    assert alone.checks[0].reason == "refits"


def test_an_order_that_is_open_is_no_worse():
    """None of the pairs that may flip certainly does."""
    after = ranked(0.0, 3.0)
    open_share = Estimate(0.3, 0.0, 0.6, 1, "share")
    ranking = dataclasses.replace(after.diagnosis.ranking, flips=open_share)
    after = dataclasses.replace(
        after, diagnosis=dataclasses.replace(after.diagnosis, ranking=ranking)
    )
    rules = GateRules(0.95, (GateRule("ranks", "flips", None),))
    assert gate({"before": ranked(0.0, 3.0)}, ("after", after), rules).passed


def test_orders_of_returns_of_other_discounts_are_not_compared():
    rules = GateRules(0.95, (GateRule("ranks", "regret", None), GateRule("return", "real", None)))
    result = gate({"before": ranked(0.1, 3.0)}, ("after", ranked(0.1, 300.0, 0.9)), rules)
    check = of(result, "ranks", "regret")
    assert (check.verdict, check.baseline, check.candidate) == ("not compared", 2.5, 299.5)


def test_an_audit_whose_conditions_do_not_hold_fails_a_gate_of_baselines_whose_do():
    result = gate(refits(), ("new", run(valid=False)), EVERY)
    assert not result.passed
    assert not result.worse
    unsound = {name: run(real=-130 + i, valid=False) for i, name in enumerate("abc")}
    assert gate(unsound, ("new", run(valid=False)), EVERY).passed


def test_an_end_rule_that_errs_in_one_episode_of_many_is_chance():
    """Sizes have no interval of their own: that of the term tells a rare error from none."""
    before = usual().diagnosis
    rare = dataclasses.replace(before.gap, termination=estimate(2.0, 4.5, 12))
    steps = dataclasses.replace(before.causes["dynamics"], absolute=(2.0,))
    changes = {"gap": rare, "causes": before.causes | {"termination": steps}}
    diagnosis = dataclasses.replace(run().diagnosis, **changes)
    candidate = dataclasses.replace(run(), diagnosis=diagnosis)
    result = gate(refits(), ("new", candidate), EVERY)
    assert of(result, "sizes", "termination").candidate == 2.0
    assert of(result, "sizes", "termination").verdict == "no worse"


def test_settings_in_which_baselines_differ_are_named():
    baselines = refits(3)
    assert gate(baselines, ("new", run()), EVERY).differing == ()
    baselines["run-1"] = dataclasses.replace(baselines["run-1"], configuration={"rounds": "2"})
    assert "rounds" in gate(baselines, ("new", run()), EVERY).differing


@pytest.mark.parametrize(
    ("baselines", "candidate", "sentence"),
    [
        (refits(2), dataclasses.replace(run(), env="CartPole-v1"), "one task"),
        (refits(2), run(horizon=50), "one task"),
        ({"a": run(), "b": run()}, run(), "a and b have the same numbers"),
        ({"a": run(real=math.nan)}, run(), "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(baselines, candidate, sentence):
    with pytest.raises(BadData, match=sentence):
        gate(baselines, ("new", candidate), EVERY)


def test_a_gate_that_can_check_nothing_is_refused():
    rules = GateRules(0.95, (GateRule("errors", "termination", 0.0),))
    with pytest.raises(BadData, match="checks nothing"):
        gate(refits(2), ("new", run()), rules)
    ranks = GateRules(0.95, tuple(GateRule("ranks", name, None) for name in GATED["ranks"]))
    with pytest.raises(BadData, match=r"only ranks flips, ranks regret; .* paracosm rank RUN"):
        gate(refits(), ("new", run()), ranks)


def held(baselines, candidate):
    by_name = {str(i): result for i, result in enumerate(baselines)}
    return gate(by_name, ("new", candidate), EVERY)


BLAMED = {
    "reward": {(section, "reward") for section in ("terms", "sizes", "errors", "policy_errors")},
    "termination": {("terms", "termination"), ("sizes", "termination")},
    "dynamics": {
        (section, "dynamics") for section in ("terms", "sizes", "errors", "policy_errors")
    },
    "horizon": {("terms", "horizon")},
}


@pytest.mark.parametrize(
    ("kind", "count", "parts"),
    [
        ("linear", 5, PARTS),
        # Hardly a rollout of it lives to see the value at the horizon, and a worse end rule moves
        # the return by less than its few episodes can tell.
        pytest.param("ending", 20, ("reward", "dynamics"), marks=pytest.mark.full),
    ],
)
def test_a_regression_planted_in_each_part_fails_a_real_gate_and_a_refit_passes(kind, count, parts):
    baselines = [refit(kind, seed) for seed in range(count)]
    assert held(baselines, refit(kind, count)).passed
    for seed, part in enumerate(parts):
        result = held(baselines, refit(kind, 100 + seed, part))
        assert BLAMED[part] & {(check.section, check.name) for check in result.worse}, part


@pytest.mark.full
@pytest.mark.parametrize("kind", ["linear", "ending"])
def test_200_refits_pass_at_95_per_cent(kind):
    """Each against five others, drawn from them all; more failures than these have probability 1%
    where every refit fails with 5%.
    """
    pool, draws = [refit(kind, seed) for seed in range(200)], np.random.default_rng(0)
    failed = 0
    for i, candidate in enumerate(pool):
        baselines = draws.choice([j for j in range(200) if j != i], 5, replace=False)
        failed += not held([pool[j] for j in baselines], candidate).passed
    assert failed <= stats.binom.isf(0.01, len(pool), 0.05)


def test_what_no_interval_tells_is_not_compared_and_what_the_file_names_must_be_measured():
    lone = dataclasses.replace(run(-131, 5.2, 0.0105), fits={})
    rules = GateRules(0.95, (GateRule("errors", "dynamics", 0.1), GateRule("return", "real", 5.0)))
    result = gate(refits(), ("new", lone), rules)
    assert not result.passed
    assert [check.name for check in result.lacking] == ["dynamics"]
    assert "lacks what the gate file names" in gate_words.verdict(result)
    usual = GateRules(
        0.95, (GateRule("errors", "dynamics", None), GateRule("return", "real", None))
    )
    assert gate(refits(), ("new", lone), usual).passed


def test_what_is_not_compared_has_the_numbers_of_the_runs():
    def single(result, value):
        lone = Estimate(value, -math.inf, math.inf, 1, "one sample: no interval")
        diagnosis = dataclasses.replace(result.diagnosis, real_return=lone)
        return dataclasses.replace(result, diagnosis=diagnosis)

    runs = {
        name: single(result, value)
        for (name, result), value in zip(refits(3).items(), (-100.0, -110.0, -105.0), strict=True)
    }
    result = gate(runs, ("new", single(run(), -120.0)), EVERY)
    check = of(result, "return", "real")
    assert (check.verdict, check.baseline, check.candidate) == ("not compared", -105.0, -120.0)


def test_a_gate_of_single_episodes_is_refused():
    single = Estimate(-130.0, -math.inf, math.inf, 1, "one sample: no interval")
    runs = {
        name: dataclasses.replace(
            result, diagnosis=dataclasses.replace(result.diagnosis, real_return=single)
        )
        for name, result in refits(1).items()
    }
    rules = GateRules(0.95, (GateRule("return", "real", 5.0),))
    with pytest.raises(BadData, match="no interval of these runs is finite"):
        gate(runs, ("new", run()), rules)
