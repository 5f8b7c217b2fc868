"""A foreign function on the host's side: batches of rows in, batches of rows out, every answer checked.

Nothing in here touches JAX: a callback that did would deadlock.
"""

from __future__ import annotations

import abc
import collections
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from paracosm.core import checks

_ASKED_TWICE = 8  # first calls that are repeated: a sample may fall on the same value once
_SAME = 1e-5
_REMEMBERED = 4
_SHOWN = 6

Both = tuple[np.ndarray, np.ndarray]


class Slot(NamedTuple):
    """One argument or result: `size` columns, or one number a row if `size` is None.

    `integer` marks a discrete action. `scale` (`[size]`) is the unit of a finite difference.
    """

    name: str
    size: int | None
    integer: bool = False
    scale: np.ndarray | float = 1.0

    @property
    def width(self) -> int:
        """Columns it takes in a row."""
        return 1 if self.size is None else self.size


class Host(abc.ABC):
    """A function of batches, asked with rows `[rows, inputs]` that hold its arguments side by side.

    Attributes:
        name: what messages call it, such as `PyTorch dynamics`.
        takes, gives: its arguments and results, in order.
        derivatives: how derivatives are found.
    """

    derivatives: str

    def __init__(
        self, function: Callable[..., Any], name: str, takes: Sequence[Slot], gives: Sequence[Slot], *, shared: bool
    ) -> None:
        """Take `function`; with `shared` several parts ask it the same question, which is then answered once."""
        self.function, self.name, self.takes, self.gives = function, name, tuple(takes), tuple(gives)
        self.inputs, self.outputs = (sum(slot.width for slot in slots) for slots in (takes, gives))
        self._continuous = np.concatenate([np.full(slot.width, not slot.integer) for slot in takes])
        self._scale = np.concatenate([np.broadcast_to(slot.scale, slot.width) for slot in takes])
        self._memory: dict[str, collections.deque[Any]] = {}
        self._shared, self._unsure, self._lock = shared, _ASKED_TWICE, threading.Lock()

    def value(self, x: np.ndarray) -> np.ndarray:
        """Answers `[rows, outputs]` to `x` `[rows, inputs]`.

        Raises:
            BadData: the function fails, does not fit its shape, gives NaN or differs when asked twice.
        """
        return self._remembered("value", self._value, x)

    def value_and_jacobian(self, x: np.ndarray) -> Both:
        """Answers and their derivatives `[rows, outputs, inputs]`; zero for integer inputs."""
        return self._remembered("jacobian", self._value_and_jacobian, x)

    @abc.abstractmethod
    def _value(self, x: np.ndarray) -> np.ndarray: ...

    @abc.abstractmethod
    def _value_and_jacobian(self, x: np.ndarray) -> Both: ...

    @abc.abstractmethod
    def _integers(self, column: Any) -> Any:
        """A column of whole numbers as the function wants it."""

    def _answers(self, function: Callable[..., Any], x: Any) -> list[Any]:
        """Call `function` with the arguments cut from `x`; its results, each `[rows, width]`."""
        arguments, first = [], 0
        for slot in self.takes:
            columns = x[:, first : first + slot.width]
            arguments.append(self._integers(columns[:, 0]) if slot.size is None else columns)
            first += slot.width
        try:
            answers = function(*arguments)
        except checks.ParacosmError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())
            raise checks.BadData(f"the {self.name} failed with {type(error).__name__}: {said}") from error
        return self._fitted(answers if isinstance(answers, (tuple, list)) else [answers], len(x))

    def _fitted(self, answers: Sequence[Any], rows: int) -> list[Any]:
        if len(answers) != len(self.gives):
            needed = ", ".join(slot.name for slot in self.gives)
            raise checks.BadData(
                f"the {self.name} gives {len(answers)} results; {len(self.gives)} ({needed}) are needed."
            )
        return [self._columns(slot, answer, rows) for slot, answer in zip(self.gives, answers, strict=True)]

    def _columns(self, slot: Slot, answer: Any, rows: int) -> Any:
        """A result as `[rows, width]`."""
        answer = answer if hasattr(answer, "shape") else np.asarray(answer)
        found, needed = tuple(answer.shape), (rows,) if slot.size is None else (rows, slot.size)
        if found != needed and not (slot.size is None and found == (rows, 1)):
            raise checks.BadData(
                f"the {self.name} gives the shape {found} for the {slot.name} of a batch of {rows}; {needed} is needed."
            )
        return answer.reshape(rows, slot.width)

    def _sound(self, x: np.ndarray, answer: np.ndarray) -> np.ndarray:
        finite = np.isfinite(answer).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            bad = answer[row][~np.isfinite(answer[row])][0]
            raise checks.BadData(f"the {self.name} gives {bad} at {self._shown(x[row])}; it must give finite numbers.")
        return answer

    def _shown(self, row: np.ndarray) -> str:
        """One row's arguments, for a person."""
        words, first = [], 0
        for slot in self.takes:
            numbers = row[first : first + slot.width]
            more = ", …" if len(numbers) > _SHOWN else ""
            words.append(f"{slot.name} = [{', '.join(f'{number:.4g}' for number in numbers[:_SHOWN])}{more}]")
            first += slot.width
        return ", ".join(words)

    def _settled(self, x: np.ndarray, ask: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The answer, asked twice while the function is not yet known to be deterministic."""
        answer = self._sound(x, ask(x))
        if self._unsure > 0:
            self._unsure -= 1
            again = ask(x)
            if not np.allclose(answer, again, rtol=_SAME, atol=_SAME):
                raise checks.BadArgument(
                    f"the {self.name} answers the same question twice with different numbers; a deterministic one is"
                    " needed (the mode of a policy, the mean of an ensemble)."
                )
        return answer

    def _remembered(self, kind: str, ask: Callable[[np.ndarray], Any], x: np.ndarray) -> Any:
        if not self._shared:
            return ask(x)
        memory = self._memory.setdefault(kind, collections.deque(maxlen=_REMEMBERED))
        for question, answer in tuple(memory):
            if question.dtype == x.dtype and np.array_equal(question, x):
                return answer
        answer = ask(x)
        memory.append((x.copy(), answer))  # x lives in a buffer that is reused
        return answer
