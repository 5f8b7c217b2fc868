"""Encoders: beliefs made of what is observed, for environments that do not show their state.

`z_0 = initial(o_0)` and `z_{t+1} = update(z_t, a_t, o_{t+1})`. Policy and world live on beliefs z,
so that `(z_t, a_t, r_t, z_{t+1})` are the real transitions, and learning, imagination and audit run
on them as on states; what an encoder forgets shows as an error of dynamics or reward.

Two compositions. A source plays an environment through an encoder:

    source = connect("CartPole-v1", encoder=Window(4, Discrete(2)))
    learned = learn(data := source.collect(5_000, seed=0), source.spec(data), discount=0.97)

Episodes that were recorded without one become episodes of beliefs:

    episodes = encode(Window(4), recorded)

Where an environment shows images, an observation is a flat row of uint8, row-major of `[height,
width, channels]`; an encoder makes floats of it itself.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Float, Num, UInt8

from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.mdp import Box, Discrete
from paracosm.core.storage import storable
from paracosm.core.types import Action, Array, State

Observation = Float[Array, " observation"] | UInt8[Array, " observation"]

# Episodes encoded at a time: what a network computes of an image takes far more than the image.
_EPISODES = 32
_ROWS = 1024  # of a data set, for which a program is compiled once


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


@storable
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


def belief_size(
    encoder: Encoder,
    observation_size: int,
    action: Box | Discrete,
    observation_type: DTypeLike = np.float32,
) -> int:
    """Number of components of the beliefs that `encoder` makes of such observations and actions.

    Args:
        encoder: What makes them.
        observation_size: Components of an observation.
        action: The actions that there are.
        observation_type: Of an observation's components; uint8 where it is an image.

    Raises:
        BadArgument: the encoder cannot be traced, its beliefs are no flat vectors of floats, or
            `update` gives others than `initial`.
    """
    shape, kind = ((), jnp.int32) if isinstance(action, Discrete) else ((action.size,), jnp.float32)
    observation = jax.ShapeDtypeStruct((observation_size,), observation_type)
    return _require_beliefs(encoder, observation, jax.ShapeDtypeStruct(shape, kind))


def encode(encoder: Encoder, episodes: Trajectory) -> Trajectory:
    """Episodes of beliefs, of episodes whose states are observations, `[episode, time, …]`.

    Episodes are encoded some at a time, so that a recording of images takes little more memory than
    it has. Its numbers are looked at, so it cannot be called inside `jit`.

    Raises:
        BadArgument: the encoder does not fit these observations and actions.
        BadData: there is no episode; an observation or a belief is not finite.
    """
    checks.of_kind("encoder", encoder, Encoder, "an Encoder")
    checks.of_kind("episodes", episodes, Trajectory, "a Trajectory")
    if not len(episodes.alive):
        raise checks.BadData("there is no episode to encode; at least one is needed.")
    columns = {"the observation": episodes.state, "the next observation": episodes.next_state}
    checks.finite_steps("episode", columns, episodes.alive)
    _require_beliefs(encoder, *(_one(column) for column in (episodes.state, episodes.action)))
    state, next_state = _in_blocks(encoder, episodes)
    beliefs = {"initial": state, "update": next_state}
    columns = {f"what {encoder.called(name)} gives": beliefs[name] for name in beliefs}
    checks.finite_steps("episode", columns, episodes.alive)
    return dataclasses.replace(episodes, state=state, next_state=next_state)


def _in_blocks(encoder: Encoder, episodes: Trajectory) -> list[Array]:
    """The beliefs before and after every step, blocks of episodes one after another.

    The last episode fills up the last block, so that every block is of one size and one program.
    """
    recorded = (episodes.state, episodes.action, episodes.next_state)
    observed, actions, following = map(np.asarray, recorded)
    count = len(actions)
    size, blocks = min(count, _EPISODES), []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        columns = observed[rows, 0], actions[rows], following[rows]
        beliefs = _encoded(encoder, *map(jnp.asarray, columns))
        blocks.append([belief[: count - first] for belief in beliefs])
    return [jnp.concatenate(column) for column in zip(*blocks, strict=True)]


@eqx.filter_jit
def _encoded(
    encoder: Encoder,
    first: Num[Array, "episode _"],
    actions: Array,
    following: Num[Array, "episode time _"],
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


def encode_rows(encoder: Encoder, data: Dataset) -> Dataset:
    """The rows of a data set with beliefs for observations.

    Beliefs start at the first row of an episode, and anew where rows of it are missing before one.

    Raises:
        BadArgument: the encoder does not fit these observations and actions.
        BadData: a belief is not finite.
    """
    rows = data.real_steps
    columns = (data.state, data.next_state, data.action)
    observation, _, action = (jax.ShapeDtypeStruct(c.shape[1:], c.dtype) for c in columns)
    belief = np.zeros(_require_beliefs(encoder, observation, action), np.float32)
    begins = np.diff(data.episode, prepend=-1 if not rows else data.episode[0] - 1) != 0
    begins[1:] |= np.diff(data.time) != 1
    beliefs = np.zeros((2, rows, len(belief)), np.float32)
    for first in range(0, rows, _ROWS):
        part = slice(first, first + _ROWS)
        filled = tuple(_filled(column[part], _ROWS) for column in (begins, *columns))
        belief, both = _encoded_rows(encoder, belief, filled)
        beliefs[:, part] = np.asarray(both)[:, : rows - first]
    for name, values in {"initial": beliefs[0, begins], "update": beliefs[1]}.items():
        axis = "episode" if name == "initial" else "step"
        checks.finite(f"what {encoder.called(name)} gives", values, axis)
    return dataclasses.replace(data, state=beliefs[0], next_state=beliefs[1])


def _filled(column: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([column, np.zeros((rows - len(column), *column.shape[1:]), column.dtype)])


@eqx.filter_jit
def _encoded_rows(
    encoder: Encoder, belief: Array, rows: tuple[Array, ...]
) -> tuple[Array, Float[Array, "2 row belief"]]:
    """The belief after the last row, and those before and after each row.

    `rows` are flags of the first one of each episode, what is observed before and after, and what
    is done; `belief` is the one after the row before them.
    """

    def step(belief: Array, row: tuple[Array, ...]) -> tuple[Array, Array]:
        starts, observation, after, action = row
        state = jax.lax.cond(starts, lambda: encoder.initial(observation), lambda: belief)
        update = encoder.update(state, action, after)
        return update, jnp.stack([state, update])

    belief, both = jax.lax.scan(step, belief, rows)
    return belief, jnp.moveaxis(both, 0, 1)


def _one(column: Array) -> jax.ShapeDtypeStruct:
    """The form of one step's entry of `[episode, time, …]`, as JAX takes it."""
    return jax.ShapeDtypeStruct(column.shape[2:], jax.dtypes.canonicalize_dtype(column.dtype))


def _require_beliefs(
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
        raise checks.BadArgument(
            f"{encoder.called(stage)} cannot be traced at an observation of shape"
            f" {arguments[-1].shape}: {checks.reason_of(error)}."
        ) from error


def _form(belief: Any) -> str:
    """A traced answer in words."""
    if isinstance(belief, jax.ShapeDtypeStruct):
        return f"an array of shape {belief.shape} and type {belief.dtype}"
    return checks.described(belief) if belief is None else f"a {type(belief).__name__}"
