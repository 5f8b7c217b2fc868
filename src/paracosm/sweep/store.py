"""The store of a sweep: an SQLite file with one writer, which a kill at any moment leaves whole."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import platform
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from paracosm.core import checks
from paracosm.core.files import writing
from paracosm.sweep.cells import Cell, Outcome

FORMAT = 1
_APPLICATION = 0x50435357  # "PCSW": what marks an SQLite file as a sweep's
_PACKAGES = ("paracosm", "jax", "jaxlib", "equinox", "optax", "numpy", "scipy")
_TABLES = """
CREATE TABLE versions (name TEXT PRIMARY KEY, version TEXT NOT NULL);
CREATE TABLE cells (
  name TEXT PRIMARY KEY, place INTEGER NOT NULL, function TEXT NOT NULL, arguments TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
  result TEXT, error TEXT, traceback TEXT, seconds REAL
);
"""


class Store:
    """A sweep's cells and what came of them, open for writing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def record(self, outcome: Outcome) -> None:
        """Write down what came of a waiting cell; it is on the disk when this returns."""
        state = "done" if outcome.error is None else "failed"
        values = (
            state,
            outcome.result,
            outcome.error,
            outcome.traceback,
            outcome.seconds,
            outcome.name,
        )
        self._connection.execute(
            "UPDATE cells SET state = ?, result = ?, error = ?, traceback = ?, seconds = ?"
            " WHERE name = ? AND state = 'waiting'",
            values,
        )

    def retry_failed(self) -> None:
        """Let failed cells wait to be run again."""
        self._connection.execute(
            "UPDATE cells SET state = 'waiting', error = NULL, traceback = NULL, seconds = NULL"
            " WHERE state = 'failed'"
        )

    def names(self, state: str) -> list[str]:
        """The cells in this state, in the order of the sweep."""
        rows = self._connection.execute(
            "SELECT name FROM cells WHERE state = ? ORDER BY place", (state,)
        )
        return [name for (name,) in rows]

    def results(self) -> dict[str, dict[str, Any]]:
        """The results of finished cells by name, in the order of the sweep."""
        return _results(self._connection)


@contextmanager
def writer(
    path: Path, cells: Mapping[str, Cell], *, resume: bool, force: bool = False
) -> Iterator[Store]:
    """Open the store of this sweep for writing, for one writer at a time. A store that is not there
    is made; one that is there is continued with `resume` and replaced with `force`.

    Args:
        path: The SQLite file.
        cells: The cells of the sweep by name.
        resume: Whether to continue a store that is there.
        force: Whether to remove a store that is there first.

    Raises:
        BadArgument: the store is in use, cannot be written, is there already (without `resume`), or
            was made for other cells or by other versions.
        BadData: the file is damaged or no store.
    """
    path = Path(os.path.realpath(path))  # one store of several names has one lock
    with _lock(path), _refusal_in_a_sentence(path):
        if force:
            _discard(path)
        with closing(_open(path)) as connection:
            is_new = _is_new(path, connection)
            if not is_new and not resume:
                raise checks.BadArgument(
                    f"{path} already holds a sweep; resume it, or choose another store."
                )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            if is_new:
                _make(connection, cells)
            _require_versions(path, connection)
            _require_cells(path, connection, cells)
            yield Store(connection)


def _open(path: Path) -> sqlite3.Connection:
    """A connection that reads and writes."""
    return sqlite3.connect(path, timeout=60, isolation_level=None)


def _discard(path: Path) -> None:
    """Remove the store with its log; a file that is no store is refused."""
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        _is_sweep(path, connection)
    with writing(path):
        for end in ("-wal", "-shm", ""):
            path.with_name(path.name + end).unlink(missing_ok=True)


@contextmanager
def _reader(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise checks.Missing(f"there is no store {path}.")
    with _refusal_in_a_sentence(path, "read"), closing(_open_to_read(path)) as connection:
        if _is_new(path, connection):
            raise checks.BadData(f"{path} holds no sweep yet.")
        yield connection


def _open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that reads only.

    SQLite makes an index of its log beside the store, which a full disk refuses, as does a folder
    that is not ours. A store without a log is read as it is.
    """
    address, log = f"{path.resolve().as_uri()}?mode=ro", path.with_name(f"{path.name}-wal")
    connection = sqlite3.connect(address, timeout=60, uri=True)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError) or (log.exists() and log.stat().st_size):
            raise
        connection = sqlite3.connect(f"{address}&immutable=1", uri=True)
    return connection


def results(path: str | Path) -> dict[str, dict[str, Any]]:
    """Results by cell; can be read while a sweep writes, after a kill, and on a full disk.

    Raises:
        Missing: there is no such file.
        BadData: the file is damaged or no store of this format.
    """
    with _reader(Path(path)) as connection:
        return _results(connection)


def failures(path: str | Path) -> dict[str, Outcome]:
    """The cells that failed, by name; raises as `results` does."""
    with _reader(Path(path)) as connection:
        rows = connection.execute(
            "SELECT name, result, error, traceback, seconds FROM cells WHERE state = 'failed'"
            " ORDER BY place"
        )
        return {row[0]: Outcome(*row) for row in rows}


def provenance(path: str | Path) -> tuple[dict[str, str], float]:
    """The versions that a store was written with, and the seconds that its cells took; raises as
    `results` does.
    """
    with _reader(Path(path)) as connection:
        versions = dict(connection.execute("SELECT name, version FROM versions"))
        (seconds,) = connection.execute("SELECT total(seconds) FROM cells").fetchone()
        return versions, seconds


def _results(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    rows = connection.execute("SELECT name, result FROM cells WHERE state = 'done' ORDER BY place")
    return {name: json.loads(result) for name, result in rows}


def _is_new(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the file is new; one that is there must be a store of our format."""
    if not _is_sweep(path, connection):
        return True
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != FORMAT:
        raise checks.BadData(
            f"{path} is a store of format {version}; this version of Paracosm needs format"
            f" {FORMAT}."
        )
    return False


def _is_sweep(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether the file is the store of a sweep, of any format; a new one is not, and another is
    refused.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (tables or application):
        raise checks.BadData(f"{path} is not the store of a sweep; choose another.")
    return bool(application)


def _make(connection: sqlite3.Connection, cells: Mapping[str, Cell]) -> None:
    """All of a new store in one transaction: after a kill it is there or not."""
    rows = [
        (name, place, c.function, c.text, c.version)
        for place, (name, c) in enumerate(cells.items())
    ]
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _TABLES.split(";")[:-1]:
            connection.execute(statement)
        connection.executemany("INSERT INTO versions VALUES (?, ?)", _versions().items())
        connection.executemany(
            "INSERT INTO cells (name, place, function, arguments, version) VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _versions() -> dict[str, str]:
    """What rounding depends on, and our own version."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _require_versions(path: Path, connection: sqlite3.Connection) -> None:
    before, now = dict(connection.execute("SELECT name, version FROM versions")), _versions()
    for name in now:
        if before.get(name) != now[name]:
            raise checks.BadArgument(
                f"{path} was written with {name} {before.get(name, 'none')}, not {now[name]}; go"
                " on with that version,"
                " or choose another store."
            )


def _require_cells(path: Path, connection: sqlite3.Connection, cells: Mapping[str, Cell]) -> None:
    stored = {
        name: f"{function} version {version} with {arguments}"
        for name, function, version, arguments in connection.execute(
            "SELECT name, function, version, arguments FROM cells ORDER BY place"
        )
    }
    more = [
        f"{cell.function} version {cell.version} with {cell.text}"
        for n, cell in cells.items()
        if n not in stored
    ]
    gone = [text for name, text in stored.items() if name not in cells]
    if more or gone:
        which = f"lacks {more[0]}" if more else f"has {gone[0]}"
        raise checks.BadArgument(
            f"{path} holds another sweep: its {len(stored)} cells are not these {len(cells)}, it"
            f" {which}; choose another"
            " store, or give the specification that it was made for."
        )


@contextmanager
def _lock(path: Path) -> Iterator[IO[str]]:
    """Holds the lock file beside the store; the system lets go of it when the process ends, however
    it ends.
    """
    lock = path.with_name(f"{path.name}.lock")
    with writing(lock):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise checks.BadArgument(
                f"{path} is being written by another sweep (process"
                f" {file.read().strip() or 'unknown'}); wait for it,"
                " or choose another store."
            ) from None
        with writing(lock):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield file


@contextmanager
def _refusal_in_a_sentence(path: Path, verb: str = "written") -> Iterator[None]:
    """Turns SQLite's refusal, and results that are no JSON, into one sentence."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise checks.BadArgument(
            f"{path} cannot be {verb} ({error}); what is recorded stays, and the sweep can be"
            " resumed from it."
        ) from error
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise checks.BadData(
            f"{path} is damaged, or not the store of a sweep ({error})."
        ) from error
