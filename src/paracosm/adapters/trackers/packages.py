"""The packages that trackers hand numbers to, imported when they are asked for."""

from __future__ import annotations

import importlib
from typing import Any

from paracosm.core import checks


def package(module: str, extra: str) -> Any:
    """An optional package.

    Raises:
        Missing: it is not installed; the sentence says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise checks.Missing(
            f"the tracker {extra} needs pip install 'paracosm[{extra}]' ({error})."
        ) from error
