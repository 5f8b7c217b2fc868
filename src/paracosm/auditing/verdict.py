"""The verdict: what the intervals of a gap allow to be said of its causes, and never more."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from paracosm.core.records import (
    CAUSES,
    LEARNED_CAUSES,
    Cause,
    Estimate,
    Gap,
    HorizonParts,
    LeadShare,
    TrainingVerdict,
    Verdict,
)

_MOST = 2 / 3  # of all causes of the gap's sign: beside it none is nearly as large
_FAR = 0.5  # of the gap: terms that miss it by more do not explain it
_LARGER = 1.25  # times the gap: a cause that much larger is not all that there is
_MOST_WEIGHT = 0.95  # of all discount weights: the steps that a discounted gap is about


def culprit(gap: Gap, among: Iterable[Cause] = CAUSES) -> Cause | None:
    """The cause of the largest signed term whose interval excludes zero; rounding is none."""
    return max(_clear(gap, among), key=lambda cause: _size(gap, cause), default=None)


def verdict_on(gap: Gap, subset: int = 0) -> Verdict:
    """What the gap comes from, or why that is not known.

    Errors cancel if less than half of the larger side is left: the gap is then the cause of
    neither, and the largest of each sign are named. Else clear causes of the gap's sign explain it.
    A cause is said to make most of the gap only if it has the gap's sign, is two thirds of all
    that has it, and no interval of another reaches its own on that side. The horizon is a matter of
    training, not of data: where it leads, the worst learned part is named too. Of a random subset,
    terms that miss the gap by far tell nothing of it.

    Args:
        gap: The gap and its terms.
        subset: Steps of the random subset that was audited; 0 where all were.
    """
    if subset and _misses_by_far(gap):
        missed = _missed(gap)
        return Verdict("undetermined", _share(gap), few_steps=subset, missed_by_subset=missed)
    terms = [getattr(gap, cause) for cause in CAUSES]
    largest, no_gap = culprit(gap), abs(gap.total.mean) <= gap.rounding
    reach = max(max(abs(term.low), abs(term.high)) for term in terms)
    if no_gap and reach <= gap.rounding:
        return Verdict("rounding", _share(gap), unpaid=_unpaid(gap))
    if no_gap and largest is None and all(abs(term.mean) <= gap.rounding for term in terms):
        return Verdict("unseen", _share(gap), reach=max(reach, gap.reach))
    if largest is None:
        return Verdict("undetermined", _share(gap))
    sides = [sum(max(sign * term.mean, 0.0) for term in terms) for sign in (1, -1)]
    if min(sides) > 0 and abs(gap.total.mean) < max(sides) / 2:
        return _cancelling(gap)
    lead = culprit(gap, _along(gap))
    return _unexplained(gap, largest) if lead is None else _explained(gap, lead, largest)


def _missed(gap: Gap) -> float:
    """The sum of the terms minus the gap."""
    return sum(getattr(gap, cause).mean for cause in CAUSES) - gap.total.mean


def _misses_by_far(gap: Gap) -> bool:
    """Whether what the terms miss is not small beside the gap, its interval and every clear
    term.
    """
    sizes = [_size(gap, cause) for cause in _clear(gap)]
    half = (gap.total.high - gap.total.low) / 2
    return abs(_missed(gap)) > max(gap.rounding, _FAR * max(abs(gap.total.mean), half, *sizes))


def training_verdict_on(
    verdict: Verdict,
    gap: Gap,
    parts: HorizonParts | None,
    discount: float,
    steps: int,
    *,
    subset: int = 0,
) -> TrainingVerdict:
    """The verdict on what training believed beside that on whole episodes.

    Args:
        verdict: On whole episodes.
        gap: Of what training believed, at the training discount.
        parts: Of its horizon term, where the training is known.
        discount: The training discount, in [0, 1].
        steps: Of a whole episode.
        subset: As for `verdict_on`.
    """
    of_training = verdict_on(gap, subset)
    few_steps = of_training.few_steps or verdict.few_steps
    of_training = dataclasses.replace(of_training, few_steps=few_steps)
    leads = parts is not None and culprit(gap) == "horizon"
    part = None
    if parts is not None and leads:
        part = "edge" if abs(parts.edge.mean) > abs(parts.bootstrap.mean) else "bootstrap"
    return TrainingVerdict(
        of_training, _gist(of_training) != _gist(verdict), _weighty(discount, steps), part
    )


def _gist(verdict: Verdict) -> tuple[str, Cause | None, int]:
    """What must be equal for two verdicts to be one: kind, and the lead that explains the gap."""
    lead = verdict.lead if verdict.kind == "explained" else None
    return verdict.kind, lead, verdict.sign


def _weighty(discount: float, steps: int) -> int:
    """How many first steps hold `_MOST_WEIGHT` of `Σ_t γ^t`."""
    counted = np.cumsum(discount ** np.arange(steps))
    return int(np.searchsorted(counted, _MOST_WEIGHT * counted[-1])) + 1


def _clear(gap: Gap, among: Iterable[Cause] = CAUSES) -> list[Cause]:
    """The causes whose interval excludes zero, by more than rounding."""
    terms: dict[Cause, Estimate] = {cause: getattr(gap, cause) for cause in among}
    return [
        cause
        for cause, term in terms.items()
        if term.excludes_zero and abs(term.mean) > gap.rounding
    ]


def _size(gap: Gap, cause: Cause) -> float:
    return abs(getattr(gap, cause).mean)


def _along(gap: Gap) -> list[Cause]:
    """The causes of the gap's sign."""
    return [cause for cause in CAUSES if getattr(gap, cause).mean * gap.total.mean > 0]


def _share(gap: Gap) -> float | None:
    """The gap over the larger return."""
    scale = max(abs(gap.real.mean), abs(gap.predicted.mean))
    return abs(gap.total.mean) / scale if scale > 0 else None


def _doubtful(gap: Gap) -> bool:
    """Whether the gap may be none, though its causes are named."""
    return not (gap.total.excludes_zero or abs(gap.total.mean) <= gap.rounding)


def _unpaid(gap: Gap) -> bool:
    return all(term.low == term.high == 0 for term in (gap.real, gap.predicted))


def _cancelling(gap: Gap) -> Verdict:
    """The largest cause of either sign, and which of the two is unsure."""
    ranked = sorted(CAUSES, key=lambda cause: getattr(gap, cause).mean)
    pair: list[Cause] = sorted((ranked[0], ranked[-1]), key=lambda cause: -_size(gap, cause))
    clear = _clear(gap)
    return Verdict(
        "cancels",
        _share(gap),
        _doubtful(gap),
        lead=pair[0],
        opposing=pair[1],
        unsure=tuple(cause for cause in pair if cause not in clear),
    )


def _unexplained(gap: Gap, largest: Cause) -> Verdict:
    """No clear cause has the gap's sign: what is clear works against it, what makes it is
    unsure.
    """
    unsure = max(_along(gap), key=lambda cause: _size(gap, cause), default=None)
    return Verdict(
        "unexplained",
        _share(gap),
        _doubtful(gap),
        opposing=largest,
        unsure=() if unsure is None else (unsure,),
    )


def _explained(gap: Gap, lead: Cause, largest: Cause) -> Verdict:
    """The largest clear cause with the gap's sign, and those that may be as large."""
    sign, term = int(np.sign(gap.total.mean)), getattr(gap, lead)
    reach = {
        cause: max(sign * getattr(gap, cause).low, sign * getattr(gap, cause).high)
        for cause in CAUSES
    }
    least, clear = min(sign * term.low, sign * term.high), _clear(gap)
    rivals: list[Cause] = [cause for cause in CAUSES if cause != lead and reach[cause] >= least]
    unsure: list[Cause] = [cause for cause in rivals if cause not in clear]
    share: LeadShare = "several"
    if unsure:
        share = "in part"
    elif rivals:
        share = "together"
    elif abs(term.mean) >= _MOST * sum(_size(gap, cause) for cause in _along(gap)):
        share = "most"
    return Verdict(
        "explained",
        _share(gap),
        _doubtful(gap),
        lead=lead,
        sign=sign,
        lead_share=share,
        together=tuple(cause for cause in rivals if cause in clear),
        unsure=(max(unsure, key=lambda cause: reach[cause]),) if unsure else (),
        opposing=None if largest in _along(gap) else largest,
        taken_back=_taken_back(gap, lead) if share == "most" else None,
        worst_part=None if lead in LEARNED_CAUSES else culprit(gap, LEARNED_CAUSES),
    )


def _taken_back(gap: Gap, lead: Cause) -> Cause | None:
    """What works against a cause that is larger than the gap itself."""
    against: list[Cause] = [
        cause for cause in CAUSES if getattr(gap, cause).mean * getattr(gap, lead).mean < 0
    ]
    if _size(gap, lead) < _LARGER * abs(gap.total.mean):
        return None
    return max(against, key=lambda cause: _size(gap, cause), default=None)
