"""The checked boundary for recorded steps: a data set from the columns of any file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.recordings import jumps, rounding

COLUMNS = tuple(field.name for field in dataclasses.fields(Dataset))

_NUMBERS = ("state", "action", "next_state", "reward")
_PLACES = ("episode", "time")
_FLAGS = ("terminated", "truncated", "has_transition", "has_label")
_VECTORS = ("state", "next_state")

Place = Callable[[int], str]  # what an error message calls a row


def row_place(row: int) -> str:
    """A row, counted from 0, as error messages call it."""
    return f"row {row}"


def from_columns(
    columns: Mapping[str, np.ndarray], where: str, *, place: Place = row_place
) -> Dataset:
    """A data set from its columns, each brought to its type; a column `[rows, 1]` of single numbers
    is one `[rows]`. Error messages call a row what `place` says.

    Raises:
        BadData: a column is missing, of another kind, shape or length, holds what cannot be used,
            or its rows do not follow each other; the sentence names `where`, the column and the
            row.
    """
    if lacking := [name for name in COLUMNS if name not in columns]:
        raise checks.BadData(
            f"{where} lacks the columns {', '.join(lacking)}; a data set has {', '.join(COLUMNS)}."
        )
    raw = {name: _flat(name, np.asarray(columns[name]), where) for name in COLUMNS}
    require_equal_lengths({name: raw[name] for name in COLUMNS}, where)
    if not len(raw["state"]):
        raise checks.BadData(f"{where} holds no rows; at least one is needed.")
    typed = {name: flags(raw[name], name, where, place=place) for name in _FLAGS}
    typed |= {name: whole_numbers(raw[name], name, where, place=place) for name in _PLACES}
    labelled = typed["has_label"]
    typed |= {name: _numbers(name, raw[name], labelled, where, place=place) for name in _NUMBERS}
    if typed["state"].shape != typed["next_state"].shape:
        state, after = typed["state"].shape[1], typed["next_state"].shape[1]
        raise checks.BadData(
            f"{where}: state has {state} components and next_state {after}; they must be as many."
        )
    checks.one_kind_of_states(f"{where}, next_state,", typed["next_state"], typed["state"])
    _require_order(typed["episode"], typed["time"], where, place)
    follows = _following(typed, rounding(raw["state"], raw["next_state"]), where, place)
    if typed["state"].dtype == np.float32:  # one state, which two columns rounded
        typed["next_state"][:-1][follows] = typed["state"][1:][follows]
    return Dataset(**typed)


def require_equal_lengths(columns: Mapping[str, np.ndarray], where: str) -> None:
    """Require columns of equally many rows.

    Raises:
        BadData: naming one of another length than the first.
    """
    first, rows = next((name, len(values)) for name, values in columns.items())
    for name, values in columns.items():
        if len(values) != rows:
            raise checks.BadData(
                f"{where}: {name} has {len(values)} rows and {first} {rows}; they must be as many."
            )


def flags(values: np.ndarray, name: str, where: str, *, place: Place = row_place) -> np.ndarray:
    """A column of flags as bool `[rows]`: booleans, or numbers that are all 0 or 1.

    Args:
        values: The column, `[rows]` or `[rows, 1]`.
        name, where: What the error message calls the column and what holds it.
        place: What it calls a row.

    Raises:
        BadData: naming the first row that is neither.
    """
    values = single(values, name, where)
    _require_kind(name, values, "biuf", where)
    sound = np.asarray((values == 0) | (values == 1))
    _require(name, values, sound, "0 or 1 (false or true) is needed", where, place=place)
    return values.astype(bool)


def single(values: np.ndarray, name: str, where: str) -> np.ndarray:
    """A column of one number a row, `[rows]`, of `[rows]` or `[rows, 1]`.

    Raises:
        BadData: it has another shape.
    """
    if values.ndim == 0 or values.ndim > 2 or (values.ndim == 2 and values.shape[1] != 1):
        raise checks.BadData(
            f"{where}: {name} has the shape {values.shape}; one number a row is needed."
        )
    return values.reshape(len(values))


def whole_numbers(
    values: np.ndarray, name: str, where: str, *, place: Place = row_place
) -> np.ndarray:
    """A column of episodes or times as int64 `[rows]`.

    Args:
        values: The column, `[rows]`.
        name, where: What the error message calls the column and what holds it.
        place: What it calls a row.

    Raises:
        BadData: naming the first row that holds no whole number of at least 0.
    """
    _require_kind(name, values, "iuf", where)
    with np.errstate(invalid="ignore"):
        sound = np.asarray((values >= 0) & (values < 2**53) & (values == np.floor(values)))
    _require(name, values, sound, "a whole number of at least 0 is needed", where, place=place)
    return values.astype(np.int64)


def require_within(values: np.ndarray, low: Any, high: Any, name: str, where: str) -> None:
    """Require rows between bounds, up to rounding.

    Args:
        values: The column, `[rows, …]`.
        low, high: Bounds of one row, of its shape.
        name, where: What the error message calls the column and what holds it.

    Raises:
        BadData: naming the first row outside them, or of another shape than they.
    """
    _require_kind(name, values, "biuf", where)
    if values.shape[1:] != np.shape(low):
        raise checks.BadData(
            f"{where}: {name} has the shape {values.shape}; the space's is {np.shape(low)} a row."
        )
    slack = 1e-5 * np.maximum(np.abs(low), np.abs(high)) if values.dtype.kind == "f" else 0
    inside = np.asarray((values >= low - slack) & (values <= high + slack))
    sound = np.asarray(inside.reshape(len(values), -1).all(axis=1))
    _require(name, values, sound, f"at least {low} and at most {high} is needed", where)


def _flat(name: str, values: np.ndarray, where: str) -> np.ndarray:
    if name in _VECTORS or (name == "action" and values.dtype.kind not in "iu"):
        if values.ndim != 2 or not values.shape[1]:
            raise checks.BadData(
                f"{where}: {name} has the shape {values.shape}; (rows, components) is needed."
            )
        return values
    return single(values, name, where)


def _numbers(
    name: str, values: np.ndarray, labelled: np.ndarray, where: str, *, place: Place
) -> np.ndarray:
    """A column of numbers in the type of a data set: rewards float64, discrete actions int32,
    images, which are uint8, as they are, all else float32.

    Args:
        name: The column.
        values: Its values, `[rows]` or `[rows, components]`.
        labelled: Which rows own a reward label, `[rows]`; a reward may be anything elsewhere.
        where: What the error message calls the data set.
        place: What it calls a row.

    Raises:
        BadData: naming the first row that cannot be used.
    """
    _require_kind(name, values, "biuf", where)
    if name == "action" and values.ndim == 1:
        _require(
            name,
            values,
            np.asarray((values >= 0) & (values < 2**31)),
            "a whole number from 0 on is needed",
            where,
            place=place,
        )
        return values.astype(np.int32)
    if name in _VECTORS and values.dtype == np.uint8:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        typed = values.astype(np.float64 if name == "reward" else np.float32)
    most = checks.LARGEST_32 if name == "reward" else np.inf
    sound = np.asarray(
        (np.isfinite(typed) & (np.abs(typed) <= most)).reshape(len(typed), -1).all(axis=1)
    )
    if name == "reward":
        sound = sound | ~labelled
    _require(name, values, sound, "every entry must be finite in 32 bits", where, place=place)
    return typed


def _require_kind(name: str, values: np.ndarray, kinds: str, where: str) -> None:
    """Require a column of numbers.

    Args:
        name, values, where: As for `_numbers`.
        kinds: Characters of the NumPy kinds that may be, as `dtype.kind` has them.

    Raises:
        BadData: it is of another kind.
    """
    if values.dtype.kind not in kinds:
        raise checks.BadData(
            f"{where}: {name} holds {_kind(values)}; columns that are not numbers cannot be used."
        )


def _kind(values: np.ndarray) -> str:
    return {
        "c": "complex numbers",
        "U": "text",
        "S": "text",
        "O": "Python objects",
        "b": "booleans",
    }.get(values.dtype.kind, f"the type {values.dtype}")


def _require(
    name: str,
    values: np.ndarray,
    sound: np.ndarray,
    needed: str,
    where: str,
    *,
    place: Place = row_place,
) -> None:
    """Require that every row is sound.

    Args:
        name, values, where: As for `_numbers`.
        sound: Which rows are, `[rows]`.
        needed: What a row must be, in words.
        place: What the error message calls a row.

    Raises:
        BadData: naming the first row that is not.
    """
    if not sound.all():
        row = int(np.argmin(sound))
        raise checks.BadData(f"{where}: {name} is {values[row]} in {place(row)}; {needed}.")


def _require_order(episode: np.ndarray, time: np.ndarray, where: str, place: Place) -> None:
    """Rows come in the order of (episode, time), each once.

    Args:
        episode, time: Of each row, `[rows]`.
        where: What the error message calls the data set.
        place: What it calls a row.
    """
    steps = np.stack([np.diff(episode), np.diff(time)])
    sound = (steps[0] > 0) | ((steps[0] == 0) & (steps[1] > 0))
    if not sound.all():
        row = int(np.argmin(sound)) + 1
        before = f"episode {episode[row - 1]}, time {time[row - 1]}"
        raise checks.BadData(
            f"{where}: {place(row)} has episode {episode[row]}, time {time[row]}, and"
            f" {place(row - 1)} has {before}; rows in the order of (episode, time), each once, are"
            " needed."
        )


def _following(typed: Mapping[str, Any], relative: float, where: str, place: Place) -> np.ndarray:
    """Whether each row's next step is the row after it, `[rows - 1]`; it starts where the row led,
    which is no end.

    Args:
        typed: The columns in their types.
        relative: The rounding of their states, as a share of them.
        where: What error messages call the data set.
        place: What they call a row.
    """
    episode, time = typed["episode"], typed["time"]
    follows = (np.diff(episode) == 0) & (np.diff(time) == 1)
    for name in ("terminated", "truncated"):
        early = (np.diff(episode) == 0) & typed[name][:-1]
        if early.any():
            row = int(np.argmax(early))
            raise checks.BadData(
                f"{where}: {name} is true in {place(row)}; episode {episode[row]} goes on after it,"
                f" and {name} marks an episode's last row."
            )
    torn = follows & jumps(typed["state"], typed["next_state"], relative)
    if torn.any():
        row = int(np.argmax(torn))
        raise checks.BadData(
            f"{where}: next_state of {place(row)} is {typed['next_state'][row]} and state of"
            f" {place(row + 1)}, the next step of episode {episode[row]}, is"
            f" {typed['state'][row + 1]}; they must be equal up to rounding."
        )
    return follows
