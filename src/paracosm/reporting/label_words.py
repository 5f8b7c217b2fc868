"""The sentences of plans for labels: one price of labels, or cheap and gold ones."""

from __future__ import annotations

import dataclasses

from paracosm.core.numerals import grouped
from paracosm.core.records.decisions import LabelPlan, MixtureChoice, MixturePlan
from paracosm.core.records.reasons import (
    CheaperLabels,
    LabelLoss,
    LabelVerdict,
    MixtureVerdict,
    Regime,
    Stakes,
    WayLoss,
)
from paracosm.reporting import caveat_words
from paracosm.reporting.decision_words import LABELS
from paracosm.reporting.words import capital, count_of, reading

_DEARER = 1.5  # times the cheapest label: what is called the cheapest costs no more
REGIMES = {
    Regime.MEASURED: "the measured table: every label in it was tried",
    Regime.TWO_ENDS: "the two ends win: half-clean labels are the worst buy",
    Regime.CHEAPEST_BY_LAW: (
        "the cheapest label wins: noise falls more slowly than the price rises"
    ),
    Regime.INDIFFERENT: "every price is as good: noise falls just as the price rises",
    Regime.DEAREST_BY_LAW: "the dearest label wins: noise falls faster than the price rises",
    Regime.CHEAPEST: ("the cheapest label wins: money does more elsewhere than in cleaner labels"),
    Regime.DEAREST: "the dearest label wins: noise costs more than cleaner labels do",
    Regime.BALANCE: (
        "a balance: dearer labels are cleaner, cheaper ones leave money for more rollouts"
    ),
}


def with_sentences(plan: LabelPlan) -> LabelPlan:
    """The plan with its sentences, which are made of its reasons."""
    reasons = plan.reasons
    if reasons is None:
        return plan
    return dataclasses.replace(
        plan,
        regime=_regime(plan, reasons),
        warnings=caveat_words.sentences(reasons.caveats),
        verdict=" ".join(sentences(plan, reasons)),
    )


def _regime(plan: LabelPlan, reasons: LabelVerdict) -> str:
    """What decides; the cheapest label may win and a dearer one be bought with the rest."""
    if reasons.regime is Regime.CHEAPEST and plan.cost > _DEARER * reasons.least_cost:
        return (
            "as many rollouts as the cheapest labels allow; what those would leave of the money"
            " pays for dearer ones"
        )
    return REGIMES[reasons.regime]


def sentences(plan: LabelPlan, reasons: LabelVerdict) -> tuple[str, ...]:
    """The verdict: what to buy, what it gives, what the simple rules would lose, and what would be
    better still.
    """
    rollouts = "1 rollout" if plan.rollouts == 1 else f"{grouped(plan.rollouts)} rollouts"
    how = (
        "label each once, at"
        if plan.repeats == 1
        else f"label each {grouped(plan.repeats)} times, each time at"
    )
    some = "" if reasons.cheaper is CheaperLabels.NO_BETTER else " at the costs allowed"
    verdict = [
        f"Buy {rollouts} and {how} {reading(plan.cost)} a rollout: the policy gradient then has"
        f" variance {reading(plan.variance)}, the least that {reading(plan.budget)} can buy{some}.",
        _label_share(reasons),
        *_stakes(plan, reasons),
        _cheaper(reasons),
    ]
    return tuple(filter(None, verdict))


def _label_share(reasons: LabelVerdict) -> str:
    """How much of the variance is the labels' doing."""
    if reasons.label_share is None:
        return ""
    return f"Label noise makes up {reading(100 * reasons.label_share)}% of that."


def _stakes(plan: LabelPlan, reasons: LabelVerdict) -> list[str]:
    if reasons.stakes is Stakes.UNRIVALLED:
        return [
            "Nothing can be better: these labels have no noise that counts, and the gradient was"
            " said not to vary otherwise."
        ]
    if reasons.stakes is Stakes.HARDLY_MATTERS and not plan.alternatives:
        return ["No simple rule chooses otherwise: there is none to compare with."]
    if reasons.stakes is Stakes.HARDLY_MATTERS:
        return ["The choice hardly matters: no simple rule has 1% more variance."]
    return [_label_loss(loss) for loss in reasons.losses]


def _label_loss(loss: LabelLoss) -> str:
    """So much more variance: in per cent, or as a factor from double on."""
    more = (
        f"{reading(100 * loss.excess)}% more variance"
        if loss.excess < 1
        else f"{reading(1 + loss.excess)} times the variance"
    )
    return f"{capital(loss.rule)} (labels at {reading(loss.cost)}) would give {more}."


def _cheaper(reasons: LabelVerdict) -> str:
    least = reading(reasons.least_cost)
    return {
        CheaperLabels.NO_BETTER: "",
        CheaperLabels.BETTER: (
            f"Cheaper labels would be better still, down to {reading(reasons.down_to)}: {least} is"
            " the least cost allowed."
        ),
        CheaperLabels.BETTER_WITHOUT_END: (
            f"Cheaper labels would be better still: {least} is only the least cost considered, and"
            " there is no best price above zero."
        ),
        CheaperLabels.FREE_ONES_BEST: (
            f"Cheaper labels would be better still: {least} is only the least cost considered;"
            " free ones are best."
        ),
    }[reasons.cheaper]


def mixture_with_sentences(plan: MixturePlan) -> MixturePlan:
    """The plan with its sentences, which are made of its reasons."""
    reasons = plan.reasons
    if reasons is None:
        return plan
    return dataclasses.replace(
        plan,
        warnings=caveat_words.sentences(reasons.caveats),
        verdict=" ".join(mixture_sentences(plan, reasons)),
    )


def mixture_sentences(plan: MixturePlan, reasons: MixtureVerdict) -> tuple[str, ...]:
    """The verdict: what to buy, what other ways would lose, and which way wins at other budgets."""
    best = next(choice for choice in plan.choices if choice.name == plan.winner)
    return (
        f"Buy {_bought(best)}: the policy gradient then has squared error {reading(best.error)}.",
        *_mixture_stakes(reasons),
        _other_budgets(plan, reasons.smallest),
    )


def _bought(best: MixtureChoice) -> str:
    if best.name == "mixture":
        gold = f"gold labels on {grouped(best.gold)} of them"
        return f"the mixture, {count_of(best.rollouts, 'rollout')} with cheap labels and {gold}"
    return f"{LABELS[best.name]}, on {count_of(best.rollouts, 'rollout')}"


def _mixture_stakes(reasons: MixtureVerdict) -> list[str]:
    if reasons.stakes is Stakes.HARDLY_MATTERS:
        return [f"It hardly matters: {LABELS[reasons.losses[0].name]} would be within 1% of that."]
    return [_way_loss(loss) for loss in reasons.losses]


def _way_loss(loss: WayLoss) -> str:
    more = (
        f"{reading(100 * loss.excess)}% more"
        if loss.excess < 1
        else f"{reading(1 + loss.excess)} times that"
    )
    tail = ", most of it bias, which no money removes" if loss.biased else ""
    return f"{LABELS[loss.name].capitalize()} would have {more}{tail}."


def _other_budgets(plan: MixturePlan, smallest: str) -> str:
    """From which budget on another way wins; and that whole rollouts decide, where parts of them
    would say otherwise at this one.
    """
    starts = [
        f"from about {reading(start)} on {LABELS[name]}" for name, start in plan.changes.items()
    ]
    winners = [smallest, *(name for name, start in plan.changes.items() if start <= plan.budget)]
    whole = "" if winners[-1] == plan.winner else " At this budget whole rollouts decide."
    if starts:
        return f"With a small budget {LABELS[smallest]} would win; {', '.join(starts)}.{whole}"
    if whole:
        return f"With large budgets {LABELS[smallest]} would win.{whole}"
    return f"At any other budget {LABELS[smallest]} would win, too."
