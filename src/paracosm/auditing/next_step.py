"""The one thing to do first after an audit: what is surely wrong goes before what costs money."""

from __future__ import annotations

from collections.abc import Mapping

from paracosm.auditing.advice import CONSTANT_REWARD, UNEXPLAINED_REWARD
from paracosm.core.records import Cause, Diagnosis, NextKind, NextStep, PartFit, VerdictKind

NOTHING_LEARNED = 0.9  # a part whose held-out error is that share of a constant's learned nothing
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
        fits: How the parts of the world were learned, as far as that is known.
    """
    unfit = _OF_UNFIT.get(diagnosis.decision.kind)
    if unfit in ("own episodes", "same answers"):
        return NextStep(unfit)
    if diagnosis.decision.kind == "rounding":
        return _of_policy(diagnosis) or NextStep("nothing")
    part = None if diagnosis.advice is None else diagnosis.advice.first
    costs_nothing = diagnosis.gap.small and diagnosis.decision.kind in ("undetermined", "explained")
    steps = (
        _of_finding(diagnosis, part),
        _of_nothing_learned(part, fits),
        None if unfit is None else NextStep(unfit),
        _of_policy(diagnosis),
        NextStep("nothing") if costs_nothing else _of_purchase(diagnosis, fits),
    )
    return next(filter(None, steps), NextStep("episodes"))


def _of_finding(diagnosis: Diagnosis, part: Cause | None) -> NextStep | None:
    """A finding about the part to mend, or about any where none is clear; a constant reward is
    mended by labels where rewards differ, and is no reason to go before them.
    """
    kinds = [
        finding.kind
        for finding in diagnosis.findings
        if finding.kind != CONSTANT_REWARD and (part is None or finding.part == part)
    ]
    if UNEXPLAINED_REWARD in kinds and part == "reward":
        return NextStep("observation", "reward")
    return NextStep("finding", part, finding=kinds[0]) if kinds else None


def _of_nothing_learned(part: Cause | None, fits: Mapping[str, PartFit]) -> NextStep | None:
    """A policy is as good as what it was trained on: a part that learned nothing goes before a
    better one that costs more. Where episodes hardly end, no end rule beats a constant: it counts
    where it is the part to mend.
    """
    parts: list[Cause] = ["reward", "dynamics"]
    if part == "termination":
        parts.append(part)
    shares: dict[Cause, float] = {name: _share(fits.get(name)) for name in parts}
    poor: list[Cause] = [name for name in parts if shares[name] >= NOTHING_LEARNED]
    if not poor:
        return None
    worst = max(poor, key=lambda name: (name == part, shares[name]))
    return NextStep("nothing learned", worst, share=shares[worst])


def _share(fit: PartFit | None) -> float:
    """A part's held-out error over that of a constant; 0 where it is not known."""
    return fit.error.mean / fit.baseline if fit and fit.error and fit.baseline else 0.0


def _of_policy(diagnosis: Diagnosis) -> NextStep | None:
    """That the search is to blame, or that imagination too knows the policy to be poor: a policy
    that only episodes yet to come may call poor needs these.
    """
    if diagnosis.search is not None and diagnosis.search.leads:
        return NextStep("search")
    reference = diagnosis.reference
    if diagnosis.remarks.policy is None or reference is None or reference.returns is None:
        return None
    rival = reference.returns.mean
    poor = max(diagnosis.real_return.mean, diagnosis.imagined_return.mean) <= rival
    return NextStep("policy") if poor else None


def _of_purchase(diagnosis: Diagnosis, fits: Mapping[str, PartFit]) -> NextStep | None:
    advice = diagnosis.advice
    if advice is None or advice.first is None:
        return None
    fit = fits.get(advice.first)
    if fit is not None and fit.origin == "known":
        return NextStep("given", advice.first)
    return NextStep("purchase", advice.first, times=advice.times)
