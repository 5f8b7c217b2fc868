"""Policies in the order of their real returns, and whether imagination orders them so."""

from __future__ import annotations

import dataclasses
import enum

from paracosm.core.records.base import Estimate, Record


class Ordering(enum.StrEnum):
    """How imagination orders a pair of policies, as far as the intervals of both differences say:
    as the real returns do, the other way round, or that is open.
    """

    AGREES = "agrees"
    FLIPS = "flips"
    UNDECIDED = "undecided"


@dataclasses.dataclass(frozen=True)
class RankedPolicy(Record):
    """A policy's returns: the real one over its episodes, the imagined one over its starts."""

    name: str
    real: Estimate
    imagined: Estimate


@dataclasses.dataclass(frozen=True)
class PolicyPair(Record):
    """The difference of two returns, of `first` above `second`, paired by start.

    The intervals of all pairs, real and imagined, hold together.
    """

    first: str
    second: str
    real: Estimate
    imagined: Estimate
    ordering: Ordering


@dataclasses.dataclass(frozen=True)
class HorizonFlips(Record):
    """Pairs that certainly flip, of returns of the first `steps` steps; the names of one of
    them, empty if none does.
    """

    steps: int
    flips: int
    example: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class BoughtEpisodes(Record):
    """Real episodes bought one at a time until an order was sure, or all that might be were bought.

    `episodes` counts them by policy, in the order of the ranking; `best` says that only the best
    was to be told from the rest, `within` which differences did not matter, `sure` whether that
    was reached, with probability `confidence`. `least` is the number that each policy played before
    anything was decided, `most` that of all together. `equal` estimates how many each policy would
    have had to play in a design of equal numbers, by the differences measured; None where they are
    no estimate of that, as where pairs were decided by bets in the range of returns.
    """

    episodes: dict[str, int]
    best: bool
    within: float
    confidence: float
    least: int
    most: int
    sure: bool
    equal: int | None

    @property
    def total(self) -> int:
        """Real episodes of all policies together."""
        return sum(self.episodes.values())


@dataclasses.dataclass(frozen=True)
class Ranking(Record):
    """Policies of one task, the highest real return first, and what imagination makes of them.

    `flips` is the share of pairs that imagination orders the other way round, `tau` Kendall's τ of
    imagined and real returns, `regret` what is lost by taking the policy that imagination takes
    for the best, `chosen`. Where imagined returns tie for the largest, `chosen` is the first of
    these policies in the order reported and `tied` names the others; `regret` then lies between
    the least and the most that one of them loses, and its mean is the mean of theirs. The intervals
    of the three are what the decided pairs leave possible, at `level`.
    `safe_horizon` is the largest number of steps of `horizons` up to which no pair certainly flips,
    0 if one does at the first, None where none does and no pair is decided either. Returns are
    discounted by `discount` a step. `env` and `real_steps` are empty and 0 where only numbers were
    ranked; `left_out` names policies that are the same as one that is ranked.
    """

    policies: tuple[RankedPolicy, ...]
    pairs: tuple[PolicyPair, ...]
    flips: Estimate
    tau: Estimate
    regret: Estimate
    chosen: str
    horizons: tuple[HorizonFlips, ...]
    safe_horizon: int | None
    level: float
    discount: float
    bought: BoughtEpisodes | None = None
    env: str = ""
    real_steps: int = 0
    left_out: tuple[str, ...] = ()
    tied: tuple[str, ...] = ()
