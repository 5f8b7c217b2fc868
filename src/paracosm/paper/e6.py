"""E6, Proposition 2: the floor that biased labels leave, and how to go below it.

The paper: with labels `r + b` the squared error of the gradient is `Var₁[r + b]/K + ‖∇B_H‖²`, so
that more rollouts never remove the second term. Here that is measured, the floor by two routes.
Beyond the paper gold labels on n of N rollouts remove the floor: the mean of `λ g_cheap` over all
plus that of `g_gold − λ g_cheap` over the n has no bias and, at the best λ, the variance
`σ_g² ((1 − ρ²)/n + ρ²/N)`. And which of cheap, gold and both wins at which budget is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Claim, Findings, Series, Table
from paracosm.paper import statistics
from paracosm.paper.e6_cells import (
    AFFORDED,
    MAIN_GOLD,
    MIXED,
    PRICES,
    ROLLOUTS,
    SD,
    WORLDS,
    budgets,
    cells,
)
from paracosm.paper.e6_winners import followed
from paracosm.paper.study import Answer, Study, beside, beyond
from paracosm.planning.mixture import NAMES

_MOMENTS = ("gold", "cheap", "between")
_TARGET = 0.1  # of the floor, at most, with a few gold labels


def _squared_correlation(moments: np.ndarray) -> np.ndarray:
    gold, cheap, between = moments
    return between**2 / (cheap * gold)


def _mixture_variance(moments: np.ndarray, number: int) -> np.ndarray:
    square = _squared_correlation(moments)
    return moments[0] * ((1 - square) / number + square / MIXED)


class _LabelAnswers:
    """The answers, by what they were asked."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.answers = answers
        self.moments = {answer.arguments["world"]: answer.result for answer in self.of("moments")}

    def of(self, name: str, **arguments: Any) -> list[Answer]:
        """Cells of this function with these arguments."""
        return [
            answer
            for answer in self.answers
            if answer.function.endswith(f":{name}")
            and arguments.items() <= answer.arguments.items()
        ]

    def floors(self, world: str) -> list[Answer]:
        """The squared errors by the number of rollouts."""
        return sorted(
            self.of("floor", world=world), key=lambda answer: answer.arguments["rollouts"]
        )

    def floor(self, world: str) -> float:
        """`‖∇B_H‖²`, in closed form or as measured on the same rollouts."""
        moments = self.moments[world]
        return float(np.mean(moments.get("closed", moments["paired"])))

    def predicted(self, answer: Answer) -> float:
        """`Var₁[r + b]/K + ‖∇B_H‖²`."""
        world = answer.arguments["world"]
        return float(np.mean(self.moments[world]["cheap"])) / answer.arguments[
            "rollouts"
        ] + self.floor(world)

    def squared_correlation(self, world: str) -> float:
        """`ρ²` of gold and cheap gradients."""
        return float(_squared_correlation(self._variances(world))[0])

    def mixture_variance(self, answer: Answer) -> float:
        """`σ_g² ((1−ρ²)/n + ρ²/N)`."""
        return float(
            _mixture_variance(self._variances(answer.arguments["world"]), answer.arguments["gold"])[
                0
            ]
        )

    def mixture_ratio(self, answer: Answer) -> Estimate:
        """The debiased gradient's variance over that; of the moments' own error by the jackknife
        over their blocks.
        """
        moments = self.moments[answer.arguments["world"]]
        blocks = np.array([moments[name] for name in _MOMENTS])
        left_out = (blocks.sum(axis=1, keepdims=True) - blocks) / (blocks.shape[1] - 1)
        variances = _mixture_variance(left_out, answer.arguments["gold"])
        deviation = np.sqrt((len(variances) - 1) * np.var(variances)) / np.mean(variances)
        half = float(
            np.hypot(
                statistics.relative_half(answer.result["variance"]),
                statistics.wide(len(variances)) * deviation,
            )
        )
        return statistics.around(
            float(np.mean(answer.result["variance"])) / self.mixture_variance(answer),
            half,
            len(variances),
        )

    def gain(self, world: str) -> float:
        """How far the variance is below that of the same gold labels alone."""
        main = self.main(world)
        return float(
            np.mean(self.moments[world]["gold"]) / MAIN_GOLD / np.mean(main.result["variance"])
        )

    def cheap_best(self, world: str) -> str:
        """Up to which budget cheap labels alone were measured best, at the first prices."""
        errors = self.of("winners", world=world, prices=list(PRICES[0]))[0].result["measured"]
        cheap = NAMES.index("cheap")
        won = [
            min((error, i) for i, error in enumerate(row) if error >= 0)[1] == cheap
            for row in errors
        ]
        tried = budgets(PRICES[0])
        if all(won):
            return f"at every budget tried, up to {tried[-1]:,.0f},"
        first_lost = won.index(False)
        return f"up to a budget of {tried[first_lost - 1]:,.0f}" if first_lost else "at no budget"

    def _variances(self, world: str) -> np.ndarray:
        return np.array([[np.mean(self.moments[world][name])] for name in _MOMENTS])

    def main(self, world: str) -> Answer:
        """The debiased gradient with the main share of gold labels."""
        return self.of("debiased", world=world, gold=MAIN_GOLD, tuning="leave-one-out")[0]

    def remaining_bias(self, answer: Answer) -> Estimate:
        """The debiased gradient's squared bias as a share of the floor."""
        return statistics.scaled(
            estimators.mean(answer.result["bias"]), 1 / self.floor(answer.arguments["world"])
        )

    def slope(self, world: str) -> Estimate:
        """Of the log squared error over log K, at the three largest K."""
        subset = self.floors(world)[-3:]
        rollouts = [answer.arguments["rollouts"] for answer in subset]
        return statistics.log_slope(
            rollouts, [answer.result["errors"] for answer in subset], [1.0] * len(subset)
        )

    def predicted_slope(self, world: str) -> float:
        """The same of the predicted error."""
        subset = self.floors(world)[-3:]
        logs = np.log([[answer.arguments["rollouts"], self.predicted(answer)] for answer in subset])
        return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])

    def of_prediction(self, world: str) -> Estimate:
        """Measured squared error over the predicted one, all K together; the prediction's own error
        is counted.
        """
        subset, moments = self.floors(world), self.moments[world]
        ratio = statistics.pooled(
            [
                (np.asarray(answer.result["errors"]) / self.predicted(answer)).tolist()
                for answer in subset
            ]
        )
        floor_share = float(
            np.mean([self.floor(world) / self.predicted(answer) for answer in subset])
        )
        of_floor = floor_share * statistics.relative_half(moments.get("closed", moments["paired"]))
        of_variance = (1 - floor_share) * statistics.relative_half(moments["cheap"])
        half = np.linalg.norm([(ratio.high - ratio.low) / 2 / ratio.mean, of_floor, of_variance])
        return statistics.around(ratio.mean, float(half), ratio.n)


def read(answers: Sequence[Answer]) -> Findings:
    """Claims, tables and charts from the answers."""
    index = _LabelAnswers(answers)
    claims = _claims(index)
    tables = (_by_rollouts(index), _mixtures(index), _by_budget(index))
    return Findings(
        _setup(), _choices(index), claims, tables, _charts(index), _summary(index, claims)
    )


def _claims(answers: _LabelAnswers) -> tuple[Claim, ...]:
    slope, bias, main = (
        answers.slope("linear"),
        answers.remaining_bias(answers.main("linear")),
        answers.main("linear"),
    )
    moments = answers.moments["linear"]
    floors = statistics.scaled(estimators.mean(moments["paired"]), 1 / answers.floor("linear"))
    agreement, cost = followed(answers.of("winners"))
    predicted_slope = answers.predicted_slope("linear")
    of_prediction = answers.of_prediction("linear")
    return (
        beside(
            "floor_ratio",
            "The squared bias measured on paired rollouts over ‖∇B_H‖² in closed form.",
            floors,
            1.0,
            differs="the interval does not hold 1.",
            agrees="our interval holds 1: the closed form and drawn rollouts are two routes to it.",
            says="the floor is ‖∇B_H‖²",
        ),
        beside(
            "error_over_prediction",
            "Measured squared error over Var₁[r + b]/K + ‖∇B_H‖², all K together.",
            of_prediction,
            1.0,
            differs="the interval does not hold 1.",
            agrees="our interval holds 1. That an error is variance and squared bias is an"
            " identity; what was measured"
            " is that Var₁ and the floor, from other rollouts and in closed form, are those of"
            " this estimator.",
            says="Var₁[r + b]/K + ‖∇B_H‖²",
        ),
        beside(
            "slope_at_large_k",
            f"Slope of log squared error over log K, K from {ROLLOUTS[-3]:,} to {ROLLOUTS[-1]:,}.",
            slope,
            predicted_slope,
            says=f"more rollouts never remove the floor (slope {predicted_slope:.3f} by its"
            " formula at these K)",
            agrees="our interval holds the formula's slope: the floor has none, and what is left"
            " of Var₁/K makes it;"
            " without the floor it would be -1.",
            differs="the interval does not hold the formula's slope.",
        ),
        beyond(
            "debiased_squared_bias",
            f"Squared bias with gold labels on {MAIN_GOLD} of {MIXED} rollouts, as a share of the"
            " floor.",
            bias,
            why=(
                f"the paper has no such estimator; a tenth at most was asked, which is "
                f"{'met' if bias.high < _TARGET else 'not shown'}, and theory has 0."
            ),
        ),
        beyond(
            "mixture_variance_ratio",
            "The debiased gradient's variance over the best that one fixed coefficient could have.",
            answers.mixture_ratio(main),
            why="the paper has no such estimator; 1 is the theory, estimating the coefficient"
            " costs a little.",
        ),
        beyond(
            "winner_agreement",
            "Share of these prices and budgets with a choice at which the way predicted to be best"
            " was measured to be.",
            agreement,
            why="the paper has no such comparison; the ends count the choices where it is best, or"
            " another is not"
            " better, beyond chance on fresh rollouts. Other prices and budgets are not in the"
            " interval.",
        ),
        beyond(
            "cost_of_following",
            "Squared error of the way predicted to be best over that of the best measured, less 1:"
            " mean of these prices"
            " and budgets.",
            cost,
            why="the paper has no such comparison; 0 is always picking the best, which other"
            " rollouts chose. Other"
            " prices and budgets are not in the interval.",
        ),
    )


def _by_rollouts(answers: _LabelAnswers) -> Table:
    rows = []
    for world in WORLDS:
        for answer in answers.floors(world):
            error = estimators.mean(answer.result["errors"])
            predicted = answers.predicted(answer)
            rows.append(
                (
                    f"{world}, {answer.arguments['rollouts']:,}",
                    f"{error:.4g}",
                    f"{predicted:.4g}",
                    f"{answers.floor(world) / predicted:.0%}",
                )
            )
    columns = ("world, rollouts", "squared error", "predicted", "the floor's share")
    return Table("Biased labels: the error stops falling", columns, tuple(rows))


def _mixtures(answers: _LabelAnswers) -> Table:
    rows = []
    for world in WORLDS:
        for answer in sorted(
            answers.of("debiased", world=world),
            key=lambda e: (e.arguments["tuning"], e.arguments["gold"]),
        ):
            variance, gold = (
                estimators.mean(answer.result["variance"]),
                np.mean(answers.moments[world]["gold"]) / answer.arguments["gold"],
            )
            ratio = statistics.scaled(variance, 1 / answers.mixture_variance(answer))
            rows.append(
                (
                    f"{world}, {answer.arguments['gold']} of {MIXED}",
                    answer.arguments["tuning"],
                    f"{answers.remaining_bias(answer):.3f}",
                    f"{variance.mean:.3g}",
                    f"{ratio:.3f}",
                    f"{gold:.3g}",
                )
            )
    columns = (
        "world, gold labels",
        "λ estimated",
        "squared bias / floor",
        "variance",
        "over the formula",
        "of gold alone",
    )
    return Table("A few gold labels", columns, tuple(rows))


def _by_budget(answers: _LabelAnswers) -> Table:
    rows = []
    for answer in sorted(answers.of("winners"), key=lambda errors: errors.arguments["world"]):
        for budget, predicted, errors_measured in zip(
            budgets(PRICES[0]), answer.result["predicted"], answer.result["measured"], strict=True
        ):
            ways = [i for i, error in enumerate(predicted) if error >= 0]
            names = (
                NAMES[min(ways, key=lambda i: errors[i])] for errors in (predicted, errors_measured)
            )
            if answer.arguments["prices"] == list(PRICES[0]):
                rows.append(
                    (
                        f"{answer.arguments['world']}, {budget:,.0f}",
                        *names,
                        *("" if e < 0 else f"{e:.3g}" for e in errors_measured),
                    )
                )
    columns = ("world, budget", "predicted winner", "measured winner", *NAMES)
    note = (
        "Squared errors measured. "
        + "A rollout costs {:g}, its cheap labels {:g}, its gold labels {:g}.".format(*PRICES[0])
    )
    return Table("Which labels win at which budget", columns, tuple(rows), note)


def _charts(answers: _LabelAnswers) -> tuple[Chart, ...]:
    series = []
    for world in WORLDS:
        subset = answers.floors(world)
        k = tuple(float(answer.arguments["rollouts"]) for answer in subset)
        series.append(
            Series(
                f"{world}: measured",
                k,
                tuple(float(np.mean(answer.result["errors"])) for answer in subset),
                "points",
            )
        )
        series.append(
            Series(f"{world}: predicted", k, tuple(answers.predicted(answer) for answer in subset))
        )
    gold = tuple(float(np.mean(answers.moments["linear"]["gold"])) / k for k in ROLLOUTS)
    series.append(Series("linear: without bias", tuple(map(float, ROLLOUTS)), gold, "dashed"))
    first = Chart(
        "floor",
        "The floor of biased labels",
        "rollouts",
        "squared error",
        tuple(series),
        "To look for: whether the error falls as 1/K down to the floor ‖∇B_H‖², and stays.",
        True,
        True,
    )
    answer = answers.of("winners", world="linear", prices=list(PRICES[0]))[0]
    columns = np.array(answer.result["measured"])
    ways = tuple(
        Series(
            name,
            tuple(
                float(b) for b, e in zip(budgets(PRICES[0]), columns[:, i], strict=True) if e >= 0
            ),
            tuple(float(e) for e in columns[:, i] if e >= 0),
        )
        for i, name in enumerate(NAMES)
    )
    caption = (
        "To look for: up to which budget cheap labels are lowest, and what is from where their"
        " bias counts."
    )
    return first, Chart(
        "budgets", "Three ways to label", "budget", "squared error", ways, caption, True, True
    )


def _setup() -> tuple[str, ...]:
    return (
        "The two worlds of E4, with the weight γ^t and no baseline. Cheap labels are the reward"
        " plus a bias that "
        "depends on state and action "
        "(another quadratic; half of another random reward) plus noise of standard deviation"
        f" {SD:g}. Gold labels "
        "are the reward.",
        "The floor is ‖∇B_H‖² in closed form in the linear world; paired rollouts estimate it"
        " without bias in "
        "both. The true gradient of the tanh world is the mean "
        "of a million other rollouts, whose own error is subtracted.",
        f"The debiased gradient has {MIXED} rollouts with cheap labels and gold labels on some,"
        " and estimates λ by "
        "leave-one-out. Its squared bias is estimated without bias.",
        f"Who wins: {len(PRICES)} price lists, budgets that buy {AFFORDED[0]} to {AFFORDED[-1]:,}"
        " rollouts with "
        "cheap labels, plan_mixture on moments of other rollouts beside measured squared errors.",
    )


def _choices(answers: _LabelAnswers) -> tuple[Choice, ...]:
    tanh = answers.remaining_bias(answers.main("tanh"))
    cross = answers.of("debiased", world="linear", tuning="cross-fit")[0]
    over = np.mean(cross.result["variance"]) / np.mean(answers.main("linear").result["variance"])
    shares = "; ".join(
        f"{e.arguments['gold']}: {answers.remaining_bias(e):.3f}"
        for e in answers.of("debiased", world="linear", tuning="leave-one-out")
    )
    return (
        Choice(
            "the world and the bias",
            "linear-quadratic, another quadratic",
            f"In the tanh world ρ² is {answers.squared_correlation('tanh'):.2f}, here "
            f"{answers.squared_correlation('linear'):.2f}; the slope is "
            f"{answers.slope('tanh'):.3f}, and {tanh:.3f} of the floor is left.",
        ),
        Choice(
            "how many rollouts have gold labels",
            f"{MAIN_GOLD} of {MIXED}",
            f"The share of the floor that is left, by their number: {shares}.",
        ),
        Choice(
            "how λ is estimated",
            "leave-one-out",
            f"With two folds the variance is {over:.2f} times as large.",
        ),
    )


def _summary(answers: _LabelAnswers, claims: tuple[Claim, ...]) -> str:
    ours = {claim.id: claim for claim in claims}
    bias, error, agreement = (
        ours["debiased_squared_bias"],
        ours["error_over_prediction"],
        ours["winner_agreement"],
    )
    cost = ours["cost_of_following"]
    stays = "stays" if ours["slope_at_large_k"].verdict == "agrees" else "does not stay"
    below = (
        "goes below a tenth of it"
        if bias.high < _TARGET
        else "was not shown to go below a tenth of it"
    )
    return (
        f"With biased labels the squared error falls to the floor ‖∇B_H‖² and {stays} there:"
        " measured over "
        f"predicted it is {error.ours:.3f} [{error.low:.3f}, {error.high:.3f}] over "
        f"K from 1 to {ROLLOUTS[-1]:,}. With gold labels on one rollout in {MIXED // MAIN_GOLD}"
        " the "
        f"debiased gradient's squared bias {below} "
        f"({bias.ours:.4f} [{bias.low:.4f}, {bias.high:.4f}] of the floor), and its variance is "
        f"{answers.gain('linear'):.1f} times below that of the same gold labels alone"
        f" ({answers.gain('tanh'):.1f} times in "
        "the tanh world). "
        f"The plan named the best of cheap, gold and both in {agreement.ours:.0%}"
        f" [{agreement.low:.0%}, {agreement.high:.0%}] of the "
        f"prices and budgets tried; following it cost {cost.ours:.2%} [{cost.low:.2%},"
        f" {cost.high:.2%}] on average. "
        f"At the first prices cheap labels alone were best {answers.cheap_best('linear')} in the"
        f" linear world and {answers.cheap_best('tanh')} in the tanh world."
    )


STUDY = Study(
    "What error do biased reward labels leave in a policy gradient, and can a few unbiased ones"
    " remove it?",
    cells,
    read,
)
