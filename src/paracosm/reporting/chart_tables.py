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
from paracosm.core.records.rounds import RoundAudit
from paracosm.reporting import calibration_tables, words
from paracosm.reporting.decision_tables import Texts

_MOST_ROWS = 21  # of a long series: enough to see its shape, few enough to read
_MOST_STATES = 42  # rows of the states of an episode, all components together
_INTERVAL = ("", "mean", "95% interval")
_HEADS: dict[str, str] = {
    "real_return": "real",
    "predicted_return": "imagined",
    "calibration": "error² / spread²",
    "edge_share": "share at the edge",
    **{cause: cause for cause in ("reward", "termination", "dynamics")},
}


class ChartNumbers(NamedTuple):
    """What stands in a chart: heads of the columns and rows, and what they are."""

    caption: str
    heads: Texts
    rows: list[Texts]


def returns(diagnosis: Diagnosis) -> list[ChartNumbers]:
    """Behind the two returns."""
    gap = diagnosis.gap
    rows = [("real", *_interval(gap.real)), ("imagined", *_interval(gap.predicted))]
    return [ChartNumbers("Returns of whole episodes", _INTERVAL, rows)]


def running_sums(diagnosis: Diagnosis) -> list[ChartNumbers]:
    """Behind the causes over the episode: signed sums up to a step, and sums of sizes."""
    causes = diagnosis.causes
    signed = {name: np.cumsum(cause.signed) for name, cause in causes.items()}
    sizes = {name: np.cumsum(cause.absolute) for name, cause in causes.items()}
    return [
        _by_step("Signed sums from the first step to this one", signed),
        _by_step("The same without signs", sizes),
    ]


def _by_step(caption: str, series: dict[str, np.ndarray]) -> ChartNumbers:
    """Series by name over the same steps, which are counted from 1."""
    steps = _steps(max(map(len, series.values()), default=0))
    rows = [(str(step + 1), *(_short(sums[step]) for sums in series.values())) for step in steps]
    return ChartNumbers(caption, ("step", *series), rows)


def components(diagnosis: Diagnosis) -> list[ChartNumbers]:
    """Behind the dynamics term by component of the state, all of them."""
    by = diagnosis.dynamics_by_dimension
    rows = [
        (f"component {words.component(i, by.components)}", *_interval(term))
        for i, term in enumerate(by.dimensions)
    ]
    rows.append(("remainder", *_interval(by.remainder)))
    return [ChartNumbers("The dynamics term, shared out", _INTERVAL, rows)]


def training(result: RunResult) -> list[ChartNumbers]:
    """Behind the imagined return over training."""
    most = max(2, _MOST_ROWS // max(1, len(result.trainings)))
    rows = [
        (str(number), f"{done.step[i]:,}", _short(done.imagined_return[i]), _short(done.entropy[i]))
        for number, done in enumerate(result.trainings, 1)
        for i in _steps(len(done.step), most)
    ]
    heads = ("round", "gradient step", "imagined return", "entropy")
    return [ChartNumbers("Imagined return while the policy was trained", heads, rows)]


def learning(fit: PartFit) -> list[ChartNumbers]:
    """Behind how a part was learned: its losses; the errors stand in the table of the fit."""
    rows = [(f"{i + 1:,}", _short(fit.curve[i])) for i in _steps(len(fit.curve))]
    heads = ("epoch", "validation loss")
    return [ChartNumbers("Validation loss, the mean over members", heads, rows)]


def rollouts(overlay: Overlay, dimensions: Sequence[int]) -> list[ChartNumbers]:
    """Behind an imagined rollout over the real episode: the state components that are drawn."""
    longer = max(len(overlay.real), len(overlay.imagined))
    steps = _steps(longer, max(6, _MOST_STATES // len(dimensions)))
    rows = [
        (str(step), str(i), _entry(overlay.real, step, i), _entry(overlay.imagined, step, i))
        for step, i in itertools.product(steps, dimensions)
    ]
    heads = ("step", "state", "real", "imagined")
    return [ChartNumbers("States of both episodes, as long as each was alive", heads, rows)]


def rounds(result: RunResult) -> list[ChartNumbers]:
    """Behind the audits along the run."""
    columns = {
        "Returns": ("real_return", "predicted_return"),
        "Terms of the gap": ("reward", "termination", "dynamics"),
        "Spread and edge": ("calibration", "edge_share"),
    }
    return [
        ChartNumbers(
            caption,
            ("transitions", *(_HEADS[name] for name in names)),
            [_round(audit, names) for audit in result.rounds],
        )
        for caption, names in columns.items()
    ]


def _round(audit: RoundAudit, names: Sequence[str]) -> Texts:
    """What a round had learned from, and some of its numbers."""
    numbers = (getattr(audit, name) for name in names)
    return (
        words.count(audit.transitions),
        *("–" if number is None else _short(number) for number in numbers),
    )


def coverage(calibration: Calibration) -> list[ChartNumbers]:
    """Behind what the intervals of each level hold."""
    heads = ("level of the interval", "real next states in it")
    rows: list[Texts] = [*calibration_tables.level_rows(calibration)]
    return [ChartNumbers("What predictive intervals hold", heads, rows)]


def _interval(estimate: Estimate) -> Texts:
    return (words.mean(estimate), words.interval(estimate))


def _steps(length: int, most: int = _MOST_ROWS) -> list[int]:
    """Places of at most so many rows of a series, evenly apart, the first and the last included."""
    return sorted(set(np.linspace(0, length - 1, min(length, most)).round().astype(int).tolist()))


def _short(value: float) -> str:
    return words.number(float(value))


def _entry(states: tuple[tuple[float, ...], ...], step: int, component: int) -> str:
    """A component of a state, a dash after the episode's end."""
    return _short(states[step][component]) if step < len(states) else "–"
