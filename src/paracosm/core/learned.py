"""What learning hands to imagination: a world, and how each of its parts was learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset, RewardLabels, Transitions
from paracosm.core.mdp import MDP
from paracosm.core.records import PartFit


class Learned(NamedTuple):
    """A learned world and how each of its parts was learned; a part without a fit is known, not
    learned.

    `splits` holds, by part, the identities of the rows that were fitted, that validated and that
    were held out (see `learning/continued_split.py`). It lacks parts whose split follows from the
    number of rows, and parts of one's own part learners; in a stored world it is empty.
    """

    world: MDP
    fits: dict[str, PartFit]
    splits: Mapping[str, tuple[np.ndarray, ...]] = {}

    @property
    def given(self) -> tuple[str, ...]:
        """The parts that were given as the real ones."""
        return tuple(name for name, fit in self.fits.items() if fit.origin == "known")

    def worst_reward(self, data: Dataset) -> float:
        """The lowest reward label of `data`, or of a known reward the lowest on its bought
        transitions.

        Raises:
            BadData: nothing that tells was bought, or a known reward is not finite on a bought
                transition.
        """
        return float(np.min(self.rewards(data)))

    def rewards(self, data: Dataset) -> np.ndarray:
        """The reward labels of `data`, or a known reward on its bought transitions, `[rows]`.

        Raises:
            BadData: as for `worst_reward`.
        """
        rows = self.rewarded_rows(data)
        if isinstance(rows, RewardLabels):
            rewards, source = np.asarray(rows.reward), "reward labels"
        else:
            rewards, source = known_rewards(self.world.reward, rows), "transitions"
        if not len(rewards):
            raise checks.BadData(
                f"the data hold no {source}; the lowest of their rewards is needed."
            )
        return rewards

    def rewarded_rows(self, data: Dataset) -> RewardLabels | Transitions:
        """The rows of `data` that `rewards` are of."""
        learned = "reward" in self.fits and self.fits["reward"].origin != "known"
        return data.labels if learned else data.transitions


def known_rewards(reward: Callable, transitions: Transitions) -> np.ndarray:
    """A known reward on bought transitions, `[rows]`.

    Raises:
        BadData: it is not finite on one of them.
    """
    step = (transitions.state, transitions.action, transitions.next_state)
    rewards = np.asarray(jax.vmap(reward)(*step))
    checks.finite("the known reward on the bought transitions", rewards, "transition")
    return rewards
