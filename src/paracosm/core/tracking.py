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
from collections.abc import Mapping


class Tracker(abc.ABC):
    """Where the numbers of a run go; a figure stays a figure until it is drawn."""

    @abc.abstractmethod
    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        """Take the numbers of one step of a stage, such as `("imagine", 120, {"imagined_return":
        -240.1, "edge_share": 0.02})`. It is called often and must be quick.

        Args:
            stage: `plan` (of a run with a budget), `collect`, `learn`, `imagine`, `round` (the
                audit of a round by what the next one bought, if that holds a whole episode),
                `evaluate` or `audit`.
            step: Of `imagine` the gradient steps since the run's first round; of `plan`, `collect`
                and `learn` the round, of the plan for what to buy after the last round the number
                of rounds; of `round` the real transitions that its world and policy were learned
                from; else 0.
            numbers: By name. Those of `imagine` are the imagined return and, of the learner's own
                metrics, the means over the steps since the log before. A resumed run logs its
                finished stages again, but those of `imagine`.
        """

    def close(self) -> None:  # noqa: B027 - few trackers have anything to close
        """Called once, after the last number."""


class Silent(Tracker):
    """Takes numbers and keeps none."""

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        pass


class Several(Tracker):
    """Hands every number to each of its trackers."""

    def __init__(self, *trackers: Tracker) -> None:
        self._trackers = trackers

    def log(self, stage: str, step: int, numbers: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            tracker.log(stage, step, numbers)

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for tracker in self._trackers:
                stack.callback(tracker.close)
