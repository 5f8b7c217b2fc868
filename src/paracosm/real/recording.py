"""The steps of a collection while it goes on, in memory that is taken once."""

from __future__ import annotations

import numpy as np

from paracosm.core.data import Dataset

_COLUMNS = ("episode", "time", "state", "action", "next_state", "reward", "terminated")


class Recording:
    """Columns that are filled row by row, in the order in which lanes step.

    Images are large: beside the columns themselves, only one of them is ever copied.
    """

    def __init__(self, before: Dataset | None, most: int) -> None:
        """Begin with the rows of `before`, if it is given, and take up to `most` more."""
        self._count, self._columns = 0, tuple[np.ndarray, ...]()
        self._most = most
        if before is not None:
            self._most += before.real_steps
            self.add(*(getattr(before, name) for name in _COLUMNS))

    def add(self, *rows: np.ndarray) -> None:
        """Append rows.

        Args:
            *rows: Episode, time, state, action, next state, reward and whether the step terminated,
                `[rows, …]` each.
        """
        if not self._columns:
            self._columns = tuple(
                np.empty((self._most, *values.shape[1:]), values.dtype) for values in rows
            )
        after = self._count + len(rows[0])
        for column, values in zip(self._columns, rows, strict=True):
            column[self._count : after] = values
        self._count = after

    def dataset(self) -> Dataset:
        """The rows in the order of (episode, time), all bought; an episode that did not terminate
        is truncated.
        """
        columns = dict(
            zip(_COLUMNS, (column[: self._count] for column in self._columns), strict=True)
        )
        order = np.lexsort((columns["time"], columns["episode"]))
        for column in columns.values():
            column[:] = column[order]
        episode, terminated = columns["episode"], columns["terminated"]
        last = np.append(episode[1:] != episode[:-1], True)
        bought = np.ones(self._count, bool)
        return Dataset(
            **columns,
            truncated=last & ~terminated,
            has_transition=bought,
            has_label=bought.copy(),
        )

    def partial(self) -> Dataset | None:
        """The data set of the steps so far; None if there are none."""
        return self.dataset() if self._count else None
