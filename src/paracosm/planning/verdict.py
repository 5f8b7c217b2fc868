"""A plan in plain words, which claim no more than the intervals do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core import numerals
from paracosm.core.records import Estimate, Weights
from paracosm.core.records.decisions import Purchase
from paracosm.planning.budget import at
from paracosm.planning.rules import Market, by_weights, market, over_draws

HARDLY = 0.01  # the split hardly matters where a simple rule loses less


class Facts(NamedTuple):
    """What a verdict speaks of: the planned purchase, the simple rules, other routes to the
    weights, what is owned, and the standard errors of the weights.
    """

    place: Market
    best: Purchase
    rules: tuple[Purchase, ...]
    rivals: tuple[Purchase, ...]
    owned: dict[str, int]
    unsure: dict[str, float]


def sentence(facts: Facts) -> str:
    """What to buy, what it changes, and whether the split matters."""
    before, after = (
        facts.place.task.expected(np.array(facts.place.task.owned, float)),
        facts.best.error,
    )
    bought = (
        " and ".join(_bought(name, count) for name, count in facts.best.units.items() if count)
        or "nothing"
    )
    change = (
        f"The predicted error in return is then {after.mean:.3g} ({after.low:.3g} to"
        f" {after.high:.3g}); "
        f"it is {float(before):.3g} now."
    )
    return f"Buy {bought} for {money(facts.best.spend)}. {change} {stakes(facts)}"


def money(amount: float) -> str:
    """An amount with thousands separated, every digit shown below 1e15: no power of ten hides what
    is bought.
    """
    return numerals.grouped(amount, ",.10g" if amount < 1e9 else ",.2f").removesuffix(".00")


def stakes(facts: Facts) -> str:
    """What the best rule that favours neither part would lose against the plan, and whether that is
    worth a thought.

    "All on transitions" is no such rule: that transitions are the part to buy, the curves and the
    weights say.
    """
    neutral = [rule for rule in facts.rules if not rule.name.startswith("all on")]
    if not neutral:
        return "The split matters: no simple rule buys whole lots of both parts."
    ranked = sorted(neutral, key=lambda rule: rule.error.mean)
    losses = [loss_against(facts.place, rule, facts.best) for rule in ranked]
    lost = losses[0]
    about = (
        f"{ranked[0].name}, the best rule that favours neither part, would lose {lost.mean:.2%}"
        f" ({lost.low + 0.0:.2%} to {lost.high:.2%}) against this plan"
    )
    if lost.mean >= HARDLY:
        doubt = ", though the curves do not exclude that it is as good" if lost.low <= 0 else ""
        return f"The split matters: {about}{doubt}.{_one_sided(facts)}"
    worse = [
        f"{rule.name} {loss.mean:.2%}"
        for rule, loss in zip(ranked, losses, strict=True)
        if loss.mean >= HARDLY
    ]
    return f"The split hardly matters: {about}{', but ' + ' and '.join(worse) if worse else ''}."


def _one_sided(facts: Facts) -> str:
    """Where all the money on one part is as good as the plan."""
    for rule in facts.rules:
        lost = loss_against(facts.place, rule, facts.best).mean
        if rule.name.startswith("all on") and lost < HARDLY:
            return f" It is the part that matters: {rule.name} would lose {max(lost, 0):.2%}."
    return ""


def loss_against(place: Market, rule: Purchase, planned: Purchase) -> Estimate:
    """How much more error in return a purchase leaves than the planned one, relative to that, over
    the draws.
    """
    return over_draws(_losses(place, rule) / _losses(place, planned) - 1)


def disagreement(facts: Facts, routes: Sequence[Weights]) -> str:
    """How far the splits by other routes to the weights are from the planned one, and what being
    wrong would cost.
    """
    if len(routes) == 1:
        return (
            f"The weights come from one route ({routes[0].origin}); no other was given to compare"
            " them with."
        )
    return " ".join(
        _parted(facts, rival, other) for rival, other in zip(facts.rivals, routes[1:], strict=True)
    )


def _parted(facts: Facts, rival: Purchase, other: Weights) -> str:
    task = facts.place.task._replace(weights=(other.dynamics, other.reward))
    theirs = market(task, facts.place.offers, facts.place.budget)
    mistaken = loss_against(theirs, facts.best, by_weights(theirs, other))
    lost = loss_against(facts.place, rival, facts.best)
    return (
        f"Weights from {other.origin} would own {_ratio(facts, rival):.3g} transitions a label"
        " instead of "
        f"{_ratio(facts, facts.best):.3g}: if they are wrong that loses {lost.mean:.2%}, and if"
        " they are right "
        f"this plan loses {mistaken.mean:.2%}."
    )


def warnings(facts: Facts, budget: float) -> tuple[str, ...]:
    """What a reader should know before buying."""
    said = []
    for part, count in (("transitions", facts.best.dynamics), ("reward labels", facts.best.reward)):
        if count == 0:
            said.append(
                f"The plan buys no {part}: money is worth more on the other part down to the last"
                " unit."
            )
    if facts.best.spend < 0.99 * budget:
        said.append(
            f"Whole lots leave {money(budget - facts.best.spend)} of the {money(budget)} unspent."
        )
    for part, unsure in facts.unsure.items():
        weight = facts.place.task.weights[0 if part == "dynamics" else 1]
        if weight < 2 * unsure:
            said.append(
                f"The weight of the {part} error, {weight:.3g} with a standard error of"
                f" {unsure:.3g}, could be zero:"
                " more real episodes would settle it."
            )
    if min(facts.place.task.weights) == 0:
        said.append("One weight is zero: that part's error counts for nothing in this plan.")
    return tuple(said)


def _losses(place: Market, bought: Purchase) -> np.ndarray:
    amounts = np.array([float(bought.units[offer.name]) for offer in place.offers])
    return place.task.losses(at(place.task, place.offers, amounts).counts)


def _ratio(facts: Facts, bought: Purchase) -> float:
    labels = facts.owned["reward"] + bought.reward
    return (facts.owned["dynamics"] + bought.dynamics) / labels if labels > 0 else float("inf")


def _bought(name: str, count: int) -> str:
    words = {"dynamics": "transition", "reward": "reward label", "joint": "labelled transition"}
    word = words.get(name, f"label from {name}")
    many = (
        word
        if count == 1
        else word.replace("label from", "labels from")
        if "from" in word
        else word + "s"
    )
    return f"{numerals.grouped(count)} {many}"
