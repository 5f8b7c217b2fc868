"""Flags from arguments; what the parser refuses in a box of several lines is one sentence here.

The box is read because tyro hands its refusals over in no other way that it promises to keep:
`console_outputs=False` drops them, and `tyro._errors`, where they are records, is private, of its
latest versions only, and says of itself that any release may change or remove it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import tyro

from paracosm.cli import streams
from paracosm.core.checks import BadArgument
from paracosm.core.files import shown, try_file

AnyFlags = TypeVar("AnyFlags")
_RULE, _SIDES = re.compile(r"[─-]{10,}"), "│|"
# The parser's marks of an argument without a value of its own, which its text explains.
_NO_DEFAULT = re.compile(r"(\n +)?\(default:\s+(None|''|)\) *")
_COLUMNS = 100  # of a help page at the most: the parser sets sections of wide ones side by side
# What the conversion of a text says, and what we say instead.
_NEEDED = (
    ("FLOAT FLOAT", "a pair of numbers"),
    ("int()", "a whole number"),
    ("to float", "a number"),
)


def flag(field: str) -> str:
    """The command line's name of a field."""
    return f"--{field.replace('_', '-')}"


def parse(flags: Callable[..., AnyFlags], arguments: Sequence[str], command: str) -> AnyFlags:
    """The command's flags from its arguments; a page that they name with --out is tried.

    Raises:
        BadArgument: the arguments are wrong; one sentence says what is needed.
        Helped: they ask for help, which is shown.
    """
    _refuse_empty(arguments)
    shown_help, box = io.StringIO(), io.StringIO()
    try:
        with (
            _narrow(),
            contextlib.redirect_stdout(shown_help),
            contextlib.redirect_stderr(box),
        ):
            parsed = tyro.cli(
                flags,
                args=list(arguments),
                prog=f"paracosm {command}",
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code:
            raise BadArgument(_sentence(box.getvalue(), f"paracosm {command}")) from None
        streams.write(_NO_DEFAULT.sub("", shown_help.getvalue()))
        raise streams.Helped(0) from None
    if getattr(parsed, "out", None) is not None and command not in ("run", "bench", "paper"):
        try_file("--out", parsed.out)  # type: ignore[attr-defined]
    return parsed


@contextlib.contextmanager
def _narrow() -> Iterator[None]:
    """Have the parser write for a terminal of no more than `_COLUMNS`."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(min(shutil.get_terminal_size().columns, _COLUMNS))
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Refuse an empty text, which is no value of any flag: as a path it would be the current
    folder.
    """
    for at, word in enumerate(arguments):
        before = (
            word[:-1]
            if word.startswith("--") and word.endswith("=")
            else arguments[at - 1]
            if at
            else ""
        )
        if not word or before == word[:-1] != "":
            name = before if before.startswith("--") else "an argument"
            raise BadArgument(f"{name} is empty; a value is needed.")


def _sentence(box: str, program: str) -> str:
    """One sentence from the parser's box: what stands between its title and its first rule."""
    rows = [line.strip(_SIDES).rstrip() for line in box.splitlines()[1:]]
    rows = list(itertools.dropwhile(_RULE.search, rows))
    rows = list(itertools.takewhile(lambda row: not _RULE.search(row), rows))
    text = " ".join(" ".join(rows).split())
    for form, words in _FORMS:
        if match := form.match(text):
            return words(match, rows, program)
    return f"{text.rstrip('.') or 'the arguments are wrong'}; see {program} --help."


def _bad_value(match: re.Match[str], rows: list[str], program: str) -> str:
    name, reason = match["name"], match["reason"]
    if (
        setting := re.match(r"([a-z_]+)(\[\d+\])? (is|holds) ", reason)
        if name[0].islower()
        else None
    ):
        # What a setting's own check says
        return f"--{name}.{setting[1].replace('_', '-')}{reason[setting.end(1) :]}"
    if "limit" in reason and "digits" in reason:
        return f"{name} has thousands of digits; a number that a computer can count to is needed."
    value = re.search(r"from \[(.*?)\]\.|with base 10: (.*)$|to float: (.*)$", reason)
    needed = next((words for mark, words in _NEEDED if mark in reason), "")
    if value is None or not needed:
        name = f"--{name}" if name[0].islower() else name
        return f"{name}: {reason.split(' Got errors')[0].rstrip('.')}; see {program} --help."
    text = next(group for group in value.groups() if group)
    return f"{name} is {shown(text)}; {needed} is needed."


def _bad_choice(match: re.Match[str], rows: list[str], program: str) -> str:
    choices = sorted(
        {choice for choice in re.findall(r"'([^']*)'", match["choices"]) if choice != "None"}
    )
    return (
        f"{match['name']} is {shown(match['value'])}; it must be one of"
        f" {', '.join(map(repr, choices))}."
    )


def _no_value(match: re.Match[str], rows: list[str], program: str) -> str:
    return f"{match['name']} is given without a value; see {program} --help."


def _unknown(match: re.Match[str], rows: list[str], program: str) -> str:
    return f"{shown(match['names'])} is not known to {program}; see {program} --help."


def _missing(match: re.Match[str], rows: list[str], program: str) -> str:
    indents = [len(row) - len(row.lstrip()) for row in rows]
    names = [
        row.strip() for row, indent in zip(rows, indents, strict=True) if indent == indents[0] + 4
    ]
    return f"{program} needs {' and '.join(names) or 'more arguments'}; see {program} --help."


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], list[str], str], str]], ...] = (
    (re.compile(r"Error parsing (?P<name>\S+): (?P<reason>.*)"), _bad_value),
    (
        re.compile(
            r"invalid choice (?P<value>.*?) for argument '(?P<name>.*?)'.*?\((?P<choices>.*)\)"
        ),
        _bad_choice,
    ),
    (re.compile(r"Missing value for argument '(?P<name>.*?)'"), _no_value),
    (re.compile(r"Unrecognized options: (?P<names>.*)"), _unknown),
    (re.compile(r"Missing from paracosm"), _missing),
)
