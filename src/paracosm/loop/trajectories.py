"""Recorded episodes on disk."""

from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.files import whole


def save(path: Path, episodes: Trajectory) -> None:
    """Write episodes as npz, whole or not at all."""
    columns = {field.name: np.asarray(getattr(episodes, field.name)) for field in dataclasses.fields(episodes)}
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **columns)


def load(path: Path) -> Trajectory:
    """Read episodes back, NumPy arrays.

    Raises:
        BadData: the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as columns:
            return Trajectory(**columns)
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise checks.BadData(f"{path} is damaged ({error}); recorded episodes are needed.") from error
