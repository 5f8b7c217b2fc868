"""The discount of training, and why it is that one."""

from __future__ import annotations

import dataclasses
import enum

from paracosm.core.records.base import Record


class DiscountReason(enum.Enum):
    """Why a discount was chosen."""

    GIVEN = "given"
    ROLLOUTS = "rollouts"
    LENGTH = "length"
    SPARSE = "sparse"


@dataclasses.dataclass(frozen=True)
class DiscountChoice(Record):
    """The discount of training, why, and the steps that the reason is about: of an imagined rollout
    (`ROLLOUTS`), else of an episode.
    """

    discount: float
    reason: DiscountReason
    steps: int
