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
from paracosm.loop.load import load


@dataclasses.dataclass(frozen=True)
class ReportFlags:
    """Write the report of a finished run again, from its result.json; nothing is computed.

    Attributes:
        run: The run directory.
        out: Where to write the page; report.html in the run directory if not given.
        json: Print one JSON document on stdout instead of the summary.
    """

    run: tyro.conf.Positional[Path]
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    flags = output.parse(ReportFlags, arguments, "report")
    result = load(flags.run).result
    with output.of_files(flags.run):
        page = reporting.write(
            result, flags.run / "report.html" if flags.out is None else flags.out
        )
    output.show(
        Text(f"The report is {page}"), {**result.summary(), "report": str(page)}, as_json=flags.json
    )
