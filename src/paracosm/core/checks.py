"""Input checks: one sentence that names the argument, what was found and what is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np


class ParacosmError(Exception):
    """Bad input. The message is one sentence fit to show a user; the command line exits with status 2."""


class BadArgument(ParacosmError, ValueError):
    """An argument has a value that cannot be used."""


class BadData(ParacosmError, ValueError):
    """Data, a model's output or a file holds something that cannot be used."""


class Unsupported(ParacosmError, TypeError):
    """A kind of environment, space or file that Paracosm does not handle."""


class Missing(ParacosmError, LookupError):
    """Something named by the user does not exist, or needs an extra that is not installed."""


def positive(name: str, value: float | int) -> None:
    """Require `value > 0`."""
    if not value > 0 or not np.isfinite(value):
        raise BadArgument(f"{name} is {value:g}; it must be a positive number.")


def at_least(name: str, value: float | int, least: float | int) -> None:
    """Require `value >= least`."""
    if not value >= least:
        raise BadArgument(f"{name} is {value:g}; it must be at least {least:g}.")


def between(name: str, value: float | int, least: float | int, most: float | int) -> None:
    """Require `least <= value <= most`."""
    if not least <= value <= most:
        raise BadArgument(f"{name} is {value:g}; it must be at least {least:g} and at most {most:g}.")


def in_unit_interval(name: str, value: float | int, *, open_right: bool = False) -> None:
    """Require `0 <= value <= 1`, or `< 1` with `open_right`."""
    if not (0 <= value <= 1) or (open_right and value == 1):
        raise BadArgument(f"{name} is {value:g}; it must lie in [0, 1{')' if open_right else ']'}.")


def one_of(name: str, value: str, choices: Collection[str]) -> None:
    """Require `value` to be one of `choices`."""
    if value not in choices:
        raise BadArgument(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}.")


def count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int, if it is an integer of at least `least`; 2.0, True and "2" are none."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not least <= value < 2**31:
        raise BadArgument(f"{name} is {value!r}; it must be a whole number of at least {least} and below 2**31.")
    return int(value)


def seed(name: str, value: Any) -> int:
    """`value` as an int, if it is an integer from 0 to 2**32 - 1: JAX keys tell no others apart."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**32:
        raise BadArgument(f"{name} is {value!r}; it must be a whole number of at least 0 and below 2**32.")
    return int(value)


def finite(what: str, values: Any) -> None:
    """Require every entry of an array to be finite; `what` names it and names its first axis.

    Raises:
        BadData: naming the first row that holds NaN or infinity.
    """
    values = np.asarray(values)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        found, where = values[tuple(bad[0])], f" at step {bad[0][0]}" if values.ndim else ""
        raise BadData(f"{what} holds {found}{where}; every entry must be finite.")


def finite_steps(of: str, columns: Mapping[str, Any], taken: Any) -> None:
    """Require columns `[episode, time, …]` to be finite at the steps `taken`, `[episode, time]`.

    Raises:
        BadData: naming the column and the earliest step at which one is not; `of` says what kind of episode it is in.
    """
    found = []
    for name, column in columns.items():
        values = np.asarray(column).reshape(*np.shape(taken), -1)
        for episode, time in np.argwhere(~np.isfinite(values).all(axis=-1) & taken):
            row = values[episode, time]
            found.append((int(time), int(episode), name, row[~np.isfinite(row)][0]))
    if found:
        time, episode, name, value = min(found, key=lambda each: each[:2])
        raise BadData(f"{name} is {value} at step {time} of {of} {episode}; it must be finite.")


def shape(what: str, values: Any, expected: tuple[int, ...]) -> None:
    """Require `values.shape == expected`."""
    if tuple(np.shape(values)) != expected:
        raise BadData(f"{what} has shape {tuple(np.shape(values))}; {expected} is needed.")
