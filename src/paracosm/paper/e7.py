"""E7, Proposition 1: how far can a smooth latent dynamics turn in a step?

The paper: if `z' = z + v(z)` and v is ε-Lipschitz, the curvature `1 - cos(v_t, v_{t+1})` is at most
`ε²/(2(1-ε))`. Here that is measured on random smooth systems, beside the sharp bound `1 -
sqrt(1-ε²)`, which a rotation attains; read the other way round, as what a measured curvature says
of ε; and with actions, where the velocity is `v(z, a)` and ε gives way to
`η = ε + L_a ‖Δa‖ / ‖v‖`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Claim, Findings, Series, Table
from paracosm.paper import statistics
from paracosm.paper.e7_cells import BY_ACTION, MEMORY, SIZES, SMOOTHNESS, STEPS, VARIED, cells
from paracosm.paper.study import Answer, Study, beyond, must_hold

_WORDS = {"slow": "slow actions", "anew": "actions drawn anew"}


class _CurvatureAnswers:
    """Answers by kind of action, the choices as they were made first; and the examples by ε."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.random = [answer for answer in answers if answer.function.endswith(":curved")]
        self.exact = {
            e.arguments["smoothness"]: e.result for e in answers if e.function.endswith(":examples")
        }

    def select(
        self, actions: str, by_action: float = BY_ACTION, drift: float = 1.0
    ) -> list[Answer]:
        arguments = {"actions": actions, "by_action": by_action, "drift": drift}
        return [answer for answer in self.random if arguments.items() <= answer.arguments.items()]

    def count(self, kinds: Iterable[str], name: str, denominator: str = "trials") -> Estimate:
        """The share of systems that exceed a bound, of all or of those with a covered step."""
        group = [answer for kind in kinds for answer in self.select(kind)]
        systems = lambda answer: len(SMOOTHNESS) * answer.arguments["systems"]  # noqa: E731
        trials = sum(
            sum(answer.result["trials"]) if denominator == "trials" else systems(answer)
            for answer in group
        )
        return estimators.share(sum(sum(answer.result[name]) for answer in group), max(trials, 1))

    def at(self, kind: str, e: float, name: str) -> list[Any]:
        """A result at one ε, of each size."""
        return [answer.result[name][SMOOTHNESS.index(e)] for answer in self.select(kind)]


def _over_blocks(group: Sequence[Answer], name: str) -> Estimate:
    """The mean over chosen settings, an interval by the systems in each."""
    return statistics.pooled([blocks for answer in group for blocks in answer.result[name]])


def _fullest(group: Sequence[Answer]) -> Estimate:
    """The largest share of the sharp bound that a covered step took."""
    largest, n = (
        max(max(answer.result["filled"]) for answer in group),
        sum(sum(answer.result["trials"]) for answer in group),
    )
    return Estimate(
        largest, largest, max(largest, 1.0), n, "largest seen, up to the 1 that theory allows"
    )


def _numbers(answers: _CurvatureAnswers) -> dict[str, Estimate]:
    exactly = lambda x: Estimate(x, x, x, len(answers.exact), "exact")  # noqa: E731
    exact = answers.exact.values()
    return {
        "violations": answers.count(["none"], "paper"),
        "sharp_violations": answers.count(["none"], "sharp"),
        "rotation_off_sharp": exactly(
            max(abs(example["rotation"] / example["sharp"] - 1) for example in exact)
        ),
        "loosest_ratio": exactly(max(example["paper"] / example["sharp"] for example in exact)),
        "fullest_random": _fullest(answers.select("none")),
        "smoothness_revealed": _over_blocks(answers.select("none"), "revealed"),
        "curvature_of_growth": exactly(max(example["growth"] for example in exact)),
        "curvature_reversed": exactly(min(example["reversed"] for example in exact)),
        "violations_ignoring_slow": answers.count(["slow"], "alone", "all"),
        "violations_ignoring_anew": answers.count(["anew"], "alone", "all"),
        "covered_slow": _over_blocks(answers.select("slow"), "covered"),
        "covered_anew": _over_blocks(answers.select("anew"), "covered"),
        "violations_eta": answers.count(["slow", "anew"], "sharp"),
        "fullest_eta": _fullest([*answers.select("slow"), *answers.select("anew")]),
    }


def _count_text(share: Estimate) -> str:
    return f"{round(share.mean * share.n):,} of {share.n:,} systems exceed it"


def _claims(answers: _CurvatureAnswers, n: dict[str, Estimate]) -> tuple[Claim, ...]:
    empty = [example for example in answers.exact.values() if example["paper"] >= 2]

    def bound(share: Estimate) -> str:
        return f"it is proved, and was checked on random ones: {_count_text(share)}."

    rounding = "attained to rounding" if n["rotation_off_sharp"].mean < 1e-9 else "not attained"
    failure = lambda x: "fails" if x.mean else "was not seen to fail"  # noqa: E731
    sentences = {
        "sharp_violations": (
            "Share of systems without actions that exceed 1 − sqrt(1−ε²).",
            f"the paper has no sharp bound; {bound(n['sharp_violations'])}",
        ),
        "rotation_off_sharp": (
            "Largest relative difference of a rotation's curvature from the sharp bound.",
            "the paper has no sharp bound; a rotation attains it by proof, and here it is"
            f" {rounding}.",
        ),
        "loosest_ratio": (
            f"The paper's bound over the sharp one at ε = {max(SMOOTHNESS)}, where it is loosest.",
            "the paper does not say how loose its bound is; both are closed forms, computed and"
            " not measured.",
        ),
        "fullest_random": (
            "Largest curvature of random systems without actions over the sharp bound.",
            "the paper has no such number; a value near 1 says that the sharp bound is met outside"
            " of made examples.",
        ),
        "smoothness_revealed": (
            "Mean share of ε that the sharpest turn of a path without actions proves,"
            " sqrt(c(2−c))/ε.",
            "the paper does not read its bound backwards; theory allows at most 1.",
        ),
        "curvature_of_growth": (
            "Curvature of v = z/ε, whose Lipschitz constant is 1/ε, largest over ε.",
            "the paper does not say whether the converse holds; the counter-example is made, its"
            " value a computation.",
        ),
        "curvature_reversed": (
            "Curvature of v = a under actions 1 and −1, at every ε.",
            "the paper's statement has no actions; the counter-example is made, its value a"
            " computation.",
        ),
        **{
            f"violations_ignoring_{kind}": (
                f"Share of systems with {words} that exceed the paper's bound in ε.",
                "the paper's statement has no actions; with these it"
                f" {failure(n[f'violations_ignoring_{kind}'])}.",
            )
            for kind, words in _WORDS.items()
        },
        **{
            f"covered_{kind}": (
                f"Share of steps with η < 1, with {words}: elsewhere no bound speaks.",
                "the paper has no actions; the share hangs on L_a and on how fast actions change.",
            )
            for kind, words in _WORDS.items()
        },
        "violations_eta": (
            "Share of systems with actions that exceed 1 − sqrt(1−η²) on a step with η < 1.",
            f"the paper has no actions; {bound(n['violations_eta'])}",
        ),
        "fullest_eta": (
            "Largest curvature with actions over the sharp bound in η, on steps with η < 1.",
            "the paper has no actions; a value near 1 says that 0 violations are not for want of a"
            " test.",
        ),
    }
    main = must_hold(
        "violations",
        "Share of systems without actions that exceed ε²/(2(1−ε)).",
        n["violations"],
        paper=0,
        holds=n["violations"].mean == 0,
        why="Proposition 1 is proved; what was checked is that curvatures computed by this"
        " library keep it:"
        f" {_count_text(n['violations'])}. At {len(empty)} of the {len(SMOOTHNESS)} ε the bound is"
        " 2 or more, which no"
        " curvature exceeds.",
        says="none",
    )
    return (main, *(_claim(name, claim, n[name], why) for name, (claim, why) in sentences.items()))


_PROVED: dict[str, Callable[[float], bool]] = {
    "sharp_violations": lambda share: share == 0,
    "rotation_off_sharp": lambda off: off < 1e-9,
    "loosest_ratio": lambda ratio: ratio >= 1,
    "curvature_of_growth": lambda curvature: curvature < 1e-9,
    "curvature_reversed": lambda curvature: abs(curvature - 2) < 1e-9,
    "violations_eta": lambda share: share == 0,
}
"""What proofs and closed forms leave no choice but to be."""


def _claim(name: str, claim: str, ours: Estimate, why: str) -> Claim:
    """A claim that must hold where it is among the proved ones, and has no verdict elsewhere.

    Args:
        name: what machines know it by.
        claim: one sentence.
        ours: our number.
        why: the reason for the verdict.
    """
    if name in _PROVED:
        return must_hold(name, claim, ours, holds=_PROVED[name](ours.mean), why=why)
    return beyond(name, claim, ours, why=why)


def _choices(answers: _CurvatureAnswers) -> tuple[Choice, ...]:
    without_drift, main = (
        answers.select("none", drift=0.0),
        [answer for answer in answers.select("none") if answer.arguments["size"] == VARIED],
    )
    strong = {
        kind: _over_blocks(answers.select(kind, by_action=1.0), "covered").mean for kind in _WORDS
    }
    strongly = [answer for kind in _WORDS for answer in answers.select(kind, by_action=1.0)]
    broken = sum(sum(answer.result["sharp"]) for answer in strongly)
    return (
        Choice(
            "The random systems.",
            "v = ε (U tanh(Wz + b) + d), ‖W‖ = 1, U orthogonal, b and d random; starts are"
            " standard normal.",
            f"without the drift d, in {VARIED} dimensions, the sharpest turn proves"
            f" {_over_blocks(without_drift, 'revealed').mean:.0%} of ε on average instead of"
            f" {_over_blocks(main, 'revealed').mean:.0%}.",
        ),
        Choice(
            "How strongly actions move the state.",
            f"L_a = {BY_ACTION}.",
            f"with L_a = 1, in {VARIED} dimensions, {strong['slow']:.0%} of the steps have η < 1"
            " with slow actions,"
            f" {strong['anew']:.0%} with actions drawn anew; {broken} of these systems exceed the"
            " sharp bound in η.",
        ),
        Choice(
            "The curvature where a velocity is zero.",
            "0, with gradient 0: what stands still does not turn.",
            "not varied: any other value breaks the bound, which tends to 0 with ε.",
        ),
    )


def _summary(answers: _CurvatureAnswers, n: dict[str, Estimate]) -> str:
    holds = n["violations"].mean == 0
    share_text = "As is proved, none" if holds else f"{n['violations'].mean:.2%}"
    most, proved = n["fullest_random"].mean, n["smoothness_revealed"].mean
    near = "so here it had a margin" if most < 0.9 else "so no safety margin is left in it"
    near = "more than theory allows" if most > 1 + 1e-9 else near
    typical = [
        m / answers.exact[e]["sharp"] for e in SMOOTHNESS for m in answers.at("none", e, "median")
    ]
    small, large = (answers.exact[pick(SMOOTHNESS)] for pick in (min, max))
    slow, anew = (n[f"violations_ignoring_{kind}"].mean for kind in ("slow", "anew"))
    fails = max(slow, anew) > 0
    holds = (
        "no system"
        if n["violations_eta"].mean == 0
        else _count_text(n["violations_eta"]).split(" exceed")[0]
    )
    straight = n["curvature_of_growth"].mean < 1e-9
    return " ".join(
        (
            f"{share_text} of the {n['violations'].n:,} random systems without actions exceeded the"
            " paper's bound.",
            f"That bound is {small['paper'] / small['sharp']:.3g} times the sharp bound 1 −"
            " sqrt(1−ε²) at"
            f" ε = {min(SMOOTHNESS)} and {large['paper'] / large['sharp']:.3g} times at ε ="
            f" {max(SMOOTHNESS)}, where"
            f" it is {large['paper']:.3g}"
            + (", more than the 2 that no curvature exceeds." if large["paper"] > 2 else "."),
            f"The sharpest turn of a random system took {most:.1%} of the sharp bound, {near}; the"
            " median step takes"
            f" {min(typical):.2g} to {max(typical):.2g} of it, depending on ε and dimension.",
            "Read backwards, a curvature c proves that ε is at least sqrt(c(2−c)): the sharpest"
            f" of {STEPS - 1} turns"
            f" proves {proved:.0%} of the true ε on average."
            + (
                " Low curvature proves nothing: v = z/ε, with constant 1/ε, goes straight."
                if straight
                else ""
            ),
            f"With slow actions {slow:.0%} of the systems exceed the paper's bound in ε, with"
            " actions drawn anew"
            f" {anew:.0%}"
            + (
                ", so ε alone no longer bounds the turn."
                if fails
                else ", so here ε alone was enough."
            ),
            f"The bound in η speaks on {n['covered_slow'].mean:.0%} of the steps with slow actions"
            " and on"
            f" {n['covered_anew'].mean:.0%} with actions drawn anew; there {holds} exceeds it.",
            "For a world model: a sharp turn of the latent path under an unchanged action proves"
            " that the velocity is"
            " at least so steep;"
            + (
                " a straight path is no certificate that it is not."
                if straight
                else " whether a straight path certifies more was not seen."
            ),
            "A curvature loss on paths under changing actions also punishes what the actions do:"
            " take it between steps"
            " of like actions, or only beyond 1 − sqrt(1−η²)."
            if fails
            else "How actions changed mattered little to the curvature here.",
        )
    )


def read(answers: Sequence[Answer]) -> Findings:
    """Claims, tables and charts from the answers."""
    index = _CurvatureAnswers(answers)
    numbers = _numbers(index)
    systems = index.random[0].arguments["systems"]
    return Findings(
        (
            f"{systems:,} random velocities ε (U tanh(Wz + b) + d) for each of {len(SMOOTHNESS)} ε"
            " from"
            f" {min(SMOOTHNESS)} to {max(SMOOTHNESS)}, each dimension of"
            f" {', '.join(map(str, SIZES))} and each kind of"
            f" actions: none, slow, drawn anew; {STEPS} steps each, in double precision.",
            f"With actions L_a a is added to the velocity, L_a = {BY_ACTION}; a is standard"
            " normal. Slow actions are"
            f" {MEMORY['slow']} times the last plus noise.",
            "η = ε + L_a ‖Δa‖/‖v‖ takes the place of ε where there are actions; no bound speaks"
            " where it is 1 or more.",
            "Near a fixed point rounding decides where a step goes:"
            f" {_over_blocks(index.select('none'), 'blurred').mean:.2%} of the steps without"
            " actions, too small to have a"
            " direction, are left out; for the others what rounding can add is added to η.",
        ),
        _choices(index),
        _claims(index, numbers),
        _tables(index),
        (_chart(index), _chart_of_actions(index)),
        _summary(index, numbers),
    )


def _tables(answers: _CurvatureAnswers) -> tuple[Table, Table]:
    largest = lambda kind, e: max(answers.at(kind, e, "largest"))  # noqa: E731
    shared = lambda kind, e, name: np.mean(answers.at(kind, e, name))  # noqa: E731
    systems = len(SIZES) * answers.random[0].arguments["systems"]
    bounds, with_actions = [], []
    for e, example in sorted(answers.exact.items()):
        steps = (
            *(answers.at("none", e, "median")),
            largest("none", e),
            example["rotation"],
            example["sharp"],
            example["paper"],
        )
        bounds.append(
            (f"{e:g}", *(f"{x:.3g}" for x in steps), f"{example['paper'] / example['sharp']:.3g}")
        )
        kinds = [
            (
                f"{largest(kind, e):.3g}",
                f"{sum(answers.at(kind, e, 'alone')) / systems:.0%}",
                f"{shared(kind, e, 'covered'):.0%}",
            )
            for kind in _WORDS
        ]
        with_actions.append((f"{e:g}", *kinds[0], *kinds[1]))
    medians = (f"median, {size}-d" for size in reversed(SIZES))
    return (
        Table(
            "Curvature without actions",
            (
                "ε",
                *medians,
                "largest",
                "rotation",
                "sharp bound",
                "paper's bound",
                "paper's / sharp",
            ),
            tuple(bounds),
            "Medians over all steps of all systems in so many dimensions; the largest is over all"
            " dimensions.",
        ),
        Table(
            "Curvature with actions",
            (
                "ε",
                *(
                    f"{kind}: {column}"
                    for kind in _WORDS
                    for column in ("largest", "over bound in ε", "steps η < 1")
                ),
            ),
            tuple(with_actions),
            "Systems over the paper's bound in ε, and steps on which the bound in η speaks, as"
            " shares of all.",
        ),
    )


def _line(answers: _CurvatureAnswers, name: str, title: str, mark: Any) -> Series:
    """A result of the examples against ε.

    Args:
        answers: of all cells.
        name: the key of the result.
        title: the series' name.
        mark: how it is drawn.
    """
    return Series(title, SMOOTHNESS, tuple(answers.exact[e][name] for e in SMOOTHNESS), mark)


def _largest(answers: _CurvatureAnswers, kind: str, title: str) -> Series:
    return Series(
        title, SMOOTHNESS, tuple(max(answers.at(kind, e, "largest")) for e in SMOOTHNESS), "points"
    )


def _chart(answers: _CurvatureAnswers) -> Chart:
    series = (
        _line(answers, "paper", "the paper's bound", "dashed"),
        _line(answers, "sharp", "sharp bound", "line"),
        _line(answers, "rotation", "rotation", "points"),
        _largest(answers, "none", "largest of random systems"),
    )
    caption = (
        "Without actions: a rotation against the sharp bound, and the sharpest turn of random"
        " systems."
    )
    return Chart(
        "curvature", "Curvature of smooth latent paths", "ε", "1 − cos", series, caption, True, True
    )


def _chart_of_actions(answers: _CurvatureAnswers) -> Chart:
    series = (
        _line(answers, "paper", "the paper's bound in ε", "dashed"),
        _largest(answers, "none", "no actions, largest"),
        _largest(answers, "slow", "slow actions, largest"),
        _largest(answers, "anew", "actions drawn anew, largest"),
    )
    caption = (
        "What lies above the line turns more than the smoothness of the dynamics allows: the"
        " actions do it."
    )
    return Chart("actions", "Curvature with actions", "ε", "1 − cos", series, caption, True, True)


STUDY = Study(
    "If latent dynamics move smoothly, how straight is their path, and does that hold with"
    " actions?",
    cells,
    read,
)
