"""The verdict: one sentence that never claims more than its intervals."""

from __future__ import annotations

from paracosm.core.records import Diagnosis, Gap

CAUSES = {
    "reward": "the reward model",
    "termination": "the end rule",
    "dynamics": "the dynamics model",
    "horizon": "the training horizon (the bootstrapped value and the edge of the data)",
}


def culprit(gap: Gap) -> str | None:
    """The cause with the largest signed term whose interval excludes zero, if any."""
    clear = [cause for cause in CAUSES if getattr(gap, cause).excludes_zero]
    return max(clear, key=lambda cause: abs(getattr(gap, cause).mean), default=None)


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
