"""What a verdict is followed by: where the blamed part errs, which part to mend, and how sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from paracosm.auditing.verdict import culprit
from paracosm.core.records import (
    LEARNED_CAUSES,
    Advice,
    Cause,
    CauseByStep,
    DynamicsByDimension,
    Estimate,
    Finding,
    FirstStep,
    Gap,
    Verdict,
)

CONSTANT_REWARD = "constant reward"  # more reward labels where rewards differ do mend it
UNEXPLAINED_REWARD = "unexplained reward"  # no reward labels mend it
_TEN_TIMES = 10.0  # an unsure term this much larger than the clear one decides what to do first
_MOST_COMPONENTS = 3  # named: more are no place to look at


def advise(
    gap: Gap,
    verdict: Verdict,
    causes: Mapping[str, CauseByStep],
    dimensions: DynamicsByDimension,
    findings: Sequence[Finding],
) -> Advice | None:
    """What follows from the verdict on a gap; none where there is nothing to mend or to blame.

    Args:
        gap: At the reporting discount, as all that follows.
        verdict: On the gap.
        causes: The learned parts' terms by step.
        dimensions: The dynamics term by state component.
        findings: What looks wrong with how the world was made.
    """
    if verdict.unfit or verdict.kind in ("rounding", "unseen"):
        return None
    explained = verdict.lead if verdict.kind == "explained" else None
    blamed = explained if explained in LEARNED_CAUSES else culprit(gap, LEARNED_CAUSES)
    if blamed is None or verdict.missed_by_subset is not None:
        kinds = about_parts(findings)
        return Advice(None, finding=kinds[0].kind if kinds else None)
    first, times = _larger(gap, blamed)
    by, finding = _first_step(first, findings)
    half_by, most_by = _steps_of(causes[blamed])
    return Advice(
        blamed,
        alone=explained is None,
        half_by=half_by,
        most_by=most_by,
        components=dimensions.clear[:_MOST_COMPONENTS] if blamed == "dynamics" else (),
        first=first,
        by=by,
        finding=finding,
        times=times,
        half_widths=_half_widths(getattr(gap, blamed)),
    )


def about_parts(findings: Sequence[Finding]) -> list[Finding]:
    """The findings that something must be mended for: labels where rewards differ mend a constant
    reward.
    """
    return [finding for finding in findings if finding.kind != CONSTANT_REWARD]


def _larger(gap: Gap, blamed: Cause) -> tuple[Cause, float | None]:
    """The part to mend first: the blamed one, or an unsure one that is ten times as large."""
    sizes: dict[Cause, float] = {cause: abs(getattr(gap, cause).mean) for cause in LEARNED_CAUSES}
    largest = max(sizes, key=lambda cause: sizes[cause])
    if sizes[largest] >= _TEN_TIMES * sizes[blamed]:
        return largest, sizes[largest] / sizes[blamed]
    return blamed, None


def _first_step(part: Cause, findings: Sequence[Finding]) -> tuple[FirstStep, str | None]:
    """What a finding about the part says goes before more data."""
    relevant = about_parts(findings)
    if part == "reward" and any(finding.kind == UNEXPLAINED_REWARD for finding in relevant):
        return "observation", None
    kinds = [finding.kind for finding in relevant if finding.part == part]
    return ("finding", kinds[0]) if kinds else ("purchase", None)


def _steps_of(cause: CauseByStep) -> tuple[int, int]:
    """The steps by which half and nine tenths of the absolute term have come."""
    share = np.cumsum(cause.absolute) / max(np.sum(cause.absolute), np.finfo(float).tiny)
    half, most = (int(np.searchsorted(share, part)) + 1 for part in (0.5, 0.9))
    return half, most


def _half_widths(term: Estimate) -> float:
    half = term.mean - term.low if term.mean > 0 else term.high - term.mean
    return abs(term.mean) / half if half else math.inf
