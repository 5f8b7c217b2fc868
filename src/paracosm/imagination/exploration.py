"""When a policy should look for what is unknown rather than for rewards."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from paracosm.core.data import Dataset
from paracosm.core.types import Array

# Of the size of a reward: what rounding and 32 bits leave of a reward that the action explains.
_EXPLAINED = 1e-3
# Rewards beyond twice the numbers that are fitted to them: so few would be explained by chance.
_MORE = 10


def rewards_are_uninformative(
    data: Dataset,
    rewards: Float[np.ndarray, " rows"],
    action: Float[Array, "rows action"] | Int[Array, " rows"],
) -> bool:
    """Whether nothing that was recorded tells a good state from a bad one.

    Nothing does where no transition ended, and all rewards are the same or the action alone
    explains every one: a price of each step, or of effort. Whether the action does cannot be told
    of rewards that are not many more than the numbers fitted to them; it then counts as not. A
    policy that climbs such rewards learns to do nothing, and never sees what the task is about (a
    goal that random actions do not reach).

    Args:
        data: What was bought.
        rewards: Its rewards; of its labels, or of a known reward on its transitions.
        action: The actions of the same rows.
    """
    if np.asarray(data.transitions.ended).any():
        return False
    rewards = np.asarray(rewards, np.float64)
    if _explains_all(rewards, np.ones((len(rewards), 1))):
        return True
    features = _features(np.asarray(action))
    enough = len(rewards) >= 2 * features.shape[1] + _MORE
    return enough and _explains_all(rewards, features)


def _explains_all(
    rewards: Float[np.ndarray, " rows"], features: Float[np.ndarray, "rows features"]
) -> bool:
    """Whether a least-squares fit to the features leaves nothing of any reward."""
    explained = features @ np.linalg.lstsq(features, rewards, rcond=None)[0]
    size = np.sqrt(np.mean(rewards**2))
    return bool(np.max(np.abs(rewards - explained)) <= _EXPLAINED * max(size, 1e-12))


def _features(action: np.ndarray) -> Float[np.ndarray, "rows features"]:
    """What a reward of the action alone is linear in: a price of each choice, or a quadratic."""
    if action.ndim == 1:
        return np.eye(int(action.max()) + 1)[action]
    flat = np.asarray(action, np.float64)
    return np.concatenate([np.ones((len(flat), 1)), flat, flat**2], axis=1)
