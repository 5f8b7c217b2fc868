"""Loading and saving data sets: npz, HDF5 (our layout, and D4RL's to load), Minari."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from paracosm.core import checks
from paracosm.core.columns import COLUMNS, from_columns
from paracosm.core.data import Dataset
from paracosm.core.files import atomic_write, read_arrays
from paracosm.real.d4rl import from_d4rl

T = TypeVar("T")

_HDF5 = (".h5", ".hdf5")
_MOST_PACKED = 1100  # bytes for each of the file's: a damaged size would otherwise be allocated


def load(where: str | Path) -> Dataset:
    """The data set at `where`.

    Args:
        where: a file ending in `.npz`, `.h5` or `.hdf5`, or `minari:NAME` for a data set that
            Minari keeps (`MINARI_DATASETS_PATH` says where). An HDF5 file may have D4RL's flat
            layout: `observations`, `actions`, `rewards`, `terminals`, and `timeouts`,
            `next_observations` or both: see `from_d4rl`.

    Returns:
        The rows as they were saved; what others recorded counts as bought whole.

    Raises:
        Missing: there is no such file or data set, or an extra is not installed.
        BadData: the file is damaged, or columns are missing, do not fit together or hold what
            cannot be used; the sentence names column and row.
        Unsupported: the kind of file or of observations is not handled.
    """
    where = str(where)
    if where.startswith("minari:"):
        return _minari(where).load(where.removeprefix("minari:"))
    kind, path = _kind(where), Path(where)
    if not path.is_file():
        raise checks.Missing(f"There is no file {where}.")
    return _load_npz(path) if kind == ".npz" else _load_hdf5(path)


def save(dataset: Dataset, where: str | Path) -> None:
    """Write `dataset` to `where` (see `load`) so that loading gives it back equal; a file appears
    whole or not at all. Images in an npz file are compressed.

    Raises:
        Missing: an extra is not installed.
        BadArgument: the file cannot be written, or Minari has a data set of this name already.
    """
    where = str(where)
    if where.startswith("minari:"):
        _minari(where).save(dataset, where.removeprefix("minari:"))
        return
    columns = {name: getattr(dataset, name) for name in COLUMNS}
    if _kind(where) == ".npz":
        write = np.savez_compressed if dataset.state.dtype == np.uint8 else np.savez
        with atomic_write(where) as part, part.open("wb") as file:
            write(file, allow_pickle=False, **columns)
        return
    h5py = extra("h5py", "hdf5", where)
    with atomic_write(where) as part, h5py.File(part, "w") as file:
        for name, values in columns.items():
            file[name] = values


def extra(module: str, name: str, where: str) -> ModuleType:
    """Import an optional dependency of the extra `name`, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise checks.Missing(
            f"{where} needs {module}: pip install 'paracosm[{name}]' ({error})."
        ) from error


def _kind(where: str) -> str:
    suffix = Path(where).suffix.lower()
    if suffix not in (".npz", *_HDF5):
        raise checks.Unsupported(
            f"{where} is not a data set: .npz, .h5, .hdf5 and minari:NAME are supported."
        )
    return suffix


def _minari(where: str) -> ModuleType:
    extra("minari", "minari", where)
    return importlib.import_module("paracosm.real.minari")


def reading(call: Callable[[], T], where: str, needed: str) -> T:
    """What a library reads from a file.

    Raises:
        BadData: it cannot; damaged files make such libraries fail with nearly anything.
        ParacosmError: whatever of ours was raised, unchanged.
    """
    try:
        return call()
    except checks.ParacosmError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise checks.BadData(f"{where} is not {needed}: {reason}.") from error


def _load_npz(path: Path) -> Dataset:
    return from_columns(read_arrays(path, "a data set is needed"), str(path))


def _load_hdf5(path: Path) -> Dataset:
    h5py = extra("h5py", "hdf5", str(path))

    def read() -> dict[str, np.ndarray]:
        with h5py.File(path, "r") as file:
            most = _MOST_PACKED * path.stat().st_size
            return {
                name: _column(values, most)
                for name, values in file.items()
                if isinstance(values, h5py.Dataset)
            }

    columns = reading(read, str(path), "an HDF5 file that can be read")
    return (
        from_d4rl(columns, str(path)).dataset
        if "observations" in columns
        else from_columns(columns, str(path))
    )


def _column(values: Any, most: int) -> np.ndarray:
    if values.nbytes > most:
        raise ValueError(
            f"{values.name} claims {values.nbytes} bytes, more than compression explains"
        )
    return np.asarray(values[()])
