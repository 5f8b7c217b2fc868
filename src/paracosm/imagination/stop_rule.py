"""When training stops, and what of it a program that was killed goes on from.

The stop rule reads the scores of the chunks: while they rise, training goes on; when they stall, it
goes back to the best state seen (or, where the last state is kept, stays where it is) and on with
the next learning rate; after the last rate it ends.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from paracosm.core.records import Record
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.settings import ImagineSettings


class Checkpoint(NamedTuple):
    """The numbers of one chunk: steps until its end, its evaluation, and the share of its imagined
    steps that reached the edge of the domain.
    """

    step: int
    score: float
    imagined_return: float
    entropy: float
    edge_share: float


@dataclasses.dataclass(frozen=True)
class Spent(Record):
    """True rewards bought, and steps imagined by training."""

    labels: int = 0
    imagined_steps: int = 0


@dataclasses.dataclass(frozen=True)
class StopNumbers(Record):
    """Where the stop rule is.

    Attributes:
        checkpoints: The numbers of all chunks so far.
        rates: The learning rates that are left, the present one first.
        best_score: The score of the state that is kept: the highest of a chunk, or the last
            where training keeps its last state.
        mark: The score that the next gain counts from.
        stale: Chunks since the last gain.
        spent: What all chunks cost.
    """

    checkpoints: tuple[tuple[float, ...], ...]
    rates: tuple[float, ...]
    best_score: float
    mark: float
    stale: int
    spent: Spent


class Snapshot(NamedTuple):
    """Where training is after a chunk: the learner's state, the best one, and the stop rule's
    numbers.
    """

    state: Any
    best: Any
    numbers: StopNumbers


class TrainingStore(abc.ABC):
    """Keeps where training is, outside the program."""

    @abc.abstractmethod
    def keep(self, snapshot: Snapshot) -> None:
        """Keep the snapshot in place of the one before, or not, as the store sees fit."""

    @abc.abstractmethod
    def load(self, state: Any) -> Snapshot | None:
        """The snapshot that was kept last, None if there is none.

        Args:
            state: The learner's first state, whose structure the stored states have.
        """


class StopRule:
    """The stop rule: which rate, which state is the best seen, and whether to stop.

    Unless states are judged `by_score`, the last one is the best. Of equal scores, as of episodes
    that all survive, the later state is, which was trained for longer.
    """

    def __init__(
        self,
        settings: ImagineSettings,
        state: Any,
        *,
        by_score: bool,
        before: Snapshot | None = None,
    ) -> None:
        """Begin, or go on.

        Args:
            settings: Those of the loop.
            state: The state in which training begins.
            by_score: Whether the best state is the one of the highest score.
            before: Where a training that was killed had got to; it goes on from there.
        """
        self.settings, self._by_score = settings, by_score
        self.spent = Spent()
        self.state = self.best = state
        self.checkpoints: list[Checkpoint] = []
        self.stop: StopReason | None = None
        self.stop_steps = 0
        self._rates = list(settings.rates)
        self._best_score = self._reference_score = -np.inf
        self._stale = 0
        if before is not None:
            self._go_on(before)

    @property
    def rate(self) -> float:
        """The present learning rate."""
        return self._rates[0]

    @property
    def kept_step(self) -> int:
        """After how many steps training was in the state that is the best."""
        if not self._by_score:
            return self.checkpoints[-1].step
        return max(
            self.checkpoints, key=lambda checkpoint: (checkpoint.score, checkpoint.step)
        ).step

    @property
    def steps(self) -> int:
        """Training steps so far."""
        return len(self.checkpoints) * self.settings.check

    def add(self, state: Any, checkpoint: Checkpoint, spent: Spent) -> None:
        """Take in where a chunk led.

        Args:
            state: The learner's state after the chunk.
            checkpoint: The numbers of the chunk.
            spent: What the chunk cost.
        """
        self.checkpoints.append(checkpoint)
        labels, steps = self.spent.labels, self.spent.imagined_steps
        self.spent = Spent(labels + spent.labels, steps + spent.imagined_steps)
        self.state = state
        if checkpoint.score >= self._best_score or not self._by_score:
            self.best, self._best_score = state, checkpoint.score
        self._judge(checkpoint.score)

    def snapshot(self) -> Snapshot:
        """Where training is."""
        numbers = StopNumbers(
            checkpoints=tuple(tuple(map(float, checkpoint)) for checkpoint in self.checkpoints),
            rates=tuple(self._rates),
            best_score=float(self._best_score),
            mark=float(self._reference_score),
            stale=self._stale,
            spent=self.spent,
        )
        return Snapshot(state=self.state, best=self.best, numbers=numbers)

    def _go_on(self, before: Snapshot) -> None:
        numbers = before.numbers
        self.state, self.best = before.state, before.best
        rows = numbers.checkpoints
        self.checkpoints = [Checkpoint(int(step), *row) for step, *row in rows]
        self._rates, self.spent = list(numbers.rates), numbers.spent
        self._best_score, self._reference_score = numbers.best_score, numbers.mark
        self._stale = numbers.stale

    def _judge(self, score: float) -> None:
        """Count the chunk as a gain if its score exceeds the reference score by `least_gain` of the
        range of scores so far. After `patience` chunks without one the next rate follows; stop when
        another chunk would exceed `most_steps`.
        """
        scores = [checkpoint.score for checkpoint in self.checkpoints]
        least_gain = self.settings.least_gain * (max(scores) - min(scores))
        gained = score > self._reference_score + least_gain
        self._reference_score = score if gained else self._reference_score
        self._stale = 0 if gained else self._stale + 1
        if self._stale >= self.settings.patience:
            self._next_rate()
        if self.stop is None and self.steps + self.settings.check > self.settings.most_steps:
            self.stop, self.stop_steps = StopReason.MOST_STEPS, self.steps

    def _next_rate(self) -> None:
        """Go back to the best state (or, where the last one is kept, stay where training is) and on
        with the next rate, or stop after the last one.
        """
        self.state, self._stale = self.best, 0
        self._reference_score = self._best_score
        if len(self._rates) == 1:
            self.stop = StopReason.PLATEAU
            self.stop_steps = self.settings.patience * self.settings.check
        else:
            self._rates.pop(0)
