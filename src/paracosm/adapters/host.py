"""A foreign function on the host's side: batches of rows in and out, every answer checked.

Nothing in here touches JAX: a callback that did would deadlock.
"""

from __future__ import annotations

import abc
import collections
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from paracosm.adapters.answers import (
    BadAnswer,
    ColumnFault,
    ColumnReader,
    FunctionFailed,
    as_rows,
    coarseness,
    failure_of,
)
from paracosm.adapters.batches import RowIndependence
from paracosm.core import checks

AUTOGRAD, DIFFERENCES = "torch autograd", "finite differences"

_REMEMBERED = 4  # answers of a shared function
_SHOWN = 6  # numbers of an argument that a sentence shows
_COARSEST_DOUBLE, _COARSEST_SINGLE = 1e-12, 1e-5  # relative rounding up to which they count as such

# Beyond so many inputs finite differences, two answers an input for every derivative, would take
# hours that nobody expects
MOST_DIFFERENCED = 256

ValueAndJacobian = tuple[np.ndarray, np.ndarray]
Attempt = Callable[[np.ndarray], list[Any]]
"""Asks a function in one precision: rows `[rows, inputs]` -> results, `[rows, width]` each."""


class Rounding:
    """How coarse a function's answers to questions in double precision are, as far as is known.

    Attributes:
        eps: The largest relative rounding that was observed; that of 64 bits before any was.
    """

    def __init__(self) -> None:
        self.eps = float(np.finfo(np.float64).eps)

    def observe(self, eps: float) -> None:
        """Take note of answers with this rounding."""
        self.eps = max(self.eps, eps)

    @property
    def coarse(self) -> bool:
        """Whether some answers held fewer than 64 bits."""
        return self.eps > _COARSEST_DOUBLE


class CentralDifferences(NamedTuple):
    """Values `[rows, outputs]`, derivatives `[rows, outputs, inputs]`, and all answers that they
    were made of, `[shift, rows, outputs]`.
    """

    value: np.ndarray
    jacobian: np.ndarray
    answers: np.ndarray


class Slot(NamedTuple):
    """One argument or result: `size` columns, or one number a row if `size` is None.

    `integer` marks a discrete action, which counts from `start` outside and from 0 on our side.
    `scale` (`[size]`) is the unit of a finite difference. `reader` brings a result's column to what
    we mean by it.
    """

    name: str
    size: int | None
    integer: bool = False
    scale: np.ndarray | float = 1.0
    start: int = 0
    reader: ColumnReader | None = None

    @property
    def width(self) -> int:
        """Columns that it has in a row."""
        return 1 if self.size is None else self.size


class Host(abc.ABC):
    """A function of batches, asked with rows `[rows, inputs]` that hold its arguments side by side.

    Attributes:
        name: what messages call it, such as `PyTorch dynamics`.
        takes, gives: its arguments and results, in order.
        derivatives: how derivatives are found.
        rounding: how coarse its answers are, as far as they were asked for.
    """

    derivatives: str

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        takes: Sequence[Slot],
        gives: Sequence[Slot],
        *,
        shared: bool,
    ) -> None:
        """Take `function`.

        Args:
            function: A function of batches: takes the arguments, each `[rows, size]` or `[rows]`,
                and gives the results, of these shapes too.
            name: What messages call the function.
            takes, gives: Its arguments and results, in order.
            shared: Whether several parts ask it the same question, which is then answered once.
        """
        self.function, self.name, self.takes, self.gives = (
            function,
            name,
            tuple(takes),
            tuple(gives),
        )
        self.inputs, self.outputs = (sum(slot.width for slot in slots) for slots in (takes, gives))
        self._continuous = np.concatenate([np.full(slot.width, not slot.integer) for slot in takes])
        self._scale = np.concatenate([np.broadcast_to(slot.scale, slot.width) for slot in takes])
        self._memory: dict[str, collections.deque[Any]] = {}
        self._shared = shared
        # By the precision of the question: the place among `_attempts` of the one that answers it
        self._working_attempt: dict[Any, int] = {}
        self.rounding = Rounding()
        self.row_independence = RowIndependence(name)
        self.requires_finite = True  # else whoever asks looks at the answers

    @property
    def precision(self) -> str:
        """The coarsest answers so far to questions in double precision: `64 bits`, `32 bits` or
        `16 bits`.
        """
        if not self.rounding.coarse:
            return "64 bits"
        return "32 bits" if self.rounding.eps < _COARSEST_SINGLE else "16 bits"

    def value(self, x: np.ndarray) -> np.ndarray:
        """Answers `[rows, outputs]` to `x` `[rows, inputs]`.

        Raises:
            BadData: the function fails, does not fit its shape, gives what is no finite number or
                no answer of its kind.
            BadArgument: its answers differ when it is asked twice, or depend on the batch.
        """
        return self._recall_or_ask("value", self._value, x)

    def value_and_jacobian(self, x: np.ndarray) -> ValueAndJacobian:
        """Answers and their derivatives `[rows, outputs, inputs]`; zero for integer inputs."""
        return self._recall_or_ask("jacobian", self._checked_jacobian, x)

    def vector_jacobian_product(self, x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """Products `[rows, inputs]` of cotangents `[rows, outputs]` with the Jacobians at `x`.

        They are zero for integer inputs, and NaN for a cotangent that is not finite, which is no
        fault of the function. They cost one backward pass where the function has derivatives.

        Raises:
            Unsupported: it has none, and too many inputs for finite differences.
        """
        wide = cotangent.astype(np.float64)
        size = np.abs(wide).max(axis=1)
        product = np.where(np.isfinite(size), 0.0, np.nan)[:, None] * np.ones(self.inputs)
        rows = np.flatnonzero(np.isfinite(size) & (size > 0))  # the others need no backward pass
        if rows.size:
            at, unit = x[rows], wide[rows] / size[rows, None]
            products = self._name_failing_row(lambda _: self._vector_jacobian_product(at, unit), at)
            self._require_finite(at, products, "the derivative ")
            with np.errstate(over="ignore"):  # beyond the floating numbers by the cotangent's size
                product[rows] = size[rows, None] * products
        return product

    def _vector_jacobian_product(self, x: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """`vector_jacobian_product` of finite cotangents, by finite differences.

        Rows that repeat, as under `jax.jacrev`, are differenced once.
        """
        if self.inputs > MOST_DIFFERENCED:
            raise checks.Unsupported(
                f"the {self.name} has {self.inputs} inputs and no derivatives but finite"
                f" differences, which would ask it {2 * self.inputs} times for each one; an audit"
                " without them is one with dimensions=False (--no-dimensions)."
            )
        rows, place = np.unique(x, axis=0, return_inverse=True)
        jacobian = self._finite_differences(rows)[1][place.reshape(-1)]
        return np.einsum("no,noi->ni", cotangent, jacobian)

    @abc.abstractmethod
    def _value_and_jacobian(self, x: np.ndarray) -> ValueAndJacobian:
        """`value_and_jacobian`, whose answers are not checked nor interpreted."""

    @abc.abstractmethod
    def _attempts(self, dtype: Any) -> Sequence[Attempt]:
        """How questions of a precision can be put, the best first; the first that works is used."""

    @abc.abstractmethod
    def _as_integers(self, column: Any) -> Any:
        """A column of whole numbers as the function wants it."""

    @abc.abstractmethod
    def _array(self, what: str, answer: Any) -> Any:
        """A result as an array of numbers of the host's kind."""

    def _value(self, x: np.ndarray) -> np.ndarray:
        """As `value`, asked anew."""
        with np.errstate(over="ignore"):
            answer = self._name_failing_row(self._ask, x).astype(x.dtype)
        self._require_finite(x, answer)
        eps = max(self.rounding.eps, float(np.finfo(x.dtype).eps))
        self.row_independence.require(
            self._ask, x, answer, [slot.width for slot in self.gives], eps=eps
        )
        return self._interpret(x, answer)

    def _checked_jacobian(self, x: np.ndarray) -> ValueAndJacobian:
        """As `value_and_jacobian`, asked anew."""
        value, jacobian = self._name_failing_row(self._value_and_jacobian, x)
        self._require_finite(x, jacobian.reshape(len(x), -1), "the derivative ")
        self._require_finite(x, value)
        return self._interpret(x, value), jacobian

    def _ask(self, x: np.ndarray) -> np.ndarray:
        """The function's answers in double precision, by the first attempt that works."""
        attempts = self._attempts(x.dtype)
        chosen = self._working_attempt.get(x.dtype)
        results = self._choose_attempt(attempts, x) if chosen is None else attempts[chosen](x)
        if x.dtype == np.float64:
            self.rounding.observe(coarseness(results))
        return np.concatenate([np.asarray(result, np.float64) for result in results], axis=1)

    def _choose_attempt(self, attempts: Sequence[Attempt], x: np.ndarray) -> list[Any]:
        """The results of the first attempt that works, which answers later questions too."""
        failure = None
        for number, attempt in enumerate(attempts):
            try:
                results = attempt(x)
            except FunctionFailed as error:
                failure = failure or error
                continue
            self._working_attempt[x.dtype] = number
            return results
        assert failure is not None
        raise failure

    def _answers_coarsely(self, dtype: Any) -> bool:
        """Whether questions of a precision are answered in fewer than 64 bits."""
        return dtype != np.float64 or self.rounding.coarse

    def _call_function(self, function: Callable[..., Any], x: Any) -> list[Any]:
        """The results of `function`, `[rows, width]` each, at the arguments cut from `x`."""
        arguments, first = [], 0
        for slot in self.takes:
            columns = x[:, first : first + slot.width]
            arguments.append(
                self._as_integers(columns[:, 0]) + slot.start if slot.integer else columns
            )
            first += slot.width
        try:
            answers = function(*arguments)
        except checks.ParacosmError:
            raise
        except (Exception, SystemExit) as error:
            raise failure_of(self.name, error) from error
        return self._as_rows(answers, len(x))

    def _as_rows(self, answers: Any, rows: int) -> list[Any]:
        """The results that a function gave, alone or several, as `[rows, width]` each.

        Raises:
            BadAnswer: there are not as many as there should be, or one has another shape.
        """
        single = len(self.gives) == 1
        if (
            single
            and isinstance(answers, (tuple, list))
            and len(answers) == 1
            and np.ndim(answers[0]) > 0
        ):
            answers = answers[0]
        if single and not isinstance(answers, tuple):
            answers = (answers,)
        if not isinstance(answers, (tuple, list)):
            answers = (answers,)
        if len(answers) != len(self.gives):
            needed = ", ".join(slot.name for slot in self.gives)
            raise BadAnswer(
                f"the {self.name} gives {len(answers)} results; {len(self.gives)} ({needed}) are"
                " needed."
            )
        return [
            as_rows(self.name, slot.name, self._array(slot.name, answer), rows, slot.size)
            for slot, answer in zip(self.gives, answers, strict=True)
        ]

    def _name_failing_row(self, ask: Callable[[np.ndarray], Any], x: np.ndarray) -> Any:
        """`ask(x)`; a failure names the first row, if any, that fails alone."""
        try:
            return ask(x)
        except FunctionFailed as error:
            row = self._first_failing(x)
            if row is not None:
                error.question = self._question(x[row])
            raise

    def _first_failing(self, x: np.ndarray) -> int | None:
        """The first row that fails alone, by bisection; None if every row is answered alone."""
        answered, fails = 0, len(x)  # x[:answered] is answered, x[:fails] fails
        while fails - answered > 1:
            middle = (answered + fails) // 2
            answered, fails = (answered, middle) if self._fails(x[:middle]) else (middle, fails)
        return fails - 1 if self._fails(x[fails - 1 : fails]) else None

    def _fails(self, x: np.ndarray) -> bool:
        """Whether the function raises when it is asked."""
        try:
            self._ask(x)
        except FunctionFailed:
            return True
        return False

    def _require_finite(self, x: np.ndarray, answer: np.ndarray, what: str = "") -> None:
        """Require answers to rows `x` to be finite, if this host does.

        Raises:
            BadAnswer: a row is not finite; the sentence says where it was asked, and `what` stands
                before the number.
        """
        finite = np.isfinite(answer).all(axis=1)
        if self.requires_finite and not finite.all():
            row = int(np.argmin(finite))
            bad = answer[row][~np.isfinite(answer[row])][0]
            raise BadAnswer(
                f"the {self.name} gives {what}{bad} at {self._describe_row(x[row])}; it must give"
                " finite numbers.",
                self._question(x[row]),
            )

    def _interpret(self, x: np.ndarray, answer: np.ndarray) -> np.ndarray:
        """The answer with its actions and ends as we mean them: see `ColumnReader`."""
        first, columns = 0, answer
        for slot in self.gives:
            if slot.reader is not None:
                column, fault = slot.reader(f"the {self.name}", answer[:, first])
                if fault is not None:
                    raise self._bad_answer(x, fault)
                columns = columns.copy()
                columns[:, first] = column
            first += slot.width
        return columns

    def _bad_answer(self, x: np.ndarray, fault: ColumnFault) -> BadAnswer:
        """The error about a fault in the answers to rows `x`."""
        if fault.row is None:
            return BadAnswer(fault.sentence)
        row = x[fault.row]
        return BadAnswer(fault.sentence.format(at=self._describe_row(row)), self._question(row))

    def _question(self, row: np.ndarray) -> dict[str, np.ndarray]:
        """One row's arguments by name."""
        stops = np.cumsum([slot.width for slot in self.takes])[:-1]
        return {
            slot.name: part.copy()
            for slot, part in zip(self.takes, np.split(row, stops), strict=True)
        }

    def _describe_row(self, row: np.ndarray) -> str:
        """One row's arguments, for a person."""
        starts = {slot.name: slot.start for slot in self.takes}
        words = []
        for name, numbers in self._question(row).items():
            more = ", …" if len(numbers) > _SHOWN else ""
            shown = ", ".join(f"{number:.4g}" for number in numbers[:_SHOWN] + starts[name])
            words.append(f"{name} = [{shown}{more}]")
        return ", ".join(words)

    def _recall_or_ask(self, kind: str, ask: Callable[[np.ndarray], Any], x: np.ndarray) -> Any:
        """`ask(x)`; a shared host remembers its last answers of each kind."""
        if not self._shared:
            return ask(x)
        memory = self._memory.setdefault(kind, collections.deque(maxlen=_REMEMBERED))
        for question, answer in tuple(memory):
            if question.dtype == x.dtype and np.array_equal(question, x):
                return answer
        answer = ask(x)
        memory.append((x.copy(), answer))  # x lives in a buffer that is reused
        return answer

    def _finite_differences(self, x: np.ndarray) -> ValueAndJacobian:
        """`(f(x + h) - f(x - h)) / 2h`, with an error of `O(h²)`; one call for all rows.

        The step `h` is the cube root of the rounding error, in units of each argument's scale.
        A function that answers in fewer bits than it is asked in gets the step of its own rounding.
        """
        eps = self.rounding.eps
        differences = self._central_differences(x, eps)
        self.rounding.observe(_hidden_rounding(differences.answers))
        if self.rounding.eps > eps:
            differences = self._central_differences(x, self.rounding.eps)
        return differences.value, differences.jacobian

    def _central_differences(self, x: np.ndarray, eps: float) -> CentralDifferences:
        """Derivatives by the step of answers with the relative rounding `eps`."""
        columns = np.flatnonzero(self._continuous)
        step = np.cbrt(eps) * self._scale[columns]
        shifts = np.zeros((len(columns), 1, self.inputs))
        shifts[np.arange(len(columns)), 0, columns] = step
        double = x.astype(np.float64)
        questions = np.concatenate([double[None], double + shifts, double - shifts]).reshape(
            -1, self.inputs
        )
        answers = self._ask(questions)
        self._require_finite(questions, answers)
        answers = answers.reshape(-1, len(x), self.outputs)
        value, above, below = answers[0], *np.split(answers[1:], 2)
        jacobian = np.zeros((len(x), self.outputs, self.inputs))
        jacobian[:, :, columns] = np.moveaxis((above - below) / (2 * step[:, None, None]), 0, -1)
        return CentralDifferences(value, jacobian, answers)


def _hidden_rounding(answers: np.ndarray) -> float:
    """The rounding of 32 bits if a column of 64-bit answers holds 32-bit numbers, else 0.

    Answers are `[shift, row, output]`. Columns that never vary and those of few levels say
    nothing: 0.5 is a number of 16 bits.
    """
    columns = answers.reshape(-1, answers.shape[-1])
    varying = columns[:, (columns != columns[0]).any(axis=0)]
    with np.errstate(over="ignore"):
        single, half = (varying == varying.astype(kind) for kind in (np.float32, np.float16))
    hidden = (single.all(axis=0) & ~half.all(axis=0)).any()
    return float(np.finfo(np.float32).eps) if hidden else 0.0
