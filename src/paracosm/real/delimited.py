"""Data sets in CSV files: a header, and a row a step."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.real.column_map import VECTORS
from paracosm.real.tables import RecordedTable

_BLOCK = 50_000  # rows whose texts are in memory at a time: they take ten times what numbers do
_WORDS = {"true": True, "false": False}
_EMPTY = ("", "null", "none", "na", "n/a")


class _CsvLine(NamedTuple):
    """A row's cells, and the number of its line in the file."""

    number: int
    cells: list[str]


class CsvTable(RecordedTable):
    """A CSV file of UTF-8, with commas, whose first line names the columns."""

    def __init__(self, path: Path) -> None:
        """Read the header.

        Raises:
            BadData: there is none, or it names a column twice.
        """
        self.where, self._path = str(path), path
        header = next(_lines(path), _CsvLine(1, []))
        self.names = tuple(cell.strip() for cell in header.cells)
        repeated = [name for name in self.names if self.names.count(name) > 1]
        if not self.names or repeated:
            wrong = f"names {repeated[0]!r} twice" if repeated else "is empty"
            raise checks.BadData(f"{path} {wrong}; a first line that names each column is needed.")
        self._numbers = np.zeros(0, np.int64)

    def read(self, wanted: Sequence[str], texts: Collection[str]) -> dict[str, np.ndarray]:
        places = {name: self.names.index(name) for name in wanted}
        blocks: list[list[np.ndarray]] = []
        numbers: list[int] = []
        lines = itertools.islice(_lines(self._path), 1, None)
        while block := self._block(lines):
            cells_by_name = {name: [line.cells[i] for line in block] for name, i in places.items()}
            blocks.append(
                [
                    _column(cells, block, f"{self.where}: {name}", text=name in texts)
                    for name, cells in cells_by_name.items()
                ]
            )
            numbers += [line.number for line in block]
        self._numbers = np.asarray(numbers, np.int64)
        return {
            name: np.concatenate([parts[i] for parts in blocks]) if blocks else np.zeros(0)
            for i, name in enumerate(wanted)
        }

    def place(self, row: int) -> str:
        return f"line {self._numbers[row]}"

    def _block(self, lines: Iterator[_CsvLine]) -> list[_CsvLine]:
        """The next rows, without empty lines.

        Raises:
            BadData: a row has more cells than the header, or fewer.
        """
        block = list(itertools.islice((line for line in lines if line.cells), _BLOCK))
        for line in block:
            if len(line.cells) != len(self.names):
                raise checks.BadData(
                    f"{self.where}: line {line.number} has {len(line.cells)} cells and the header"
                    f" {len(self.names)}; they must be as many."
                )
        return block


def _lines(path: Path) -> Iterator[_CsvLine]:
    """The rows of a CSV file.

    Raises:
        BadData: the file is no text, or breaks the rules of quotes.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            for cells in rows:
                yield _CsvLine(rows.line_num, cells)
        except (csv.Error, UnicodeDecodeError) as error:
            raise checks.BadData(
                f"{path} is not a CSV file that can be read: after line {rows.line_num}"
                f" {str(error)[:200].rstrip('.')}."
            ) from None


def _column(cells: list[str], block: list[_CsvLine], what: str, *, text: bool) -> np.ndarray:
    """Cells as whole numbers, else as numbers, else as booleans; NaN where they are empty.

    Args:
        cells: The cells of the column.
        block: The rows that they come from.
        what: What error messages call the column.
        text: Whether the column may be text.

    Raises:
        BadData: naming the line of the first cell that is none of these.
    """
    array = np.asarray(cells)
    for kind in (np.int64, np.float64):
        try:
            return array.astype(kind)
        except (ValueError, OverflowError):
            continue
    words = [cell.strip().lower() for cell in cells]
    if all(word in _WORDS for word in words):
        return np.array([_WORDS[word] for word in words])
    if text:
        return array
    return np.array(
        [
            np.nan if word in _EMPTY else _number(cell, line.number, what)
            for word, cell, line in zip(words, cells, block, strict=True)
        ]
    )


def _number(cell: str, line: int, what: str) -> float:
    """A cell as a number.

    Raises:
        BadData: it is none; naming the line.
    """
    try:
        return float(cell)
    except ValueError:
        raise checks.BadData(
            f"{what} is {ascii(cell)[:60]} in line {line}; a number is needed."
        ) from None


def write(columns: Mapping[str, np.ndarray], path: Path) -> None:
    """Write a data set's columns as a CSV file, in which loading finds them equal: a vector is the
    columns `state_0`, `state_1`, …, and flags are 0 or 1.

    Raises:
        Unsupported: states are images, which a CSV file does not tell from vectors.
    """
    if columns["state"].dtype == np.uint8:
        raise checks.Unsupported(
            "states that are images cannot be kept in a CSV file; .npz, .h5 or .parquet is needed."
        )
    flat: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        numbers = values.astype(np.int8) if values.dtype == bool else values
        if name in VECTORS and values.ndim == 2:
            flat |= {f"{name}_{i}": column for i, column in enumerate(numbers.T)}
        else:
            flat[name] = numbers
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(flat)
        # NumPy's own text of a number is the shortest that reads back as that number.
        rows.writerows(zip(*(column.astype(str) for column in flat.values()), strict=True))
