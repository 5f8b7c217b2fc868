"""What every experiment is made of, and how a claim comes to its verdict."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from paracosm.core.experiments import Claim, Findings
from paracosm.core.records import Estimate
from paracosm.sweep.cells import Cell

Scale = Literal["quick", "full"]


class Answer(NamedTuple):
    """A finished cell: the arguments that it was given, and its result."""

    function: str
    arguments: dict[str, Any]
    result: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Study:
    """An experiment: the question, its cells at a scale (the longest first), and what is read off their answers."""

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
    """A claim with a number of the paper's: it agrees if our interval meets the paper's number or interval.

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
    why = agrees or ("our interval and the paper's overlap." if interval else "our interval holds the paper's number.")
    words = says or (f"{paper:g} ({low:g} to {high:g})" if interval else f"{paper:g}")
    verdict, why = ("agrees", why) if meets else ("differs", differs)
    if not (math.isfinite(ours.low) and math.isfinite(ours.high)):
        verdict, why = "cannot be compared", "too few samples for an interval."
    return Claim(name, claim, *_interval(ours), paper, words, verdict, why)


def judged(name: str, claim: str, ours: Estimate, paper: float, *, holds: bool, why: str, says: str = "") -> Claim:
    """A claim whose verdict is not whether intervals meet: a bound that holds or not, an order of magnitude."""
    return Claim(name, claim, *_interval(ours), paper, says or f"{paper:g}", "agrees" if holds else "differs", why)


def beyond(name: str, claim: str, ours: Estimate, *, why: str, says: str = "") -> Claim:
    """A claim that the paper has no number for; `why` says so, and what there is instead to compare with."""
    return Claim(name, claim, *_interval(ours), None, says, "cannot be compared", why)


def _interval(ours: Estimate) -> tuple[float, float, float, str]:
    return ours.mean, ours.low, ours.high, ours.method
