"""E4, Theorem 2: what does noise in reward labels do to REINFORCE?

The paper: independent noise of mean zero leaves the gradient unbiased and adds variance that falls
as 1/K with the number of rollouts, by at most `σ² H W² / (K (1−γ)²)`. Here both are measured in two
worlds, with both time weightings, with and without a baseline; and beside the bound stands the
exact inflation `(σ²/K) E Σ_k ‖v_k‖²`: with `w_t = ∇ log π(a_t|s_t)` an error of size 1 in the label
of step k moves the gradient by `v_k = Σ_{t≤k} γ^k w_t`, or by `Σ_{t≤k} γ^(k−t) w_t` without the
weight γ^t.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Findings, Series, Table
from paracosm.paper import statistics
from paracosm.paper.e4_cells import MAIN, NOISES, SD, WORLDS, cells
from paracosm.paper.statistics import Blocks
from paracosm.paper.study import Answer, Study, beside, beyond, must_hold


class _GradientAnswers:
    """The answers, by what they were asked."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.noisy = [answer for answer in answers if answer.function.endswith(":noisy")]
        self.exact = {
            (answer.arguments["world"], answer.arguments["weighting"]): answer.result
            for answer in answers
            if answer.function.endswith(":exact")
        }

    def select(self, **arguments: Any) -> list[Answer]:
        """Noisy cells with these arguments, by the number of rollouts."""
        answers = [answer for answer in self.noisy if arguments.items() <= answer.arguments.items()]
        return sorted(answers, key=lambda answer: answer.arguments["rollouts"])

    def plain_noise(self, world: str, weighting: str) -> list[Answer]:
        """Those of the main question: normal noise, no baseline."""
        return self.select(world=world, weighting=weighting, baseline="none", noise="normal")

    def predicted(self, answer: Answer, kind: str = "coefficient") -> list[float]:
        """The exact inflation `σ² Q/K`, or of another kind, by repeat."""
        arguments = answer.arguments
        return [
            value / arguments["rollouts"]
            for value in self.exact[arguments["world"], arguments["weighting"]][kind]
        ]


def _rows_over(answers: Iterable[Answer], name: str) -> list[Blocks]:
    return [answer.result[name] for answer in answers]


def _gradients(answers: Sequence[Answer]) -> list[float]:
    """How many were measured in each setting."""
    return [answer.arguments["total"] / answer.arguments["rollouts"] for answer in answers]


def _slope(answers: Sequence[Answer]) -> Estimate:
    """Of the log added variance over log K."""
    rollouts, rows = (
        [answer.arguments["rollouts"] for answer in answers],
        _rows_over(answers, "added"),
    )
    return statistics.log_slope(rollouts, rows, _gradients(answers))


def _relative_bias(answers: Sequence[Answer], name: str) -> Estimate:
    """A squared bias over all the answers, as a share of the squared length of the gradient."""
    shares = [
        np.asarray(answer.result[name]) / np.mean(answer.result["length"]) for answer in answers
    ]
    return statistics.pooled([answer.tolist() for answer in shares])


def _common_ratio(answers: Sequence[Answer], under: Callable[[Answer], Blocks]) -> Estimate:
    """What measured inflation is over another, the same for all answers: each is brought to one
    rollout first.

    They are weighted with their numbers of gradients.
    """
    per_rollout = [
        np.asarray(answer.result["added"]) * answer.arguments["rollouts"] for answer in answers
    ]
    inflation = statistics.pooled([answer.tolist() for answer in per_rollout], _gradients(answers))
    reference = (np.asarray(under(answers[0])) * answers[0].arguments["rollouts"]).tolist()
    own = (inflation.high - inflation.low) / 2 / inflation.mean
    half = np.hypot(own, statistics.relative_half(reference))
    return statistics.around(inflation.mean / np.mean(reference), float(half), inflation.n)


def read(answers: Sequence[Answer]) -> Findings:
    """Claims, tables and charts from the answers."""
    index = _GradientAnswers(answers)
    main = index.plain_noise(*MAIN)
    unbiased = [answer for answer in index.noisy if answer.arguments["baseline"] != "batch mean"]
    with_form = [answer for answer in unbiased if "off" in answer.result]
    tables = (_by_setting(index), _by_rollouts(index), _other_noise(index))
    numbers = {
        "bias": _relative_bias(unbiased, "bias"),
        "off": _relative_bias(with_form, "off"),
        "slope": _slope(main),
        "exact": _common_ratio(main, index.predicted),
        "loose": statistics.paired_ratio(
            index.exact[MAIN]["bound"], index.exact[MAIN]["coefficient"]
        ),
        "shared": statistics.paired_ratio(
            index.exact[MAIN]["shared"], index.exact[MAIN]["coefficient"]
        ),
        "uneven": _common_ratio(
            index.select(world=MAIN[0], noise="uneven"),
            lambda answer: index.predicted(answer, "uneven"),
        ),
        "shared_measured": _common_ratio(
            index.select(world=MAIN[0], noise="shared"),
            lambda answer: index.predicted(answer, "shared"),
        ),
        "with_baseline": _common_ratio(
            index.select(world=MAIN[0], baseline="leave-one-out", rollouts=2), index.predicted
        ),
        "leave_one_out": _relative_bias(
            index.select(world=MAIN[0], baseline="leave-one-out"), "off"
        ),
        "batch_mean": _relative_bias(index.select(baseline="batch mean"), "off"),
    }
    return Findings(
        _setup(index),
        _choices(index, numbers),
        _claims(index, numbers, unbiased),
        tables,
        _charts(index),
        _summary(numbers),
    )


def _claims(
    answers: _GradientAnswers, n: dict[str, Estimate], unbiased: list[Answer]
) -> tuple[Any, ...]:
    inside, trials = _within_bound(answers)
    hits, intervals = statistics.covering(_rows_over(unbiased, "bias"), 0.0)
    return (
        beside(
            "bias_squared",
            "Squared bias that label noise gives the gradient, as a share of the gradient's"
            " squared length, over "
            "all settings.",
            n["bias"],
            0.0,
            agrees=f"the interval holds 0; of the settings one by one {hits} of {intervals}"
            " intervals do, at 95%. Noise of"
            " mean zero is proved to leave none: what was measured is this library's REINFORCE.",
            differs="the interval does not hold 0.",
            says="no bias",
        ),
        beside(
            "bias_squared_closed_form",
            "The same of the noisy gradient against the closed form of the gradient in the linear"
            " world.",
            n["off"],
            0.0,
            differs="the interval does not hold 0.",
            says="no bias",
        ),
        beside(
            "slope_in_rollouts",
            "Slope of log added variance over log K, K from 1 to 256.",
            n["slope"],
            -1.0,
            differs="the interval does not hold -1.",
            agrees="our interval holds the paper's number; for a mean of independent rollouts it"
            " is proved, and what"
            " was measured is this library's REINFORCE.",
            says="falls as 1/K",
        ),
        must_hold(
            "within_bound",
            "Share of settings with independent noise and no baseline whose added variance is"
            " within Theorem 2's bound.",
            statistics.of_settings(inside / trials, trials),
            paper=1.0,
            holds=inside == trials,
            why=f"the bound is proved; {inside} of {trials} settings checked are within it, and"
            " where it is"
            f" {n['loose'].mean:.0f} times the exact form the check could hardly fail.",
        ),
        beyond(
            "measured_over_exact",
            "Measured inflation over the exact one, (σ²/K) E Σ‖v‖², all K together.",
            n["exact"],
            why="the paper has a bound only; the exact form must give 1.",
            says="",
        ),
        beyond(
            "bound_over_exact",
            "Theorem 2's bound over the exact inflation.",
            n["loose"],
            why="the paper does not say how loose its bound is.",
        ),
        beyond(
            "shared_error_factor",
            "What one error shared by a whole rollout adds over what independent errors add.",
            n["shared"],
            why="the paper has independent errors only.",
        ),
        beyond(
            "shared_measured_over_exact",
            "Measured inflation by shared errors over its exact form.",
            n["shared_measured"],
            why="the paper has independent errors only; the exact form must give 1.",
        ),
        beyond(
            "uneven_measured_over_exact",
            "Measured inflation by noise of deviation 0.3 + |r| over its exact form.",
            n["uneven"],
            why="the paper has one variance for all labels; the exact form must give 1.",
        ),
        beyond(
            "leave_one_out_at_two",
            "Inflation with the leave-one-out baseline and two rollouts over σ²Q/K.",
            n["with_baseline"],
            why="the paper has no baseline; the others' labels are noisy too, which gives K/(K−1)"
            " = 2.",
        ),
    )


def _within_bound(answers: _GradientAnswers) -> tuple[int, int]:
    """How many settings are within Theorem 2's bound, and of how many; it speaks of no baseline."""
    cases = [
        answer
        for noise in ("normal", "heavy-tailed")
        for answer in answers.select(noise=noise, baseline="none")
    ]
    inside = [
        np.mean(answer.result["added"]) <= SD**2 * np.mean(answers.predicted(answer, "bound"))
        for answer in cases
    ]
    return int(np.sum(inside)), len(inside)


def _by_setting(answers: _GradientAnswers) -> Table:
    rows = []
    for (world, weighting), result in sorted(answers.exact.items()):
        subset = answers.plain_noise(world, weighting)
        slope = _slope(subset)
        ratio = _common_ratio(subset, answers.predicted)
        coefficient = np.mean(result["coefficient"])
        rows.append(
            (
                f"{world}, {weighting}",
                f"{slope:.3f}",
                f"{ratio.mean * coefficient:.4g}",
                f"{coefficient:.4g}",
                f"{np.mean(result['bound']):,.0f}",
                f"{np.mean(result['bound']) / coefficient:.4g}",
                f"{np.mean(result['shared']) / coefficient:.3g}",
            )
        )
    columns = (
        "setting",
        "slope in K (paper −1)",
        "added, measured",
        "exact",
        "bound",
        "bound/exact",
        "shared/independent",
    )
    return Table("What independent noise of variance 1 adds, for one rollout", columns, tuple(rows))


def _by_rollouts(answers: _GradientAnswers) -> Table:
    rows = []
    for answer in answers.plain_noise(*MAIN):
        share = np.asarray(answer.result["bias"]) / np.mean(answer.result["length"])
        bias, added = estimators.mean(share.tolist()), estimators.mean(answer.result["added"])
        rows.append(
            (
                f"{answer.arguments['rollouts']}",
                f"{bias:.1e}",
                f"{added:.4g}",
                f"{np.mean(answers.predicted(answer)):.4g}",
            )
        )
    columns = ("rollouts", "squared bias / squared length", "added variance", "exact")
    return Table("By the number of rollouts, linear world, weight γ^t", columns, tuple(rows))


def _other_noise(answers: _GradientAnswers) -> Table:
    rows = []
    for world in WORLDS:
        for noise in NOISES[1:]:
            kind = noise if noise in ("shared", "uneven") else "coefficient"
            ratio = _common_ratio(
                answers.select(world=world, noise=noise),
                lambda answer, kind=kind: answers.predicted(answer, kind),
            )
            rows.append((f"{world}, {noise}", "8", f"{ratio:.3f}", "1"))
        for answer in answers.select(world=world, baseline="leave-one-out"):
            k = answer.arguments["rollouts"]
            rows.append(
                (
                    f"{world}, leave-one-out",
                    f"{k}",
                    f"{_common_ratio([answer], answers.predicted):.3f}",
                    f"{k / (k - 1):.3f}",
                )
            )
    columns = ("setting", "rollouts", "measured over exact form", "predicted")
    note = (
        "For leave-one-out the form is σ²Q/K, of no baseline; the others' noisy labels raise it to"
        " σ²Q/(K−1)."
    )
    return Table("Other noise, and a baseline", columns, tuple(rows), note)


def _charts(answers: _GradientAnswers) -> tuple[Chart, ...]:
    series = []
    for world in WORLDS:
        subset = answers.plain_noise(world, "discounted")
        k = tuple(float(answer.arguments["rollouts"]) for answer in subset)
        estimates = [estimators.mean(answer.result["added"]) for answer in subset]
        columns = (
            tuple(getattr(answer, end) for answer in estimates) for end in ("mean", "low", "high")
        )
        y, low, high = columns
        series.append(Series(f"{world}: measured", k, y, "points", low, high))
        series.append(
            Series(
                f"{world}: exact",
                k,
                tuple(float(np.mean(answers.predicted(answer))) for answer in subset),
            )
        )
    subset = answers.plain_noise(*MAIN)
    k = tuple(float(answer.arguments["rollouts"]) for answer in subset)
    bound = tuple(float(np.mean(answers.predicted(answer, "bound"))) for answer in subset)
    series.append(Series("linear: bound", k, bound, "dashed"))
    caption = (
        "To look for: whether the points lie on the exact form, which falls as 1/K, and how far"
        " off the bound is."
    )
    return (
        Chart(
            "inflation",
            "What label noise adds",
            "rollouts",
            "added variance",
            tuple(series),
            caption,
            True,
            True,
        ),
    )


def _setup(answers: _GradientAnswers) -> tuple[str, ...]:
    return (
        "Two worlds with three states, two actions, ten steps and discount 0.9: a linear-quadratic"
        " one under a "
        "linear Gaussian "
        "policy, whose expected gradient has a closed form, and a smooth random one under a"
        " Gaussian policy on a "
        "tanh network.",
        f"Labels are rewards plus noise of standard deviation {SD:g}; the same rollouts are taken"
        " with true and "
        "with noisy labels.",
        "The added variance is the difference of the two traces of covariance of gradients of K"
        " rollouts; K goes "
        "from 1 to 256, "
        "with fresh rollouts for each K. The exact form and the bound come from gradient_noise on"
        " other rollouts.",
        "A squared bias is the product of the mean differences of two independent blocks of"
        " gradients: it has no "
        "bias itself.",
    )


def _choices(answers: _GradientAnswers, n: dict[str, Estimate]) -> tuple[Choice, ...]:
    tanh = np.mean(answers.exact["tanh", "discounted"]["bound"]) / np.mean(
        answers.exact["tanh", "discounted"]["coefficient"]
    )
    heavy = _common_ratio(answers.select(world=MAIN[0], noise="heavy-tailed"), answers.predicted)
    plain = np.mean(answers.exact["linear", "plain"]["coefficient"]) / np.mean(
        answers.exact[MAIN]["coefficient"]
    )
    slope = _slope(answers.plain_noise("linear", "plain"))
    return (
        Choice(
            "the world",
            "linear-quadratic",
            f"In the tanh world the bound is {tanh:.3g}× loose, here {n['loose'].mean:.3g}×.",
        ),
        Choice(
            "which REINFORCE",
            "the weight γ^t, the gradient of the discounted return",
            f"Without the weight the exact coefficient is {plain:.3g} times as large; the slope is"
            f" {slope:.3f}.",
        ),
        Choice(
            "the law of the noise",
            "normal",
            f"With Student's t of 5 degrees of freedom measured over exact is {heavy:.3f}.",
        ),
        Choice(
            "the baseline",
            "none",
            f"With leave-one-out the squared bias is {n['leave_one_out']:.4f} of the squared"
            " length, and it adds "
            f"{n['with_baseline'].mean:.3g} times σ²Q/K with two rollouts; a "
            "batch mean that "
            f"holds the rollout itself has a squared bias of {n['batch_mean']:.3f} of the squared"
            " length with four "
            "(predicted 1/16).",
        ),
    )


def _summary(n: dict[str, Estimate]) -> str:
    bias = "was not seen to move" if n["bias"].low <= 0 <= n["bias"].high else "moved"
    right = "holds 1" if n["exact"].low <= 1 <= n["exact"].high else "does not hold 1"
    return (
        f"Label noise {bias} the expected gradient, which theory says that it leaves as it is: the"
        " squared bias is"
        f" {n['bias']:.1e} of the gradient's squared length. What it adds to the variance goes"
        " with the number of"
        f" rollouts to the power {n['slope']:.3f}. The exact inflation is (σ²/K) E Σ‖v‖²; what was"
        " measured over it is"
        f" {n['exact']:.3f}, which {right}. Theorem 2's bound is {n['loose'].mean:.0f} times the"
        " exact form. One error"
        f" shared by a whole rollout adds {n['shared'].mean:.1f} times as much as independent"
        " errors of the same size:"
        " who labels a rollout in one go should count on that. The leave-one-out baseline carries"
        " the noise of the"
        " others' labels, in theory σ²Q/(K−1) instead of σ²Q/K: with two rollouts it measured"
        f" {n['with_baseline']:.3f} times the latter."
    )


STUDY = Study(
    "What does noise in reward labels do to REINFORCE: is it unbiased, and how much variance does"
    " it add?",
    cells,
    read,
)
