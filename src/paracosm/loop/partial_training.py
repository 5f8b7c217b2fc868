"""Training that a kill cuts short goes on from its last checkpoint in the run directory."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any

from paracosm.core.checks import BadData
from paracosm.core.files import Unwritable
from paracosm.core.records import Record
from paracosm.imagination.stop_rule import Snapshot, StopNumbers, TrainingStore
from paracosm.loop import store
from paracosm.loop.directory import RunDirectory

# Seconds between two checkpoints: what a kill loses at the most, beside a chunk.
SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class _Header(Record):
    """Where the stop rule is."""

    rule: StopNumbers


class PartialTraining(TrainingStore):
    """Two states of a learner and the stop rule's numbers, in two files."""

    def __init__(self, directory: RunDirectory, round: int) -> None:
        """A store for the training of one round of a run."""
        self._directory, self._last = directory, time.monotonic()
        self._path = directory.file(f"models/partial-{round}")

    def keep(self, snapshot: Snapshot) -> None:
        """See `TrainingStore`; a checkpoint that cannot be written is tried again later."""
        if time.monotonic() - self._last < SECONDS:
            return
        states, header = (snapshot.state, snapshot.best), _Header(snapshot.numbers)
        # The run directory lacks nothing without it; a state that cannot be stored it will lack.
        with self._directory.attempt(), contextlib.suppress(Unwritable):
            store.save(self._path, states, header, described=False)
        self._last = time.monotonic()

    def load(self, state: Any) -> Snapshot | None:
        """See `TrainingStore`; a checkpoint that the kill left damaged counts as none."""
        if not self._path.with_suffix(".json").is_file():
            return None
        try:
            header, (last, best) = store.load_states(_Header, self._path, (state, state))
        except BadData:
            return None
        return Snapshot(last, best, header.rule)

    def discard(self) -> None:
        """Remove the checkpoint, once the stage is done."""
        for ending in (".json", ".eqx"):
            self._path.with_suffix(ending).unlink(missing_ok=True)
