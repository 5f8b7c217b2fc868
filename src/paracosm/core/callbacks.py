"""Errors of host functions that compiled programs call, raised as what they are."""

from __future__ import annotations

import collections
import contextlib
import importlib
from collections.abc import Iterator

from paracosm.core import checks

_MOST_FAILURES = 8  # of one program: each device may fail
_failures: collections.deque[checks.ParacosmError] = collections.deque(maxlen=_MOST_FAILURES)


def remember(error: checks.ParacosmError) -> None:
    """Keep a host function's error, which JAX is about to bury in its own account of it."""
    _failures.append(error)


@contextlib.contextmanager
def as_raised() -> Iterator[None]:
    """Around compiled programs: raises a foreign function's complaint as itself.

    JAX's account of it is a JaxRuntimeError, or from later calls of a program a ValueError, and
    holds the complaint's words.
    """
    _failures.clear()
    try:
        yield
    except checks.ParacosmError:
        raise
    except Exception as error:
        failure = next((failure for failure in _failures if str(failure) in str(error)), None)
        if failure is None:
            raise
        _forget()
        raise failure from None


def _forget() -> None:
    """Let JAX forget programs that failed.

    It waits for them when Python exits, and would print a second traceback.
    """
    _failures.clear()
    with contextlib.suppress(ImportError, AttributeError):
        importlib.import_module("jax._src.dispatch").runtime_tokens.clear()
