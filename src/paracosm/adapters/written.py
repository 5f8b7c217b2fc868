"""Steps in the order in which a buffer was filled, and the episodes that can be told from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from paracosm.core.columns import from_columns
from paracosm.core.data import Dataset
from paracosm.core.recordings import jumps, places, rounding


class WrittenSteps(NamedTuple):
    """Steps `[rows, …]`, those of one stream after another, each in the order of writing.

    Attributes:
        state, action, next_state, reward: What happened in the step.
        terminated: Whether it ended the MDP.
        done: Whether it ended the episode, for whatever reason.
        known_first: Whether it is known to be the first step of an episode.
        stream: The number of the environment that wrote it, or of the trajectory that it is in.
    """

    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    done: np.ndarray
    known_first: np.ndarray
    stream: np.ndarray

    def select(self, rows: np.ndarray) -> WrittenSteps:
        """Some of the steps: by number, or where a mask is true."""
        return WrittenSteps(*(values[rows] for values in self))


def flatten_columns(columns: Mapping[str, np.ndarray]) -> WrittenSteps:
    """The steps of columns `[time, stream, …]`, which are those of `WrittenSteps` but `stream`."""
    time, streams = columns["done"].shape
    flat = {
        name: np.swapaxes(values, 0, 1).reshape(time * streams, *values.shape[2:])
        for name, values in columns.items()
    }
    return WrittenSteps(**flat, stream=np.repeat(np.arange(streams), time))


def as_dataset(steps: WrittenSteps, where: str) -> Dataset:
    """The data set of all steps, in episodes that end where a step is done, leads elsewhere than to
    the one after it, or is its stream's last; times begin at 1 where the start is not known.

    Raises:
        BadData: a column holds what cannot be used; see `from_columns`.
    """
    ends = np.ones(len(steps.done), bool)
    ends[:-1] = steps.done[:-1] | (np.diff(steps.stream) != 0) | steps.known_first[1:]
    if steps.state.ndim == 2 and steps.state.shape == steps.next_state.shape:
        ends[:-1] |= jumps(steps.state, steps.next_state, rounding(steps.state, steps.next_state))
    episode, time = places(ends)
    start_known = steps.known_first[np.append(True, ends[:-1])]  # of each episode
    owned = np.ones(len(ends), bool)
    return from_columns(
        {
            "state": steps.state,
            "action": steps.action,
            "next_state": steps.next_state,
            "reward": steps.reward,
            "terminated": steps.terminated,
            "truncated": ends & ~steps.terminated,
            "episode": episode,
            "time": time + ~start_known[episode],
            "has_transition": owned,
            "has_label": owned,
        },
        where,
    )
