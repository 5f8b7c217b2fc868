"""Recorded episodes as a table of observations, from which windows are drawn inside a program."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from paracosm.core.data import Dataset
from paracosm.core.types import Array

# An episode has one observation more than steps: frames for each row where episodes have ten steps.
_SHORT = 1.1


class Frames(NamedTuple):
    """Observations, each once, and the real steps between them.

    The first `number` rows are real, the others fill up to a capacity for which a program is
    compiled once.

    Attributes:
        observation: `[frames, observation]`, an episode's one after the other, its last next one
            included.
        frame: Which frame a step leaves, `[rows]`; it leads to the frame after.
        first: The frame at which the step's episode begins, `[rows]`.
        action: `[rows, action]`, or `[rows]` of discrete ones.
        reward: `[rows]`, 0 where no label was bought.
        ended, labelled, bought: Whether each step ended its episode, has a reward label, and was
            bought, `[rows]`.
        number: How many rows are real.
    """

    observation: Array
    frame: Int[Array, " rows"]
    first: Int[Array, " rows"]
    action: Array
    reward: Float[Array, " rows"]
    ended: Bool[Array, " rows"]
    labelled: Bool[Array, " rows"]
    bought: Bool[Array, " rows"]
    number: Array


class Windows(NamedTuple):
    """Parts of episodes side by side: `before` steps of history, and `steps` that follow.

    Attributes:
        observation: `[window, before + 1 + steps, observation]`; before an episode the first
            repeats.
        action: `[window, before + steps, …]`, of which the first `before` are of the history.
        remembered: Which steps of the history are the episode's own, `[window, before]`.
        alive: Which of the steps that follow are the episode's own and were bought, as were all
            before them, `[window, steps]`.
        reward, ended: Those of the steps that follow, `[window, steps]`.
        labelled: Which of the steps that follow are alive and have a reward, `[window, steps]`.
    """

    observation: Array
    action: Array
    remembered: Bool[Array, "window before"]
    alive: Bool[Array, "window steps"]
    reward: Float[Array, "window steps"]
    ended: Bool[Array, "window steps"]
    labelled: Bool[Array, "window steps"]


def frames_of(data: Dataset, capacity: int) -> Frames:
    """The table of the episodes of `data`, filled up to `capacity` rows."""
    rows = data.real_steps
    episode = np.unique(data.episode, return_inverse=True)[1]
    frame = np.arange(rows) + episode
    begins = np.flatnonzero(np.diff(episode, prepend=-1))
    ends = np.append(begins[1:], rows) - 1
    capacity = max(capacity, rows)
    room = max(_room(rows + len(begins)), math.ceil(_SHORT * capacity))
    observation = np.zeros((room, data.state.shape[1]), data.state.dtype)
    observation[frame] = data.state
    observation[frame[ends] + 1] = data.next_state[ends]

    def fill(column: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [column, np.zeros((capacity - rows, *column.shape[1:]), column.dtype)]
        )

    return Frames(
        observation=observation,
        frame=fill(frame),
        first=fill(frame[begins][episode]),
        action=fill(data.action),
        reward=fill(np.where(data.has_label, data.reward, 0).astype(np.float32)),
        ended=fill(data.terminated),
        labelled=fill(data.has_label),
        bought=fill(data.has_transition),
        number=np.asarray(rows),
    )


def _room(count: int) -> int:
    """The next quarter power of two, so that a growing table does not compile anew each time."""
    return math.ceil(2 ** (math.ceil(4 * math.log2(count)) / 4))


def windows_at(frames: Frames, rows: Int[Array, " window"], before: int, steps: int) -> Windows:
    """The windows whose first step to follow is each of `rows`.

    Args:
        frames: The table.
        rows: The first step to follow of each window, `[window]`.
        before: Steps of history.
        steps: Steps that follow.
    """
    frame, first = frames.frame[rows], frames.first[rows]
    offsets = jnp.arange(-before, steps + 1)
    observed = jnp.maximum(frame[:, None] + offsets, first[:, None])
    all_rows = jnp.clip(rows[:, None] + offsets[:-1], 0, frames.number - 1)
    own = frames.frame[all_rows] - frame[:, None] == offsets[:-1]
    following = all_rows[:, before:]
    alive = jnp.cumprod(own[:, before:] & frames.bought[following], axis=1).astype(bool)
    last = frame[:, None] + jnp.sum(alive, axis=1, keepdims=True)
    return Windows(
        observation=frames.observation[jnp.minimum(observed, last)],
        action=frames.action[all_rows],
        remembered=own[:, :before],
        alive=alive,
        reward=frames.reward[following],
        ended=frames.ended[following] & alive,
        labelled=frames.labelled[following] & alive,
    )
