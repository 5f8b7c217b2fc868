"""A world in which leaving the domain of the data does not pay."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp

from paracosm.core.mdp import MDP, Domain
from paracosm.core.types import Action, Flag, Scalar, State


class _EndAtEdge(eqx.Module):
    """A termination rule that also ends where the data do."""

    rule: Callable
    domain: Domain

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return self.rule(state, action, next_state) | self.domain.at_edge(next_state)


class _PayAtEdge(eqx.Module):
    """A reward that adds, where the data end, the value of the worst reward for ever after."""

    reward: Callable
    domain: Domain
    worst: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return self.reward(state, action, next_state) + jnp.where(
            self.domain.at_edge(next_state), self.worst, 0.0
        )


def pessimistic(world: MDP, worst_reward: float) -> MDP:
    """`world`, except that a rollout that leaves its domain ends there as if it earned the worst
    reward for ever.

    The step that leaves pays `γ min(worst_reward, 0) min(1/(1-γ), H)` besides its own reward, so no
    rollout that leaves is worth more than if it had gone on under the worst reward. A policy that
    is rewarded by imagination beyond the data exploits the model's mistakes (compare MOReL, Kidambi
    et al. 2020). `worst_reward` counts only if negative: ending is worth 0. A world without a
    domain is returned as it is.
    """
    if world.domain is None:
        return world
    lasting = 1 / (1 - world.discount) if world.discount < 1 else float("inf")
    worst = jnp.asarray(world.discount * min(worst_reward, 0.0) * min(lasting, world.spec.horizon))
    return world.replace(
        reward=_PayAtEdge(world.reward, world.domain, worst),
        termination=_EndAtEdge(world.termination, world.domain),
    )
