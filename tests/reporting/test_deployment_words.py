"""How many more real episodes would settle a deployment, in words."""

from __future__ import annotations

import dataclasses

import pytest

from paracosm.core.records import Estimate
from paracosm.core.records.assisted import AssistedMean, Help
from paracosm.core.records.deployment import Deployment, DeploymentVerdict, NextEpisode
from paracosm.reporting import deployment_words


def open_deployment(further: int | None, half: float = 1.0) -> Deployment:
    """One whose difference, 0.5 give or take `half`, settles nothing."""
    pairs = 20
    old, new, difference = (
        Estimate(mean, mean - half, mean + half, pairs, "mean") for mean in (1.0, 1.5, 0.5)
    )
    return Deployment(
        env="Pendulum-v1",
        old="old",
        new="new",
        level=0.95,
        pairs=pairs,
        paired=True,
        old_return=old,
        new_return=new,
        certified=None,
        bounds=(),
        episodes=AssistedMean(difference, difference, Help.NO_STARTS, 0.0, 0.0, 1.0, 0, 0.0),
        next_episode=NextEpisode(0.0, 0.95, 1, pairs, 19),
        verdict=DeploymentVerdict.NOT_YET,
        basis="",
        further=further,
    )


def test_a_row_says_why_there_are_no_bounds():
    for bounded, notes in (
        (True, ["no rung of either ladder is proven", "the audits give no bounds"]),
        (False, ["bounds were not asked for"] * 2),
    ):
        rows = deployment_words.rows(dataclasses.replace(open_deployment(9), bounded=bounded))
        assert [row.note for row in rows[:2]] == notes
        assert rows[1].form == "unproven bounds", "not the verdict's word, which episodes decide"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            open_deployment(1200),
            "About 1,200 more real episodes of each, judged a single time when all are played,"
            " would settle it with a chance of four in five, if difference and spread stay as they"
            " are. paracosm rank may stop sooner or later: beyond its first episodes it judges"
            " again after each.",
        ),
        (
            open_deployment(None),
            "No number of real episodes up to a million would settle it at this spread.",
        ),
        (
            open_deployment(None, float("inf")),
            "How many more real episodes would settle it cannot be told from 20 whose spread is"
            " not known; play some with --episodes.",
        ),
    ],
)
def test_what_would_settle_it(record: Deployment, expected: str):
    assert deployment_words.more_episodes(record) == expected


def test_what_is_settled_needs_nothing():
    record = dataclasses.replace(open_deployment(0), verdict=DeploymentVerdict.ESTIMATED)
    assert deployment_words.more_episodes(record) == ""


def test_a_worse_policy_is_proven_so_for_the_recorded_starts_alone():
    record = dataclasses.replace(
        open_deployment(0), verdict=DeploymentVerdict.WORSE, basis="certificate"
    )
    assert deployment_words.verdict(record) == (
        "No: new is worse than old, by proven bounds on both gaps over the recorded starts; over"
        " all starts that is an estimate at 95% from how these starts differ."
    )
