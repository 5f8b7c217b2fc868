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

    A `StepSource` checks and copies what its lanes answer: they may go on with their own arrays.

    Attributes:
        columns: the observations `[lane, state]`, float32 or, of images, uint8; after a step also
            reward (float64), terminated and truncated (bool) `[lane]`. A faulty row holds zeros.
        faults: by row, why an environment cannot go on.
    """

    columns: LaneColumns
    faults: dict[int, Fault]


class Lanes(abc.ABC):
    """Environments numbered from 0; only those that are asked move."""

    @abc.abstractmethod
    def reset(self, which: np.ndarray, seeds: np.ndarray) -> Answers:
        """Start an episode in each of the lanes `which`, `[lane]` numbers."""

    @abc.abstractmethod
    def step(self, which: np.ndarray, actions: np.ndarray) -> Answers:
        """Step the lanes `which` with a row of `actions` each."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close every environment."""


class LocalLanes(Lanes):
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

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> Answers:
        calls = zip(which, seeds, strict=True)
        blank = _unmoved(self._form.blank())
        steps, faults = _call_all(
            [functools.partial(self._reset, int(lane), int(seed)) for lane, seed in calls], blank
        )
        return Answers((np.stack([row.observation for row in steps]),), faults)

    def step(self, which: np.ndarray, actions: np.ndarray) -> Answers:
        calls = zip(which, actions, strict=True)
        blank = _unmoved(self._form.blank())
        steps, faults = _call_all(
            [functools.partial(self._step, int(lane), action) for lane, action in calls], blank
        )
        observation, reward, terminated, truncated = zip(*steps, strict=True)
        flags = np.array([terminated, truncated], bool)
        return Answers((np.stack(observation), np.array(reward, np.float64), *flags), faults)

    def close(self) -> None:
        for env in self._envs:
            with contextlib.suppress(Exception, SystemExit):  # the steps are safe
                env.close()

    def _reset(self, lane: int, seed: int) -> EnvironmentStep:
        return _unmoved(boundary.reset(self._envs[lane], seed, self._form))

    def _step(self, lane: int, action: Any) -> EnvironmentStep:
        return boundary.step(self._envs[lane], action, self._form)


class ProcessLanes(Lanes):
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
            form: The form of an observation.
            workers: Number of processes.
        """
        self._form = form
        self._connections: list[Any] = []
        self._processes: list[Any] = []
        self._responsive: set[int] = set()  # the workers that answered before
        with _ignore_interrupts():
            for worker in range(workers):
                self._start(factory, len(range(worker, count, workers)))

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> Answers:
        answers = self._ask("reset", which, seeds)
        return Answers(answers.columns[:1], answers.faults)

    def step(self, which: np.ndarray, actions: np.ndarray) -> Answers:
        return self._ask("step", which, actions)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(timeout=2)
            process.kill()
            process.join()

    def _start(self, factory: Callable[[], Any], count: int) -> None:
        """Start a process that hosts `count` environments.

        Raises:
            BadArgument: the factory cannot be sent to it.
        """
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

    def _ask(self, method: str, which: np.ndarray, values: np.ndarray) -> Answers:
        """The answers of the lanes `which` to `reset` or `step` with a row of `values` each."""
        workers = len(self._connections)
        rows_of = [np.flatnonzero(which % workers == worker) for worker in range(workers)]
        asked = [(worker, rows) for worker, rows in enumerate(rows_of) if rows.size]
        for worker, rows in asked:
            with contextlib.suppress(OSError):  # of a worker that died; receiving says so
                self._connections[worker].send((method, which[rows] // workers, values[rows]))
        answers = [self._receive(worker, len(rows)) for worker, rows in asked]
        as_named = np.argsort(np.concatenate([rows for _, rows in asked]))
        columns = zip(*(answer.columns for answer in answers), strict=True)
        joined = tuple(np.concatenate(column)[as_named] for column in columns)
        faults = {
            int(rows[row]): fault
            for (_, rows), answer in zip(asked, answers, strict=True)
            for row, fault in answer.faults.items()
        }
        return Answers(joined, dict(sorted(faults.items())))

    def _receive(self, worker: int, count: int) -> Answers:
        """A worker's answer; one that died, hangs or is waited for at Ctrl-C has the same fault in
        every row.
        """
        try:
            return self._read_answer(worker, count)
        except KeyboardInterrupt:
            return self._faulty(count, boundary.STOPPED)

    def _faulty(self, count: int, fault: Fault) -> Answers:
        """Answers with this fault in every row."""
        columns = self._form.blank(count), *_blank_outcomes(count)
        return Answers(columns, dict.fromkeys(range(count), fault))

    def _read_answer(self, worker: int, count: int) -> Answers:
        """As `_receive`, but for Ctrl-C.

        Raises:
            ParacosmError: the worker could not build its environments.
        """
        if worker in self._responsive and not self._connections[worker].poll(_PATIENCE):
            fault = Fault(f"gave no answer for {_PATIENCE:g} seconds in its worker process")
            return self._faulty(count, fault)
        try:
            message = self._connections[worker].recv()
        except (EOFError, OSError) as error:
            if worker not in self._responsive:
                raise checks.ParacosmError(
                    "A collection worker stopped: either it was killed, or the script that uses"
                    " workers lacks "
                    'if __name__ == "__main__": around its calls.'
                ) from error
            self._processes[worker].join(timeout=2)
            code = self._processes[worker].exitcode
            return self._faulty(count, Fault(f"ended its worker process (exit code {code})"))
        if isinstance(message, checks.ParacosmError):
            raise message
        self._responsive.add(worker)
        return message


@contextlib.contextmanager
def open_lanes(
    factory: Callable[[], Any], count: int, form: ObservationForm, workers: int
) -> Iterator[Lanes]:
    """Lanes in this process or in others, closed on the way out, whatever happens.

    Args:
        factory: Builds an environment.
        count: Number of lanes.
        form: The form of an observation.
        workers: The most processes that host them; 1 is this one, and of more not one lane is here.
    """
    lanes = (
        LocalLanes(factory, count, form)
        if workers == 1
        else ProcessLanes(factory, count, form, min(workers, count))
    )
    try:
        yield lanes
    finally:
        lanes.close()


def _unmoved(observation: np.ndarray) -> EnvironmentStep:
    """The observation in the form of a step that was not taken."""
    return EnvironmentStep(observation, reward=0.0, terminated=False, truncated=False)


def _call_all(
    calls: list[Callable[[], EnvironmentStep]], blank: EnvironmentStep
) -> tuple[list[EnvironmentStep], dict[int, Fault]]:
    """The step of every call, which is `blank` where there is a fault, and the faults by number of
    the call; after Ctrl-C no further one is called.
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


def _blank_outcomes(count: int) -> LaneColumns:
    """Rewards, terminations and truncations of `count` steps that were not taken."""
    return np.zeros(count), *np.zeros((2, count), bool)


def _serve(
    connection: Connection, factory: Callable[[], Any], count: int, form: ObservationForm
) -> None:
    """What a worker process does: build its environments and answer, until the other end closes.

    Args:
        connection: Where the messages `(method, which, values)` come from and the answers go.
        factory: Builds an environment.
        count: Number of environments.
        form: The form of an observation.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        try:
            lanes = LocalLanes(factory, count, form)
        except checks.ParacosmError as error:
            connection.send(type(error)(str(error)))
            return
        with contextlib.closing(lanes):
            while True:
                method, which, values = connection.recv()
                connection.send(_answer_message(lanes, method, which, values))


def _answer_message(
    lanes: LocalLanes, method: str, which: np.ndarray, values: np.ndarray
) -> Answers:
    """The answers to one message; a reset's have the columns of a step, too.

    Args:
        lanes: The lanes of this worker.
        method: `step` or `reset`.
        which: Numbers of the lanes that are asked, `[lane]`.
        values: Their actions, `[lane, …]`, or seeds, `[lane]`.
    """
    if method == "step":
        return lanes.step(which, values)
    answers = lanes.reset(which, values)
    return Answers((*answers.columns, *_blank_outcomes(len(which))), answers.faults)


@contextlib.contextmanager
def _ignore_interrupts() -> Iterator[None]:
    """Let processes that are started in here ignore Ctrl-C: it is for this one, which then closes
    them.
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
