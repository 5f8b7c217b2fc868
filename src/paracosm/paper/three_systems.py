"""The three real systems of E8 and E10."""

from __future__ import annotations

import dataclasses

import equinox as eqx

from paracosm.core.mdp import MDP
from paracosm.core.types import PRNGKey
from paracosm.real import systems


def real_system(name: str, key: PRNGKey, *, discount: float, horizon: int) -> MDP:
    """`pendulum`, `linear-quadratic` or `tanh`; all but the pendulum are drawn.

    Args:
        name: Of the system.
        key: Of the draw.
        discount, horizon: Of its returns.
    """
    sizes = {"discount": discount, "horizon": horizon}
    if name == "pendulum":
        swing = systems.pendulum(discount)
        return swing.replace(spec=dataclasses.replace(swing.spec, horizon=horizon))
    if name == "linear-quadratic":
        return systems.linear_quadratic(key, norms=(0.95, 0.5, 0.5), **sizes)[0]
    world = systems.lipschitz_synthetic(key, dynamics=1.0, reward=1.0, **sizes)[0]
    # Drift would carry every state to where tanh is flat and all actions are worth the same.
    maps = lambda w: (w.dynamics.map.b, w.reward.map.b)  # noqa: E731
    return eqx.tree_at(maps, world, replace_fn=lambda drift: 0 * drift)
