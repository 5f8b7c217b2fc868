"""Recorded episodes on disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from paracosm.core.data import Trajectory
from paracosm.loop.directory import whole


def save(path: Path, episodes: Trajectory) -> None:
    """Write episodes as npz, whole or not at all."""
    columns = {field.name: np.asarray(getattr(episodes, field.name)) for field in dataclasses.fields(episodes)}
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **columns)


def load(path: Path) -> Trajectory:
    """Read episodes back, NumPy arrays."""
    with np.load(path, allow_pickle=False) as columns:
        return Trajectory(**columns)
