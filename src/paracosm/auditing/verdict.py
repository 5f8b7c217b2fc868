"""The verdict: plain words that never claim more than their intervals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

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


class _Standing(NamedTuple):
    """The largest clear cause that explains the gap, if one does, and whether errors cancel."""

    lead: str | None
    cancels: bool


def _standing(gap: Gap) -> _Standing:
    """Errors cancel if less than half of the larger side is left; else clear causes of the gap's sign explain it."""
    terms = [getattr(gap, cause).mean for cause in CAUSES]
    sides = [sum(max(sign * term, 0.0) for term in terms) for sign in (1, -1)]
    if min(sides) > 0 and abs(gap.total.mean) < max(sides) / 2:
        return _Standing(None, cancels=True)
    along = [cause for cause in CAUSES if getattr(gap, cause).mean * gap.total.mean > 0]
    return _Standing(culprit(gap, along), cancels=False)


def verdict(gap: Gap) -> str:
    """Size of the gap, its main cause with the interval, or that it is undetermined and what would settle it.

    A cause is said to make most of the gap only if it has the gap's sign, is half of it, and no interval of another
    reaches its own on that side. Where errors cancel, the gap is the cause of neither, and the largest of each sign
    are named. The horizon is a matter of training, not of data: where it leads, the worst learned part is named too.
    """
    doubt = (
        "" if gap.total.excludes_zero or abs(gap.total.mean) <= _rounding(gap) else ", not clearly different from zero,"
    )
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
            f" {_more(gap)} would narrow them."
        )
    lead, cancels = _standing(gap)
    if cancels:
        return f"{size}{doubt} {_cancelling(gap)}."
    if lead is None:
        return f"{size}{doubt} {_unexplained(gap, blamed)}."
    against = f"; {_said(gap, blamed)}, is clearly wrong too, and works against it" if not _along(gap, blamed) else ""
    return f"{size}{doubt} {_explained(gap, lead)}{against}."


def _along(gap: Gap, cause: str) -> bool:
    return getattr(gap, cause).mean * gap.total.mean > 0


def _more(gap: Gap) -> str:
    return f"more evaluation episodes than {gap.total.n}"


def _cancelling(gap: Gap) -> str:
    """The largest cause of either sign, and which of the two is unsure."""
    ranked = sorted(CAUSES, key=lambda cause: getattr(gap, cause).mean)
    pair = sorted((ranked[0], ranked[-1]), key=lambda cause: -abs(getattr(gap, cause).mean))
    unsure = [cause for cause in pair if cause not in _clear(gap)]
    doubt = (
        f"; {' and '.join(CAUSES[cause] for cause in unsure)} unsure, which {_more(gap)} would settle" if unsure else ""
    )
    return f"is what remains of errors that cancel: {_said(gap, pair[0])}, against {_said(gap, pair[1])}{doubt}"


def _unexplained(gap: Gap, blamed: str) -> str:
    """No clear cause has the gap's sign: what is clear works against it, what makes it is unsure."""
    along = [cause for cause in CAUSES if _along(gap, cause)]
    unsure = max(along, key=lambda cause: abs(getattr(gap, cause).mean), default=None)
    named = f"{_said(gap, unsure)}, is unsure; " if unsure else ""
    return (
        f"has an undetermined cause: {_said(gap, blamed)}, is clearly wrong but works the other way; {named}"
        f"{_more(gap)} would settle it"
    )


def _explained(gap: Gap, lead: str) -> str:
    """The largest clear cause with the gap's sign, and those that may be as large."""
    sign, term = np.sign(gap.total.mean), getattr(gap, lead)
    reach = {cause: max(sign * getattr(gap, cause).low, sign * getattr(gap, cause).high) for cause in CAUSES}
    rivals = [cause for cause in CAUSES if cause != lead and reach[cause] >= min(sign * term.low, sign * term.high)]
    unsure = [cause for cause in rivals if cause not in _clear(gap)]
    clear = ", and ".join(_said(gap, cause) for cause in (lead, *(cause for cause in rivals if cause not in unsure)))
    worst = _worst_part(gap, lead)
    if unsure:
        rival = max(unsure, key=lambda cause: reach[cause])
        return (
            f"comes in part from {clear}; {_said(gap, rival)}, may weigh more, which {_more(gap)} would settle{worst}"
        )
    if rivals:
        return f"comes from {clear}; their intervals overlap{worst}"
    if abs(term.mean) >= abs(gap.total.mean) / 2:
        return f"comes most from {clear}{worst}"
    return f"comes from several causes, more from {clear}, than from any other{worst}"


def _said(gap: Gap, cause: str) -> str:
    return f"{CAUSES[cause]}, {getattr(gap, cause):+.3g}"


def explanation(
    gap: Gap, causes: dict[str, CauseByStep], dimensions: DynamicsByDimension, parts: HorizonParts | None
) -> str:
    """Where in the episode and in which state components, what to do first, and how sure: what follows the verdict."""
    lead = _standing(gap).lead
    blamed = lead or culprit(gap)
    if blamed is None:
        return f"How sure: these are {gap.total.n} episodes; no part is clearly wrong on average."
    advice = blamed
    said = [] if lead else ["To mend one part alone may widen the gap, since others work against it."]
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
    """The learned part that is the most wrong of those clearly so, where something else is blamed."""
    part = culprit(gap, LEARNED)
    if part is None or blamed in LEARNED:
        return ""
    return f"; the learned part that is most clearly wrong is {_said(gap, part)}"


def _share(gap: Gap) -> str:
    """The gap as a share of the larger return, in brackets."""
    scale = max(abs(gap.real.mean), abs(gap.imagined.mean))
    return f" ({abs(gap.total.mean) / scale:.1%} of the return)" if scale > 0 else ""
