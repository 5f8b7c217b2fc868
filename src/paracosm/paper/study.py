"""What every experiment is made of, and how a claim comes to its verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Claim, Findings
from paracosm.sweep.cells import Cell

Scale = Literal["quick", "full"]


class Answer(NamedTuple):
    """A finished cell: the arguments that it was given, and its result."""

    function: str
    arguments: dict[str, Any]
    result: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Study:
    """An experiment: the question, its cells at a scale (the longest first), and what is read off
    their answers.
    """

    question: str
    cells: Callable[[Scale], list[Cell]]
    read: Callable[[Sequence[Answer]], Findings]


def beside(
    name: str,
    claim: str,
    ours: Estimate,
    paper: float,
    *,
    differs: str,
    agrees: str = "",
    says: str = "",
    interval: tuple[float, float] | None = None,
) -> Claim:
    """A claim with a number of the paper's: it agrees if our interval meets the paper's number or
    interval.

    Without an interval there is no verdict: too few samples to compare.

    Args:
        name: what machines know the claim by.
        claim: one sentence.
        ours: our number and its interval.
        paper: the paper's number.
        differs: why it differs, if it does.
        agrees: what to say if it agrees, beside that the intervals meet.
        says: the paper's words, if they hold more than the number.
        interval: the paper's own interval.
    """
    low, high = interval or (paper, paper)
    meets = ours.low <= high and low <= ours.high
    why = agrees or (
        "our interval and the paper's overlap."
        if interval
        else "our interval holds the paper's number."
    )
    words = says or (f"{paper:g} ({low:g} to {high:g})" if interval else f"{paper:g}")
    verdict, why = ("agrees", why) if meets else ("differs", differs)
    if not (math.isfinite(ours.low) and math.isfinite(ours.high)):
        verdict, why = "cannot be compared", "too few samples for an interval."
    return Claim(name, claim, *_interval(ours), paper, words, verdict, why)


def bounded(
    name: str,
    claim: str,
    ours: Estimate,
    limit: float,
    *,
    side: Literal["below", "above"],
    why: str,
    says: str,
    paper: float | None = None,
) -> Claim:
    """A claim that a number lies on one side of a limit: it agrees or differs if the interval lies
    on one side.

    Args:
        name: what machines know the claim by.
        claim: one sentence.
        ours: our number and its interval.
        limit: where the paper's statement begins or ends to hold.
        side: where the statement holds; the limit itself belongs to it.
        why: what was measured; what the interval decides is added.
        says: the paper's words.
        paper: the paper's number, if it has one.
    """
    low, high = (ours.low, ours.high) if side == "below" else (-ours.high, -ours.low)
    edge = limit if side == "below" else -limit
    opposite = {"below": "above", "above": "below"}[side]
    verdict, decides = (
        "cannot be compared",
        f"holds {limit:.3g}, which leaves it undecided on so few samples",
    )
    if high <= edge:
        verdict, decides = "agrees", f"lies {side} {limit:.3g}"
    elif low > edge:
        verdict, decides = "differs", f"lies {opposite} {limit:.3g}"
    reason = f"{why}; the interval {decides}."
    return Claim(name, claim, *_interval(ours), paper, says, verdict, reason)


def must_hold(
    name: str,
    claim: str,
    ours: Estimate,
    *,
    holds: bool,
    why: str,
    says: str = "",
    paper: float | None = None,
) -> Claim:
    """A claim that follows from a proof or from how the case was made: that it holds is a check and
    no agreement.

    Args:
        name: what machines know the claim by.
        claim: one sentence.
        ours: what the check gave.
        holds: whether it came out as it must; where it did not, the claim differs.
        why: what it follows from, and what was checked.
        says: the paper's words, if it makes the statement.
        paper: the paper's number, if it has one.
    """
    words = says or ("" if paper is None else f"{paper:g}")
    return Claim(
        name, claim, *_interval(ours), paper, words, "must hold" if holds else "differs", why
    )


def beyond(name: str, claim: str, ours: Estimate, *, why: str, says: str = "") -> Claim:
    """A claim that the paper has no number for.

    Args:
        name: what machines know the claim by.
        claim: one sentence.
        ours: our number and its interval.
        why: that the paper has none, and what there is instead to compare with.
        says: the paper's words, if it makes the statement.
    """
    return Claim(name, claim, *_interval(ours), None, says, "cannot be compared", why)


def _interval(ours: Estimate) -> tuple[float, float, float, str]:
    return ours.mean, ours.low, ours.high, ours.method
