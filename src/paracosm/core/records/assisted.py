"""A mean of few real numbers that many imagined ones made surer."""

from __future__ import annotations

import dataclasses
import enum

from paracosm.core.records.base import Estimate, Record


class Help(enum.StrEnum):
    """What imagined returns did for the mean of real ones; nothing but by the first."""

    HELPED = "helped"
    NO_STARTS = "no fresh starts"
    FEW = "too few real episodes"
    RARE = "rare episodes may decide"
    UNRELATED = "no clear correlation"
    NO_GAIN = "no gain"


@dataclasses.dataclass(frozen=True)
class AssistedMean(Record):
    """The mean of real returns, or of differences of them, with imagined ones as control variate.

    `value` is `mean_n(R − λ R̂) + λ mean_N(R̂)` over n real episodes and `fresh` imagined starts,
    `plain` the mean of the real ones alone; where `help` says that imagination did nothing, `value`
    is `plain`. `coefficient` is λ and `correlation` that of R and R̂ over the real episodes.
    `factor` is the variance of `value` over that of `plain`, as estimated, and `saved` how many
    more real episodes the plain mean would need for the same variance: `n / factor − n`.
    """

    value: Estimate
    plain: Estimate
    help: Help
    coefficient: float
    correlation: float
    factor: float
    fresh: int
    saved: float
