"""JAX-native systems seen through an encoder: policies act on beliefs, not on states."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from paracosm.core.data import Trajectory
from paracosm.core.encoder import Encoder, belief_size
from paracosm.core.mdp import MDP
from paracosm.core.policy import Policy
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State


class ObservedSystem(eqx.Module):
    """A system whose states are observed through an encoder, as one MDP of (state, belief)."""

    mdp: MDP
    encoder: Encoder

    @property
    def size(self) -> int:
        """Components of the system's own state, the first ones of a pair."""
        return self.mdp.spec.state_size

    def pairs(self) -> MDP:
        """The MDP of pairs `(s, z)`: `z' = update(z, a, s')` beside `s' = f(s, a)`."""
        total = self.size + belief_size(self.encoder, self.size, self.mdp.spec.action)
        spec = dataclasses.replace(
            self.mdp.spec, state_size=total, state_scale=jnp.ones(total), components=()
        )
        return MDP(
            spec,
            dynamics=self._dynamics,
            reward=SystemPart(self.mdp.reward, self.size),
            termination=SystemPart(self.mdp.termination, self.size),
            initial=self._initial,
            discount=self.mdp.discount,
        )

    def beliefs(self, episodes: Trajectory) -> Trajectory:
        """Episodes of pairs as episodes of beliefs."""
        return dataclasses.replace(
            episodes,
            state=episodes.state[..., self.size :],
            next_state=episodes.next_state[..., self.size :],
        )

    def _initial(self, key: PRNGKey) -> State:
        state = self.mdp.initial(key)
        return jnp.concatenate([state, self.encoder.initial(state)])

    def _dynamics(self, pair: State, action: Action, key: PRNGKey) -> State:
        state = self.mdp.dynamics(pair[: self.size], action, key)
        return jnp.concatenate([state, self.encoder.update(pair[self.size :], action, state)])


class SystemPart(eqx.Module):
    """A reward or an end rule of the system's states, asked at pairs.

    It is a module because a function that is made anew would be compiled anew.
    """

    part: Callable[[State, Action, State], Scalar | Flag]
    size: int = eqx.field(static=True)

    def __call__(self, pair: State, action: Action, after: State) -> Any:
        return self.part(pair[: self.size], action, after[: self.size])


class BeliefPolicy(Policy):
    """A policy of beliefs, played on pairs whose first `size` components it does not see."""

    policy: Policy
    size: int = eqx.field(static=True)

    def initial(self) -> Any:
        return self.policy.initial()

    def act(self, carry: Any, state: Array, key: PRNGKey) -> tuple[Action, Any]:
        return self.policy.act(carry, state[self.size :], key)

    def greedy(self) -> Policy:
        return BeliefPolicy(self.policy.greedy(), self.size)
