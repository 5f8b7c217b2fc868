"""The tracker of a run: started before anything is computed, and after that no reason for the run
to fail.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from paracosm.core import checks
from paracosm.core.records.results import RunResult
from paracosm.core.tracking import Figures, Several, Silent, Tracker
from paracosm.loop.directory import RunDirectory
from paracosm.loop.names import by_name
from paracosm.reporting.pictures import pictures

_log = logging.getLogger("paracosm.tracking")
_TRACKED = "tracked"  # the event of the run's log that holds what trackers call the run
# The files that show what came out of a run; data and models of every round stay in its directory.
_FILES = ("report.html", "result.json", "audit.json", "config.json", "policy.json", "policy.eqx")


class Guarded(Tracker):
    """A tracker that costs the run its own numbers and nothing else where it fails."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._failed = False

    @property
    def name(self) -> str:
        return self._tracker.name

    def start(self, run: Path, configuration: Mapping[str, Any], earlier: str | None) -> str | None:
        """Start the tracker; of a failure here the user must hear before anything is paid for.

        Raises:
            BadArgument: the tracker cannot be started.
        """
        try:
            return self._tracker.start(run, configuration, earlier)
        except checks.ParacosmError:
            raise
        except Exception as error:
            raise checks.BadArgument(
                f"the tracker {self.name} cannot be started: {_message(error)}."
            ) from error

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        if not self._failed:
            self._attempt(f"step {step} of {stage}", self._tracker.log, stage, step, numbers)

    def finish(self, files: Sequence[Path], figures: Figures) -> None:
        if not self._failed:
            self._attempt("the end of the run", self._tracker.finish, files, figures)

    def close(self) -> None:
        self._attempt("its close", self._tracker.close)

    def _attempt(self, where: str, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action`, or log once that the tracker failed; a server that is gone is not waited
        for at every number.
        """
        try:
            action(*arguments)
        except Exception as error:
            if not self._failed:
                _log.warning(
                    "The tracker %s failed at %s and gets nothing more; the run goes on: %s.",
                    self.name,
                    where,
                    _message(error),
                )
            self._failed = True


class RunTracker:
    """Takes the numbers of a run to its tracker; of several each is guarded by itself.

    As a context manager it closes the tracker, also one that no run began with.
    """

    def __init__(self, tracker: Tracker | Callable[[], Tracker] | None) -> None:
        self._make = tracker
        self._guarded = _guarded(tracker) if isinstance(tracker, Tracker) else Several()
        self._names: str | None = None

    def __enter__(self) -> RunTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, run: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        """Make the tracker and start it.

        Args:
            run: The run directory.
            settings: What the run does, nested.
            resume: Whether a run that is there is resumed.

        Raises:
            Missing: an extra is not installed.
            BadArgument: what makes the tracker makes something else, or the tracker cannot be
                started.
        """
        if not isinstance(self._make, Tracker):
            self._guarded = _guarded(_make_tracker(self._make))
        earlier_names = _earlier_names(run) if resume else None
        self._names = self._guarded.start(run, by_name(settings), earlier_names)

    def remember(self, directory: RunDirectory) -> None:
        """Write down what the trackers call the run, for a resumed one."""
        if self._names is not None:
            with directory.attempt():
                directory.log(_TRACKED, names=self._names)

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        """As `Tracker.log`."""
        self._guarded.log(stage, step, numbers)

    def finish(self, directory: RunDirectory, result: RunResult) -> None:
        """Hand over the files of a run and the figures of its report."""
        files = [path for name in _FILES if (path := directory.file(name)).is_file()]
        self._guarded.finish(files, functools.cache(lambda: pictures(result)))

    def close(self) -> None:
        """As `Tracker.close`."""
        self._guarded.close()


def _make_tracker(make: Callable[[], Tracker] | None) -> Tracker:
    if make is None:
        return Silent()
    tracker = make()
    checks.of_kind("what tracker makes", tracker, Tracker, "a Tracker")
    return tracker


def _guarded(tracker: Tracker) -> Several:
    """A tracker, of several each, that costs the run nothing else where it fails."""
    return Several(*map(Guarded, _flattened(tracker)))


def _flattened(tracker: Tracker) -> list[Tracker]:
    """The trackers that a tracker of several consists of."""
    if isinstance(tracker, Several):
        return [part for inner in tracker.trackers for part in _flattened(inner)]
    return [tracker]


def _earlier_names(run: Path) -> str | None:
    """What trackers called the run when it was last started or resumed, None if nothing."""
    logged = [event.get("names") for event in RunDirectory(run).events()]
    names = [name for name in logged if isinstance(name, str)]
    return names[-1] if names else None


def _message(error: Exception) -> str:
    message = " ".join(str(error).split())[:300].rstrip(".")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
