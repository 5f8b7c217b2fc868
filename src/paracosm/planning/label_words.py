"""What a plan for labels says: its regime, its warnings and its verdict, in plain words."""

from __future__ import annotations

from paracosm.core.numerals import grouped
from paracosm.core.records.decisions import LabelChoice
from paracosm.planning.fidelity import Bounded, Floor, Power, Table
from paracosm.planning.label_search import Problem

_NEAR = 1e-6
_MATTERS = 0.01


def number(value: float) -> str:
    """A number for reading: three digits, thousands separated."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"


def excess(share: float) -> str:
    """So much more variance: in per cent, or as a factor from double on."""
    return (
        f"{number(100 * share)}% more variance"
        if share < 1
        else f"{number(1 + share)} times the variance"
    )


def regime(problem: Problem, best: LabelChoice, *, attained: bool) -> str:
    """What decides, in a phrase; Corollary 2 where rollouts cost nothing and gradients do not vary
    by themselves.
    """
    law = problem.fidelity
    if isinstance(law, Table):
        return "the measured table: every label in it was tried"
    if problem.cost_rollout == problem.intrinsic == 0:
        return _of_corollary(law)
    if not attained or best.cost <= problem.least * (1 + _NEAR):
        return "the cheapest label wins: money does more elsewhere than in cleaner labels"
    if best.cost >= problem.most * (1 - _NEAR):
        return "the dearest label wins: noise costs more than cleaner labels do"
    return "a balance: dearer labels are cleaner, cheaper ones leave money for more rollouts"


def _of_corollary(law: object) -> str:
    if isinstance(law, Bounded):
        return "the two ends win: half-clean labels are the worst buy"
    if isinstance(law, Floor) or (isinstance(law, Power) and law.exponent < 1):
        return "the cheapest label wins: noise falls more slowly than the price rises"
    if isinstance(law, Power) and law.exponent == 1:
        return "every price is as good: noise falls just as the price rises"
    return "the dearest label wins: noise falls faster than the price rises"


def verdict(
    problem: Problem, best: LabelChoice, alternatives: tuple[LabelChoice, ...], *, cheaper: str
) -> str:
    """What to buy, what it gives, what the simple rules would lose, and what would be
    better still.
    """
    rollouts = "1 rollout" if best.rollouts == 1 else f"{grouped(best.rollouts)} rollouts"
    how = (
        "label each once, at"
        if best.repeats == 1
        else f"label each {grouped(best.repeats)} times, each time at"
    )
    said = [
        f"Buy {rollouts} and {how} {number(best.cost)} a rollout: the policy gradient then has"
        " variance "
        f"{number(best.variance)}, the least that {number(problem.budget)} can buy.",
        *_noise(problem, best),
        *_stakes(best, alternatives),
    ]
    return " ".join([*said, cheaper] if cheaper else said)


def cheaper(problem: Problem, unlimited: float, *, attained: bool) -> str:
    """Whether labels that cost less than the least allowed would be better still, and how far down.

    `unlimited` is the best cost of one label on each rollout were all costs allowed; 0 if there is
    none above zero.
    """
    least, law = number(problem.least), problem.fidelity
    if not attained and isinstance(law, Bounded) and problem.cost_rollout > 0:
        return (
            f"Cheaper labels would be better still: {least} is only the least cost considered;"
            " free ones are best."
        )
    if not attained:
        return (
            f"Cheaper labels would be better still: {least} is only the least cost considered, and"
            " there is no best "
            "price above zero."
        )
    if unlimited < problem.least * (1 - _NEAR):
        return (
            f"Cheaper labels would be better still, down to {number(unlimited)}: {least} is the"
            " least cost allowed."
        )
    return ""


def _noise(problem: Problem, best: LabelChoice) -> list[str]:
    """How much of the variance is the labels' doing."""
    if problem.intrinsic == 0:
        return []
    share = 1 - problem.intrinsic / (best.variance * best.rollouts)
    return [f"Label noise makes up {number(100 * max(share, 0.0))}% of that."]


def _stakes(best: LabelChoice, alternatives: tuple[LabelChoice, ...]) -> list[str]:
    """How much more variance the best and the worst of the simple rules have."""
    if best.variance <= 0:
        return [
            "Nothing can be better: these labels have no noise, and the gradient was said not to"
            " vary otherwise."
        ]
    ranked = sorted(alternatives, key=lambda rule: rule.variance)
    if not ranked or ranked[-1].variance < (1 + _MATTERS) * best.variance:
        return ["The choice hardly matters: no simple rule has 1% more variance."]
    shown = ranked if len(ranked) == 1 else [ranked[0], ranked[-1]]
    return [
        f"{rule.why[0].upper()}{rule.why[1:]} (labels at {number(rule.cost)}) would give "
        f"{excess(rule.variance / best.variance - 1)}."
        for rule in shown
    ]


def warnings(problem: Problem, best: LabelChoice, *, repeated: bool) -> tuple[str, ...]:
    """What the reader should know before acting on the plan."""
    law = problem.fidelity
    said = list(law.warnings) if isinstance(law, Table) else []
    if problem.intrinsic == 0:
        said.append(
            "The gradient was taken not to vary without label noise; rollouts do differ, and with"
            " their variance the "
            "plan could buy more rollouts and cheaper labels."
        )
    if (
        not repeated
        and problem.cost_rollout > 0
        and law.variance(best.cost / 2) / 2 < law.variance(best.cost)
    ):
        said.append(
            "Several labels on one rollout were not considered: they need the cost of the cheapest"
            " label that can be "
            "bought, since ever more of ever cheaper ones would look best."
        )
    if best.repeats > 1:
        said.append(
            f"Averaging {grouped(best.repeats)} labels helps only if their errors are independent;"
            " shared errors stay."
        )
    return tuple(said)


def doubt(per_rollout: list[float], loss: float) -> tuple[str, ...]:
    """A warning where the measurement's intervals leave the choice open."""
    if loss < _MATTERS:
        return ()
    low, high = min(per_rollout), max(per_rollout)
    return (
        "Within the 95% intervals of the gradient's measured variance and noise coefficient the"
        " best spending on the "
        f"labels of a rollout lies between {number(low)} and {number(high)}; if the truth is at"
        " their edge, another "
        f"plan would have had {number(100 * loss / (1 + loss))}% less variance.",
    )
