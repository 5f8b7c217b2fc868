"""Cells on this machine: a single-threaded worker process per core, and one process that receives
the outcomes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from paracosm.sweep import worker
from paracosm.sweep.cells import Cell, Outcome, outcome_of_death


def outcomes(cells: Sequence[Cell], workers: int | None = None) -> Generator[Outcome, None, None]:
    """What comes of the cells, as they finish; they are begun in the order given.

    `workers` is the number of processes, by default one per core, and then each keeps to a core of
    its own. A worker that dies costs its cell only: that is run once more after the others, and has
    failed if its worker dies again. Closing the iterator ends the workers.
    """
    cores = _cores()
    count = min(workers or len(cores), len(cells))
    own = count == len(cores) and hasattr(os, "sched_setaffinity")
    pool = _Pool(cells)
    try:
        for core in cores if own else [-1] * count:
            pool.start(core)
        while pool.workers:
            for process in pool.ready():
                yield from pool.receive(process)
    finally:
        pool.stop()


def _cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class _Pool:
    """The workers, by the connection that they answer on, and the cells that wait for one."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.workers: dict[Connection, _Worker] = {}
        self._waiting = deque(cells)
        self._deaths = Counter[str]()

    def start(self, core: int) -> None:
        if self._waiting:
            process = _Worker(core, self._waiting.popleft())
            self.workers[process.connection] = process

    def ready(self) -> list[_Worker]:
        """The workers that have sent an outcome or died; waits until there is one."""
        ended = wait(list(self.workers))
        return [process for connection, process in self.workers.items() if connection in ended]

    def receive(self, process: _Worker) -> list[Outcome]:
        """The outcome that this worker sends, if it lives; the worker, or a new one in place of a
        dead one, gets the next cell.
        """
        cell, outcome = process.cell, process.receive()
        if outcome is not None and self._waiting:
            process.send(self._waiting.popleft())
            return [outcome]
        del self.workers[process.connection]
        how = process.stop()
        if outcome is not None:
            return [outcome]
        self._deaths[cell.name] += 1
        again = self._deaths[cell.name] == 1
        if again:
            self._waiting.append(cell)
        self.start(process.core)
        return [] if again else [outcome_of_death(cell.name, how)]

    def stop(self) -> None:
        for process in self.workers.values():
            process.stop()


class _Worker:
    """A worker process and the cell that it is at."""

    def __init__(self, core: int, cell: Cell) -> None:
        ours, theirs = socket.socketpair()
        self.core = core
        command = [sys.executable, "-P", "-m", worker.__name__, str(theirs.fileno()), str(core)]
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **worker.environment(), "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                # What a cell prints must not mix with the one document that a command prints
                stdout=2,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is for the sweep, which ends its workers
            )
        self.connection = Connection(ours.detach())
        self.send(cell)

    def send(self, cell: Cell) -> None:
        self.cell = cell
        with suppress(OSError):  # it died meanwhile; its answer will say so
            self.connection.send_bytes(json.dumps([cell.name, cell.function, cell.text]).encode())

    def receive(self) -> Outcome | None:
        """The outcome that the worker sent; `None` if it has died."""
        try:
            return Outcome.from_json(self.connection.recv_bytes().decode())
        except (EOFError, OSError):
            return None

    def stop(self) -> str:
        """End the worker; returns the signal or the exit status that it ended with."""
        self.connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)
        self._process.kill()
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"
