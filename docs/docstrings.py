"""What Griffe must know to read this package: arguments described together, and made signatures.

`mkdocs.yml` names this file; it is no page of the site.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any

import griffe

_TOGETHER = re.compile(r"( +)(\w+(?:, \w+)+): (.*)")
_BASES = ("eqx.Module", "NamedTuple")  # bases that make an `__init__` of the annotated fields


def split_entries(docstring: str) -> str:
    """The docstring with an entry for every argument that one entry describes together.

    Griffe takes the second name of "width, depth: Hidden layers." for the type of the first.
    """
    lines: list[str] = []
    entries: list[list[str]] = []  # the lines of what was last described together, by name
    indent = 0
    for line in docstring.splitlines():
        deeper = len(line) - len(line.lstrip())
        if entries and line.strip() and deeper > indent:
            entries = [[*entry, line] for entry in entries]
            continue
        lines += itertools.chain(*entries)
        entries = []
        if match := _TOGETHER.fullmatch(line):
            margin, names, text = match.groups()
            indent = len(margin)
            entries = [[f"{margin}{name}: {text}"] for name in names.split(", ")]
        else:
            lines.append(line)
    return "\n".join([*lines, *itertools.chain(*entries)])


class Docstrings(griffe.Extension):
    """Entries apart, and a signature for classes whose `__init__` is made of their fields."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Every object as it is read."""
        if obj.docstring is not None:
            obj.docstring.value = split_entries(obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """The whole package, in which base classes can be looked up."""
        for module in _classes(pkg):
            if "__init__" not in module.members and _gets_init(module):
                module.set_member("__init__", _init(module))


def _classes(scope: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    for member in scope.members.values():
        if member.is_alias:
            continue
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, griffe.Module | griffe.Class):
            yield from _classes(member)


def _lineage(module: griffe.Class) -> list[griffe.Class]:
    return [*reversed(module.mro()), module]


def _gets_init(module: griffe.Class) -> bool:
    return any(str(base) in _BASES for parent in _lineage(module) for base in parent.bases)


def _init(module: griffe.Class) -> griffe.Function:
    fields = {
        name: field
        for parent in _lineage(module)
        for name, field in parent.attributes.items()
        if field.annotation is not None and not {"property", "classvar"} & field.labels
    }
    kind = griffe.ParameterKind.positional_or_keyword
    parameters = [griffe.Parameter("self", kind=kind)] + [
        griffe.Parameter(name, annotation=field.annotation, kind=kind, default=_default(field))
        for name, field in fields.items()
    ]
    return griffe.Function("__init__", parameters=griffe.Parameters(*parameters), parent=module)


def _default(field: griffe.Attribute) -> str | griffe.Expr | None:
    """What stands behind the field's `=`; of `eqx.field`, its argument `default`."""
    value = field.value
    if not isinstance(value, griffe.ExprCall) or str(value.function) != "eqx.field":
        return value
    keywords = [word for word in value.arguments if isinstance(word, griffe.ExprKeyword)]
    return next((word.value for word in keywords if word.name == "default"), None)
