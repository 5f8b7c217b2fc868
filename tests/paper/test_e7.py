"""E7: cells against closed forms, and verdicts that turn with the answers."""

import math

import pytest

from paracosm.paper import e7
from paracosm.paper.study import Answer


def test_a_rotation_attains_the_sharp_bound_below_the_papers():
    for smoothness in (0.02, 0.5, 0.9):
        found = e7.examples(smoothness=smoothness)
        assert found["rotation"] == pytest.approx(1 - math.sqrt(1 - smoothness**2), rel=1e-9)
        assert found["rotation"] == pytest.approx(found["sharp"], rel=1e-12)
        assert found["sharp"] < found["paper"] == pytest.approx(smoothness**2 / (2 * (1 - smoothness)))
        assert found["reversed"] == 2


def test_random_systems_keep_the_bounds_and_actions_break_the_one_without_them():
    found = e7.curved(smoothness=0.1, size=2, actions=True, systems=40, seed=0)
    assert found["violations"] == found["sharp_violations"] == 0
    assert found["without"] > 30
    assert found["largest"] > 1


def claims(**changed):
    result = {"violations": 0, "sharp_violations": 0, "without": 5, "largest": 0.001, "median": 0.0001} | changed
    example = {"sharp": 0.1, "paper": 0.2, "rotation": 0.1, "reversed": 2.0}
    answers = [
        Answer(each.function, each.arguments, example if each.function.endswith("examples") else result)
        for each in e7.cells("quick")
    ]
    return {each.id: each for each in e7.read(answers).claims}


def test_claims():
    assert claims()["violations"].verdict == "agrees"
    assert claims(violations=1)["violations"].verdict == "differs"
    assert claims()["loosest_ratio"].ours == pytest.approx(2)
    assert claims()["violations_ignoring_actions"].ours == pytest.approx(5 / 200)


@pytest.mark.full
def test_no_violation_at_the_issues_size():
    for size in e7.SIZES:
        for smoothness in e7.SMOOTHNESS:
            found = e7.curved(smoothness=smoothness, size=size, actions=False, systems=1000, seed=1)
            assert found["violations"] == found["sharp_violations"] == 0
