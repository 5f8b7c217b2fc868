"""What a round of a run came to, and what the training of the next one starts from."""

from __future__ import annotations

import enum
import math
import statistics
from typing import Any, NamedTuple

from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.mdp import Spec
from paracosm.core.records.decisions import Decision
from paracosm.core.records.discount import DiscountChoice
from paracosm.core.records.rounds import RoundAudit
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.earlier import BestPolicy, Earlier
from paracosm.imagination.imagine import Imagined
from paracosm.imagination.settings import ImagineSettings
from paracosm.loop.latents import View
from paracosm.loop.short_rounds import (
    ShortRounds,
    best_of,
    learner_state,
    with_branches_restarted,
)

# The last third of the gaps, and so many at the least, say what an imagined return is worth: fewer
# are chance, more are of worlds that were poor.
_LEAST_GAPS = 3


class TrainingStart(NamedTuple):
    """What the training of a round takes from the rounds before.

    Attributes:
        returns: Mean return of the episodes in each purchase so far, None where it is not known:
            the first of random actions, that of round k of the policy that round k − 1 trained.
        explores: Whether the policy is to look for what is unknown.
        rounds_of_this_policy: In how many rounds it has been trained at the end of this one.
        state: Where its learner goes on, None if it starts anew.
        gaps: Real minus imagined return of the policies that rounds before trained for the return,
            by sampled actions, where it is known.
        best: The best policy of the rounds before, of those that trained for the return.
        earlier: The same, where training may give it back.
    """

    returns: tuple[float | None, ...] = ()
    explores: bool = False
    rounds_of_this_policy: int = 1
    state: Any = None
    gaps: tuple[float, ...] = ()
    best: BestPolicy | None = None
    earlier: Earlier | None = None


class Round(NamedTuple):
    """Where a round ends.

    Attributes:
        decision: What it was to buy.
        view: All rows bought so far, and how the run sees its environment.
        spec: The task, with the scales of its states.
        discount: Of training.
        learned: The world, and how it was learned.
        settings: How its policy was trained.
        start: What its training took from the rounds before.
        imagined: Its policy, and how training went.
        training_steps: At the most, of all rounds so far.
        real_steps_while_training: Taken in the real environment while the policy was trained.
        audit_before: What its purchase says of the round before, None if it can say nothing.
    """

    decision: Decision
    view: View
    spec: Spec
    discount: DiscountChoice
    learned: Learned
    settings: ImagineSettings
    start: TrainingStart
    imagined: Imagined
    training_steps: int
    real_steps_while_training: int
    audit_before: RoundAudit | None

    @property
    def data(self) -> Dataset:
        """All rows bought so far, of states or beliefs."""
        return self.view.data

    def without_rows(self) -> Round:
        """The round without the rows that it shares with the next one, which has them all."""
        observed, data = self.view.observed.first(0), self.view.data.first(0)
        return self._replace(view=self.view._replace(observed=observed, data=data))


class Continuation(enum.Enum):
    """How the policy of the round before is trained on."""

    GO_ON = "its learner goes on from where it was"
    NEW_GOAL = "a new policy starts, since exploration began or ended"
    GIVE_UP = "a new policy starts, since nothing of the rounds before is worth keeping"
    RETURN_TO_BEST = "its learner goes on from the best policy of the rounds before"


def training_start(
    short: ShortRounds,
    before: Round | None,
    data: Dataset,
    learned: Learned,
    *,
    mean_return_of_purchase: float | None,
    audit_before: RoundAudit | None,
    encoder_changed: bool,
) -> TrainingStart:
    """What the training of a short round starts from.

    Args:
        short: How short rounds go.
        before: The round before, None in the first.
        data, learned: What has been bought until now, and learned from it.
        mean_return_of_purchase: Of the episodes that this round bought, by the policy before; None
            if it is not known.
        audit_before: What the purchase says of the round before.
        encoder_changed: Whether states and policies mean something else than in the round before.
    """
    explores = short.explores(data, learned)
    if before is None:
        return TrainingStart((mean_return_of_purchase,), explores)
    returns = (*before.start.returns, mean_return_of_purchase)
    # Where it is not known, no policy counts as better than random actions.
    random_return = math.inf if returns[0] is None else returns[0]
    best = None if encoder_changed else before.start.best
    if not before.start.explores and not encoder_changed and mean_return_of_purchase is not None:
        best = best_of(best, mean_return_of_purchase, before.imagined, random_return)
    gaps = _gaps(before, audit_before, encoder_changed=encoder_changed)

    match continuation := _continuation(short, before, data, returns, explores=explores, best=best):
        case Continuation.GO_ON:
            state = learner_state(before.imagined)
            state = with_branches_restarted(state) if encoder_changed else state
        case Continuation.NEW_GOAL:
            state = None
        case Continuation.GIVE_UP:
            state, best = None, None
        case Continuation.RETURN_TO_BEST:
            assert best is not None
            state = best.state

    earlier = None
    if best is not None and not explores:
        earlier = Earlier(
            best=best,
            random_return=random_return,
            usual_gap=_usual_gap(gaps),
            last_policy_failed=continuation is Continuation.RETURN_TO_BEST,
            final_round=short.is_last(data),
        )
    return TrainingStart(
        returns=returns,
        explores=explores,
        rounds_of_this_policy=1 if state is None else before.start.rounds_of_this_policy + 1,
        state=state,
        gaps=gaps,
        best=best,
        earlier=earlier,
    )


def _continuation(
    short: ShortRounds,
    before: Round,
    data: Dataset,
    returns: tuple[float | None, ...],
    *,
    explores: bool,
    best: BestPolicy | None,
) -> Continuation:
    """How the policy of the round before is trained on.

    Args:
        short, before, data: As for `training_start`.
        returns: Of the episodes of each round, this one's included.
        explores: Whether the policy of this round is to look for what is unknown.
        best: The best policy of the rounds before.
    """
    if explores != before.start.explores:
        return Continuation.NEW_GOAL
    if explores:
        return Continuation.GO_ON
    if best is not None and short.is_astray(returns, best.real_return):
        return Continuation.RETURN_TO_BEST
    if short.is_lost(data, returns, before.start.rounds_of_this_policy):
        return Continuation.GIVE_UP
    return Continuation.GO_ON


def _gaps(before: Round, audit: RoundAudit | None, *, encoder_changed: bool) -> tuple[float, ...]:
    """The known gaps of the rounds before, of policies that were trained for the return in their
    round and not given back; those of other states than the present ones are left out.

    Args:
        before: The last of these rounds.
        audit: What its purchase says of it.
        encoder_changed: As for `training_start`.
    """
    if encoder_changed:
        return ()
    given_back = before.imagined.training.stop_reason is StopReason.EARLIER
    if audit is None or audit.gap is None or given_back or before.start.explores:
        return before.start.gaps
    return (*before.start.gaps, audit.gap)


def _usual_gap(gaps: tuple[float, ...]) -> float:
    """The median of the last gaps, infinite where there are too few."""
    if len(gaps) < _LEAST_GAPS:
        return math.inf
    count = max(_LEAST_GAPS, len(gaps) // 3)
    return statistics.median(gaps[-count:])
