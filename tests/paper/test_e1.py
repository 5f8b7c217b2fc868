"""E1: its rungs bound gaps in the right order, and verdicts turn with the answers."""

import itertools

import numpy as np
import pytest

from paracosm.paper import e1, e1_systems
from paracosm.paper.study import Answer

ORDERED = ("global", "split", "closed_loop", "mean_error", "trajectory", "value")


@pytest.mark.full
@pytest.mark.parametrize("kind", ["synthetic", "lqg"])
def test_every_rung_bounds_the_gap_in_order(kind):
    if kind == "lqg":
        rungs = e1_systems.quadratic_rungs(
            0, 40, norms=e1.THEORY, discount=0.8, factor=1.0, state_size=4
        )
        assert np.median(rungs["trajectory"] / rungs["gap"]) < 4
        assert np.median(rungs["value"] / rungs["gap"]) < 2.5
    else:
        rungs = e1_systems.lipschitz_rungs(0, 25, dynamics=0.5, discount=0.9, factor=1.0)
    for rung in e1.RUNGS:
        assert np.all(rungs["gap"] <= rungs[rung] * (1 + e1.ROUNDING)), rung
    for upper, lower in itertools.pairwise(ORDERED):
        assert np.all(rungs[lower] <= rungs[upper] * (1 + e1.ROUNDING)), (upper, lower)


def read(**changes):
    def result(arguments):
        n = arguments["systems"]
        values = {"gap": 1.0, "growth": 0.5, **dict.fromkeys(e1.RUNGS, 4.0)} | changes
        if arguments["group"] == "not contracting":
            values |= {"infinite": -1.0, "growth": 1.15}
        return {name: [value] * n for name, value in values.items()}

    answers = [
        Answer(cell.function, cell.arguments, result(cell.arguments)) for cell in e1.cells("quick")
    ]
    return e1.read(answers)


def claims(**changes):
    return {claim.id: claim for claim in read(**changes).claims}


def test_claims():
    by_id = claims()
    assert {name for name, claim in by_id.items() if claim.verdict == "must hold"} == {
        "violations",
        "violations_every_rung",
        "finite_share_when_not_contracting",
    }
    assert "0 of 525 exceed it" in by_id["violations"].why
    assert "a gap 4 times as large" in by_id["violations"].why
    assert by_id["max_ratio_lqg"].verdict == "cannot be compared"
    assert not [claim for claim in by_id.values() if claim.verdict == "agrees"]
    assert by_id["median_ratio_lqg"].ours == 0.25
    assert by_id["median_ratio_lqg"].verdict == "differs"
    assert by_id["median_slack_value_theory_generator"].ours == 4
    assert by_id["finite_share_when_not_contracting"].ours == 1
    assert claims(infinite=0.5)["violations"].verdict == "differs"
    assert claims(infinite=1 / 0.034)["median_ratio_lqg"].verdict == "agrees"
    broken = claims(value=0.5)["violations_every_rung"]
    assert broken.ours > 0
    assert broken.verdict == "differs"


def test_words_follow_the_numbers():
    assert "holds, as is proved, in every one of the 525" in read().found
    assert "is broken by 100.0% of the 525" in read(infinite=0.5).found
    assert "least median slack of all rungs in 8 of 8 columns" in read(value=2.0).found
    assert "least median slack of all rungs in 0 of 8 columns" in read(value=9.0).found
    assert "from 6× to 6× where it is finite" in read(infinite=6.0).found


def test_the_cells_are_the_papers_number_of_systems():
    def count(group):
        return sum(
            cell.arguments["systems"]
            for cell in e1.cells("full")
            if cell.arguments["group"] == group
        )

    assert (count("synthetic"), count("lqg")) == (150, 375)


def test_one_small_system_of_each_kind_keeps_every_bound():
    rungs = e1.lqg(
        group="x", norms=[0.8, 0.3, 0.6], discount=0.9, factor=0.3, state_size=4, systems=2, seed=1
    )
    assert rungs["infinite"] == [-1, -1]
    assert np.allclose(rungs["growth"], 0.9 * 0.8 * 1.6)
    for rung in list(e1.RUNGS)[1:]:
        assert np.all(np.array(rungs["gap"]) <= rungs[rung]), rung
