"""A first look at an environment: does it work at all, and does a seed mean anything to it? No JAX in here."""

from __future__ import annotations

from typing import Any

import numpy as np

from paracosm.core import checks
from paracosm.real import boundary
from paracosm.real.boundary import Misbehaved


def demand_working(name: str, env: Any, action: Any, size: int) -> None:
    """Require that `env` starts and takes a step, so that one of another API is refused before anything is made.

    Raises:
        BadData: it does not; the sentence says what it did.
    """
    place = "on its first reset"
    try:
        boundary.reset(env, 0, size)
        place = "on its first step"
        boundary.step(env, action, size)
    except Misbehaved as error:
        raise checks.BadData(error.fault.sentence(name, place)) from error


def ignores_seed(env: Any, actions: np.ndarray, size: int) -> bool:
    """Whether two episodes from the same seed and with the same actions differ beyond rounding.

    The steps of this look are not counted. An environment that fails in it is not judged: collecting says at which
    step it fails.
    """
    try:
        first, second = (_played(env, actions, size) for _ in range(2))
    except Misbehaved:
        return False
    return len(first) != len(second) or not np.allclose(first, second, rtol=1e-5, atol=1e-8)


def _played(env: Any, actions: np.ndarray, size: int) -> np.ndarray:
    """Observation, reward and end of each step until the episode ends, `[step, ...]`."""
    rows = [[*boundary.reset(env, 0, size), 0.0, 0.0]]
    for action in actions:
        taken = boundary.step(env, action.copy(), size)  # some change their action
        rows.append([*taken.observation, taken.reward, taken.terminated])
        if taken.terminated or taken.truncated:
            break
    return np.array(rows)
