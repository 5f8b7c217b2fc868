"""The verdict: one sentence that never claims more than its intervals."""

from __future__ import annotations

from collections.abc import Iterable

from paracosm.core.records import Gap

CAUSES = {
    "reward": "the reward model",
    "termination": "the end rule",
    "dynamics": "the dynamics model",
    "horizon": "the training horizon (the bootstrapped value and the edge of the data)",
}
LEARNED = ("reward", "termination", "dynamics")
_ROUNDING = 1e-6  # of the returns: what observations in 32 bits cannot tell from zero


def culprit(gap: Gap, among: Iterable[str] = tuple(CAUSES)) -> str | None:
    """The cause with the largest signed term whose interval excludes zero, if any; rounding is no cause."""
    least = _ROUNDING * max(abs(gap.real.mean), abs(gap.imagined.mean))
    terms = {cause: getattr(gap, cause) for cause in among}
    clear = [cause for cause, term in terms.items() if term.excludes_zero and abs(term.mean) > least]
    return max(clear, key=lambda cause: abs(terms[cause].mean), default=None)


def verdict(gap: Gap) -> str:
    """Size of the gap, its main cause with the interval, or that it is undetermined and what would settle it.

    A cause is said to make most of the gap only if no other term is larger; one whose interval includes zero may be.
    The horizon is a matter of training, not of data: where it is to blame, the worst learned part is named beside it.
    """
    size = (
        f"Training believed {gap.imagined.mean:.4g} (discounted), the real return is {gap.real.mean:.4g}:"
        f" the gap of {gap.total.mean:+.3g}{_share(gap)}"
    )
    blamed = culprit(gap)
    if blamed is None:
        return (
            f"{size} has an undetermined cause, since the interval of every cause includes zero;"
            f" more evaluation episodes than {gap.total.n} would narrow them."
        )
    largest = max(CAUSES, key=lambda cause: abs(getattr(gap, cause).mean))
    if largest == blamed:
        return f"{size} comes most from {CAUSES[blamed]}, {getattr(gap, blamed):+.3g}{_worst_part(gap, blamed)}."
    return (
        f"{size} is clearly due to {CAUSES[blamed]}, {getattr(gap, blamed):+.3g}; {CAUSES[largest]} may weigh more,"
        f" {getattr(gap, largest):+.3g}, which more evaluation episodes than {gap.total.n} would settle."
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
