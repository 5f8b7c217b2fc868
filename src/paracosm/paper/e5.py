"""E5, Corollary 2: cheap noisy labels or dear clean ones?

The paper: at a budget B a label's cost c buys K = B/c rollouts whose labels have noise σ²(c); what
counts is `c σ²(c)`, in three regimes: of `σ² = A c^(−p)` buy the dearest if p > 1 and the cheapest
if p < 1, of `σ₀² (1 − c/c_max)` the dearest, of `σ_f² + A/c` the cheapest. Here the squared error
of a real REINFORCE gradient is measured along the costs: first that part which labels cause, where
the paper's rules must hold, then the whole error where a rollout has a price c₀ and a variance V₀
of its own: `(V₀ + Q σ²(c)) / K` with `K = B / (c₀ + c)`, which is least elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Claim, Findings, Series, Table
from paracosm.paper import statistics
from paracosm.paper.e5_cells import (
    ALMOST_FREE,
    ALONE,
    BOUNDED,
    BUDGET,
    CHEAPEST_FIRST,
    DEAREST,
    MOST_COST,
    NAMED,
    NOISIER,
    PAPER_BUYS,
    ROLLOUT_PRICE,
    WHOLE,
    WORLDS,
    cells,
)
from paracosm.paper.power_laws import resampled
from paracosm.paper.study import Answer, Study, beside, beyond, bounded, must_hold

_KNOWN = ("intrinsic", "intrinsic_half", "coefficient", "coefficient_half")


class _PurchaseGrid:
    """What a `whole` cell measured: the costs of the grid, the plan without and with repeats, and
    the paper's rule.
    """

    def __init__(self, answer: Answer) -> None:
        self.law, self.world = answer.arguments["law"], answer.arguments["world"]
        result = answer.result
        self.purchases, self.errors, self.predicted = (
            result["bought"],
            result["errors"],
            result["predicted"],
        )
        self.moments = {name: result[name] for name in _KNOWN}
        self.plan, self.repeated_plan = len(self.purchases) - 2, len(self.purchases) - 1
        self.grid = range(self.plan)
        self.half = len(self.errors[0]) // 2
        self.best = int(np.argmin([np.mean(self.errors[i][: self.half]) for i in self.grid]))

    def over_best(self, purchase: int) -> Estimate:
        """The error of a purchase over that of the grid's best, which half of the blocks chose and
        the others tell.
        """
        return statistics.paired_ratio(
            self.errors[purchase][self.half :], self.errors[self.best][self.half :]
        )

    @property
    def prediction_half(self) -> float:
        """Mean half-interval of the predictions, as a share of them, by those of V₀ and Q.

        V₀ and Q come from the same rollouts; their errors are added as if they always went the same
        way.
        """
        v0, half_v0, q, half_q = self.moments.values()
        variances = np.array(self.predicted) * [k for _, k, _ in self.purchases]
        of_v0 = v0 / variances
        return float(np.mean(of_v0 * half_v0 / v0 + (1 - of_v0) * half_q / q))

    @property
    def paper(self) -> int | None:
        """What the paper's rule buys among the grid's prices; at p = 1 it names none."""
        rollouts = PAPER_BUYS.get(self.law)
        return None if rollouts is None else 1 + CHEAPEST_FIRST.index(rollouts)

    @property
    def loss(self) -> Estimate | None:
        """The error under the paper's rule over that of the plan."""
        return (
            None
            if self.paper is None
            else statistics.paired_ratio(self.errors[self.paper], self.errors[self.plan])
        )


def read(answers: Sequence[Answer]) -> Findings:
    """Claims, tables and charts from the answers."""
    labels = {
        (answer.arguments["world"], answer.arguments["law"]): answer.result["errors"]
        for answer in answers
        if answer.function.endswith(":alone")
    }
    purchases = [_PurchaseGrid(answer) for answer in answers if answer.function.endswith(":whole")]
    claims = (*_paper_claims(labels), *_whole_claims(purchases))
    return Findings(
        setup=_setup(),
        choices=_choices(labels, purchases),
        claims=claims,
        tables=(_alone_table(labels), _whole_table(purchases)),
        charts=(_alone_chart(labels), _whole_chart(purchases)),
        found=_summary(claims, purchases),
    )


def _slope(labels: dict[tuple[str, str], Any], world: str, law: str) -> Estimate:
    costs = [
        BUDGET / rollouts for rollouts in ALONE[law]
    ]  # and in proportion to them the number of gradients
    return statistics.log_slope(costs, labels[world, law], costs)


def _worst(errors: list[list[float]]) -> Estimate:
    """Where `c σ²(c)` is largest under the bounded law, as a share of its dearest cost: the top of
    a fitted parabola.

    The error is `a c − b c²`; the interval is a bootstrap of the blocks with a fixed seed. A point
    is weighted by the deviation that it would have if `c σ²(c)` were right, since K rollouts leave
    1/K as many gradients.
    """
    costs = BUDGET / np.array(ALONE[f"bounded:1,{DEAREST}"], float)
    blocks = np.asarray(errors)[costs < DEAREST]
    costs = costs[costs < DEAREST]
    weight = np.sqrt(costs) / (costs * (1 - costs / DEAREST))
    design = np.stack([costs, -(costs**2)], axis=1) * weight[:, None]

    def top(means: np.ndarray) -> float:
        a, b = np.linalg.lstsq(design, weight * means, rcond=None)[0]
        return float(a / (2 * b) / DEAREST)

    random = np.random.default_rng(0)
    resamples = [
        top(
            np.take_along_axis(
                blocks, random.integers(0, blocks.shape[1], blocks.shape), axis=1
            ).mean(axis=1)
        )
        for _ in range(500)
    ]
    estimate = resampled(np.array([top(blocks.mean(axis=1)), *resamples]), blocks.size)
    return dataclasses.replace(estimate, method="parabola, 95% bootstrap of blocks")


_EXPONENTS = {"power:1,2": 2.0, "power:1,1": 1.0, "power:1,0.5": 0.5}
_PUT_IN = "σ²(c) is put in exactly, so what was measured is that the error falls as 1/K"


def _paper_claims(labels: dict[tuple[str, str], Any]) -> tuple[Claim, ...]:
    limited, floor = labels["linear", f"bounded:1,{DEAREST}"], labels["linear", "floor:1,8"]
    clean = float(np.mean(limited[0]) / max(np.mean(errors) for errors in limited))
    dear = statistics.ratio(floor[0], floor[-1])
    names = dict(zip(_EXPONENTS, ("steep", "even", "flat"), strict=True))
    says = {
        "steep": "p > 1: buy the best",
        "even": "p = 1: indifferent",
        "flat": "p < 1: buy the cheapest",
    }
    slopes = tuple(
        beside(
            f"{name}_slope",
            "Slope of the log error that labels cause over log cost at an equal budget, σ²(c) ="
            f" c^-{p:g}.",
            _slope(labels, "linear", law),
            1 - p,
            says=f"{says[name]} (c σ² grows as c^{1 - p:g})",
            differs="the interval does not hold the exponent of c σ²(c).",
            agrees=f"our interval holds the paper's number; {_PUT_IN}.",
        )
        for (law, name), p in zip(names.items(), _EXPONENTS.values(), strict=True)
    )
    return (
        *slopes,
        beside(
            "bounded_worst_cost",
            "The cost at which the error is largest under σ²(c) = 1 − c/c_max, as a share of"
            " c_max.",
            _worst(limited),
            0.5,
            says="half of c_max is worst",
            differs="the interval does not hold one half.",
            agrees=f"our interval holds the paper's number; {_PUT_IN}.",
        ),
        must_hold(
            "bounded_clean",
            "The error at c_max over the largest, under the bounded law.",
            Estimate(clean, clean, clean, statistics.BLOCKS, "exact"),
            paper=0.0,
            holds=clean == 0,
            why=(
                "by construction, not by measurement: labels at c_max have no noise"
                + (", and all others have." if clean == 0 else "; yet an error was found.")
            ),
            says="only c_max attains the optimum",
        ),
        bounded(
            "floor_dearest_over_cheapest",
            f"The error with labels of {BUDGET} over that with labels of 1, σ²(c) = 1 + 8/c.",
            dear,
            1.0,
            side="above",
            says="buy the cheapest",
            why=f"c σ²(c) predicts {(BUDGET + 8) / 9:.3g}, and {_PUT_IN}",
        ),
    )


def _whole_claims(purchases: list[_PurchaseGrid]) -> tuple[Claim, ...]:
    regrets = [cell.over_best(cell.plan) for cell in purchases]
    worst = max(regret.mean - 1 for regret in regrets)
    over = statistics.averaged(regrets)
    mean = dataclasses.replace(over, mean=over.mean - 1, low=over.low - 1, high=over.high - 1)
    losses = [
        (cell, cell.loss) for cell in purchases if cell.world == "linear" and cell.loss is not None
    ]
    of_law = tuple(
        beyond(
            f"paper_rule_{NAMED[cell.law]}",
            f"The whole squared error under the paper's rule over that of the plan, {cell.law},"
            " linear world.",
            loss,
            why="the paper's rule leaves out the rollout's own price and variance.",
        )
        for cell, loss in losses
    )
    return (
        beyond(
            "regret_total_cost",
            f"The plan's squared error over that of the best of {len(purchases[0].grid)} measured"
            " costs, less 1: mean "
            f"of {len(purchases)} plans.",
            mean,
            why=(
                "the paper has no price and no variance of the rollout itself; 0 is the grid's"
                " best, the worst "
                f"plan has {worst:.1%}."
            ),
        ),
        beyond(
            "measured_over_predicted",
            "Measured squared error over (V₀ + Q σ²(c))/K, all costs, laws and worlds together.",
            _agreement(purchases),
            why="the paper gives a bound only; the exact form must give 1.",
        ),
        *of_law,
    )


def _agreement(purchases: list[_PurchaseGrid]) -> Estimate:
    """Of every cell the mean over its purchases, which share their rollouts; then over the cells.

    The cells of a world share V₀ and Q, whose error is counted once for each world.
    """
    ratio = statistics.pooled(
        [
            np.mean(np.asarray(cell.errors) / np.array(cell.predicted)[:, None], axis=0).tolist()
            for cell in purchases
        ]
    )
    halves = [
        sum(cell.prediction_half for cell in purchases if cell.world == world) / len(purchases)
        for world in WORLDS
    ]
    return statistics.around(
        ratio.mean,
        float(np.linalg.norm([*halves, (ratio.high - ratio.low) / 2 / ratio.mean])),
        ratio.n,
    )


def _alone_table(labels: dict[tuple[str, str], Any]) -> Table:
    rows = []
    for world in WORLDS:
        for law, counts in ALONE.items():
            means = [float(np.mean(errors)) for errors in labels[world, law]]
            best, worst = (
                BUDGET / counts[int(np.argmin(means))],
                BUDGET / counts[int(np.argmax(means))],
            )
            slope = f"{_slope(labels, world, law):.3f}" if law.startswith("power") else ""
            rows.append(
                (
                    f"{world}, {law}",
                    f"{best:g}",
                    f"{worst:g}",
                    f"{max(means) / max(min(means), 1e-300):.3g}" if min(means) else "no limit",
                    slope,
                )
            )
    columns = ("world, law", "best cost", "worst cost", "worst over best", "slope over cost")
    note = (
        f"The budget is {BUDGET}; costs are {BUDGET}/K. For p = 1 which cost is best or worst is"
        " chance."
    )
    return Table("The part of the error that labels cause", columns, tuple(rows), note)


def _whole_table(purchases: list[_PurchaseGrid]) -> Table:
    rows = []
    for cell in sorted(purchases, key=lambda cell: (cell.world, WHOLE.index(cell.law))):
        repeats = cell.purchases[cell.repeated_plan]
        rows.append(
            (
                f"{cell.world}, {cell.law}",
                f"{cell.purchases[cell.plan][0]:.3g}",
                f"{cell.purchases[cell.best][0]:.3g}",
                f"{cell.over_best(cell.plan).mean - 1:.1%}",
                "" if cell.loss is None else f"{cell.purchases[cell.paper or 0][0]:.3g}",
                "" if cell.loss is None else f"{cell.loss.mean:.2f}",
                f"{repeats[2]:.0f} of {repeats[0]:.3g}",
                f"{cell.over_best(cell.repeated_plan).mean - 1:.1%}",
            )
        )
    columns = (
        "world, law",
        "planned cost",
        "best measured",
        "regret",
        "paper's rule",
        "its error over the plan's",
        "with repeats",
        "regret with repeats",
    )
    note = (
        f"A rollout costs {ROLLOUT_PRICE:g} before it is labelled, the budget is {BUDGET}. Regret"
        " is against the "
        "best of one label a rollout, so that "
        "several labels a rollout can have a negative one. The paper's rule is taken within costs"
        f" of {_limits()}."
    )
    return Table("Rollouts with a price and a variance of their own", columns, tuple(rows), note)


def _alone_chart(labels: dict[tuple[str, str], Any]) -> Chart:
    series = []
    for law, counts in ALONE.items():
        keep = [i for i, errors in enumerate(labels["linear", law]) if np.mean(errors) > 0]
        x = tuple(BUDGET / counts[i] for i in keep)
        series.append(Series(law, x, tuple(float(np.mean(labels["linear", law][i])) for i in keep)))
    caption = (
        "Under laws of one part c σ²(c) makes slopes of 1 − p, here "
        + ", ".join(
            f"{1 - p:g} ({_slope(labels, 'linear', law).mean:.3f} measured)"
            for law, p in _EXPONENTS.items()
        )
        + "; where labels have no noise, at the largest cost of the bounded law,"
        + " there is no error to show."
    )
    return _by_cost("labels-alone", "Error by labels at one budget", series, caption)


def _whole_chart(purchases: list[_PurchaseGrid]) -> Chart:
    cells_shown = [
        cell
        for cell in purchases
        if cell.world == "linear" and NAMED[cell.law] in ("flat", "steep", "floor", "bounded")
    ]
    series = []
    for cell in cells_shown:
        x = tuple(float(cell.purchases[i][0]) for i in cell.grid[1:])
        series.append(
            Series(cell.law, x, tuple(float(np.mean(cell.errors[i])) for i in cell.grid[1:]))
        )
    unbounded = [cell for cell in cells_shown if NAMED[cell.law] != "bounded"]
    costs = tuple(float(cell.purchases[cell.plan][0]) for cell in unbounded)
    series.append(
        Series(
            "planned",
            costs,
            tuple(float(np.mean(cell.errors[cell.plan])) for cell in unbounded),
            "points",
        )
    )
    inside = [cell for cell in cells_shown if 1 < cell.best < len(cell.grid) - 1]
    caption = (
        "The best of the measured costs lies between the least and the largest shown for"
        f" {len(inside)} of these"
        f" {len(cells_shown)} laws, now that a rollout has a price and a variance itself."
    )
    return _by_cost("whole-error", "Whole error at one budget", series, caption)


def _by_cost(name: str, title: str, series: list[Series], caption: str) -> Chart:
    """Squared errors against the cost of a label.

    Args:
        name: a word for file names.
        title, caption: above and below the picture.
        series: errors by cost.
    """
    return Chart(
        name,
        title,
        "cost of a label",
        "squared error",
        tuple(series),
        caption,
        log_x=True,
        log_y=True,
    )


def _setup() -> tuple[str, ...]:
    return (
        "The two worlds of E4, with the weight γ^t and no baseline.",
        f"First the paper's case: a rollout costs only its labels, so that {BUDGET} buys K ="
        f" {BUDGET}/c rollouts, "
        "and only the error that "
        "labels cause is counted: the squared distance from the gradient of the same rollouts with"
        " true labels.",
        "Noise of variance 1 is drawn; gradients are linear in the labels, so σ²(c) and the mean"
        " of several labels are "
        "put in exactly.",
        f"Then a rollout costs {ROLLOUT_PRICE:g} before it is labelled and the whole squared"
        " distance from the true "
        "gradient counts. V₀ and Q are measured by gradient_noise, plan_labels plans with them,"
        " and the plan is "
        f"measured beside a grid of costs from {_cost(ALMOST_FREE):.2g} to {MOST_COST:g}.",
    )


def _cost(rollouts: int) -> float:
    """Of the labels of one of so many rollouts, where a rollout has a price."""
    return BUDGET / rollouts - ROLLOUT_PRICE


def _limits() -> str:
    return f"{_cost(CHEAPEST_FIRST[0]):.2g} to {_cost(CHEAPEST_FIRST[-1]):g}"


def _choices(
    labels: dict[tuple[str, str], Any], purchases: list[_PurchaseGrid]
) -> tuple[Choice, ...]:
    slopes = ", ".join(f"{_slope(labels, 'tanh', law).mean:.2f}" for law in _EXPONENTS)
    worst = {
        world: max(cell.over_best(cell.plan).mean - 1 for cell in purchases if cell.world == world)
        for world in WORLDS
    }
    repeats = [
        cell.over_best(cell.repeated_plan).mean - 1
        for cell in purchases
        if NAMED[cell.law] == "flat"
    ]
    losses = [cell.loss.mean for cell in purchases if cell.loss is not None]
    return (
        Choice(
            "the world",
            "linear-quadratic",
            f"In the tanh world the slopes are {slopes} for p = {_ps()}; the worst regret is "
            f"{worst['tanh']:.1%}, here {worst['linear']:.1%}.",
        ),
        Choice(
            "whether a rollout costs anything",
            f"nothing, then {ROLLOUT_PRICE:g}",
            f"With a price and a variance of the rollout the paper's rules leave {min(losses):.1f}"
            f" to {max(losses):.1f} "
            "times the squared error of the plans; see the second table.",
        ),
        Choice(
            "whether one rollout can have several labels",
            "no",
            "If their errors are independent, several cheap labels are a purchase, too: at p = 1/2"
            " the plan with them "
            f"changes the error of the best single labels by {np.mean(repeats):+.0%}.",
        ),
        Choice(
            "how noisy bounded labels are",
            f"variance {BOUNDED} at no cost",
            _noisier(purchases),
        ),
    )


def _noisier(purchases: list[_PurchaseGrid]) -> str:
    """What was best where bounded labels are noisier, and where `(V₀ + Q σ²(c)) / K` is least."""
    cell = next(
        candidate
        for candidate in purchases
        if candidate.world == "linear" and NAMED[candidate.law] == "noisier_bounded"
    )
    predicted = int(np.argmin(cell.predicted[: cell.plan]))
    return (
        f"With {NOISIER} the best of the measured costs is {cell.purchases[cell.best][0]:.3g};"
        " (V₀ + Q σ²)/K has its least "
        f"at {cell.purchases[predicted][0]:.3g}, of {MOST_COST:g} at most."
    )


def _ps() -> str:
    return ", ".join(f"{p:g}" for p in _EXPONENTS.values())


def _summary(claims: tuple[Claim, ...], purchases: list[_PurchaseGrid]) -> str:
    ours = {claim.id: claim for claim in claims}
    rules = [claim for claim in claims if claim.paper_says]
    testable = [claim for claim in rules if claim.id != "bounded_clean"]
    agree = sum(claim.verdict == "agrees" for claim in testable)
    clean = "holds by construction" if ours["bounded_clean"].verdict == "must hold" else "fails"
    slopes = ", ".join(f"{ours[f'{name}_slope'].ours:.2f}" for name in ("steep", "even", "flat"))
    losses = [cell.loss.mean for cell in purchases if cell.loss is not None]
    regret = ours["regret_total_cost"]
    return (
        f"Where a rollout costs only its labels and only their errors count, {agree} of"
        f" {len(testable)} statements of "
        f"Corollary 2 agree with what was measured: {_PUT_IN}. One "
        f"more, that clean labels leave no error, {clean}. The error goes with the cost to the"
        f" powers {slopes} for "
        f"p = {_ps()}, and of bounded labels the worst cost is"
        f" {ours['bounded_worst_cost'].ours:.2f} of c_max. A "
        "rollout has a price and a variance of its own, however: then the rules, with labels of "
        f"{_limits()} rollouts, a limit of ours, leave {min(losses):.1f} to {max(losses):.1f} times"
        " the squared error of a "
        f"plan that counts both. The plans' own errors differed by {regret.ours:+.1%}"
        f" [{regret.low:+.1%}, "
        f"{regret.high:+.1%}] from those of the best costs of a measured grid."
        + (" Plan with both, unless rollouts are free." if max(losses) > 1.1 else "")
    )


STUDY = Study(
    "At an equal budget, is a policy gradient better from many cheap noisy labels or from few"
    " clean ones?",
    cells,
    read,
)
