"""The real steps of a round, after those that a failure or Ctrl-C left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from paracosm.core.data import Dataset
from paracosm.core.policy import Policy
from paracosm.real import datasets
from paracosm.real.source import BadStep, Interrupted, Source, StepProgress


def collected(
    source: Source,
    steps: int,
    partial: Path,
    *,
    policy: Policy | None,
    progress: StepProgress,
    **options: Any,
) -> Dataset:
    """At least `steps` real steps; those of a collection that stopped are kept, and gone on from.

    Args:
        source: The environment.
        steps: How many to take.
        partial: The file in which they are kept when the collection stops.
        policy: What acts, random actions if None.
        progress: Told of each step.
        options: As `Source.collect` has them.

    Raises:
        BadStep: the environment cannot go on; the sentence names the file.
        Interrupted: Ctrl-C came.
    """
    begun = datasets.load(partial) if partial.is_file() else None
    if begun is not None and begun.real_steps >= steps:  # Ctrl-C came after the last step
        return begun
    collect: Callable[..., Dataset] = source.collect
    try:
        return collect(steps, policy=policy, before=begun, progress=progress, **options)
    except Interrupted as error:
        if error.partial is not None:
            datasets.save(error.partial, partial)
        raise
    except BadStep as error:
        if error.partial is None:
            raise
        datasets.save(error.partial, partial)
        raise BadStep(
            f"{str(error).rstrip('.')}; the {error.partial.real_steps} steps before it are kept in"
            f" {partial}, and the same command with --resume goes on from them.",
            None,
        ) from error
