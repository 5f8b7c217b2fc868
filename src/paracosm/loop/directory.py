"""The run directory: our own mark, one writer, whole files only, a log of events, and which stages
are finished.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, TypeVar

from paracosm.core import checks
from paracosm.core.files import (
    Unwritable,
    atomic_write,
    json_object,
    make_folders,
    read_json,
    read_record,
    remove_folders,
    shown,
    try_folder,
    writing,
)
from paracosm.core.records import Record
from paracosm.loop.names import by_name

T = TypeVar("T")
R = TypeVar("R", bound=Record)

CONFIG, EVENTS, LOCK = "config.json", "events.jsonl", "run.lock"
_REMOVED = "events-removed.jsonl"  # the log of a run whose files are being removed
DATA_CHECKSUM = "data_checksum"  # of the rows of owned data; older versions wrote none
MARK = "paracosm run 1"  # what `format` in config.json holds: other programs have a config.json too
_FOLDERS = ("data", "models")
_PART = r"\.[0-9a-f]{8}\.(\d+)\.part"  # of a file that the process of that number was writing
_RUN_FILES = re.compile(
    r"events(-removed)?\.jsonl|run\.lock|config\.json|policy\.(eqx|json)"
    r"|(audit|result|measured|ranking)\.json|report\.html"
    r"|(plan|audit)-\d+\.json|data/(round-\d+|evaluation|partial(-\d+)?)\.npz"
    r"|models/(world|policy|partial|encoder)-\d+\.(eqx|json)|events\.out\.tfevents\.\d+\.\d+"
    rf"|(data/|models/)?{_PART}"
)
_MOST_SECONDS = 1e12  # a number that a damaged log can hold and no stage takes
_EVENT_PREFIX = b'{"event": "'  # how every line of the log begins
_TIMED = ("finished", "stopped")  # events of stages that are over, with their seconds


class Failure(NamedTuple):
    """Why something could not be written: no error, whose traceback holds on to data and models."""

    message: str
    room_helps: bool


@dataclasses.dataclass(frozen=True)
class RunDirectory:
    """A run's files. A stage is finished when the log says so, after its files are whole.

    Attributes:
        path: The folder.
        lock: Held open by the one process that writes the run; the system lets go of it when that
            process ends.
        folders: Those that were made for this run, the innermost first.
        is_new: Whether the run was started here; false of one that is resumed or only read.
        unwritten: What could not be written, each sentence once; the run goes on with what it has
            in memory.
    """

    path: Path
    lock: IO[str] | None = None
    folders: tuple[Path, ...] = ()
    is_new: bool = False
    unwritten: list[Failure] = dataclasses.field(default_factory=list)

    @classmethod
    def create(
        cls, path: Path, config: dict[str, Any], *, resume: bool, force: bool
    ) -> RunDirectory:
        """Start a run in `path`, or go on with the one that is there. It is locked until `close`.

        Args:
            path: The folder, made if there is none.
            config: What the run does, as JSON.
            resume: Whether to go on with a run of the same `config`, if there is one.
            force: Whether a run in `path` is removed first.

        Raises:
            BadArgument: `path` holds a run (and neither `resume` nor `force`), another run than the
                one to resume, something that is no run, is being written by another process, or
                cannot be written.
        """
        require_free(path, config, resume=resume, force=force)
        folders = make_folders(path)
        run = cls(path, _lock(path), folders)
        try:
            return run._start_or_continue(config, resume=resume, force=force)
        except BaseException:
            run.close()
            if folders and not (path / CONFIG).exists():
                (path / LOCK).unlink(missing_ok=True)
                remove_folders(folders)
            raise

    def _start_or_continue(
        self, config: dict[str, Any], *, resume: bool, force: bool
    ) -> RunDirectory:
        """Start the run, or go on with the one that is there, now that nobody else writes it."""
        if _run_or_refuse(self.path):
            if resume:
                _require_same(self.path, config)
                if (self.path / _REMOVED).is_file():
                    self.clear()
                self._remove_parts()
                return self
            if not force:  # another process started it while this one waited for the lock
                _refuse_second(self.path)
            self.clear()
        self._remove_parts()
        self.write(CONFIG, json.dumps({"format": MARK, **config}, indent=1, allow_nan=False))
        folders = [folder for name in _FOLDERS for folder in make_folders(self.path / name)]
        return dataclasses.replace(self, folders=(*folders, *self.folders), is_new=True)

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process write the run."""
        if self.lock is not None:
            self.lock.close()

    def clear(self) -> None:
        """Remove the files that the run wrote, and nothing else. Settings and lock stay: they mark
        the folder as a run's.

        The log is renamed first, without which no stage is finished, and removed last: it says how
        many rounds there were.
        """
        with writing(self.path):
            if (self.path / EVENTS).is_file():
                (self.path / EVENTS).replace(self.path / _REMOVED)
            for file in sorted(files_of_run(self.path), key=lambda file: file.name == _REMOVED):
                if file.name not in (LOCK, CONFIG):
                    file.unlink()

    def _remove_parts(self) -> None:
        """Remove what a killed process was writing: pictures can be as large as the data."""
        with writing(self.path):
            for folder in (self.path, *(self.path / name for name in _FOLDERS)):
                for file in folder.iterdir() if folder.is_dir() else ():
                    part = re.fullmatch(_PART, file.name)
                    if part and not _is_alive(int(part[1])):
                        file.unlink(missing_ok=True)

    def discard_if_nothing_was_bought(self, *, real_steps: int) -> None:
        """Remove a run that was refused before it took a real step or finished a stage that lasts:
        it must not block the corrected one.

        The folders made for it go too. A run that was gone on with, learned from data that were
        given, or kept steps of an environment that failed, stays.
        """
        if not self.is_new or real_steps or any((self.path / "data").glob("partial*")):
            return
        if any((self.path / "models").glob("*")):
            return
        with contextlib.suppress(
            OSError, checks.ParacosmError
        ):  # the refusal itself is what the user must hear
            self.clear()
            (self.path / CONFIG).unlink(missing_ok=True)
            (self.path / LOCK).unlink(missing_ok=True)
            remove_folders(self.folders)

    def file(self, name: str) -> Path:
        """The path of a file of the run."""
        return self.path / name

    def write(self, name: str, text: str) -> None:
        """Write a text file whole or not at all."""
        with atomic_write(self.path / name) as part:
            part.write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Remembers in `unwritten` what cannot be written: neither a full disk nor a policy of a
        class that is not storable is a reason to lose what is in memory.
        """
        try:
            yield
        except (Unwritable, checks.Unsupported) as error:
            failure = Failure(str(error), isinstance(error, Unwritable))
            if failure not in self.unwritten:
                self.unwritten.append(failure)

    def log(self, event: str, **facts: Any) -> None:
        """Append one line to the log of events; a line that a kill cut off is ended first."""
        file = self.path / EVENTS
        with writing(file), file.open("a+b") as log:
            if log.tell() and os.pread(log.fileno(), 1, log.tell() - 1) != b"\n":
                log.write(b"\n")
            line = json.dumps({"event": event, "at": round(time.time(), 3), **facts})
            log.write(f"{line}\n".encode())
            log.flush()
            os.fsync(log.fileno())

    def events(self) -> list[dict[str, Any]]:
        """The log; a line that was cut off by a kill is left out.

        Raises:
            BadData: a line is no event; the sentence names it.
        """
        file = self.path / EVENTS
        if not file.exists():
            return []
        try:
            lines = file.read_bytes().splitlines()
        except OSError as error:
            raise checks.BadData(f"{shown(file)} cannot be read: {error.strerror}.") from error
        events = (
            _event(line, f"{shown(file)}, line {number}") for number, line in enumerate(lines, 1)
        )
        return [event for event in events if event is not None]

    def stage(
        self,
        name: str,
        make: Callable[[], T],
        save: Callable[[T], None],
        load: Callable[[], T],
    ) -> T:
        """The result of a stage: loaded if it finished before, else made, saved and logged with the
        time it took, in seconds; the time of one that is interrupted is logged, too.

        Args:
            name: The stage's name in the log, `kind` or `kind-round`.
            make: Gives the result.
            save: Writes the result into the folder.
            load: Reads what `save` wrote.
        """
        if any(event["event"] == "finished" and event["stage"] == name for event in self.events()):
            return load()
        with self.attempt():
            self.log("started", stage=name)
        before = time.perf_counter()
        try:
            result = make()
        except BaseException:
            with self.attempt():
                self.log("stopped", stage=name, seconds=round(time.perf_counter() - before, 3))
            raise
        with self.attempt():
            save(result)
            self.log("finished", stage=name, seconds=round(time.perf_counter() - before, 3))
        return result

    def record_stage(self, name: str, kind: type[R], make: Callable[[], R], file: str) -> R:
        """As `stage`, of a stage whose result is one record in one JSON file.

        Args:
            name, make: As for `stage`.
            kind: The class of the record.
            file: The file's name in the folder.
        """
        return self.stage(
            name,
            make,
            lambda record: self.write(file, record.to_json()),
            lambda: read_record(kind, self.file(file)),
        )

    def seconds(self) -> dict[str, float]:
        """Time by kind of stage, summed over rounds and over the parts of a stage that stopped and
        was resumed; a stage's name is `kind` or `kind-round`. What a kill, or a stop while saving,
        cut off is not known.
        """
        spent: dict[str, float] = {}
        for event in self.events():
            if event["event"] in _TIMED:
                kind = event["stage"].split("-")[0]
                spent[kind] = round(spent.get(kind, 0.0) + event["seconds"], 3)
        return spent


def _is_alive(process: int) -> bool:
    """Whether a process of this number runs on this machine."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _event(line: bytes, place: str) -> dict[str, Any] | None:
    """The event that a line of the log holds; None for one that a kill cut off."""
    try:
        event = json_object(line)
    except ValueError as error:
        cut_off = line.startswith(_EVENT_PREFIX[: len(line)]) and not line.rstrip().endswith(b"}")
        if cut_off or not line.strip():
            return None
        raise checks.BadData(f"{place} is damaged ({error}); an event is needed.") from None
    is_timed = event.get("event") in _TIMED
    seconds = event.get("seconds") if is_timed else 0
    texts = [event.get(name) for name in (("event", "stage") if is_timed else ("event",))]
    seconds_valid = (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and 0 <= seconds < _MOST_SECONDS
    )
    if not seconds_valid or not all(isinstance(text, str) for text in texts):
        raise checks.BadData(
            f"{place} is damaged; an event has a name, and a stage that is over its name and its"
            " seconds."
        )
    return event


def default_out(env: str, seed: int) -> Path:
    """Where a run is written if nobody says: `runs/ENV-seedN`, of a long name its end."""
    return Path("runs") / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', env)[-100:]}-seed{seed}"


def require_free(path: Path, config: dict[str, Any], *, resume: bool, force: bool) -> None:
    """Require a folder in which a run can start or be resumed; nothing is made.

    Args:
        path, config, resume, force: As `RunDirectory.create` has them.

    Raises:
        BadArgument: as `RunDirectory.create` does.
    """
    if resume and force:
        raise checks.BadArgument(
            "both --resume and --force are given; choose whether to go on or to start again."
        )
    try_folder("--out", path)
    if _run_or_refuse(path):
        if (path / LOCK).exists():
            _lock(path).close()
        if resume:
            _require_same(path, config)
        elif not force:
            _refuse_second(path)


def _require_same(path: Path, config: dict[str, Any]) -> None:
    """Require that the run in a folder does what `config` says, whatever the number of its workers.

    Raises:
        BadArgument: a setting is another, or the rows of owned data are.
    """
    before, now = by_name(read_json(path / CONFIG)), by_name({"format": MARK, **config})
    # Runs from before learners had names were REINFORCE's.
    for settings in (before, now):
        settings["learner"] = settings.get("learner") or "reinforce"
    checksums = {settings.get(DATA_CHECKSUM) for settings in (before, now)} - {None}
    if len(checksums) > 1:
        raise checks.BadArgument(
            f"the run in {path} learns from --data that had other rows; --resume needs the same"
            " ones."
        )
    for name in sorted({*before, *now} - {"workers", DATA_CHECKSUM}):
        if before.get(name) != now.get(name):
            raise checks.BadArgument(
                f"the run in {path} had {name} = {before.get(name)!r}, not {now.get(name)!r};"
                " --resume needs the same settings."
            )


def is_run(path: Path) -> bool:
    """Whether the folder carries our own mark: a config.json that a run wrote."""
    with contextlib.suppress(OSError, checks.BadData):
        return read_json(path / CONFIG).get("format") == MARK
    return False


def refuse_data_inside(data: Path, out: Path) -> None:
    """Require that a data set lies outside the run directory, whose files are overwritten and
    removed.

    Raises:
        BadArgument: it lies inside, symbolic links followed.
    """
    where = Path(os.path.realpath(data))
    for folder in (out, *(out / name for name in _FOLDERS)):
        if where.is_relative_to(os.path.realpath(folder)):
            raise checks.BadArgument(
                f"--data {shown(data)} lies inside --out {shown(out)}, whose files a run"
                " overwrites; choose another --out, or move the data."
            )


def _run_or_refuse(path: Path) -> bool:
    """Whether a run is there; a folder of other things is refused, an empty one or a missing one is
    not a run.

    Raises:
        BadArgument: there are files and no run.
    """
    with writing(path):
        names = {file.name for file in path.iterdir()} if path.is_dir() else set()
    if is_run(path):
        return True
    if {name for name in names - {LOCK} if not re.fullmatch(_PART, name)}:
        why = f"; its {CONFIG} is damaged or not a run's of this version" if CONFIG in names else ""
        raise checks.BadArgument(
            f"{shown(path)} exists and holds no run{why}; choose another --out."
        )
    return False


def _refuse_second(path: Path) -> NoReturn:
    raise checks.BadArgument(
        f"{shown(path)} already holds a run; give --resume to go on, --force to start again, or"
        " another --out."
    )


def files_of_run(path: Path) -> list[Path]:
    """The files in the folder that its run writes, by their names and its number of rounds; others
    are not ours.
    """
    rounds, files = _rounds(path), []
    for folder in (path, *(path / name for name in _FOLDERS)):
        for file in folder.iterdir() if folder.is_dir() else ():
            name = file.relative_to(path).as_posix()
            number = re.search(r"-(\d+)\.", name)
            # A plan is made for the round after the last one too.
            numbers = rounds + 1 if name.startswith("plan") else rounds
            is_of_round = number is None or int(number[1]) < numbers
            is_file = file.is_symlink() or not file.is_dir()
            if _RUN_FILES.fullmatch(name) and is_of_round and is_file:
                files.append(file)
    return files


def collected_rounds(path: Path) -> int:
    """How many rounds of a run have their data on the disk, as far as its log knows of them: other
    files may be copies, or of a run that was there before.
    """
    known = range(_rounds(path)) if (path / EVENTS).is_file() else itertools.count()
    has_data = (path.joinpath(f"data/round-{round}.npz").is_file() for round in known)
    return sum(itertools.takewhile(bool, has_data))


def _rounds(path: Path) -> int:
    """How many rounds the run was to have, or has started if its learner has rounds of its own."""
    rounds = read_json(path / CONFIG).get("rounds")
    logs = (path / name for name in (EVENTS, _REMOVED))
    lines = b"".join(log.read_bytes() for log in logs if log.is_file())
    started = re.findall(rb'"collect-([0-9]{1,9})"', lines)
    return max([rounds if isinstance(rounds, int) else 0, *(int(number) + 1 for number in started)])


def _lock(path: Path) -> IO[str]:
    """The lock of the run directory, held until the file is closed or the process ends, however it
    ends.

    Raises:
        BadArgument: another process holds it; the sentence names that.
    """
    place = path / LOCK
    with writing(place):
        lock = place.open("a+", encoding="utf-8", errors="replace")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read(20).strip() or "unknown"
            lock.close()
            raise checks.BadArgument(
                f"{shown(path)} is being written by another run (process {holder}); wait for it,"
                " or choose another --out."
            ) from None
        if not place.exists() or not os.path.samestat(os.fstat(lock.fileno()), place.stat()):
            lock.close()  # the run that held the lock was discarded, and the file with it
            return _lock(path)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
    return lock
