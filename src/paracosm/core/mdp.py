"""The Markov decision process as a record of swappable parts (theory, section 0).

A real JAX-native system and a learned world are the same type: `world.replace(reward=real.reward)` is the
counterfactual world whose only error is in its dynamics and end rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State


class Box(eqx.Module):
    """Continuous actions between finite bounds, each of shape `[action]`, in the environment's units."""

    low: Float[Array, " action"]
    high: Float[Array, " action"]

    @property
    def size(self) -> int:
        """Number of action components."""
        return self.low.shape[0]

    def encode(self, action: Float[Array, " action"]) -> Float[Array, " action"]:
        """The action as a network sees it: each component mapped from its bounds, constants, to [-1, 1]."""
        low, high = jax.lax.stop_gradient((self.low, self.high))
        return (2 * action - (high + low)) / (high - low)


class Discrete(eqx.Module):
    """Actions `0 … n-1`: int32 outside, one-hot inside networks."""

    n: int = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Number of actions."""
        return self.n

    def encode(self, action: Array) -> Float[Array, " action"]:
        """The action as a network sees it: one-hot."""
        return jax.nn.one_hot(action, self.n)


class Spec(eqx.Module):
    """What is fixed about a task.

    `state_scale` (`[state]`, the environment's units) is the house norm: errors and Lipschitz constants are
    measured in states divided by it. `horizon` is the length of a full episode in steps.
    """

    state_size: int = eqx.field(static=True)
    action: Box | Discrete
    state_scale: Float[Array, " state"]
    horizon: int = eqx.field(static=True)

    def norm(self, difference: Float[Array, "*batch state"]) -> Float[Array, "*batch"]:
        """Euclidean norm of a difference of states in scaled units."""
        return jnp.linalg.norm(difference / self.state_scale, axis=-1)


class Domain(eqx.Module):
    """The box of states, `[state]` each, on which a model may be asked: where its data lie."""

    low: Float[Array, " state"]
    high: Float[Array, " state"]

    def clip(self, state: State) -> State:
        """The nearest state inside (1-Lipschitz)."""
        return jnp.clip(state, self.low, self.high)

    def at_edge(self, state: Float[Array, "*batch state"]) -> Array:
        """Whether a state lies on or outside the boundary, `[*batch]`."""
        return jnp.any((state <= self.low) | (state >= self.high), axis=-1)


class MDP(eqx.Module):
    """Dynamics, reward, termination, initial states and discount; every part can be swapped.

    Parts act on one state and one action: `dynamics(s, a, key) -> s'`, `reward(s, a, s') -> scalar`,
    `termination(s, a, s') -> bool`, `initial(key) -> s`. A terminated state is absorbing with reward 0; the
    terminal step's own reward counts. The horizon is finite, so the discount may be 1.
    """

    spec: Spec
    dynamics: Callable[[State, Action, PRNGKey], State]
    reward: Callable[[State, Action, State], Scalar]
    termination: Callable[[State, Action, State], Flag]
    initial: Callable[[PRNGKey], State]
    discount: float = eqx.field(static=True)
    domain: Domain | None = None

    def __check_init__(self) -> None:
        checks.in_unit_interval("discount", self.discount)

    def replace(self, **parts: Any) -> MDP:
        """The same MDP with some parts swapped."""
        return dataclasses.replace(self, **parts)


def never(state: Array, action: Array, next_state: Array) -> Flag:
    """The termination rule of a task that never ends."""
    return jnp.zeros((), bool)
