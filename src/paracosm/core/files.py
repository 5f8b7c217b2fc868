"""Files that are there whole or not at all, and JSON that may be damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paracosm.core.checks import BadArgument, BadData


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A file to write in place of `path`, which it replaces only when finished; missing folders are made.

    Raises:
        BadArgument: `path` cannot be written.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the operating system's refusal to write `path` into one sentence.

    Raises:
        BadArgument: `path` cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise BadArgument(f"{path} cannot be written: {error.strerror or error}.") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file of ours.

    Raises:
        BadData: the file is damaged.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise BadData(f"{path} is damaged ({error}); a JSON object is needed.") from None
