"""The one thing to do first after an audit: what is surely wrong goes before what costs money."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from paracosm.auditing.advice import about_parts
from paracosm.core.records import Cause, Diagnosis, NextKind, NextStep, PartFit, VerdictKind

# A part whose held-out error is surely that share of a constant's learned next to nothing.
NOTHING_LEARNED = 0.9
_OF_UNFIT: dict[VerdictKind, NextKind] = {
    "unfit-by-other-actions": "own episodes",
    "unfit-by-rounded-actions": "own episodes",
    "unfit-by-sum": "same answers",
    "unfit-by-states": "broken world",
    "unfit-by-return": "broken world",
}


def next_step(diagnosis: Diagnosis, fits: Mapping[str, PartFit]) -> NextStep:
    """What to do first.

    Args:
        diagnosis: Decided, with its findings, advice and searches.
        fits: How the parts of a run's world were learned; none of other worlds.
    """
    return dataclasses.replace(_first(diagnosis, fits), of_run=bool(fits))


def _first(diagnosis: Diagnosis, fits: Mapping[str, PartFit]) -> NextStep:
    verdict = diagnosis.decision
    unfit = _OF_UNFIT.get(verdict.kind)
    if unfit in ("own episodes", "same answers"):
        return NextStep(unfit)
    if verdict.kind == "rounding":
        return _of_policy(diagnosis) or NextStep("episodes" if verdict.unpaid else "nothing")
    if verdict.kind == "unseen":
        costs_nothing = verdict.reach is not None and verdict.reach <= diagnosis.gap.largest_small
    else:
        costs_nothing = diagnosis.gap.small and verdict.kind in ("undetermined", "explained")
    fine = costs_nothing and diagnosis.remarks.policy is None
    steps = (
        _of_finding(diagnosis),
        None if fine else _of_nothing_learned(diagnosis, fits),
        None if unfit is None else NextStep(unfit),
        _of_policy(diagnosis),
        NextStep("nothing") if costs_nothing else _of_purchase(diagnosis, fits),
    )
    return next(
        filter(None, steps),
        NextStep("steps" if verdict.lacks_steps(verdict.unsure) else "episodes"),
    )


def _of_finding(diagnosis: Diagnosis) -> NextStep | None:
    """A finding about the part to mend, or about any where none is clear."""
    advice = diagnosis.advice
    if advice is None:
        kinds = about_parts(diagnosis.findings)
        return NextStep("finding", finding=kinds[0].kind) if kinds else None
    if advice.by == "observation":
        return NextStep("observation", advice.first)
    return NextStep("finding", advice.first, finding=advice.finding) if advice.finding else None


def _of_nothing_learned(diagnosis: Diagnosis, fits: Mapping[str, PartFit]) -> NextStep | None:
    """A policy is as good as what it was trained on: a part that learned nothing goes before a
    better one that costs more. Where episodes hardly end, no end rule beats a constant: it counts
    where it is the part to mend.
    """
    first = None if diagnosis.advice is None else diagnosis.advice.first
    parts: list[Cause] = ["reward", "dynamics"]
    if first == "termination":
        parts.append(first)
    poor: dict[Cause, float] = {name: s for name in parts if (s := _poor_share(fits.get(name)))}
    if not poor:
        return None
    worst = max(poor, key=lambda name: (name == first, poor[name]))
    return NextStep("nothing learned", worst, share=poor[worst])


def _poor_share(fit: PartFit | None) -> float | None:
    """A part's held-out error over that of a constant, where it surely learned next to nothing."""
    if fit is None or fit.error is None or not fit.baseline:
        return None
    poor = fit.error.low >= NOTHING_LEARNED * fit.baseline
    return fit.error.mean / fit.baseline if poor else None


def _of_policy(diagnosis: Diagnosis) -> NextStep | None:
    """That the search is to blame, or that imagination too knows the policy to be poor: one that
    only episodes yet to come may call poor needs these, and one that has all that rewards allow
    cannot be better.
    """
    search, reference = diagnosis.search, diagnosis.reference
    if search is not None and search.leads:
        return NextStep("search")
    if diagnosis.remarks.policy is None or reference is None or reference.returns is None:
        return None
    real, (least, most) = diagnosis.real_return.mean, diagnosis.plausibility.allowed
    if max(real, diagnosis.imagined_return.mean) > reference.returns.mean or real >= most > least:
        return None
    return NextStep("policy" if search is None or search.best is None else "search")


def _of_purchase(diagnosis: Diagnosis, fits: Mapping[str, PartFit]) -> NextStep | None:
    """What to buy for the part to mend; what is clear but works against the gap does not tell."""
    advice = diagnosis.advice
    if advice is None or advice.first is None or diagnosis.decision.kind == "unexplained":
        return None
    fit = fits.get(advice.first)
    if fit is not None and fit.origin == "known":
        return NextStep("given", advice.first, times=advice.times)
    curves = [fits[name].origin for name in ("dynamics", "reward") if name in fits]
    planned = curves == ["learned", "learned"] and advice.first != "termination"
    return NextStep("purchase", advice.first, times=advice.times, planned=planned)
