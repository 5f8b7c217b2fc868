"""Cheap labels, gold labels, or cheap ones with a few gold ones that take their bias away.

The mixture of N rollouts with cheap labels, n of them with gold ones too, is
`ĝ = λ mean_N(g_cheap) + mean_n(g_gold − λ g_cheap)`: unbiased for a fixed λ, and of least variance
at `λ = tr Cov(g_gold, g_cheap) / tr Cov(g_cheap)`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.records.decisions import MixtureChoice, MixturePlan
from paracosm.core.records.questions import MixtureQuestion
from paracosm.core.records.reasons import Caveat, CaveatKind, MixtureVerdict, Stakes, WayLoss
from paracosm.planning.fidelity import Numbers
from paracosm.planning.label_search import ROUNDING

NAMES = ("cheap", "gold", "mixture")
_MATTERS = 0.01  # a hundredth of the squared error is within what is known of the variances
# Changes of the winner are looked for up to so many times the largest of the budget, its least and
# the one at which bias and variance weigh the same.
_REACH = 1e3
_BUDGETS = 4001  # between which changes are bracketed: neighbours are at most 12% apart
# No budget beyond it is looked at: a bias that small costs nothing that can be paid for.
_FARTHEST = 1e200
_MOST_ROLLOUTS = 1e10  # a budget that buys more is a slip of the unit
_MOST_BIAS = 1e150  # its square is still a number


class Prices(NamedTuple):
    """What a rollout and its labels cost, and what is known of the gradients that they give.

    Variances are those of one rollout's policy gradient under that kind of label (trace of the
    covariance, the rollout's own variance included); `bias` is the length of the cheap gradient's
    bias.
    """

    cost_rollout: float
    cheap_cost: float
    gold_cost: float
    cheap_variance: float
    gold_variance: float
    correlation: float
    bias: float

    @property
    def cheap_rollout(self) -> float:
        """What a rollout with a cheap label costs, w₂."""
        return self.cost_rollout + self.cheap_cost

    @property
    def gold_rollout(self) -> float:
        """What a rollout with a gold label alone costs."""
        return self.cost_rollout + self.gold_cost

    @property
    def fewest_gold(self) -> float:
        """The gold labels from which the coefficient, left one out, passes its gate `|ρ| >
        1/sqrt(n−3)`.
        """
        square = self.correlation**2
        return float(np.floor(3 + (1 + ROUNDING) / square)) + 1 if square > 0 else np.inf

    @property
    def ratio(self) -> float:
        """Cheap rollouts per gold label at the best: `N/n = sqrt(ρ²/(q(1−ρ²)))`, at least 1."""
        square, q = self.correlation**2, self.cheap_rollout / self.gold_cost
        return float(np.sqrt(max(square / (q * (1 - square)), 1.0))) if square < 1 else np.inf

    def mixture_variance(self, rollouts: Numbers, gold: Numbers) -> Numbers:
        """`σ_g² ((1−ρ²)/n + ρ²/N)` at the best coefficient."""
        square = self.correlation**2
        return self.gold_variance * ((1 - square) / gold + square / rollouts)


def least_correlation(prices: Prices) -> float:
    """The correlation from which the mixture beats gold alone; 1, which none exceeds, where it
    never does.
    """
    cheap, gold, rollout = prices.cheap_cost, prices.gold_cost, prices.cost_rollout
    if gold <= cheap:
        return 1.0
    root = np.sqrt(prices.cheap_rollout * prices.gold_rollout) + np.sqrt(gold * cheap)
    return float(root / (rollout + cheap + gold))


def plan_mixture(
    *,
    budget: float,
    cost_rollout: float,
    cheap_cost: float,
    gold_cost: float,
    cheap_variance: float,
    gold_variance: float,
    correlation: float,
    bias: float,
) -> MixturePlan:
    """Which of cheap, gold and the debiased mixture has the least squared error at this budget, in
    whole rollouts.

    The sentences of the record (`warnings`, `verdict`) are left empty: `reporting` makes them of
    its `reasons`.

    Args:
        budget: What may be spent.
        cost_rollout: The price of one rollout before it is labelled.
        cheap_cost: The price of cheap labels for one rollout.
        gold_cost: That of gold labels; a gold rollout of the mixture has both.
        cheap_variance: Variance of one rollout's gradient under cheap labels (trace of the
            covariance).
        gold_variance: The same under gold labels.
        correlation: Between the two gradients of one rollout, `tr Cov / sqrt(tr Cov · tr Cov)`.
        bias: Length of the bias of the gradient under cheap labels.

    Raises:
        BadArgument: a number cannot be used, or the budget buys not one rollout of any kind.
    """
    prices = Prices(
        cost_rollout, cheap_cost, gold_cost, cheap_variance, gold_variance, correlation, bias
    )
    _check(budget, prices)
    choices = _choices(prices, budget)
    winner = min(choices, key=lambda choice: choice.error)
    changes, first = _changes(prices, budget)
    return MixturePlan(
        winner=winner.name,
        choices=choices,
        changes=changes,
        coefficient=float(correlation * np.sqrt(gold_variance / cheap_variance)),
        least_correlation=least_correlation(prices),
        budget=float(budget),
        warnings=(),
        verdict="",
        reasons=_verdict(choices, prices, first),
        question=MixtureQuestion(float(budget), *map(float, prices)),
    )


def _verdict(choices: tuple[MixtureChoice, ...], prices: Prices, smallest: str) -> MixtureVerdict:
    """What hangs on the winner; `smallest` is the way that wins with the smallest budget."""
    best, *rest = sorted(choices, key=lambda choice: choice.error)
    losses = tuple(
        WayLoss(choice.name, choice.error / best.error - 1, choice.squared_bias > choice.variance)
        for choice in rest
    )
    stakes = Stakes.MATTERS if losses else Stakes.UNRIVALLED
    if rest and rest[0].error < (1 + _MATTERS) * best.error:
        stakes = Stakes.HARDLY_MATTERS
    return MixtureVerdict(stakes, losses, smallest, _caveats(choices, prices))


def _caveats(choices: tuple[MixtureChoice, ...], prices: Prices) -> tuple[Caveat, ...]:
    """What the reader should know before acting on the plan."""
    notes = []
    if prices.correlation == 0:
        notes.append(Caveat(CaveatKind.NO_CORRELATION))
    elif all(choice.name != "mixture" for choice in choices):
        numbers = {"correlation": prices.correlation, "fewest": prices.fewest_gold}
        notes.append(Caveat(CaveatKind.NO_MIXTURE, "", numbers))
    if prices.bias == 0:
        notes.append(Caveat(CaveatKind.NO_BIAS))
    return tuple(notes)


def _check(budget: float, prices: Prices) -> None:
    checks.positive("the budget", budget)
    checks.at_least("the cost of a rollout", prices.cost_rollout, 0)
    if not np.isfinite(prices.cost_rollout):
        raise checks.BadArgument(
            f"the cost of a rollout is {prices.cost_rollout:g}; it must be finite."
        )
    checks.positive("the cost of cheap labels", prices.cheap_cost)
    checks.positive("the cost of gold labels", prices.gold_cost)
    checks.positive("the variance under cheap labels", prices.cheap_variance)
    checks.positive("the variance under gold labels", prices.gold_variance)
    checks.between("the correlation", prices.correlation, -1, 1)
    checks.between("the bias of cheap labels", prices.bias, 0, _MOST_BIAS)
    least = min(prices.cheap_rollout, prices.gold_rollout)
    if budget > _MOST_ROLLOUTS * least:
        raise checks.BadArgument(
            f"the budget of {budget:g} buys over {_MOST_ROLLOUTS:g} rollouts; that is no plan."
        )
    if budget < least:
        raise checks.BadArgument(
            f"the budget of {budget:g} buys not one rollout: a labelled one costs {least:g}."
        )


def _choices(prices: Prices, budget: float) -> tuple[MixtureChoice, ...]:
    """What the budget buys in each way, in whole rollouts; without the ways for which it does not
    suffice.
    """
    cheap, gold = (_whole(budget / price) for price in (prices.cheap_rollout, prices.gold_rollout))
    choices = []
    if cheap:
        variance, square = prices.cheap_variance / cheap, prices.bias**2
        choices.append(MixtureChoice("cheap", cheap, 0, variance, square, variance + square))
    if gold:
        variance = prices.gold_variance / gold
        choices.append(MixtureChoice("gold", gold, gold, variance, 0.0, variance))
    counts = allocate(prices, budget)
    if counts is not None:
        variance = float(prices.mixture_variance(*counts))
        choices.append(MixtureChoice("mixture", *counts, variance, 0.0, variance))
    return tuple(choices)


def _whole(number: float) -> int:
    return int(number * (1 + ROUNDING))


def allocate(prices: Prices, budget: float) -> tuple[int, int] | None:
    """The best whole numbers of cheap-labelled rollouts and of gold labels on them; None if too few
    can be bought.

    For each number of gold labels, all else goes into rollouts. Rounding these down costs at most
    1/N of the variance, which n may not leave its real optimum by more than about sqrt(w₂n/w₁) to
    win back.
    """
    least, most = prices.fewest_gold, _whole(budget / (prices.cheap_rollout + prices.gold_cost))
    if most < least:
        return None
    best = np.clip(budget / (prices.gold_cost + prices.cheap_rollout * prices.ratio), least, most)
    width = 8 * np.sqrt(prices.cheap_rollout / prices.gold_cost * best) + 16
    gold = np.arange(max(least, np.floor(best - width)), min(most, np.ceil(best + width)) + 1)
    rollouts = np.floor((budget - gold * prices.gold_cost) / prices.cheap_rollout * (1 + ROUNDING))
    i = int(np.argmin(prices.mixture_variance(rollouts, gold)))
    return int(rollouts[i]), int(gold[i])


def errors(prices: Prices, budgets: np.ndarray) -> np.ndarray:
    """Squared errors `[3, budget]` of cheap, gold and mixture in real numbers; infinite where money
    is too short.
    """
    cheap, gold = budgets / prices.cheap_rollout, budgets / prices.gold_rollout
    alone = [
        np.where(cheap >= 1, prices.cheap_variance / cheap + prices.bias**2, np.inf),
        np.where(gold >= 1, prices.gold_variance / gold, np.inf),
    ]
    most = budgets / (prices.cheap_rollout + prices.gold_cost)
    labels = np.maximum(
        budgets / (prices.gold_cost + prices.cheap_rollout * prices.ratio), prices.fewest_gold
    )
    labels = np.minimum(labels, most)
    rollouts = (budgets - labels * prices.gold_cost) / prices.cheap_rollout
    mixture = np.where(
        most >= prices.fewest_gold, prices.mixture_variance(rollouts, labels), np.inf
    )
    return np.stack([*alone, mixture])


def _changes(prices: Prices, budget: float) -> tuple[dict[str, float], str]:
    """The budgets from which another starts to win, in real numbers, and who wins with the smallest
    budget.

    Cheap labels, if they ever win, do so first; the mixture, if it ever beats gold, does so from
    some budget on. So each change happens once, and halving the interval finds it.
    """
    least = min(prices.cheap_rollout, prices.gold_rollout)
    unbiased = prices.gold_variance * prices.gold_rollout
    reach = min(unbiased / prices.bias / prices.bias, _FARTHEST) if prices.bias > 0 else 0.0
    grid = np.geomspace(least, _REACH * max(least, budget, reach), _BUDGETS)
    winners = errors(prices, grid).argmin(axis=0)
    at = np.flatnonzero(np.diff(winners))
    low, high = grid[at], grid[at + 1]
    for _ in range(60):
        middle = np.sqrt(low * high)
        before = errors(prices, middle).argmin(axis=0) == winners[at]
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    return {NAMES[winners[i + 1]]: float(start) for i, start in zip(at, high, strict=True)}, NAMES[
        winners[0]
    ]
