"""The learned value of a state, which completes the returns of rollouts and is their baseline."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core.data import Trajectory
from paracosm.core.networks import MLP
from paracosm.core.storage import storable
from paracosm.core.types import Array, Scalar


@storable
class Value(eqx.Module):
    """A learned value of a state when the share `elapsed` of the rollout is over.

    `network` maps `[state + 1]` to one number in units of `scale` about `center`.
    """

    network: MLP
    center: Scalar
    scale: Scalar

    def __call__(self, state: Float[Array, " state"], elapsed: Array) -> Scalar:
        """Expected return-to-go at `state` when the share `elapsed` of the rollout is over."""
        return self.center + self.scale * self.network(jnp.append(state, elapsed))[0]


class ValuesAtStates(NamedTuple):
    """Values along rollouts, `[episode, time]`.

    Attributes:
        current: At the state before each step.
        later: At the state after each step, 0 after an end.
    """

    current: Float[Array, "episode time"]
    later: Float[Array, "episode time"]


def elapsed_shares(horizon: int, whole_episodes: bool) -> Float[Array, " _"]:
    """The share of a rollout of `horizon` steps that is over at each of its `horizon + 1` states.

    A rollout shorter than an episode is a window onto an endless one: its value does not know the
    time, and all of these are 0.
    """
    steps = jnp.arange(horizon + 1)
    return steps / horizon if whole_episodes else jnp.zeros(horizon + 1)


def values_at_states(value: Value, episodes: Trajectory, whole_episodes: bool) -> ValuesAtStates:
    """The value along rollouts; of whole episodes nothing is left at their last state."""
    states = jnp.concatenate([episodes.state, episodes.next_state[:, -1:]], axis=1)
    elapsed = elapsed_shares(episodes.reward.shape[1], whole_episodes)
    values = jax.vmap(jax.vmap(value), (0, None))(states, elapsed)
    later = jnp.where(episodes.alive & ~episodes.terminated, values[:, 1:], 0)
    later = later.at[:, -1].set(0) if whole_episodes else later
    return ValuesAtStates(current=values[:, :-1], later=later)
