"""What to buy next: the split of least expected error over what the learning curves leave open.

With errors `ε_i(N)` of dynamics and reward and weights κ_i of them in the return, the plan
minimises the mean over the curves' posterior of `κ_dyn ε_dyn(N_dyn) + κ_rew ε_rew(N_rew)`, in whole
lots that the budget pays for (Timor et al. 2026, Theorem 1, with what a real budget has besides).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.core.records import Weights
from paracosm.core.records.decisions import Bought, Curve, Plan, Purchase
from paracosm.core.records.questions import LawSample, OfferTerms, SplitQuestion
from paracosm.core.records.reasons import Caveat
from paracosm.core.records.refusal import Refusal
from paracosm.planning import stakes
from paracosm.planning.budget import BudgetProblem, Offer, best_split, log_values, require_units
from paracosm.planning.curve_posterior import Posterior, posterior
from paracosm.planning.evaluation import (
    EpisodeOffer,
    buy_episodes,
    left_by_episodes,
    most_episodes,
)
from paracosm.planning.law import Law
from paracosm.planning.lot_rounding import decimals, exact_lot_price, round_to_lots
from paracosm.planning.market import (
    Market,
    cheapest_index,
    estimate_over_draws,
    make_market,
    make_markets,
    one_problem_per_draw,
    purchase,
    quantiles,
    worst_quarter_mean,
)
from paracosm.planning.pilots import Belief, next_pilot
from paracosm.planning.reading import MOST_SAMPLES
from paracosm.planning.rules import simple_rules, split_by_weights, splits_by_share

PLANNED_PARTS: tuple[Bought, Bought] = ("dynamics", "reward")
# What is for sale beside other sources of labels: their names say so in records and on pages.
_NAMES = (*PLANNED_PARTS, "joint", "episode")
# Draws of the laws: the mean of a regret is then known to 1/√2000, a 45th, of its spread.
_DRAWS = 2000
# Budgets of the frontier, relative to the plan's; half and double are among them.
_BUDGETS = 2.0 ** np.linspace(-2, 2, 9)
_OWNED = checks.Range(0, MOST_SAMPLES, integer=True)
_DIGITS = 12  # of a budget: what is left of it is not known to more, since prices were added up
_LEAST_DECIMALS = 3  # of what is left of a large budget


def plan(
    curves: Mapping[Bought, Curve],
    weights: Weights | Sequence[Weights],
    *,
    budget: float,
    cost_dynamics: float,
    cost_reward: float,
    owned: Mapping[str, int] | None = None,
    cost_joint: float | None = None,
    sources: Sequence[Offer] = (),
    lots: tuple[int, int] = (1, 1),
    spent: float = 0.0,
    episodes: EpisodeOffer | None = None,
    seed: int = 0,
) -> Plan:
    """Split a budget between transitions and reward labels, and real episodes if they are for sale.

    The sentences of the record (`disagreement`, `warnings`, `verdict`) are left empty: `reporting`
    makes them of its `reasons`.

    Args:
        curves: Learning curves of the two parts.
        weights: What a unit of each error costs in return; of several routes to them the first is
            used.
        budget: Money, what was `spent` of it before included; the plan's own budget is what that
            leaves.
        cost_dynamics: Price of a transition.
        cost_reward: Price of a reward label.
        owned: Samples of each part owned already; the largest anchor of each curve if not given.
        cost_joint: Price of a transition that comes with its label, if that is for sale; these are
            sold one by one.
        sources: Other sources of labels: an `Offer` each, whose `labels` say how many labels one is
            worth.
        lots: Transitions and labels are sold in lots of so many.
        spent: How much of the budget was spent before.
        episodes: Real episodes of the policy that the purchase trains, which tell its return, if
            they are for sale; as many are bought as `buy_episodes` says.
        seed: The seed of the draws from the curves' posterior.

    Raises:
        BadArgument: prices, weights, counts or the budget describe no purchase.
        CurveRefused: a curve cannot support a plan; its `refusal` and its sentence say why.
    """
    checks.count("the seed", seed, 0)
    routes = _routes(weights)
    checks.of_kind(
        "curves", curves, Mapping, "a mapping of 'dynamics' and 'reward' to a Curve each"
    )
    owned_now = owned_counts(curves, owned)
    fits = posterior(curves["dynamics"]), posterior(curves["reward"])
    offers = _offers(cost_dynamics, cost_reward, cost_joint, sources, lots)
    money = _money_left(budget, spent, offers)
    beliefs = _beliefs(fits, curves, seed)
    problem, *rival_problems = (_problem(beliefs, route, owned_now, seed) for route in routes)
    evaluation, left_for_models = None, money
    if episodes is not None:
        evaluation = buy_episodes(problem, offers, money, episodes)
        count = evaluation.best.episodes
        left_for_models = left_by_episodes(money, episodes.cost, count)
    market = make_market(problem, offers, left_for_models)
    compared = _compare(market, routes, rival_problems, owned_now)
    plan = _record(compared, fits, beliefs, seed)
    question = _question(beliefs, routes, seed, offers=offers, budget=money)
    return dataclasses.replace(plan, evaluation=evaluation, question=question, spent=float(spent))


def require_terms(
    *,
    budget: float,
    cost_dynamics: float | None = None,
    cost_reward: float | None = None,
    owned: Mapping[str, int] | None = None,
    cost_joint: float | None = None,
    sources: Sequence[Offer] = (),
    lots: tuple[int, int] = (1, 1),
    cost_episode: float | None = None,
    seed: int = 0,
) -> None:
    """Require what `plan` requires whatever the curves are, before any is measured.

    Args:
        budget, owned, cost_joint, sources, lots, seed: As `plan` has them; what is owned was not
            spent for.
        cost_dynamics, cost_reward: Prices, None where only the measurements tell them.
        cost_episode: Price of an episode, if episodes are for sale.

    Raises:
        BadArgument: they describe no purchase.
    """
    checks.count("the seed", seed, 0)
    _counts(owned or {})
    checks.positive("the budget", budget)
    if cost_episode is not None:
        checks.positive("the cost of an episode", cost_episode)
    prices = [1.0 if cost is None else cost for cost in (cost_dynamics, cost_reward)]
    offers = _offers(prices[0], prices[1], cost_joint, sources, lots)
    if cost_dynamics is not None and cost_reward is not None:
        money = _money_left(budget, 0.0, offers)
        if cost_episode is not None:
            most_episodes(offers, money, cost_episode)


def _compare(
    market: Market,
    routes: tuple[Weights, ...],
    rival_problems: Sequence[BudgetProblem],
    owned: dict[str, int],
) -> stakes.ComparedPurchases:
    """The planned purchase, and the purchases that it is compared with.

    Args:
        market: What is for sale, and the problem that the first route makes.
        routes: The routes to the weights.
        rival_problems: The problems that the other routes make.
        owned: Samples of each part owned already.
    """
    amounts = round_to_lots(market.problem, market.offers, market.budget).amounts
    return stakes.ComparedPurchases(
        market=market,
        best=_require_reachable(purchase("planned", market, amounts), market.budget),
        rules=simple_rules(market),
        rivals=tuple(
            split_by_weights(market, route, rival_problem)
            for route, rival_problem in zip(routes[1:], rival_problems, strict=True)
        ),
        rival_problems=tuple(rival_problems),
        routes=routes,
        owned=owned,
    )


def _record(
    compared: stakes.ComparedPurchases,
    fits: tuple[Posterior, Posterior],
    beliefs: tuple[Belief, Belief],
    seed: int,
) -> Plan:
    """The plan of the purchase, episodes and question left aside.

    Args:
        compared: The purchase, and what it is compared with.
        fits: What the curves say, dynamics first.
        beliefs: Draws of either part's law, unweighted.
        seed: The seed of the simulated pilots.
    """
    market, best, owned = compared.market, compared.best, compared.owned
    problem = market.problem
    after = owned["dynamics"] + best.dynamics, owned["reward"] + best.reward
    losses_after = problem.losses(np.array(after, float))
    return Plan(
        dynamics=int(best.dynamics + 1e-9),
        reward=int(best.reward + 1e-9),
        owned=owned,
        budget=market.budget,
        spend=best.spend,
        prices={offer.name: float(offer.cost) for offer in market.offers},
        ratio=stakes.owned_ratio(owned, best),
        interval=ratio_interval(market),
        predicted_error={
            "before": estimate_over_draws(problem.losses(np.array(problem.owned, float))),
            "after": best.error,
        },
        expected_regret=worst_quarter_mean(losses_after / market.least_losses - 1),
        marginal=_marginal(market, np.array(after)),
        curves={
            part: fit.record(float(count))
            for part, fit, count in zip(PLANNED_PARTS, fits, after, strict=True)
        },
        weights=compared.routes,
        best=best,
        alternatives=(*compared.rules, *compared.rivals),
        frontier=_frontier(market),
        across=splits_by_share(market),
        next_pilot=next_pilot(market, beliefs, best.regret.mean, seed),
        disagreement="",
        warnings=(),
        verdict="",
        reasons=stakes.verdict(compared, _curve_caveats(fits, after)),
        lot_loss=_lot_loss(market, losses_after),
    )


def _lot_loss(market: Market, losses_after: np.ndarray) -> float:
    """How much more error a purchase of whole lots leaves than parts of lots would, relative: the
    mean over the draws of the curves, as of the regret, which is at least as much.

    Args:
        market: What can be bought, and for what.
        losses_after: What the purchase leaves, `[draw]`.
    """
    exact = best_split(market.problem, market.offers, market.budget).counts
    return max(0.0, float(np.mean(losses_after / market.problem.losses(exact))) - 1)


def _routes(weights: Any) -> tuple[Weights, ...]:
    """The routes to the weights, at least one."""
    checks.of_kind("weights", weights, (Weights, list, tuple), "a Weights or a sequence of them")
    routes = (weights,) if isinstance(weights, Weights) else tuple(weights)
    if not routes:
        raise checks.BadArgument(
            "no weights are given; what a unit of each error costs in return is needed."
        )
    for i, route in enumerate(routes):
        checks.of_kind(f"weights[{i}]", route, Weights, "a Weights")
        _require_usable_weights(route)
    return routes


def _require_usable_weights(route: Weights) -> None:
    for part in PLANNED_PARTS:
        numbers = {
            "weight": getattr(route, part),
            "standard error of the weight": route.unsure.get(part, 0.0),
        }
        for name, value in numbers.items():
            if not 0 <= value < np.inf:
                where = f"the {name} of the {part} error ({route.origin})"
                raise checks.BadArgument(f"{where} is {value:g}; it must be finite and at least 0.")


def owned_counts(
    curves: Mapping[Bought, Curve], owned: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Samples of each part owned already: as given, else the largest anchor of its curve.

    Raises:
        BadArgument: a count of another part is given, or one that is no whole number from 0 to
            `MOST_SAMPLES`.
        CurveRefused: if a part has no curve.
    """
    for part in PLANNED_PARTS:
        if part not in curves:
            raise Refusal.NO_CURVE.error(part=part)
        checks.of_kind(f"curves[{part!r}]", curves[part], Curve, "a Curve")
    largest = {
        part: int(max(anchor.samples for anchor in curves[part].anchors)) for part in PLANNED_PARTS
    }
    return _counts(largest) | _counts(owned or {})


def _counts(owned: Mapping[str, int]) -> dict[str, int]:
    """Counts of samples by part, if they are such."""
    checks.of_kind("owned", owned, Mapping, "a mapping of 'dynamics' and 'reward' to a count each")
    for part in owned:
        checks.one_of("a part in owned", part, PLANNED_PARTS)
    return {
        part: _OWNED.check(f"the count of {part} samples owned", count)
        for part, count in owned.items()
    }


def _offers(
    cost_dynamics: float,
    cost_reward: float,
    cost_joint: float | None,
    sources: Sequence[Offer],
    lots: tuple[int, int],
) -> tuple[Offer, ...]:
    """What is for sale.

    Args:
        cost_dynamics, cost_reward, cost_joint, sources, lots: As `plan` has them.

    Raises:
        BadArgument: prices or worths are not positive, lots are no counts, two offers have one
            name, or a source is no offer, or has no name or that of something else.
    """
    if not isinstance(lots, (tuple, list)) or len(lots) != 2:
        raise checks.BadArgument(
            f"lots is {checks.described(lots)}; two counts, of transitions and of labels, are"
            " needed."
        )
    for i, source in enumerate(sources):
        checks.of_kind(f"sources[{i}]", source, Offer, "an Offer")
        if not source.name or source.name in _NAMES:
            raise checks.BadArgument(
                f"a source of labels has the name {source.name!r}; one of its own is needed, other"
                f" than {', '.join(_NAMES)}."
            )
    offers = [
        Offer("dynamics", cost_dynamics, transitions=1, lot=lots[0]),
        Offer("reward", cost_reward, labels=1, lot=lots[1]),
    ]
    if cost_joint is not None:
        offers.append(Offer("joint", cost_joint, transitions=1, labels=1))
    offers += sources
    for offer in offers:
        checks.positive(f"the cost of {offer.name}", float(offer.cost))
        require_units(offer)
        checks.positive(f"the worth of a unit of {offer.name}", float(sum(offer.yields)))
    names = [offer.name for offer in offers]
    if len(set(names)) < len(names):
        raise checks.BadArgument(
            f"the names for sale are {', '.join(names)}; each may be there once."
        )
    return tuple(offers)


def _money_left(budget: float, spent: float, offers: Sequence[Offer]) -> float:
    """The money that can still be spent, to a millionth of a millionth of the budget or to a
    thousandth, whichever is finer: of 1, once 0.9 are spent, 0.1 is left.
    """
    checks.positive("the budget", budget)
    checks.at_least("the money spent", spent, 0)
    checks.finite("the money spent", spent)
    if budget < spent:
        raise checks.BadArgument(
            f"the budget is {budget:g}; what is owned already cost {spent:g}, at least that is"
            " needed."
        )
    money, least = float(budget), min(exact_lot_price(offer) for offer in offers)
    if spent:
        digits = max(_DIGITS - math.ceil(math.log10(money)), _LEAST_DECIMALS)
        money = round(money - float(spent), digits)
    if decimals(money) < least:
        raise checks.BadArgument(
            f"the budget leaves {money:g} to spend; the cheapest lot costs {float(least):g}, at"
            " least that is needed."
        )
    if money / float(least) > MOST_SAMPLES:
        raise checks.BadArgument(
            f"the budget leaves {money:g} to spend, which buys {money / float(least):.2g} of the"
            f" cheapest lot; at most {MOST_SAMPLES:g} can be counted exactly."
        )
    return money


def _require_reachable(best: Purchase, money: float) -> Purchase:
    """The purchase, if it leaves no part that counts without a sample."""
    if not np.isfinite(best.error.mean):
        raise checks.BadArgument(
            f"{money:g} does not buy a lot of both parts, and of one of them nothing is owned;"
            " more money is needed."
        )
    return best


def _beliefs(
    fits: tuple[Posterior, Posterior], curves: Mapping[Bought, Curve], seed: int
) -> tuple[Belief, Belief]:
    beliefs = []
    for part_index, (part, fit) in enumerate(zip(PLANNED_PARTS, fits, strict=True)):
        draws = fit.draws(_DRAWS, 2 * seed + part_index)
        anchors = curves[part].anchors
        seeds = max(1, round(len(anchors) / len({anchor.samples for anchor in anchors})))
        beliefs.append(
            Belief(
                law=draws.law,
                seed_noise=draws.seed_noise,
                anchor_noise=draws.anchor_noise,
                seeds=seeds,
            )
        )
    return beliefs[0], beliefs[1]


def _problem(
    beliefs: tuple[Belief, Belief], route: Weights, owned: Mapping[str, int], seed: int
) -> BudgetProblem:
    """The problem that a route to the weights makes.

    A realised weight is the size of a mean over episodes, so that a draw of it is `|weight + its
    standard error · z|`; each draw of a law is times what that is of the weight: unsure weights
    count like laws.

    Args:
        beliefs: Draws of either part's law, unweighted.
        route: The weights and their standard errors.
        owned: Samples of each part owned already.
        seed: The seed of the draws of the weights.
    """
    laws = []
    for part_index, (part, belief) in enumerate(zip(PLANNED_PARTS, beliefs, strict=True)):
        weight, unsure = getattr(route, part), route.unsure.get(part, 0.0)
        chance = _chance(belief.law, seed, part_index)
        laws.append(
            belief.law.times(np.abs(1 + unsure / weight * chance)) if weight > 0 else belief.law
        )
    weights = route.dynamics, route.reward
    return BudgetProblem((laws[0], laws[1]), weights, (owned["dynamics"], owned["reward"]))


def _chance(law: Law, seed: int, part_index: int) -> np.ndarray:
    """Standard normal draws of the error of a part's weight, `[draws]`."""
    return np.random.default_rng([seed, 1 + part_index]).standard_normal(np.shape(law.scale))


def _question(
    beliefs: tuple[Belief, Belief],
    routes: Sequence[Weights],
    seed: int,
    *,
    offers: tuple[Offer, ...],
    budget: float,
) -> SplitQuestion:
    """What the plan's page needs to plan again.

    Args:
        beliefs: Draws of either part's law, unweighted.
        routes: The weights by each route, the one that is used first.
        seed: The seed of the draws of the weights.
        offers: What is for sale.
        budget: Money for all of it, episodes included.
    """
    terms = [
        OfferTerms(
            name=offer.name,
            cost=float(offer.cost),
            transitions=float(offer.transitions),
            labels=float(offer.labels),
            lot=offer.lot,
        )
        for offer in offers
    ]
    laws = {}
    for part_index, (part, belief) in enumerate(zip(PLANNED_PARTS, beliefs, strict=True)):
        law = belief.law
        unsure = any(route.unsure.get(part, 0.0) > 0 for route in routes)
        chance = _chance(law, seed, part_index) if unsure else np.zeros(0)
        laws[part] = LawSample(
            scale=_floats(law.scale),
            exponent=_floats(law.exponent),
            floor=_floats(law.floor),
            chance=_floats(chance),
            added=_floats(law.decaying_floor),
            bend=_floats(law.bend),
            size=float(law.largest_measured),
            reach=float(law.log_range),
        )
    return SplitQuestion(budget=budget, offers=tuple(terms), laws=laws)


def _floats(column: np.ndarray | float) -> tuple[float, ...]:
    return tuple(np.asarray(column, float).tolist())


def ratio_interval(market: Market) -> tuple[float, float]:
    """The 90% interval over the draws of the ratio that would be best if a draw were true."""
    counts = best_split(one_problem_per_draw(market.problem), market.offers, market.budget).counts
    with np.errstate(divide="ignore"):
        return quantiles(counts[..., 0] / counts[..., 1], 0.9)


def _marginal(market: Market, counts: np.ndarray) -> dict[str, float]:
    """How much the expected error falls per unit of money, by the name of what it is spent on: the
    cheapest offer of each part alone, and each offer that yields both.
    """
    sold = [
        *(market.offers[cheapest_index(market.offers, part)] for part in (0, 1)),
        *(offer for offer in market.offers if min(offer.yields) > 0),
    ]
    values = log_values(market.problem, sold, counts)
    return {offer.name: float(np.exp(value)) for offer, value in zip(sold, values, strict=True)}


def _frontier(market: Market) -> tuple[Purchase, ...]:
    """The best splits of a quarter of the budget to four times it."""
    problem, offers, budget = market.problem, market.offers, market.budget
    cheapest_lot = min(exact_lot_price(offer) for offer in offers)
    budgets = [money for money in (budget * _BUDGETS).tolist() if decimals(money) >= cheapest_lot]
    splits = []
    for other in make_markets(problem, offers, budgets):
        amounts = round_to_lots(problem, offers, other.budget).amounts
        splits.append(purchase(f"budget {other.budget:g}", other, amounts))
    return tuple(split for split in splits if np.isfinite(split.error.mean))


def _curve_caveats(fits: tuple[Posterior, Posterior], after: tuple[float, float]) -> list[Caveat]:
    """Caveats of the curves at the counts that the plan reaches."""
    return [
        caveat
        for fit, count in zip(fits, after, strict=True)
        for caveat in fit.caveats(float(count))
    ]
