"""Frozen records of a benchmark: tasks, what learners made of them, and suites of both.

No JAX in here.
"""

from __future__ import annotations

import dataclasses
import enum
import statistics
from typing import Any

from paracosm.core import checks
from paracosm.core.records.base import Estimate, Record, plain


class Shortfall(enum.Enum):
    """Why a return that is needed was missed: the world was wrong about the policy's return by at
    least as much as is missing, or no policy with the return was reached in a world that is not.
    """

    MODEL = "model"
    SEARCH = "search"


@dataclasses.dataclass(frozen=True)
class Reported(Record):
    """A return that others report: its method, after how many real steps, and where it stands."""

    value: float
    method: str
    steps: int
    source: str


@dataclasses.dataclass(frozen=True)
class Task(Record):
    """An environment, how many transitions a learner may buy of it, the mean return that is wanted
    (None where there is no such number), and what others report, the first being the anchor of
    normalised returns.
    """

    env: str
    transitions: int
    needed: float | None
    anchors: tuple[Reported, ...]

    def __post_init__(self) -> None:
        checks.count("transitions", self.transitions)
        numbers = [self.needed or 0.0, *(anchor.value for anchor in self.anchors)]
        checks.finite(f"the returns of the task {self.env}", numbers)
        if not self.anchors:
            raise checks.BadArgument(
                f"the task {self.env} has no anchors; one at least, with value, method, steps and"
                " source, is needed."
            )


@dataclasses.dataclass(frozen=True)
class Point(Record):
    """Mean return of the episodes that were collected up to so many real steps, since the point
    before.
    """

    steps: float
    value: float


@dataclasses.dataclass(frozen=True)
class TaskScore(Record):
    """What a learner with a seed made of a task.

    `returns` are those of the evaluation's episodes, empty if the cell failed, whose `error` is
    then not. `predicted` and `causes` are what the audit says of a world model's learner: the
    imagined return, and the real one minus it by its causes; None and empty of others.
    """

    env: str
    learner: str
    seed: int
    returns: tuple[float, ...]
    curve: tuple[Point, ...]
    real_steps: int
    seconds: float
    predicted: float | None
    causes: dict[str, float]
    error: str

    @property
    def mean(self) -> float:
        """Mean return of the evaluation."""
        return statistics.fmean(self.returns)

    def shortfall(self, needed: float | None) -> Shortfall | None:
        """Why the mean return misses what is needed; None where it does not, where nothing is
        needed, or where no world was audited.
        """
        if self.predicted is None or needed is None or self.mean >= needed:
            return None
        wrong = abs(self.predicted - self.mean) >= needed - self.mean
        return Shortfall.MODEL if wrong else Shortfall.SEARCH


@dataclasses.dataclass(frozen=True)
class Benchmark(Record):
    """Learners on the tasks of a suite.

    `random` is the mean return of uniform actions by task. `aggregate` is, by learner, the
    interquartile mean over tasks and seeds of the normalised return, 0 of random actions and 1 of
    the anchor, with its interval; of the tasks on which none of its seeds is missing. `missing`
    names peers that are not installed.
    """

    suite: str
    command: str
    learners: tuple[str, ...]
    seeds: tuple[int, ...]
    episodes: int
    tasks: tuple[Task, ...]
    scores: tuple[TaskScore, ...]
    random: dict[str, float]
    aggregate: dict[str, Estimate]
    missing: tuple[str, ...]
    seconds: float
    versions: dict[str, str]

    def of(self, env: str, learner: str) -> tuple[TaskScore, ...]:
        """The scores of a learner's seeds on a task that did not fail."""
        return tuple(
            score
            for score in self.scores
            if (score.env, score.learner) == (env, learner) and not score.error
        )

    def median(self, env: str, learner: str) -> float | None:
        """The median over seeds of the mean return; None where no seed has one."""
        scores = self.of(env, learner)
        return statistics.median(score.mean for score in scores) if scores else None

    def reached(self, task: Task, learner: str) -> bool | None:
        """Whether the median has what is needed; None where nothing is, or there is no median."""
        median = self.median(task.env, learner)
        return None if median is None or task.needed is None else median >= task.needed

    def beaten(self, ours: str, peer: str) -> tuple[int, int]:
        """On how many tasks the first has a higher median than the second, of how many that both
        have.
        """
        pairs = [(self.median(task.env, ours), self.median(task.env, peer)) for task in self.tasks]
        both = [pair for pair in pairs if None not in pair]
        return sum(mine > theirs for mine, theirs in both), len(both)  # type: ignore[operator]

    @property
    def failures(self) -> tuple[TaskScore, ...]:
        """The cells that failed."""
        return tuple(score for score in self.scores if score.error)

    def summary(self, files: tuple[str, ...]) -> dict[str, Any]:
        """The document that `paracosm bench --json` prints."""
        rows = [
            {
                "env": task.env,
                "transitions": task.transitions,
                "needed": task.needed,
                "anchor": plain(task.anchors[0]),
                "median": {name: self.median(task.env, name) for name in self.learners},
                "reached": {name: self.reached(task, name) for name in self.learners},
            }
            for task in self.tasks
        ]
        return {
            "suite": self.suite,
            "seeds": list(self.seeds),
            "tasks": rows,
            "aggregate": plain(self.aggregate),
            "failures": [
                {
                    "env": score.env,
                    "learner": score.learner,
                    "seed": score.seed,
                    "error": score.error,
                }
                for score in self.failures
            ],
            "files": list(files),
        }
