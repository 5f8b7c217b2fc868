"""What looks wrong with how a world was made, as kinds and numbers."""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core.records.base import Record
from paracosm.core.records.verdict import Part

MisreadingForm = Literal[
    "other actions",
    "clipped actions",
    "other observations",
    "standardised observations",
    "other action numbers",
    "state changes",
    "other step",
    "offset",
    "scale",
    "scale and offset",
    "symlog",
    "rising curve",
    "clipped reward",
    "curve of the reward",
    "other arguments",
]

FindingForm = Literal["", "never ends", "time limit", "reversed", "probability", "the same"]


@dataclasses.dataclass(frozen=True)
class ComponentChange(Record):
    """`scale x + offset` in the place of one component x of actions or observations.

    `component` is none where there is only one; a scale or an offset is none where it changes
    nothing. What is `left_out` counts for nothing.
    """

    component: int | None
    scale: float | None
    offset: float | None
    left_out: bool = False


@dataclasses.dataclass(frozen=True)
class Misreading(Record):
    """How a learned part is to be read, or what it is to be given, to be right.

    `numbers` are by name: of `"other step"` the `shift` in steps and the `offset` of the reward if
    one is left; of units `scale` and `offset`; of `"clipped reward"` the limits `low` and `high`
    that cut something off. `components` are the changes of actions or observations, `numbering` the
    new number of each action, `arguments` the states that a reward reads. `only` says that next to
    nothing of the error is left.
    """

    form: MisreadingForm
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    components: tuple[ComponentChange, ...] = ()
    numbering: tuple[int, ...] = ()
    arguments: str = ""
    only: bool = False


@dataclasses.dataclass(frozen=True)
class Finding(Record):
    """Something that looks wrong with how a world was made, with its evidence.

    `part` is the learned part that it is about, `numbers` are its evidence by name, and `form`
    tells findings of one kind apart. `misreadings` explain the errors, the best first; the others
    cannot be told from it. `sentence` says it in words and is empty until it is made.
    """

    kind: str
    part: Part
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    form: FindingForm = ""
    misreadings: tuple[Misreading, ...] = ()
    sentence: str = ""
