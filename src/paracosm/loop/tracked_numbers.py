"""The numbers of a run's stages that a tracker takes, by name."""

from __future__ import annotations

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.records import Diagnosis
from paracosm.core.records.decisions import Decision
from paracosm.core.records.rounds import RoundAudit


def counts(data: Dataset) -> dict[str, float]:
    """What was bought so far."""
    transitions, labels = len(data.transitions), len(data.labels)
    return {"real_steps": data.real_steps, "transitions": transitions, "reward_labels": labels}


def purchase(decision: Decision) -> dict[str, float]:
    """What a round is to buy, and what acting on its plan is expected to lose."""
    numbers = {"transitions": float(decision.transitions), "reward_labels": float(decision.labels)}
    plan = decision.plan
    return numbers if plan is None else {**numbers, "expected_regret": plan.expected_regret}


def held_out_errors(learned: Learned) -> dict[str, float]:
    """The held-out error of each learned part."""
    fits = learned.fits.items()
    return {f"{part}_error": fit.error.mean for part, fit in fits if fit.error is not None}


def gap_terms(diagnosis: Diagnosis) -> dict[str, float]:
    """The gap of whole episodes and its terms."""
    gap = diagnosis.gap
    terms = {cause: getattr(gap, cause).mean for cause in ("reward", "termination", "dynamics")}
    return {"gap": gap.total.mean, "imagined_return": diagnosis.imagined_return.mean, **terms}


def round_audit(audit: RoundAudit) -> dict[str, float]:
    """What a purchase says of the round before, without what is not known."""
    return {
        name: value
        for name, value in audit.to_dict().items()
        if name not in ("round", "transitions") and value is not None
    }
