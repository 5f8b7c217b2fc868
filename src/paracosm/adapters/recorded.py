"""Recorded episodes of somebody's policy, from a data set."""

from __future__ import annotations

import numpy as np

from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.recordings import jumps, rounding


def trajectory(data: Dataset, name: str = "the data set") -> Trajectory:
    """A data set's episodes side by side, padded to the longest.

    In the padding states stay, rewards are 0 and `alive` is false.

    Raises:
        BadArgument: `data` is no data set.
        BadData: there is no step, an episode does not hold every step from its first one on, or it
            jumps.
    """
    checks.of_kind("data", data, Dataset, "a Dataset")
    mask = data.has_transition & data.has_label
    if not len(mask) or not mask.all():
        raise checks.BadData(
            f"{name} holds {int(mask.sum())} whole steps of {len(mask)}; an audit needs all of"
            " them."
        )
    order = np.lexsort((data.time, data.episode))
    _, first, lengths = np.unique(data.episode[order], return_index=True, return_counts=True)
    expected = np.concatenate([np.arange(length) for length in lengths])
    if (wrong := np.flatnonzero(data.time[order] != expected)).size:
        at, number = data.time[order][wrong[0]], data.episode[order][wrong[0]]
        raise checks.BadData(
            f"episode {number} of {name} has step {at} where its step {expected[wrong[0]]} should"
            " be; whole episodes are needed."
        )
    _require_continuity(data, order, name)
    time = np.arange(lengths.max())
    row = order[first[:, None] + np.minimum(time, lengths[:, None] - 1)]
    alive = time < lengths[:, None]
    return Trajectory(
        state=np.where(alive[:, :, None], data.state[row], data.next_state[row]),
        action=data.action[row],
        next_state=data.next_state[row],
        reward=np.where(alive, data.reward[row], 0.0),
        terminated=data.terminated[row] & alive,
        truncated=(alive & (time == lengths[:, None] - 1)) & ~data.terminated[row],
        alive=alive,
    )


def _require_continuity(data: Dataset, order: np.ndarray, name: str) -> None:
    """Require that each step starts where the one before it ended, and that this one did not
    terminate.

    States may differ by rounding.

    Args:
        data: The data set.
        order: Its rows in the order of (episode, time).
        name: What messages call the data set.

    Raises:
        BadData: naming the first step of which this is not so.
    """
    follows = np.diff(data.episode[order]) == 0
    state, next_state = data.state[order], data.next_state[order]
    early = follows & data.terminated[order][:-1]
    if early.any():
        at = order[int(np.argmax(early))]
        raise checks.BadData(
            f"step {data.time[at]} of episode {data.episode[at]} of {name} is terminated and a"
            " step follows it;"
            " only an episode's last step can end it."
        )
    apart = follows & jumps(state, next_state, rounding(state, next_state))
    if apart.any():
        at = order[int(np.argmax(apart))]
        raise checks.BadData(
            f"step {data.time[at]} of episode {data.episode[at]} of {name} does not end where the"
            " next one starts;"
            " the audit needs steps that follow each other."
        )
