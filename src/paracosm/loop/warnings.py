"""What a reader of a run's result must know before believing it."""

from __future__ import annotations

from paracosm.core.records import Diagnosis, PartFit, Training
from paracosm.core.records.stop_reason import StopReason

_MUCH_EDGE = 0.05
_MOST_OF_BASELINE = 0.5


def warnings_of(
    fits: dict[str, PartFit], trainings: tuple[Training, ...], found: Diagnosis
) -> tuple[str, ...]:
    """One sentence per concern."""
    said = []
    for name, fit in fits.items():
        if (
            fit.error is not None
            and fit.baseline
            and fit.error.mean > _MOST_OF_BASELINE * fit.baseline
        ):
            share = fit.error.mean / fit.baseline
            said.append(
                f"The learned {name} errs {share:.0%} as much as a constant would: {fit.rows} rows"
                " may be too few."
            )
    if found.data_edge_share is not None and found.data_edge_share > _MUCH_EDGE:
        said.append(
            f"{found.data_edge_share:.0%} of the audited imagined steps lie at the edge of the"
            " data."
        )
    if trainings[-1].stop_reason is StopReason.MOST_STEPS:
        said.append(
            "Training in imagination reached its most gradient steps before the imagined return"
            " stalled."
        )
    if found.audited_steps < found.real_steps:
        said.append(
            f"The audit attributed a random {found.audited_steps} of {found.real_steps} real"
            " steps, reweighted."
        )
    return tuple(said)
