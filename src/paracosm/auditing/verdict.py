"""The verdict: plain words that never claim more than their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np

from paracosm.core.records import (
    Baselines,
    CauseByStep,
    DynamicsByDimension,
    Finding,
    Gap,
    HorizonParts,
    discounted,
)

CAUSES = {
    "reward": "the reward model",
    "termination": "the end rule",
    "dynamics": "the dynamics model",
    "horizon": "the training horizon (the bootstrapped value and the edge of the data)",
}
LEARNED = ("reward", "termination", "dynamics")
CONSTANT_REWARD = (
    "constant reward"  # the finding that more reward labels where rewards differ do mend
)
UNEXPLAINED_REWARD = "unexplained reward"  # the finding that makes more reward labels useless
_ROUNDING = 1e-6  # of the returns: what observations in 32 bits cannot tell from zero
_TEN_TIMES = 10.0  # an unsure term this much larger than the clear one decides what to do first
_LARGER = 1.25  # times the gap: a cause that much larger is not all that there is
_SURE = 100.0  # half widths: beyond, a larger ratio says nothing more
_MOST_WEIGHT = 0.95  # of all discount weights: the steps that a discounted gap is about
_ADVICE = {
    "reward": "First buy reward labels where the policy goes, or look at how rewards are recorded",
    "termination": (
        "First check how terminations and time limits are recorded, and buy episodes that end"
    ),
    "dynamics": "First buy transitions where the policy goes",
}
_HORIZON_ADVICE = {
    "bootstrap": (
        "What narrows that gap is longer imagined rollouts or a better value, not more data"
    ),
    "edge": "What narrows that gap is data where the policy wants to go, or a wider learn margin",
}
_UNEXPLAINED = (
    "More reward labels cannot mend this: the reward depends on something that the state does not"
    " show,"
    " so first add it to the observation"
)


class Explanation(NamedTuple):
    """What the explanation goes by beside the gap; every field is at the reporting discount."""

    causes: dict[str, CauseByStep]
    dimensions: DynamicsByDimension
    findings: tuple[Finding, ...]
    baselines: Baselines


def culprit(gap: Gap, among: Iterable[str] = tuple(CAUSES)) -> str | None:
    """The cause with the largest signed term whose interval excludes zero, if any; rounding is no
    cause.
    """
    return max(_clear(gap, among), key=lambda cause: abs(getattr(gap, cause).mean), default=None)


def rounding(gap: Gap) -> float:
    """The size of a term, in units of return, that observations in 32 bits cannot tell from
    zero.
    """
    return _ROUNDING * max(abs(gap.real.mean), abs(gap.predicted.mean))


def _clear(gap: Gap, among: Iterable[str] = tuple(CAUSES)) -> list[str]:
    """The causes whose interval excludes zero, by more than rounding."""
    terms = {cause: getattr(gap, cause) for cause in among}
    return [
        cause
        for cause, term in terms.items()
        if term.excludes_zero and abs(term.mean) > rounding(gap)
    ]


Kind = Literal["rounding", "unseen", "undetermined", "cancels", "unexplained", "explained"]


class _Standing(NamedTuple):
    """What kind of verdict the intervals allow, and the largest clear cause that explains
    the gap.
    """

    kind: Kind
    lead: str | None
    sign: int = 0  # of the gap, where a lead explains it


def _standing(gap: Gap) -> _Standing:
    """Errors cancel if less than half of the larger side is left; else clear causes of the gap's
    sign explain it.
    """
    terms = [getattr(gap, cause) for cause in CAUSES]
    if all(max(abs(term.low), abs(term.high)) <= rounding(gap) for term in terms):
        return _Standing("rounding", None)
    if culprit(gap) is None:
        unseen = all(abs(term.mean) <= rounding(gap) for term in terms)
        return _Standing("unseen" if unseen else "undetermined", None)
    sides = [sum(max(sign * term.mean, 0.0) for term in terms) for sign in (1, -1)]
    if min(sides) > 0 and abs(gap.total.mean) < max(sides) / 2:
        return _Standing("cancels", None)
    lead = culprit(gap, [cause for cause in CAUSES if _along(gap, cause)])
    sign = int(np.sign(gap.total.mean))
    return _Standing("unexplained", None) if lead is None else _Standing("explained", lead, sign)


def verdict(gap: Gap, discount: float = 1.0) -> str:
    """Size of the whole-episode gap, its main cause with the interval, or what would settle it.

    A cause is said to make most of the gap only if it has the gap's sign, is half of it, and no
    interval of another reaches its own on that side. Where errors cancel, the gap is the cause of
    neither, and the largest of each sign are named. The horizon is a matter of training, not of
    data: where it leads, the worst learned part is named too.
    """
    unit = "" if discount == 1 else f" ({discounted(discount)})"
    returns = (
        f"The imagined return is {gap.predicted.mean:.4g}{unit}, the real return is"
        f" {gap.real.mean:.4g}"
    )
    return f"{returns}: the gap of {_size(gap)} {_clause(gap)}."


def _size(gap: Gap) -> str:
    """The gap as a number and as a share of the larger return, and whether it may be none."""
    scale = max(abs(gap.real.mean), abs(gap.predicted.mean))
    share = f" ({abs(gap.total.mean) / scale:.1%} of the larger return)" if scale > 0 else ""
    sure = gap.total.excludes_zero or abs(gap.total.mean) <= rounding(gap)
    kind = _standing(gap).kind
    doubt = (
        ""
        if sure or kind in ("rounding", "unseen", "undetermined")
        else ", not clearly different from zero,"
    )
    return f"{gap.total.mean:+.3g}{share}{doubt}"


def _clause(gap: Gap) -> str:
    """The rest of a sentence that begins with the gap: what it comes from."""
    kind, lead, _ = _standing(gap)
    if kind == "rounding":
        return "is no more than rounding, and so is every cause" + _unpaid(gap)
    if kind == "unseen":
        return (
            f"is no more than rounding in these {gap.total.n} episodes, and so is every cause;"
            f" {_reach(gap)}"
        )
    if kind == "undetermined":
        return (
            "has an undetermined cause, since every interval that is beyond rounding includes zero;"
            f" {_more(gap)} would narrow them"
        )
    if kind == "cancels":
        return _cancelling(gap)
    largest = culprit(gap)
    if lead is None or largest is None:
        return _unexplained(gap, largest or "")
    against = (
        ""
        if _along(gap, largest)
        else f"; {_named(gap, largest)}, is clearly wrong too, and works against it"
    )
    return f"{_explained(gap, lead)}{against}"


def _reach(gap: Gap) -> str:
    """How large rarer episodes may make the gap by its interval, on either side, where a range is
    known.
    """
    most = max(abs(gap.total.low), abs(gap.total.high))
    if math.isinf(most):
        return (
            "no other return was ever seen and no range of returns is known, so that no size can"
            " be given"
        )
    return f"so few cannot exclude that rarer ones make it up to {most:.3g} on average"


def _unpaid(gap: Gap) -> str:
    nothing = all(term.low == term.high == 0 for term in (gap.real, gap.predicted))
    return (
        "; no reward was seen in either, so that nothing tells one model from another"
        if nothing
        else ""
    )


def _along(gap: Gap, cause: str) -> bool:
    return getattr(gap, cause).mean * gap.total.mean > 0


def _more(gap: Gap) -> str:
    return f"more evaluation episodes than {gap.total.n}"


def _cancelling(gap: Gap) -> str:
    """The largest cause of either sign, and which of the two is unsure."""
    ranked = sorted(CAUSES, key=lambda cause: getattr(gap, cause).mean)
    pair = sorted((ranked[0], ranked[-1]), key=lambda cause: -abs(getattr(gap, cause).mean))
    unsure = [cause for cause in pair if cause not in _clear(gap)]
    doubt = (
        f"; {' and '.join(CAUSES[cause] for cause in unsure)} unsure, which {_more(gap)} would"
        " settle"
        if unsure
        else ""
    )
    return (
        f"is what remains of errors that cancel: {_named(gap, pair[0])}, against"
        f" {_named(gap, pair[1])}{doubt}"
    )


def _unexplained(gap: Gap, largest: str) -> str:
    """No clear cause has the gap's sign: what is clear works against it, what makes it is
    unsure.
    """
    along = [cause for cause in CAUSES if _along(gap, cause)]
    unsure = max(along, key=lambda cause: abs(getattr(gap, cause).mean), default=None)
    doubt = f"{_named(gap, unsure)}, is unsure; " if unsure else ""
    return (
        f"has an undetermined cause: {_named(gap, largest)}, is clearly wrong but works the other"
        f" way; {doubt}"
        f"{_more(gap)} would settle it"
    )


def _explained(gap: Gap, lead: str) -> str:
    """The largest clear cause with the gap's sign, and those that may be as large."""
    sign, term = np.sign(gap.total.mean), getattr(gap, lead)
    reach = {
        cause: max(sign * getattr(gap, cause).low, sign * getattr(gap, cause).high)
        for cause in CAUSES
    }
    rivals = [
        cause
        for cause in CAUSES
        if cause != lead and reach[cause] >= min(sign * term.low, sign * term.high)
    ]
    unsure = [cause for cause in rivals if cause not in _clear(gap)]
    clear = ", and ".join(
        _named(gap, cause) for cause in (lead, *(cause for cause in rivals if cause not in unsure))
    )
    worst = _worst_part(gap, lead)
    if unsure:
        rival = max(unsure, key=lambda cause: reach[cause])
        return (
            f"comes in part from {clear}; {_named(gap, rival)}, may weigh more, which {_more(gap)}"
            f" would settle{worst}"
        )
    if rivals:
        return f"comes from {clear}; their intervals overlap{worst}"
    if abs(term.mean) >= abs(gap.total.mean) / 2:
        return f"comes most from {clear}{_taken_back(gap, lead)}{worst}"
    return f"comes from several causes, more from {clear} than from any other{worst}"


def _taken_back(gap: Gap, lead: str) -> str:
    """What works against a cause that is larger than the gap itself."""
    against = [cause for cause in CAUSES if getattr(gap, cause).mean * getattr(gap, lead).mean < 0]
    if not against or abs(getattr(gap, lead).mean) < _LARGER * abs(gap.total.mean):
        return ""
    largest = max(against, key=lambda cause: abs(getattr(gap, cause).mean))
    return f", of which {_named(gap, largest)}, takes part back"


def _named(gap: Gap, cause: str) -> str:
    return f"{CAUSES[cause]}, {getattr(gap, cause):+.3g}"


def _worst_part(gap: Gap, blamed: str) -> str:
    """The learned part that is the most wrong of those clearly so, where something else is
    blamed.
    """
    part = culprit(gap, LEARNED)
    if part is None or blamed in LEARNED:
        return ""
    return f"; the learned part that is most clearly wrong is {_named(gap, part)}"


def verdict_training(
    gap: Gap,
    training: Gap | None,
    discounts: tuple[float, float],
    horizons: tuple[int, int],
    *,
    trained: bool,
) -> str:
    """How and why the verdict on what training believed differs from that on whole episodes; empty
    where it does not.

    Args:
        gap: Of whole episodes, at the reporting discount.
        training: Of what training believed, at the training discount.
        discounts: The reporting and the training discount.
        horizons: Steps of a whole episode and of a rollout in training.
        trained: Whether the training is known; else the second discount is only the world's.
    """
    if training is None or _standing(training) == _standing(gap):
        return ""
    reported, other = discounts
    steps, rollout = horizons
    reasons = []
    if other != reported:
        weighs = "all steps alike" if reported == 1 else f"step t by {reported:g}^t"
        reasons.append(
            f"a discount of {other:g} puts {_MOST_WEIGHT:.0%} of the weight on the first"
            f" {_weighty(other, steps)} of"
            f" {steps} steps, while the gap of whole episodes weighs {weighs}"
        )
    if rollout < steps:
        reasons.append(f"training imagined {rollout} steps and added a value for the rest")
    subject = "on what training believed" if trained else f"at the world's discount of {other:g}"
    why = f", because {', and '.join(reasons)}" if reasons else ""
    return (
        f"The verdict {subject} is another{why}: there the real return is"
        f" {training.real.mean:.4g}, the predicted one"
        f" {training.predicted.mean:.4g}, and the gap of {_size(training)} {_clause(training)}."
    )


def _weighty(discount: float, steps: int) -> int:
    """How many first steps have nearly all of the weight."""
    counted = np.cumsum(discount ** np.arange(steps))
    return int(np.searchsorted(counted, _MOST_WEIGHT * counted[-1])) + 1


def explanation(gap: Gap, evidence: Explanation) -> str:
    """Where in the episode and in which state components, what to do first, and how sure."""
    kind, lead, _ = _standing(gap)
    if kind in ("rounding", "unseen"):
        return f"A world can be wrong and cost nothing: {one_step_errors(evidence.baselines)}."
    blamed = lead if lead in LEARNED else culprit(gap, LEARNED)
    if blamed is None:
        first = (
            [f"First look at the finding on {evidence.findings[0].kind}."]
            if evidence.findings
            else []
        )
        return " ".join(
            [
                *first,
                f"How sure: these are {gap.total.n} episodes; no part's share of this gap is"
                " clear.",
            ]
        )
    sentences = (
        [] if lead else ["To mend one part alone may widen the gap, since others work against it."]
    )
    if blamed in evidence.causes:
        sentences.append(_when(blamed, evidence.causes[blamed]))
    if blamed == "dynamics":
        sentences.append(_which(evidence.dimensions))
    return " ".join([*sentences, _advice(gap, blamed, evidence.findings), _how_sure(gap, blamed)])


def one_step_errors(errors: Baselines) -> str:
    """The one-step errors beside those of the simplest predictors, as a clause."""
    return (
        f"its one-step errors are, in scaled states, {errors.dynamics:.3g} of the dynamics (the"
        " mean next state"
        f" {errors.mean_next_state:.3g}, no change {errors.persistence:.3g}), and"
        f" {errors.reward:.3g} of the reward"
        f" (the mean reward {errors.mean_reward:.3g})"
    )


def horizon_advice(training: Gap | None, parts: HorizonParts | None) -> str:
    """What the horizon term of the training gap is made of, and what narrows it where it leads;
    else empty.
    """
    if training is None or parts is None or culprit(training) != "horizon":
        return ""
    advice = "edge" if abs(parts.edge.mean) > abs(parts.bootstrap.mean) else "bootstrap"
    return (
        f"Of its horizon term {parts.bootstrap:+.3g} is the value that ended its rollouts and"
        f" {parts.edge:+.3g}"
        f" the price of leaving the data. {_HORIZON_ADVICE[advice]}."
    )


def _advice(gap: Gap, blamed: str, findings: tuple[Finding, ...]) -> str:
    """What to do first: about the clear cause, or about an unsure one that is ten times as
    large.
    """
    sizes = {cause: abs(getattr(gap, cause).mean) for cause in LEARNED}
    largest = max(sizes, key=lambda cause: sizes[cause])
    if sizes[largest] >= _TEN_TIMES * abs(getattr(gap, blamed).mean):
        return (
            f"{_first(largest, findings)}: its term is {_named(gap, largest)}, unsure but"
            f" {sizes[largest] / abs(getattr(gap, blamed).mean):.0f} times as large; {_more(gap)}"
            " would settle it."
        )
    return f"{_first(blamed, findings)}."


def _first(cause: str, findings: tuple[Finding, ...]) -> str:
    """What to do first about a cause: what a finding about that part says goes before more data."""
    kinds = [finding.kind for finding in findings if finding.kind != CONSTANT_REWARD]
    if cause == "reward" and UNEXPLAINED_REWARD in kinds:
        return _UNEXPLAINED
    about = [kind for kind in kinds if _part_of(kind) == cause]
    if about:
        return f"First mend what the finding on {about[0]} says, which more data cannot"
    return _ADVICE[cause]


def _part_of(kind: str) -> str:
    """The learned part that a kind of finding is about."""
    return next((part for part in ("reward", "termination") if part in kind), "dynamics")


def _when(blamed: str, cause: CauseByStep) -> str:
    """The steps by which half and nine tenths of the absolute term have come."""
    share = np.cumsum(cause.absolute) / max(np.sum(cause.absolute), np.finfo(float).tiny)
    half, most = (int(np.searchsorted(share, part)) + 1 for part in (0.5, 0.9))
    return (
        f"Half of the {blamed} term's size comes in the first {half} of {len(share)} steps, nine"
        " tenths in the first"
        f" {most}."
    )


def _which(dimensions: DynamicsByDimension) -> str:
    """The state components that are clearly wrong, the largest first, or that none is."""
    clear = [i for i, term in enumerate(dimensions.dimensions) if term.excludes_zero]
    if not clear:
        return "No single state component is clearly to blame."
    ranked = sorted(clear, key=lambda i: -abs(dimensions.dimensions[i].mean))[:3]
    named = ", ".join(f"{i} ({dimensions.dimensions[i].mean:+.3g})" for i in ranked)
    return f"State component{'s' if len(ranked) > 1 else ''} to look at: {named}."


def _how_sure(gap: Gap, blamed: str) -> str:
    term = getattr(gap, blamed)
    half = (term.high - term.low) / 2
    ratio = abs(term.mean) / half if half else math.inf
    times = f"{ratio:.1f} times" if ratio < _SURE else f"more than {_SURE:.0f} times"
    return (
        f"How sure: over {term.n} episodes the {blamed} term is {times} the half width of its 95%"
        " interval."
    )
