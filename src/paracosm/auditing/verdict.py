"""The verdict: plain words that never claim more than their intervals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from paracosm.core.records import CauseByStep, DynamicsByDimension, Gap, HorizonParts

CAUSES = {
    "reward": "the reward model",
    "termination": "the end rule",
    "dynamics": "the dynamics model",
    "horizon": "the training horizon (the bootstrapped value and the edge of the data)",
}
LEARNED = ("reward", "termination", "dynamics")
_ROUNDING = 1e-6  # of the returns: what observations in 32 bits cannot tell from zero
_ADVICE = {
    "reward": "First buy reward labels where the policy goes, or look at how rewards are recorded",
    "termination": "First check how terminations and time limits are recorded, and buy episodes that end",
    "dynamics": "First buy transitions where the policy goes",
    "bootstrap": "First train with longer imagined rollouts, or fit the value better: more data cannot mend this",
    "edge": "First buy data where the policy wants to go, or widen the learn margin: training was stopped there",
}


def culprit(gap: Gap, among: Iterable[str] = tuple(CAUSES)) -> str | None:
    """The cause with the largest signed term whose interval excludes zero, if any; rounding is no cause."""
    return max(_clear(gap, among), key=lambda cause: abs(getattr(gap, cause).mean), default=None)


def _rounding(gap: Gap) -> float:
    return _ROUNDING * max(abs(gap.real.mean), abs(gap.imagined.mean))


def _clear(gap: Gap, among: Iterable[str] = tuple(CAUSES)) -> list[str]:
    """The causes whose interval excludes zero, by more than rounding."""
    terms = {cause: getattr(gap, cause) for cause in among}
    return [cause for cause, term in terms.items() if term.excludes_zero and abs(term.mean) > _rounding(gap)]


def verdict(gap: Gap) -> str:
    """Size of the gap, its main cause with the interval, or that it is undetermined and what would settle it.

    A cause is said to make most of the gap only if it has the gap's sign and no interval of another reaches its own on
    that side. Where errors largely cancel, the gap is the cause of neither, and the largest of each sign are named.
    The horizon is a matter of training, not of data: where it is to blame, the worst learned part is named beside it.
    """
    size = (
        f"Training believed {gap.imagined.mean:.4g} (discounted), the real return is {gap.real.mean:.4g}:"
        f" the gap of {gap.total.mean:+.3g}{_share(gap)}"
    )
    terms = [getattr(gap, cause) for cause in CAUSES]
    if all(max(abs(term.low), abs(term.high)) <= _rounding(gap) for term in terms):
        return f"{size} is no more than rounding, and so is every cause."
    blamed = culprit(gap)
    if blamed is None:
        return (
            f"{size} has an undetermined cause, since every interval that is beyond rounding includes zero;"
            f" more evaluation episodes than {gap.total.n} would narrow them."
        )
    return f"{size} {_against(gap, blamed) or _along(gap, blamed)}."


def _against(gap: Gap, blamed: str) -> str:
    """What is said where the largest clear cause does not explain the gap, since another sign works against it."""
    sign = np.sign(getattr(gap, blamed).mean)
    same = sign == np.sign(gap.total.mean)
    others = [cause for cause in CAUSES if sign * getattr(gap, cause).mean < 0]
    other = min(others, key=lambda cause: sign * getattr(gap, cause).mean, default=None)
    if other in _clear(gap) and not (same and abs(gap.total.mean) >= abs(getattr(gap, blamed).mean) / 2):
        return f"is what remains of errors that largely cancel: {_said(gap, blamed)}, against {_said(gap, other)}"
    if same:
        return ""
    unsure = f"; {_said(gap, other)}, is unsure" if other else ""
    return (
        f"has an undetermined cause: {_said(gap, blamed)}, is clearly wrong but works the other way{unsure};"
        f" more evaluation episodes than {gap.total.n} would settle it"
    )


def _along(gap: Gap, blamed: str) -> str:
    """What is said of the largest clear cause where it has the sign of the gap."""
    sign, term = np.sign(getattr(gap, blamed).mean), getattr(gap, blamed)
    reach = {cause: max(sign * getattr(gap, cause).low, sign * getattr(gap, cause).high) for cause in CAUSES}
    rivals = [cause for cause in CAUSES if cause != blamed and reach[cause] >= min(sign * term.low, sign * term.high)]
    if not rivals:
        return f"comes most from {_said(gap, blamed)}{_worst_part(gap, blamed)}"
    unsure = [cause for cause in rivals if cause not in _clear(gap)]
    if not unsure:
        named = ", and ".join(_said(gap, cause) for cause in (blamed, *rivals))
        return f"comes from {named}; their intervals overlap"
    rival = max(unsure, key=lambda cause: reach[cause])
    return (
        f"is clearly due to {_said(gap, blamed)}; {_said(gap, rival)}, may weigh more,"
        f" which more evaluation episodes than {gap.total.n} would settle"
    )


def _said(gap: Gap, cause: str) -> str:
    return f"{CAUSES[cause]}, {getattr(gap, cause):+.3g}"


def explanation(
    gap: Gap, causes: dict[str, CauseByStep], dimensions: DynamicsByDimension, parts: HorizonParts | None
) -> str:
    """Where in the episode and in which state components, what to do first, and how sure: what follows the verdict."""
    blamed = culprit(gap)
    if blamed is None:
        return f"How sure: these are {gap.total.n} episodes; no part is clearly wrong on average."
    advice = blamed
    said = []
    if blamed in causes:
        said.append(_when(blamed, causes[blamed]))
    if blamed == "dynamics":
        said.append(_which(dimensions))
    if blamed == "horizon" and parts is not None:
        advice = "edge" if abs(parts.edge.mean) > abs(parts.bootstrap.mean) else "bootstrap"
        said.append(
            f"Of the horizon term {parts.bootstrap:+.3g} is the value that ended its rollouts and {parts.edge:+.3g}"
            " the price of leaving the data."
        )
    first = _ADVICE.get(advice, _ADVICE["bootstrap"])
    return " ".join([*said, f"{first}.", _how_sure(gap, blamed)])


def _when(blamed: str, cause: CauseByStep) -> str:
    """The steps by which half and nine tenths of the absolute term have come."""
    share = np.cumsum(cause.absolute) / max(np.sum(cause.absolute), np.finfo(float).tiny)
    half, most = (int(np.searchsorted(share, part)) + 1 for part in (0.5, 0.9))
    return (
        f"Half of the {blamed} term's size comes in the first {half} of {len(share)} steps, nine tenths in the first"
        f" {most}."
    )


def _which(found: DynamicsByDimension) -> str:
    """The state components that are clearly wrong, the largest first, or that none is."""
    clear = [i for i, term in enumerate(found.dimensions) if term.excludes_zero]
    if not clear:
        return "No single state component is clearly to blame."
    ranked = sorted(clear, key=lambda i: -abs(found.dimensions[i].mean))[:3]
    named = ", ".join(f"{i} ({found.dimensions[i].mean:+.3g})" for i in ranked)
    return f"State component{'s' if len(ranked) > 1 else ''} to look at: {named}."


def _how_sure(gap: Gap, blamed: str) -> str:
    term = getattr(gap, blamed)
    half = (term.high - term.low) / 2
    return (
        f"How sure: over {term.n} episodes the {blamed} term is {abs(term.mean) / half if half else np.inf:.1f} times"
        " the half width of its 95% interval."
    )


def _worst_part(gap: Gap, blamed: str) -> str:
    """The learned part that weighs most, where something else is blamed."""
    part = culprit(gap, LEARNED)
    if part is None or part == blamed:
        return ""
    return f"; of the learned parts {CAUSES[part]} weighs most, {getattr(gap, part):+.3g}"


def _share(gap: Gap) -> str:
    """The gap as a share of the larger return, in brackets."""
    scale = max(abs(gap.real.mean), abs(gap.imagined.mean))
    return f" ({abs(gap.total.mean) / scale:.1%} of the return)" if scale > 0 else ""
