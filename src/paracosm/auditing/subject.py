"""What an audit is of, as one value that its measurements take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from paracosm.auditing.importance import Importance
from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP
from paracosm.core.policy import MarkovPolicy, Mode
from paracosm.core.predicted import PredictedReturn
from paracosm.core.types import PRNGKey


class AuditSubject(NamedTuple):
    """A policy in a learned world, and the real episodes by which both are audited.

    Attributes:
        world: The learned world, in the precision of the analysis; its discount is that of
            training.
        policy: The audited policy, likewise.
        episodes: Real episodes of `played`, or of another policy if there is `importance`; NumPy
            arrays `[episode, time, …]`.
        predictions: What `predict_steps` gives for `world` and `played` at each of their steps.
        key: Of all noise of the audit, and of its random subsets of steps.
        discounts: γ of each gap that is measured, in [0, 1]; the first is the reporting discount.
        plays_mode: Whether the mode of `policy` plays, else its samples.
        training_prediction: What training predicted of the policy, if it is known.
        importance: The weights of episodes that another policy recorded.
    """

    world: MDP
    policy: MarkovPolicy
    episodes: Trajectory
    predictions: OneStep
    key: PRNGKey
    discounts: tuple[float, ...]
    plays_mode: bool = False
    training_prediction: PredictedReturn | None = None
    importance: Importance | None = None

    @property
    def played(self) -> MarkovPolicy:
        """The policy as it plays: its mode or itself."""
        return Mode(self.policy) if self.plays_mode else self.policy

    @property
    def reported_world(self) -> MDP:
        """The world with the reporting discount."""
        return self.world.replace(discount=self.discounts[0])

    @property
    def step_weights(self) -> np.ndarray:
        """How much each step that was taken counts, `[episode, time]`: 1, or its importance."""
        importance = 1.0 if self.importance is None else self.importance.weights
        return np.asarray(self.episodes.alive) * importance
