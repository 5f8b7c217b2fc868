"""Whether a run is worse than the runs before it, quantity by quantity."""

from __future__ import annotations

import dataclasses
from typing import Literal

from paracosm.core.records.base import Record
from paracosm.core.records.verdict import CAUSES, LEARNED_CAUSES

GateSection = Literal["terms", "sizes", "errors", "policy_errors", "return", "ranks"]
GateVerdict = Literal["worse", "no worse", "not compared"]
GateReason = Literal["refits", "episodes", "neither"]

# What a gate file may name, by section, in the order in which a table lists it.
GATED: dict[GateSection, tuple[str, ...]] = {
    "return": ("real", "gap"),
    "terms": CAUSES,
    "sizes": LEARNED_CAUSES,
    "errors": LEARNED_CAUSES,
    "policy_errors": ("reward", "dynamics"),
    "ranks": ("flips", "regret"),
}
# Sections whose allowance is a share of the baseline; of the others it is in units of return, and
# that of flips a share of the pairs.
SHARES: tuple[GateSection, ...] = ("sizes", "errors", "policy_errors")


@dataclasses.dataclass(frozen=True)
class GateRule(Record):
    """One quantity that a gate checks, and by how much it may be worse beyond the interval.

    `allowance` is in units of return (of flips a share of the pairs), or a share of the baseline in
    the sections of `SHARES`; None stands for the default.
    """

    section: GateSection
    name: str
    allowance: float | None


@dataclasses.dataclass(frozen=True)
class GateRules(Record):
    """What a gate checks: with probability `level` it passes where nothing is worse."""

    level: float
    rules: tuple[GateRule, ...]


@dataclasses.dataclass(frozen=True)
class GateCheck(Record):
    """One quantity of the candidate beside that of the baselines.

    `baseline` is the mean over the baselines (the geometric one where a quantity varies in
    proportion and none is 0), of the size of a term; of a rank measure its low end. The candidate
    is worse beyond `limit`, which is below the baseline for the real return and above it else:
    `reach` is how far chance may carry a run and `allowance` what the gate file grants on
    top, both in the quantity's own unit. `reason` says which chance made the reach: that of refits,
    or that of episodes alone. Numbers are None where a run did not measure the quantity, or no
    episodes tell how far chance may carry it. `named` says that the gate file names it.
    """

    section: GateSection
    name: str
    verdict: GateVerdict
    baseline: float | None
    candidate: float | None
    limit: float | None = None
    reach: float | None = None
    allowance: float = 0.0
    reason: GateReason = "neither"
    named: bool = False

    @property
    def beyond(self) -> float:
        """How much worse the candidate is than the limit allows; negative within it."""
        if self.limit is None or self.candidate is None:
            return float("nan")
        lower_is_worse = (self.section, self.name) == ("return", "real")
        return self.limit - self.candidate if lower_is_worse else self.candidate - self.limit


@dataclasses.dataclass(frozen=True)
class Gate(Record):
    """Whether the candidate is worse than its baselines beyond what chance explains.

    `checks` are ordered, the worst first. `refits` says whether there are baselines enough to know
    how refits of one configuration differ; without, only the chance of episodes is known.
    `compared` counts the checks among which the chance of a false alarm, `1 - level`, is divided.
    `differing` names the settings in which the baselines differ: then they are no refits of one
    configuration. `valid` says whether the candidate's audit holds its own conditions, or whether a
    baseline's does not either.
    """

    level: float
    baselines: tuple[str, ...]
    candidate: str
    refits: bool
    compared: int
    checks: tuple[GateCheck, ...]
    differing: tuple[str, ...]
    valid: bool

    @property
    def worse(self) -> tuple[GateCheck, ...]:
        """The checks that failed, the worst first."""
        return tuple(check for check in self.checks if check.verdict == "worse")

    @property
    def passed(self) -> bool:
        """Whether nothing is worse, the candidate's audit can say so, and what the gate file names
        was measured where the baselines have it.
        """
        return self.valid and not self.worse and not self.lacking

    @property
    def lacking(self) -> tuple[GateCheck, ...]:
        """What the gate file names, the baselines have, and the candidate did not measure."""
        return tuple(
            check
            for check in self.checks
            if check.named and check.baseline is not None and check.candidate is None
        )
