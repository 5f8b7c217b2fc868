"""What a file says of a value beside its arrays, so that it can be rebuilt without running code.

A class marked `@storable` is described by the values of its fields: arrays by shape and type, plain
values and tuples as they are, fields of other storable classes in turn. `blank` makes of that
description the value with placeholders for its arrays, without calling its class. A file names
classes and never imports them: only what a program has marked can be rebuilt in it.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar

import jax
import numpy as np

from paracosm.core import checks

T = TypeVar("T")

_REGISTRY: dict[str, Any] = {}
_OWN = "paracosm."
# Booleans, integers and floats: what NumPy writes without pickle.
_TYPES = frozenset(np.dtype(code).name for code in "?bhilqBHILQefd")


class NotImported(checks.Missing):
    """A file names a class or function of a module that was not imported."""


def storable(thing: T) -> T:
    """Mark a class of parts or policies, or a function that is a part, as one that can be stored.

    A class must be a dataclass, as every Equinox module is. Files know it as `module:name`, classes
    of Paracosm by their name alone, so that they can move between modules.

    Raises:
        BadArgument: it is no such class or function, or another of Paracosm has its name.
    """
    if not (dataclasses.is_dataclass(thing) if isinstance(thing, type) else callable(thing)):
        raise checks.BadArgument(
            f"storable marks {checks.described(thing)}; a dataclass or a function is needed."
        )
    name, owner = _name(thing), _REGISTRY.get(_name(thing))
    if owner is not None and owner.__module__ != getattr(thing, "__module__", None):
        raise checks.BadArgument(f"{name} is a storable of {owner.__module__} already.")
    _REGISTRY[name] = thing
    return thing


def is_storable(value: Any) -> bool:
    """Whether a value's own class, or the function itself, is marked."""
    return _name(type(value)) in _REGISTRY or _is_named(value)


def describe(value: Any) -> Any:
    """A tree of plain values that says how to rebuild `value`, all but the contents of its arrays.

    Raises:
        Unsupported: something in it cannot be stored; names it.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    if type(value) is tuple:
        return [describe(item) for item in value]
    if isinstance(value, jax.Array | np.ndarray | np.generic) and _writable(value):
        return {"array": list(value.shape), "dtype": str(value.dtype)}
    if _is_named(value):
        return {"function": _name(value)}
    if _name(type(value)) not in _REGISTRY:
        raise checks.Unsupported(
            f"a value of the kind {type(value).__name__} cannot be stored; arrays,"
            " plain values, tuples, and classes marked with storable can."
        )
    kind: Any = type(value)
    fields = dataclasses.fields(kind)
    return {
        "class": _name(type(value)),
        "fields": {field.name: _field(field, getattr(value, field.name)) for field in fields},
    }


def _field(field: dataclasses.Field, value: Any) -> Any:
    """The description of a field; a static one has no place for arrays, but numbers are numbers."""
    if not field.metadata.get("static", False):
        return describe(value)
    if isinstance(value, np.generic):
        return describe(value.item())
    if isinstance(value, jax.Array | np.ndarray):
        raise checks.Unsupported(
            f"{field.name} holds an array and is static, so that its values would be lost; a number"
            " is needed, or a field that is not static."
        )
    return describe(value)


def blank(tree: Any) -> Any:
    """The value that `describe` described, with placeholders of the same shape for its arrays.

    Raises:
        NotImported: it names a class or function that nothing marked; names the module to import.
        BadData: it is no description.
    """
    if isinstance(tree, list):
        return tuple(blank(item) for item in tree)
    if not isinstance(tree, dict):
        return tree
    if tree.keys() == {"array", "dtype"}:
        return _placeholder(tree["array"], tree["dtype"])
    if tree.keys() == {"function"}:
        return _lookup(tree["function"])
    if tree.keys() != {"class", "fields"} or not isinstance(tree["fields"], dict):
        raise checks.BadData("the description of the model is none.")
    kind, values = _lookup(tree["class"]), tree["fields"]
    # What an earlier version stored lacks the fields that came later, which have a default.
    later = {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.name not in values and field.metadata.get("static", False)
    }
    if {field.name for field in dataclasses.fields(kind)} != {*values, *later} or (
        dataclasses.MISSING in later.values()
    ):
        raise checks.BadData(f"the fields of {tree['class']} are not those that were stored.")
    value = object.__new__(kind)
    for name, item in later.items():  # as Equinox rebuilds a module: no `__init__` runs
        object.__setattr__(value, name, item)
    for name, item in values.items():
        object.__setattr__(value, name, blank(item))
    return value


def bytes_of(tree: Any) -> int:
    """How many bytes the contents of the described arrays take."""
    if isinstance(tree, dict) and tree.keys() == {"array", "dtype"}:
        shape, dtype = _shape_and_type(tree["array"], tree["dtype"])
        return math.prod(shape) * dtype.itemsize
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return sum(map(bytes_of, items))


def _name(thing: Any) -> str:
    module, name = getattr(thing, "__module__", ""), getattr(thing, "__qualname__", "")
    return name if str(module).startswith(_OWN) else f"{module}:{name}"


def _is_named(value: Any) -> bool:
    """Whether it is a function that is marked: what it computes is its name."""
    return hasattr(value, "__qualname__") and _REGISTRY.get(_name(value)) is value


def _lookup(name: Any) -> Any:
    if isinstance(name, str) and name in _REGISTRY:
        return _REGISTRY[name]
    module, colon, thing = ascii(name)[1:-1][:80].partition(":")
    if not colon:
        raise checks.BadData(f"this version of Paracosm has no {module} to rebuild.")
    raise NotImported(
        f"it holds {thing} of {module}, which is not known here; import {module}, which must mark"
        " it storable, first."
    )


def _writable(value: Any) -> bool:
    return str(value.dtype) in _TYPES


def _shape_and_type(shape: Any, dtype: Any) -> tuple[tuple[int, ...], np.dtype]:
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise checks.BadData("the shape of an array is none.")
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise checks.BadData("an array is of a type that is not stored.")
    return tuple(shape), np.dtype(dtype)


def _placeholder(shape: Any, dtype: Any) -> Any:
    """For 64 bits a NumPy array, without memory of its own: JAX would cut them to 32."""
    sizes, kind = _shape_and_type(shape, dtype)
    if kind.itemsize == 8:
        return np.broadcast_to(np.zeros((), kind), sizes)
    return jax.ShapeDtypeStruct(sizes, kind)
