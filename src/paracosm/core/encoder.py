"""Encoders: beliefs made of what is observed, for environments that do not show their state.

`z_0 = initial(o_0)` and `z_{t+1} = update(z_t, a_t, o_{t+1})`. Policy and world live on beliefs z,
so that `(z_t, a_t, r_t, z_{t+1})` are the real transitions, and learning, imagination and audit run
on them as on states; what an encoder forgets shows as an error of dynamics or reward.

Two compositions. A source plays an environment through an encoder:

    source = connect("CartPole-v1", encoder=Window(4, Discrete(2)))
    learned = learn(data := source.collect(5_000, seed=0), source.spec(data), discount=0.97)

Episodes that were recorded without one become episodes of beliefs:

    episodes = encode(Window(4), recorded)
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import Box, Discrete
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

    def called(self, stage: str) -> str:
        """What sentences call its method `stage`, `initial` or `update`."""
        return f"the {stage} of the encoder {type(self).__name__}"


class Window(Encoder):
    """The last `length` observations, and the actions between them where their `space` is given.

    A belief is the newest observation, how much each of the others' successors differs from it,
    `o_t, o_t - o_{t-1}, o_{t-1} - o_{t-2}, …`, and the last `length - 1` actions as networks see
    them, the newest first. Before an episode the first observation repeats, and nothing was done.

    The differences say as much as the observations do. They are far smaller where steps are short,
    and as components of their own a network sees them in their own size. Without actions a speed
    that answers to the last one is not known: CartPole's positions move by the speed before it.
    """

    length: int = eqx.field(static=True)
    space: Box | Discrete | None = None

    def __check_init__(self) -> None:
        checks.count("length", self.length)
        if self.space is not None:
            checks.of_kind("space", self.space, (Box, Discrete), "a Box or a Discrete")

    def initial(self, observation: Observation) -> State:
        actions = 0 if self.space is None else self.space.size
        before = jnp.zeros((self.length - 1) * (observation.shape[0] + actions), observation.dtype)
        return jnp.concatenate([observation, before])

    def update(self, state: State, action: Action, observation: Observation) -> State:
        size = observation.shape[0]
        newest, differences, actions = jnp.split(state, (size, self.length * size))
        done = jnp.zeros(0) if self.space is None else self.space.encode(action)
        return jnp.concatenate(
            [
                observation,
                _newest_first(observation - newest, differences),
                _newest_first(done.astype(state.dtype), actions),
            ]
        )


def _newest_first(new: Array, before: Array) -> Array:
    """What came before, moved on by the new, in the same size."""
    return jnp.concatenate([new, before])[: before.shape[0]]


def belief_size(encoder: Encoder, observation_size: int, action: Box | Discrete) -> int:
    """Number of components of the beliefs that `encoder` makes of such observations and actions.

    Raises:
        BadArgument: the encoder cannot be traced, its beliefs are no flat vectors of floats, or
            `update` gives others than `initial`.
    """
    shape, kind = ((), jnp.int32) if isinstance(action, Discrete) else ((action.size,), jnp.float32)
    observation = jax.ShapeDtypeStruct((observation_size,), jnp.float32)
    return _demand_beliefs(encoder, observation, jax.ShapeDtypeStruct(shape, kind))


def encode(encoder: Encoder, episodes: Trajectory) -> Trajectory:
    """Episodes of beliefs, of episodes whose states are observations, `[episode, time, …]`.

    Its numbers are looked at, so it cannot be called inside `jit`.

    Raises:
        BadArgument: the encoder does not fit these observations and actions.
        BadData: an observation or a belief is not finite.
    """
    checks.of_kind("encoder", encoder, Encoder, "an Encoder")
    checks.of_kind("episodes", episodes, Trajectory, "a Trajectory")
    columns = {"the observation": episodes.state, "the next observation": episodes.next_state}
    checks.finite_steps("episode", columns, episodes.alive)
    observations, actions = jnp.asarray(episodes.state), jnp.asarray(episodes.action)
    _demand_beliefs(encoder, *(_one(column) for column in (observations, actions)))
    after = jnp.asarray(episodes.next_state)
    state, next_state = _encoded(encoder, observations[:, 0], actions, after)
    beliefs = {"initial": state, "update": next_state}
    columns = {f"what {encoder.called(name)} gives": beliefs[name] for name in beliefs}
    checks.finite_steps("episode", columns, episodes.alive)
    return dataclasses.replace(episodes, state=state, next_state=next_state)


@eqx.filter_jit
def _encoded(
    encoder: Encoder,
    first: Float[Array, "episode _"],
    actions: Array,
    following: Float[Array, "episode time _"],
) -> tuple[Array, Array]:
    """The beliefs before and after every step.

    Args:
        encoder: What makes them.
        first: What is observed at the start, `[episode, observation]`.
        actions: What is done, `[episode, time, action]` or `[episode, time]`.
        following: What is then observed, `[episode, time, observation]`.
    """

    def of_episode(first: Array, actions: Array, following: Array) -> tuple[Array, Array]:
        def step(state: Array, row: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
            belief = encoder.update(state, *row)
            return belief, (state, belief)

        return jax.lax.scan(step, encoder.initial(first), (actions, following))[1]

    return jax.vmap(of_episode)(first, actions, following)


def _one(column: Array) -> jax.ShapeDtypeStruct:
    """The form of one step's entry of `[episode, time, …]`."""
    return jax.ShapeDtypeStruct(column.shape[2:], column.dtype)


def _demand_beliefs(
    encoder: Encoder, observation: jax.ShapeDtypeStruct, action: jax.ShapeDtypeStruct
) -> int:
    """Require beliefs of one form, before anything is compiled; the number of their components."""
    belief = _traced(encoder, "initial", observation)
    if getattr(belief, "ndim", None) != 1 or not jnp.issubdtype(belief.dtype, jnp.floating):
        raise checks.BadArgument(
            f"{encoder.called('initial')} gives {_form(belief)}; a flat vector of floats is needed."
        )
    needed = jax.ShapeDtypeStruct(belief.shape, belief.dtype)
    after = _traced(encoder, "update", needed, action, observation)
    if _form(after) != _form(needed):
        raise checks.BadArgument(
            f"{encoder.called('update')} gives {_form(after)}; {_form(needed)} is needed, as"
            " its initial gives."
        )
    return belief.shape[0]


def _traced(encoder: Encoder, stage: str, *arguments: jax.ShapeDtypeStruct) -> Any:
    """The form of what a method of the encoder gives."""
    try:
        return jax.eval_shape(getattr(encoder, stage), *arguments)
    except Exception as error:  # tracing runs the user's code
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise checks.BadArgument(
            f"{encoder.called(stage)} cannot be traced at an observation of shape"
            f" {arguments[-1].shape}: {reason}."
        ) from error


def _form(belief: Any) -> str:
    """A traced answer in words."""
    if isinstance(belief, jax.ShapeDtypeStruct):
        return f"an array of shape {belief.shape} and type {belief.dtype}"
    return checks.described(belief) if belief is None else f"a {type(belief).__name__}"
