"""The files of a run that has just ended: its result and its page."""

from __future__ import annotations

from paracosm.core import files
from paracosm.core.records.results import RunResult
from paracosm.loop.directory import RunDirectory
from paracosm.loop.filming import write_report
from paracosm.loop.run_tracker import RunTracker


def write_result(result: RunResult, directory: RunDirectory, tracker: RunTracker) -> RunResult:
    """The result, written with its page; the error of what could not be written holds it.

    Raises:
        Unwritten: a file of the run could not be written.
    """
    with directory.attempt():
        directory.write("result.json", result.to_json())
    with directory.attempt():
        write_report(result, directory.path)
    tracker.finish(directory, result)
    if failed := directory.unwritten:
        failures = "1 such failure" if len(failed) == 1 else f"{len(failed)} such failures"
        room_helps = all(failure.room_helps for failure in failed)
        mend = ": make room and give --resume, which does again only what is not there"
        raise files.Unwritten(
            f"{failed[0].message} The result is complete, but {failures} left the run directory"
            f" without all of it{mend if room_helps else ''}.",
            result,
        )
    return result
