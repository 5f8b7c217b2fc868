"""Which columns of somebody's table are states, actions, rewards and ends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from paracosm.core import checks
from paracosm.core.columns import COLUMNS

VECTORS = ("state", "action", "next_state")
ROLES = (*COLUMNS, "done")
# What a table calls the columns where nobody says otherwise: our names, then LeRobot's.
_USUAL = {
    "state": ("state", "observation.state"),
    "reward": ("reward", "next.reward"),
    "terminated": ("terminated", "next.terminated"),
    "truncated": ("truncated", "next.truncated"),
    "done": ("done", "next.done"),
    "episode": ("episode", "episode_index"),
    "time": ("time", "frame_index"),
}
_NEEDED = ("state", "action")
_MOST_NAMES = 30  # of a table's columns that a sentence lists

ColumnMap = Mapping[str, str | Sequence[str]]


def parse_column_map(words: Sequence[str]) -> dict[str, tuple[str, ...]] | None:
    """The column map that words such as `state=pos,vel` stand for; None if there are no words.

    Raises:
        BadArgument: a word has another form, or a role comes twice.
    """
    chosen: dict[str, tuple[str, ...]] = {}
    for word in words:
        role, equals, names = word.partition("=")
        if not equals or not all(names.split(",")):
            raise checks.BadArgument(
                f"--columns holds {word!r}; ROLE=COLUMN or ROLE=COLUMN,COLUMN is needed, such as"
                " state=pos,vel."
            )
        if role in chosen:
            raise checks.BadArgument(f"--columns gives {role} twice; one column map is needed.")
        chosen[role] = tuple(names.split(","))
    return chosen or None


def columns_by_role(
    columns: ColumnMap | None, names: Sequence[str], where: str
) -> dict[str, tuple[str, ...]]:
    """The table's columns of each role: those of the map, else those of the usual names, of which
    none is the single number of two roles: `done=terminated` says that `terminated` means done.

    Args:
        columns: The column map: columns by role; see `ROLES`.
        names: The table's columns.
        where: What error messages call the table.

    Raises:
        BadArgument: the map has an unknown role, or a column that the table lacks, or several
            columns for a role of single numbers.
        BadData: the table has no states or actions.
    """
    chosen = {role: _column_names(role, value) for role, value in (columns or {}).items()}
    for role, wanted in chosen.items():
        _require_columns(role, wanted, names, where)
    # Vectors share columns with other roles: a state may hold the time or the last reward.
    taken = {name for role, own in chosen.items() if role not in VECTORS for name in own}
    free = [name for name in names if name not in taken]
    for role in ROLES:
        usual = _usual_columns(role, names if role in VECTORS else free)
        if role not in chosen and usual:
            chosen[role] = usual
    if lacking := [role for role in _NEEDED if role not in chosen]:
        raise checks.BadData(
            f"{where} has no column that is known to be the {' or the '.join(lacking)}; name it"
            f" with --columns {' '.join(f'{role}=COLUMN' for role in lacking)} (columns= in"
            f" Python). Its columns are {list_names(names)}."
        )
    return chosen


def list_names(names: Sequence[str]) -> str:
    """Names of columns in a sentence, the first ones where there are many."""
    shown = ", ".join(map(repr, names[:_MOST_NAMES]))
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown


def _column_names(role: str, value: str | Sequence[str]) -> tuple[str, ...]:
    """The names of columns that a column map gives for a role.

    Raises:
        BadArgument: there is no such role, or they are no names, or too many for the role.
    """
    if role not in ROLES:
        raise checks.BadArgument(f"the column map names {role!r}; it may name {', '.join(ROLES)}.")
    wanted: tuple[Any, ...] = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not wanted or not all(isinstance(name, str) for name in wanted):
        raise checks.BadArgument(
            f"the column map gives {value!r} for {role}; names of columns, at least one, are"
            " needed."
        )
    if len(wanted) > 1 and role not in VECTORS:
        raise checks.BadArgument(
            f"the column map gives {len(wanted)} columns for {role}, which is one number a row;"
            " one column is needed."
        )
    return wanted


def _require_columns(role: str, wanted: Sequence[str], names: Sequence[str], where: str) -> None:
    """Require columns to be in a table.

    Args:
        role: What the columns are.
        wanted: The columns.
        names: The table's columns.
        where: What error messages call the table.

    Raises:
        BadArgument: naming the first that is not.
    """
    for name in wanted:
        if name not in names:
            raise checks.BadArgument(
                f"{where} has no column {name!r}, which the column map gives for {role}; its"
                f" columns are {list_names(names)}."
            )


def _usual_columns(role: str, names: Sequence[str]) -> tuple[str, ...]:
    """The column of a role's usual name, or a vector's columns `role_0`, `role_1`, …; empty if
    there is none.
    """
    single = [name for name in _USUAL.get(role, (role,)) if name in names]
    if single or role not in VECTORS:
        return tuple(single[:1])
    components = {
        int(match[1]): name for name in names if (match := re.fullmatch(rf"{role}_(\d+)", name))
    }
    complete = sorted(components) == list(range(len(components)))
    return tuple(components[number] for number in sorted(components)) if complete else ()
