"""Cheap noisy labels or expensive clean ones: how many rollouts to label, how dearly, how often.

Of K rollouts at price `c₀ + r c`, with r labels of cost c and noise variance σ²(c) on each, the
gradient has variance `(V₀ + Q σ²(c)/r)/K`; the plan minimises it within the budget.
"""

from __future__ import annotations

import numpy as np

from paracosm.core import checks
from paracosm.core.records.decisions import GradientNoise, LabelChoice, LabelPlan
from paracosm.core.records.questions import FidelityForm, LabelQuestion
from paracosm.core.records.reasons import Caveat, CaveatKind, LabelRule
from paracosm.planning import label_verdict
from paracosm.planning.fidelity import (
    Bounded,
    Fidelity,
    FidelityLaw,
    FidelityTable,
    Floor,
    Power,
)
from paracosm.planning.label_search import ROUNDING, Allocation, LabelProblem, own_costs, search
from paracosm.planning.reading import MOST_SAMPLES

_BELOW = 1e-6  # labels are searched from so much of a cost that no best one lies below
# And where there is no best cost above zero, that share of a price stands for "as cheap as can be"
_STAND_IN = 1e-2
# Where no limits are named the choice is among costs within this factor of the best of all.
_AROUND = 100.0
_MOST_LABELS = 1e10  # its square root, 100,000, is how many numbers of repeats are tried
_POINTS = 81  # of a picture's line
_FORMS: dict[type[Fidelity], FidelityForm] = {
    Power: "power",
    Bounded: "bounded",
    Floor: "floor",
    FidelityTable: "table",
}


def plan_labels(
    fidelity: Fidelity,
    *,
    budget: float,
    cost_rollout: float = 0.0,
    gradient_variance: float = 0.0,
    noise_coefficient: float = 1.0,
    least_cost: float | None = None,
    most_cost: float | None = None,
    noise: GradientNoise | None = None,
) -> LabelPlan:
    """The labels of least gradient variance that a budget buys, in whole rollouts and whole labels.

    The sentences of the record (`regime`, `warnings`, `verdict`) are left empty: `reporting` makes
    them of its `reasons`.

    Args:
        fidelity: The variance of a label's noise by the cost of labelling one rollout.
        budget: What may be spent, in the unit of the costs.
        cost_rollout: The price of one rollout before it is labelled.
        gradient_variance: V₀, the variance of one noiseless rollout's gradient.
        noise_coefficient: Q, by which noise of variance σ² adds `Q σ²` to it.
        least_cost: The cheapest label that can be bought. Several independent labels of one rollout
            are considered only where it is known, here or from a table: a law that holds however
            cheap the labels would favour ever more of ever cheaper ones.
        most_cost: The dearest label that can be bought.
        noise: Measured variance and coefficient, in place of the two numbers.

    Raises:
        BadArgument: a number cannot be used, or the budget buys not one rollout.
    """
    checks.of_kind(
        "fidelity", fidelity, Fidelity, "a Fidelity, such as paracosm.planning.fidelity.Power,"
    )
    if noise is not None:
        checks.of_kind("noise", noise, GradientNoise, "a GradientNoise, or None,")
        gradient_variance, noise_coefficient = noise.intrinsic.mean, noise.coefficient.mean
    _require_purchase_terms(budget, cost_rollout, gradient_variance, noise_coefficient)
    problem = LabelProblem(
        fidelity=fidelity,
        budget=budget,
        cost_rollout=cost_rollout,
        intrinsic=gradient_variance,
        coefficient=noise_coefficient,
        least=0.0,
        most=np.inf,
    )
    problem = _limit(problem, least_cost, most_cost)
    repeated = least_cost is not None or isinstance(fidelity, FidelityTable)
    _require_searchable_labels(problem, repeated)
    best = search(problem, repeated=repeated)
    _require_countable_rollouts(problem, best)
    choice = _choice(problem, best, LabelRule.BEST)
    table = _table(problem, choice.cost, repeated=repeated)
    attained = _is_attained(problem, table, repeated=repeated)
    alternatives = _alternatives(problem, choice)
    caveats = label_verdict.caveats(problem, choice, repeated=repeated)
    down_to = _down_to(problem, choice)
    return LabelPlan(
        cost=choice.cost,
        rollouts=choice.rollouts,
        repeats=choice.repeats,
        variance=choice.variance,
        regime="",
        attained=attained,
        alternatives=alternatives,
        table=table,
        budget=float(budget),
        noise=noise,
        warnings=(),
        verdict="",
        reasons=label_verdict.verdict(
            problem,
            choice,
            alternatives,
            cheaper=label_verdict.judge_cheaper_labels(problem, down_to, attained=attained),
            down_to=down_to,
            attained=attained,
            caveats=(*caveats, *_open_choice(problem, best, noise, repeated=repeated)),
        ),
        question=_question(problem, least_cost, most_cost),
    )


def _question(
    problem: LabelProblem, least: float | None, most: float | None
) -> LabelQuestion | None:
    """What was asked, with the limits as they were named; None for a fidelity of somebody's own."""
    law, form = problem.fidelity, _FORMS.get(type(problem.fidelity))
    if form is None:
        return None
    if isinstance(law, FidelityTable):
        numbers, variances = law.costs, law.variances
    else:
        assert isinstance(law, FidelityLaw)
        numbers, variances = law.numbers, ()
    return LabelQuestion(
        budget=float(problem.budget),
        cost_rollout=float(problem.cost_rollout),
        gradient_variance=float(problem.intrinsic),
        noise_coefficient=float(problem.coefficient),
        least_cost=None if least is None else float(least),
        most_cost=None if most is None else float(most),
        form=form,
        numbers=tuple(map(float, numbers)),
        variances=tuple(map(float, variances)),
    )


def _require_purchase_terms(
    budget: float, cost_rollout: float, gradient_variance: float, noise_coefficient: float
) -> None:
    """Require numbers that describe a purchase.

    Args:
        budget, cost_rollout, gradient_variance, noise_coefficient: As `plan_labels` has them.

    Raises:
        BadArgument: the budget is not positive, or one of the rest negative or infinite.
    """
    checks.positive("the budget", budget)
    named = {
        "the cost of a rollout": cost_rollout,
        "the gradient variance": gradient_variance,
        "the noise coefficient": noise_coefficient,
    }
    for name, value in named.items():
        checks.at_least(name, value, 0)
        checks.finite(name, value)


def _require_searchable_labels(problem: LabelProblem, repeated: bool) -> None:
    labels = problem.budget / problem.least
    if repeated and labels > _MOST_LABELS:
        raise checks.BadArgument(
            f"the budget of {problem.budget:g} buys {labels:.2g} labels at the least cost of"
            f" {problem.least:g}; at "
            f"most {_MOST_LABELS:g} are searched: name a higher least cost."
        )


def _require_countable_rollouts(problem: LabelProblem, best: Allocation) -> None:
    if best.rollouts > MOST_SAMPLES:
        raise checks.BadArgument(
            f"the budget of {problem.budget:g} buys {best.rollouts:.2g} rollouts with the best"
            f" labels, at {best.cost:g} each; at most {MOST_SAMPLES:g} can be counted exactly: name"
            " the cost of a rollout or a least cost."
        )


def _limit(problem: LabelProblem, least: float | None, most: float | None) -> LabelProblem:
    """The problem within the costs allowed; where none are named, within a factor of 100 of the
    best of all.
    """
    for name, limit in (
        ("the least cost of a label", least),
        ("the highest cost of a label", most),
    ):
        if limit is not None:
            checks.positive(name, limit)
    law = problem.fidelity
    if not isinstance(law, FidelityLaw):
        return _limit_to_table(problem, least, most)
    spare, named = problem.budget - problem.cost_rollout, np.inf if most is None else most
    lowest = _lowest(problem, law, min(spare, law.dearest, named)) if least is None else least
    if spare <= 0 or problem.price(lowest) > problem.budget * (1 + ROUNDING):
        raise checks.BadArgument(
            f"the budget of {problem.budget:g} buys not one rollout: with the cheapest label one"
            " costs "
            f"{problem.price(lowest):g}."
        )
    highest = min(max(spare, lowest), law.dearest, named)
    checks.at_least("the highest cost of a label", highest, lowest)
    free = problem._replace(least=lowest, most=highest)
    best = search(free, repeated=False).cost
    return problem._replace(
        least=max(lowest, best / _AROUND) if least is None else least,
        most=min(highest, best * _AROUND) if most is None else highest,
    )


def _lowest(problem: LabelProblem, law: FidelityLaw, highest: float) -> float:
    """The cost to search from if no least cost is named.

    Where some cost is best, no best one lies below it. Where cheaper is always better, a stand-in
    for "as cheap as can be": a hundredth of the rollout's price; if that is 0, a hundredth of the
    price at which label noise equals the gradient's other variance; if there is none, a millionth
    of the budget; and never less than buys the most labels that are searched, unless `highest` is
    less.
    """
    below = law.falls_below(problem.rollout)
    if below > 0:
        tiny = np.finfo(float).tiny * max(problem.budget, 1.0)  # the budget over it is a number
        return max(_BELOW * min(below, max(highest, 0.0)), tiny)
    prices = (problem.cost_rollout, law.cost_of_noise(problem.rollout))
    price = next(
        (price for price in prices if 0 < price < np.inf), _BELOW / _STAND_IN * problem.budget
    )
    stand_in = max(_STAND_IN * min(price, law.dearest), problem.budget / _MOST_LABELS)
    return min(stand_in, max(highest, np.finfo(float).tiny))


def _limit_to_table(problem: LabelProblem, least: float | None, most: float | None) -> LabelProblem:
    limited = problem._replace(
        least=0.0 if least is None else least, most=np.inf if most is None else most
    )
    costs = own_costs(limited)
    if not len(costs):
        raise checks.BadArgument(
            f"no label of the fidelity table costs between {limited.least:g} and {limited.most:g};"
            " name other limits."
        )
    return limited._replace(least=float(costs[0]), most=float(costs[-1]))


def _is_attained(
    problem: LabelProblem, table: tuple[tuple[float, ...], ...], *, repeated: bool
) -> bool:
    """Whether some price above zero is as good as the limit of labels that cost ever less, in real
    numbers.
    """
    law = problem.fidelity
    if not isinstance(law, FidelityLaw):
        return True
    limit, averaged = _limit_at_zero(problem, law, repeated), repeated and problem.cost_rollout > 0
    product = problem.least * law.variance(problem.least)
    if averaged and problem.coefficient > 0 and np.isclose(product, law.at_zero[1], 1e-12, 0):
        return True  # the product counts alone, and is the same at every price
    totals = [row[2] * problem.budget for row in table]
    if not averaged:
        if law.falls_below(problem.rollout) == 0:
            return False
        totals.append(float(problem.total(_best_cost_unlimited(problem, law))))
    return bool(min(totals) <= limit * (1 + 1e-9))


def _best_cost_unlimited(problem: LabelProblem, law: FidelityLaw) -> float:
    """The best cost of one label on each rollout if labels could be had at any price; the least if
    there is none.
    """
    below = law.falls_below(problem.rollout)
    if below == 0:
        return problem.least
    least = max(_BELOW * min(below, problem.least), np.finfo(float).tiny)
    return float(law.best_cost(problem.rollout, least, problem.most))


def _down_to(problem: LabelProblem, best: LabelChoice) -> float:
    """How far below the least cost allowed labels would become better still; that cost where they
    would not, or would not leave the money for one rollout more.
    """
    law = problem.fidelity
    if not isinstance(law, FidelityLaw) or best.repeats > 1:
        return problem.least
    cost = _best_cost_unlimited(problem, law)
    gains = problem.total(cost) < problem.total(problem.least) * (1 - 1e-9)
    return cost if gains and problem.affordable(cost) > best.rollouts else problem.least


def _limit_at_zero(problem: LabelProblem, law: FidelityLaw, repeated: bool) -> float:
    """The limit of price times variance of one rollout as labels cost ever less.

    With repeats, `m = r c` is what the labels of a rollout cost, and `(c₀ + m)(V₀ + Q c σ²(c)/m)`
    is least at `m = sqrt(c₀ Q c σ²/V₀)`, or at all that the budget leaves.
    """
    variance, product = (
        problem.coefficient * value if problem.coefficient else 0.0 for value in law.at_zero
    )
    rollout, own = problem.cost_rollout, problem.intrinsic
    if rollout == 0:
        return product
    if not repeated or not np.isfinite(product):
        return rollout * (own + variance)
    spare = problem.budget - rollout
    money = min(np.sqrt(rollout * product / own), spare) if own > 0 else spare
    return float((rollout + money) * (own + product / money)) if money > 0 else rollout * own


def _choice(problem: LabelProblem, choice: Allocation, rule: LabelRule) -> LabelChoice:
    return LabelChoice(*choice, float(problem.variance(*choice)), rule)


def _alternatives(problem: LabelProblem, best: LabelChoice) -> tuple[LabelChoice, ...]:
    """Simple rules, one label on each rollout, that the budget affords and that are not the best
    choice itself.
    """
    costs = own_costs(problem)
    by_rule = {LabelRule.CHEAPEST: problem.least}
    if len(costs):
        by_rule |= {LabelRule.MIDDLE: float(costs[len(costs) // 2])}
    else:
        by_rule |= {LabelRule.HALF: best.cost / 2, LabelRule.TWICE: best.cost * 2}
        by_rule |= {LabelRule.MIDDLE: (problem.least + problem.most) / 2}
    by_rule |= {LabelRule.DEAREST: problem.most}
    rules = [
        _choice(problem, Allocation(cost, rollouts, 1), rule)
        for rule, cost in by_rule.items()
        if problem.least <= cost <= problem.most and (rollouts := problem.affordable(cost))
    ]
    if best.repeats > 1:
        single = search(problem, repeated=False)
        rules.insert(0, _choice(problem, single, LabelRule.BEST_WITHOUT_REPEATS))
    return tuple(rule for rule in rules if not _is_same(rule, best))


def _is_same(rule: LabelChoice, best: LabelChoice) -> bool:
    """Whether they are one choice, but for money that is left over."""
    counts = rule.rollouts == best.rollouts and rule.repeats == best.repeats
    return counts and bool(abs(best.cost - rule.cost) < 1e-3 * best.cost)


def _table(problem: LabelProblem, best: float, *, repeated: bool) -> tuple[tuple[float, ...], ...]:
    """For a picture: the variance at the whole budget in real numbers, with the best real number of
    repeats.
    """
    costs = own_costs(problem)
    if not len(costs):
        inside = np.geomspace(problem.least, problem.most, _POINTS)[1:-1]
        costs = np.unique([problem.least, *inside, best, problem.most])
    label = problem.fidelity.variance(costs)
    noise, repeats = problem.coefficient * label, np.ones_like(costs)
    if repeated:
        affordable = np.maximum((problem.budget - problem.cost_rollout) / costs, 1.0)
        gain, price = problem.cost_rollout * noise, problem.intrinsic * costs
        square = np.divide(gain, price, out=np.where(gain > 0, np.inf, 0.0), where=price > 0)
        repeats = np.clip(np.sqrt(square), 1.0, affordable)
    total = (problem.cost_rollout + repeats * costs) * (problem.intrinsic + noise / repeats)
    return tuple(map(tuple, np.stack([costs, label, total / problem.budget], axis=1).tolist()))


def _open_choice(
    problem: LabelProblem, best: Allocation, noise: GradientNoise | None, *, repeated: bool
) -> tuple[Caveat, ...]:
    """A caveat if other values within the measurement's intervals would choose otherwise and gain
    more than 1%.

    Args:
        problem: The problem at the means of what was measured.
        best: The choice for it.
        noise: What was measured of the gradient, if it was.
        repeated: Whether several labels on one rollout are considered.
    """
    if noise is None:
        return ()
    v0, q = noise.intrinsic, noise.coefficient
    corners = [(max(v0.low, 0.0), q.high), (v0.high, max(q.low, 0.0))]
    if not np.isfinite(corners).all():
        return (Caveat(CaveatKind.NO_INTERVAL),)
    problems = [problem._replace(intrinsic=v, coefficient=w) for v, w in corners]
    rivals = [search(corner, repeated=repeated) for corner in problems]
    losses = [
        float(corner.variance(*best) / max(float(corner.variance(*rival)), np.finfo(float).tiny))
        - 1
        for corner, rival in zip(problems, rivals, strict=True)
    ]
    return label_verdict.open_choice([rival.cost * rival.repeats for rival in rivals], max(losses))
