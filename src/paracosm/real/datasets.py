"""Loading and saving data sets: npz, HDF5 (our layout, and D4RL's to load), Parquet, Arrow, CSV,
Minari; and loading tables in memory.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.core.columns import COLUMNS, from_columns
from paracosm.core.data import Dataset
from paracosm.core.extras import import_optional
from paracosm.core.files import atomic_write, read_arrays, reading, try_file
from paracosm.real import delimited
from paracosm.real.column_map import ColumnMap
from paracosm.real.completing import ReadData
from paracosm.real.d4rl import from_d4rl
from paracosm.real.delimited import CsvTable
from paracosm.real.tables import ArrayTable, from_table

_HDF5 = (".h5", ".hdf5")
_MOST_PACKED = 1100  # bytes for each of the file's: a damaged size would otherwise be allocated


def load(
    source: Any, columns: ColumnMap | None = None, components: tuple[str, ...] = ()
) -> Dataset:
    """The data set in a file, a folder or a table.

    Args:
        source: A file ending in `.npz`, `.h5`, `.hdf5`, `.parquet`, `.arrow`, `.feather` or `.csv`;
            a folder of Parquet files, as LeRobot writes them; `minari:NAME` for a data set that
            Minari keeps (`MINARI_DATASETS_PATH` says where); or a table in memory: a pandas or
            polars `DataFrame`, or arrays by name. An HDF5 file may have D4RL's flat layout (see
            `from_d4rl`).
        columns: Which of its columns are what, such as `{"state": ["pos", "vel"], "action":
            "force", "terminated": "done"}`, where they have other names than ours or LeRobot's
            (see `from_table`). Minari's data sets need none.
        components: Names of the state's components in the order that is wanted of Minari's
            observations of several parts; see `paracosm.real.flattening`.

    Returns:
        The rows as they were saved; what others recorded counts as bought whole, but rewards that
        are not there.

    Raises:
        Missing: there is no such file or data set, or an extra is not installed.
        BadArgument: the column map names what is not there.
        BadData: the file is damaged, or columns are missing, do not fit together or hold what
            cannot be used; the sentence names column and row.
        Unsupported: the kind of file or of observations is not handled.
    """
    return read(source, columns, components).dataset


def read(
    source: Any, columns: ColumnMap | None = None, components: tuple[str, ...] = ()
) -> ReadData:
    """As `load`; also how many rows were left out."""
    if not isinstance(source, str | os.PathLike):
        return from_table(_table_in_memory(source), columns)
    where = os.fspath(source)
    if where.startswith("minari:"):
        if columns is not None:
            raise checks.BadArgument(
                f"a column map is given for {where}; Minari's data sets need none."
            )
        return ReadData(_minari(where).load(where.removeprefix("minari:"), components))
    path = Path(where)
    kind = _kind_of(where)
    if kind != _FOLDER and not path.is_file():
        raise checks.Missing(f"There is no file {where}.")
    return _READERS[kind](path, columns)


def save(dataset: Dataset, where: str | Path) -> None:
    """Write `dataset` to `where`, a file of a kind that `load` reads or `minari:NAME`, so that
    loading gives it back equal; a file appears whole or not at all. Images in an npz file are
    compressed.

    Raises:
        Missing: an extra is not installed.
        BadArgument: the file cannot be written, or Minari has a data set of this name already.
        Unsupported: no data set is written in this kind of file, or no images.
    """
    where = str(where)
    if where.startswith("minari:"):
        _minari(where).save(dataset, where.removeprefix("minari:"))
        return
    write_columns = _writer(_kind_to_write(where), where)
    columns = {name: getattr(dataset, name) for name in COLUMNS}
    with atomic_write(where) as part:
        write_columns(columns, part)


def try_place(name: str, where: str, source: str) -> None:
    """Require that a data set can be written at `where`, before it is read; nothing stays.

    Args:
        name: Name of the argument that is `where`.
        where: As for `save`.
        source: What is to be read, which must be another file.

    Raises:
        BadArgument: it is where the data come from, or cannot be written.
        Missing: an extra is not installed.
        Unsupported: no data set is written in this kind of file.
    """
    if where.startswith("minari:"):
        _minari(where)
        return
    _writer(_kind_to_write(where), where)
    if os.path.realpath(where) == os.path.realpath(source):
        raise checks.BadArgument(f"{name} is {where!r}, which is read; another file is needed.")
    try_file(name, where)


def _kind_of(where: str) -> str:
    suffix = Path(where).suffix.lower()
    if suffix in _SUFFIXES:
        return suffix
    if Path(where).is_dir():
        return _FOLDER
    raise checks.Unsupported(
        f"{where} is not a data set: {', '.join(_SUFFIXES)}, a folder of .parquet"
        " files and minari:NAME are supported."
    )


def _kind_to_write(where: str) -> str:
    if (kind := _kind_of(where)) == _FOLDER:
        raise checks.Unsupported(f"{where} is a folder; a file to write is needed.")
    return kind


def _table_in_memory(source: Any) -> ArrayTable:
    """The table of a data frame, or of arrays by name.

    Raises:
        Unsupported: `source` is neither.
    """
    if not isinstance(source, Mapping) and not (
        hasattr(source, "columns") and hasattr(source, "__getitem__")
    ):
        raise checks.Unsupported(
            f"the data set is {checks.described(source)}; a path, a DataFrame or arrays by name are"
            " needed (of replay buffers, paracosm.foreign.dataset)."
        )
    return ArrayTable(source, "the table")


def _minari(where: str) -> ModuleType:
    import_optional("minari", "minari", where)
    return importlib.import_module("paracosm.real.minari")


def _read_npz(path: Path, columns: ColumnMap | None) -> ReadData:
    arrays = read_arrays(path, "a data set is needed")
    if columns is not None:
        return from_table(ArrayTable(arrays, str(path)), columns)
    return _of_our_names(arrays, path)


def _of_our_names(arrays: Mapping[str, np.ndarray], path: Path) -> ReadData:
    """The data set whose arrays have the names of its columns.

    Raises:
        BadData: a column is missing, or holds what cannot be used; see `from_columns`.
    """
    if lacking := [name for name in COLUMNS if name not in arrays]:
        raise checks.BadData(
            f"{path} lacks the columns {', '.join(lacking)}; a data set has {', '.join(COLUMNS)}."
            " Arrays of other names, or fewer, are read with --columns ROLE=ARRAY (columns= in"
            " Python)."
        )
    return ReadData(from_columns(arrays, str(path)))


def _read_hdf5(path: Path, columns: ColumnMap | None) -> ReadData:
    h5py = import_optional("h5py", "hdf5", str(path))

    def top_level() -> dict[str, np.ndarray]:
        with h5py.File(path, "r") as file:
            most = _MOST_PACKED * path.stat().st_size
            return {
                name: _column(values, most)
                for name, values in file.items()
                if isinstance(values, h5py.Dataset)
            }

    arrays = reading(top_level, str(path), "an HDF5 file that can be read")
    if columns is not None:
        return from_table(ArrayTable(arrays, str(path)), columns)
    if "observations" in arrays:
        return from_d4rl(arrays, str(path))
    return _of_our_names(arrays, path)


def _column(values: Any, most: int) -> np.ndarray:
    if values.nbytes > most:
        raise ValueError(
            f"{values.name} claims {values.nbytes} bytes, more than compression explains"
        )
    return np.asarray(values[()])


def _read_arrow(path: Path, columns: ColumnMap | None) -> ReadData:
    arrow = _arrow(str(path))

    def read_table() -> ReadData:
        return from_table(arrow.ArrowTable(path), columns)

    kind = "an Arrow file" if path.suffix.lower() in arrow.IPC else "a Parquet file"
    return reading(read_table, str(path), f"{kind} that can be read")


def _read_csv(path: Path, columns: ColumnMap | None) -> ReadData:
    return from_table(CsvTable(path), columns)


def _arrow(where: str) -> ModuleType:
    import_optional("pyarrow", "parquet", where)
    return importlib.import_module("paracosm.real.arrow")


def _writer(kind: str, where: str) -> Callable[[Mapping[str, np.ndarray], Path], None]:
    """The function that writes columns to a file of this kind.

    Raises:
        Missing: an extra that it needs is not installed.
    """
    if kind == ".npz":
        return _write_npz
    if kind == ".csv":
        return delimited.write
    if kind in _HDF5:
        return partial(_write_hdf5, import_optional("h5py", "hdf5", where))
    return partial(_arrow(where).write, kind=kind)


def _write_npz(columns: Mapping[str, np.ndarray], part: Path) -> None:
    write = np.savez_compressed if columns["state"].dtype == np.uint8 else np.savez
    with part.open("wb") as file:
        write(file, allow_pickle=False, **columns)


def _write_hdf5(h5py: ModuleType, columns: Mapping[str, np.ndarray], part: Path) -> None:
    with h5py.File(part, "w") as file:
        for name, values in columns.items():
            file[name] = values


_FOLDER = "folder"
_READERS: dict[str, Callable[[Path, ColumnMap | None], ReadData]] = {
    ".npz": _read_npz,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".parquet": _read_arrow,
    ".arrow": _read_arrow,
    ".feather": _read_arrow,
    ".csv": _read_csv,
    _FOLDER: _read_arrow,
}
_SUFFIXES = tuple(kind for kind in _READERS if kind != _FOLDER)
