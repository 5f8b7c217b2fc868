"""Files that are there whole or not at all, paths that are tried before work begins, and files that
may be damaged.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from paracosm.core.checks import BadArgument, BadData, ParacosmError
from paracosm.core.records import Record

T = TypeVar("T")
R = TypeVar("R", bound=Record)

# Arrays of data sets compress tenfold, constant columns some hundredfold, and padded pictures of
# episodes that end early as much as an archive made to fill memory: half of it they may take, of a
# large memory `_MOST_OF_MEMORY`.
_MOST_INFLATED = 1 << 30
_MOST_OF_MEMORY = 16 << 30
_MOST_RATIO = 200


class Unwritable(BadArgument):
    """A file or a stream that cannot be written."""


class Unwritten(Unwritable):
    """A file could not be written after the work was done; `result` holds what would have been
    written.
    """

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A file that replaces `path` only when it is finished; missing folders are made.

    A symbolic link stays and its target is replaced.

    Raises:
        Unwritable: `path` cannot be written.
    """
    path = as_path("the file to write", path)
    with writing(path):
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_replaceable("the file to write", path)
        part = _part(path)
        try:
            yield part
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _part(path: Path) -> Path:
    """Beside `path`, of a short name of its own: one that holds the whole name can be too long."""
    return path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.{os.getpid()}.part")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's refusal to write `path` into one sentence.

    Raises:
        Unwritable: `path` cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise Unwritable(f"{shown(path)} cannot be written: {error.strerror or error}.") from error


def as_path(name: str, value: Any) -> Path:
    """The path that an argument gives.

    Raises:
        BadArgument: it is no path, or one that no file can have.
    """
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise BadArgument(f"{name} is a {type(value).__name__}; a path is needed.")
    text = os.fspath(value)
    if not text or "\0" in text or not _encodable(text):
        raise BadArgument(f"{name} is {text!r}; a path is needed.")
    return Path(text)


def _encodable(text: str) -> bool:
    with contextlib.suppress(UnicodeEncodeError):
        return bool(os.fsencode(text))
    return False


def shown(path: str | Path) -> str:
    """A path as a sentence shows it: its end, where it is long."""
    text = str(path)
    return text if len(text) <= 200 else f"…{text[-80:]}"


def whole_text(text: str) -> str:
    """The text as every file can hold it: names of files that are not UTF-8 have halves of
    characters, which are written out.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def try_file(name: str, path: str | Path) -> None:
    """Require that a file can be written at `path`, by making one there; nothing stays.

    Raises:
        BadArgument: it is a folder or a device, or cannot be written; `name` is the argument's.
    """
    path = as_path(name, path)
    with writing(path), _folders(path.parent):
        target = Path(os.path.realpath(path))
        _require_replaceable(name, target)
        _try_part(target)


def try_folder(name: str, path: str | Path) -> None:
    """Require that files can be written in the folder `path`, by making one there; nothing stays.

    Raises:
        BadArgument: it is a file, the current folder or one above it, or cannot be written; `name`
            is the argument's.
    """
    path = as_path(name, path)
    with writing(path):
        if Path.cwd().is_relative_to(os.path.realpath(path)):
            raise BadArgument(
                f"{name} is '{shown(path)}', which is or holds the current folder; a folder of its"
                " own is needed."
            )
        if path.exists() and not path.is_dir():
            raise BadArgument(f"{name} is '{shown(path)}', which is a file; a folder is needed.")
        with _folders(path):
            _try_part(path / "x")


def _require_replaceable(name: str, path: Path) -> None:
    """A new file or a regular one that may be written: a device would be replaced by a file."""
    if path.is_symlink():  # it was followed already
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not path.exists():
        return
    if path.is_dir():
        raise BadArgument(f"{name} is '{shown(path)}', which is a folder; a file is needed.")
    if not stat.S_ISREG(path.stat().st_mode):
        raise BadArgument(
            f"{name} is '{shown(path)}', which is a device or a pipe; a file is needed."
        )
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _try_part(path: Path) -> None:
    part = _part(path)
    try:
        part.write_bytes(b"\0")
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _folders(path: Path) -> Iterator[None]:
    """Makes the missing folders of `path`, and removes them again."""
    folders = make_folders(path)
    try:
        yield
    finally:
        remove_folders(folders)


def make_folders(path: Path) -> tuple[Path, ...]:
    """Makes the missing folders of `path`; returns those that were made, the innermost first.

    Raises:
        OSError: one cannot be made; then none is.
    """
    missing = [folder for folder in (path, *path.parents) if not os.path.exists(folder)]
    folders: list[Path] = []
    try:
        for folder in reversed(missing):
            folder.mkdir(exist_ok=True)
            folders.insert(0, folder)
        os.listdir(path)  # refuses a file in place of a folder
    except OSError:
        remove_folders(tuple(folders))
        raise
    return tuple(folders)


def remove_folders(folders: tuple[Path, ...]) -> None:
    """Removes folders that are empty, the innermost first; stops at one that is not."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of ours.

    Raises:
        BadData: the file is damaged.
    """
    try:
        return json_object(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadData(
            f"{shown(path)} is damaged ({_reason(error)}); a JSON object is needed."
        ) from None


def json_object(text: bytes | str) -> dict[str, Any]:
    """The object that strict JSON holds.

    Raises:
        ValueError: it is damaged, nested too deeply, or no object.
    """
    try:
        tree = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(tree, dict):
        raise ValueError(f"it holds a {type(tree).__name__}")
    return tree


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not strict JSON")


def read_record(kind: type[R], path: Path) -> R:
    """The record of this kind in a JSON file of ours.

    Raises:
        BadData: the file is damaged; the sentence names file and field.
    """
    tree = read_json(path)
    try:
        return kind.from_dict(tree)
    except BadData as error:
        raise BadData(f"{shown(path)} is damaged or of another version: {error}") from None


def reading(call: Callable[[], T], where: str, needed: str) -> T:
    """What a library reads from a file.

    Raises:
        BadData: it cannot; damaged files make such libraries fail with nearly anything.
        ParacosmError: whatever of ours was raised, unchanged.
    """
    try:
        return call()
    except ParacosmError:
        raise
    except Exception as error:
        raise BadData(f"{where} is not {needed}: {_reason(error)}.") from error


def read_arrays(path: Path, what: str) -> dict[str, np.ndarray]:
    """The named arrays in an npz file; `what` says in the sentence of a refusal what is needed.

    Raises:
        BadData: the file is no npz file of plain arrays, is damaged, encrypted, or would inflate
            beyond measure.
    """
    try:
        with (
            path.open("rb") as raw,
            warnings.catch_warnings(),
        ):  # a path np.load leaves open, where it is damaged
            warnings.simplefilter("ignore")  # NumPy warns of a damaged header before it fails
            with zipfile.ZipFile(raw) as archive:
                _require_modest(archive, path)
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                arrays = dict(file)
        if non_arrays := [
            name for name, values in arrays.items() if not isinstance(values, np.ndarray)
        ]:
            raise ValueError(f"{non_arrays[0]} in it is no array")
        return arrays
    except (OSError, MemoryError, *_DAMAGE) as error:
        raise BadData(
            f"{shown(path)} is not an npz file of plain arrays ({_reason(error)}); {what}."
        ) from None


# What NumPy, zipfile and zlib raise on damaged bytes, encryption and unknown compression included.
_DAMAGE = (
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    SyntaxError,
    ArithmeticError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    tokenize.TokenError,
)


def _require_modest(archive: zipfile.ZipFile, path: Path) -> None:
    inflated = sum(entry.file_size for entry in archive.infolist())
    of_memory = min(_memory() // 2, _MOST_OF_MEMORY)
    if inflated > max(_MOST_INFLATED, of_memory, _MOST_RATIO * path.stat().st_size):
        raise ValueError(f"it would inflate to {inflated:.3g} bytes")


def _memory() -> int:
    """The bytes of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _reason(error: BaseException) -> str:
    """Why a file could not be read, in one line."""
    text = (
        (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    )
    return " ".join(text.split()).rstrip(".")[:200]
