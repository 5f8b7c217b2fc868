"""What other searches reach in the learned world: how much of a policy's regret is its search's."""

from __future__ import annotations

import dataclasses

from paracosm.core.records.base import Estimate, Record


@dataclasses.dataclass(frozen=True)
class SearchTrial(Record):
    """One search in the learned world, held against the audited policy.

    `imagined` is the return of what the search came to, `better_by` how much more that is than the
    audited policy's from the same starts; its lower end holds for all trials at once. Where the
    difference is `alike` from all starts, it does so if no return lies beyond those seen on both
    sides. `imagined_steps` counts the steps of the world that the search took.
    """

    search: str
    imagined: Estimate
    better_by: Estimate
    imagined_steps: int
    alike: bool = False


@dataclasses.dataclass(frozen=True)
class Regret(Record):
    """`J(π*) − J(π)` of a comparison policy π* and the audited policy π, in three shares.

    `model = J(π*) − Ĵ(π*)`, `search = Ĵ(π*) − Ĵ(π)` and `gap = Ĵ(π) − J(π)` sum to `total`, start
    by start. The gap is imagined minus real here: what the policy promised and does not keep.
    """

    comparison: str
    model: Estimate
    search: Estimate
    gap: Estimate
    total: Estimate


@dataclasses.dataclass(frozen=True)
class SearchShare(Record):
    """How much more return other searches reach in the world that a policy was trained in.

    The best policy of that world is worth no less than the best of them, so that `least`, the
    largest lower end of the trials' `better_by` and 0 at least, bounds from below what the policy's
    own search left there: `max_π' Ĵ(π') − Ĵ(π) ≥ least` with the confidence `level`. `best` is the
    trial that it is of, none where no search is clearly better. `imagined` is the return of the
    audited policy in that world from the same `starts`, over `horizon` steps at `discount`. It
    `leads` where it is more than the gap can be, and more than a twentieth of the larger imagined
    return. `regret` is known where the real system could be asked.
    """

    discount: float
    horizon: int
    starts: int
    level: float
    imagined: Estimate
    trials: tuple[SearchTrial, ...]
    least: float
    best: str | None
    leads: bool
    regret: Regret | None = None

    @property
    def imagined_steps(self) -> int:
        """Imagined steps of all trials together."""
        return sum(trial.imagined_steps for trial in self.trials)
