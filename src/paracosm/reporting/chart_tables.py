"""The numbers behind the charts of a report, as rows of text: a chart shows a shape, and whoever
cannot see it, or wants to cite it, reads these.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from paracosm.core.records import Diagnosis, Estimate, Overlay, PartFit
from paracosm.core.records.calibration import Calibration
from paracosm.core.records.results import RunResult
from paracosm.reporting import calibration_tables, words
from paracosm.reporting.decision_tables import Texts

_MOST_ROWS = 21  # of a long series: enough to see its shape, few enough to read
_INTERVAL = ("", "mean", "95% interval")


class ChartNumbers(NamedTuple):
    """What stands in a chart: heads of the columns and rows, and what they are."""

    caption: str
    heads: Texts
    rows: list[Texts]


def returns(diagnosis: Diagnosis) -> ChartNumbers:
    """Behind the two returns."""
    gap = diagnosis.gap
    rows = [("real", *_interval(gap.real)), ("imagined", *_interval(gap.predicted))]
    return ChartNumbers("Returns of whole episodes", _INTERVAL, rows)


def running_sums(diagnosis: Diagnosis) -> ChartNumbers:
    """Behind the causes over the episode: signed and absolute sums up to a step."""
    series = [
        np.cumsum(values)
        for cause in diagnosis.causes.values()
        for values in (cause.signed, cause.absolute)
    ]
    heads = [text for name in diagnosis.causes for text in (name, f"size of {name}")]
    steps = _steps(len(series[0])) if series else []
    rows = [(str(step + 1), *(_short(values[step]) for values in series)) for step in steps]
    return ChartNumbers("Sums from the first step to this one", ("step", *heads), rows)


def components(diagnosis: Diagnosis) -> ChartNumbers:
    """Behind the dynamics term by component of the state, all of them."""
    by = diagnosis.dynamics_by_dimension
    rows = [(f"component {i}", *_interval(term)) for i, term in enumerate(by.dimensions)]
    rows.append(("remainder", *_interval(by.remainder)))
    return ChartNumbers("The dynamics term, shared out", _INTERVAL, rows)


def training(result: RunResult) -> ChartNumbers:
    """Behind the imagined return over training."""
    rows = [
        (str(number), f"{done.step[i]:,}", _short(done.imagined_return[i]), _short(done.entropy[i]))
        for number, done in enumerate(result.trainings, 1)
        for i in _steps(len(done.step), _MOST_ROWS // len(result.trainings) + 2)
    ]
    heads = ("round", "gradient step", "imagined return", "entropy")
    return ChartNumbers("Imagined return while the policy was trained", heads, rows)


def learning(fit: PartFit) -> ChartNumbers:
    """Behind how a part was learned: its losses; the errors stand in the table of the fit."""
    rows = [(f"{i + 1:,}", _short(fit.curve[i])) for i in _steps(len(fit.curve))]
    heads = ("epoch", "validation loss")
    return ChartNumbers("Validation loss, the mean over members", heads, rows)


def rollouts(overlay: Overlay, dimensions: Sequence[int]) -> ChartNumbers:
    """Behind an imagined rollout over the real episode: the state components that are drawn."""
    longer = max(len(overlay.real), len(overlay.imagined))
    rows = [
        (str(step), str(i), _entry(overlay.real, step, i), _entry(overlay.imagined, step, i))
        for step, i in itertools.product(_steps(longer), dimensions)
    ]
    heads = ("step", "state", "real", "imagined")
    return ChartNumbers("States of both episodes, as long as each was alive", heads, rows)


def rounds(result: RunResult) -> ChartNumbers:
    """Behind the audits along the run."""
    rows = [
        (
            words.count(audit.transitions),
            *(_optional(number) for number in (audit.real_return, audit.predicted_return)),
            *(_optional(number) for number in (audit.reward, audit.termination, audit.dynamics)),
            _optional(audit.calibration),
            words.percent(audit.edge_share),
        )
        for audit in result.rounds
    ]
    heads = ("transitions", "real", "imagined", "reward", "termination", "dynamics")
    return ChartNumbers(
        "The audits along the run", (*heads, "error² / spread²", "at the edge"), rows
    )


def coverage(calibration: Calibration) -> ChartNumbers:
    """Behind what the intervals of each level hold."""
    heads = ("level of the interval", "real next states in it")
    rows: list[Texts] = [*calibration_tables.level_rows(calibration)]
    return ChartNumbers("What predictive intervals hold", heads, rows)


def _interval(estimate: Estimate) -> Texts:
    return (words.mean(estimate), words.interval(estimate))


def _steps(length: int, most: int = _MOST_ROWS) -> list[int]:
    """Places of at most so many rows of a series, evenly apart, the first and the last included."""
    return sorted(set(np.linspace(0, length - 1, min(length, most)).round().astype(int).tolist()))


def _short(value: float) -> str:
    return words.number(float(value))


def _optional(value: float | None) -> str:
    return "–" if value is None else _short(value)


def _entry(states: tuple[tuple[float, ...], ...], step: int, component: int) -> str:
    """A component of a state, a dash after the episode's end."""
    return _short(states[step][component]) if step < len(states) else "–"
