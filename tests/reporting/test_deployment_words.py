"""How many more real episodes would settle a deployment, in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from paracosm.core.records.deployment import DeploymentVerdict
from paracosm.reporting import deployment_words


def open_deployment(further: int | None, half: float = 1.0) -> Any:
    """One whose difference, 0.5 give or take `half`, settles nothing."""
    plain = SimpleNamespace(low=0.5 - half, high=0.5 + half)
    return SimpleNamespace(
        verdict=DeploymentVerdict.NOT_YET,
        episodes=SimpleNamespace(plain=plain),
        pairs=20,
        further=further,
    )


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
            "No number of real episodes up to a billion would settle it at this spread.",
        ),
        (
            open_deployment(None, float("inf")),
            "How many more real episodes would settle it cannot be told from 20 whose spread is"
            " not known; play some with --episodes.",
        ),
    ],
)
def test_what_would_settle_it(record: Any, expected: str):
    assert deployment_words.further(record) == expected


def test_what_is_settled_needs_nothing():
    record = open_deployment(0)
    record.verdict = DeploymentVerdict.ESTIMATED
    assert deployment_words.further(record) == ""
