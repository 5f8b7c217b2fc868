"""E7: cells against closed forms, and verdicts that turn with the answers."""

import functools
import math

import numpy as np
import pytest

from paracosm.paper import e7, e7_cells
from paracosm.paper.study import Answer


def test_a_rotation_attains_the_sharp_bound_below_the_papers():
    for smoothness in (0.02, 0.5, 0.9):
        result = e7_cells.examples(smoothness=smoothness)
        assert result["rotation"] == pytest.approx(1 - math.sqrt(1 - smoothness**2), rel=1e-9)
        assert result["rotation"] == pytest.approx(result["sharp"], rel=1e-12)
        assert (
            result["sharp"]
            < result["paper"]
            == pytest.approx(smoothness**2 / (2 * (1 - smoothness)))
        )
        assert result["reversed"] == 2
        assert result["growth"] == pytest.approx(0, abs=1e-15)


@functools.cache
def curved(actions, systems=40):
    return e7_cells.curved(
        size=2,
        actions=actions,
        by_action=0.1,
        drift=1.0,
        smoothness=[0.1, 0.9],
        systems=systems,
        seed=0,
    )


def test_random_systems_keep_the_bounds_where_they_speak():
    for actions in e7_cells.MEMORY:
        result = curved(actions)
        assert result["paper"] == result["sharp"] == [0, 0]
        assert max(result["filled"]) <= 1 + 1e-9
    assert curved("none")["trials"] == [40, 40]
    assert np.all(np.array(curved("none")["covered"]) == 1)


def test_without_actions_the_bound_in_smoothness_is_kept_and_nearly_proved():
    result = curved("none")
    assert result["alone"] == [0, 0]
    assert 0.1 < np.mean(result["revealed"]) < np.max(result["revealed"]) <= 1
    assert result["median"] < result["largest"]


def test_actions_break_the_bound_in_smoothness_and_slow_ones_leave_eta_small():
    anew, slow = curved("anew"), curved("slow")
    assert anew["alone"][0] > 30 > slow["alone"][0] > 0
    assert anew["largest"][0] > 1
    assert np.mean(anew["covered"]) < 0.8
    assert np.mean(slow["covered"]) > 0.95


RESULT = {
    "trials": [200] * 8,
    "paper": [0] * 8,
    "sharp": [0] * 8,
    "alone": [0] * 8,
    "covered": [[0.4, 0.6]] * 8,
    "revealed": [[0.2, 0.4]] * 8,
    "blurred": [[0.0, 0.0]] * 8,
    "largest": [0.001] * 8,
    "filled": [0.5] * 8,
    "median": [0.0001] * 8,
}
EXAMPLE = {"sharp": 0.1, "paper": 0.2, "rotation": 0.1, "growth": 0.0, "reversed": 2.0}


def read(growth=0.0, **changes):
    example, result = EXAMPLE | {"growth": growth}, RESULT | changes
    answers = [
        Answer(
            arguments.function,
            arguments.arguments,
            example if arguments.function.endswith("examples") else result,
        )
        for arguments in e7_cells.cells("quick")
    ]
    return e7.read(answers)


def claims(**changes):
    return {claim.id: claim for claim in read(**changes).claims}


def test_claims():
    proved = {name for name, claim in claims().items() if claim.verdict == "must hold"}
    assert proved == {"violations", *e7._PROVED}
    assert not [claim for claim in claims().values() if claim.verdict == "agrees"]
    assert "0 of 4,800 systems exceed it" in claims()["violations"].why
    assert claims(sharp=[3] * 8)["violations_eta"].verdict == "differs"
    assert claims(growth=0.5)["curvature_of_growth"].verdict == "differs"
    assert claims(paper=[1] * 8)["violations"].verdict == "differs"
    assert claims()["loosest_ratio"].ours == pytest.approx(2)
    assert claims(alone=[5] * 8)["violations_ignoring_slow"].ours == pytest.approx(5 / 200)
    assert claims(sharp=[3] * 8)["violations_eta"].ours == pytest.approx(3 / 200)
    assert claims(sharp=[3] * 8, trials=[6] * 8)["violations_eta"].ours == pytest.approx(0.5)
    assert claims()["covered_anew"].ours == pytest.approx(0.5)


def test_words_follow_the_numbers():
    calm = read().found
    assert "As is proved, none of the 4,800" in calm
    assert "had a margin" in calm
    assert "mattered little" in calm
    wild = read(paper=[1] * 8, alone=[5] * 8, filled=[0.99] * 8, sharp=[1] * 8).found
    assert "0.50% of the 4,800" in wild
    assert "no safety margin" in wild
    assert "take it between steps of like actions" in wild
    assert "48 of 9,600 systems" in wild
    assert "no certificate" not in read(growth=0.5).found


@pytest.mark.full
def test_no_violation_at_the_issues_size():
    for size in e7_cells.SIZES:
        for actions in e7_cells.MEMORY:
            result = e7_cells.curved(
                size=size,
                actions=actions,
                by_action=0.1,
                drift=1.0,
                smoothness=list(e7_cells.SMOOTHNESS),
                systems=1000,
                seed=1,
            )
            assert result["paper"] == result["sharp"] == [0] * 8
            assert actions != "none" or result["alone"] == [0] * 8
