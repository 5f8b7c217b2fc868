"""Other searches in the world of a finished run."""

import dataclasses

import jax.numpy as jnp
import pytest

import paracosm
from paracosm import testing
from paracosm.auditing.search import Candidate
from paracosm.core import checks
from paracosm.core.policy import Deterministic
from paracosm.imagination.planners import MPPI
from paracosm.imagination.settings import ImagineSettings
from paracosm.loop import auditing, searching
from paracosm.loop import load as load_module
from paracosm.loop.load import audit_run, load
from paracosm.loop.short_rounds import training_settings

PLANNER = "tests.loop.test_planner_run:planner"


def test_training_that_goes_on_and_a_planner_are_held_against_a_runs_policy(finished):
    run = load(finished[0], trust=True)
    options = {"certify": False, "dimensions": False}
    diagnosis = audit_run(run, searches=("longer", PLANNER), most_search_steps=1e9, **options)
    share = diagnosis.search
    assert share is not None
    assert [trial.search for trial in share.trials] == ["longer", PLANNER]
    longer, planned = share.trials
    assert longer.imagined_steps > 2 * 200
    assert planned.imagined_steps == 2 * 200 * (run.planner(PLANNER).imagined_steps + 1)
    assert share.starts == 2
    assert "in the world that" in diagnosis.verdict + diagnosis.explanation
    assert paracosm.Diagnosis.from_json(diagnosis.to_json()) == diagnosis


def test_searches_that_train_leave_the_fewest_starts_of_all_searches(finished, monkeypatch):
    run = load(finished[0])
    budgets = []
    monkeypatch.setattr(
        load_module, "trained_again", lambda *_, most_steps, **__: budgets.append(most_steps)
    )
    names, fewest = ("longer", "again", "mppi"), 4 * 200 * (run.planner("mppi").imagined_steps + 4)
    for budget, each in ((4 * fewest, fewest), (1.5 * fewest, fewest / 4)):
        run.searches(names, run.policy, 200, budget)
        assert budgets == [each, each]
        budgets.clear()
    with pytest.raises(checks.BadArgument, match="longer, again, mppi cost more imagined steps"):
        audit_run(run, searches=names, most_search_steps=fewest - 1)
    assert not budgets, "nothing is trained that could not be played"
    assert run.searches(("mppi",), run.policy, 200, 1).keys() == {"mppi"}


def test_training_that_cost_more_than_foreseen_leaves_the_fewest_starts(finished):
    policy = load(finished[0]).policy
    for spent, starts in ((0, 10), (1200, 7), (4300, 4), (9999, 0)):
        assert searching.affordable_starts([Candidate(policy, 2, spent)], 200, 4000) == starts
    assert searching.affordable_starts([Candidate(policy, 2)], 200, 1599) == 0


def test_training_that_begins_anew_draws_other_numbers(finished):
    run = load(finished[0])
    anew = run.search("again")
    assert anew.steps == 1
    assert anew.spent > 0
    assert anew.policy != run.policy


def test_the_usual_search_is_another_than_the_policy_and_within_the_budget(finished):
    run = load(finished[0])
    cost = 200 * (MPPI(run.world).imagined_steps + 2)
    assert run.usual_searches(None, 4 * cost) == ("mppi",)
    assert run.usual_searches(None, 4 * cost - 1) == ()
    assert run.usual_search_needs() == 4 * cost
    assert run.usual_searches("mppi", 1e9) == ("cem",)


def test_a_search_that_fails_leaves_what_the_audit_found():
    toy, options = testing.walk(), {"certify": False, "dimensions": False}
    episodes = paracosm.evaluate(toy.world, toy.policy, episodes=3)
    lost = Deterministic(lambda state: state * jnp.nan)
    with pytest.raises(searching.SearchFailed, match="lost in the learned world is nan") as failure:
        paracosm.audit(toy.world, toy.policy, episodes, searches={"lost": lost}, **options)
    assert failure.value.diagnosis == paracosm.audit(toy.world, toy.policy, episodes, **options)


def test_an_unknown_search_is_refused(finished):
    with pytest.raises(
        checks.BadArgument,
        match="the search is 'simplex'; it must be one of 'longer', 'again', 'mppi'",
    ):
        load(finished[0]).search("simplex")


def test_other_training_of_pathwise_is_as_long_and_as_its_own(finished, monkeypatch):
    run = load(finished[0])
    run.__dict__["config"] = dataclasses.replace(run.config, learner="pathwise")
    training = dataclasses.replace(run.result.trainings[0], step=(2000, 8000))
    monkeypatch.setattr(type(run), "_training", lambda *_: training)
    monkeypatch.setattr(load_module, "trained_again", lambda *_, settings, **__: settings)
    settings = run.search("again")
    wanted = training_settings(8000, run.learner, run.spec.action)
    assert settings == wanted
    assert settings.rates != ImagineSettings().rates


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"most_search_steps": 10.0}, "the searches mine cost more imagined steps than the 10"),
        ({"sampled": True}, "searches are given beside episodes of samples"),
        ({"most_search_steps": float("nan")}, "most_search_steps is nan"),
        ({"most_imagined_steps": 0.0}, "most_imagined_steps is 0"),
        ({"most_imagined_steps": float("nan")}, "most_imagined_steps is nan"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_the_audit(
    finished, monkeypatch, options, sentence
):
    run = load(finished[0])
    monkeypatch.setattr(auditing, "diagnose", None)
    with pytest.raises(checks.BadArgument, match=sentence):
        paracosm.audit(
            run.world, run.policy, run.episodes, searches={"mine": run.policy}, **options
        )
