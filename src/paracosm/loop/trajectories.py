"""Recorded episodes on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.files import atomic_write, read_arrays, shown

_NAMES = tuple(field.name for field in dataclasses.fields(Trajectory) if field.name != "carry")
_FLAGS = ("terminated", "truncated", "alive")
_NUMBERS = ("state", "action", "next_state", "reward")


def save(path: Path, episodes: Trajectory) -> None:
    """Write episodes as npz, whole or not at all."""
    columns = {name: np.asarray(getattr(episodes, name)) for name in _NAMES}
    if episodes.carry is not None:
        columns["carry"] = np.asarray(episodes.carry)
    with atomic_write(path) as part, part.open("wb") as file:
        write = np.savez_compressed if columns["state"].dtype == np.uint8 else np.savez
        write(file, allow_pickle=False, **columns)


def load(path: Path) -> Trajectory:
    """Read episodes back, NumPy arrays.

    Raises:
        BadData: the file is damaged, or its columns are not those of episodes.
    """
    columns = read_arrays(path, "recorded episodes are needed")
    if lacking := [name for name in _NAMES if name not in columns]:
        raise checks.BadData(
            f"{shown(path)} lacks {', '.join(lacking)}; recorded episodes are needed."
        )
    columns = {name: columns[name] for name in (*_NAMES, "carry") if name in columns}
    _require_columns(path, columns)
    checks.finite_steps(
        f"{shown(path)}, episode", {name: columns[name] for name in _NUMBERS}, columns["alive"]
    )
    return Trajectory(**columns)


def _require_columns(path: Path, columns: dict[str, np.ndarray]) -> None:
    """Flags that are flags, numbers that are numbers, and `[episode, time]` first in every
    column.
    """
    steps = columns["alive"].shape
    for name, values in columns.items():
        kinds = "b" if name in _FLAGS else "fiu" if name == "action" else "f"
        picture = name in ("state", "next_state") and values.dtype == np.uint8
        if values.dtype.kind not in kinds and not picture:
            raise checks.BadData(
                f"{shown(path)}: {name} has entries of type {values.dtype}; episodes are needed."
            )
        most = 3 if name in ("state", "action", "next_state", "carry") else 2
        if values.shape[:2] != steps or len(steps) != 2 or not values.size or values.ndim > most:
            raise checks.BadData(
                f"{shown(path)}: {name} has shape {values.shape}; episodes of {steps} are needed."
            )
    if columns["state"].ndim != 3 or columns["state"].shape != columns["next_state"].shape:
        shapes = columns["state"].shape, columns["next_state"].shape
        raise checks.BadData(
            f"{shown(path)}: states and next states have the shapes {shapes[0]} and {shapes[1]}."
        )
    where = f"{shown(path)}, next_state,"
    checks.one_kind_of_states(where, columns["next_state"], columns["state"])
    if not columns["alive"].any(axis=1).all():
        raise checks.BadData(f"{shown(path)}: an episode has no step; episodes are needed.")
