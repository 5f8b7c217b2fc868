"""A data set from its columns, whatever file they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset

COLUMNS = tuple(field.name for field in dataclasses.fields(Dataset))


def from_columns(columns: Mapping[str, np.ndarray], where: str) -> Dataset:
    """A data set from its columns, each brought to its type.

    Raises:
        BadData: a column is missing or has the wrong number of dimensions.
    """
    if lacking := [name for name in COLUMNS if name not in columns]:
        raise checks.BadData(f"{where} lacks the columns {', '.join(lacking)}; a data set has {', '.join(COLUMNS)}.")
    discrete = np.issubdtype(columns["action"].dtype, np.integer)
    kinds = {"state": np.float32, "next_state": np.float32, "reward": np.float64, "episode": np.int64, "time": np.int64}
    kinds["action"] = np.int32 if discrete else np.float32
    try:
        typed = {name: columns[name].astype(kinds.get(name, bool)) for name in COLUMNS}
    except (TypeError, ValueError) as error:
        raise checks.BadData(f"{where} has columns that are not numbers: {error}.") from error
    for name, values in typed.items():
        wanted = 2 if name in ("state", "next_state") or (name == "action" and not discrete) else 1
        if values.ndim != wanted:
            raise checks.BadData(f"{where}: {name} has {values.ndim} dimensions; {wanted} are needed.")
    return Dataset(**typed)
