"""Cells on this machine: a single-threaded worker process per core, and one process that hears of
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
from paracosm.sweep.cells import Cell, Outcome, died


def outcomes(cells: Sequence[Cell], workers: int | None = None) -> Generator[Outcome, None, None]:
    """What comes of the cells, as they finish; they are begun in the order given.

    `workers` is the number of processes, by default one per core, and then each keeps to a core of
    its own. A worker that dies costs its cell only: that is run once more after the others, and has
    failed if its worker dies again. Closing the iterator ends the workers.
    """
    cores = _cores()
    count = min(workers or len(cores), len(cells))
    own = count == len(cores) and hasattr(os, "sched_setaffinity")
    crew = _Crew(cells)
    try:
        for core in cores if own else [-1] * count:
            crew.hire(core)
        while crew.hands:
            for hand in crew.ready():
                yield from crew.hear(hand)
    finally:
        crew.dismiss()


def _cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class _Crew:
    """The workers, by the connection that they answer on, and the cells that wait for one."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.hands: dict[Connection, _Hand] = {}
        self._waiting = deque(cells)
        self._deaths = Counter[str]()

    def hire(self, core: int) -> None:
        if self._waiting:
            hand = _Hand(core, self._waiting.popleft())
            self.hands[hand.connection] = hand

    def ready(self) -> list[_Hand]:
        """Those that have something to tell, or have died; waits until there is one."""
        ended = wait(list(self.hands))
        return [hand for connection, hand in self.hands.items() if connection in ended]

    def hear(self, hand: _Hand) -> list[Outcome]:
        """The outcome that this worker has to tell, if it lives; it, or who stands in for it, gets
        the next cell.
        """
        cell, outcome = hand.cell, hand.answer()
        if outcome is not None and self._waiting:
            hand.give(self._waiting.popleft())
            return [outcome]
        del self.hands[hand.connection]
        how = hand.stop()
        if outcome is not None:
            return [outcome]
        self._deaths[cell.name] += 1
        again = self._deaths[cell.name] == 1
        if again:
            self._waiting.append(cell)
        self.hire(hand.core)
        return [] if again else [died(cell.name, how)]

    def dismiss(self) -> None:
        for hand in self.hands.values():
            hand.stop()


class _Hand:
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
        self.give(cell)

    def give(self, cell: Cell) -> None:
        self.cell = cell
        with suppress(OSError):  # it died meanwhile; its answer will say so
            self.connection.send_bytes(json.dumps([cell.name, cell.function, cell.text]).encode())

    def answer(self) -> Outcome | None:
        """What it sent, or nothing if it has died."""
        try:
            return Outcome.from_json(self.connection.recv_bytes().decode())
        except (EOFError, OSError):
            return None

    def stop(self) -> str:
        """End it, and say how it ended if it had by itself."""
        self.connection.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0.1)
        self._process.kill()
        code = self._process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"
