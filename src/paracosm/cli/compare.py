"""`paracosm compare RUN RUN …`: results side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from paracosm.cli import output
from paracosm.loop.load import compare


@dataclasses.dataclass(frozen=True)
class CompareFlags:
    """Put the results of finished runs side by side: returns, the gap and its causes, data, prices,
    time.

    Attributes:
        runs: Two or more run directories.
        out: Write the comparison as a page here.
        json: Print one JSON document on stdout instead of the table.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run it."""
    flags = output.parse(CompareFlags, arguments, "compare")
    comparison = compare(*flags.runs)
    document = {"runs": {name: result.summary() for name, result in comparison.runs.items()}}
    with output.of_files(*flags.runs):
        output.deliver(comparison, document, flags.out, as_json=flags.json)
