"""What every command shares: progress on stderr, and either a page for people or JSON on stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import rich.console
import rich.progress
from rich.text import Text

from paracosm import reporting
from paracosm.cli import streams
from paracosm.cli.parsing import parse
from paracosm.core.checks import BadData, ParacosmError
from paracosm.core.files import Unwritten, shown
from paracosm.core.progress import Progress

__all__ = ["blame_files", "deliver", "parse", "progress", "show", "show_if_unwritten"]

_SILENCE = 60.0  # seconds between two lines about a stage, where no bar can be seen


def show(page: Any, document: Any, *, as_json: bool) -> None:
    """Print the JSON document alone, or the page.

    Raises:
        Unwritable: stdout cannot be written.
    """
    with streams.output_stream() as stream:
        if as_json:
            stream.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
            return
        console = rich.console.Console(file=stream)
        with console.capture() as drawn:  # Rich ends the process where it cannot write
            console.print(page)
        stream.write(drawn.get())


def deliver(record: Any, document: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Show a result, and write its page to `out`; each is done even where the other fails.

    Args:
        record: The result.
        document: What `--json` prints of it.
        out: Where its page goes, if anywhere.
        as_json: Whether the document is shown in place of the summary.

    Raises:
        Unwritable: stdout or `out` cannot be written.
    """
    try:
        show(reporting.summary(record), document, as_json=as_json)
    finally:
        if out is not None:
            reporting.write(record, out)
            if not as_json:
                show(Text(f"\nThe page is {out}"), {}, as_json=False)


@contextmanager
def show_if_unwritten(
    document: Callable[[Any], dict[str, Any]], *, as_json: bool
) -> Iterator[None]:
    """Shows the result, or its `document`, where the body could not write it to files.

    Raises:
        Unwritten: as the body did.
    """
    try:
        yield
    except Unwritten as error:
        show(reporting.summary(error.result), document(error.result), as_json=as_json)
        raise


@contextmanager
def blame_files(*runs: Path) -> Iterator[None]:
    """Blames the result files of the runs where the body fails on what was read from them: their
    parts do not fit together, since somebody changed them.

    Raises:
        BadData: the body raised an error that is not Paracosm's own.
    """
    try:
        yield
    except ParacosmError:
        raise
    except (LookupError, ValueError, TypeError, ArithmeticError, AttributeError) as error:
        files = " or ".join(shown(run / "result.json") for run in runs)
        raise BadData(f"{files} is damaged: its parts do not fit together ({error}).") from error


class _Clock(rich.progress.ProgressColumn):
    """What is left of a stage by its pace, or else the time that it has taken."""

    def render(self, task: rich.progress.Task) -> Text:
        """See `rich.progress.ProgressColumn`."""
        return Text(f"{_clock(task):12}", style="progress.elapsed")


def _clock(task: rich.progress.Task) -> str:
    left = None if task.finished else task.time_remaining
    seconds = (task.finished_time or task.elapsed or 0) if left is None else left
    return str(timedelta(seconds=int(seconds))) + ("" if left is None else " left")


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar per stage on stderr; a stage that begins ends the one before. Where stderr is no
    terminal bars are drawn at the end alone; each stage is named as it begins, and once a minute
    how far it is.
    """
    columns = (
        rich.progress.TextColumn("{task.description:22}"),
        rich.progress.BarColumn(bar_width=16),
        rich.progress.TaskProgressColumn(),
        _Clock(),
        rich.progress.TextColumn("{task.fields[word]}"),
    )
    bars = rich.progress.Progress(*columns, console=rich.console.Console(stderr=True))
    tasks: dict[str, rich.progress.TaskID] = {}
    written = 0.0

    def write(line: str) -> None:
        """One line, where no bar can be seen."""
        nonlocal written
        if not bars.console.is_terminal:
            bars.console.print(line, markup=False, highlight=False, soft_wrap=True)
        written = time.monotonic()

    def tell(stage: str, done: int, total: int, word: str = "") -> None:
        """Move the bar of a stage.

        Args:
            stage, done, total, word: As `Progress` has them.
        """
        bars.start()
        if stage not in tasks:
            _finish(bars)
            write(stage + " …" + (f" {word}" if not done and word else ""))
            tasks[stage] = bars.add_task(stage, total=total, word=word)
        bars.update(tasks[stage], completed=done, total=total, word=word)
        if time.monotonic() > written + _SILENCE:
            task = bars.tasks[tasks[stage]]
            clock = _clock(task) if task.time_remaining else f"after {_clock(task)}"
            write(f"{stage} {task.percentage:.0f}%, {clock}{word and ', '}{word}")

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
