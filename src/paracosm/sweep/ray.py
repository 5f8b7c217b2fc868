"""Cells on a Ray cluster. Every node needs Paracosm and the modules of the cells."""

from __future__ import annotations

import logging
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

from paracosm.core import checks
from paracosm.sweep.cells import Cell, Outcome, died, perform
from paracosm.sweep.worker import environment

_MOST = 1000


def outcomes(cells: Sequence[Cell], address: str, workers: int | None = None) -> Iterator[Outcome]:
    """What comes of the cells, as they finish on the cluster at `address`; `workers` is the most it is given at once.

    Each runs on one core with the environment of a local worker. One whose process or node dies is run once more
    after the others, and has failed if that dies too. Closing the iterator gives up what still runs.

    Raises:
        Missing: Ray is not installed, or no cluster answers.
    """
    ray, ours = _connected(address)
    crew = _Cluster(ray, cells)
    try:
        crew.fill(workers or _MOST)
        while crew.running:
            (ready, *_), _ = ray.wait(list(crew.running), num_returns=1)
            found = crew.hear(ready)
            crew.fill(workers or _MOST)
            yield from found
    finally:
        crew.cancel()
        if ours:
            ray.shutdown()


class _Cluster:
    """The cells that the cluster has been given, by the reference to their outcome, and those that wait."""

    def __init__(self, ray: ModuleType, cells: Sequence[Cell]) -> None:
        self.running: dict[Any, Cell] = {}
        self._ray, self._waiting, self._deaths = ray, deque(cells), Counter[str]()
        own = {"env_vars": environment()}
        self._perform = ray.remote(num_cpus=1, max_retries=0, runtime_env=own)(perform)

    def fill(self, most: int) -> None:
        while self._waiting and len(self.running) < most:
            cell = self._waiting.popleft()
            self.running[self._perform.remote(cell.name, cell.function, cell.text)] = cell

    def hear(self, reference: Any) -> list[Outcome]:
        cell = self.running.pop(reference)
        try:
            return [self._ray.get(reference)]
        except self._ray.exceptions.RayError as error:
            self._deaths[cell.name] += 1
            if self._deaths[cell.name] > 1:
                return [died(cell.name, type(error).__name__)]
            self._waiting.append(cell)
            return []

    def cancel(self) -> None:
        for reference in self.running:
            self._ray.cancel(reference, force=True)


def _connected(address: str) -> tuple[ModuleType, bool]:
    """Ray, connected to the cluster; and whether it was we who connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise checks.Missing("Ray is not installed; install it with: pip install 'paracosm[ray]'.") from None
    if ray.is_initialized():
        return ray, False
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise checks.Missing(
            f"no Ray cluster answers at {address!r} ({first}); start one with: ray start --head."
        ) from None
    return ray, True
