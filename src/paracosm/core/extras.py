"""Optional packages, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from paracosm.core import checks


def import_optional(module: str, extra: str, user: str) -> Any:
    """Import an optional package.

    Args:
        module: What is imported.
        extra: The extra of Paracosm that installs it.
        user: What needs it, as a sentence begins.

    Raises:
        Missing: it cannot be imported; the sentence says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise checks.Missing(f"{needs(user, module, extra)} ({error}).") from error


def needs(user: str, package: str, extra: str) -> str:
    """The sentence, without its end, on what is not installed and how to install it.

    >>> needs("the tracker wandb", "wandb", "wandb")
    "the tracker wandb needs wandb: pip install 'paracosm[wandb]'"
    """
    return f"{user} needs {package}: pip install 'paracosm[{extra}]'"
