"""A data set of rows that lack columns: next states are those of the rows after them, and what is
there was bought.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from paracosm.core import checks
from paracosm.core.columns import Place, from_columns, row_place
from paracosm.core.data import Dataset


class ReadData(NamedTuple):
    """A data set that was read, and how many rows were left out because their next state is not
    recorded.
    """

    dataset: Dataset
    left_out: int = 0


def complete(
    columns: Mapping[str, np.ndarray], where: str, *, place: Place = row_place
) -> ReadData:
    """The data set of steps in the order of (episode, time), of which everything was bought that is
    there.

    Without `next_state` a step leads to the row after it, and one that no next step follows is left
    out. Without `reward` no step has a label. An episode that did not terminate is truncated where
    it stops.

    Args:
        columns: The columns of a data set but `truncated` and `has_transition`; `next_state`,
            `reward` and `has_label` may be missing. `row` is the place of each in its source, by
            default the order in which they come.
        where: What error messages call the data set.
        place: What they call a row of the source.

    Raises:
        BadData: a column holds what cannot be used; see `from_columns`.
    """
    before = len(columns["state"])
    rows = {"row": np.arange(before), **columns}
    if "next_state" not in rows:
        rows["next_state"] = np.roll(rows["state"], -1, axis=0)
        follows = np.zeros(before, bool)
        follows[:-1] = (np.diff(rows["episode"]) == 0) & (np.diff(rows["time"]) == 1)
        lost = int((rows["terminated"] & ~follows).sum())
        rows = {name: values[follows] for name, values in rows.items()}
        if lost and follows.any():
            warnings.warn(
                f"{where}: {lost} terminations are not read, because no next state is recorded"
                " where an episode ends, so that nothing learns from them; a next_state for each"
                " row is needed.",
                stacklevel=2,
            )
        if before and not follows.any():
            raise checks.BadData(
                f"{where} has no next_state, and no row in it is followed by the next step of its"
                " episode; steps that follow each other are needed."
            )
    last = np.ones(len(rows["state"]), bool)
    last[:-1] = rows["episode"][1:] != rows["episode"][:-1]
    marks = {
        "truncated": last & ~rows["terminated"],
        "has_transition": np.ones(len(last), bool),
        "has_label": np.full(len(last), "reward" in rows),
        "reward": np.full(len(last), np.nan),
    }
    rows = {**marks, **rows}
    data = from_columns(rows, where, place=lambda row: place(int(rows["row"][row])))
    return ReadData(data, before - len(last))
