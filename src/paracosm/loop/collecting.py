"""The real steps of a round, after those that a failure or Ctrl-C left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from paracosm.core.columns import COLUMNS, from_columns
from paracosm.core.data import Dataset
from paracosm.core.files import atomic_write, read_arrays
from paracosm.core.policy import Policy
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
    Episodes that failed are not played again, but for those at the very beginning: an environment
    that cannot begin is to be mended.

    Args:
        source: The environment.
        steps: How many to take.
        partial: The npz file in which they are kept when the collection stops.
        policy: What acts, random actions if None.
        progress: Told of each step.
        options: As `Source.collect` has them.

    Raises:
        BadStep: the environment cannot go on; the sentence names the file.
        Interrupted: Ctrl-C came.
    """
    begun, failed = _kept(partial) if partial.is_file() else (None, ())
    if begun is not None and begun.real_steps >= steps:  # Ctrl-C came after the last step
        return begun
    collect: Callable[..., Dataset] = source.collect
    before = {"before": begun, "failed": failed}
    try:
        return collect(steps, policy=policy, progress=progress, **before, **options)
    except Interrupted as error:
        if error.partial is not None:
            _keep(partial, error.partial, failed)
        raise
    except BadStep as error:
        if error.partial is None and not options.get("first_episode"):
            raise
        _keep(partial, error.partial, error.failed)
        kept = 0 if error.partial is None else error.partial.real_steps
        raise BadStep(
            f"{str(error).rstrip('.')}; the {kept} steps before it are kept in"
            f" {partial}, and the same command with --resume goes on from them.",
            None,
        ) from error


def _keep(file: Path, rows: Dataset | None, failed: tuple[int, ...]) -> None:
    """Write steps as `datasets.save` does, and beside them the numbers of failed episodes."""
    columns = {} if rows is None else {name: getattr(rows, name) for name in COLUMNS}
    with atomic_write(file) as part, part.open("wb") as stream:
        np.savez_compressed(
            stream, allow_pickle=False, failed=np.array(failed, np.int64), **columns
        )


def _kept(file: Path) -> tuple[Dataset | None, tuple[int, ...]]:
    """What was kept in a file; of one without them, no episode has failed."""
    columns = read_arrays(file, "steps that a collection kept are needed")
    failed = tuple(columns.pop("failed", np.empty(0, np.int64)).tolist())
    return from_columns(columns, str(file)) if columns else None, failed
