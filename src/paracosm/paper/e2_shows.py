"""What E2 shows beside its claims: set-up, choices, tables and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from paracosm.core import estimators
from paracosm.core.records import Estimate
from paracosm.core.records.experiments import Chart, Choice, Series, Table
from paracosm.paper.e2_curves import ABLATION, EPOCHS, MAIN, PAPER, ExperimentCurves, curves
from paracosm.paper.power_laws import Curves, by_library, exponent, refits
from paracosm.paper.study import Answer


def setup(measurements: ExperimentCurves) -> tuple[str, ...]:
    """What was done, in sentences."""
    sizes, seeds = (
        ", ".join(f"{n:,.0f}" for n in measurements.dynamics.sizes),
        len(measurements.dynamics.errors),
    )
    return (
        "Teachers: 12 state components, 4 actions, 64 ReLUs, standard normal weights, no biases;"
        " next states through"
        " tanh, reward divided by sqrt(64); episodes of 500.",
        f"Students: 64 ReLUs with biases, Adam 1e-3, batch 256, {EPOCHS} epochs, mean squared"
        f" error; {sizes} samples,"
        f" {seeds} seeds each, 5,000 held-out transitions.",
        "A seed keeps its teacher from size to size; both students of a seed see the same batches.",
        "Ablation: same samples and batches, with one thing changed: the first component only; the"
        " twelve outputs"
        " before the tanh, divided by sqrt(64) as the reward is; a tanh in the student; or"
        " teachers whose dynamics' weights are divided by sqrt(fan in), the reward's not.",
    )


def choices(
    measurements: ExperimentCurves, exponents: Mapping[str, tuple[Estimate, Estimate]]
) -> tuple[Choice, ...]:
    """What the paper leaves open, and how the exponents move with it."""
    ours = exponents["ours"]

    def change(name: str) -> str:
        pair = exponents[name]
        return (
            f"exponents {pair[0].mean:.2f} and {pair[1].mean:.2f} instead of {ours[0].mean:.2f} and"
            f" {ours[1].mean:.2f} "
            f"(dynamics, reward; 2,000 to 20,000 samples, {ours[0].n} seeds)"
        )

    head = exponent(measurements.ablation["tanh student"])
    norms = [exponent(curve.norm()).mean for curve in measurements[:2]]
    return (
        Choice(
            "where episodes start", "uniform in [-1, 1]", f"all at the origin: {change('starts')}"
        ),
        Choice("the actions", "uniform in [-1, 1]", f"standard normal: {change('actions')}"),
        Choice(
            "whether seeds share a teacher",
            "each has its own",
            f"one for all: {change('teachers')}",
        ),
        Choice(
            "the student's head",
            "linear",
            f"tanh for the dynamics: exponent {_interval(head)}, see the ablation",
        ),
        Choice(
            "the error",
            "mean square, as the paper's curves",
            f"norm: exponents {norms[0]:.2f} and {norms[1]:.2f} (dynamics, reward; all sizes and"
            " seeds)",
        ),
        Choice(
            "steps of students with few samples",
            "200 epochs, as the paper",
            f"about equal steps: {change('steps')}",
        ),
        Choice("rows that fill no batch", "left out, others in each epoch", "not varied"),
    )


def _interval(value: Estimate) -> str:
    return f"{value.mean:.2f} ({value.low:.2f} to {value.high:.2f})"


def tables(answers: Sequence[Answer], measurements: ExperimentCurves) -> tuple[Table, ...]:
    """The ablation, errors by number of samples, and how plans read the curves."""
    rows = []
    for name, curve in measurements.ablation.items():
        law = refits(curve)
        first, last = (f"{curve.errors[:, n].mean():.3g}" for n in (0, -1))
        rows.append(
            (
                name,
                first,
                last,
                _interval(exponent(curve)),
                _interval(exponent(curve.norm())),
                f"{law.r2[0]:.3f}",
            )
        )
    sizes = measurements.ablation["dynamics"].sizes
    columns = (
        "what is learned",
        *(f"error at {sizes[n]:,.0f}" for n in (0, -1)),
        "exponent",
        "of the norm",
        "R²",
    )
    note = (
        "Mean squared errors on held-out transitions; 95% bootstrap over seeds, widened by t. All"
        " rows have the"
        " same seeds and sizes. Scaled weights are those of the teacher's dynamics."
    )
    return (
        Table("The ablation", columns, tuple(rows), note),
        _by_size(answers, measurements),
        _as_plans_read_them(measurements),
    )


def _as_plans_read_them(measurements: ExperimentCurves) -> Table:
    """The exponents of the norm by the library's posterior, or the sentence that refuses a
    curve.
    """
    estimates = {
        "dynamics": by_library("dynamics", measurements.dynamics),
        "reward": by_library("reward", measurements.reward),
    }
    rows = tuple(
        (name, _interval(estimate) if isinstance(estimate, Estimate) else estimate)
        for name, estimate in estimates.items()
    )
    note = (
        "Posterior of a power law above a floor, with noise between seeds; the fits above have"
        " neither."
    )
    return Table("As plans read the curves", ("part", "exponent of the norm"), rows, note)


def _by_size(answers: Sequence[Answer], measurements: ExperimentCurves) -> Table:
    """Errors on held-out and on trained transitions, and what predicting the mean leaves."""
    held_out = dict(zip(MAIN, measurements[:2], strict=True))
    trained_on = {
        name: curves(answers, name, "error on its data").errors.mean(axis=0) for name in MAIN
    }
    variance = {name: curves(answers, name, "variance").errors.mean() for name in MAIN}
    rows = tuple(
        (
            f"{size:,.0f}",
            *(
                f"{error:.3g}"
                for name in MAIN
                for error in (held_out[name].errors[:, n].mean(), trained_on[name][n])
            ),
        )
        for n, size in enumerate(measurements.dynamics.sizes)
    )
    columns = (
        "samples",
        *(f"{name}, {rows_used}" for name in MAIN for rows_used in ("held out", "its data")),
    )
    note = (
        "Mean squared errors; predicting the mean leaves "
        + ", ".join(f"{variance[n]:.3g} ({n})" for n in MAIN)
        + "."
    )
    return Table("Errors by number of samples", columns, rows, note)


def _points(name: str, curve: Curves, scale: float = 1.0) -> Series:
    estimates = [estimators.mean(column * scale) for column in curve.errors.T]
    low, high = (tuple(getattr(estimate, end) for estimate in estimates) for end in ("low", "high"))
    return Series(
        name,
        tuple(curve.sizes),
        tuple(estimate.mean for estimate in estimates),
        "points",
        low,
        high,
    )


def _line(name: str, law: tuple[float, float], sizes: np.ndarray) -> Series:
    x = np.geomspace(sizes[0], sizes[-1], 20)
    return Series(name, tuple(x), tuple(law[0] * x ** -law[1]), "dashed")


def charts(answers: Sequence[Answer], measurements: ExperimentCurves) -> tuple[Chart, ...]:
    """The curves beside the paper's, and the ablation's."""
    sizes, axes = measurements.dynamics.sizes, ("samples", "mean squared error")
    ours = [_points(name, curve) for name, curve in zip(MAIN, measurements[:2], strict=True)]
    theirs = [_line(f"{name}, the paper", PAPER[name][:2], sizes) for name in MAIN]
    caption = "Held-out error, mean over seeds with its 95% interval, beside the paper's fits."
    first = Chart("curves", "Learning curves", *axes, (*ours, *theirs), caption, True, True)
    series = [
        _points(
            name, measurements.ablation[name], 1 / curves(answers, name, "variance").errors.mean()
        )
        for name in ("dynamics", *ABLATION, "reward")
    ]
    caption = (
        "Error over the variance of what is learned. Compare the slope before the tanh, of twelve"
        " outputs, with the"
        " reward's and with that of one component."
    )
    return first, Chart(
        "ablation",
        "One thing changed at a time",
        axes[0],
        "error / variance",
        tuple(series),
        caption,
        True,
        True,
    )
