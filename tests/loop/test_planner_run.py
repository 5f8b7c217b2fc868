"""Runs whose policy is a planner: nothing is trained, everything else is as ever."""

import dataclasses

import numpy as np
import pytest

import paracosm
from paracosm.core.checks import BadArgument
from paracosm.core.mdp import MDP
from paracosm.core.progress import silent
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.planners import MPPI, Planner
from paracosm.loop import deploying
from paracosm.loop.load import audit_run
from paracosm.loop.measuring import gradient_noise_of_run, measure
from tests.loop.small import LEARN, numbers


def planner(world: MDP) -> Planner:
    """A search small enough for tests."""
    return MPPI(world, steps=3, plans=4, iterations=1)


def small_run(out, **options):
    options = {"transitions": 200, "episodes": 2, **options}
    return paracosm.run("Pendulum-v1", out=out, learn_settings=LEARN, **options)


OPTIONS = {"planner": "tests.loop.test_planner_run:planner", "horizon": 12, "rounds": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("planned") / "run"
    return out, small_run(out, **OPTIONS)


def test_a_run_plans_collects_by_its_plans_and_is_audited(finished):
    out, result = finished
    assert [training.stop_reason for training in result.trainings] == [StopReason.PLANNED] * 2
    assert not list(out.glob("policy.*")) + list(out.glob("models/policy-*"))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Nothing was trained: the policy is a planner" in page
    assert "improved only on imagined episodes" not in page
    diagnosis = result.diagnosis
    assert diagnosis.other_actions == 0
    assert diagnosis.closure < 1e-9
    assert diagnosis.gap_training is not None
    assert diagnosis.dynamics_by_dimension.dimensions == ()
    assert diagnosis.mode_versus_sampled is None
    assert "best-guess actions against drawn ones" not in page


def test_its_run_loads_with_the_planner_in_the_learned_world(finished):
    out, result = finished
    with pytest.raises(paracosm.ParacosmError, match="names code to import"):
        paracosm.load(out).policy  # noqa: B018 - the property refuses
    run = paracosm.load(out, trust=True)
    assert isinstance(run.policy, Planner)
    assert run.episodes.carry is not None
    assert run.episodes.carry.shape == (2, 12, 3)
    assert audit_run(run).gap == result.diagnosis.gap


def test_it_has_no_plan_and_says_so_before_anything_is_measured(finished):
    out, result = finished
    assert not result.diagnosis.next_step.planned
    with pytest.raises(paracosm.ParacosmError, match="policies of the state alone"):
        measure(out, trust=True, progress=lambda *_: pytest.fail("it measured"))


def test_no_gradient_trained_it(finished):
    with pytest.raises(BadArgument, match="plans and trained no policy; the gradient noise"):
        gradient_noise_of_run(finished[0], trust=True)


def test_it_resumes_to_the_same_result(finished, tmp_path):
    def stop(stage, done, total, word=""):
        if stage == "audit":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small_run(tmp_path / "run", progress=stop, **OPTIONS)
    assert numbers(small_run(tmp_path / "run", resume=True, **OPTIONS)) == numbers(finished[1])


def test_another_policys_episodes_are_not_taken_for_its_own(finished):
    run = paracosm.load(finished[0], trust=True)
    larger = MPPI(run.policy.world, steps=3, plans=64, iterations=3).greedy()
    episodes = run.source().evaluate(larger, episodes=3)
    with pytest.raises(
        paracosm.ParacosmError, match="recorded actions are not those of the policy, a MPPI"
    ):
        paracosm.audit(run.world, run.policy, episodes, certify=False)
    longer = MPPI(run.policy.world, steps=4, plans=4, iterations=1)
    with pytest.raises(paracosm.ParacosmError, match="carry has 3 components; the policy's has 4"):
        paracosm.audit(run.world, longer, run.episodes, certify=False)


def test_recorded_carries_come_back_from_the_disk(finished):
    run = paracosm.load(finished[0], trust=True)
    played = run.source().evaluate(run.policy, episodes=2)
    np.testing.assert_array_equal(played.carry, run.episodes.carry)


def test_episodes_of_an_older_version_are_joined_with_further_ones(finished):
    run = paracosm.load(finished[0], trust=True)
    run.__dict__["episodes"] = dataclasses.replace(run.episodes, carry=None)
    joined = deploying._recorded_and_played(run, count=2, further=1, progress=silent)
    assert joined.alive.shape == (3, 12)
    assert joined.carry is None
