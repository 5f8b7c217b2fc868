"""The real steps of a round, after those that a failure or Ctrl-C left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from paracosm.core.columns import COLUMNS, from_columns
from paracosm.core.data import Dataset
from paracosm.core.files import atomic_write, read_arrays
from paracosm.core.policy import Policy
from paracosm.real.source import LANES, BadStep, Interrupted, Source, StepProgress


def collect_or_resume(
    source: Source,
    steps: int,
    partial: Path,
    *,
    policy: Policy | None,
    progress: StepProgress,
    seed: int,
    first_episode: int = 0,
    workers: int = 1,
    lanes: int = LANES,
    spare: int = 0,
) -> Dataset:
    """Take at least `steps` real steps. Those of a collection that stopped are stored, and the next
    call goes on from them. Episodes that failed are not played again, unless not even the first
    could begin: such an environment is to be mended.

    Args:
        source: The environment.
        steps: How many to take.
        partial: The npz file in which they are stored when the collection stops.
        policy: What acts, random actions if None.
        progress: Told of each step.
        seed, first_episode, workers, lanes, spare: As `Source.collect` has them.

    Raises:
        BadStep: the environment cannot go on; the sentence names the file.
        Interrupted: Ctrl-C came.
    """
    before, failed = _load(partial) if partial.is_file() else (None, ())
    # With spare steps `collect` knows which lanes have yet to take their share
    if before is not None and not spare and before.real_steps >= steps:
        return before  # Ctrl-C came after the last step
    try:
        return source.collect(
            steps,
            seed=seed,
            policy=policy,
            first_episode=first_episode,
            workers=workers,
            before=before,
            failed=failed,
            lanes=lanes,
            spare=spare,
            progress=progress,
        )
    except Interrupted as error:
        if error.partial is not None:
            _save(partial, error.partial, failed)
        raise
    except BadStep as error:
        if error.partial is None and first_episode == 0:
            raise
        _save(partial, error.partial, error.failed)
        stored = 0 if error.partial is None else error.partial.real_steps
        raise BadStep(
            f"{str(error).rstrip('.')}; the {stored} steps before it are kept in"
            f" {partial}, and the same command with --resume goes on from them.",
            None,
        ) from error


def _save(file: Path, rows: Dataset | None, failed: tuple[int, ...]) -> None:
    """Write steps as `datasets.save` does, and beside them the numbers of failed episodes."""
    columns = {} if rows is None else {name: getattr(rows, name) for name in COLUMNS}
    with atomic_write(file) as part, part.open("wb") as stream:
        np.savez_compressed(
            stream, allow_pickle=False, failed=np.array(failed, np.int64), **columns
        )


def _load(file: Path) -> tuple[Dataset | None, tuple[int, ...]]:
    """The steps in a file and the numbers of failed episodes, none where the file has none."""
    columns = read_arrays(file, "steps that a collection kept are needed")
    failed = tuple(columns.pop("failed", np.empty(0, np.int64)).tolist())
    return from_columns(columns, str(file)) if columns else None, failed
