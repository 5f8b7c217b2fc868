"""Suites of tasks, from this package or from a TOML file."""

from __future__ import annotations

import importlib.resources
import tomllib
from pathlib import Path

from paracosm.core import checks
from paracosm.core.files import as_path, shown
from paracosm.core.records.benchmarks import Task

NAMES = ("classic", "mujoco")


def suite(name: str) -> tuple[Task, ...]:
    """The tasks of a suite: one of `NAMES`, or a file `….toml`.

    A file holds `[[task]]` tables with `env`, `transitions`, `anchors` (of `value`, `method`,
    `steps` and `source`) and, where a return is wanted, `needed`.

    Raises:
        BadArgument: there is no such suite.
        BadData: the file is no TOML, or holds something else than tasks.
        Missing: the file is not there.
    """
    if name in NAMES:
        text = importlib.resources.files("paracosm.bench").joinpath(f"suites/{name}.toml")
        return _tasks(text.read_text(encoding="utf-8"), name)
    if not name.endswith(".toml"):
        raise checks.BadArgument(
            f"there is no suite {name!r}; {', '.join(NAMES)}, or a file that ends in .toml, is"
            " needed."
        )
    file = as_path("the suite", name)
    if not file.is_file():
        raise checks.Missing(f"there is no file {shown(file)}.")
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise checks.BadData(f"{shown(file)} is no text in UTF-8 ({error.reason}).") from None
    return _tasks(text, str(shown(file)))


def _tasks(text: str, name: str) -> tuple[Task, ...]:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise checks.BadData(f"{name} is no TOML ({error}).") from None
    tables = tree.get("task")
    if set(tree) != {"task"} or not isinstance(tables, list) or not tables:
        raise checks.BadData(
            f"{name} holds {', '.join(map(repr, tree)) or 'nothing'}; [[task]] tables, and nothing"
            " else, are needed."
        )
    tasks = tuple(_task(table, f"{name}, task {n}") for n, table in enumerate(tables, 1))
    names = [task.env for task in tasks]
    for env in names:
        if names.count(env) > 1:
            raise checks.BadData(f"{name} has the task {env} more than once.")
    return tasks


def _task(table: object, place: str) -> Task:
    try:
        return Task.from_dict({"needed": None, **table} if isinstance(table, dict) else table)
    except checks.ParacosmError as error:
        raise checks.BadData(f"{place}: {error}") from None
