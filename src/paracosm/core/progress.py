"""How long work says how far it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """What a run tells while it works: the stage, how much of it is done, and a word on how it
    goes.
    """

    def __call__(self, stage: str, done: int, total: int, word: str = "") -> None:
        """Called often; must be quick."""


def silent(stage: str, done: int, total: int, word: str = "") -> None:
    """Tell nothing."""
