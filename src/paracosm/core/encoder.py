"""Encoders: beliefs made of what is observed, for environments that do not show their state.

`z_0 = initial(o_0)` and `z_{t+1} = update(z_t, a_t, o_{t+1})`. Policy and world live on beliefs z,
so that `(z_t, a_t, r_t, z_{t+1})` are the real transitions, and learning, imagination and audit run
on them as on states; what an encoder forgets shows as an error of dynamics or reward.

Two compositions. A source plays an environment through an encoder:

    source = connect("Pendulum-v1", encoder=Window(4))
    learned = learn(data := source.collect(5_000, seed=0), source.spec(data), discount=0.97)

Episodes that were recorded without one become episodes of beliefs:

    episodes = encode(Window(4), recorded)
"""

from __future__ import annotations

import abc
import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.types import Action, Array, State

Observation = Float[Array, " observation"]


class Encoder(eqx.Module):
    """What turns observations into beliefs, flat float vectors, one step after the other."""

    @abc.abstractmethod
    def initial(self, observation: Observation) -> State:
        """The belief at the start of an episode."""

    @abc.abstractmethod
    def update(self, state: State, action: Action, observation: Observation) -> State:
        """The belief after `action` was taken at the belief `state` and `observation` was seen."""


class Window(Encoder):
    """The last `length` observations, the newest last; before an episode the first one repeats."""

    length: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        checks.count("length", self.length)

    def initial(self, observation: Observation) -> State:
        return jnp.tile(observation, self.length)

    def update(self, state: State, action: Action, observation: Observation) -> State:
        return jnp.concatenate([state[observation.shape[0] :], observation])


def belief_size(encoder: Encoder, observation_size: int) -> int:
    """Number of components of the beliefs that `encoder` makes of such observations.

    Raises:
        BadArgument: the encoder cannot be traced, or its beliefs are no flat vectors of floats.
    """
    observation = jax.ShapeDtypeStruct((observation_size,), jnp.float32)
    try:
        belief = jax.eval_shape(encoder.initial, observation)
    except Exception as error:  # tracing runs the user's code
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise checks.BadArgument(
            f"the encoder's initial cannot be traced at an observation of {observation_size}"
            f" components: {reason}."
        ) from error
    if getattr(belief, "ndim", None) != 1 or not jnp.issubdtype(belief.dtype, jnp.floating):
        raise checks.BadArgument(
            f"the encoder's initial gives {checks.described(belief)}; a flat vector of floats is"
            " needed."
        )
    return belief.shape[0]


@eqx.filter_jit
def encode(encoder: Encoder, episodes: Trajectory) -> Trajectory:
    """Episodes of beliefs, of episodes whose states are observations, `[episode, time, …]`."""

    def of_episode(first: Array, actions: Array, following: Array) -> tuple[Array, Array]:
        def step(state: Array, row: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            belief = encoder.update(state, *row)
            return belief, (state, belief)

        return jax.lax.scan(step, encoder.initial(first), (actions, following))[1]

    state, next_state = jax.vmap(of_episode)(
        jnp.asarray(episodes.state[:, 0]),
        jnp.asarray(episodes.action),
        jnp.asarray(episodes.next_state),
    )
    return dataclasses.replace(episodes, state=state, next_state=next_state)
