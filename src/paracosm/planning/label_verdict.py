"""What decides a plan for labels, what hangs on it, and what to know before acting on it."""

from __future__ import annotations

from collections.abc import Sequence

from paracosm.core.records.decisions import LabelChoice
from paracosm.core.records.reasons import (
    Caveat,
    CaveatKind,
    CheaperLabels,
    LabelLoss,
    LabelRule,
    LabelVerdict,
    Regime,
    Stakes,
)
from paracosm.planning.fidelity import Bounded, Fidelity, FidelityLaw, FidelityTable, Floor, Power
from paracosm.planning.label_search import LabelProblem

_NEAR = 1e-6  # costs as near as this are one: the search is exact to rounding, labels are whole
_MATTERS = 0.01  # a hundredth of the variance is what a hundredth of the budget is worth


def verdict(
    problem: LabelProblem,
    best: LabelChoice,
    alternatives: tuple[LabelChoice, ...],
    *,
    cheaper: CheaperLabels,
    down_to: float,
    attained: bool,
    caveats: Sequence[Caveat],
) -> LabelVerdict:
    """What the plan says beside its counts.

    Args:
        problem: The budget, the prices and the two variances.
        best: The choice of least variance.
        alternatives: The simple rules that the budget affords.
        cheaper: Whether cheaper labels than allowed would be better.
        down_to: The cost down to which they would.
        attained: Whether a choice reaches the least variance.
        caveats: What to know before acting on the plan.
    """
    stakes, losses = _stakes(best, alternatives)
    return LabelVerdict(
        regime=_regime(problem, best, attained=attained),
        stakes=stakes,
        label_share=_label_share(problem, best),
        losses=losses,
        cheaper=cheaper,
        least_cost=float(problem.least),
        down_to=float(down_to),
        caveats=tuple(caveats),
    )


def _regime(problem: LabelProblem, best: LabelChoice, *, attained: bool) -> Regime:
    """What decides; the law alone where rollouts cost nothing and gradients do not vary by
    themselves (Timor et al. 2026, Corollary 2).
    """
    if isinstance(problem.fidelity, FidelityTable):
        return Regime.MEASURED
    if problem.cost_rollout == problem.intrinsic == 0:
        return _regime_of_law(problem.fidelity)
    if not attained or best.cost <= problem.least * (1 + _NEAR):
        return Regime.CHEAPEST
    if _is_cheapest_but_for_leftover(problem, best):
        return Regime.CHEAPEST
    if best.cost >= problem.most * (1 - _NEAR):
        return Regime.DEAREST
    return Regime.BALANCE


def _is_cheapest_but_for_leftover(problem: LabelProblem, best: LabelChoice) -> bool:
    """Whether the cheapest label is best in real numbers and as many rollouts are bought as it
    leaves, whose labels are dearer only by the money left over.
    """
    law = problem.fidelity
    return (
        isinstance(law, FidelityLaw)
        and best.repeats == 1
        and best.rollouts == problem.affordable(problem.least)
        and bool(
            law.best_cost(problem.rollout, problem.least, problem.most)
            <= problem.least * (1 + _NEAR)
        )
    )


def _regime_of_law(law: Fidelity) -> Regime:
    """Which costs minimise `c σ²(c)`."""
    if isinstance(law, Floor) and law.lowest == 0:
        return Regime.INDIFFERENT
    if isinstance(law, Bounded):
        return Regime.TWO_ENDS
    if isinstance(law, Floor) or (isinstance(law, Power) and law.exponent < 1):
        return Regime.CHEAPEST_BY_LAW
    if isinstance(law, Power) and law.exponent == 1:
        return Regime.INDIFFERENT
    return Regime.DEAREST_BY_LAW


def judge_cheaper_labels(problem: LabelProblem, down_to: float, *, attained: bool) -> CheaperLabels:
    """Whether labels that cost less than the least allowed would be better still.

    `down_to` is the cost down to which they would; the least allowed, or more, where they would
    not.
    """
    if not attained and isinstance(problem.fidelity, Bounded) and problem.cost_rollout > 0:
        return CheaperLabels.FREE_ONES_BEST
    if not attained:
        return CheaperLabels.BETTER_WITHOUT_END
    below = down_to < problem.least * (1 - _NEAR)
    return CheaperLabels.BETTER if below else CheaperLabels.NO_BETTER


def _label_share(problem: LabelProblem, best: LabelChoice) -> float | None:
    """The share of the variance that is the labels' doing."""
    if problem.intrinsic == 0:
        return None
    return max(1 - problem.intrinsic / (best.variance * best.rollouts), 0.0)


def _stakes(
    best: LabelChoice, alternatives: tuple[LabelChoice, ...]
) -> tuple[Stakes, tuple[LabelLoss, ...]]:
    """How much more variance the best and the worst of the simple rules have."""
    if best.variance <= 0:
        return Stakes.UNRIVALLED, ()
    ranked = sorted(alternatives, key=lambda rule: rule.variance)
    if not ranked or ranked[-1].variance < (1 + _MATTERS) * best.variance:
        return Stakes.HARDLY_MATTERS, ()
    ends = ranked if len(ranked) == 1 else [ranked[0], ranked[-1]]
    return Stakes.MATTERS, tuple(
        LabelLoss(LabelRule(rule.why), rule.cost, rule.variance / best.variance - 1)
        for rule in ends
    )


def caveats(problem: LabelProblem, best: LabelChoice, *, repeated: bool) -> tuple[Caveat, ...]:
    """What the reader should know of the numbers given and of what was searched."""
    law = problem.fidelity
    notes = list(law.caveats) if isinstance(law, FidelityTable) else []
    if problem.intrinsic == 0:
        notes.append(Caveat(CaveatKind.NO_GRADIENT_VARIANCE))
    elif problem.cost_rollout == 0:
        notes.append(Caveat(CaveatKind.FREE_ROLLOUTS))
    if (
        not repeated
        and problem.cost_rollout > 0
        and law.variance(best.cost / 2) / 2 < law.variance(best.cost)
    ):
        notes.append(Caveat(CaveatKind.NO_REPEATS))
    if best.repeats > 1:
        notes.append(Caveat(CaveatKind.SHARED_ERRORS, "", {"repeats": float(best.repeats)}))
    return tuple(notes)


def open_choice(per_rollout: list[float], loss: float) -> tuple[Caveat, ...]:
    """A caveat where the measurement's intervals leave the choice open.

    `per_rollout` is what would be spent on the labels of a rollout at either end of the intervals,
    `loss` by how much more variance the plan would then have.
    """
    if loss < _MATTERS:
        return ()
    numbers = {"low": min(per_rollout), "high": max(per_rollout), "less": loss / (1 + loss)}
    return (Caveat(CaveatKind.OPEN_CHOICE, "", numbers),)
