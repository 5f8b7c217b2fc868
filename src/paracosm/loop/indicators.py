"""The verb `indicators`: which numbers of the audits of a training precede its gap."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paracosm.auditing import indicators as testing
from paracosm.core import checks
from paracosm.core.files import as_path, read_record, shown
from paracosm.core.records import Diagnosis, RoundAudit
from paracosm.core.records.indicators import Indicators
from paracosm.loop.directory import is_run
from paracosm.loop.load import Run, load

Audit = Diagnosis | RoundAudit
Audits = Sequence[Audit] | Mapping[str, Audit]

_TERMS = ("reward", "termination", "dynamics")


@dataclasses.dataclass(frozen=True)
class _AuditedTraining:
    """The audits of one training, by checkpoint in order of time, and what task they are of."""

    name: str
    audits: Mapping[str, Audit]
    task: Mapping[str, Any]


def indicators(*trainings: str | Path | Run | Audits, lag: int = 1) -> Indicators:
    """Which gap terms, spread, calibration and edge share precede the gap of one or more trainings.

    Terms count without their sign, as the gap does. Checkpoints whose gap is not known, since
    rewards were not bought for all of their steps, are passed over; a number that some checkpoint
    does not have is left out.

    Args:
        trainings: Each a run, or its directory: the audits along its rounds. Or the audits of the
            checkpoints of anybody's training in order of time: a folder of the JSON documents that
            `paracosm audit --json` prints, in natural order of their names (2 before 10), a
            sequence of `Diagnosis`, or a mapping of them by name.
        lag: By how many checkpoints an indicator is to come before the gap.

    Raises:
        BadArgument: no training is given, a lag below 1, or trainings of different tasks.
        Missing: there is no such run or folder, or no audit in it.
        BadData: a file that holds no audit, audits of different tasks, one and the same audit
            twice, or one whose conditions do not hold.
    """
    checks.count("lag", lag)
    if not trainings:
        raise checks.BadArgument(
            "no training is given; a run, or a folder of audits of its checkpoints, is needed."
        )
    audited = [_training(audits, number) for number, audits in enumerate(trainings, start=1)]
    for training in audited:
        _require_audits(training)
    _require_one_task(audited)
    _require_different(audited)
    tables, left_out = _tables(audited)
    return testing.indicators(tables, lag=lag, left_out=left_out)


def of_rounds(rounds: Sequence[RoundAudit]) -> Indicators | None:
    """Which numbers of the audits along a run precede its gap; None where rounds are too few."""
    named = {f"round {audit.round + 1}": audit for audit in rounds if audit.gap is not None}
    if not named:
        return None
    tables, left_out = _tables([_AuditedTraining("this run", named, {})])
    tested = testing.indicators(tables, left_out=left_out)
    return tested if min(tested.checkpoints) >= tested.needed else None


def _training(audits: Any, number: int) -> _AuditedTraining:
    """One training, of whatever `indicators` takes; `number` is its place among all, from 1."""
    if isinstance(audits, Run):
        return _of_run(audits)
    if isinstance(audits, str | os.PathLike):
        return _of_path(as_path("a training", audits))
    name = f"training {number}"
    if isinstance(audits, Mapping):
        return _of_records(name, {str(key): audit for key, audit in audits.items()})
    if isinstance(audits, Sequence):
        named = {f"checkpoint {n}": audit for n, audit in enumerate(audits, start=1)}
        return _of_records(name, named)
    raise checks.BadArgument(
        f"{name} is {checks.described(audits)}; a run, a folder of audits, or the audits are"
        " needed."
    )


def _of_run(run: Run) -> _AuditedTraining:
    """The audits along a run's rounds."""
    result = run.result
    audits = {f"round {audit.round + 1}": audit for audit in result.rounds}
    if not audits:
        raise checks.Missing(
            f"no round of the run in {shown(run.path)} was audited; several rounds whose policies"
            " collected whole episodes, or a folder of audits, are needed."
        )
    task = {"env": result.env, "arguments": run.config.arguments}
    return _AuditedTraining(
        shown(run.path), audits, {**task, "horizon": result.diagnosis.horizon, "audits": "rounds"}
    )


def _audit_in(file: Path) -> Diagnosis:
    if os.path.isfile(file) and not os.path.getsize(file):
        raise checks.BadData(
            f"{shown(file)} is empty; what paracosm audit --json prints of a checkpoint is needed."
        )
    try:
        return read_record(Diagnosis, file)
    except checks.BadData:
        raise checks.BadData(
            f"{shown(file)} holds no audit of this version; what paracosm audit --json prints of a"
            " checkpoint is needed."
        ) from None


def _of_path(path: Path) -> _AuditedTraining:
    """A run's audits, or those in the files of a folder.

    Raises:
        Missing: there is no such folder, or no audit in it.
    """
    if not path.is_dir():
        raise checks.Missing(
            f"there is no folder {shown(path)}; a run, or a folder of audits, is needed."
        )
    if is_run(path):
        return _of_run(load(path))
    files = sorted(path.glob("*.json"), key=lambda file: _natural(file.name))
    if not files:
        raise checks.Missing(
            f"{shown(path)} is no run and holds no *.json; what paracosm audit --json prints of"
            " each checkpoint is needed."
        )
    return _of_records(shown(path), {file.stem: _audit_in(file) for file in files})


def _natural(name: str) -> list[tuple[int, str]]:
    """A key by which 2 comes before 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if n % 2 else (0, part) for n, part in enumerate(parts)]


def _of_records(name: str, audits: Mapping[str, Any]) -> _AuditedTraining:
    """Audits that are at hand, all of one task.

    Raises:
        BadArgument: there is no audit, or something else among them.
        BadData: two are of different tasks.
    """
    if not audits:
        raise checks.BadArgument(f"{name} has no audit; one of each checkpoint is needed.")
    for checkpoint, audit in audits.items():
        checks.of_kind(f"{checkpoint} of {name}", audit, (Diagnosis, RoundAudit), "an audit")
    (first, task), *rest = [(at, _task(audit)) for at, audit in audits.items()]
    for checkpoint, compared in rest:
        if difference := _difference(task, compared):
            raise checks.BadData(
                f"{first} of {name} has {difference[0]}, {checkpoint} has {difference[1]}; audits"
                " of one task are needed."
            )
    return _AuditedTraining(name, audits, task)


def _task(audit: Audit) -> dict[str, Any]:
    """What an audit says of its task."""
    if isinstance(audit, RoundAudit):
        return {"audits": "rounds"}
    states = [len(overlay.real[0]) for overlay in audit.overlays[:1]]
    return {
        "audits": "checkpoints",
        "horizon": audit.horizon,
        "discount": audit.discount,
        "state components": states[0] if states else None,
    }


def _difference(task: Mapping[str, Any], compared: Mapping[str, Any]) -> tuple[str, str] | None:
    """What differs first of two tasks, as words for both; None if nothing does."""
    for name in task:
        if name in compared and task[name] != compared[name]:
            return f"{name} {task[name]}", f"{name} {compared[name]}"
    return None


def _require_one_task(trainings: Sequence[_AuditedTraining]) -> None:
    """Refuse trainings of different tasks.

    Raises:
        BadArgument: two are of different tasks.
    """
    first, *rest = trainings
    for training in rest:
        if difference := _difference(first.task, training.task):
            raise checks.BadArgument(
                f"{first.name} has {difference[0]}, {training.name} has {difference[1]}; trainings"
                " of one task are needed."
            )


def _require_audits(training: _AuditedTraining) -> None:
    """Refuse audits whose terms explain nothing.

    Raises:
        BadData: the conditions of an audit do not hold.
    """
    for checkpoint, audit in training.audits.items():
        if isinstance(audit, Diagnosis) and not audit.valid:
            raise checks.BadData(
                f"the audit {checkpoint} of {training.name} explains nothing, since its own"
                " conditions do not hold; mend it or take it away."
            )


def _require_different(trainings: Sequence[_AuditedTraining]) -> None:
    """Refuse one and the same audit under two names.

    Raises:
        BadData: an audit has two names.
    """
    seen: dict[Any, str] = {}
    for training in trainings:
        for checkpoint, audit in training.audits.items():
            place = f"{checkpoint} of {training.name}"
            # Two audits of different checkpoints never have all returns and terms in common.
            content = audit.gap if isinstance(audit, Diagnosis) else audit
            if content in seen:
                raise checks.BadData(
                    f"{seen[content]} and {place} are one and the same audit; a checkpoint counts"
                    " once."
                )
            seen[content] = place


def _tables(
    trainings: Sequence[_AuditedTraining],
) -> tuple[dict[str, testing.SeriesByName], tuple[str, ...]]:
    """The series of each training, and the names of those that some checkpoint does not have.

    Raises:
        BadData: no gap of a training is known.
    """
    rows: dict[str, list[dict[str, float | None]]] = {}
    for training in trainings:
        all_rows = [_numbers(audit) for audit in training.audits.values()]
        rows[training.name] = [row for row in all_rows if row["gap"] is not None]
        if not rows[training.name]:
            raise checks.BadData(
                f"no gap of {training.name} is known, since rewards were not bought; labelled"
                " episodes are needed."
            )
    pooled = [row for training in rows.values() for row in training]
    complete = [name for name in pooled[0] if all(row[name] is not None for row in pooled)]
    left_out = tuple(name for name in pooled[0] if name not in complete)
    tables: dict[str, testing.SeriesByName] = {
        name: {series: [float(row[series] or 0.0) for row in training] for series in complete}
        for name, training in rows.items()
    }
    return tables, left_out


def _numbers(audit: Audit) -> dict[str, float | None]:
    """Gap and indicators of one audit by name; None where the audit does not have one."""
    if isinstance(audit, RoundAudit):
        terms = {name: getattr(audit, name) for name in ("gap", *_TERMS)}
        rest = {name: getattr(audit, name) for name in ("spread", "calibration", "edge_share")}
    else:
        means = {name: getattr(audit.gap, name).mean for name in _TERMS}
        terms = {"gap": audit.gap.total.mean, **means}
        rest = {**_calibrated(audit), "edge_share": audit.data_edge_share}
    return {name: None if term is None else abs(term) for name, term in terms.items()} | rest


def _calibrated(audit: Diagnosis) -> dict[str, float | None]:
    """The spread of the imagined return over members and by how much the spread of one step is too
    narrow, where that was judged.
    """
    judged = audit.calibration
    spread = None if judged is None or judged.returns is None else judged.returns.spread
    factor = None if judged is None or judged.factor is None else judged.factor.mean
    return {"spread": spread, "calibration": factor}
