"""Short rounds: how a run proceeds with a learner that is trained on from round to round.

Each round buys 500 transitions or about a twentieth of those owned, to the end of an episode, fits
the world's networks on from where they were, and trains policy and value on in the new world. As
long as nothing that was recorded tells a good state from a bad one, the policy that collects looks
for what is unknown. When that changes, a new policy is trained, for the old one climbed something
else. A new one is also trained when some rounds of a policy have brought no more than random
actions did, since an early world can lead it astray. The last rounds train for the return alone.
Purchases are collected by the policy's sampled actions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paracosm.auditing.round_audit import fair_episodes, rewards_of_steps
from paracosm.core import checks
from paracosm.core.data import Dataset
from paracosm.core.learned import Learned, known_rewards
from paracosm.core.learner import Learner
from paracosm.core.mdp import Box, Discrete
from paracosm.core.records.decisions import Decision
from paracosm.core.records.stop_reason import StopReason
from paracosm.imagination.earlier import BestPolicy, least_gain
from paracosm.imagination.exploration import rewards_are_uninformative
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
# Share of the transitions: when as many have been bought, nothing more is explored or restarted.
EXPLORED = 0.9
# Rounds of a policy without success after which it is lost: fewer are what learning takes.
LOST = 3
# Share of the steps of a purchase whose rewards say what its episodes brought.
LEAST_REWARDED = 0.1
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
        horizon: Steps of an episode: by so many at the most a round is longer, to finish its last
            one.
    """

    transitions: int
    labels: int
    horizon: int

    def decision(self, round: int, bought_before: int) -> Decision | None:
        """What to buy in a round, at the least, once `bought_before` transitions have been bought;
        None when all are.
        """
        left = self.transitions - bought_before
        if left <= 0:
            return None
        aim = int(SHARE * bought_before)
        # An episode is finished in half a full one in the mean, sooner where it ends early.
        least = aim - min(self.horizon, aim) // 2
        count = min(max(TRANSITIONS, least), left)
        labels = self._labels(bought_before, count)
        return Decision(round=round, transitions=count, labels=labels, plan=None, why="")

    def is_last(self, data: Dataset) -> bool:
        """Whether no round follows the one that bought the last of `data`."""
        return len(data.transitions) >= self.transitions

    def spare(self, decision: Decision, bought_before: int) -> int:
        """How many transitions more may be bought to finish an episode."""
        return min(self.horizon, self.transitions - bought_before - decision.transitions)

    def with_labels(self, collected: Dataset, bought_before: int, seed: int) -> Dataset:
        """What was collected after `bought_before` transitions, with its share of the labels."""
        count = collected.real_steps
        return collected.buy(count, self._labels(bought_before, count), seed)

    def _labels(self, bought_before: int, transitions: int) -> int:
        """How many labels a purchase of `transitions` after `bought_before` ones has: all
        purchases together hold their share, and the first one as many as a reward can be learned
        from.
        """
        before = self._labels_until(bought_before) if bought_before else 0
        return self._labels_until(bought_before + transitions) - before

    def _labels_until(self, transitions: int) -> int:
        """How many labels the first `transitions` transitions have together: their share, and at
        least as many as a reward can be learned from.
        """
        share = -(-self.labels * transitions // self.transitions)
        return max(share, min(LEAST_ROWS, self.labels))

    def explores(self, data: Dataset, learned: Learned) -> bool:
        """Whether the policy of this round is to look for what is unknown, by what was bought and
        learned from it.
        """
        if self._too_late_to_restart(data):
            return False
        action = learned.rewarded_rows(data).action
        return rewards_are_uninformative(data, learned.rewards(data), action)

    def is_lost(
        self, data: Dataset, returns: Sequence[float | None], rounds_of_this_policy: int
    ) -> bool:
        """Whether a new policy is to start, since the rounds of the last one brought no more than
        random actions.

        Args:
            data: What was bought.
            returns: Mean return of the episodes of each round so far, those of the first by random
                actions; None where it is not known.
            rounds_of_this_policy: In how many rounds the last policy was trained.
        """
        if rounds_of_this_policy < LOST or self._too_late_to_restart(data):
            return False
        known = [mean for mean in (returns[0], *returns[-LOST:]) if mean is not None]
        return len(known) == 1 + LOST and max(known[1:]) <= known[0]

    def _too_late_to_restart(self, data: Dataset) -> bool:
        """Whether too little is left to buy for another policy."""
        return len(data.transitions) > EXPLORED * self.transitions

    def is_astray(self, returns: Sequence[float | None], best: float) -> bool:
        """Whether the last policy brought less than half of what the best one did.

        Args:
            returns: As for `is_lost`; halves are of what is above random actions.
            best: Mean return of the best policy's episodes.
        """
        first, last = returns[0], returns[-1]
        if first is None or last is None:
            return False
        return first < best and last < (first + best) / 2

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
        self, bought: int, data: Dataset, learner: Learner, action: Box | Discrete
    ) -> ImagineSettings:
        """How long the policy is trained in this round, by branches of the learner's length: in the
        last one as if it had bought all transitions, for no other world replaces this one.

        Args:
            bought: How many transitions this round bought.
            data: All that were bought so far.
            learner: What trains.
            action: What it chooses from.
        """
        counted = len(data.transitions) if self.is_last(data) else bought
        wanted = round(STEPS_PER_TRANSITION * counted / CHUNK)
        chunks = min(max(2, wanted), MOST_CHUNKS)
        return training_settings(chunks * CHUNK, learner, action)


def training_settings(
    steps: int, learner: Learner | None, action: Box | Discrete
) -> ImagineSettings:
    """How a learner that goes on from round to round trains for so many steps, all of which it
    takes.

    Args:
        steps: How many.
        learner: As for `ShortRounds.imagine_settings`; REINFORCE if None.
        action: As for `ShortRounds.imagine_settings`.
    """
    return ImagineSettings(
        horizon=learner.settings.branch_steps(action) if isinstance(learner, Pathwise) else 1,
        rates=(_RATE,),
        check=CHUNK,
        patience=steps // CHUNK + 1,
        most_steps=steps,
    )


def best_of(
    best: BestPolicy | None, mean: float, imagined: Imagined, random_return: float
) -> BestPolicy:
    """The best policy so far, of those that trained for the return; the last of those that are as
    good (see `least_gain`): a purchase is few episodes, often one, and the last policy's world knew
    most.

    Args:
        best: The best one before.
        mean: Mean return of the episodes that the last policy collected.
        imagined: The training of the last policy, which may have given the best one back.
        random_return: Of random actions; infinite if it is not known.
    """
    last = BestPolicy(mean, 1, learner_state(imagined))
    if best is not None and imagined.training.stop_reason is StopReason.EARLIER:
        count = best.purchases + 1
        revised = best.real_return + (mean - best.real_return) / count
        return best._replace(real_return=revised, purchases=count)
    if best is None or mean >= best.real_return - least_gain(best.real_return, random_return):
        return last
    return best


def learner_state(imagined: Imagined) -> Any:
    """The state of a learner with one of its own (pathwise, or yours); None of REINFORCE."""
    return None if imagined.own_prediction is None else imagined.own_prediction.state


def with_branches_restarted(state: Any) -> Any:
    """The state of pathwise in a world that has other states than before: no branch goes on from
    where it had come to.
    """
    return state._replace(frontier_alive=np.zeros_like(state.frontier_alive))


def mean_episode_return(
    bought: Dataset, horizon: int, known_reward: Callable | None = None
) -> float | None:
    """Mean return of a purchase's whole episodes: the mean reward of their steps, of the labelled
    ones where the reward is not known, times their mean length.

    It is None without a whole episode, where the whole ones are the short ones (`fair_episodes`),
    and where less than a tenth of the steps have a reward, of which a mean would be chance.
    """
    episodes = fair_episodes(bought, horizon)
    if not episodes:
        return None
    rows = np.concatenate(episodes)
    known = None
    if known_reward is not None:
        known = np.full(bought.real_steps, np.nan)
        known[bought.has_transition] = known_rewards(known_reward, bought.transitions)
    rewards = rewards_of_steps(bought, known)[rows]
    rewarded = rewards[np.isfinite(rewards)]
    if len(rewarded) < LEAST_REWARDED * len(rows):
        return None
    return float(rewarded.mean()) * len(rows) / len(episodes)


def with_round_stop_reason(imagined: Imagined) -> Imagined:
    """The training of a short round, which stops when its steps are done and not by a stall."""
    reason, training = StopReason.ROUND, imagined.training
    training = dataclasses.replace(
        training, stop=reason.sentence(training.stop_steps), stop_reason=reason
    )
    return imagined._replace(training=training)


def uses_short_rounds(learner: Learner | None) -> bool:
    """Whether the learner goes on from round to round; REINFORCE, which is None, does not."""
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
    """Refuse options that short rounds would have to ignore.

    Raises:
        BadArgument: such an option is given; the sentence names it.
    """
    for given in _ignored(config):
        raise checks.BadArgument(
            f"{given}, and --learner {config.learner} has rounds, exploration, fits and training of"
            f" its own; leave one of the two out, or give --learner {REINFORCE}."
        )


def _ignored(config: RunConfig) -> list[str]:
    """The options given in place of which short rounds have their own, as beginnings of
    sentences.
    """
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
