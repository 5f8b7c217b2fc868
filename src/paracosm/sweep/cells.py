"""Cells of a sweep, each named by what it computes, and their outcomes."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import re
import time
import traceback
from functools import cached_property
from typing import Any

from paracosm.core import checks
from paracosm.core.files import whole_text
from paracosm.core.records import Record

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One job of a sweep: a pure function of its arguments.

    `function` is `module:function`, importable by every worker. `arguments` are its keyword
    arguments, of JSON's types (a tuple reaches it as a list). `version` is to be raised when the
    function changes what it answers.

    Raises:
        BadArgument: the function is not written so, or JSON does not hold the arguments.
    """

    function: str
    arguments: dict[str, Any]
    version: int = 1

    def __post_init__(self) -> None:
        if not _FUNCTION.fullmatch(self.function):
            raise checks.BadArgument(
                f"a cell's function is {self.function!r}; 'module:function' is needed."
            )
        _ = self.text

    @cached_property
    def text(self) -> str:
        """The arguments as JSON, the same for equal arguments."""
        return self._canonical(self.arguments)

    @cached_property
    def name(self) -> str:
        """The function and the SHA-256 of function, arguments and version as canonical JSON."""
        content = self._canonical([self.function, self.arguments, self.version])
        return f"{self.function}:{hashlib.sha256(content.encode()).hexdigest()}"

    def _canonical(self, value: Any) -> str:
        try:
            return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise checks.BadArgument(
                f"the arguments of a cell of {self.function} do not fit into JSON ({error});"
                " finite numbers, strings,"
                " booleans, None, and lists and dictionaries of these are needed."
            ) from None


@dataclasses.dataclass(frozen=True)
class Outcome(Record):
    """The outcome of a cell: its result as JSON, or its error in one line and the traceback."""

    name: str
    result: str | None
    error: str | None
    traceback: str | None
    seconds: float


def perform(name: str, function: str, text: str) -> Outcome:
    """Run the cell of this name in this process; whatever it raises becomes its outcome.

    `function` is `module:function`, `text` holds its arguments as JSON.
    """
    start = time.perf_counter()
    try:
        module, attribute = function.split(":")
        result = getattr(importlib.import_module(module), attribute)(**json.loads(text))
        return Outcome(
            name=name,
            result=_as_json(result),
            error=None,
            traceback=None,
            seconds=time.perf_counter() - start,
        )
    except (Exception, SystemExit) as error:
        first = next(iter(str(error).splitlines()), "")
        line = f"{type(error).__name__}: {first}".removesuffix(": ")
        return Outcome(
            name=name,
            result=None,
            error=whole_text(line),
            traceback=whole_text(traceback.format_exc()),
            seconds=time.perf_counter() - start,
        )


def outcome_of_death(name: str, how: str) -> Outcome:
    """The outcome of a cell whose worker died, and so did the second one; `how` says how."""
    return Outcome(
        name=name,
        result=None,
        error=f"the process that ran it died, twice ({how}).",
        traceback="",
        seconds=0.0,
    )


def _as_json(result: Any) -> str:
    if not isinstance(result, dict):
        raise checks.BadData(
            f"the cell answered with a {type(result).__name__}; a dictionary is needed."
        )
    try:
        return json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise checks.BadData(
            f"the cell's answer does not fit into JSON ({error}); finite numbers, strings and"
            " lists of them are needed."
        ) from None
