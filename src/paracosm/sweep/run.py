"""A sweep: cells that are not recorded yet are run, on this machine or a Ray cluster, and recorded
one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from paracosm.core import checks
from paracosm.core.progress import Progress, silent
from paracosm.sweep import local, ray
from paracosm.sweep.cells import Cell, Outcome
from paracosm.sweep.store import Store, writer


def sweep(
    cells: Sequence[Cell],
    store: str | Path,
    *,
    backend: str = "local",
    workers: int | None = None,
    retry_failed: bool = False,
    resume: bool = True,
    force: bool = False,
    forget: Callable[[], None] | None = None,
    progress: Progress = silent,
) -> dict[str, dict[str, Any]]:
    """The results of the cells by name, in their order; cells that failed are missing, and
    `store.failures` has them.

    Cells are begun in their order: put the longest first, so that none is waited for in the end. A
    finished cell is never run again, a failed one with `retry_failed` only. The same cell gives the
    same numbers on either back end.

    Args:
        cells: A cell given twice is run once.
        store: The SQLite file that holds the sweep.
        backend: `local`, or the address of a Ray cluster (`auto`, `host:port`, `ray://host:port`).
        workers: Processes on this machine (by default one per core), or cells at a time on a
            cluster (by default as many as it takes).
        retry_failed: Run the cells again that have failed.
        resume: Go on with the sweep that the store holds, if it does.
        force: Throw away whatever sweep the store holds, and begin anew.
        forget: Removes the files of the sweep that `force` throws away; called once no other
            process can use the store.
        progress: Called after each cell with how many are finished, the rate, and the time left.

    Raises:
        BadArgument: no cells or workers; or the store is in use, full, there already, or another
            sweep's or version's.
        BadData: the store is damaged, or no store.
        Missing: Ray is not installed, or has no cluster at the address.
    """
    checks.at_least("the number of cells", len(cells), 1)
    if workers is not None:
        checks.at_least("workers", workers, 1)
    named = {cell.name: cell for cell in cells}
    if backend != "local":
        ray.require_reachable(backend)
    with writer(Path(store), named, resume=resume, force=force) as records:
        if force and forget is not None:
            forget()
        if retry_failed:
            records.retry_failed()
        waiting = [named[name] for name in records.names("waiting")]
        if waiting:
            with closing(_outcomes(backend, waiting, workers)) as outcomes:
                _record(records, outcomes, len(named) - len(waiting), len(named), progress)
        return records.results()


def _outcomes(
    backend: str, cells: Sequence[Cell], workers: int | None
) -> Generator[Outcome, None, None]:
    return (
        local.outcomes(cells, workers)
        if backend == "local"
        else ray.outcomes(cells, backend, workers)
    )


def _record(
    records: Store, outcomes: Iterator[Outcome], before: int, total: int, progress: Progress
) -> None:
    """Record outcomes as they come, and report how far the sweep is.

    Args:
        records: The store, open for writing.
        outcomes: What comes of the cells.
        before, total: How many cells were finished before, and how many there are.
        progress: Told after each cell.
    """
    failed, start = len(records.names("failed")), time.monotonic()
    progress("sweep", before, total)
    for now, outcome in enumerate(outcomes, 1):
        records.record(outcome)
        failed += outcome.error is not None
        rate = now / (time.monotonic() - start)
        left = (total - before - now) / rate
        progress("sweep", before + now, total, _progress_note(rate, left, failed))


def _progress_note(rate: float, left: float, failed: int) -> str:
    """The rate and the time left, in units a person reads, and how many cells failed if any did."""
    speed = f"{rate:.1f} cells/s" if rate >= 1 else f"{60 * rate:.1f} cells/min"
    minutes, hours = left / 60, left / 3600
    time_left = (
        f"{left:.0f} s" if left < 90 else f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"
    )
    return f"{speed}, {time_left} left" + (f", {failed} failed" if failed else "")
