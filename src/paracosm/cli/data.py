"""`paracosm data FILE`: what is in a data set, what is odd about it, and another kind of file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import tyro

from paracosm import reporting
from paracosm.cli import output
from paracosm.loop.describing import read_and_describe
from paracosm.real import datasets
from paracosm.real.column_map import parse_column_map


@dataclasses.dataclass(frozen=True)
class DataFlags:
    """Say what is in a file of recorded steps and what is odd about it, and convert it.

    Files: .npz, .h5 or .hdf5 (D4RL's too), .parquet, .arrow, .feather, .csv, a folder of Parquet
    files as LeRobot writes them, or minari:NAME. Columns of other names than ours or LeRobot's are
    named: paracosm data log.csv --columns state=pos,vel action=force reward=r episode=ep --to
    log.npz

    Attributes:
        file: The file, the folder or minari:NAME.
        columns: Which columns are what: ROLE=COLUMN, or ROLE=COLUMN,COLUMN of vectors, as many as
            needed. Roles are state, action, next_state, reward, terminated, truncated, done (the
            episode stops, for whatever reason), episode and time.
        to: Write the data set here, in the kind of file that the name says.
        json: Print one JSON document on stdout instead of the summary.
    """

    file: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FILE")]]
    columns: Annotated[tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN")] = ()
    to: Annotated[str | None, tyro.conf.arg(metavar="OTHER")] = None
    json: bool = False


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    flags = output.parse(DataFlags, arguments, "data")
    if flags.to is not None:
        datasets.try_place("--to", flags.to, flags.file)
    dataset, summary = read_and_describe(flags.file, parse_column_map(flags.columns))
    if flags.to is not None:
        datasets.save(dataset, flags.to)
    output.show(reporting.summary(summary), summary.to_dict(), as_json=flags.json)
