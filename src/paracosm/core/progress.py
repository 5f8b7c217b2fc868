"""The callback by which long work reports how far it is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """What a run tells while it works: the stage, how much is done, and how it goes."""

    def __call__(self, stage: str, done: int, total: int, word: str = "") -> None:
        """Called often; must be quick.

        Args:
            stage: What the run is doing, such as `imagine`.
            done, total: How much of the stage is done, of how much.
            word: On how it goes, may be empty.
        """


def silent(stage: str, done: int, total: int, word: str = "") -> None:
    """Tell nothing.

    Args:
        stage, done, total, word: As of `Progress`.
    """
