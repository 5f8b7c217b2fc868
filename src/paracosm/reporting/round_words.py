"""The audits along a run in words: which term of the gap stood out, and whether the spread said
so.
"""

from __future__ import annotations

from paracosm.core.records import discounted
from paracosm.core.records.ranking import Ranking
from paracosm.core.records.results import RunResult
from paracosm.core.records.rounds import OutsizedTerm, RoundAudit, TermGrowth, term_growth
from paracosm.reporting import words
from paracosm.reporting.decision_tables import Texts

CHECKPOINT_HEADS = ("round", "learned from", "real return", "imagined", "gap", "real episodes")


def growth(result: RunResult) -> str:
    """Which term stood out first and most along the run; empty if all were small."""
    grown = term_growth(result.rounds)
    if grown is None:
        return ""
    return " ".join(
        part for part in (_stood_out(result, grown), _end(result, grown), _announced(grown)) if part
    )


def episodes_note(result: RunResult) -> str:
    """How many episodes the points stand on."""
    counts = [audit.episodes for audit in result.rounds]
    least, most = min(counts), max(counts)
    number = f"{least}" if least == most else f"{least} to {most}"
    episodes = "one whole episode" if most == 1 else f"{number} whole episodes"
    return f"Each point stands on {episodes}: small differences between points are chance."


def missing_points_note(result: RunResult) -> str:
    """Why points are missing, if some are."""
    sentences = []
    if len(result.rounds) < len(result.trainings) - 1:
        sentences.append(
            "A round has no points where the next purchase holds no whole episode, or cut off the"
            " longer ones, or the policy is a planner."
        )
    if any(audit.reward is None for audit in result.rounds):
        sentences.append(
            "Where rewards were not bought for every step of these episodes, the real return and"
            " the reward term are left out."
        )
    return " ".join(sentences)


def _stood_out(result: RunResult, grown: TermGrowth) -> str:
    first, most = grown.first, grown.most
    place = f"{_place(most)} ({_of_return(most)}): {_direction(most)}."
    if len(result.rounds) == 1:
        return f"The {most.cause} term stood out, {place}"
    if first == most and grown.from_start:
        return f"The {most.cause} term stood out from the start and was the largest there, {place}"
    if first == most:
        return f"The {most.cause} term grew first and most, to {place}"
    began = "stood out from the start" if grown.from_start else "grew first"
    also = " and was" if first.cause == most.cause else f"; the {most.cause} term was"
    return f"The {first.cause} term {began} ({_place(first)}){also} the largest later, {place}"


def _place(term: OutsizedTerm) -> str:
    return f"{words.number(term.value)} after {words.count(term.audit.transitions)} transitions"


def _of_return(term: OutsizedTerm) -> str:
    share = abs(term.value) / max(term.audit.larger_return, 1e-300)
    return f"{words.percent(share)} of the larger return's size"


def _direction(term: OutsizedTerm) -> str:
    more = "more" if term.value < 0 else "less"
    return f"because of it imagination promised {more} than the world paid"


def _end(result: RunResult, grown: TermGrowth) -> str:
    """Where the largest term was in the last round, if that is another."""
    last = result.rounds[-1]
    if grown.at_end is None or last == grown.most.audit:
        return ""
    place = f"{words.number(grown.at_end)} after {words.count(last.transitions)} transitions"
    if last.outsized(grown.most.cause):
        return f"It was still {place}."
    return f"It was small at the end, {place}."


def _announced(grown: TermGrowth) -> str:
    """Whether the members' spread said how wrong the dynamics were; nothing of other terms."""
    calibration = grown.most.audit.calibration
    if grown.announced is None or calibration is None:
        return ""
    times = f"they were {words.number(calibration)} times what it predicted"
    if grown.announced:
        announced = "had announced one-step errors as large as there"
    else:
        announced = "did not announce the one-step errors there"
    return f"The members’ spread {announced}: squared, {times}."


def checkpoint_rows(result: RunResult) -> list[Texts]:
    """Round, transitions that it learned from, returns of its policy, their gap, and how many real
    episodes these stand on; a dash where a round was not audited.

    The last round's policy is the audited one.
    """
    audits = {audit.round: audit for audit in result.rounds}
    last = len(result.trainings) - 1
    rows = [_checkpoint(number, audits.get(number)) for number in range(last)]
    gap = result.diagnosis.gap
    final = (
        str(last + 1),
        words.count(result.purchases.transitions),
        *(words.mean(term) for term in (gap.real, gap.predicted, gap.total)),
        words.count(gap.real.n),
    )
    return [*rows, final]


def _checkpoint(number: int, audit: RoundAudit | None) -> Texts:
    """A row of a round that was not the last."""
    if audit is None:
        return (str(number + 1), *("–",) * (len(CHECKPOINT_HEADS) - 1))
    returns = (audit.real_return, audit.predicted_return, audit.gap)
    return (
        str(number + 1),
        words.count(audit.transitions),
        *("–" if value is None else words.number(value) for value in returns),
        words.count(audit.episodes),
    )


def checkpoint_note(result: RunResult, ranking: Ranking | None) -> str:
    """What the rows stand on, and how they would be compared."""
    discount = discounted(result.diagnosis.discount)
    note = (
        "Policies of earlier rounds as they explored, while the next round’s data were collected,"
        f" not discounted; the last one as audited, by its best guesses, {discount}."
    )
    if len(result.rounds) < len(result.trainings) - 1:
        note += (
            " A dash: the purchase holds no whole episode, or cut off the longer ones, or the"
            " policy is a planner."
        )
    if ranking is not None or words.is_planned(result):
        return note
    return (
        f"{note} These are different episodes: to compare the policies on the same starts, run"
        " paracosm rank on this run."
    )
