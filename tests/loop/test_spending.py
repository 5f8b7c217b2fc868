"""A budget spent round by round: every step and label paid for, the plan followed, a refusal
survived.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.records import Weights
from paracosm.core.records.decisions import Anchor, Curve, Decision
from paracosm.core.records.refusal import Refusal
from paracosm.core.tracking import Tracker
from paracosm.learning.curves import LEAST_ROWS_OF_CURVE
from paracosm.loop.spending import Purse
from tests.loop.small import numbers, small_run

BUDGET = {"budget": 3000.0, "transitions": None, "cost_reward": 2.0, "rounds": 2}


class Log(Tracker):
    """Keeps every number."""

    def __init__(self):
        self.rows = []

    def log(self, stage, step, numbers):
        self.rows.append((stage, step, dict(numbers)))


LOG = Log()


@pytest.fixture(scope="module")
def spent(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "spent"
    return out, small_run(out, tracker=LOG, **BUDGET)


def test_the_budget_is_spent_and_never_exceeded(spent):
    bought = spent[1].purchases
    assert 3000 - 3 <= bought.spent <= 3000
    pilot, planned, following = spent[1].decisions
    assert (pilot.transitions, pilot.labels) == (200, 200)
    assert (bought.transitions, bought.reward_labels) == (
        200 + planned.transitions,
        200 + planned.labels,
    )
    assert following.round == 2
    assert 3000 - 3 <= following.transitions + 2 * following.labels <= 3000, "another such budget"


def test_a_tracker_takes_each_decision(spent):
    rows = [row for row in LOG.rows if row[0] == "plan"]
    assert [step for _, step, _ in rows] == [0, 1, 2]
    for decision, row in zip(spent[1].decisions, rows, strict=True):
        counts = {"transitions": decision.transitions, "reward_labels": decision.labels}
        plan = decision.plan
        assert row[2] == counts | ({"expected_regret": plan.expected_regret} if plan else {})


def test_the_round_buys_what_its_plan_says(spent):
    _, planned, following = spent[1].decisions
    if planned.plan is None:
        assert "as much money on each part" in planned.why
        assert planned.transitions == pytest.approx(2 * planned.labels, abs=2)
    else:
        assert planned.plan.budget == 2400
        assert (planned.transitions, planned.labels) == (planned.plan.dynamics, planned.plan.reward)
    if following.plan is not None:
        assert following.plan.budget == 3000
        assert following.plan.weights[0].origin.startswith("realised")


@pytest.mark.full
def test_a_run_stopped_while_planning_resumes_to_the_same_result(spent, tmp_path):
    def stop(name, done, total, word=""):
        if name.startswith("plan") and "2 of" in name:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", progress=stop, **BUDGET)
    assert numbers(small_run(tmp_path / "run", resume=True, **BUDGET)) == numbers(spent[1])


def curve(part, errors):
    anchors = [
        Anchor(100 * 2**i, error, seed) for i, error in enumerate(errors) for seed in range(3)
    ]
    noisy = [dataclasses.replace(a, error=a.error * (1 + 0.02 * (a.seed - 1))) for a in anchors]
    return Curve(part, tuple(noisy), "rms", "held out")


WEIGHTS = (Weights(1.0, 1.0, "rms", 0.95, 10, "realised"),)


def owned(rows):
    """So many joint samples of nothing."""
    zeros, ones, numbers = np.zeros((rows, 1)), np.ones(rows, bool), np.arange(rows)
    return Dataset(
        zeros, zeros, zeros, np.zeros(rows), ~ones, ~ones, numbers, 0 * numbers, ones, ones
    )


def test_each_round_buys_its_share_of_the_plan_and_the_last_one_all():
    curves = {
        "dynamics": curve("dynamics", [1, 0.7, 0.5, 0.35]),
        "reward": curve("reward", [1, 0.8, 0.64, 0.51]),
    }
    purse = Purse(10_000.0, 1.0, 1.0, 4)
    first, last = (
        purse.decide(number, owned(1000), lambda: (curves, WEIGHTS), 0) for number in (1, 3)
    )
    assert first.plan == last.plan
    assert (last.transitions, last.labels) == (last.plan.dynamics, last.plan.reward)
    assert first.transitions == pytest.approx(last.transitions / 3, abs=1)
    assert first.plan.budget == 8000


def test_rounding_takes_no_row_from_the_pilot():
    assert Purse(1100.0, 1.0, 0.1, 2).pilot().transitions == LEAST_ROWS_OF_CURVE


def test_a_curve_that_supports_no_plan_means_equal_money():
    curves = {
        "dynamics": curve("dynamics", [0.3, 0.5, 0.8, 1.3]),
        "reward": curve("reward", [1, 0.8, 0.64, 0.51]),
    }
    decision = Purse(10_000.0, 1.0, 4.0, 2).decide(1, owned(1000), lambda: (curves, WEIGHTS), 0)
    assert decision.plan is None
    assert "as much money on each part, since" in decision.why
    assert decision.refusal is Refusal.RISES
    assert Decision.from_json(decision.to_json()) == decision
    assert (decision.transitions, decision.labels) == (2500, 625)


def test_what_cannot_be_measured_means_equal_money_and_loses_nothing():
    def known():
        raise checks.BadData(
            "the fit of the reward on 10 samples diverged; its data must be finite."
        )

    purse = Purse(10_000.0, 1.0, 4.0, 2)
    decision = purse.decide(1, owned(1000), known, 0)
    assert (decision.transitions, decision.labels) == (2500, 625)
    assert "diverged" in decision.why
    after = purse.decide(2, owned(1000), known, 0)
    assert (after.transitions, after.labels) == (5000, 1250), "half of another budget on each"
    same = purse.transitions_only(2, owned(1000))
    assert (same.transitions, same.labels) == (10_000, 0)


@pytest.mark.full
def test_a_reward_that_is_always_the_same_needs_no_more_labels(tmp_path):
    result = small_run(tmp_path / "run", "CartPole-v1", **BUDGET)
    _, planned, following = result.decisions
    assert "every reward label said the same" in planned.why
    assert (planned.transitions, planned.labels) == (2400, 0)
    assert (following.transitions, following.labels) == (3000, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 1}, "--rounds with --budget is 1; it must be at least 2 and at most 20"),
        ({"budget": 100.0}, "--budget is 100; at these prices a pilot of 200 transitions"),
        ({"budget": -1.0}, "--budget is -1; it must be a positive number"),
        ({"cost_reward": 0.0}, "--cost-reward is 0; it must be a positive number"),
        ({"transitions": 100}, "both --budget and --transitions are given"),
        ({"learner": "pathwise", "rounds": 1}, "both --budget and --learner pathwise are given"),
        ({"planner": "cem", "rounds": 1}, "both --planner and --budget are given"),
    ],
)
def test_a_budget_that_buys_nothing_is_refused(options, message, tmp_path):
    with pytest.raises(checks.BadArgument, match=message):
        small_run(tmp_path / "run", **{**BUDGET, **options})
