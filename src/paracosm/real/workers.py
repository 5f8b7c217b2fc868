"""Copies of an environment, stepped side by side here or in worker processes. No JAX in here."""

from __future__ import annotations

import abc
import contextlib
import functools
import multiprocessing
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper

from paracosm.core import checks

Rows = tuple[np.ndarray, ...]


class Lanes(abc.ABC):
    """Environments numbered from 0; only those that are asked move."""

    @abc.abstractmethod
    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        """Start an episode in each of `lanes`: observations `[lane, state]`, float32."""

    @abc.abstractmethod
    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Rows:
        """Step `lanes`: observation `[lane, state]`, reward (float64), terminated and truncated `[lane]`."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close every environment."""


class Here(Lanes):
    """Lanes in this process."""

    def __init__(self, factory: Callable[[], Any], count: int) -> None:
        self._envs = [factory() for _ in range(count)]

    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        starts = [self._envs[lane].reset(seed=int(seed))[0] for lane, seed in zip(lanes, seeds, strict=True)]
        return _float32(starts)

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Rows:
        taken = [self._envs[lane].step(action)[:4] for lane, action in zip(lanes, actions, strict=True)]
        observation, reward, terminated, truncated = zip(*taken, strict=True)
        return _float32(observation), np.asarray(reward, np.float64), np.asarray(terminated), np.asarray(truncated)

    def close(self) -> None:
        for env in self._envs:
            env.close()


class Processes(Lanes):
    """Lanes in `workers` spawned processes, dealt out in turn. Never forked: JAX's threads do not survive it."""

    def __init__(self, factory: Callable[[], Any], count: int, workers: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Any] = []
        self._processes = []
        with _interrupts_ignored():
            for worker in range(workers):
                ours, theirs = context.Pipe()
                arguments = (theirs, CloudpickleWrapper(factory), len(range(worker, count, workers)))
                process = context.Process(target=_serve, args=arguments, daemon=True)
                process.start()
                theirs.close()
                self._connections.append(ours)
                self._processes.append(process)

    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return self._ask("reset", lanes, seeds)[0]

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Rows:
        return self._ask("step", lanes, actions)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.join(timeout=2)
            process.kill()
            process.join()

    def _ask(self, method: str, lanes: np.ndarray, values: np.ndarray) -> Rows:
        workers = len(self._connections)
        own = [np.flatnonzero(lanes % workers == worker) for worker in range(workers)]
        asked = [(self._connections[worker], rows) for worker, rows in enumerate(own) if rows.size]
        try:
            for connection, rows in asked:
                connection.send((method, lanes[rows] // workers, values[rows]))
            answers = [_answer(connection.recv()) for connection, _ in asked]
        except (EOFError, OSError) as error:
            raise checks.ParacosmError(
                "A collection worker stopped: either it was killed, or the script that uses workers lacks "
                'if __name__ == "__main__": around its calls.'
            ) from error
        back = np.argsort(np.concatenate([rows for _, rows in asked]))
        return tuple(np.concatenate(column)[back] for column in zip(*answers, strict=True))


@contextlib.contextmanager
def open_lanes(factory: Callable[[], Any], count: int, workers: int) -> Iterator[Lanes]:
    """`count` lanes hosted by `workers` processes (1: this one), closed on the way out, whatever happens."""
    workers = min(workers, count)
    lanes = Here(factory, count) if workers == 1 else Processes(factory, count, workers)
    try:
        yield lanes
    finally:
        lanes.close()


def _float32(values: Any) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.stack(values).astype(np.float32)


def _answer(message: Any) -> Rows:
    if isinstance(message, str):
        raise RuntimeError(f"The environment failed in a worker process:\n{message}")
    return message


def _serve(connection: Connection, factory: Callable[[], Any], count: int) -> None:
    """A worker's life: build, answer, and leave when the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        lanes = _attempt(Here, factory, count)
        if isinstance(lanes, str):
            connection.send(lanes)
            return
        with contextlib.closing(lanes):
            while True:
                method, which, values = connection.recv()
                connection.send(_attempt(_call, lanes, method, which, values))


def _call(lanes: Here, method: str, which: np.ndarray, values: np.ndarray) -> Rows:
    return (lanes.reset(which, values),) if method == "reset" else lanes.step(which, values)


def _attempt(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception:
        return traceback.format_exc()


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes started in here inherit deaf ears for Ctrl-C: it is for the parent, which then closes them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    restore = functools.partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.SIG_IGN))
    try:
        yield
    finally:
        restore()
