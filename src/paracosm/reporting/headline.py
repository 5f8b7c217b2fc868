"""The headline of a plan: the first sentence of its verdict."""

from __future__ import annotations

from paracosm.core.records.decisions import LabelPlan, MixturePlan, Plan
from paracosm.reporting import label_words, plan_words


def headline(plan: Plan | LabelPlan | MixturePlan) -> tuple[str, str]:
    """The first sentence of a plan's verdict and the rest of it, made of the plan's reasons; of a
    plan without reasons the verdict as it is.
    """
    first, *rest = _sentences(plan)
    return first, " ".join(rest)


def _sentences(plan: Plan | LabelPlan | MixturePlan) -> tuple[str, ...]:
    if plan.reasons is None:
        return (plan.verdict,)
    if isinstance(plan, Plan):
        return plan_words.sentences(plan, plan.reasons)
    if isinstance(plan, LabelPlan):
        return label_words.sentences(plan, plan.reasons)
    return label_words.mixture_sentences(plan, plan.reasons)
