"""`paracosm audit RUN`: what is done where the audit, or the search beside it, fails."""

from types import SimpleNamespace

import pytest

from paracosm.cli import audit
from paracosm.cli.main import main
from paracosm.core.checks import BadData
from paracosm.core.records import Diagnosis
from paracosm.loop.searching import SearchFailed
from tests.reporting import report_records

pytestmark = pytest.mark.usefixtures("_environment_as_it_was")


@pytest.fixture
def calls(monkeypatch):
    """The searches of each audit of a made-up run; `raises` says what an audit with one raises."""
    run = SimpleNamespace(
        path="run",
        usual_searches=lambda planner, most_steps: ("mppi",),
        usual_search_needs=lambda planner: 820_000,
        learned=SimpleNamespace(fits={}),
        policy=None,
        episodes=SimpleNamespace(alive=[0]),
    )
    state = SimpleNamespace(searches=[], raises=None)

    def audit_run(run, episodes, *, planner, searches=(), **options):
        state.searches.append(searches)
        if state.raises is not None:
            raise state.raises
        return report_records.diagnosis()

    state.run = run
    monkeypatch.setattr(audit, "load", lambda path, *, trust: run)
    monkeypatch.setattr(audit, "audit_run", audit_run)
    monkeypatch.setattr(audit, "calibrated_diagnosis", lambda run, found, episodes, **_: found)
    monkeypatch.setattr(audit, "ranked_diagnosis", lambda path, found: found)
    monkeypatch.setattr(audit, "assisted_diagnosis", lambda run, found, *_: found)
    return state


def test_an_audit_that_fails_is_not_run_again_for_the_same_error(calls, capsys):
    calls.raises = BadData("the episodes have no steps.")
    assert main(["audit", "run"]) == 2
    assert calls.searches == [("mppi",)]
    assert "the episodes have no steps" in capsys.readouterr().err


def test_a_search_that_the_budget_does_not_allow_is_said_to_be_missing(calls, capsys):
    calls.run.usual_searches = lambda planner, most_steps: ()
    assert main(["audit", "run", "--most-search-steps", "10"]) == 0
    flat = " ".join(capsys.readouterr().out.split())
    assert "other searches none 820,000 imagined steps are needed (--most-search-steps)" in flat
    assert main(["audit", "run", "--search", "none"]) == 0
    assert "other searches" not in capsys.readouterr().out


def test_a_search_that_nobody_named_may_fail_and_the_audit_stands(calls, capsys):
    sentence = "a return of mppi in the learned world is nan."
    calls.raises = SearchFailed(sentence)
    calls.raises.diagnosis = report_records.diagnosis()
    assert main(["audit", "run", "--json"]) == 0
    assert calls.searches == [("mppi",)]
    found = Diagnosis.from_json(capsys.readouterr().out)
    assert found.search_failed == sentence
    assert found.gap == calls.raises.diagnosis.gap
    assert main(["audit", "run"]) == 0
    assert f"other searches failed {sentence}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--discount", "1.5"], "discount is 1.5"),
        (["--search", "foo"], "--search is 'foo'; it must be one of"),
        (["--search", "mppi,none"], "none stands alone"),
        (["--env-kwargs", '{"a": 1}'], "--env-kwargs is of --world; a run"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_audited(calls, capsys, arguments, sentence):
    assert main(["audit", "run", *arguments]) == 2
    assert calls.searches == []
    assert sentence in capsys.readouterr().err


def test_a_search_that_was_named_fails_aloud(calls, capsys):
    calls.raises = SearchFailed("a return of cem in the learned world is nan.")
    assert main(["audit", "run", "--search", "cem"]) == 2
    assert calls.searches == [("cem",)]
    assert "a return of cem" in capsys.readouterr().err
