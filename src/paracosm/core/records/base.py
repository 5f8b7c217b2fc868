"""Frozen results that rooms hand each other.

They go to JSON and come back equal; no JAX in here.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import json
import math
import types
import typing
from typing import Any, Literal, TypeVar, Union

from paracosm.core import checks

R = TypeVar("R", bound="Record")

UNWRITTEN = {"written": False}
"""Metadata of a field that stays out of files."""


@dataclasses.dataclass(frozen=True)
class Record:
    """A frozen result that goes to JSON and comes back equal.

    Fields are numbers, strings, booleans, members of enumerations, records, or tuples (of any
    length, `tuple[float, ...]`, or of a fixed one, `tuple[float, float]`) and string-keyed
    dictionaries of these; each may be None, `X | None`, and there are no other unions. Infinities
    and NaN are written as the strings `"inf"`, `"-inf"`, `"nan"`, so that the file is strict JSON.
    A field with the metadata `UNWRITTEN` is for the process that made the record: it is not
    written, and comes back as its default.
    """

    def to_dict(self) -> dict[str, Any]:
        """A tree of plain values, ready for any JSON writer."""
        written = [f for f in dataclasses.fields(self) if f.metadata.get("written", True)]
        return {field.name: plain(getattr(self, field.name)) for field in written}

    def to_json(self) -> str:
        """Strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=1)

    @classmethod
    def from_dict(cls: type[R], tree: Any) -> R:
        """The record that `to_dict` wrote.

        Raises:
            BadData: if its fields are not those of this record, or hold values of other types;
                names the field.
        """
        return typed(tree, cls, "")

    @classmethod
    def from_json(cls: type[R], text: str) -> R:
        """The record that `to_json` wrote; raises as `from_dict` does."""
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise checks.BadData(
                f"a {cls.__name__} is read from JSON, and this is none ({error})."
            ) from None
        return cls.from_dict(tree)


def plain(value: Any) -> Any:
    """A tree of plain values of records, tuples and dictionaries."""
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        finite = _all_floats(value) and all(map(math.isfinite, value))
        return list(value) if finite else [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _all_floats(items: list | tuple) -> bool:
    """Whether nothing but floats is in it: curves are long, and need no look at each number."""
    return set(map(type, items)) <= {float}


def typed(value: Any, kind: Any, place: str) -> Any:
    """A value of the annotated type `kind` from a tree of plain values; `place` says where in the
    tree it is.

    Raises:
        BadData: the value is of another type; the sentence names the place.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else typed(value, _optional(arguments, place), place)
    if origin is tuple:
        return _typed_items(_instance(value, (list, tuple), place, "a list"), arguments, place)
    if origin is dict:
        table = _instance(value, dict, place, "an object")
        return {
            _text(key, place): typed(item, arguments[1], _inside(place, key))
            for key, item in table.items()
        }
    if origin is Literal:
        return (
            value
            if value in arguments
            else _refuse(value, place, f"one of {', '.join(map(repr, arguments))}")
        )
    if isinstance(kind, type) and issubclass(kind, Record):
        return _record(value, kind, place)
    return _plain_typed(value, kind, place)


def _optional(members: tuple[Any, ...], place: str) -> Any:
    """The type of a value that may be None.

    Raises:
        TypeError: the union is of something else than one type and None.
    """
    kinds = [member for member in members if member is not type(None)]
    if len(kinds) != 1 or len(members) != 2:
        raise TypeError(f"{place or 'a field'} is a union of more than one type and None")
    return kinds[0]


def _typed_items(items: list | tuple, kinds: tuple[Any, ...], place: str) -> tuple[Any, ...]:
    """The items of a tuple whose annotation has the arguments `kinds`."""
    if kinds[-1:] == (Ellipsis,):
        if kinds[0] is float and _all_floats(items):
            return tuple(items)
        kinds = (kinds[0],) * len(items)
    if len(items) != len(kinds):
        _refuse(items, place, f"a list of {len(kinds)}")
    return tuple(
        typed(item, kind, f"{place}[{i}]")
        for i, (item, kind) in enumerate(zip(items, kinds, strict=True))
    )


def _record(value: Any, kind: type[R], place: str) -> R:
    kinds = _kinds(kind)
    needed = {field.name for field in dataclasses.fields(kind) if _has_no_default(field)}
    if not isinstance(value, dict) or not needed <= set(value) <= set(kinds):
        raise checks.BadData(
            f"{place or 'it'} is {_described(value)}; the fields of a {kind.__name__} are"
            f" {', '.join(sorted(kinds))}."
        )
    return kind(
        **{name: typed(item, kinds[name], _inside(place, name)) for name, item in value.items()}
    )


@functools.cache
def _kinds(kind: type[Record]) -> dict[str, Any]:
    """The types of a record's fields: a result holds thousands of records of a few kinds."""
    return typing.get_type_hints(kind)


def _has_no_default(field: dataclasses.Field) -> bool:
    """Whether a record cannot be read without this field; what an earlier version wrote lacks those
    that came later.
    """
    absent = dataclasses.MISSING
    return field.default is absent and field.default_factory is absent


def _member(value: Any, kind: type[enum.Enum], place: str) -> Any:
    values = [member.value for member in kind]
    return (
        kind(value)
        if value in values
        else _refuse(value, place, f"one of {', '.join(map(repr, values))}")
    )


def _plain_typed(value: Any, kind: type, place: str) -> Any:
    if kind is str:
        return _text(value, place)
    if kind is float:
        return _number(value, place)
    if kind is int:
        return value if type(value) is int else _refuse(value, place, "a whole number")
    if issubclass(kind, enum.Enum):
        return _member(value, kind, place)
    return _instance(value, kind, place, "true or false" if kind is bool else f"a {kind.__name__}")


def _instance(value: Any, kind: type | tuple[type, ...], place: str, needed: str) -> Any:
    """`value`, if it is an instance of `kind`.

    Args:
        value: From a tree of plain values.
        kind: A class, or several.
        place: Where in the tree it is.
        needed: What messages call such an instance.

    Raises:
        BadData: it is none.
    """
    return value if isinstance(value, kind) else _refuse(value, place, needed)


def _text(value: Any, place: str) -> str:
    """A text that can be written: JSON can hold halves of characters."""
    text = _instance(value, str, place, "a text")
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(value, place, "a text of undivided characters")
    return text


def _number(value: Any, place: str) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return float(value)
    try:
        return float(value) if type(value) in (int, float) else _refuse(value, place, "a number")
    except OverflowError:
        return _refuse(value, place, "a number of 64 bits")


_NOT_FINITE = ("inf", "-inf", "nan")


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _refuse(value: Any, place: str, needed: str) -> Any:
    raise checks.BadData(f"{place or 'it'} is {_described(value)}; {needed} is needed.")


def _described(value: Any) -> str:
    """A value of a JSON tree in a few words; never all of a long or deep one."""
    if isinstance(value, dict):
        return f"an object of {', '.join(sorted(map(ascii, value))[:40]) or 'nothing'}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if (
        isinstance(value, int) and abs(value) >= 10**60
    ):  # Python prints no integer of thousands of digits
        return "an integer of more than 60 digits"
    return ascii(value)[:60]


@dataclasses.dataclass(frozen=True)
class Estimate(Record):
    """A number with chance in it: mean, 95% interval, number of independent samples, method."""

    mean: float
    low: float
    high: float
    n: int
    method: str

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"
