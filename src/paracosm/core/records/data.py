"""What is in a data set, as numbers, and what is odd about it."""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core.records.base import Record

DataFindingKind = Literal[
    "time limits as terminations",
    "auto-reset observations",
    "repeated episodes",
    "repeated rows",
    "jumps",
    "missing steps",
    "unknown starts",
    "constant states",
    "constant actions",
    "constant reward",
]


@dataclasses.dataclass(frozen=True)
class ValueRange(Record):
    """Least, largest and mean value of a column, and its standard deviation."""

    low: float
    high: float
    mean: float
    deviation: float


@dataclasses.dataclass(frozen=True)
class DataFinding(Record):
    """Something odd about a data set, with its evidence.

    `numbers` are the evidence by name, and `components` those of states or actions that it is
    about. `sentence` says it in words and is empty until it is made.
    """

    kind: DataFindingKind
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    components: tuple[int, ...] = ()
    sentence: str = ""


@dataclasses.dataclass(frozen=True)
class DataSummary(Record):
    """What is in a data set.

    Attributes:
        source: What it was read from.
        rows: Real steps.
        left_out: Rows of the file without a next state, which are no steps.
        episodes: How many there are.
        terminated: Of them, those that ended the MDP.
        cut: Of them, those where only the record stops: a time limit, or the end of recording.
        end_unknown: Of them, those whose last transition is not owned, and with it whether they
            terminated.
        shortest, longest: Steps of the shortest and of the longest episode.
        median_length: The median of their lengths.
        state_size: Components of a state.
        images: Whether states are images; then `states` is empty.
        states: The range of each component of a state.
        action_size: Components of a continuous action, 0 of discrete actions.
        actions: The range of each component of an action; of discrete ones that of their numbers.
        reward: The range of the rewards, None where no step has a label.
        returns: The range of the undiscounted returns of episodes that are labelled throughout,
            None where there are none.
        transitions_missing: Steps whose transition is not owned.
        labels_missing: Steps whose reward label is not owned.
        findings: What is odd.
        remarks: What was said while it was read, a sentence each.
    """

    source: str
    rows: int
    left_out: int
    episodes: int
    terminated: int
    cut: int
    shortest: int
    longest: int
    median_length: float
    state_size: int
    images: bool
    states: tuple[ValueRange, ...]
    action_size: int
    actions: tuple[ValueRange, ...]
    reward: ValueRange | None
    returns: ValueRange | None
    transitions_missing: int
    labels_missing: int
    findings: tuple[DataFinding, ...]
    remarks: tuple[str, ...] = ()
    end_unknown: int = 0
