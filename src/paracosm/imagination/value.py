"""The learned value of a state, which completes the returns of rollouts and is their baseline."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.data import Trajectory
from paracosm.core.learner import Problem
from paracosm.core.networks import MLP
from paracosm.core.storage import storable
from paracosm.core.types import Array, Scalar


@storable
class Value(eqx.Module):
    """A learned value of a state, `t` of `horizon` steps into a rollout.

    `network` maps `[state + 1]` to one number in units of `scale` about `center`.
    """

    network: MLP
    center: Scalar
    scale: Scalar

    def __call__(self, state: Float[Array, " state"], progress: Array) -> Scalar:
        """Expected return-to-go at `state` when the share `progress` of the rollout is over."""
        return self.center + self.scale * self.network(jnp.append(state, progress))[0]


class ValuesAtStates(NamedTuple):
    """Values `[episode, time]` at the states of rollouts and at the next ones, 0 after an end."""

    now: Float[Array, "episode time"]
    later: Float[Array, "episode time"]


def progress(problem: Problem) -> Float[Array, " _"]:
    """Share of the rollout that is over at each of its `horizon + 1` states.

    A rollout completed by a value is a window onto an endless one: its value does not know the
    time.
    """
    steps = problem.horizon + 1
    return jnp.zeros(steps) if problem.cut else jnp.arange(steps) / problem.horizon


def values_at_states(value: Value, episodes: Trajectory, problem: Problem) -> ValuesAtStates:
    """The value along rollouts; of whole episodes nothing is left at their last state."""
    states = jnp.concatenate([episodes.state, episodes.next_state[:, -1:]], axis=1)
    values = jax.vmap(jax.vmap(value), (0, None))(states, progress(problem))
    later = jnp.where(episodes.alive & ~episodes.terminated, values[:, 1:], 0)
    return ValuesAtStates(values[:, :-1], later if problem.cut else later.at[:, -1].set(0))
