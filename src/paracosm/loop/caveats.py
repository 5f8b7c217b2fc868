"""What a reader of a run's result must know before believing it."""

from __future__ import annotations

from paracosm.core.records import Diagnosis, PartFit, Training
from paracosm.core.records.reasons import Caveat, CaveatKind
from paracosm.core.records.stop_reason import StopReason
from paracosm.reporting import caveat_words

_MUCH_EDGE = 0.05  # imagined steps at the edge of the data: fewer hardly move a return
_MOST_OF_BASELINE = 0.5  # a part that errs more than half as much as a constant has learned little


def run_warnings(
    fits: dict[str, PartFit], trainings: tuple[Training, ...], diagnosis: Diagnosis
) -> tuple[str, ...]:
    """The caveats of a run, one sentence each."""
    return caveat_words.sentences(caveats(fits, trainings, diagnosis))


def caveats(
    fits: dict[str, PartFit], trainings: tuple[Training, ...], diagnosis: Diagnosis
) -> list[Caveat]:
    """What was learned badly, what training left undone, and what the audit left out."""
    notes = [note for name, fit in fits.items() if (note := _little_learned(name, fit))]
    edge = diagnosis.data_edge_share
    if edge is not None and edge > _MUCH_EDGE:
        notes.append(Caveat(CaveatKind.EDGE_OF_DATA, "", {"share": edge}))
    if trainings[-1].stop_reason is StopReason.MOST_STEPS:
        notes.append(Caveat(CaveatKind.MOST_STEPS))
    if diagnosis.audited_steps < diagnosis.real_steps:
        counts = {
            "audited": float(diagnosis.audited_steps),
            "real": float(diagnosis.real_steps),
        }
        notes.append(Caveat(CaveatKind.STEPS_SAMPLED, "", counts))
    return notes


def _little_learned(name: str, fit: PartFit) -> Caveat | None:
    """The caveat of a part that errs nearly as much as a constant would; None if it does not."""
    if fit.error is None or not fit.baseline:
        return None
    if not fit.error.mean > _MOST_OF_BASELINE * fit.baseline:
        return None
    numbers = {"share": fit.error.mean / fit.baseline, "rows": float(fit.rows)}
    return Caveat(CaveatKind.LITTLE_LEARNED, name, numbers)
