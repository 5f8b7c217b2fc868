"""Standard streams: descriptor 1 carries the command's own output and nothing else; closed, full
and ASCII streams.

Environments and models are other people's code, and print: with `print`, or from C. While a command
runs, descriptor 1 and `sys.stdout` lead to stderr, and the command writes to the descriptor that it
set aside.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any, TextIO, cast

# What our pages print beyond ASCII; in a stream that cannot hold it, a minus must stay a minus.
_IN_ASCII = {
    "±": "+/-",
    "²": "^2",
    "·": ".",
    "×": "x",
    "–": "-",
    "−": "-",
    "’": "'",
    "←": "<-",
    "→": "->",
}
_IN_ASCII |= {
    "∞": "inf",
    "≠": "!=",
    "≤": "<=",
    "≥": ">=",
    "│": "|",
    "█": "#",
    "…": "...",
    "γ": "gamma",
    "λ": "lambda",
    "τ": "tau",
    "✓": "*",
}


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_character_in_ascii, error.object[error.start : error.end])), error.end


def _character_in_ascii(character: str) -> str:
    return (
        _IN_ASCII.get(character)
        or unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        or "?"
    )


codecs.register_error("paracosm", _in_ascii)

_own: list[TextIO] = []  # the command's own output, while one runs


class Helped(SystemExit):
    """The parser has shown its help, which is all that was asked for. Any other `SystemExit` was
    raised by somebody else's code.
    """


@contextlib.contextmanager
def own_output(*, for_good: bool) -> Iterator[None]:
    """While this lasts, only `output_stream` reaches stdout; whatever else prints there reaches
    stderr.

    `for_good` leaves it so, for a process that ends afterwards: what is flushed on the way out is
    not the command's own output either.

    Raises:
        Unwritable: standard output is closed.
    """
    closed = _fill_closed()
    if sys.stderr is None:
        # Open for as long as the process runs.
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
    if for_good:
        sys.stderr = cast(TextIO, _Forgiving(sys.stderr))
    if 1 in closed or sys.stdout is None:
        from paracosm.core.files import Unwritable  # imports NumPy, which --help needs not

        raise Unwritable("standard output is closed; a command needs it for what it finds.")
    with _set_stdout_aside(for_good=for_good) as stream:
        _own.append(stream)
        try:
            yield
        finally:
            _own.pop()


@contextlib.contextmanager
def _set_stdout_aside(*, for_good: bool) -> Iterator[TextIO]:
    before, saved = sys.stdout, os.dup(1)
    before.flush()
    stream = _stream(before, saved)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield stream
    finally:
        if not for_good:
            _flush_all(before)
            os.dup2(saved, 1)
            sys.stdout = before
            os.close(saved)


def _stream(stdout: Any, descriptor: int) -> Any:
    """A stream to where `stdout` led; one that does not lead to descriptor 1 (a notebook's, a
    test's) stays itself.
    """
    try:
        if stdout.fileno() != 1:
            return stdout
    except (OSError, ValueError):
        return stdout
    raw = open(descriptor, "wb", closefd=False)  # noqa: SIM115 - the caller closes the descriptor
    return io.TextIOWrapper(raw, encoding=stdout.encoding, errors="paracosm", newline=None)


@contextlib.contextmanager
def output_stream() -> Iterator[TextIO]:
    """The stream of the command's own output.

    Raises:
        BrokenPipeError: nobody reads it any more.
        Unwritable: it cannot be written, as on a full disk.
    """
    stream = _own[-1] if _own else sys.stdout
    try:
        yield stream
        stream.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            discard(stream.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        from paracosm.core.files import Unwritable

        raise Unwritable(
            f"standard output cannot be written: {error.strerror or error}."
        ) from error


def write(text: str) -> None:
    """Write the command's own output; raises as `output_stream` does."""
    with output_stream() as stream:
        stream.write(text)


def silence() -> None:
    """Let nothing more be printed: what fails on the way out has no sentence to add."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    for descriptor in (1, 2):
        discard(descriptor)


def discard(descriptor: int) -> None:
    """Lead a descriptor nowhere, so that what is buffered for it can be flushed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


class _Forgiving:
    """A stderr that may be full: what it cannot show is lost, and nothing else."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, or lose it."""
        with self._losing():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or lose it."""
        with self._losing():
            self._stream.flush()

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            discard(2)


def _fill_closed() -> set[int]:
    """Opens closed standard descriptors to nowhere: else the next file opened becomes one
    of them.
    """
    closed = set()
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.add(os.open(os.devnull, os.O_RDWR))
            os.set_inheritable(descriptor, True)
    return closed


def _flush_all(stdout: Any) -> None:
    """What Python and C still hold for descriptor 1, while it leads to stderr."""
    with contextlib.suppress(OSError, ValueError):
        stdout.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)
