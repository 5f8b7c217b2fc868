"""The conditions that a verdict hangs on, each as the sentence that is said where it does
not hold.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from paracosm.auditing.verdict import rounding
from paracosm.core.records import Estimate, Gap, Imagination, Plausibility, Reference

_MISSED = 0.01  # of an episode's terms: what they may miss of its gap before they explain nothing
_OTHER_ACTIONS = 1e-3  # of the steps: so many actions of another policy leave the terms another gap
_ROUNDED_ACTION = (
    1e-5  # of the box: an action in 32 bits is off by about 1e-7, as far as the policy amplifies it
)
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


def unfit(check: Check, plausibility: Plausibility, gap: Gap) -> str:
    """Why no cause may be named: the first sentence instead of a verdict; empty where one
    may be.
    """
    misses = check.exact and check.missed > max(_MISSED * check.size, rounding(gap))
    others = check.other_actions > _OTHER_ACTIONS * check.steps
    if others or (misses and check.other_actions):
        return (
            f"No verdict: {check.other_actions:,} of the {check.steps:,} recorded actions are not"
            " the policy's, so"
            f" that the terms explain another gap{_by(check) if misses else ''}; record episodes"
            " of the policy itself."
        )
    if misses:
        why = (
            f"Recorded actions differ from the policy's by up to {check.action_difference:.2%} of"
            " their range, far more"
            " than 32 bits do: record episodes of the policy itself."
            if check.action_difference > _ROUNDED_ACTION
            else "Either the world or the policy does not give the same answer twice, or"
            " imagination is chaotic over so"
            " many steps."
        )
        return (
            f"No verdict: the terms should sum to the gap{_by(check)}, more than rounding"
            f" explains. {why}"
        )
    return _broken(plausibility, gap)


def _by(check: Check) -> str:
    return (
        f" and miss it by {check.missed:.3g} an episode, {check.missed / check.size:.0%} of their"
        " size"
    )


def _broken(plausibility: Plausibility, gap: Gap) -> str:
    """That imagination has left every number that a world of the recorded kind could give."""
    low, high = plausibility.allowed
    returned = gap.predicted.mean
    absurd = abs(returned) > _ABSURD * max(abs(low), abs(high)) > 0
    if plausibility.farthest <= _ABSURD and not absurd:
        return ""
    left = (
        f"imagined states leave the recorded range at step {plausibility.first_step} and are"
        f" {_magnitude(plausibility.farthest)} times it at step {plausibility.farthest_step}"
        if plausibility.first_step is not None and plausibility.farthest > _ABSURD
        else f"the imagined return of {returned:.3g} is beyond anything that the recorded rewards"
        " allow"
        f" ({low:.4g} to {high:.4g})"
    )
    return (
        f"No verdict: the world is broken on these episodes: {left}. No term is an estimate of"
        " anything."
    )


def _magnitude(value: float) -> str:
    if not math.isfinite(value):
        return "infinitely many"
    return f"{value:.0f}" if value < 1e6 else f"1e{math.floor(math.log10(value))}"


def standing_of_policy(returns: Estimate, reference: Reference | None, unit: str = "") -> str:
    """That the policy is no better than what acted in the data; empty where it is, or nothing is
    known of those.

    Args:
        returns: The policy's real returns, not discounted.
        reference: What the data say of random actions, or of the policy that recorded them.
        unit: Words that tell these returns from discounted ones beside them.
    """
    if reference is None or reference.returns is None:
        return ""
    other = reference.returns
    better = returns.mean - other.mean
    half = math.hypot(returns.mean - returns.low, other.high - other.mean)
    if better > half or (better > 0 and not math.isfinite(half)):
        return ""
    how = "no better" if better <= 0 else "not clearly better"
    return (
        f"The policy is {how} than {reference.policy}: its real return is {returns:.4g}{unit},"
        " that of"
        f" {reference.policy} {other:.4g}."
    )


def implausible(plausibility: Plausibility, unit: str = "") -> str:
    """That imagined returns are impossible by the recorded rewards; empty where they are not.

    `unit` as above.
    """
    if not plausibility.impossible:
        return ""
    low, high = plausibility.allowed
    left = (
        "; imagined states leave the range of the recorded ones from step"
        f" {plausibility.first_step} on"
        if plausibility.first_step is not None
        else "; imagined states stay in the range of the recorded ones, so the rewards are wrong"
    )
    subject = (
        f"{plausibility.impossible} of {plausibility.episodes} imagined"
        f" returns{unit and unit + ','}"
    )
    return (
        f"{subject} are impossible: the recorded rewards allow {low:.4g} to {high:.4g} in so many"
        f" steps{left}."
    )


def noise_left(imagination: Imagination | None) -> str:
    """That imagined draws, which cost no real episode, were stopped too early; empty where they
    were not.
    """
    if imagination is None or not imagination.capped:
        return ""
    draws = (
        f"{imagination.draws} imagined draw{'s' if imagination.draws > 1 else ''}, where the audit"
        " stops"
    )
    shares = {name: share for name, share in imagination.share.items() if share > 0}
    if not shares:
        return (
            f"With {draws}, the noise of imagination is in every interval: real episodes narrow"
            " only the rest."
        )
    largest = max(shares, key=lambda name: shares[name])
    named = "gap" if largest.startswith("total") else f"{largest} term"
    return (
        f"With {draws}, imagination still makes {shares[largest]:.0%} of the variance of the"
        f" {named}:"
        " real episodes narrow only the rest."
    )
