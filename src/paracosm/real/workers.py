"""Copies of an environment, stepped side by side here or in worker processes. No JAX in here."""

from __future__ import annotations

import abc
import contextlib
import functools
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper

from paracosm.core import checks
from paracosm.real import boundary
from paracosm.real.boundary import EnvironmentStep, Fault, Misbehaved, ObservationForm

LaneColumns = tuple[np.ndarray, ...]

_PATIENCE = 600.0  # seconds after which a worker that had answered before is taken to hang


class Answers(NamedTuple):
    """What lanes answered, a row each in the order in which they were named.

    Attributes:
        rows: of a reset the observations `[lane, state]`, float32 or, of images, uint8; of a step
            also reward (float64), terminated and truncated (bool) `[lane]`. A faulty row holds
            zeros.
        faults: by row, why an environment cannot go on.
    """

    rows: LaneColumns
    faults: dict[int, Fault]


class Lanes(abc.ABC):
    """Environments numbered from 0; only those that are asked move."""

    @abc.abstractmethod
    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> Answers:
        """Start an episode in each of `lanes`."""

    @abc.abstractmethod
    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Answers:
        """Step `lanes`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close every environment."""


class Here(Lanes):
    """Lanes in this process."""

    def __init__(self, factory: Callable[[], Any], count: int, form: ObservationForm) -> None:
        """Build `count` environments with observations of this form; on failure close what was
        built.
        """
        self._form, self._envs = form, []
        try:
            for _ in range(count):
                self._envs.append(factory())
        except BaseException:
            self.close()
            raise

    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> Answers:
        calls = zip(lanes, seeds, strict=True)
        blank = EnvironmentStep(self._form.blank(), 0.0, False, False)
        steps, faults = _answers(
            [functools.partial(self._reset, int(lane), int(seed)) for lane, seed in calls], blank
        )
        return Answers((np.stack([row.observation for row in steps]),), faults)

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Answers:
        calls = zip(lanes, actions, strict=True)
        blank = EnvironmentStep(self._form.blank(), 0.0, False, False)
        steps, faults = _answers(
            [functools.partial(self._step, int(lane), action) for lane, action in calls], blank
        )
        observation, reward, terminated, truncated = zip(*steps, strict=True)
        flags = np.array([terminated, truncated], bool)
        return Answers((np.stack(observation), np.array(reward, np.float64), *flags), faults)

    def close(self) -> None:
        for env in self._envs:
            with contextlib.suppress(
                Exception, SystemExit
            ):  # the steps are safe: how it ends changes nothing
                env.close()

    def _reset(self, lane: int, seed: int) -> EnvironmentStep:
        return EnvironmentStep(
            boundary.reset(self._envs[lane], seed, self._form), 0.0, False, False
        )

    def _step(self, lane: int, action: Any) -> EnvironmentStep:
        return boundary.step(self._envs[lane], action, self._form)


class Processes(Lanes):
    """Lanes in `workers` spawned processes, dealt out in turn.

    Never forked: JAX's threads do not survive it.
    """

    def __init__(
        self, factory: Callable[[], Any], count: int, form: ObservationForm, workers: int
    ) -> None:
        """Start the processes.

        Args:
            factory: Builds an environment; pickled for the processes.
            count: Number of lanes.
            form: Of an observation.
            workers: Number of processes.
        """
        self._form = form
        self._connections: list[Any] = []
        self._processes: list[Any] = []
        self._working: set[int] = set()  # the workers that answered before
        with _interrupts_ignored():
            for worker in range(workers):
                self._start(factory, len(range(worker, count, workers)))

    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> Answers:
        answers = self._ask("reset", lanes, seeds)
        return Answers(answers.rows[:1], answers.faults)

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Answers:
        return self._ask("step", lanes, actions)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(timeout=2)
            process.kill()
            process.join()

    def _start(self, factory: Callable[[], Any], count: int) -> None:
        context = multiprocessing.get_context("spawn")
        connection, worker_end = context.Pipe()
        arguments = (worker_end, CloudpickleWrapper(factory), count, self._form)
        process = context.Process(target=_serve, args=arguments, daemon=True)
        try:
            process.start()
        except (TypeError, AttributeError, ValueError, PicklingError) as error:
            self.close()
            raise checks.BadArgument(
                f"the environment cannot be sent to worker processes ({error}); workers=1 steps it"
                " in this one."
            ) from error
        worker_end.close()
        self._connections.append(connection)
        self._processes.append(process)

    def _ask(self, method: str, lanes: np.ndarray, values: np.ndarray) -> Answers:
        workers = len(self._connections)
        own = [np.flatnonzero(lanes % workers == worker) for worker in range(workers)]
        called = [(worker, rows) for worker, rows in enumerate(own) if rows.size]
        for worker, rows in called:
            with contextlib.suppress(OSError):  # of a worker that died; receiving says so
                self._connections[worker].send((method, lanes[rows] // workers, values[rows]))
        answers = [self._receive(worker, len(rows)) for worker, rows in called]
        order = np.concatenate([rows for _, rows in called])
        back = np.argsort(order)
        columns = zip(*(answer.rows for answer in answers), strict=True)
        joined = tuple(np.concatenate(column)[back] for column in columns)
        faults = {
            int(rows[row]): fault
            for (_, rows), answer in zip(called, answers, strict=True)
            for row, fault in answer.faults.items()
        }
        return Answers(joined, dict(sorted(faults.items())))

    def _receive(self, worker: int, rows: int) -> Answers:
        """A worker's answer; of one that died, hangs or is waited for at Ctrl-C, the same fault in
        every row.
        """
        try:
            return self._answer(worker, rows)
        except KeyboardInterrupt:
            return Answers(_blank(rows, self._form), dict.fromkeys(range(rows), boundary.STOPPED))

    def _answer(self, worker: int, rows: int) -> Answers:
        if worker in self._working and not self._connections[worker].poll(_PATIENCE):
            fault = Fault(f"gave no answer for {_PATIENCE:g} seconds in its worker process")
            return Answers(_blank(rows, self._form), dict.fromkeys(range(rows), fault))
        try:
            message = self._connections[worker].recv()
        except (EOFError, OSError) as error:
            if worker not in self._working:
                raise checks.ParacosmError(
                    "A collection worker stopped: either it was killed, or the script that uses"
                    " workers lacks "
                    'if __name__ == "__main__": around its calls.'
                ) from error
            self._processes[worker].join(timeout=2)
            code = self._processes[worker].exitcode
            fault = Fault(f"ended its worker process (exit code {code})")
            return Answers(_blank(rows, self._form), dict.fromkeys(range(rows), fault))
        if isinstance(message, checks.ParacosmError):
            raise message
        self._working.add(worker)
        return message


@contextlib.contextmanager
def open_lanes(
    factory: Callable[[], Any], count: int, form: ObservationForm, workers: int
) -> Iterator[Lanes]:
    """Lanes in this process or in others, closed on the way out, whatever happens.

    Args:
        factory: Builds an environment.
        count: Number of lanes.
        form: Of an observation.
        workers: Number of processes that host them; 1 is this one.
    """
    workers = min(workers, count)
    lanes = Here(factory, count, form) if workers == 1 else Processes(factory, count, form, workers)
    try:
        yield lanes
    finally:
        lanes.close()


def _answers(
    calls: list[Callable[[], EnvironmentStep]], blank: EnvironmentStep
) -> tuple[list[EnvironmentStep], dict[int, Fault]]:
    """What every call gives, and the faults of those that give nothing; after Ctrl-C none is called
    any more.
    """
    steps, faults = [], {}
    for row, call in enumerate(calls):
        try:
            steps.append(call())
        except Misbehaved as error:
            steps.append(blank)
            faults[row] = error.fault
        except KeyboardInterrupt:
            rest = range(row, len(calls))
            return steps[:row] + [blank] * len(rest), faults | dict.fromkeys(rest, boundary.STOPPED)
    return steps, faults


def _blank(rows: int, form: ObservationForm) -> LaneColumns:
    return form.blank(rows), *_no_outcome(rows)


def _no_outcome(rows: int) -> LaneColumns:
    """Rewards, terminations and truncations of steps that were not taken."""
    return np.zeros(rows), *np.zeros((2, rows), bool)


def _serve(
    connection: Connection, factory: Callable[[], Any], count: int, form: ObservationForm
) -> None:
    """What a worker process does: build its environments and answer, until the other end closes.

    Args:
        connection: Where the messages `(method, lanes, values)` come from and the answers go.
        factory: Builds an environment.
        count: Number of environments.
        form: Of an observation.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        try:
            lanes = Here(factory, count, form)
        except checks.ParacosmError as error:
            connection.send(type(error)(str(error)))
            return
        with contextlib.closing(lanes):
            while True:
                method, which, values = connection.recv()
                connection.send(_call(lanes, method, which, values))


def _call(lanes: Here, method: str, which: np.ndarray, values: np.ndarray) -> Answers:
    """The answers to one message, with the columns of a step for a reset, too.

    Args:
        lanes: The worker's own.
        method: `step` or `reset`.
        which: Numbers of the lanes, `[lane]`.
        values: Their actions, `[lane, …]`, or seeds, `[lane]`.
    """
    if method == "step":
        return lanes.step(which, values)
    answers = lanes.reset(which, values)
    return Answers((*answers.rows, *_no_outcome(len(which))), answers.faults)


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started in here inherit deaf ears for Ctrl-C: it is for the parent, which then
    closes them.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    restore = functools.partial(
        signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield
    finally:
        restore()
