"""What foreign functions give, checked: shapes, actions of the space, ends in four forms."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from paracosm.core import checks

TERMINATION_GIVES = ("end", "probability", "continue", "logit")

_MOST_WORDS = 400


class BadAnswer(checks.BadData):
    """A foreign function's answer cannot be used.

    `question` holds the arguments by name if one row is to blame.
    """

    def __init__(self, message: str, question: dict[str, np.ndarray] | None = None) -> None:
        super().__init__(message)
        self.question = question


class FunctionFailed(BadAnswer):
    """The function itself raised something."""


class ColumnFault(NamedTuple):
    """Why a column has no meaning.

    In `sentence` `{at}` stands for the place of `row`, which is None if no row is to blame.
    """

    sentence: str
    row: int | None


class ColumnReader(Protocol):
    """Gives a result's column as we mean it, and what is wrong with it, if anything."""

    def __call__(self, what: str, column: np.ndarray) -> tuple[np.ndarray, ColumnFault | None]: ...


def failure_of(name: str, error: BaseException) -> FunctionFailed:
    """The error that says what a function raised; `name` is what messages call the function."""
    return FunctionFailed(f"the {name} failed with {exception_text(error)}{_remedy(str(error))}")


def named_calls(
    calls: Mapping[str, Callable[..., Any]], *, but: tuple[str, ...]
) -> dict[str, Callable[..., Any]]:
    """Functions by name, whose errors say of which of them they are, all `but` some: see
    `exception_text`.
    """

    def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            try:
                return function(*arguments, **options)
            except Exception as error:
                with contextlib.suppress(AttributeError):  # one with slots takes no attribute
                    error.paracosm_function = name  # pyright: ignore[reportAttributeAccessIssue]
                raise

        return call

    return {
        name: function if name in but else named(name, function) for name, function in calls.items()
    }


def exception_text(error: BaseException) -> str:
    """An exception's type and message, on one line."""
    try:
        message = " ".join(str(error).split())
    except Exception:
        message = ""
    short = message if len(message) <= _MOST_WORDS else message[:_MOST_WORDS] + " …"
    short += f" (in {inside})" if (inside := getattr(error, "paracosm_function", "")) else ""
    return f"{type(error).__name__}: {short}" if short else f"{type(error).__name__}."


def _remedy(message: str) -> str:
    if "Tensor" in message and "numpy" in message:
        return '; functions="torch" hands it tensors.'
    return ""


def mode_of(answer: Any) -> Any:
    """The deterministic answer of a head: a tensor, the first of several, a distribution's mode, or
    its mean where it has no mode; of `(action, info)`, which TD-MPC2 gives, `info["mean"]`.
    """
    if isinstance(answer, tuple):
        named = len(answer) == 2 and hasattr(answer[1], "get")
        mean = answer[1].get("mean", None) if named else None
        return mode_of(answer[0]) if mean is None else mean
    if hasattr(answer, "detach") or isinstance(answer, np.ndarray):
        return answer
    try:
        mode = getattr(answer, "mode", None)
    except NotImplementedError:  # how torch says that a distribution has none
        mode = None
    mode = mode() if callable(mode) else mode
    return getattr(answer, "mean", answer) if mode is None else mode


def as_array(name: str, what: str, answer: Any) -> np.ndarray:
    """A result of any library as a NumPy array of real numbers.

    Args:
        name, what: What messages call the function and the result.
        answer: The result.

    Raises:
        BadAnswer: it is no array of real numbers.
    """
    if type(answer).__module__.partition(".")[0] in ("jax", "jaxlib"):
        raise BadAnswer(
            f"the {name} gives a JAX array for the {what}: a function in JAX, of one state and one"
            " action, is a part of"
            " an MDP as it is (world.replace(…)), or a policy by paracosm.Deterministic."
        )
    try:
        numbers = np.asarray(answer.detach().cpu() if hasattr(answer, "detach") else answer)
    except Exception as error:
        raise BadAnswer(
            f"the {name} gives a {type(answer).__name__} for the {what} that is no array"
            f" ({exception_text(error)})"
        ) from error
    require_real(name, what, answer, numbers.dtype.kind in "biuf", str(numbers.dtype))
    if np.ma.is_masked(answer):
        raise BadAnswer(f"the {name} gives masked numbers for the {what}; each needs a number.")
    return numbers


def require_real(name: str, what: str, answer: Any, is_real: bool, dtype: str) -> None:
    """Refuse what is no array of real numbers.

    Args:
        name: What messages call the function.
        what: What messages call the result.
        answer: The result, of any library; only its type is looked at.
        is_real: Whether its numbers are real.
        dtype: The type of its numbers, in words.

    Raises:
        BadAnswer: they are not.
    """
    if not is_real:
        kind = type(answer).__name__ if dtype == "object" else f"{type(answer).__name__} of {dtype}"
        raise BadAnswer(f"the {name} gives a {kind} for the {what}; real numbers are needed.")


def as_rows(name: str, what: str, numbers: Any, rows: int, size: int | None) -> Any:
    """A result as `[rows, width]`; a `size` of None means one number a row.

    A trailing axis of one may be missing, and so may the batch's where there is one row.

    Args:
        name, what: What messages call the function and the result.
        numbers: The result, an array or a tensor.
        rows: Rows of the batch that was asked.
        size: Columns of the result, or None.

    Raises:
        BadAnswer: it has another shape.
    """
    shape, width = tuple(numbers.shape), 1 if size is None else size
    fits = (
        shape == (rows, width)
        or (width == 1 and shape == (rows,))
        or (rows == 1 and shape in ((), (width,)))
    )
    if not fits or (shape == () and width != 1):
        needed = (rows,) if size is None else (rows, size)
        raise BadAnswer(
            f"the {name} gives the shape {shape} for the {what} of a batch of {rows}; {needed} is"
            " needed."
        )
    return numbers.reshape(rows, width)


def coarseness(results: Sequence[Any]) -> float:
    """The largest rounding error among results in floating point; 0 if there are none."""
    kinds = [result.dtype for result in results if result.dtype.kind == "f"]
    return max((float(np.finfo(kind).eps) for kind in kinds), default=0.0)


class ActionReader:
    """Discrete actions, which foreign policies number from `start`; ours are 0 … n-1.

    `n` is None if it is not known.
    """

    def __init__(self, n: int | None, start: int) -> None:
        self.n, self.start = n, start

    def __call__(self, what: str, column: np.ndarray) -> tuple[np.ndarray, ColumnFault | None]:
        index = column - self.start
        mask = (
            (column == np.rint(column))
            & (index >= 0)
            & (index < (np.inf if self.n is None else self.n))
        )
        if mask.all():
            return index, None
        row = int(np.argmin(mask))
        upwards = " upwards" if self.n is None else f" to {self.start + self.n - 1}"
        words = (
            f"{what} gives the action {column[row]:g} at {{at}}; the actions are whole numbers"
            f" from {self.start}"
        )
        return index, ColumnFault(f"{words}{upwards}.", row)


def require_gives(gives: str | None) -> None:
    """Require one of `TERMINATION_GIVES`, or None, which leaves it open what an end rule gives.

    Raises:
        BadArgument: `gives` is something else.
    """
    if gives is not None:
        checks.one_of("termination_gives", gives, TERMINATION_GIVES)


class EndReader:
    """Ends as flags, logits, P(end) or P(continue), as `gives` says.

    If `gives` is None, flags are told from logits by their range: after the first answer outside of
    [0, 1] all later ones are taken for logits.
    """

    def __init__(self, gives: str | None) -> None:
        require_gives(gives)
        self.gives, self._logits = gives, gives == "logit"

    def __call__(self, what: str, column: np.ndarray) -> tuple[np.ndarray, ColumnFault | None]:
        outside = (column < 0) | (column > 1)
        between = (column > 0) & (column < 1)
        if self.gives in ("probability", "continue"):
            ended = column > 0.5 if self.gives == "probability" else column < 0.5
            words = f"termination_gives={self.gives!r}: answers between 0 and 1"
            return ended, self._first_fault(what, column, outside, words)
        if self.gives == "end":
            return column > 0, self._first_fault(
                what, column, outside | between, "termination_gives='end': 0 or 1"
            )
        # Neither a flag nor a probability: all answers of this function are logits
        self._logits |= bool(outside.any())
        if self._logits or not between.any():
            return column > 0, None
        least, most = column.min(), column.max()
        return column > 0, ColumnFault(
            f"{what} gives numbers from {least:.4g} to {most:.4g} for the end; its answers lie"
            " between 0 and 1: a"
            " probability? say termination_gives='probability' (of the end), 'continue' (of going"
            " on) or 'logit'.",
            None,
        )

    def _first_fault(
        self, what: str, column: np.ndarray, wrong: np.ndarray, words: str
    ) -> ColumnFault | None:
        """The fault of the first wrong row, if there is one.

        Args:
            what: What messages call the function.
            column: Its answers, `[rows]`.
            wrong: Which of them cannot be used, `[rows]`.
            words: How `gives` was declared, and what is needed.
        """
        if not wrong.any():
            return None
        row = int(np.argmax(wrong))
        return ColumnFault(
            f"{what} gives {column[row]:.4g} for the end at {{at}}; it is declared {words} are"
            " needed.",
            row,
        )
