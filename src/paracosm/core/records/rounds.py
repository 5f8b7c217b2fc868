"""What a run's purchases say of the world and the policy of the round before, round by round."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

from paracosm.core.records.base import Record
from paracosm.core.records.verdict import LEARNED_CAUSES, Part

# Standard errors beyond which chance alone is no reason: of 20 rounds it passes one in a thousand.
CHANCE = 4.0
# Of the larger return: a smaller term is not what a run succeeds or fails by.
SHARE = 0.1
# Squared errors over predicted variance: up to the first the members knew how wrong they might be,
# from the second on they did not; between, either can be chance.
CALIBRATED, OVERCONFIDENT = 2.0, 4.0


@dataclasses.dataclass(frozen=True)
class RoundAudit(Record):
    """A round's world and policy on the whole episodes that the next round bought with that policy.

    `real_return - predicted_return = gap = reward + termination + dynamics`, means over `episodes`,
    not discounted, of the policy as it samples. Where rewards were not bought for all of their
    steps, `real_return`, `gap` and `reward` are None. `transitions` counts what world and policy
    were learned from. `spread` is the standard deviation of one episode's return, of the real
    episodes or of imagined ones from one start, whichever is larger. `calibration` is the squared
    one-step error on all `steps` of the purchase in units of the variance that the members
    predicted (the median over the state's components): 1 is calibrated, more is overconfident;
    None of dynamics that predict no variance. `edge_share` is that of the round's training.
    """

    round: int
    transitions: int
    episodes: int
    steps: int
    real_return: float | None
    predicted_return: float
    gap: float | None
    reward: float | None
    termination: float
    dynamics: float
    spread: float | None
    calibration: float | None
    edge_share: float

    @property
    def larger_return(self) -> float:
        """The larger of the two returns without their signs."""
        return max(abs(self.predicted_return), abs(self.real_return or 0.0))

    def outsized(self, cause: str) -> bool:
        """Whether a term is more than chance explains, and more than a small share of the
        return.
        """
        term, spread = getattr(self, cause), self.spread or 0.0
        if term is None:
            return False
        by_chance = CHANCE * spread / math.sqrt(self.episodes)
        return abs(term) > max(by_chance, SHARE * self.larger_return)


@dataclasses.dataclass(frozen=True)
class OutsizedTerm(Record):
    """A term of the gap in a round in which it was outsized."""

    cause: Part
    audit: RoundAudit

    @property
    def value(self) -> float:
        """The term."""
        return getattr(self.audit, self.cause)


@dataclasses.dataclass(frozen=True)
class TermGrowth(Record):
    """Which term of the gap was outsized first and which was so the most, along a run.

    `from_start` says whether the first was so in the first round that was audited, `at_end` is the
    largest one's value in the last round. `announced` says whether the members' spread said how
    wrong single steps were where the dynamics' term was the largest; None where that is not
    clear, or the largest term is another.
    """

    first: OutsizedTerm
    most: OutsizedTerm
    from_start: bool
    at_end: float | None
    announced: bool | None


def term_growth(rounds: Sequence[RoundAudit]) -> TermGrowth | None:
    """The terms that stood out along a run, None if all were small."""
    terms = list(_outsized(rounds))
    if not terms:
        return None
    earliest = terms[0].audit
    first = max((term for term in terms if term.audit == earliest), key=_size)
    most = max(terms, key=_size)
    at_end = getattr(rounds[-1], most.cause)
    return TermGrowth(
        first=first,
        most=most,
        from_start=earliest == rounds[0],
        at_end=at_end,
        announced=_announced(most),
    )


def _announced(most: OutsizedTerm) -> bool | None:
    """Whether the members' spread said how wrong the dynamics were."""
    calibration = most.audit.calibration
    if most.cause != "dynamics" or calibration is None:
        return None
    clear = calibration <= CALIBRATED or calibration >= OVERCONFIDENT
    return calibration <= CALIBRATED if clear else None


def _outsized(rounds: Sequence[RoundAudit]) -> Iterator[OutsizedTerm]:
    """All outsized terms, round by round."""
    for audit in rounds:
        for cause in LEARNED_CAUSES:
            if audit.outsized(cause):
                yield OutsizedTerm(cause, audit)


def _size(term: OutsizedTerm) -> float:
    return abs(term.value)
