"""The real steps that a world is asked at: spread over what the policy visits, in cells that count
the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from paracosm.auditing.one_step import OneStep
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Discrete

MOST_STEPS = 800
_CELLS, _LEAST_IN_CELL = 48, 5  # a few dozen regions, each with a mean of its own
_LEAST_BLOCKS, _MOST_BLOCKS = 8, 48  # groups of steps for an interval


class SampledSteps(NamedTuple):
    """Sampled steps `[n, …]`: what was recorded, the learned reward there, and the groups that
    intervals are over.

    A policy spends most of its time in few places, where any error of a model is a constant. `cell`
    is a cluster of (s, a, s', r, r̂), a few dozen in all, that share the sample evenly; `block` is
    the episode, or a part of it where there are few.
    """

    state: Float[np.ndarray, "n state"]
    action: np.ndarray
    next_state: Float[np.ndarray, "n state"]
    reward: Float[np.ndarray, " n"]
    predicted: Float[np.ndarray, " n"]
    episode: Int[np.ndarray, " n"]
    time: Int[np.ndarray, " n"]
    cell: Int[np.ndarray, " n"]
    block: Int[np.ndarray, " n"]

    @property
    def encoded_action(self) -> Float[np.ndarray, "n action"]:
        """The actions; discrete ones as rows of zeros with a 1 at the number chosen."""
        if self.action.ndim > 1:
            return np.asarray(self.action, float)
        return np.eye(int(self.action.max()) + 1)[self.action.astype(int)]


def sampled(
    world: MDP, episodes: Trajectory, predictions: OneStep, most: int = MOST_STEPS
) -> SampledSteps:
    """A sample of the real steps, the cells' shares equal as far as they reach.

    Args:
        world: The learned world.
        episodes: Real episodes, NumPy arrays `[episode, time, …]`.
        predictions: The world's at each of their steps.
        most: How many steps at the most.
    """
    alive = np.asarray(episodes.alive)
    episode, time = np.nonzero(alive)
    columns = (
        episodes.state,
        episodes.action,
        episodes.next_state,
        episodes.reward,
        predictions.at_real.reward,
    )
    state, action, after, reward, predicted = (np.asarray(column)[alive] for column in columns)
    encoded = action
    if isinstance(world.spec.action, Discrete):
        encoded = np.eye(world.spec.action.n)[np.asarray(action, int)]
    spread = [
        standardised(part)
        for part in (state, encoded, after - state, reward[:, None], predicted[:, None])
    ]
    cell = clusters(np.concatenate(spread, axis=1), _CELLS)
    row = _even(cell, most)
    block = np.unique(_blocks(episode, time)[row], return_inverse=True)[1]
    sample = (state, action, after, reward, predicted, episode, time, cell)
    return SampledSteps(*[column[row] for column in sample], block=block)


def standardised(values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Columns with mean 0 and deviation 1; 0 where a column does not vary."""
    spread = values.std(axis=0)
    constant = spread <= 1e-9 * np.abs(values).max(axis=0, initial=0)
    return np.where(constant, 0.0, (values - values.mean(axis=0)) / np.where(constant, 1.0, spread))


def clusters(points: Float[np.ndarray, "n k"], most: int) -> Int[np.ndarray, " n"]:
    """At most `most` clusters: the one with the largest sum of squares is cut at its mean, across
    its widest column.

    None has fewer than five points (Su and Dy 2007, "In search of deterministic methods for
    initializing K-means").
    """
    label, count = np.zeros(len(points), int), 1
    loss = {0: _loss(points)}
    while count < most and max(loss.values()) > 0:
        widest = max(loss, key=lambda cluster: loss[cluster])
        inside = np.flatnonzero(label == widest)
        column = points[inside, np.argmax(points[inside].var(axis=0))]
        upper = inside[column > column.mean()]
        if min(len(upper), len(inside) - len(upper)) < _LEAST_IN_CELL:
            loss[widest] = 0.0
            continue
        label[upper] = count
        loss[widest], loss[count] = (_loss(points[label == cluster]) for cluster in (widest, count))
        count += 1
    return label


def _loss(points: np.ndarray) -> float:
    return (
        float(np.sum((points - points.mean(axis=0)) ** 2))
        if len(points) >= 2 * _LEAST_IN_CELL
        else 0.0
    )


def _even(cell: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " rows"]:
    """Rows in order, `most` at the most: from each cell the same number, evenly spaced, as far as
    it has them.
    """
    members = [np.flatnonzero(cell == c) for c in range(cell.max(initial=0) + 1)]
    share = max(most // len(members), 1)
    while sum(min(len(rows), share + 1) for rows in members) <= most and share < len(cell):
        share += 1
    chosen = [
        rows[np.linspace(0, len(rows) - 1, min(share, len(rows))).astype(int)] for rows in members
    ]
    return np.sort(np.concatenate(chosen))


def _blocks(episode: Int[np.ndarray, " n"], time: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Episodes; groups of them where there are many, parts of their own lengths where there are
    fewer than eight.
    """
    count = int(episode.max()) + 1
    parts = -(-_LEAST_BLOCKS // count)
    length = np.zeros(count, int)
    np.maximum.at(length, episode, time + 1)
    block = episode * parts + time * parts // length[episode]
    return block * min(_MOST_BLOCKS, count * parts) // (count * parts)


def moved(
    values: Float[np.ndarray, "episode time"],
    alive: Bool[np.ndarray, "episode time"],
    steps: SampledSteps,
    shift: int,
) -> Float[np.ndarray, " n"]:
    """Values some steps later in the same episode, `[n]`; not a number outside it.

    Args:
        values, alive: Of the episodes, `[episode, time]`.
        steps: The sample.
        shift: How many steps later.
    """
    time = steps.time + shift
    inside = (time >= 0) & (time < alive.shape[1])
    time = np.clip(time, 0, alive.shape[1] - 1)
    inside &= alive[steps.episode, time]
    return np.where(inside, values[steps.episode, time], np.nan)
