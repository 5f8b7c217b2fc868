"""What every command shares: parsing, progress on stderr, and either a page for people or JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import rich.console
import rich.progress
import tyro

from paracosm.core.progress import Progress

Flags = TypeVar("Flags")


def parse(flags: Callable[..., Flags], arguments: Sequence[str], command: str) -> Flags:
    """The command's flags from its arguments; wrong ones print what is needed and exit with status 2."""
    return tyro.cli(flags, args=list(arguments), prog=f"paracosm {command}", config=(tyro.conf.FlagCreatePairsOff,))


def show(page: Any, document: dict[str, Any], *, as_json: bool) -> None:
    """Print the JSON document alone, or the page."""
    if as_json:
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
        return
    rich.console.Console().print(page)


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar per stage on stderr; a stage that begins ends the one before."""
    columns = (
        rich.progress.TextColumn("{task.description:28}"),
        rich.progress.BarColumn(bar_width=24),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TextColumn("{task.fields[word]}"),
    )
    bars = rich.progress.Progress(*columns, console=rich.console.Console(stderr=True))
    tasks: dict[str, rich.progress.TaskID] = {}

    def tell(stage: str, done: int, total: int, word: str = "") -> None:
        bars.start()
        if stage not in tasks:
            _finish(bars)
            tasks[stage] = bars.add_task(stage, total=total, word=word)
        bars.update(tasks[stage], completed=done, total=total, word=word)

    try:
        yield tell
        _finish(bars)
    finally:
        if tasks:
            bars.stop()


def _finish(bars: rich.progress.Progress) -> None:
    for task in bars.tasks:
        if not task.finished:
            bars.update(task.id, completed=task.total)
