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
# Changes of the winner are looked for up to so many times the largest of the budget, those from
# which each way can be paid for and the one at which bias and variance weigh the same.
_REACH = 1e3
_BUDGETS = 4001  # between which changes are bracketed: neighbours are at most 12% apart
# No budget beyond it is looked at: a bias that small costs nothing that can be paid for.
_FARTHEST = 1e200
_MOST_ROLLOUTS = 1e10  # a budget that buys more is a slip of the unit
_MOST_BIAS = 1e150  # its square is still a number


class MixtureProblem(NamedTuple):
    """What a rollout and its labels cost, and the moments of the gradients that they give.

    Variances are those of one rollout's policy gradient under that kind of label (trace of the
    covariance, the rollout's own variance included), `correlation` is that of the two gradients of
    one rollout, and `bias` is the length of the cheap gradient's bias.
    """

    cost_rollout: float
    cheap_cost: float
    gold_cost: float
    cheap_variance: float
    gold_variance: float
    correlation: float
    bias: float

    @property
    def cheap_rollout_price(self) -> float:
        """What a rollout with a cheap label costs, w₂."""
        return self.cost_rollout + self.cheap_cost

    @property
    def gold_rollout_price(self) -> float:
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
    def best_ratio(self) -> float:
        """Cheap rollouts per gold label at the best: `N/n = sqrt(ρ²/(q(1−ρ²)))`, at least 1."""
        square, q = self.correlation**2, self.cheap_rollout_price / self.gold_cost
        return float(np.sqrt(max(square / (q * (1 - square)), 1.0))) if square < 1 else np.inf

    def mixture_variance(self, rollouts: Numbers, gold: Numbers) -> Numbers:
        """`σ_g² ((1−ρ²)/n + ρ²/N)` at the best coefficient."""
        square = self.correlation**2
        return self.gold_variance * ((1 - square) / gold + square / rollouts)


def least_correlation(problem: MixtureProblem) -> float:
    """The correlation from which the mixture beats gold alone; 1, which none exceeds, where it
    never does.
    """
    cheap, gold, rollout = problem.cheap_cost, problem.gold_cost, problem.cost_rollout
    if gold <= cheap:
        return 1.0
    root = np.sqrt(problem.cheap_rollout_price * problem.gold_rollout_price) + np.sqrt(gold * cheap)
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
        gold_cost: The price of gold labels for one rollout; a gold rollout of the mixture has both
            kinds.
        cheap_variance: Variance of one rollout's gradient under cheap labels (trace of the
            covariance).
        gold_variance: The same under gold labels.
        correlation: Correlation of the two gradients, `tr Cov / sqrt(tr Cov · tr Cov)`.
        bias: Length of the bias of the gradient under cheap labels.

    Raises:
        BadArgument: a number cannot be used, or the budget buys not one rollout of any kind.
    """
    problem = MixtureProblem(
        cost_rollout=cost_rollout,
        cheap_cost=cheap_cost,
        gold_cost=gold_cost,
        cheap_variance=cheap_variance,
        gold_variance=gold_variance,
        correlation=correlation,
        bias=bias,
    )
    _require_mixture_terms(budget, problem)
    choices = _choices(problem, budget)
    winner = min(choices, key=lambda choice: choice.error)
    changes, first = _changes(problem, budget)
    return MixturePlan(
        winner=winner.name,
        choices=choices,
        changes=changes,
        coefficient=float(correlation * np.sqrt(gold_variance / cheap_variance)),
        least_correlation=least_correlation(problem),
        budget=float(budget),
        warnings=(),
        verdict="",
        reasons=_verdict(choices, problem, first),
        question=MixtureQuestion(
            budget=float(budget),
            **{name: float(value) for name, value in problem._asdict().items()},
        ),
    )


def _verdict(
    choices: tuple[MixtureChoice, ...], problem: MixtureProblem, smallest: str
) -> MixtureVerdict:
    """What hangs on the winner; `smallest` is the way that wins with the smallest budget."""
    best, *rest = sorted(choices, key=lambda choice: choice.error)
    losses = tuple(
        WayLoss(
            name=choice.name,
            excess=choice.error / best.error - 1,
            biased=choice.squared_bias > choice.variance,
        )
        for choice in rest
    )
    stakes = Stakes.MATTERS if losses else Stakes.UNRIVALLED
    if rest and rest[0].error < (1 + _MATTERS) * best.error:
        stakes = Stakes.HARDLY_MATTERS
    return MixtureVerdict(stakes, losses, smallest, _caveats(choices, problem))


def _caveats(choices: tuple[MixtureChoice, ...], problem: MixtureProblem) -> tuple[Caveat, ...]:
    """What the reader should know before acting on the plan."""
    notes = []
    if problem.correlation == 0:
        notes.append(Caveat(CaveatKind.NO_CORRELATION))
    elif all(choice.name != "mixture" for choice in choices):
        numbers = {"correlation": problem.correlation, "fewest": problem.fewest_gold}
        notes.append(Caveat(CaveatKind.NO_MIXTURE, "", numbers))
    if problem.bias == 0:
        notes.append(Caveat(CaveatKind.NO_BIAS))
    return tuple(notes)


def _require_mixture_terms(budget: float, problem: MixtureProblem) -> None:
    checks.positive("the budget", budget)
    checks.at_least("the cost of a rollout", problem.cost_rollout, 0)
    if not np.isfinite(problem.cost_rollout):
        raise checks.BadArgument(
            f"the cost of a rollout is {problem.cost_rollout:g}; it must be finite."
        )
    checks.positive("the cost of cheap labels", problem.cheap_cost)
    checks.positive("the cost of gold labels", problem.gold_cost)
    checks.positive("the variance under cheap labels", problem.cheap_variance)
    checks.positive("the variance under gold labels", problem.gold_variance)
    checks.between("the correlation", problem.correlation, -1, 1)
    checks.between("the bias of cheap labels", problem.bias, 0, _MOST_BIAS)
    least = min(problem.cheap_rollout_price, problem.gold_rollout_price)
    if budget > _MOST_ROLLOUTS * least:
        raise checks.BadArgument(
            f"the budget of {budget:g} buys over {_MOST_ROLLOUTS:g} rollouts; that is no plan."
        )
    if budget * (1 + ROUNDING) < least:
        raise checks.BadArgument(
            f"the budget of {budget:g} buys not one rollout: a labelled one costs {least:g}."
        )


def _choices(problem: MixtureProblem, budget: float) -> tuple[MixtureChoice, ...]:
    """The choices that the budget pays for, in whole rollouts."""
    cheap = _whole(budget / problem.cheap_rollout_price)
    gold = _whole(budget / problem.gold_rollout_price)
    choices = []
    if cheap:
        variance = problem.cheap_variance / cheap
        choices.append(_choice("cheap", cheap, 0, variance, squared_bias=problem.bias**2))
    if gold:
        choices.append(_choice("gold", gold, gold, problem.gold_variance / gold))
    counts = allocate(problem, budget)
    if counts is not None:
        choices.append(_choice("mixture", *counts, float(problem.mixture_variance(*counts))))
    return tuple(choices)


def _choice(
    name: str, rollouts: int, gold: int, variance: float, squared_bias: float = 0.0
) -> MixtureChoice:
    """A choice with its squared error, the sum of variance and squared bias.

    Args:
        name, rollouts, gold, variance, squared_bias: The fields of the choice.
    """
    return MixtureChoice(
        name=name,
        rollouts=rollouts,
        gold=gold,
        variance=variance,
        squared_bias=squared_bias,
        error=variance + squared_bias,
    )


def _whole(number: float) -> int:
    return int(number * (1 + ROUNDING))


def allocate(problem: MixtureProblem, budget: float) -> tuple[int, int] | None:
    """The best whole numbers of cheap-labelled rollouts and of gold labels on them; `None` where
    the budget buys too few gold labels.

    For each number of gold labels, all else goes into rollouts. Rounding these down costs at most
    1/N of the variance, which n may not leave its real optimum by more than about sqrt(w₂n/w₁) to
    win back.
    """
    cheap_price, gold_cost = problem.cheap_rollout_price, problem.gold_cost
    least, most = problem.fewest_gold, _whole(budget / (cheap_price + gold_cost))
    if most < least:
        return None
    best = np.clip(budget / (gold_cost + cheap_price * problem.best_ratio), least, most)
    width = 8 * np.sqrt(cheap_price / gold_cost * best) + 16
    gold = np.arange(max(least, np.floor(best - width)), min(most, np.ceil(best + width)) + 1)
    rollouts = np.floor((budget - gold * gold_cost) / cheap_price * (1 + ROUNDING))
    i = int(np.argmin(problem.mixture_variance(rollouts, gold)))
    return int(rollouts[i]), int(gold[i])


def squared_errors(problem: MixtureProblem, budgets: np.ndarray) -> np.ndarray:
    """Squared errors `[3, budget]` of cheap, gold and mixture in real numbers; infinite where money
    is too short.
    """
    cheap_price, gold_cost = problem.cheap_rollout_price, problem.gold_cost
    cheap, gold = budgets / cheap_price, budgets / problem.gold_rollout_price
    alone = [
        np.where(cheap >= 1, problem.cheap_variance / cheap + problem.bias**2, np.inf),
        np.where(gold >= 1, problem.gold_variance / gold, np.inf),
    ]
    most = budgets / (cheap_price + gold_cost)
    labels = np.maximum(
        budgets / (gold_cost + cheap_price * problem.best_ratio), problem.fewest_gold
    )
    labels = np.minimum(labels, most)
    rollouts = (budgets - labels * gold_cost) / cheap_price
    mixture = np.where(
        most >= problem.fewest_gold, problem.mixture_variance(rollouts, labels), np.inf
    )
    return np.stack([*alone, mixture])


def _changes(problem: MixtureProblem, budget: float) -> tuple[dict[str, float], str]:
    """The budgets from which another choice starts to win, in real numbers, and the choice that
    wins with the smallest budget.

    Cheap labels, if they ever win, do so first; the mixture, if it ever beats gold, does so from
    some budget on. So each change happens once, and halving the interval finds it.
    """
    cheap, gold = problem.cheap_rollout_price, problem.gold_rollout_price
    mixture = problem.fewest_gold * (cheap + problem.gold_cost)
    reach = max((start for start in (cheap, gold, mixture) if start <= _FARTHEST), default=0.0)
    if problem.bias > 0:
        equal = problem.gold_variance * gold / problem.bias / problem.bias
        reach = max(reach, min(equal, _FARTHEST))
    least = min(cheap, gold)
    grid = np.geomspace(least, _REACH * max(least, budget, reach), _BUDGETS)
    winners = squared_errors(problem, grid).argmin(axis=0)
    at = np.flatnonzero(np.diff(winners))
    low, high = grid[at], grid[at + 1]
    for _ in range(60):
        middle = np.sqrt(low * high)
        before = squared_errors(problem, middle).argmin(axis=0) == winners[at]
        low, high = np.where(before, middle, low), np.where(before, high, middle)
    changes = {NAMES[winners[i + 1]]: float(start) for i, start in zip(at, high, strict=True)}
    return changes, NAMES[winners[0]]
