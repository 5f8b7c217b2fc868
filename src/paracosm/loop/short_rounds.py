"""Short rounds: how a run goes with a learner that goes on from round to round.

Each round buys some hundred transitions, the last of them to the end of their episode, fits the
world's networks on from where they were, and trains policy and value on in the new world. As long
as nothing that was recorded tells a good state from a bad one, the policy that collects looks for
what is unknown. When that changes, a new policy is trained, for the old one climbed something else;
so it is when some rounds of a policy have brought no more than random actions did, since an early
world can lead it astray. The last rounds train for the return alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from paracosm.auditing.round_audit import whole_episodes
from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.learned import Learned
from paracosm.core.learner import Learner
from paracosm.core.mdp import Box, Discrete
from paracosm.core.records.decisions import Decision
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.exploration import tells_no_state
from paracosm.imagination.imagine import Imagined
from paracosm.imagination.pathwise import Pathwise
from paracosm.imagination.settings import ImagineSettings
from paracosm.learning.learn import LEAST_ROWS
from paracosm.learning.settings import FitSettings, LearnSettings
from paracosm.loop.config import RunConfig
from paracosm.loop.named_parts import REINFORCE

# A round is long enough to show what a new policy does, and short enough to correct it: so many
# transitions, and of many owned ones this share: fewer would hardly change the world.
TRANSITIONS, SHARE = 500, 0.05
# Training steps for each transition bought, and at least two chunks a round: more of them fit a
# policy to a world that the next round replaces.
STEPS_PER_TRANSITION = 4
# Training steps between two evaluations, of which each takes as long as some hundred steps where
# episodes are long; each round has at least two of these chunks, and one of many owned transitions
# no more than so many.
CHUNK, MOST_CHUNKS = 2000, 10
# Of the transitions: when as many have been bought, nothing more is explored or begun anew.
EXPLORED = 0.9
# Rounds of a policy without success: fewer are what learning takes.
LOST = 3
_RATE = 5e-4
# With 100 steps an epoch no policy was found for the double pendulum in 6,000 transitions, with 400
# one in 2,300 (seed 0).
_FIT = FitSettings(
    width=128,
    rates=(1e-3, 3e-4),
    least_steps=400,
    most_steps=400,
    most_epochs=20,
    keep="last",
    balanced=True,
)


@dataclasses.dataclass(frozen=True)
class ShortRounds:
    """What is bought in rounds, and how parts and policy go on.

    Attributes:
        transitions, labels: To buy in all.
        horizon: Steps of an episode, the most that a round is longer for its last one's sake.
    """

    transitions: int
    labels: int
    horizon: int

    def decision(self, round: int, owned: int) -> Decision | None:
        """What to buy in a round, at the least, beside so many transitions; None when all is
        bought.
        """
        left = self.transitions - owned
        count = min(max(TRANSITIONS, int(SHARE * owned)), left)
        return Decision(round, count, self._labels(owned, count), None, "") if left > 0 else None

    def spare(self, decision: Decision, owned: int) -> int:
        """How many transitions more may be bought to finish an episode."""
        return min(self.horizon, self.transitions - owned - decision.transitions)

    def bought(self, collected: Dataset, owned: int, seed: int) -> Dataset:
        """All that was collected beside so many transitions, with its share of the labels."""
        count = collected.real_steps
        return collected.buy(count, self._labels(owned, count), seed)

    def _labels(self, owned: int, transitions: int) -> int:
        """Labels of a purchase: so many that all purchases together hold their share, and at first
        as many as a reward can be learned from.
        """
        return self._labels_until(owned + transitions) - (self._labels_until(owned) if owned else 0)

    def _labels_until(self, transitions: int) -> int:
        share = -(-self.labels * transitions // self.transitions)
        return max(share, min(LEAST_ROWS, self.labels))

    def explores(self, data: Dataset, learned: Learned) -> bool:
        """Whether the policy of this round is to look for what is unknown, by what was bought and
        learned from it.
        """
        return not self._late(data) and tells_no_state(data, learned.rewards(data))

    def lost(self, data: Dataset, returns: Sequence[float], tried: int) -> bool:
        """Whether a policy is to be begun anew: its rounds brought no more than random actions.

        Args:
            data: What was bought.
            returns: Of the episodes of each round so far; those of the first acted at random.
            tried: Rounds that the last policy was trained in.
        """
        if tried < LOST or self._late(data):
            return False
        return max(returns[-LOST:]) <= returns[0] < np.inf

    def _late(self, data: Dataset) -> bool:
        """Whether too little is left to buy for another beginning."""
        return data.real_steps > EXPLORED * self.transitions

    def astray(self, returns: Sequence[float], best: float) -> bool:
        """Whether the last policy brought less than half of what the best one did.

        Args:
            returns: As for `lost`; halves are of what is above random actions.
            best: Of the best policy's episodes.
        """
        return returns[0] < best and returns[-1] < (returns[0] + best) / 2

    def learn_settings(self, round: int) -> LearnSettings:
        """How the world's networks are fitted in this round: at a cost that does not grow."""
        epochs = _FIT.most_epochs if round == 0 else _FIT.most_epochs // 2
        fit = dataclasses.replace(_FIT, most_epochs=epochs)
        return LearnSettings(
            fit,
            margin=0.1,
            probabilistic=True,
            restoring=True,
            reward_at_ends=True,
            capacity=self.transitions,
        )

    def imagine_settings(
        self, bought: Dataset, learner: Learner, action: Box | Discrete
    ) -> ImagineSettings:
        """How long the policy is trained in this round, by branches of the learner's length.

        Args:
            bought: In this round.
            learner: What trains.
            action: What it chooses from.
        """
        wanted = round(STEPS_PER_TRANSITION * bought.real_steps / CHUNK)
        chunks = min(max(2, wanted), MOST_CHUNKS)
        return training_settings(chunks * CHUNK, learner, action)


def training_settings(
    steps: int, learner: Learner | None, action: Box | Discrete
) -> ImagineSettings:
    """How a learner that goes on from round to round trains for so many steps, all of which it
    takes.

    Args:
        steps: Of training.
        learner, action: As for `ShortRounds.imagine_settings`.
    """
    return ImagineSettings(
        horizon=learner.settings.branch_steps(action) if isinstance(learner, Pathwise) else 1,
        rates=(_RATE,),
        check=CHUNK,
        patience=steps // CHUNK + 1,
        most_steps=steps,
    )


class BestPolicy(NamedTuple):
    """The mean return of a policy in the purchases that it collected, how many these are, and the
    state of its learner.
    """

    mean: float
    purchases: int
    state: Any


def best_of(best: BestPolicy | None, mean: float, imagined: Imagined) -> BestPolicy:
    """The best policy so far, of those that trained for the return.

    Args:
        best: The best one before.
        mean: Mean return of the episodes that the last policy collected.
        imagined: Its training; where that gave the best one back, they are that one's.
    """
    if best is not None and imagined.training.stop_reason is StopReason.EARLIER:
        count = best.purchases + 1
        return BestPolicy(best.mean + (mean - best.mean) / count, count, best.state)
    last = BestPolicy(mean, 1, state_of(imagined))
    return last if best is None or mean >= best.mean else best


def state_of(imagined: Imagined) -> Any:
    """The state of a learner of its own kind, None of REINFORCE."""
    return None if imagined.own_prediction is None else imagined.own_prediction.state


def elsewhere(state: Any) -> Any:
    """The state of a learner whose world has other states than before: branches that were to go on
    from where they had come start anew.
    """
    return state._replace(frontier_alive=np.zeros_like(state.frontier_alive))


def episode_return(bought: Dataset, horizon: int) -> float:
    """Mean return of a purchase's whole episodes: what a labelled step brings, by their mean
    length; infinite if nothing tells it.
    """
    episodes = whole_episodes(bought, horizon)
    if not episodes:
        return np.inf
    rows = np.concatenate(episodes)
    rewards = bought.reward[rows]
    labelled = rewards[np.isfinite(rewards)]
    return float(labelled.mean()) * len(rows) / len(episodes) if len(labelled) else np.inf


def of_round(imagined: Imagined) -> Imagined:
    """What a round's training came to, which ends when its steps are done and not by a stall."""
    reason, training = StopReason.ROUND, imagined.training
    training = dataclasses.replace(
        training, stop=reason.sentence(training.stop_steps), stop_reason=reason
    )
    return imagined._replace(training=training)


def goes_on(learner: Learner | None) -> bool:
    """Whether the learner is one that goes on from round to round."""
    return isinstance(learner, Pathwise)


def with_learner(config: RunConfig) -> RunConfig:
    """The configuration with its learner's name: if none is given pathwise, or REINFORCE where
    something is given that short rounds would ignore.
    """
    if config.learner is not None or config.planner is not None:
        return config
    return dataclasses.replace(config, learner=REINFORCE if _ignored(config) else "pathwise")


def learner_note(config: RunConfig) -> str:
    """Why a run whose learner was not named has another than the default; empty if it has not."""
    if config.learner is not None or config.planner is not None or not (given := _ignored(config)):
        return ""
    return (
        f"The learner is {REINFORCE}, since {given[0]}: pathwise, the default, has rounds, fits and"
        " training of its own."
    )


def refuse_ignored(config: RunConfig) -> None:
    """Refuse what short rounds would have to ignore.

    Raises:
        BadArgument: it is given; the sentence names it.
    """
    for given in _ignored(config):
        raise checks.BadArgument(
            f"{given}, and --learner {config.learner} has rounds, exploration, fits and training of"
            f" its own; leave one of the two out, or give --learner {REINFORCE}."
        )


def _ignored(config: RunConfig) -> list[str]:
    """What is given that short rounds have their own of, as the beginnings of sentences."""
    plain = RunConfig(config.env)
    ignored = [
        f"--{name} is given"
        for name in ("budget", "rounds", "noise", "learn", "imagine")
        if getattr(config, name) != getattr(plain, name)
    ]
    transitions, labels = config.counts()
    if config.data is None and labels > transitions:
        ignored.append(f"--reward-labels is {labels}, more than --transitions, {transitions}")
    return ignored
