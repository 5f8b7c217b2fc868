"""Data sets in Arrow's files: Parquet, Arrow IPC and Feather; a file, or a folder of Parquet
files, as LeRobot writes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.feather
import pyarrow.ipc
import pyarrow.parquet

from paracosm.core import checks
from paracosm.real.tables import RecordedTable

IPC = (".arrow", ".feather")
# LeRobot's folders, of both of its layouts, and a folder of nothing but such files.
_PATTERNS = ("data/*/*.parquet", "data/*.parquet", "*.parquet")


class ArrowTable(RecordedTable):
    """Parquet files of the same columns, or an Arrow file."""

    def __init__(self, path: Path) -> None:
        """Read the names of columns.

        Raises:
            Unsupported: it is a folder without Parquet files.
            Exception: whatever pyarrow raises where a file is damaged.
        """
        self.where, self._files = str(path), _files(path)
        self.names = tuple(_schema(self._files[0]).names)

    def read(self, wanted: Sequence[str], texts: Collection[str]) -> dict[str, np.ndarray]:
        parts = [self._read_file(file, list(wanted)) for file in self._files]
        return {name: self._join(name, [part[name] for part in parts]) for name in wanted}

    def _read_file(self, file: Path, wanted: list[str]) -> dict[str, np.ndarray]:
        table = _table(file, wanted)
        if lacking := [name for name in wanted if name not in table.column_names]:
            raise checks.BadData(
                f"{file} has no column {lacking[0]!r}, which {self._files[0].name} beside it has."
            )
        table.validate(full=True)  # lengths that lead outside a damaged file's own bytes
        return {name: _as_array(table.column(name), f"{file}: {name}") for name in wanted}

    def _join(self, name: str, parts: list[np.ndarray]) -> np.ndarray:
        """The parts of a column, one of each file, as one column.

        Raises:
            BadData: the column has rows of another shape in one of the files.
        """
        for file, part in zip(self._files, parts, strict=True):
            if part.shape[1:] != parts[0].shape[1:]:
                raise checks.BadData(
                    f"{file}: {name} has the shape {part.shape[1:]} a row, and"
                    f" {self._files[0].name} {parts[0].shape[1:]}; one shape is needed."
                )
        return np.concatenate(parts)


_EPISODES = "evaluation.npz"  # of a run: whole episodes, which are no rows of a data set


def _files(path: Path) -> list[Path]:
    """The file, or those of the folder in the order of their numbers.

    Raises:
        Unsupported: the folder has none.
    """
    if path.is_file():
        return [path]
    for pattern in _PATTERNS:
        if files := sorted(path.glob(pattern), key=_natural_key):
            return files
    inside = sorted([*path.glob("*.npz"), *path.glob("data/*.npz")])
    inside = [file for file in inside if file.name != _EPISODES]
    hint = f", such as {inside[0]}" if inside else ""
    raise checks.Unsupported(
        f"{path} is a folder without {' or '.join(_PATTERNS)}; a file{hint}, or such a folder, is"
        " needed."
    )


def _natural_key(path: Path) -> list[tuple[int, str]]:
    """A key that orders `file-2` before `file-10`."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _schema(file: Path) -> pa.Schema:
    """The names and types of a file's columns."""
    if file.suffix.lower() in IPC:
        return _ipc(file).schema
    return pyarrow.parquet.read_schema(file)


def _table(file: Path, wanted: list[str]) -> pa.Table:
    """Some of a file's columns."""
    if file.suffix.lower() in IPC:
        return _ipc(file).select(wanted)
    return pyarrow.parquet.ParquetFile(file).read(columns=wanted)


def _ipc(file: Path) -> pa.Table:
    """An Arrow file of either format: with a footer, as Feather has it, or a stream."""
    try:
        return pyarrow.feather.read_table(file, memory_map=False)
    except pa.ArrowInvalid:
        with pa.OSFile(str(file)) as source, pyarrow.ipc.open_stream(source) as stream:
            return stream.read_all()


def _as_array(column: pa.ChunkedArray, what: str) -> np.ndarray:
    """A column as an array: numbers or texts `[rows]`, NaN where there is no number, or lists of
    numbers `[rows, components]`.

    Raises:
        BadData: the column holds lists of several lengths, or something else.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_array(column.cast(kind.value_type), what)
    if _is_list(kind):
        return _list_rows(column, what)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        _require_full(column, "a text", what)
        return np.asarray(column.to_pylist(), str)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        if column.null_count:
            column = column.cast(pa.float64() if not pa.types.is_boolean(kind) else pa.int8())
        return column.to_numpy()
    raise checks.BadData(f"{what} holds {kind}; numbers, or lists of numbers, are needed.")


def _is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists."""
    tests: tuple[Callable[[Any], bool], ...] = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
    )
    return any(test(kind) for test in tests)


def _require_full(column: pa.ChunkedArray, needed: str, what: str) -> None:
    """Require a value in each row.

    Raises:
        BadData: naming the first empty row.
    """
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise checks.BadData(f"{what} is empty in row {row}; {needed} is needed.")


def _list_rows(column: pa.ChunkedArray, what: str) -> np.ndarray:
    """A column of lists of one length, `[rows, components]`.

    Raises:
        BadData: a list is missing, or has another length.
    """
    _require_full(column, "a list of numbers", what)
    lengths = pyarrow.compute.call_function("list_value_length", [column]).to_numpy()
    if len(lengths) and (different := lengths != lengths[0]).any():
        row = int(np.argmax(different))
        raise checks.BadData(
            f"{what} has {lengths[row]} numbers in row {row} and {lengths[0]} in row 0; equally"
            " many are needed."
        )
    inner = pyarrow.compute.call_function("list_flatten", [column])
    values = _as_array(
        inner if isinstance(inner, pa.ChunkedArray) else pa.chunked_array([inner]), what
    )
    return values.reshape(len(lengths), -1)


def write(columns: Mapping[str, np.ndarray], path: Path, kind: str) -> None:
    """Write a data set's columns as a Parquet file, or as an Arrow file where `kind` is one of
    `IPC`; vectors are lists of a fixed size.
    """
    table = pa.table({name: _as_arrow(values) for name, values in columns.items()})
    if kind in IPC:
        pyarrow.feather.write_feather(table, str(path))
    else:
        pyarrow.parquet.write_table(table, str(path))


def _as_arrow(values: np.ndarray) -> pa.Array:
    """A column, vectors as lists of a fixed size."""
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
