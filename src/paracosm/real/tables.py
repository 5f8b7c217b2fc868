"""Data sets from tables: files of rows, data frames, arrays by name."""

from __future__ import annotations

import abc
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.core.columns import (
    COLUMNS,
    flags,
    from_columns,
    require_equal_lengths,
    single,
    whole_numbers,
)
from paracosm.core.recordings import places
from paracosm.real.column_map import VECTORS, ColumnMap, columns_by_role
from paracosm.real.completing import ReadData, complete
from paracosm.real.cuts import FlatRows, episode_ends

_ENDS = ("terminated", "truncated", "done")
_FINITE = ("state", "action", "next_state")


class RecordedTable(abc.ABC):
    """Somebody's rows in named columns, which are read when they are wanted.

    Attributes:
        where: What error messages call the table.
        names: Names of its columns.
    """

    where: str
    names: tuple[str, ...]

    @abc.abstractmethod
    def read(self, wanted: Sequence[str], texts: Collection[str]) -> dict[str, np.ndarray]:
        """Columns by name, `[rows]` or `[rows, components]`; those of `texts` may be text."""

    def place(self, row: int) -> str:
        """What error messages call a row, counted from 0."""
        return f"row {row}"


class ArrayTable(RecordedTable):
    """Columns in memory: those of a data frame, or arrays by name."""

    def __init__(self, columns: Any, where: str) -> None:
        """Take the columns.

        Args:
            columns: A mapping of arrays, or what has names in `columns` and gives a column by its
                name, as a pandas or polars `DataFrame` does.
            where: What error messages call the table.
        """
        self.where = where
        labels = list(columns) if isinstance(columns, Mapping) else list(columns.columns)
        self.names = tuple(str(label) for label in labels)
        self._columns = {str(label): columns[label] for label in labels}

    def read(self, wanted: Sequence[str], texts: Collection[str]) -> dict[str, np.ndarray]:
        return {
            name: as_plain_array(_as_array(self._columns[name]), f"{self.where}: {name}")
            for name in wanted
        }


def _as_array(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy() if hasattr(column, "to_numpy") else column)


def as_plain_array(values: np.ndarray, what: str) -> np.ndarray:
    """A column of Python objects as an array of its own kind: numbers (NaN where there is none),
    texts, or rows of equally many numbers; arrays of other kinds as they are.

    Raises:
        BadData: the column holds anything else; naming the row.
    """
    if values.dtype.kind != "O":
        return values
    rows = list(values)
    kinds = {type(item) for item in rows}
    if str in kinds and all(isinstance(item, str) or _missing(item) for item in rows):
        return np.array(["" if _missing(item) else item for item in rows])
    if any(np.ndim(item) for item in rows):
        return _stack_rows(rows, what)
    return np.array([_number(item, row, what) for row, item in enumerate(rows)])


def _number(item: Any, row: int, what: str) -> float:
    """An item of a column as a number, NaN where there is none.

    Raises:
        BadData: it is no number.
    """
    try:
        return np.nan if _missing(item) else float(item)
    except (TypeError, ValueError):
        raise checks.BadData(
            f"{what} is {checks.described(item)} in row {row}; a number is needed."
        ) from None


def _missing(item: Any) -> bool:
    """Whether there is no value: None, NaN, or a data frame's own mark, which is not its equal."""
    equal = item == item  # noqa: PLR0124
    return item is None or not isinstance(equal, bool | np.bool_) or not equal


def _stack_rows(rows: Sequence[Any], what: str) -> np.ndarray:
    """Rows of equally many numbers as one array.

    Raises:
        BadData: they have different shapes; naming the first other row.
    """
    sizes = [np.shape(item) for item in rows]
    row = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if row is not None:
        raise checks.BadData(
            f"{what} has the shape {sizes[row]} in row {row} and {sizes[0]} in row 0; equally many"
            " numbers a row are needed."
        )
    return np.asarray([np.asarray(item) for item in rows])


def from_table(table: RecordedTable, columns: ColumnMap | None) -> ReadData:
    """The data set in a table.

    Rows may come in any order where an episode and a time are given. Where only an episode is, they
    come in the order of time within it. Without an episode they come one episode after another, and
    flags divide them (`cuts.episode_ends`), and times that fall. Without a next state a step
    leads to the row after it, and the last step of each episode is left out. Where a reward is
    empty or NaN its label is missing. `done` ends an episode and does not say whether it
    terminated, unless `truncated` says where it did not. A table with every column of a data set is
    read as that data set, and its rows must be in the order of (episode, time).

    Args:
        table: The table.
        columns: Its columns by role, such as `{"state": ["pos", "vel"], "action": "force"}`; roles
            that are not given have the columns of the usual names, which are ours and LeRobot's.

    Raises:
        BadArgument: the map names what the table does not have.
        BadData: states or actions are not there, or a column holds what cannot be used.
    """
    chosen = columns_by_role(columns, table.names, table.where)
    wanted = list(dict.fromkeys(name for names in chosen.values() for name in names))
    read = table.read(wanted, chosen.get("episode", ()))
    if not all(len(values) for values in read.values()):
        raise checks.BadData(f"{table.where} holds no rows; at least one is needed.")
    rows = {role: _join_columns(role, names, read, table) for role, names in chosen.items()}
    require_equal_lengths(rows, table.where)
    if set(COLUMNS) <= set(rows):
        columns_of_ours = {name: rows[name] for name in COLUMNS}
        return ReadData(from_columns(columns_of_ours, table.where, place=table.place))
    for role in (role for role in _FINITE if role in rows):
        _require_finite(role, rows[role], table)
    return complete(_in_order(_with_ends(rows, table), table), table.where, place=table.place)


def _join_columns(
    role: str, names: Sequence[str], read: Mapping[str, np.ndarray], table: RecordedTable
) -> np.ndarray:
    """A role's columns side by side: `[rows, components]` of vectors, `[rows]` of all else and of
    discrete actions, which are one column of whole numbers.

    Args:
        role: What the columns are, such as `state`.
        names: Names of the columns.
        read: Columns by name.
        table: The table that they were read from.
    """
    parts = [read[name] for name in names]
    if role not in VECTORS:
        return single(parts[0], names[0], table.where)
    discrete = role == "action" and len(parts) == 1 and parts[0].dtype.kind in "biu"
    if discrete and parts[0].size == len(parts[0]):
        return parts[0].reshape(-1).astype(np.int64)
    if role == "action":
        parts = [part.astype(np.float32) if part.dtype.kind in "biu" else part for part in parts]
    require_equal_lengths(dict(zip(names, parts, strict=True)), table.where)
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _require_finite(role: str, values: np.ndarray, table: RecordedTable) -> None:
    """Require numbers that are finite in 32 bits, before rows are moved.

    Raises:
        BadData: naming the first row that holds others.
    """
    if values.dtype.kind not in "f":
        return  # whole numbers are finite; what is no number `from_columns` refuses
    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(np.float32)).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise checks.BadData(
            f"{table.where}: {role} is {values[row]} in {table.place(row)}; every entry must be"
            " finite in 32 bits."
        )


def _with_ends(rows: Mapping[str, np.ndarray], table: RecordedTable) -> dict[str, np.ndarray]:
    """The rows with their flags as bool, with terminations even where none are recorded, and with
    `has_label` where there are rewards.
    """
    columns = {
        role: flags(values, role, table.where, place=table.place) if role in _ENDS else values
        for role, values in rows.items()
    }
    if "done" in columns and "terminated" not in columns and "truncated" in columns:
        columns["terminated"] = columns["done"] & ~columns["truncated"]
    elif "done" in columns and "terminated" not in columns:
        advice = (
            "if it terminated, name the column: terminated=COLUMN in the column map"
            if "next_state" in columns
            else "no end rule can be learned, since no next state is recorded where it ends"
        )
        warnings.warn(
            f"{table.where}: done does not say whether an episode terminated or was cut, and is"
            f" read as a cut; {advice}.",
            stacklevel=2,
        )
    columns.setdefault("terminated", np.zeros(len(rows["state"]), bool))
    if "reward" in columns and "has_label" not in columns:
        columns["has_label"] = ~np.isnan(_floats(columns["reward"]))
    return columns


def _floats(values: np.ndarray) -> np.ndarray:
    """Numbers in 64 bits; zeros for what is no number, which `from_columns` refuses."""
    return values.astype(np.float64) if values.dtype.kind in "biuf" else np.zeros(len(values))


def _in_order(rows: dict[str, np.ndarray], table: RecordedTable) -> dict[str, np.ndarray]:
    """The rows in the order of (episode, time), with both of these columns.

    Raises:
        BadData: nothing says where episodes start or end, or an episode is cut and goes on.
    """
    cut = _cuts(rows)
    if "episode" not in rows:
        if (restarts := _restarts(rows)).any():
            cut = restarts if cut is None else cut | restarts
        if cut is None and not rows["terminated"].any():
            raise checks.BadData(
                f"{table.where} has no column that says where episodes start or end; name one with"
                " --columns episode=COLUMN, or terminated=, truncated= or done=COLUMN."
            )
        flat = FlatRows(
            state=_widen(rows["state"]),
            terminated=rows["terminated"],
            next_state=rows.get("next_state"),
            truncated=cut,
        )
        rows["episode"], rows["time"] = places(episode_ends(flat, table.where))
    else:
        rows["episode"] = _episode_numbers(rows["episode"], table)
        for role in ("episode", "time"):  # before rows are moved, or left out: errors name the row
            if role in rows:
                rows[role] = whole_numbers(rows[role], role, table.where, place=table.place)
        rows = _sort_by_step(rows, cut, table)
    return {name: values for name, values in rows.items() if name not in ("truncated", "done")}


def _widen(states: np.ndarray) -> np.ndarray:
    """States as floats: differences of whole numbers of few bits would overflow."""
    return states.astype(np.float64) if states.dtype.kind in "biu" else states


def _cuts(rows: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Where truncated or done cut an episode, `[rows]`; None if the table has neither."""
    marks = [rows[role] for role in ("truncated", "done") if role in rows]
    return np.any(marks, axis=0) & ~rows["terminated"] if marks else None


def _restarts(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """After which rows that do not terminate the time falls, `[rows]`: of texts and dates none."""
    if "time" not in rows:
        return np.zeros(len(rows["state"]), bool)
    return np.append(np.diff(_floats(rows["time"])) < 0, False) & ~rows["terminated"]


def _episode_numbers(labels: np.ndarray, table: RecordedTable) -> np.ndarray:
    """Episodes as whole numbers: their own, or those of texts in the order of first appearance."""
    if labels.dtype.kind not in "US":
        return labels
    if (empty := np.char.strip(labels) == type(labels[0])()).any():
        row = int(np.argmax(empty))
        raise checks.BadData(
            f"{table.where}: episode is empty in {table.place(row)}; a text is needed."
        )
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[number]


def _sort_by_step(
    rows: Mapping[str, np.ndarray], cut: np.ndarray | None, table: RecordedTable
) -> dict[str, np.ndarray]:
    """The rows in the order of (episode, time), and in `row` where the table has each; a time that
    is not given is counted.

    Raises:
        BadData: an episode is cut and goes on.
    """
    episode = rows["episode"]
    keys = (rows["time"], episode) if "time" in rows else (episode,)
    order = np.lexsort(keys)
    ordered = {name: values[order] for name, values in rows.items()} | {"row": order}
    new = np.append(True, np.diff(ordered["episode"]) != 0)
    if cut is not None and (early := cut[order][:-1] & ~new[1:]).any():
        row = int(order[int(np.argmax(early))])
        raise checks.BadData(
            f"{table.where}: an episode is cut at {table.place(row)} by truncated or done, and"
            " goes on after it; these mark an episode's last row."
        )
    if "time" not in ordered:
        ordered["time"] = places(np.append(new[1:], True))[1]
    return ordered
