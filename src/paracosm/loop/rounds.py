"""What a round of a run came to, and what the next one goes on from."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.mdp import Spec
from paracosm.core.records.decisions import Decision
from paracosm.core.records.discount import DiscountChoice
from paracosm.core.records.rounds import RoundAudit
from paracosm.imagination.earlier import Earlier
from paracosm.imagination.imagine import Imagined
from paracosm.loop.latents import Seen
from paracosm.loop.short_rounds import BestPolicy, ShortRounds, best_of, elsewhere, state_of


class Round(NamedTuple):
    """Where a round ends: what it bought, all data so far and how they are seen, the mean return of
    each round's episodes so far, the scales of its states, the discount of training, what was
    learned and imagined, whether its policy explores, in how many rounds that policy has been
    trained, the best policy of the rounds before, training steps so far, real steps on the way, and
    what its purchase says of the round before.
    """

    decision: Decision
    seen: Seen
    returns: tuple[float, ...]
    spec: Spec
    discount: DiscountChoice
    learned: Learned
    imagined: Imagined
    explores: bool
    tried: int
    best: BestPolicy | None
    trained: int
    stepped: int
    audit_before: RoundAudit | None

    @property
    def data(self) -> Dataset:
        """All rows bought so far, of states or beliefs."""
        return self.seen.data

    def without_rows(self) -> Round:
        """The round without the rows that it shares with the next one, which has them all."""
        observed, data = self.seen.observed.first(0), self.seen.data.first(0)
        return self._replace(seen=self.seen._replace(observed=observed, data=data))


class CarriedOn(NamedTuple):
    """What the training of a round takes from the rounds before.

    Attributes:
        returns: Mean return of each round's episodes so far.
        explores: Whether the policy is to look for what is unknown.
        tried: In how many rounds it has been trained at the end of this one.
        state: Where its learner goes on, None if it starts anew.
        best: The best policy of the rounds before, of those that trained for the return.
        earlier: The same, where training may give it back.
    """

    returns: tuple[float, ...] = ()
    explores: bool = False
    tried: int = 1
    state: Any = None
    best: BestPolicy | None = None
    earlier: Earlier | None = None


def carried_on(
    short: ShortRounds,
    before: Round | None,
    data: Dataset,
    learned: Learned,
    *,
    brought: float,
    anew: bool,
) -> CarriedOn:
    """What a short round goes on from.

    Args:
        short: How short rounds go.
        before: The round before, None in the first.
        data, learned: What has been bought until now, and learned from it.
        brought: Mean return of the episodes that this round bought, by the policy before.
        anew: Whether an encoder was learned anew: states and policies mean something else then.
    """
    returns = (*(() if before is None else before.returns), brought)
    explores = short.explores(data, learned)
    if before is None:
        return CarriedOn(returns, explores)
    changes = explores != before.explores
    lost = not (explores or changes) and short.lost(data, returns, before.tried)
    state, best, earlier, astray = None, None, None, False
    if not (changes or lost):
        state = state_of(before.imagined)
        state = elsewhere(state) if anew else state
    if not anew:
        best = before.best
        if not before.explores and math.isfinite(brought):
            best = best_of(best, brought, before.imagined)
    if best is not None and not explores:
        last = data.real_steps >= short.transitions
        astray = not before.explores and short.astray(returns, best.mean)
        earlier = Earlier(best.state, best.mean, returns[0], astray, last)
        state = best.state if astray else state
    if lost and not astray:
        best, earlier = None, None
    tried = 1 if state is None else before.tried + 1
    return CarriedOn(returns, explores, tried, state, best, earlier)
