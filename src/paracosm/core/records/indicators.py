"""Which numbers of an audit precede the gap from checkpoint to checkpoint: frozen results."""

from __future__ import annotations

import dataclasses
import enum
from typing import Literal

from paracosm.core.records.base import Record


class LeadVerdict(enum.StrEnum):
    """What is known of an indicator: it precedes the gap; that was not shown; there are too few
    checkpoints to show it; or it is the same at every checkpoint.
    """

    LEADS = "leads"
    NOT_SHOWN = "not shown"
    TOO_FEW = "too few"
    CONSTANT = "constant"


@dataclasses.dataclass(frozen=True)
class Indicator(Record):
    """Whether one number precedes the gap.

    `statistic` is a partial rank correlation, above 0 where a higher value comes before a larger
    gap; where pairings of trainings were permuted it is the mean one of trainings with their own
    gaps less that with the gaps of all, between -2 and 2. `p` is its permutation test, `corrected`
    that by Holm over all indicators. All three are None where nothing was tested.
    """

    name: str
    statistic: float | None
    p: float | None
    corrected: float | None
    verdict: LeadVerdict


@dataclasses.dataclass(frozen=True)
class Indicators(Record):
    """Which numbers at a checkpoint precede `target`, `lag` checkpoints later.

    `checkpoints` counts those of each of the `trainings`, and `needed` is how many of each the test
    needs. `method` says what was permuted: `residuals` within each training, or which one of the
    `trainings` an indicator belongs to. An indicator leads where its `corrected` p is at most
    `level`. `left_out` names those that some checkpoint does not have.
    """

    target: str
    lag: int
    trainings: tuple[str, ...]
    checkpoints: tuple[int, ...]
    needed: int
    method: Literal["residuals", "trainings"]
    level: float
    indicators: tuple[Indicator, ...]
    left_out: tuple[str, ...] = ()

    @property
    def leading(self) -> tuple[Indicator, ...]:
        """Those that lead, the surest first."""
        leads = [
            indicator for indicator in self.indicators if indicator.verdict is LeadVerdict.LEADS
        ]
        return tuple(sorted(leads, key=lambda indicator: indicator.p or 0.0))
