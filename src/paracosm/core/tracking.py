"""Trackers: numbers of a run, by stage and step, as they come.

Two compositions. Numbers into a list, of one run:

    class Listing(Tracker):
        def __init__(self): self.rows = []
        def log(self, stage, step, numbers): self.rows.append((stage, step, dict(numbers)))

    run("Pendulum-v1", tracker=Listing())

Several trackers at once:

    run("Pendulum-v1", tracker=Several(Listing(), MyDashboard()))
"""

from __future__ import annotations

import abc
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paracosm.core.files import json_object

Figures = Callable[[], Mapping[str, bytes]]


class Tracker(abc.ABC):
    """Where the numbers of a run go; a figure stays a figure until it is drawn.

    A run calls `start`, then `log` many times, `finish` once its files are written, and `close`
    whatever happened: `close` without `finish` means that the run did not get to its end. What
    `start` raises refuses the run before anything is computed. What the others raise is logged as
    a warning (logger `paracosm.tracking`) and costs the run nothing: the tracker gets no more
    numbers, other trackers still do, and the run directory holds everything.
    """

    @property
    def name(self) -> str:
        """What messages call the tracker, and by what its `start` is known to a resumed run."""
        return type(self).__name__

    def start(self, run: Path, configuration: Mapping[str, Any], earlier: str | None) -> str | None:
        """Called once, before the first number and before the run directory is made or cleared.

        Args:
            run: The run directory, which may not exist yet.
            configuration: What the run does, by dotted name such as `learn.fit.width`: numbers,
                texts, booleans, None and lists of these.
            earlier: What `start` returned when the run that is now resumed began; None of a run
                that begins.

        Returns:
            What the tracker's own store calls this run, to go on with it if the run is resumed;
            None if it needs no name.
        """
        return None

    @abc.abstractmethod
    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        """Take the numbers of one step of a stage, such as `("imagine", 120, {"imagined_return":
        -240.1, "edge_share": 0.02})`. It is called often and must be quick.

        Args:
            stage: `plan` (of a run with a budget), `collect`, `encode` (of a run that learns its
                encoder), `learn`, `imagine`, `round` (the audit of a round by what the next one
                bought, if that holds a whole episode), `evaluate` or `audit`.
            step: Of `imagine` the gradient steps since the run's first round; of `plan`, `collect`,
                `encode` and `learn` the round, of the plan for what to buy after the last round the
                number of rounds; of `round` the real transitions that its world and policy were
                learned from; else 0.
            numbers: By name. Those of `imagine` are the imagined return and, of the learner's own
                metrics, the means over the steps since the log before. A resumed run logs its
                finished stages again, but those of `imagine`.
        """

    def finish(self, files: Sequence[Path], figures: Figures) -> None:  # noqa: B027 - few keep any
        """Called once, after the last number, when the run is done.

        Args:
            files: Those of the run directory that show what came out: the report's page, the
                result, the audit, the configuration and the policy, as far as they were written.
            figures: Draws the report's figures as PNG files, by name; drawn when it is called.
        """

    def close(self) -> None:  # noqa: B027 - few trackers have anything to close
        """Called once, after everything else; without `finish` before it, the run failed."""


class Silent(Tracker):
    """Takes numbers and keeps none."""

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        pass


class Several(Tracker):
    """Hands everything to each of its trackers, which a run starts and, where they fail, loses one
    by one.
    """

    def __init__(self, *trackers: Tracker) -> None:
        self.trackers = trackers

    def start(self, run: Path, configuration: Mapping[str, Any], earlier: str | None) -> str | None:
        """What each of them returned, by name, as JSON."""
        before = _names(earlier)
        names = {}
        for name, tracker in zip(_distinct(self.trackers), self.trackers, strict=True):
            names[name] = tracker.start(run, configuration, before.get(name))
        names = {name: own for name, own in names.items() if own is not None}
        return json.dumps(names) if names else None

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        for tracker in self.trackers:
            tracker.log(stage, step, numbers)

    def finish(self, files: Sequence[Path], figures: Figures) -> None:
        for tracker in self.trackers:
            tracker.finish(files, figures)

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for tracker in self.trackers:
                stack.callback(tracker.close)


def _names(earlier: str | None) -> dict[str, str]:
    """What the trackers returned before, as far as `earlier` holds it: a log may be damaged."""
    try:
        names = json_object(earlier or "{}")
    except ValueError:
        return {}
    return {name: own for name, own in names.items() if isinstance(own, str)}


def _distinct(trackers: Sequence[Tracker]) -> list[str]:
    """The trackers' names, a second one of the same name with a number."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for tracker in trackers:
        seen[tracker.name] += 1
        number = seen[tracker.name]
        names.append(tracker.name if number == 1 else f"{tracker.name}-{number}")
    return names
