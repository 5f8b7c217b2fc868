"""Plans as rows of text, for the page and for the terminal alike."""

from __future__ import annotations

import math
import string
from collections.abc import Iterable
from typing import NamedTuple

from paracosm.core.records.decisions import (
    CurveFit,
    Decision,
    LabelChoice,
    LabelPlan,
    MixturePlan,
    Plan,
    Purchase,
)
from paracosm.core.records.results import RunResult
from paracosm.reporting import decision_words, words

Texts = tuple[str, ...]
NEAR = 1.1  # a frontier's point within a tenth of a multiple of the budget is that multiple's


class Lettered(NamedTuple):
    """A row that a figure marks with its letter; the plan's own has none."""

    letter: str
    cells: Texts


def purchase_rows(plan: Plan) -> list[Texts]:
    """What is for sale, how many units to buy, at which price, for how much in total."""
    return [*_part_rows(plan), *_episode_rows(plan)]


def _part_rows(plan: Plan) -> list[Texts]:
    return [
        (
            decision_words.unit_name(unit),
            words.count(number),
            words.unit_price(plan.prices[unit]) if unit in plan.prices else "–",
            words.price(number * plan.prices[unit]) if unit in plan.prices else "–",
        )
        for unit, number in plan.best.units.items()
    ]


def _episode_rows(plan: Plan) -> list[Texts]:
    evaluation = plan.evaluation
    if evaluation is None:
        return []
    count, price = words.count(evaluation.best.episodes), words.unit_price(evaluation.price)
    return [("evaluation episodes", count, price, words.price(evaluation.spend))]


def headline_rows(plan: Plan) -> list[Texts]:
    """The purchase rows worth a headline: both of two parts, or of several those of which something
    is bought; and the episodes.
    """
    rows = zip(_part_rows(plan), plan.best.units.values(), strict=True)
    parts = [row for row, number in rows if number or len(plan.best.units) <= 2]
    return [*parts, *_episode_rows(plan)]


def evaluation_rows(plan: Plan) -> list[Texts]:
    """The planned number of evaluation episodes and usual ones: count, half-width of the mean's
    interval, predicted error, and the sum.
    """
    if plan.evaluation is None:
        return []
    named = [("this plan", plan.evaluation.best)]
    named += [("", choice) for choice in plan.evaluation.others]
    return [
        (
            name,
            words.count(choice.episodes),
            *map(words.number, (choice.half_width, choice.error, choice.total)),
        )
        for name, choice in named
    ]


def round_rows(run: RunResult) -> list[Texts]:
    """Round, transitions and labels that it bought, and why; what would be bought next
    comes last.
    """
    return [_round(run, decision) for decision in run.decisions]


def _round(run: RunResult, decision: Decision) -> Texts:
    name = decision_words.round_name(run, decision)
    plan = decision.plan if decision_words.after_the_last(run, decision) else None
    counts = (plan.dynamics, plan.reward) if plan else (decision.transitions, decision.labels)
    return (
        name,
        *(words.count(count) for count in counts),
        decision_words.purchase_basis(decision),
    )


def owned_rows(plan: Plan) -> list[Texts]:
    """What, how many are owned, bought and owned then; labels of other sources by their worth."""
    worth = " (by worth)" if decision_words.worth(plan) else ""
    return [
        (
            decision_words.unit_name(part) + (worth if part == "reward" else ""),
            words.count(plan.owned.get(part, 0)),
            words.count(getattr(plan, part)),
            words.count(plan.owned.get(part, 0) + getattr(plan, part)),
        )
        for part in ("dynamics", "reward")
    ]


def error_rows(plan: Plan) -> list[Texts]:
    """When, the predicted error in return and its interval."""
    return [
        (f"{when} buying", words.mean(error), words.interval(error))
        for when, error in plan.predicted_error.items()
    ]


def marginal_rows(plan: Plan) -> list[Texts]:
    """What, by how much the predicted error falls per lot of money, and per lot of pieces
    bought.
    """
    lot = decision_words.marginal_lot(plan)
    return [
        (
            decision_words.unit_name(part),
            words.number(lot * plan.marginal[part]),
            words.number(lot * plan.marginal[part] * plan.prices[part])
            if part in plan.prices
            else "–",
        )
        for part in plan.marginal
    ]


def split_rows(plan: Plan) -> list[Lettered]:
    """The plan and the simple rules: counts, predicted error, regret."""
    return lettered(
        [_split("this plan", plan.best), *(_split(rule.name, rule) for rule in plan.alternatives)]
    )


def _split(name: str, way: Purchase) -> Texts:
    counts = (decision_words.count(way.dynamics), decision_words.count(way.reward))
    return (name, *counts, words.number(way.error.mean), decision_words.share(way.regret.mean))


def lettered(rows: Iterable[Texts]) -> list[Lettered]:
    """Rows with the letters that figures mark them with: none for the first, then A, B, C."""
    return [
        Lettered(letter, cells)
        for letter, cells in zip(("", *string.ascii_uppercase), rows, strict=False)
    ]


def budget_rows(plan: Plan) -> list[Texts]:
    """Half, the same and double the budget: counts and predicted error."""
    this = "this budget" if plan.evaluation is None else "as planned"
    named = {"half": 0.5, this: 1.0, "double": 2.0}
    ways = [(name, at_budget(plan, factor)) for name, factor in named.items()]
    return [
        (
            name,
            words.price(way.spend),
            decision_words.count(way.dynamics),
            decision_words.count(way.reward),
            words.number(way.error.mean),
        )
        for name, way in ways
        if way
    ]


def at_budget(plan: Plan, factor: float) -> Purchase | None:
    """The frontier's point within a tenth of a multiple of the budget, the nearest, if any."""
    if plan.budget <= 0:
        return None

    def apart(way: Purchase) -> float:
        return abs(math.log(way.spend / (factor * plan.budget))) if way.spend > 0 else math.inf

    nearest = min(plan.frontier, key=apart, default=None)
    return nearest if nearest and apart(nearest) <= math.log(NEAR) else None


def curve_rows(plan: Plan) -> list[Texts]:
    """What is said of the fitted laws, then that of each part's."""
    laws = [_law(fit) for fit in plan.curves.values()]
    return [(name, *(law[name] for law in laws)) for name in laws[0]] if laws else []


def _law(fit: CurveFit) -> dict[str, str]:
    return {
        "prefactor": words.number(fit.prefactor),
        "exponent": words.number(fit.exponent, 3),
        "exponent, 95% interval": f"[{words.number(fit.low, 3)}, {words.number(fit.high, 3)}]",
        "floor": decision_words.amount(fit.floor),
        "R²": words.number(fit.r2, 3),
        "reach": f"{decision_words.amount(fit.extrapolation)}×",
    }


def label_rows(plan: LabelPlan) -> list[Lettered]:
    """The choice and its alternatives: cost, rollouts, repeats, variance, why."""
    chosen = LabelChoice(plan.cost, plan.rollouts, plan.repeats, plan.variance, "this plan")
    return lettered([_label(choice) for choice in (chosen, *plan.alternatives)])


def _label(choice: LabelChoice) -> Texts:
    numbers = (
        decision_words.amount(choice.cost),
        words.count(choice.rollouts),
        words.count(choice.repeats),
        words.number(choice.variance),
    )
    return (choice.why, *numbers)


def noise_rows(plan: LabelPlan) -> list[Texts]:
    """What reward noise does to the gradient: what, number, interval."""
    if plan.noise is None:
        return []
    noise = plan.noise
    measured = {
        "without noise": noise.intrinsic,
        "added by independent errors": noise.coefficient,
        "added by one error per rollout": noise.shared,
    }
    bound = ("Theorem 2’s bound on the second", words.number(noise.bound), "")
    return [
        *((name, words.mean(term), words.interval(term)) for name, term in measured.items()),
        bound,
    ]


def mixture_rows(plan: MixturePlan) -> list[Texts]:
    """What, rollouts, of them with gold labels, variance, squared bias, squared error."""
    return [
        (
            decision_words.LABELS.get(choice.name, choice.name),
            words.count(choice.rollouts),
            words.count(choice.gold),
            words.number(choice.variance),
            words.number(choice.squared_bias),
            words.number(choice.error),
        )
        for choice in plan.choices
    ]
