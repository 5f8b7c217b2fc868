"""Plans in words: what is bought, what it promises, what it would cost to be wrong."""

from __future__ import annotations

from paracosm.core.records.decisions import (
    CurveFit,
    Decision,
    GradientNoise,
    LabelPlan,
    MixturePlan,
    Pilot,
    Plan,
)
from paracosm.core.records.reasons import PurchaseReason
from paracosm.core.records.results import RunResult
from paracosm.reporting import words

UNITS = {
    "dynamics": ("transition", "transitions"),
    "reward": ("reward label", "reward labels"),
    "joint": ("labelled transition", "labelled transitions"),
    "episode": ("evaluation episode", "evaluation episodes"),
}
LEAST_READ = 0.001  # how much a round amount of money is to lower the error by, to be worth reading
LOTS_BIND = 0.1  # a part of the regret from which on what whole lots lose of it is said
SAME = 0.95  # parts on which money is worth within 5% of as much are told as equal
_NO_LOSS = 1e-4  # of the error: what lots lose is not worth a word below it
LABELS = {
    "cheap": "cheap labels alone",
    "gold": "gold labels alone",
    "mixture": "the mixture",
}


def unit_names(unit: str) -> tuple[str, str]:
    """One unit of what is for sale and several; other names are those of sources of labels."""
    return UNITS.get(unit, (f"label from {unit}", f"labels from {unit}"))


def unit_name(unit: str) -> str:
    """What several units for sale are called."""
    return unit_names(unit)[1]


def count(amount: float) -> str:
    """A whole number of things."""
    return words.number(amount, 0)


def amount(value: float) -> str:
    """A quantity that may be given rather than measured: no zeros at its end."""
    digits = words.number(value)
    plain = "." in digits and "e" not in digits
    return digits.rstrip("0").rstrip(".") if plain else digits


def share(part: float) -> str:
    """A share in per cent where rounding to zero is said as such."""
    return f"below {words.percent(1e-5)}" if 0 < part < 1e-5 else words.percent(part)


def ratio(plan: Plan) -> str:
    """How transitions and labels will stand to each other, and what the curves leave open."""
    then = f"There will then be {words.number(plan.ratio)} transitions for each reward label"
    if len(plan.interval) != 2:
        return f"{then}."
    low, high = plan.interval
    best = "the best ratio"
    if lots_bind(plan):
        best = "the best ratio, if parts of units and lots were for sale,"
    return (
        f"{then}. The measured curves leave open what is best: with 90% probability {best}"
        f" lies between {words.number(low)} and {words.number(high)}."
    )


def lots_bind(plan: Plan) -> bool:
    """Whether a part of the regret worth reading is what whole units and lots lose."""
    return plan.lot_loss > max(LOTS_BIND * plan.best.regret.mean, _NO_LOSS)


def after_the_last(run: RunResult, decision: Decision) -> bool:
    """Whether a decision says what would be bought next, after the last round."""
    return decision.round >= len(run.trainings)


def round_name(run: RunResult, decision: Decision) -> str:
    """The number of the round that a decision was made for, from 1; "next" after the last."""
    return "next" if after_the_last(run, decision) else str(decision.round + 1)


_REASONS = {
    PurchaseReason.PILOT: "a pilot: as many transitions as labels, for a fifth of the budget",
    PurchaseReason.EQUAL_MONEY: "as much money on each part, since {}",
    PurchaseReason.SAME_REWARDS: "every reward label said the same: no more are needed",
    PurchaseReason.NEXT_BUDGET: "what another budget of this size would buy",
}


def purchase_reason(reason: PurchaseReason, refusal: str = "") -> str:
    """What a round's purchase rests on; `refusal` is why there is no plan."""
    return _REASONS[reason].format(refusal)


def purchase_basis(decision: Decision) -> str:
    """What a round's purchase rests on."""
    if decision.plan is None:
        return decision.why
    errors = " → ".join(
        words.mean(decision.plan.predicted_error[when]) for when in ("before", "after")
    )
    plan = decision.why or f"a plan for {words.price(decision.plan.budget)}"
    return f"{plan}: predicted error in return {errors}"


def worth(plan: Plan) -> str:
    """That labels of other sources are counted by their worth, if any are for sale."""
    if set(plan.best.units) <= set(UNITS):
        return ""
    return "Labels of other sources are counted as the plain labels that they are worth."


def budget(plan: Plan) -> str:
    """The money of a plan, and what of it paid for what is owned and goes to episodes."""
    shares = {"for what is owned": plan.spent}
    if plan.evaluation is not None:
        shares["for evaluation episodes"] = plan.evaluation.spend
    parts = [f"{words.price(money)} of it {name}" for name, money in shares.items() if money]
    return ", ".join([words.price(plan.budget + sum(shares.values())), *parts])


def budgets_head(plan: Plan) -> str:
    """The head of the table of other budgets, which leaves episodes aside."""
    return "Budgets" if plan.evaluation is None else "Money for models"


def evaluation(plan: Plan) -> str:
    """What the real episodes to buy are for, if they are for sale."""
    if plan.evaluation is None:
        return ""
    best = plan.evaluation.best
    return (
        f"{words.count(best.episodes)} real episodes, with imagined returns as control variate"
        " where those help, will tell the new policy’s return to within"
        f" {words.number(best.half_width)} (95%) if it varies as today’s, and it is expected within"
        f" {words.number(best.error)} of the imagined one. The sum,"
        f" {words.number(best.total)}, is about the least that this budget reaches; the tables"
        " below split what the episodes leave."
    )


REGRET_OF_SPLITS = (
    "Regret is how much more error a split leaves than the best split for the true curves would, on"
    " average over what the measured curves leave open."
)


def regret(plan: Plan) -> str:
    """What acting on the plan is expected to lose."""
    if lots_bind(plan):
        return (
            f"Whole units and lots, and not knowing the true curves, cost"
            f" {share(plan.best.regret.mean)} more error on average over what the curves leave"
            f" open, and {share(plan.expected_regret)} in its worst quarter, against parts of lots"
            f" and known curves; whole units and lots alone cost {share(plan.lot_loss)}."
        )
    return (
        f"Someone who knew the true curves would split better; not knowing them costs "
        f"{share(plan.best.regret.mean)} more error on average over what the curves leave open,"
        " and "
        f"{share(plan.expected_regret)} in its worst quarter: about what is lost where curves do"
        " not go on as measured."
    )


def marginal_lot(plan: Plan) -> int:
    """A round amount of money that lowers the predicted error by a number worth reading, within the
    budget.
    """
    most = max(plan.marginal.values(), default=0.0)
    lots = [10**power for power in range(10) if 10**power <= max(1.0, plan.budget / 10)]
    return next((lot for lot in lots if lot * most >= LEAST_READ), lots[-1])


def marginal(plan: Plan) -> str:
    """What more money should go to, if it makes a difference."""
    most = max(plan.marginal.values(), default=0.0)
    best = [name for name, value in plan.marginal.items() if value >= SAME * most]
    if len(best) == len(plan.marginal):
        return "More money is worth about the same on either part, as it is at the best split."
    names = " or ".join(map(unit_name, best))
    if lots_bind(plan):
        return f"If parts of lots were for sale, more money would do most on {names}."
    return f"The next unit of money does most on {names}."


def pilot(proposal: Pilot | None) -> str:
    """Whether a part of the purchase is better made and measured before the rest is decided."""
    if proposal is None:
        return (
            "By these laws, buying in two steps, with a measurement between them, is not surely"
            " better than buying all at once."
        )
    return (
        f"Better in two steps: have {count(proposal.samples)} {unit_name(proposal.part)} first, for"
        f" {words.price(proposal.cost)} of the budget, measure the error of the {proposal.part}"
        " model with them, and plan the rest anew; regret, on average, then falls from"
        f" {share(proposal.regret_now)} to {share(proposal.regret_then)}."
    )


def halving(fit: CurveFit) -> str:
    """What the exponent means."""
    return (
        f"Twice the samples leave {words.percent(2**-fit.exponent)} of the error"
        f"{' above its floor' if fit.floor > 0 else ''}."
    )


def what_decides(plan: LabelPlan) -> str:
    """Whether the best is a choice or a limit."""
    if plan.attained:
        return f"What decides: {plan.regime}."
    return (
        f"What decides: {plan.regime}. The best is a limit that no label reaches; this is the"
        " nearest allowed."
    )


def looseness(noise: GradientNoise) -> str:
    """How the gradient's noise was measured."""
    return (
        f"Measured on imagined rollouts of {noise.horizon:,} steps, {noise.weighting}. Theorem 2’s"
        " bound holds for any "
        "policy, the exact coefficient is this policy’s own; decisions use the exact one."
    )


def changes(plan: MixturePlan) -> list[tuple[str, str]]:
    """Who starts to win at which budget."""
    return [(LABELS.get(name, name), amount(budget)) for name, budget in plan.changes.items()]


def correlation(plan: MixturePlan) -> str:
    """When the mixture is worth it."""
    start = "A mixture"
    if plan.coefficient:
        weight = words.number(plan.coefficient)
        start = f"In the mixture cheap labels enter with weight {weight}. It"
    if plan.least_correlation >= 1:
        return f"{start} never beats gold labels alone, which cost no more than cheap ones."
    return (
        f"{start} beats gold labels alone once gradients from cheap and gold labels"
        f" correlate by more than {words.number(plan.least_correlation)}, with either sign."
    )
