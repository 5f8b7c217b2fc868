"""E7, Proposition 1: how far can a smooth latent dynamics turn in a step?

The paper: if `z' = z + v(z)` and v is ε-Lipschitz, the curvature `1 - cos(v_t, v_{t+1})` is at most
`ε²/(2(1-ε))`. Here that is measured on random smooth systems, beside the sharp bound `1 -
sqrt(1-ε²)`, which a rotation attains; read the other way round, as what a measured curvature says
of ε; and with actions, where ε gives way to `η = ε + L_a ‖Δa‖ / ‖v‖` (theory, section 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Claim, Findings, Series, Table
from paracosm.paper import statistics as found_by
from paracosm.paper.e7_cells import BY_ACTION, MEMORY, SIZES, SMOOTHNESS, STEPS, VARIED, cells
from paracosm.paper.study import Answer, Study, beyond, must_hold

_WORDS = {"slow": "slow actions", "anew": "actions drawn anew"}


class _Read:
    """Answers by kind of action, the choices as they were made first; and the examples by ε."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.random = [each for each in answers if each.function.endswith(":curved")]
        self.exact = {
            e.arguments["smoothness"]: e.result for e in answers if e.function.endswith(":examples")
        }

    def some(self, actions: str, by_action: float = BY_ACTION, drift: float = 1.0) -> list[Answer]:
        wanted = {"actions": actions, "by_action": by_action, "drift": drift}
        return [each for each in self.random if wanted.items() <= each.arguments.items()]

    def count(self, kinds: Iterable[str], name: str, of: str = "trials") -> Estimate:
        """The share of systems that exceed a bound: of those with a covered step, or of all of
        them.
        """
        group = [each for kind in kinds for each in self.some(kind)]
        every = lambda each: len(SMOOTHNESS) * each.arguments["systems"]  # noqa: E731
        trials = sum(
            sum(each.result["trials"]) if of == "trials" else every(each) for each in group
        )
        return estimators.share(sum(sum(each.result[name]) for each in group), max(trials, 1))

    def at(self, kind: str, e: float, name: str) -> list[Any]:
        """A result at one ε, of each size."""
        return [each.result[name][SMOOTHNESS.index(e)] for each in self.some(kind)]


def _over_blocks(group: Sequence[Answer], name: str) -> Estimate:
    """The mean over chosen settings, an interval by the systems in each."""
    return found_by.pooled([blocks for each in group for blocks in each.result[name]])


def _fullest(group: Sequence[Answer]) -> Estimate:
    """The largest share of the sharp bound that a covered step took."""
    most, n = (
        max(max(each.result["filled"]) for each in group),
        sum(sum(each.result["trials"]) for each in group),
    )
    return Estimate(most, most, max(most, 1.0), n, "largest seen, up to the 1 that theory allows")


def _numbers(have: _Read) -> dict[str, Estimate]:
    sure = lambda x: Estimate(x, x, x, len(have.exact), "exact")  # noqa: E731
    exact = have.exact.values()
    return {
        "violations": have.count(["none"], "paper"),
        "sharp_violations": have.count(["none"], "sharp"),
        "rotation_off_sharp": sure(
            max(abs(each["rotation"] / each["sharp"] - 1) for each in exact)
        ),
        "loosest_ratio": sure(max(each["paper"] / each["sharp"] for each in exact)),
        "fullest_random": _fullest(have.some("none")),
        "smoothness_revealed": _over_blocks(have.some("none"), "revealed"),
        "curvature_of_growth": sure(max(each["growth"] for each in exact)),
        "curvature_reversed": sure(min(each["reversed"] for each in exact)),
        "violations_ignoring_slow": have.count(["slow"], "alone", "all"),
        "violations_ignoring_anew": have.count(["anew"], "alone", "all"),
        "covered_slow": _over_blocks(have.some("slow"), "covered"),
        "covered_anew": _over_blocks(have.some("anew"), "covered"),
        "violations_eta": have.count(["slow", "anew"], "sharp"),
        "fullest_eta": _fullest([*have.some("slow"), *have.some("anew")]),
    }


def _hits(found: Estimate) -> str:
    return f"{round(found.mean * found.n):,} of {found.n:,} systems exceed it"


def _claims(have: _Read, n: dict[str, Estimate]) -> tuple[Claim, ...]:
    empty = [one for one in have.exact.values() if one["paper"] >= 2]

    def bound(found: Estimate) -> str:
        return f"it is proved, and was checked on random ones: {_hits(found)}."

    rounding = "attained to rounding" if n["rotation_off_sharp"].mean < 1e-9 else "not attained"
    ignored = lambda x: "fails" if x.mean else "was not seen to fail"  # noqa: E731
    said = {
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
                f" {ignored(n[f'violations_ignoring_{kind}'])}.",
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
        f" {_hits(n['violations'])}. At {len(empty)} of the {len(SMOOTHNESS)} ε the bound is 2 or"
        " more, which no"
        " curvature exceeds.",
        says="none",
    )
    return (main, *(_other(name, claim, n[name], why) for name, (claim, why) in said.items()))


_PROVED: dict[str, Callable[[float], bool]] = {
    "sharp_violations": lambda share: share == 0,
    "rotation_off_sharp": lambda off: off < 1e-9,
    "loosest_ratio": lambda ratio: ratio >= 1,
    "curvature_of_growth": lambda curvature: curvature < 1e-9,
    "curvature_reversed": lambda curvature: abs(curvature - 2) < 1e-9,
    "violations_eta": lambda share: share == 0,
}
"""What proofs and closed forms leave no choice but to be."""


def _other(name: str, claim: str, ours: Estimate, why: str) -> Claim:
    if name in _PROVED:
        return must_hold(name, claim, ours, holds=_PROVED[name](ours.mean), why=why)
    return beyond(name, claim, ours, why=why)


def _choices(have: _Read) -> tuple[Choice, ...]:
    still, main = (
        have.some("none", drift=0.0),
        [e for e in have.some("none") if e.arguments["size"] == VARIED],
    )
    strong = {kind: _over_blocks(have.some(kind, by_action=1.0), "covered").mean for kind in _WORDS}
    strongly = [each for kind in _WORDS for each in have.some(kind, by_action=1.0)]
    broken = sum(sum(each.result["sharp"]) for each in strongly)
    return (
        Choice(
            "The random systems.",
            "v = ε (U tanh(Wz + b) + d), ‖W‖ = 1, U orthogonal, b and d random; starts are"
            " standard normal.",
            f"without the drift d, in {VARIED} dimensions, the sharpest turn proves"
            f" {_over_blocks(still, 'revealed').mean:.0%} of ε on average instead of"
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


def _found(have: _Read, n: dict[str, Estimate]) -> str:
    kept = n["violations"].mean == 0
    broken = "As is proved, none" if kept else f"{n['violations'].mean:.2%}"
    most, proved = n["fullest_random"].mean, n["smoothness_revealed"].mean
    near = "so here it had a margin" if most < 0.9 else "so no safety margin is left in it"
    near = "more than theory allows" if most > 1 + 1e-9 else near
    typical = [m / have.exact[e]["sharp"] for e in SMOOTHNESS for m in have.at("none", e, "median")]
    small, large = (have.exact[pick(SMOOTHNESS)] for pick in (min, max))
    slow, anew = (n[f"violations_ignoring_{kind}"].mean for kind in ("slow", "anew"))
    fails = max(slow, anew) > 0
    holds = (
        "no system"
        if n["violations_eta"].mean == 0
        else _hits(n["violations_eta"]).split(" exceed")[0]
    )
    straight = n["curvature_of_growth"].mean < 1e-9
    return " ".join(
        (
            f"{broken} of the {n['violations'].n:,} random systems without actions exceeded the"
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
    have = _Read(answers)
    numbers = _numbers(have)
    systems = have.random[0].arguments["systems"]
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
            f" {_over_blocks(have.some('none'), 'blurred').mean:.2%} of the steps without actions,"
            " too small to have a"
            " direction, are left out; for the others what rounding can add is added to η.",
        ),
        _choices(have),
        _claims(have, numbers),
        _tables(have),
        (_chart(have), _chart_of_actions(have)),
        _found(have, numbers),
    )


def _tables(have: _Read) -> tuple[Table, Table]:
    largest = lambda kind, e: max(have.at(kind, e, "largest"))  # noqa: E731
    shared = lambda kind, e, name: np.mean(have.at(kind, e, name))  # noqa: E731
    most = len(SIZES) * have.random[0].arguments["systems"]
    bounds, acted = [], []
    for e, one in sorted(have.exact.items()):
        steps = (
            *(have.at("none", e, "median")),
            largest("none", e),
            one["rotation"],
            one["sharp"],
            one["paper"],
        )
        bounds.append(
            (f"{e:g}", *(f"{x:.3g}" for x in steps), f"{one['paper'] / one['sharp']:.3g}")
        )
        kinds = [
            (
                f"{largest(kind, e):.3g}",
                f"{sum(have.at(kind, e, 'alone')) / most:.0%}",
                f"{shared(kind, e, 'covered'):.0%}",
            )
            for kind in _WORDS
        ]
        acted.append((f"{e:g}", *kinds[0], *kinds[1]))
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
                    f"{kind}: {what}"
                    for kind in _WORDS
                    for what in ("largest", "over bound in ε", "steps η < 1")
                ),
            ),
            tuple(acted),
            "Systems over the paper's bound in ε, and steps on which the bound in η speaks, as"
            " shares of all.",
        ),
    )


def _line(have: _Read, name: str, title: str, mark: Any) -> Series:
    return Series(title, SMOOTHNESS, tuple(have.exact[e][name] for e in SMOOTHNESS), mark)


def _largest(have: _Read, kind: str, title: str) -> Series:
    return Series(
        title, SMOOTHNESS, tuple(max(have.at(kind, e, "largest")) for e in SMOOTHNESS), "points"
    )


def _chart(have: _Read) -> Chart:
    series = (
        _line(have, "paper", "the paper's bound", "dashed"),
        _line(have, "sharp", "sharp bound", "line"),
        _line(have, "rotation", "rotation", "points"),
        _largest(have, "none", "largest of random systems"),
    )
    caption = (
        "Without actions: a rotation against the sharp bound, and the sharpest turn of random"
        " systems."
    )
    return Chart(
        "curvature", "Curvature of smooth latent paths", "ε", "1 − cos", series, caption, True, True
    )


def _chart_of_actions(have: _Read) -> Chart:
    series = (
        _line(have, "paper", "the paper's bound in ε", "dashed"),
        _largest(have, "none", "no actions, largest"),
        _largest(have, "slow", "slow actions, largest"),
        _largest(have, "anew", "actions drawn anew, largest"),
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
