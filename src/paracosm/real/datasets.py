"""Loading and saving data sets: npz, HDF5 (our layout, and D4RL's to load), Minari."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.files import read_arrays, whole
from paracosm.real.columns import COLUMNS, from_columns

_HDF5 = (".h5", ".hdf5")


def load(where: str | Path) -> Dataset:
    """The data set at `where`.

    Args:
        where: a file ending in `.npz`, `.h5` or `.hdf5`, or `minari:NAME` for a data set that Minari keeps
            (`MINARI_DATASETS_PATH` says where). An HDF5 file may have D4RL's flat layout: `observations`, `actions`,
            `rewards`, `terminals`, and if there are any `timeouts` and `next_observations`. Where the latter are
            missing, the last step of each episode is left out: its next state is not known.

    Returns:
        The rows as they were saved; what others recorded counts as bought whole.

    Raises:
        Missing: there is no such file or data set, or an extra is not installed.
        BadData: columns are missing, do not fit together or hold NaN or infinity.
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
    """Write `dataset` to `where` (see `load`) so that loading gives it back equal; a file appears whole or not at all.

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
        with whole(where) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **columns)
        return
    h5py = extra("h5py", "hdf5", where)
    with whole(where) as part, h5py.File(part, "w") as file:
        for name, values in columns.items():
            file[name] = values


def extra(module: str, name: str, where: str) -> ModuleType:
    """Import an optional dependency of the extra `name`, or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise checks.Missing(f"{where} needs {module}: pip install 'paracosm[{name}]' ({error}).") from error


def _kind(where: str) -> str:
    suffix = Path(where).suffix.lower()
    if suffix not in (".npz", *_HDF5):
        raise checks.Unsupported(f"{where} is not a data set: .npz, .h5, .hdf5 and minari:NAME are supported.")
    return suffix


def _minari(where: str) -> ModuleType:
    extra("minari", "minari", where)
    return importlib.import_module("paracosm.real.minari")


def _load_npz(path: Path) -> Dataset:
    return from_columns(read_arrays(path, "a data set is needed"), str(path))


def _load_hdf5(path: Path) -> Dataset:
    h5py = extra("h5py", "hdf5", str(path))
    try:
        with h5py.File(path, "r") as file:
            columns = {name: values[()] for name, values in file.items() if isinstance(values, h5py.Dataset)}
    except OSError as error:
        raise checks.BadData(f"{path} is not an HDF5 file: {error}.") from error
    return _from_d4rl(columns, str(path)) if "observations" in columns else from_columns(columns, str(path))


def _from_d4rl(columns: Mapping[str, np.ndarray], where: str) -> Dataset:
    if lacking := [name for name in ("actions", "rewards", "terminals") if name not in columns]:
        raise checks.BadData(f"{where} has observations, as D4RL's files do, but lacks {', '.join(lacking)}.")
    state, rows = columns["observations"], len(columns["observations"])
    for name in ("actions", "rewards", "terminals", "timeouts", "next_observations"):
        if name in columns and len(columns[name]) != rows:
            raise checks.BadData(f"{where} has {len(columns[name])} {name} and {rows} observations.")
    terminated = columns["terminals"].astype(bool)
    stops = terminated | columns.get("timeouts", np.zeros(rows)).astype(bool)
    stops[-1:] = True
    next_state = columns.get("next_observations")
    if next_state is None:
        next_state, known = np.roll(state, -1, axis=0), ~stops
    else:
        stops[:-1] |= (next_state[:-1] != state[1:]).any(axis=-1)
        known = np.ones(rows, bool)
    starts = np.flatnonzero(np.append(True, stops[:-1]))
    episode = np.cumsum(np.append(True, stops[:-1])) - 1
    lived = {
        "state": state,
        "action": columns["actions"],
        "next_state": next_state,
        "reward": columns["rewards"],
        "terminated": terminated,
        "episode": episode,
        "time": np.arange(rows) - starts[episode],
    }
    return _bought_whole({name: values[known] for name, values in lived.items()}, where)


def _bought_whole(columns: dict[str, np.ndarray], where: str) -> Dataset:
    """Steps in order, all of which are owned; an episode that did not terminate is truncated where it stops."""
    episode, bought = columns["episode"], np.ones(len(columns["episode"]), bool)
    truncated = np.append(episode[1:] != episode[:-1], bought[:1]) & ~columns["terminated"]
    marks = {"truncated": truncated, "has_transition": bought, "has_label": bought.copy()}
    return from_columns({**columns, **marks}, where)
