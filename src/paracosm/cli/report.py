"""`paracosm report RUN`: the page written again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from rich.text import Text

from paracosm import reporting
from paracosm.cli import output
from paracosm.loop import filming
from paracosm.loop.load import load
from paracosm.loop.results import ranked_diagnosis


@dataclasses.dataclass(frozen=True)
class ReportFlags:
    """Write the report of a finished run again, from its result.json; nothing is computed.

    Pictures of a real and an imagined episode are drawn anew by the environment, if it can.

    Attributes:
        run: The run directory.
        out: Where to write the page; report.html in the run directory if not given.
        trust: Import the code that the run names, to draw with its environment, if the run is your
            own.
        json: Print one JSON document on stdout instead of the summary.
    """

    run: tyro.conf.Positional[Path]
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    trust: bool = False
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(ReportFlags, arguments, "report")
    run = load(flags.run, trust=flags.trust)
    diagnosis = ranked_diagnosis(run.path, run.result.diagnosis)
    result = dataclasses.replace(run.result, diagnosis=diagnosis)
    with output.blame_files(flags.run):
        page = reporting.write(
            result,
            flags.run / "report.html" if flags.out is None else flags.out,
            film=filming.film(run, run.result.diagnosis),
        )
    output.show(
        Text(f"The report is {page}"), {**result.summary(), "report": str(page)}, as_json=flags.json
    )
