"""What a round of a run came to, which the next one goes on from."""

from __future__ import annotations

from typing import NamedTuple

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.mdp import Spec
from paracosm.core.records.decisions import Decision
from paracosm.core.records.discount import DiscountChoice
from paracosm.core.records.rounds import RoundAudit
from paracosm.imagination.imagine import Imagined
from paracosm.loop.latents import Seen
from paracosm.loop.short_rounds import BestPolicy


class Round(NamedTuple):
    """Where a round ends: what it bought, all data so far and how they are seen, the mean return of
    each round's episodes so far, the scales of its states, the discount of training, what was
    learned and imagined, whether its policy explores, the best policy of the rounds before,
    training steps so far, real steps on the way, and what its purchase says of the round before.
    """

    decision: Decision
    seen: Seen
    returns: tuple[float, ...]
    spec: Spec
    discount: DiscountChoice
    learned: Learned
    imagined: Imagined
    explores: bool
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
