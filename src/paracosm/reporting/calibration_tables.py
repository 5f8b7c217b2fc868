"""Whether a world's spread is worth anything, as rows of text for the page and the terminal."""

from __future__ import annotations

from paracosm.core.records import Estimate
from paracosm.core.records.calibration import Calibration
from paracosm.reporting import calibration_words, words
from paracosm.reporting.tables import Row, row

HORIZON_HEADS = ("steps ahead", "90% intervals hold", "model", "no change", "mean state")


def one_step_rows(calibration: Calibration) -> list[Row]:
    """Coverage, calibration error and width of one step, what of it is known."""
    if calibration.coverage is None or calibration.factor is None:
        return []
    held = calibration.coverage.observed[-1]
    return [
        _share("90% intervals hold", held, "of next states"),
        row("calibration error", calibration.coverage.error, "0 is right, 0.5 worst"),
        row("widths needed", calibration.factor, "above 1: too small", decimals=2),
        *return_rows(calibration),
    ]


def return_rows(calibration: Calibration) -> list[Row]:
    """The gap in spreads of the imagined return."""
    spread = calibration.returns
    if spread is None:
        return []
    note = f"of {words.number(spread.spread)} in return"
    return [row("gap, in members' spreads", spread.ratio, note, decimals=1)]


def _share(name: str, held: Estimate, note: str) -> Row:
    mean, ends = calibration_words.share(held).split(" ", 1)
    return Row(name, mean, ends, note)


def component_rows(calibration: Calibration) -> list[tuple[str, str, str]]:
    """State component, how much its 90% intervals hold, its calibration error."""
    return [
        (
            str(part.component),
            calibration_words.share(part.coverage),
            words.estimate(part.error),
        )
        for part in calibration.components
    ]


def level_rows(calibration: Calibration) -> list[tuple[str, str]]:
    """Nominal level, observed share."""
    if calibration.coverage is None:
        return []
    pairs = zip(calibration.coverage.nominal, calibration.coverage.observed, strict=True)
    return [(f"{level:.0%}", calibration_words.share(held)) for level, held in pairs]


def horizon_rows(calibration: Calibration) -> list[tuple[str, ...]]:
    """Horizon, coverage, the errors of the model and of the simple guesses: see `HORIZON_HEADS`."""
    return [
        (
            f"{horizon.steps:,}",
            "–" if horizon.coverage is None else calibration_words.share(horizon.coverage),
            *(
                words.number(error.mean)
                for error in (horizon.model, horizon.no_change, horizon.mean_state)
            ),
        )
        for horizon in calibration.horizons
    ]
