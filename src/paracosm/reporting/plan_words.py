"""The sentences of a plan for transitions and labels; they claim no more than the intervals do."""

from __future__ import annotations

import dataclasses
import math

from paracosm.core import numerals
from paracosm.core.records.decisions import Plan
from paracosm.core.records.reasons import PlanVerdict, RouteLoss, Rule, RuleLoss, Stakes
from paracosm.reporting import caveat_words, decision_words
from paracosm.reporting.words import money, reading

_NOTHING = 5e-5  # a loss that prints as 0.00%


def with_sentences(plan: Plan) -> Plan:
    """The plan with its sentences, which are made of its reasons."""
    reasons = plan.reasons
    if reasons is None:
        return plan
    return dataclasses.replace(
        plan,
        disagreement=_disagreement(plan, reasons),
        warnings=caveat_words.sentences(reasons.caveats),
        verdict=" ".join(sentences(plan, reasons)),
    )


def sentences(plan: Plan, reasons: PlanVerdict) -> tuple[str, ...]:
    """The verdict: what to buy, what it changes, and whether the split matters."""
    before, after = plan.predicted_error["before"], plan.best.error
    units, spend = plan.best.units, plan.best.spend
    if plan.evaluation is not None:
        units = {**units, "episode": plan.evaluation.best.episodes}
        spend += plan.evaluation.spend
    parts = [_bought(name, count) for name, count in units.items() if count]
    bought = " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
    known = ""
    if plan.evaluation is not None:
        width = plan.evaluation.best.half_width
        known = f" The episodes tell the new policy's return to within {reading(width)} (95%)."
    change = (
        f"The predicted error in return is then {reading(after.mean)} ({reading(after.low)} to"
        f" {reading(after.high)}); {_now(before.mean)}.{known}"
    )
    return f"Buy {bought or 'nothing'} for {money(spend)}.", change, _stakes(plan, reasons)


def _now(error: float) -> str:
    """The predicted error before buying; none is where a part owns nothing."""
    if math.isinf(error):
        return "now, without any data of a part, none can be told"
    return f"it is {reading(error)} now"


def _bought(name: str, count: int) -> str:
    """So many units of what is for sale; a name of one's own is that of a source of labels."""
    singular, plural = decision_words.unit_names(name)
    return f"{numerals.grouped(count)} {singular if count == 1 else plural}"


def _stakes(plan: Plan, reasons: PlanVerdict) -> str:
    """What the best rule that favours neither part would lose, and whether that is worth a
    thought.
    """
    if reasons.stakes is Stakes.UNRIVALLED:
        return "No simple rule buys whole lots of both parts: there is none to compare with."
    rule, loss = reasons.losses[0].rule, reasons.losses[0].loss
    best = f"{rule}, the best rule that favours neither part,"
    if loss.mean < -_NOTHING:
        about = (
            f"{best} would leave {-loss.mean:.2%} less error than this plan on average over what"
            f" the curves leave open ({-loss.high + 0.0:.2%} to {-loss.low:.2%})"
        )
    else:
        span = f"{loss.low + 0.0:.2%} to {loss.high:.2%}"
        about = f"{best} would lose {max(loss.mean, 0.0):.2%} ({span}) against this plan"
    if reasons.stakes is Stakes.MATTERS:
        verb, doubt = "matters", ""
        if loss.low <= 0:
            verb, doubt = "may matter", ", though the curves do not exclude that it is as good"
        part = _one_sided(plan, reasons.one_sided, sure=loss.low > 0)
        return f"The split {verb}: {about}{doubt}.{part}"
    worse = [f"{loss.rule} {loss.loss.mean:.2%}" for loss in reasons.losses if loss.matters]
    if worse:
        return f"A simple rule does as well: {about}, but {' and '.join(worse)}."
    return f"The split hardly matters: {about}."


def _one_sided(plan: Plan, loss: RuleLoss | None, *, sure: bool) -> str:
    """That what matters is which part is bought, and not the ratio, if that matters for `sure`."""
    if loss is None:
        return ""
    part = "It is the part that matters" if sure else "If it does, it is the part that matters"
    if not (plan.reward if loss.rule is Rule.ALL_TRANSITIONS else plan.dynamics):
        return f" {part}: this plan spends {loss.rule}."
    return f" {part}: {loss.rule} would lose {max(loss.loss.mean, 0):.2%}."


def _disagreement(plan: Plan, reasons: PlanVerdict) -> str:
    """How far the splits by other routes to the weights are from the planned one, and what being
    wrong would cost.
    """
    if len(plan.weights) == 1:
        return (
            f"The weights come from one route ({plan.weights[0].origin}); no other was given to"
            " compare them with."
        )
    return " ".join(_route(plan, route) for route in reasons.routes)


def _route(plan: Plan, route: RouteLoss) -> str:
    if max(route.if_wrong, route.if_right) < _NOTHING:
        return f"Weights from {route.origin} lead to the same split, or to one as good."
    return (
        f"Weights from {route.origin} would own {reading(route.ratio)} transitions a label instead"
        f" of {reading(plan.ratio)}: if they are wrong that loses {route.if_wrong:.2%}, and if they"
        f" are right this plan loses {route.if_right:.2%}."
    )
