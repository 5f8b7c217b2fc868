"""E2, learning curves: why do dynamics learn so much slower than rewards?

The paper trains students on frozen random teachers, fits `0.34 N^-0.11` for the dynamics and `90.4
N^-0.96` for the reward, and takes the factor of 9 between the exponents for the price of predicting
a vector instead of a scalar. But with standard normal weights the teacher's tanh is saturated. The
ablation keeps samples and students and changes one thing at a time: one output only, no tanh around
the twelve, a tanh for the student, smaller weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from paracosm.core import checks, estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Claim, Findings
from paracosm.paper import e2_shows
from paracosm.paper.e2_curves import (
    ABLATION,
    EPOCHS,
    MAIN,
    PAPER,
    VARIANTS,
    ExperimentCurves,
    curves,
    experiment_curves,
    varied_exponents,
)
from paracosm.paper.power_laws import (
    by_library,
    exponent,
    means_of,
    refits,
    resampled,
    share_removed,
)
from paracosm.paper.study import Answer, Scale, Study, beside, beyond, bounded
from paracosm.sweep.cells import Cell

QUESTION = (
    "Why do dynamics learn so much slower than rewards: a vector against a scalar, or the tanh"
    " around it?"
)
SIZES = (2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000)
"""The paper's numbers of samples."""


class _Extent(NamedTuple):
    """How many of the sizes and how many seeds, of the curves, the ablation and the varied
    choices.
    """

    sizes: int
    seeds: int
    ablation_sizes: int
    ablation_seeds: int
    varied_seeds: int


_EXTENTS: dict[Scale, _Extent] = {
    "quick": _Extent(4, 6, 4, 6, 3),
    "full": _Extent(7, 100, 5, 10, 10),
}
"""`full` has the paper's seven sizes and 100 seeds; `quick` leaves out what is more than 20,000
samples, where the time goes.
"""
_VARIED_SIZES = 4  # up to 20,000 samples, so that a choice is varied at both scales


def trained(
    *,
    samples: int,
    seed: int,
    tasks: Sequence[str],
    weights: str = "normal",
    starts: str = "cube",
    actions: str = "uniform",
    teachers: str = "many",
    steps: str = "epochs",
) -> dict[str, Any]:
    """Mean squared errors of one student per task, trained on the same samples of one teacher.

    `error` is on held-out transitions, `error on its data` on the first of those trained on;
    `variance` is what predicting the mean would leave, and `saturated` how many components of next
    states exceed 0.99 in size.

    Args:
        samples: transitions that are trained on.
        seed: of the teacher, the data and the students.
        tasks: what is learned, of `e2_worlds.TASKS`.
        weights: of the teacher's dynamics, `normal` or `scaled`, divided by `sqrt(fan in)`.
        starts: of episodes, uniform in the `cube` [-1, 1] or all at the `origin`.
        actions: `uniform` in the box or standard `normal`.
        teachers: `many`, one for each seed, or `one` for all.
        steps: of 200 `epochs`, or `equal`: about as many as a student of 20,000 samples has.
    """
    from paracosm.paper import e2_worlds

    checks.one_of("weights", weights, ("normal", "scaled"))
    checks.one_of("starts", starts, ("cube", "origin"))
    checks.one_of("actions", actions, ("uniform", "normal"))
    checks.one_of("teachers", teachers, ("many", "one"))
    checks.one_of("steps", steps, ("epochs", "equal"))
    variation = (weights == "scaled", float(starts == "cube"), actions == "normal")
    teacher = 0 if teachers == "one" else seed
    epochs = EPOCHS * SIZES[_VARIED_SIZES - 1] // samples if steps == "equal" else EPOCHS
    return e2_worlds.errors(
        samples, seed, tuple(tasks), teacher_seed=teacher, epochs=epochs, variation=variation
    )


def cells(scale: Scale) -> list[Cell]:
    """Every training, the longest first."""
    extent = _EXTENTS[scale]
    sizes, ablation_sizes = SIZES[: extent.sizes], SIZES[: extent.ablation_sizes]
    jobs = [_arguments(n, seed, MAIN) for n in sizes for seed in range(extent.seeds)]
    for n in ablation_sizes:
        for seed in range(extent.ablation_seeds):
            jobs += [_arguments(n, seed, ABLATION), _arguments(n, seed, MAIN, weights="scaled")]
    for n in SIZES[:_VARIED_SIZES]:
        jobs += [
            _arguments(n, s, MAIN, **{k: v})
            for k, v in VARIANTS.items()
            for s in range(extent.varied_seeds)
        ]
    jobs.sort(key=lambda job: -job["samples"] * len(job["tasks"]))
    return [Cell("paracosm.paper.e2:trained", arguments) for arguments in jobs]


def _arguments(samples: int, seed: int, tasks: tuple[str, ...], **variation: str) -> dict[str, Any]:
    return {"samples": samples, "seed": seed, "tasks": list(tasks), **variation}


def read(answers: Sequence[Answer]) -> Findings:
    """What the curves say beside the paper's, and what the ablation answers."""
    measurements, exponents = experiment_curves(answers), varied_exponents(answers)
    claims = (
        *_exponents(measurements, exponents),
        *_qualities(answers, measurements),
        *_causes(measurements),
        *_norms(measurements),
    )
    return Findings(
        setup=e2_shows.setup(measurements),
        choices=e2_shows.choices(measurements, exponents),
        claims=claims,
        tables=e2_shows.tables(answers, measurements),
        charts=e2_shows.charts(answers, measurements),
        found=words(
            claims,
            {name: (pair[0].mean, pair[1].mean) for name, pair in exponents.items()},
            (
                exponent(measurements.ablation["scaled weights: dynamics"]).mean,
                exponent(measurements.ablation["scaled weights: reward"]).mean,
            ),
        ),
    )


OF_THE_RATIO = "it is made of the two exponents above, and is no measurement of its own."
MISFIT = (
    "the paper does not report it; at 1 what is left is not overfitting. More samples can still"
    " lower it, since with"
    " fixed epochs they are more steps, too."
)


def of_the_formula(times: float) -> str:
    """How far the reward's first error is from the paper's formula, and what may make it so."""
    return (
        f"ours is {times:.3g} times the paper's formula; teachers differ, and students and"
        " optimiser in what the paper"
        " leaves open."
    )


def _exponents(
    measurements: ExperimentCurves, exponents: Mapping[str, tuple[Estimate, Estimate]]
) -> list[Claim]:
    sizes = measurements.dynamics.sizes
    claims = []
    for n, (name, curve) in enumerate(zip(MAIN, measurements[:2], strict=True)):
        _, value, _, interval = PAPER[name]
        local = -np.diff(np.log(curve.errors.mean(axis=0))) / np.diff(np.log(sizes))
        same = len(sizes) == len(SIZES)
        extent = (
            "the paper's sizes"
            if same
            else f"{sizes[0]:,.0f} to {sizes[-1]:,.0f} samples, the smaller of the paper's"
        )
        hangs = (
            "with about equal steps at every size, up to 20,000 samples, it is"
            f" {exponents['steps'][n].mean:.2g} instead of"
            f" {exponents['ours'][n].mean:.2g}"
        )
        differs = (
            f"on {extent} the curve is no straight line, its slope between neighbouring sizes lies"
            " between"
            f" {local.min():.2g} and {local.max():.2g}; and it hangs on what is fixed: {hangs}."
        )
        claims.append(
            beside(
                f"exponent_{name}",
                f"The mean squared error of the {name} falls as the power of the samples with this"
                " exponent.",
                exponent(curve),
                value,
                differs=differs,
                agrees="our interval and the paper's overlap; but the exponent hangs on what is"
                f" fixed: {hangs}.",
                interval=interval,
            )
        )
    fits = [refits(curve).exponent for curve in measurements[:2]]
    ratio = resampled(fits[1] / fits[0], len(measurements.dynamics.errors))
    sentence = "The reward's exponent over the dynamics'."
    return [
        *claims,
        beyond("ratio_of_exponents", sentence, ratio, says="about 9", why=OF_THE_RATIO),
    ]


def _qualities(answers: Sequence[Answer], measurements: ExperimentCurves) -> list[Claim]:
    claims = []
    for name, curve in zip(MAIN, measurements[:2], strict=True):
        r2 = resampled(refits(curve).r2, len(curve.errors))
        side = "closer to" if r2.mean > PAPER[name][2] else "farther from"
        why = (
            f"our points, from {curve.sizes[0]:,.0f} to {curve.sizes[-1]:,.0f} samples, lie {side}"
            " a straight line."
        )
        sentence = (
            f"The share of the variance of the mean log errors of the {name} that the power law"
            " explains."
        )
        claims.append(beside(f"r2_{name}", sentence, r2, PAPER[name][2], differs=why))
    at_first = estimators.mean(measurements.reward.errors[:, 0])
    formula = 90.4 * measurements.reward.sizes[0] ** -0.96
    why = of_the_formula(at_first.mean / formula)
    sentence = "The reward's mean squared error at 2,000 samples, beside the paper's formula."
    claims.append(
        beside(
            "reward_curve_at_2000",
            sentence,
            at_first,
            formula,
            differs=why,
            says=f"90.4 N^-0.96 = {formula:.3g}",
        )
    )
    shares = curves(answers, "share", "saturated").errors[:, 0]
    why = "the paper does not report it; with standard normal weights it follows from the set-up."
    sentence = "The share of components of next states above 0.99 in size."
    claims.append(beyond("saturated_share", sentence, estimators.mean(shares), why=why))
    for name, curve in zip(MAIN, measurements[:2], strict=True):
        sentence = (
            f"Error of the {name} on training rows over that on held-out ones, at the largest"
            " number of samples."
        )
        fitted = curves(answers, name, "error on its data")
        ratio = means_of(fitted)[:, -1] / means_of(curve)[:, -1]
        claims.append(
            beyond(f"misfit_{name}", sentence, resampled(ratio, len(curve.errors)), why=MISFIT)
        )
    return claims


_REMOVED = {
    "cause_of_slow_dynamics": ("before tanh", "predicting the same twelve outputs before the tanh"),
    "removed_by_scaled_weights": (
        "scaled weights: dynamics",
        "dividing the weights of the teacher's dynamics by sqrt(fan in)",
    ),
    "removed_by_one_output": (
        "one component",
        "predicting one component of the next state instead of twelve",
    ),
    "removed_by_tanh_student": ("tanh student", "giving the student a tanh"),
}


def _causes(measurements: ExperimentCurves) -> list[Claim]:
    base = measurements.ablation["dynamics"], measurements.ablation["reward"]
    shares = {
        name: share_removed(measurements.ablation[task], *base)
        for name, (task, _) in _REMOVED.items()
    }
    lowest = [
        measurements.ablation[task].errors[:, -1].mean() for task in ("tanh student", "dynamics")
    ]
    return causes(shares, float(lowest[0] / lowest[1]))


def causes(shares: Mapping[str, Estimate], tanh_error: float) -> list[Claim]:
    """The ablation's claims from the shares by the names of `_REMOVED`, and the error that a tanh
    student has left.

    One output instead of twelve is the paper's cause.
    """
    answer = cause(*(shares[name] for name in _REMOVED), tanh_error=tanh_error)
    why = dict.fromkeys(_REMOVED, "the paper has no such ablation.") | {
        "cause_of_slow_dynamics": answer
    }
    claims = {name: beyond(name, _removal(name), shares[name], why=why[name]) for name in _REMOVED}
    name = "removed_by_one_output"
    claims[name] = bounded(
        name,
        _removal(name),
        shares[name],
        0.5,
        side="above",
        says="a vector is harder than a scalar",
        why="if that were the cause, one output instead of twelve would take away most of the"
        " difference",
    )
    return list(claims.values())


def _removal(name: str) -> str:
    return (
        "The share of the difference between the two exponents that goes away by"
        f" {_REMOVED[name][1]}."
    )


def cause(
    before_tanh: Estimate,
    scaled: Estimate,
    one_output: Estimate,
    tanh_student: Estimate,
    *,
    tanh_error: float,
) -> str:
    """Scalar against vector, or the tanh around the outputs; and what of the tanh, as far as that
    is shown.

    Before the tanh the targets are neither saturated nor beyond a student with a linear head, and
    scaled weights take both away, too; only a student with a tanh parts them: it could answer
    exactly, on targets that are as saturated.

    Args:
        before_tanh, scaled, one_output, tanh_student: shares of the difference between the two
            exponents that each change takes away.
        tanh_error: the error of a student with a tanh over that of one with a linear head, at the
            largest number of samples.
    """
    numbers = (
        f"learning the twelve outputs before the tanh removes {before_tanh.mean:.0%} of the"
        " difference, scaled weights,"
        f" which un-saturate it, {scaled.mean:.0%}, a tanh student {tanh_student.mean:.0%}, one"
        " output instead of"
        f" twelve {one_output.mean:.0%}"
    )
    if before_tanh.low > 0.5 > one_output.high:
        parts = _of_the_tanh(tanh_student, tanh_error)
        return f"the tanh around the outputs, not scalar against vector: {numbers}. {parts}"
    if one_output.low > 0.5 > before_tanh.high:
        return f"scalar against vector, as the paper says, not the tanh: {numbers}."
    if before_tanh.low > one_output.high:
        return f"the tanh more than scalar against vector: {numbers}."
    if one_output.low > before_tanh.high:
        return f"scalar against vector more than the tanh: {numbers}."
    return f"undecided on these sizes and seeds: {numbers}."


def _of_the_tanh(share: Estimate, error: float) -> str:
    """How much of it is that a linear head cannot express the tanh; saturation alone is in no row
    of the ablation.
    """
    much = "most" if error < 0.5 else "the smaller part"
    return (
        f"A student with a tanh, which can express the teacher, has {error:.0%} of the error of"
        " one with a linear head"
        f" at the ablation's largest number of samples: {much} of that error is what a linear head"
        " cannot express. Of"
        f" the exponents' difference that is {share.mean:.0%}. Saturation alone was not taken"
        " away: scaled weights"
        " also bring the tanh within a linear head's reach."
    )


def _norms(measurements: ExperimentCurves) -> list[Claim]:
    why = "the paper has squares; theory's errors are norms, and a square root halves an exponent."
    claims = []
    for name, curve in zip(MAIN, measurements[:2], strict=True):
        sentence = f"The exponent of the root mean squared error of the {name}"
        claims.append(
            beyond(f"exponent_{name}_norm", f"{sentence}.", exponent(curve.norm()), why=why)
        )
        by_posterior = by_library("reward" if name == "reward" else "dynamics", curve)
        if isinstance(by_posterior, Estimate):
            reason = (
                "the paper fits no floor and no noise between seeds; this is how our plans read"
                " the curve."
            )
            claims.append(
                beyond(
                    f"exponent_{name}_norm_posterior",
                    f"{sentence}, by the library's own posterior.",
                    by_posterior,
                    why=reason,
                )
            )
    return claims


def words(
    claims: Sequence[Claim],
    exponents: Mapping[str, tuple[float, float]],
    scaled: tuple[float, float],
) -> str:
    """What was found; exponents of dynamics and reward as varied, by name, and those of teachers of
    scaled weights.
    """
    by_id = {claim.id: claim for claim in claims}
    share, power = (
        {name: form.format(claim.ours) for name, claim in by_id.items()}
        for form in ("{:.0%}", "{:.2f}")
    )
    overfitting = by_id["misfit_dynamics"].low > 0.9
    return (
        f"The dynamics' squared error falls with exponent {power['exponent_dynamics']} (the paper:"
        f" {PAPER['dynamics'][1]:g}), the reward's with {power['exponent_reward']} (the paper:"
        f" {PAPER['reward'][1]:g})."
        f" What makes the dynamics slow is {by_id['cause_of_slow_dynamics'].why}"
        f" {share['saturated_share']} of the"
        " components of next states are saturated. At the largest number of samples the error on"
        " the training rows is"
        f" {share['misfit_dynamics']} of that on held-out ones (reward: {share['misfit_reward']})"
        + (", so overfitting is not what slows the dynamics." if overfitting else ".")
        + " Epochs are fixed, so more samples are more steps, too: with about equal steps on"
        + f" {SIZES[0]:,} to"
        f" {SIZES[_VARIED_SIZES - 1]:,} samples the exponents are {exponents['steps'][0]:.2f} and"
        f" {exponents['steps'][1]:.2f}"
        f" instead of {exponents['ours'][0]:.2f} and {exponents['ours'][1]:.2f}. In norm,"
        " which bounds and plans need, the"
        f" exponents are {power['exponent_dynamics_norm']} and {power['exponent_reward_norm']}."
        " The ratio of the"
        " exponents belongs to the teachers: with the dynamics' weights divided by sqrt(fan in)"
        f" they are {scaled[0]:.2f} and"
        f" {scaled[1]:.2f}. Measure both curves on a system of your own."
    )


STUDY = Study(QUESTION, cells, read)
