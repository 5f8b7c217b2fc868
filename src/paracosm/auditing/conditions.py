"""The conditions that a verdict hangs on, and what is said beside it where they hold."""

from __future__ import annotations

import math
from typing import NamedTuple

from paracosm.core.records import (
    Estimate,
    Gap,
    Imagination,
    Plausibility,
    PolicyStanding,
    Reference,
    Verdict,
)

_MISSED = 0.01  # of an episode's terms: what they may miss of its gap before they explain nothing
_OTHER_ACTIONS = 1e-3  # of the steps: so many actions of another policy leave the terms another gap
# Of the box: an action in 32 bits is off by about 1e-7, as far as the policy amplifies it
_ROUNDED_ACTION = 1e-5
_ABSURD = 1000.0  # times the recorded range: no arithmetic on such numbers is an estimate


class Check(NamedTuple):
    """Whether the audit's own conditions hold.

    `exact` says that the terms should sum to each episode's gap but for rounding. `missed` is the
    mean over episodes of the absolute difference, `size` that of the episode's gap or its terms, in
    units of return. `other_actions` of `steps` recorded actions are not the policy's;
    `action_difference` is the largest that is left of the others, in ranges of the action box.
    """

    exact: bool
    missed: float
    size: float
    other_actions: int
    steps: int
    action_difference: float = 0.0


def unfit(check: Check, plausibility: Plausibility, gap: Gap) -> Verdict | None:
    """Why no cause may be named; none where one may be."""
    misses = check.exact and check.missed > max(_MISSED * check.size, gap.rounding)
    share = check.missed / check.size if misses else None
    foreign = check.other_actions > _OTHER_ACTIONS * check.steps
    if foreign or (misses and check.other_actions):
        return Verdict("unfit-by-other-actions", missed_share=share)
    if misses:
        rounded = check.action_difference > _ROUNDED_ACTION
        kind = "unfit-by-rounded-actions" if rounded else "unfit-by-sum"
        return Verdict(kind, missed_share=share, action_difference=check.action_difference)
    return _broken(plausibility, gap)


def _broken(plausibility: Plausibility, gap: Gap) -> Verdict | None:
    """Imagination has left every number that a world of the recorded kind could give."""
    low, high = plausibility.allowed
    absurd = abs(gap.predicted.mean) > _ABSURD * max(abs(low), abs(high)) > 0
    if plausibility.farthest <= _ABSURD and not absurd:
        return None
    left = plausibility.first_step is not None and plausibility.farthest > _ABSURD
    return Verdict("unfit-by-states" if left else "unfit-by-return")


def policy_standing(returns: Estimate, reference: Reference | None) -> PolicyStanding | None:
    """How the policy compares with what acted in the data; None where it is clearly better, where
    it is better but an interval is infinite, or where no return of theirs is known.

    Args:
        returns: The policy's real returns, not discounted.
        reference: What the data say of random actions, or of the policy that recorded them.
    """
    if reference is None or reference.returns is None:
        return None
    rival = reference.returns
    better = returns.mean - rival.mean
    half = math.hypot(returns.mean - returns.low, rival.high - rival.mean)
    if better > half or (better > 0 and not math.isfinite(half)):
        return None
    return "no better" if better <= 0 else "not clearly better"


def noisiest(imagination: Imagination | None) -> str | None:
    """The term with the largest share of imagination's noise in its variance, which more imagined
    draws would lower; None where draws were not capped or no share is above 0.
    """
    if imagination is None or not imagination.capped:
        return None
    shares = {name: share for name, share in imagination.share.items() if share > 0}
    return max(shares, key=lambda name: shares[name], default=None)


def noise_share(imagination: Imagination | None) -> float | None:
    """The largest share of imagination in the variance of any term, if one is known."""
    shares = [] if imagination is None else imagination.share.values()
    return max((share for share in shares if share >= 0), default=None)
