"""`paracosm indicators RUN_OR_FOLDER …`: which numbers of the audits precede the gap."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from paracosm.cli import output
from paracosm.loop.indicators import indicators


@dataclasses.dataclass(frozen=True)
class IndicatorFlags:
    """Test which gap terms, spread, calibration and edge share precede the gap, from checkpoint to
    checkpoint of one training or several.

    Of runs their audits along the rounds: paracosm indicators runs/pendulum. Of anybody's training
    a folder that holds, for each checkpoint, what paracosm audit --json prints: paracosm indicators
    audits/seed0 audits/seed1

    Attributes:
        trainings: Run directories, or folders of audits: *.json in natural order of their names (2
            before 10). Each is one training; from five of equal length on the test is exact.
        lag: By how many checkpoints an indicator is to come before the gap.
        out: Write the result as a page here.
        json: Print one JSON document on stdout instead of the table.
    """

    trainings: tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN_OR_FOLDER")]
    ]
    lag: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(IndicatorFlags, arguments, "indicators")
    record = indicators(*flags.trainings, lag=flags.lag)
    output.deliver(record, record.to_dict(), flags.out, as_json=flags.json)
