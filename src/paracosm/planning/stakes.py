"""What hangs on a plan: what simple rules and other routes to the weights would lose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core.records import Estimate, Weights
from paracosm.core.records.decisions import Purchase
from paracosm.core.records.reasons import (
    ONE_SIDED,
    Caveat,
    CaveatKind,
    PlanVerdict,
    RouteLoss,
    Rule,
    RuleLoss,
    Stakes,
)
from paracosm.planning.budget import BudgetProblem, best_split, counts_after
from paracosm.planning.market import Market, estimate_over_draws

HARDLY = 0.01
"""Where a rule loses less than this share the split hardly matters: a hundredth of the error is far
within what the curves leave open of it."""

_HARDLY_LESS = 0.95  # of the error before: a purchase that leaves more buys little
# Below this share of the budget the spending is worth a sentence: lots that leave less are as good
# as all of it.
_NEARLY_ALL = 0.99

# Standard errors that a weight must be above zero to be told from it: about 95%.
_CERTAIN = 2


class ComparedPurchases(NamedTuple):
    """The planned purchase, and those that it is compared with.

    Attributes:
        market: What is for sale, and the problem by the plan's own route to the weights.
        best: The planned purchase.
        rules: The purchases of the simple rules.
        rivals: The best purchases by the other routes to the weights.
        rival_problems: The problems that those routes make.
        routes: All routes, the plan's own first.
        owned: Samples of each part owned already.
    """

    market: Market
    best: Purchase
    rules: tuple[Purchase, ...]
    rivals: tuple[Purchase, ...]
    rival_problems: tuple[BudgetProblem, ...]
    routes: tuple[Weights, ...]
    owned: dict[str, int]


def verdict(compared: ComparedPurchases, curve_caveats: Sequence[Caveat]) -> PlanVerdict:
    """Whether the split matters, and what to know before buying; caveats of the curves come
    first.
    """
    losses = _neutral_losses(compared)
    matters = losses[0].matters if losses else True
    stakes = Stakes.MATTERS if matters else Stakes.HARDLY_MATTERS
    return PlanVerdict(
        stakes=stakes if losses else Stakes.UNRIVALLED,
        losses=losses,
        one_sided=_one_sided(compared) if losses and matters else None,
        routes=tuple(
            _route_loss(compared, rival, rival_problem, route.origin)
            for rival, rival_problem, route in zip(
                compared.rivals, compared.rival_problems, compared.routes[1:], strict=True
            )
        ),
        caveats=(*curve_caveats, *_caveats(compared)),
    )


def _neutral_losses(compared: ComparedPurchases) -> tuple[RuleLoss, ...]:
    """What the rules that favour neither part would lose, the one that loses the least first.

    "All on transitions" is no such rule: that transitions are the part to buy, the curves and the
    weights say. Nor is one whose share of a part buys not a lot of it.
    """
    neutral = [
        rule
        for rule in compared.rules
        if rule.name not in ONE_SIDED and min(rule.dynamics, rule.reward) > 0
    ]
    losses = (_rule_loss(compared, rule) for rule in neutral)
    return tuple(sorted(losses, key=lambda rule: rule.loss.mean))


def _rule_loss(compared: ComparedPurchases, rule: Purchase) -> RuleLoss:
    loss = loss_against(compared.market, rule, compared.best)
    return RuleLoss(Rule(rule.name), loss, loss.mean >= HARDLY)


def _one_sided(compared: ComparedPurchases) -> RuleLoss | None:
    """The rule that spends all the money on one part, where that is as good as the plan."""
    losses = (_rule_loss(compared, rule) for rule in compared.rules if rule.name in ONE_SIDED)
    return next((loss for loss in losses if not loss.matters), None)


def loss_against(market: Market, rule: Purchase, planned: Purchase) -> Estimate:
    """How much more error in return a purchase leaves than the planned one, relative to that, over
    the draws.
    """
    return estimate_over_draws(_losses_after(market, rule) / _losses_after(market, planned) - 1)


def _losses_after(market: Market, bought: Purchase) -> np.ndarray:
    """The error in return after a purchase, under each draw, `[draws]`."""
    return _losses_of_amounts(market, [float(bought.units[offer.name]) for offer in market.offers])


def _losses_of_amounts(market: Market, amounts: Sequence[float]) -> np.ndarray:
    """The error in return once these amounts `[offers]` are bought, under each draw, `[draws]`."""
    return market.problem.losses(counts_after(market.problem, market.offers, np.array(amounts)))


def _route_loss(
    compared: ComparedPurchases, rival: Purchase, rival_problem: BudgetProblem, origin: str
) -> RouteLoss:
    """What is lost where the one or the other route to the weights is wrong.

    Args:
        compared: What is compared.
        rival: The best split by the other route.
        rival_problem: The problem that it makes.
        origin: The name of the route.
    """
    theirs = compared.market._replace(problem=rival_problem)
    return RouteLoss(
        origin=origin,
        ratio=owned_ratio(compared.owned, rival),
        if_wrong=loss_against(compared.market, rival, compared.best).mean,
        if_right=loss_against(theirs, compared.best, rival).mean,
    )


def _nothing_bought(market: Market, part: str) -> Caveat:
    """The caveat that the plan buys nothing of a part: by choice, since the other part's lots
    leave no money for it, or since its smallest lot costs more than the budget.
    """
    index = ("dynamics", "reward").index(part)
    lots = {
        float(np.mean(offer.cost)) * offer.lot: offer.lot
        for offer in market.offers
        if offer.yields[index]
    }
    if not lots or min(lots) <= market.budget:
        amounts = best_split(market.problem, market.offers, market.budget).amounts
        yields = [offer.yields[index] for offer in market.offers]
        wanted = bool(np.asarray(amounts * yields).sum() > 0)
        return Caveat(CaveatKind.NO_ROOM if wanted else CaveatKind.NOTHING_BOUGHT, part)
    numbers = {"price": min(lots), "units": lots[min(lots)], "budget": market.budget}
    return Caveat(CaveatKind.NOTHING_AFFORDED, part, numbers)


def owned_ratio(owned: dict[str, int], bought: Purchase) -> float:
    """Transitions owned after a purchase over labels owned then."""
    labels = owned["reward"] + bought.reward
    return float((owned["dynamics"] + bought.dynamics) / labels) if labels > 0 else float("inf")


def _caveats(compared: ComparedPurchases) -> list[Caveat]:
    """What a reader should know of the purchase and of the weights before buying."""
    bought = {"dynamics": compared.best.dynamics, "reward": compared.best.reward}
    caveats = [
        _nothing_bought(compared.market, part) for part, count in bought.items() if count == 0
    ]
    budget = compared.market.budget
    if compared.best.spend < _NEARLY_ALL * budget:
        money = {"left": budget - compared.best.spend, "budget": budget}
        caveats.append(Caveat(CaveatKind.MONEY_LEFT, "", money))
    now = np.mean(_losses_of_amounts(compared.market, [0.0] * len(compared.market.offers)))
    then = np.mean(_losses_after(compared.market, compared.best))
    if then > _HARDLY_LESS * now:
        caveats.append(Caveat(CaveatKind.BUYS_LITTLE, "", {"share": float(1 - then / now)}))
    weights = dict(zip(("dynamics", "reward"), compared.market.problem.weights, strict=True))
    for part, error in compared.routes[0].unsure.items():
        if part in weights and weights[part] < _CERTAIN * error:
            numbers = {"weight": float(weights[part]), "error": error}
            caveats.append(Caveat(CaveatKind.UNSURE_WEIGHT, part, numbers))
    if min(compared.market.problem.weights) == 0:
        caveats.append(Caveat(CaveatKind.ZERO_WEIGHT))
    return caveats
