"""Which Gymnasium spaces are supported, and what they are on our side."""

from __future__ import annotations

from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete

_SUPPORTED = "one-dimensional Box observations, and one-dimensional bounded Box or Discrete actions, are supported"


def state_size(name: str, space: spaces.Space[Any]) -> int:
    """Number of components of the observation.

    Raises:
        Unsupported: the observation is not a one-dimensional Box.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return space.shape[0]
    raise checks.Unsupported(f"{name} observes {_described(space)}; {_SUPPORTED}.")


def action_space(name: str, space: spaces.Space[Any]) -> Box | Discrete:
    """The space of actions; discrete ones count from 0.

    Raises:
        Unsupported: the actions are neither Discrete nor a one-dimensional Box with finite bounds.
    """
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n), int(space.start))
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating):
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
        if np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all():
            return Box(jnp.asarray(low), jnp.asarray(high))
    raise checks.Unsupported(f"{name} acts on {_described(space)}; {_SUPPORTED}.")


def horizon(name: str, env: gymnasium.Env[Any, Any], wanted: int | None) -> int:
    """Steps in a full episode: `wanted`, or else the environment's time limit.

    Raises:
        BadArgument: there is neither, or the limit is below `wanted`.
    """
    limit = env.spec.max_episode_steps if env.spec is not None else None
    if limit is None and env.has_wrapper_attr("_max_episode_steps"):
        limit = env.get_wrapper_attr("_max_episode_steps")
    if wanted is None:
        if limit is None:
            raise checks.BadArgument(f"{name} has no time limit; a horizon, in steps, is needed.")
        return limit
    checks.at_least("horizon", wanted, 1)
    if limit is not None and wanted > limit:
        raise checks.BadArgument(f"horizon is {wanted}; {name} ends its episodes at {limit} steps.")
    return wanted


def _described(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Box) and len(space.shape) == 3:
        return f"images of shape {space.shape}"
    if isinstance(space, spaces.Box) and len(space.shape) == 1 and np.issubdtype(space.dtype, np.floating):
        return f"a Box from {space.low} to {space.high}"
    if isinstance(space, spaces.Box):
        return f"a {space.dtype} Box of shape {space.shape}"
    return f"a {type(space).__name__} space"
