"""The verdict: one sentence that never claims more than its intervals."""

from __future__ import annotations

from paracosm.core.records import Diagnosis, Gap

CAUSES = {
    "reward": "the reward model",
    "termination": "the end rule",
    "dynamics": "the dynamics model",
    "horizon": "the training horizon (the bootstrapped value and the edge of the data)",
}
_ROUNDING = 1e-6  # of the returns: what observations in 32 bits cannot tell from zero


def culprit(gap: Gap) -> str | None:
    """The cause with the largest signed term whose interval excludes zero, if any; rounding is no cause."""
    least = _ROUNDING * max(abs(gap.real.mean), abs(gap.imagined.mean))
    terms = {cause: getattr(gap, cause) for cause in CAUSES}
    clear = [cause for cause, term in terms.items() if term.excludes_zero and abs(term.mean) > least]
    return max(clear, key=lambda cause: abs(terms[cause].mean), default=None)


def verdict(found: Diagnosis) -> str:
    """Size of the gap, its main cause with the interval, or that it is undetermined and what would settle it."""
    gap = found.gap
    size = f"Training believed {gap.imagined.mean:.4g} (discounted), the real return is {gap.real.mean:.4g}"
    blamed = culprit(gap)
    if blamed is None:
        return (
            f"{size}: the cause of the gap of {gap.total.mean:+.3g} is undetermined, since the interval of every cause"
            f" includes zero; more evaluation episodes than {gap.total.n} would narrow them."
        )
    term = getattr(gap, blamed)
    return (
        f"{size}: the gap of {gap.total.mean:+.3g} comes most from {CAUSES[blamed]},"
        f" {term.mean:+.3g} [{term.low:+.3g}, {term.high:+.3g}]."
    )
