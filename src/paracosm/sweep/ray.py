"""Cells on a Ray cluster. Every node needs Paracosm and the modules of the cells."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from paracosm.core import checks
from paracosm.core.extras import import_optional
from paracosm.sweep.cells import Cell, Outcome, outcome_of_death, perform
from paracosm.sweep.worker import environment

_MOST = 1000  # cells given to a cluster at once: each is a record in its scheduler


def outcomes(
    cells: Sequence[Cell], address: str, workers: int | None = None
) -> Generator[Outcome, None, None]:
    """What comes of the cells, as they finish on the cluster at `address`; `workers` is the most it
    is given at once.

    Each runs on one core with the environment of a local worker. One whose process or node dies is
    run once more after the others, and has failed if that dies too. Closing the iterator gives up
    what still runs.

    Raises:
        Missing: Ray is not installed, or no cluster answers.
    """
    ray, ours = _connect(address)
    with redirect_stdout(
        sys.stderr
    ):  # Ray prints what happens to its workers, which is no part of a command's answer
        crew = _Cluster(ray, cells)
        try:
            yield from crew.outcomes(workers or _MOST)
        finally:
            crew.cancel()
            if ours:
                ray.shutdown()


class _Cluster:
    """Cells on the cluster, by the reference to their outcome, and cells that wait."""

    def __init__(self, ray: ModuleType, cells: Sequence[Cell]) -> None:
        self.running: dict[Any, Cell] = {}
        self._ray, self._waiting, self._deaths = ray, deque(cells), Counter[str]()
        own = {"env_vars": environment()}
        self._perform = ray.remote(num_cpus=1, max_retries=0, runtime_env=own)(perform)

    def outcomes(self, most: int) -> Generator[Outcome, None, None]:
        self._fill(most)
        while self.running:
            (ready, *_), _ = self._ray.wait(list(self.running), num_returns=1)
            outcomes = self._receive(ready)
            self._fill(most)
            yield from outcomes

    def _fill(self, most: int) -> None:
        while self._waiting and len(self.running) < most:
            cell = self._waiting.popleft()
            self.running[self._perform.remote(cell.name, cell.function, cell.text)] = cell

    def _receive(self, reference: Any) -> list[Outcome]:
        cell = self.running.pop(reference)
        try:
            return [self._ray.get(reference)]
        except self._ray.exceptions.RayError as error:
            self._deaths[cell.name] += 1
            if self._deaths[cell.name] > 1:
                return [outcome_of_death(cell.name, type(error).__name__)]
            self._waiting.append(cell)
            return []

    def cancel(self) -> None:
        for reference in self.running:
            self._ray.cancel(reference, force=True)


def require_reachable(address: str) -> None:
    """Require a cluster at the address, without joining it.

    Raises:
        Missing: Ray is not installed, or nothing listens at the address.
    """
    _import_ray(address)
    with _refusal_in_a_sentence(address):
        _require_listener(_resolve(address))


def _connect(address: str) -> tuple[ModuleType, bool]:
    """Ray, connected to the cluster, and whether this call connected it."""
    ray = _import_ray(address)
    if ray.is_initialized():
        return ray, False
    with _refusal_in_a_sentence(address):
        ray.init(_resolve(address), log_to_driver=False, logging_level=logging.ERROR)
    return ray, True


def _import_ray(address: str) -> ModuleType:
    """Import Ray, which reads these settings when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if _host(_resolve(address))[0] in (
        "127.0.0.1",
        "localhost",
    ):  # else it looks there at the machine's outer address
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    return import_optional("ray", "ray", "a cluster")


@contextmanager
def _refusal_in_a_sentence(address: str) -> Iterator[None]:
    """Turns what stands in the way of a cluster into one sentence."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise checks.Missing(
            f"no Ray cluster answers at {address!r} ({why}); start one with `ray start --head`, or"
            " give its host:port."
        ) from None


def _resolve(address: str) -> str:
    """The address that `auto` stands for, if this machine's last cluster left it in its usual
    place.
    """
    if address != "auto":
        return address
    current = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    left = current.read_text(encoding="utf-8").strip() if current.is_file() else ""
    return os.environ.get("RAY_ADDRESS") or left or address


def _host(address: str) -> tuple[str, str]:
    """The host and port of `host:port` or `ray://host:port`, empty if it is neither."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return host, port


def _require_listener(address: str) -> None:
    """Try the port: Ray itself would try for minutes.

    Raises:
        OSError: nothing listens.
        ValueError: the address is that of no cluster of this machine, or not a host and a port.
    """
    host, port = _host(address)
    if address == "auto":
        raise ValueError("none was started on this machine")
    if not host or not port.isdecimal():
        raise ValueError("'auto', host:port or ray://host:port is needed")
    socket.create_connection((host, int(port)), timeout=10).close()
