"""Input checks: one sentence that names the argument, what was found and what is needed."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np


class ParacosmError(Exception):
    """Bad input.

    The message is one sentence fit to show a user; the command line exits with status 2.
    """


class BadArgument(ParacosmError, ValueError):
    """An argument has a value that cannot be used."""


class BadData(ParacosmError, ValueError):
    """Data, a model's output or a file holds something that cannot be used."""


class Unsupported(ParacosmError, TypeError):
    """A kind of environment, space or file that Paracosm does not handle."""


class Missing(ParacosmError, LookupError):
    """Something named by the user does not exist, or needs an extra that is not installed."""


MOST = 2**31 - 1  # a count indexes arrays somewhere, and JAX indexes in 32 bits
LARGEST_32 = 3e38  # what compiled programs compute with has 32 bits
_EXACT = "biu"  # kinds of arrays that hold no NaN; images among them are too large to look through
_LONGEST = 60  # characters of a wrong value that are shown


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that an argument may be; infinity and NaN are in no range.

    Attributes:
        least, most: The bounds.
        open_left, open_right: Whether a bound itself is outside.
        integer: Whether it is a count: an integer, neither a float of the same value nor a boolean.
    """

    least: float = -math.inf
    most: float = math.inf
    open_left: bool = False
    open_right: bool = False
    integer: bool = False

    def check(self, name: str, value: Any) -> Any:
        """`value` as a plain Python number.

        Raises:
            BadArgument: it is no number, or not one of the range.
        """
        number = _number(value)
        if number is None or not self._holds(number):
            shown = described(value)
            if self.integer and isinstance(number, float) and shown.lstrip("-").isdigit():
                shown += ".0"  # it is the kind that is wrong, and "2" would look right
            raise BadArgument(f"{name} is {shown}; it must {self._needed(number)}.")
        return number if self.integer else _as_float(number)

    def _holds(self, number: int | float) -> bool:
        if isinstance(number, float) and self.integer:
            return False
        if not math.isfinite(_as_float(number)):
            return False
        above = number > self.least if self.open_left else number >= self.least
        return above and (number < self.most if self.open_right else number <= self.most)

    def _needed(self, number: int | float | None) -> str:
        """What the sentence says: the kind where that is wrong, and the bounds."""
        if (self.least, self.most, self.integer) == (0, 1, False):
            return f"lie in {'(' if self.open_left else '['}0, 1{')' if self.open_right else ']'}"
        large = number is not None and self.most <= number < math.inf
        large &= self.open_right or number != self.most
        if self.least == 0 and self.open_left:
            most = f" {'below' if self.open_right else 'of at most'} {described(self.most)}"
            return "be a positive number" + (most if large else "")
        bounds = [] if self.least == -math.inf else [f"at least {described(self.least)}"]
        if self.most < MOST or large:
            bounds.append(f"{'below' if self.open_right else 'at most'} {described(self.most)}")
        kind = ""
        if self.integer and not isinstance(number, int):
            kind = "a whole number of "
        elif number is None:
            kind = "a number of "
        elif isinstance(number, float) and not math.isfinite(number):
            kind = "finite and "
        return f"be {kind}{' and '.join(bounds)}" if bounds else "be a finite number"


COUNT = Range(1, MOST, integer=True)
COUNT_OR_ZERO = Range(0, MOST, integer=True)
SEED = Range(0, 2**32, open_right=True, integer=True)  # JAX keys tell no others apart
POSITIVE = Range(0, open_left=True)
NON_NEGATIVE = Range(0)
POSITIVE_32 = Range(0, LARGEST_32, open_left=True)
NON_NEGATIVE_32 = Range(0, LARGEST_32)
SHARE = Range(0, 1)
BELOW_ONE = Range(0, 1, open_right=True)
LEVEL = Range(0, 1, open_left=True, open_right=True)  # of an interval


def fields(record: Any, ranges: Mapping[str, Range], called: Callable[[str], str] = str) -> None:
    """Require fields of a frozen record to lie in their ranges, and store them as plain Python
    numbers.

    A field whose default is None may be None. `called` gives the name of a field in sentences.
    """
    optional = {field.name for field in dataclasses.fields(record) if field.default is None}
    for name, allowed in ranges.items():
        value = getattr(record, name)
        if value is not None or name not in optional:
            object.__setattr__(record, name, allowed.check(called(name), value))


def rates(name: str, values: Any) -> tuple[float, ...]:
    """`values` as a tuple, if they are positive numbers, at least one."""
    if not isinstance(values, (tuple, list)) or not values:
        raise BadArgument(
            f"{name} is {described(values)}; a tuple of positive numbers, at least one, is needed."
        )
    return tuple(POSITIVE_32.check(f"{name}[{i}]", value) for i, value in enumerate(values))


def interval(name: str, value: Any) -> tuple[float, float]:
    """`value` as a pair of numbers, the lower first, their difference finite in 32 bits."""
    pair = value if isinstance(value, (tuple, list)) and len(value) == 2 else (None, None)
    numbers = [_number(bound) for bound in pair]
    low, high = (math.nan if number is None else _as_float(number) for number in numbers)
    if not (low < high and high - low <= LARGEST_32):
        raise BadArgument(
            f"{name} is {described(value)}; two finite numbers, the lower one first, are needed."
        )
    return low, high


def count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int, if it is an integer of at least `least`; 2.0, True and "2" are none."""
    return Range(least, MOST, integer=True).check(name, value)


def seed(name: str, value: Any) -> int:
    """`value` as an int, if it is an integer from 0 to 2**32 - 1."""
    return SEED.check(name, value)


def positive(name: str, value: float | int) -> None:
    """Require a finite `value > 0`."""
    POSITIVE.check(name, value)


def at_least(name: str, value: float | int, least: float | int) -> None:
    """Require a finite `value >= least`."""
    Range(least).check(name, value)


def between(name: str, value: float | int, least: float | int, most: float | int) -> None:
    """Require `least <= value <= most`.

    Args:
        name: What the sentence calls the value.
        value: The number.
        least, most: The bounds, both allowed.

    Raises:
        BadArgument: it is no such number.
    """
    Range(least, most).check(name, value)


def in_unit_interval(name: str, value: float | int) -> None:
    """Require `0 <= value <= 1`."""
    SHARE.check(name, value)


def one_of(name: str, value: Any, choices: Collection[str]) -> None:
    """Require `value` to be one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise BadArgument(
            f"{name} is {described(value)}; it must be one of {', '.join(map(repr, choices))}."
        )


def of_kind(name: str, value: Any, kinds: type | tuple[type, ...], needed: str) -> None:
    """Require an instance of one of some classes.

    Args:
        name: What the sentence calls the value.
        value: Anything.
        kinds: The classes.
        needed: Which they are in words, and where an instance comes from.

    Raises:
        BadArgument: it is of none of them.
    """
    if not isinstance(value, kinds):
        raise BadArgument(f"{name} is {described(value)}; {needed} is needed.")


def function(name: str, value: Any, form: str) -> None:
    """Require something that can be called, and no class; `form` is how it will be called."""
    if not callable(value) or isinstance(value, type):
        raise BadArgument(f"{name} is {described(value)}; a function {form} is needed.")


def described_pair(value: Any) -> str:
    """What was given where a pair is needed, in a few words: of a pair both entries."""
    if isinstance(value, tuple) and len(value) == 2:
        return f"({', '.join(map(described, value))})"
    return described(value)


def described(value: Any) -> str:
    """A value in a few words: a number or a short text itself, of anything else its kind
    and shape.
    """
    number = _number(value)
    if isinstance(number, float):
        return f"{number:g}"
    if number is not None:
        digits = len(str(number)) if number.bit_length() < 10_000 else "thousands of"
        return str(number) if abs(number) < 10**15 else f"an integer of {digits} digits"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, (bool, str, bytes, tuple, list, dict, set)):
        text = " ".join(repr(value).split())
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    kind, shape = type(value).__name__, getattr(value, "shape", None)
    kind = "array" if kind in ("ndarray", "ArrayImpl") else kind
    spelt = kind[:2].isupper() and kind[0] in "AEFHILMNORSX"  # an MDP
    article = "an" if spelt or kind[0] in "AEIOUaeiou" else "a"
    return f"{article} {kind}" + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def reason_of(error: BaseException) -> str:
    """The error's message in one line of at most 200 characters, or its class if it has none."""
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__


def _number(value: Any) -> int | float | None:
    """A plain Python number from a Python or NumPy one or an array of shape (), else None."""
    if (
        not isinstance(value, type)
        and getattr(value, "shape", None) == ()
        and hasattr(value, "item")
    ):
        value = value.item()
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else None


def _as_float(number: int | float) -> float:
    """The number in 64 bits; an integer beyond them is infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def finite(what: str, values: Any, axis: str = "entry") -> None:
    """Require a number or every entry of an array to be finite.

    Args:
        what: What the sentence calls the values.
        values: The number or array.
        axis: What the sentence calls one place along the first axis of an array.

    Raises:
        BadData: the sentence names the first place that holds NaN or infinity.
    """
    values = np.asarray(values)
    if values.dtype.kind in _EXACT:
        return
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        value, place = values[tuple(bad[0])], f" at {axis} {bad[0][0]}" if values.ndim else ""
        raise BadData(f"{what}: {value}{place}; every entry must be finite.")


def finite_steps(of: str, columns: Mapping[str, Any], alive: Any) -> None:
    """Require columns `[episode, time, …]` to be finite at the steps `alive`, `[episode, time]`.

    Raises:
        BadData: naming the column and the earliest step at which one is not; `of` says what kind of
            episode it is in.
    """
    faults = []
    for name, column in columns.items():
        values = np.asarray(column).reshape(*np.shape(alive), -1)
        if values.dtype.kind in _EXACT:
            continue
        for episode, time in np.argwhere(~np.isfinite(values).all(axis=-1) & alive):
            row = values[episode, time]
            faults.append((int(time), int(episode), name, row[~np.isfinite(row)][0]))
    if faults:
        time, episode, name, value = min(faults, key=lambda fault: fault[:2])
        raise BadData(f"{name} is {value} at step {time} of {of} {episode}; it must be finite.")


def one_kind_of_states(what: str, states: Any, others: Any) -> None:
    """Require images (bytes) where `others` are images, and vectors of floats where they are not.

    Raises:
        BadData: `what` holds the other kind.
    """
    kinds = ["images (uint8)" if x.dtype == np.uint8 else "float vectors" for x in (states, others)]
    if kinds[0] != kinds[1]:
        raise BadData(f"the states of {what} are {kinds[0]}; {kinds[1]} are needed.")


def shape(what: str, values: Any, expected: tuple[int, ...]) -> None:
    """Require `values.shape == expected`."""
    if tuple(np.shape(values)) != expected:
        raise BadData(f"{what} has shape {tuple(np.shape(values))}; {expected} is needed.")
