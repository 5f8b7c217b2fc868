"""Settings by name, as the command line has them: `learn.fit.width` is of `--learn.fit.width`."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from paracosm.core.records import Record


def by_name(tree: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """The leaves of nested settings by their dotted names, `{"learn.fit.width": 64, …}`."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        inner = isinstance(value, Mapping)
        leaves |= by_name(value, f"{head}{name}.") if inner else {head + name: value}
    return leaves


def nested(kind: type[Record], leaves: Mapping[str, Any], head: str = "") -> dict[str, Any]:
    """The tree of settings that `kind.from_dict` reads, from leaves by name.

    Args:
        kind: A record of settings; those of its fields that are records have settings of their own.
        leaves: By dotted name; more than the record's may be there.
        head: What the names of the record's fields begin with.

    Raises:
        KeyError: one is not there.
    """
    return {
        name: nested(hint, leaves, f"{head}{name}.")
        if isinstance(hint, type) and issubclass(hint, Record)
        else leaves[head + name]
        for name, hint in typing.get_type_hints(kind).items()
    }
