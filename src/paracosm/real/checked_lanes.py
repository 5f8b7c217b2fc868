"""The checked boundary for what lanes of one's own answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.real.boundary import Fault
from paracosm.real.source import Source
from paracosm.real.workers import Answers, Lanes

_RESET = ("observations",)
_STEP = ("observations", "rewards", "terminated", "truncated")


class CheckedLanes(Lanes):
    """Lanes of a source, whose answers become new arrays of the types that `Answers` names; an
    entry that cannot be used is a fault of its row.
    """

    def __init__(self, lanes: Lanes, source: Source) -> None:
        self._lanes, self._name = lanes, source.name
        # An encoder's source has the size and the type of beliefs, not of what is observed.
        self._size = source.state_size if source.encoder is None else None
        self._images = source.image is not None
        self._keeps_bytes = self._images or self._size is None

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> Answers:
        return self._checked("reset", self._lanes.reset(which, seeds), len(which), _RESET)

    def step(self, which: np.ndarray, actions: np.ndarray) -> Answers:
        return self._checked("step", self._lanes.step(which, actions), len(which), _STEP)

    def close(self) -> None:
        self._lanes.close()

    def _checked(self, method: str, answers: Any, rows: int, names: tuple[str, ...]) -> Answers:
        """The answers as `Answers` has them.

        Args:
            method: What was called.
            answers: What it gave.
            rows: How many lanes were asked.
            names: What messages call the columns.

        Raises:
            BadData: a column is missing, or of another shape or kind.
        """
        if not isinstance(answers, Answers) or len(answers.columns) != len(names):
            right = isinstance(answers, Answers)
            shown = f"{len(answers.columns)} columns" if right else checks.described(answers)
            raise checks.BadData(
                f"{self._name} answers {method} with {shown}; Answers of the columns"
                f" {', '.join(names)} are needed."
            )
        faults = dict(answers.faults)
        columns = []
        for name, column in zip(names, answers.columns, strict=True):
            array = self._numbers(f"{self._name} answers {method} with {name}", name, column, rows)
            typed, wrong = _typed(name, array, keeps_bytes=self._keeps_bytes)
            for row in np.flatnonzero(wrong).tolist():
                faults.setdefault(row, _fault(name, array[row]))
            columns.append(typed)
        for column in columns:
            column[list(faults)] = 0
        return Answers(tuple(columns), dict(sorted(faults.items())))

    def _numbers(self, what: str, name: str, column: Any, rows: int) -> np.ndarray:
        """The column as an array of numbers: `[lane, state]` of observations, `[lane]` of others.

        Args:
            what: How a message begins.
            name: Which column it is.
            column: What the lanes answered.
            rows: How many lanes were asked.

        Raises:
            BadData: it is of another shape, or holds no numbers.
        """
        try:
            array = np.asarray(column)
        except ValueError:  # of rows of several lengths
            array = np.empty(0, object)
        observed = name == "observations"
        needed = (rows,)
        if observed:
            size = array.shape[-1] if self._size is None and array.ndim == 2 else self._size
            needed = (rows, size)
        images = observed and self._images
        numbers = array.dtype == np.uint8 if images else array.dtype.kind in "biuf"
        if array.shape != needed or not numbers:
            raise checks.BadData(
                f"{what} of the shape {array.shape} and type {array.dtype};"
                f" {'uint8' if images else 'numbers'} of the shape {needed} are needed, a row of"
                " each lane that was asked."
            )
        return array


def _typed(name: str, array: np.ndarray, *, keeps_bytes: bool) -> tuple[np.ndarray, np.ndarray]:
    """A new array of the column's type, and the rows that cannot be used, `[lane]`; bytes of
    pictures stay bytes.
    """
    if name in ("terminated", "truncated"):
        return array.astype(bool), (array != 0) & (array != 1)
    if name == "rewards":
        rewards = array.astype(np.float64)
        return rewards, ~(np.abs(rewards) <= checks.LARGEST_32)
    if keeps_bytes and array.dtype == np.uint8:
        return array.copy(), np.zeros(len(array), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        states = array.astype(np.float32)
    return states, ~np.asarray(np.isfinite(states).all(axis=1))


def _fault(name: str, entry: np.ndarray) -> Fault:
    """The fault of a row whose entry cannot be used."""
    if name == "observations":
        return Fault(f"gave the observation {entry}", "every entry must be finite")
    if name == "rewards":
        return Fault(f"gave the reward {entry}", "a finite number of 32 bits is needed")
    return Fault(f"gave {name} as {entry}", "True or False is needed")
