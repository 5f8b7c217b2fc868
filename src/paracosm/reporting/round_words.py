"""The audits along a run in words: which term of the gap stood out, and whether the spread said
so.
"""

from __future__ import annotations

from paracosm.core.records.results import RunResult
from paracosm.core.records.rounds import OutsizedTerm, TermGrowth, term_growth
from paracosm.reporting import words


def growth(result: RunResult) -> str:
    """Which term stood out first and most along the run; empty if all were small."""
    found = term_growth(result.rounds)
    if found is None:
        return ""
    return " ".join(
        part for part in (_stood_out(result, found), _end(result, found), _announced(found)) if part
    )


def standing(result: RunResult) -> str:
    """How many episodes the points stand on."""
    counts = [audit.episodes for audit in result.rounds]
    least, most = min(counts), max(counts)
    number = f"{least}" if least == most else f"{least} to {most}"
    episodes = "one whole episode" if most == 1 else f"{number} whole episodes"
    return f"Each point stands on {episodes}: small differences between points are chance."


def unlabelled(result: RunResult) -> str:
    """Why points are missing, if some are."""
    if all(audit.reward is not None for audit in result.rounds):
        return ""
    return (
        "Where rewards were not bought for every step of these episodes, the real return and the"
        " reward term are left out."
    )


def _stood_out(result: RunResult, found: TermGrowth) -> str:
    first, most = found.first, found.most
    place = f"{_place(most)} ({_of_return(most)}): {_direction(most)}."
    if len(result.rounds) == 1:
        return f"The {most.cause} term stood out, {place}"
    if first == most and found.from_start:
        return f"The {most.cause} term stood out from the start and was the largest there, {place}"
    if first == most:
        return f"The {most.cause} term grew first and most, to {place}"
    began = "stood out from the start" if found.from_start else "grew first"
    also = " and was" if first.cause == most.cause else f"; the {most.cause} term was"
    return f"The {first.cause} term {began} ({_place(first)}){also} the largest later, {place}"


def _place(term: OutsizedTerm) -> str:
    return f"{words.number(term.value)} after {words.count(term.audit.transitions)} transitions"


def _of_return(term: OutsizedTerm) -> str:
    share = abs(term.value) / max(term.audit.larger_return, 1e-300)
    return f"{words.percent(share)} of the larger return"


def _direction(term: OutsizedTerm) -> str:
    more = "more" if term.value < 0 else "less"
    return f"because of it imagination promised {more} than the world paid"


def _end(result: RunResult, found: TermGrowth) -> str:
    """Where the largest term was in the last round, if that is another."""
    last = result.rounds[-1]
    if found.at_end is None or last == found.most.audit:
        return ""
    place = f"{words.number(found.at_end)} after {words.count(last.transitions)} transitions"
    if last.outsized(found.most.cause):
        return f"It was still {place}."
    return f"It was small at the end, {place}."


def _announced(found: TermGrowth) -> str:
    """Whether the members' spread said how wrong the dynamics were; nothing of other terms."""
    calibration = found.most.audit.calibration
    if found.announced is None or calibration is None:
        return ""
    times = f"they were {words.number(calibration)} times what it predicted"
    if found.announced:
        announced = "had announced one-step errors as large as there"
    else:
        announced = "did not announce the one-step errors there"
    return f"The members’ spread {announced}: squared, {times}."
