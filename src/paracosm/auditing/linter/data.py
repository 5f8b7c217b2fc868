"""What is odd about recorded steps, without any model of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from paracosm.core.data import Dataset
from paracosm.core.recordings import state_scale
from paracosm.core.records.data import DataFinding

LEAST_ENDS, _MOST_ENDS = 3, 0.9  # episodes that a rule is read off, and the share that it covers
SHORTLY, SELDOM = 3, 0.1  # steps before a limit, at the least; ends there for one at the limit
WIDE = 0.3  # of the states' spread: end states that vary so much share nothing but the clock
_SHORT = 10  # steps: shorter episodes may be equal by chance
_REPEATED = 0.01  # of the rows: an environment that stands still at a wall repeats a few
_SELDOM_EQUAL = 0.5  # distinct states for a step: of fewer states, equal rows are no wonder
# 99% quantiles of a step's length; 1.8 is the most within an episode of 11 control tasks with
# random actions, and constraint forces that show in observations jump by more.
_JUMP = 5.0


class _Episodes(NamedTuple):
    """Where each episode's rows are: `first` and `last` row, and steps, `[episode]`."""

    first: Int[np.ndarray, " episode"]
    last: Int[np.ndarray, " episode"]
    length: Int[np.ndarray, " episode"]


def data_findings(data: Dataset) -> tuple[DataFinding, ...]:
    """What is odd about a data set; the sentences are still empty."""
    first = data.episode_starts
    last = np.append(first[1:], len(data.episode)) - 1
    episodes = _Episodes(first, last, last - first + 1)
    vectors = data.state.dtype != np.uint8
    return (
        *(_limits(data, episodes) if vectors else ()),
        *_resets(data, episodes),
        *_repeated(data, episodes),
        *(_jumps(data) if vectors else ()),
        *_gaps(data, episodes),
        *_constant(data),
    )


def _limits(data: Dataset, episodes: _Episodes) -> Iterator[DataFinding]:
    """Terminations at the last step of the longest episodes, where no state says so.

    A time limit leaves no episode at that step that was only cut, hardly an episode ends shortly
    before, as it would by a rule, and the states there are spread about as widely as all states.
    """
    step = int(data.time[episodes.last].max())
    ends, time = data.terminated[episodes.last], data.time[episodes.last]
    at = episodes.last[ends & (time == step)]
    before = ends & (time < step) & (time >= step - max(step // 10, SHORTLY))
    if len(at) < LEAST_ENDS or (~ends & (time == step)).any() or step + 1 < _SHORT:
        return
    spread = data.next_state.std(axis=0)
    varies = spread > 0
    wide = varies.any() and np.median(data.next_state[at].std(axis=0)[varies] / spread[varies])
    if before.sum() <= SELDOM * len(at) and wide > WIDE:
        numbers = {"count": float(len(at)), "step": float(step + 1), "ends": float(ends.sum())}
        yield DataFinding("time limits as terminations", numbers)


def _resets(data: Dataset, episodes: _Episodes) -> Iterator[DataFinding]:
    """Next states of last steps that are the first state of the following episode."""
    after, start = data.next_state[episodes.last[:-1]], data.state[episodes.first[1:]]
    stayed = (data.state[episodes.last[:-1]] == start).all(axis=1)
    same = (after == start).all(axis=1) & ~stayed
    if same.sum() >= max(LEAST_ENDS, _MOST_ENDS * len(same)):
        numbers = {"count": float(same.sum()), "ends": float(len(same))}
        yield DataFinding("auto-reset observations", numbers)


def _repeated(data: Dataset, episodes: _Episodes) -> Iterator[DataFinding]:
    """Episodes that are copies of others, and rows elsewhere that are."""
    rows = _as_bytes(data)
    copies = _copies(
        [
            rows[first : last + 1].tobytes() if length >= _SHORT else None
            for first, last, length in zip(*episodes, strict=True)
        ]
    )
    if copies.any():
        numbers = {
            "count": float(copies.sum()),
            "first": float(data.episode[episodes.first[np.argmax(copies)]]),
        }
        yield DataFinding("repeated episodes", numbers)
    single = rows[~np.repeat(copies, episodes.length)]
    distinct = len(np.unique(single))
    states = len(np.unique(_rows_as_bytes(data.state)))
    if len(single) - distinct > _REPEATED * len(single) and states > _SELDOM_EQUAL * distinct:
        numbers = {"count": float(len(single) - distinct), "rows": float(len(single))}
        yield DataFinding("repeated rows", numbers)


def _as_bytes(data: Dataset) -> np.ndarray:
    """Each step (s, a, s') as one value that compares equal where all its numbers do, `[rows]`."""
    action = data.action.reshape(len(data.action), -1)
    parts = [np.ascontiguousarray(x).view(np.uint8) for x in (data.state, action, data.next_state)]
    return _rows_as_bytes(np.concatenate(parts, axis=1))


def _rows_as_bytes(values: np.ndarray) -> np.ndarray:
    flat = np.ascontiguousarray(values)
    return flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))).reshape(-1)


def _copies(texts: list[bytes | None]) -> Bool[np.ndarray, " n"]:
    """Which texts were there before."""
    seen: set[bytes] = set()
    copies = np.zeros(len(texts), bool)
    for number, text in enumerate(texts):
        copies[number] = text is not None and text in seen
        if text is not None:
            seen.add(text)
    return copies


def _jumps(data: Dataset) -> Iterator[DataFinding]:
    """Steps many times as long as nearly all others."""
    moves = step_lengths(data)
    usual = float(np.quantile(moves, 0.99))
    far = moves > _JUMP * usual
    if usual > 0 and far.any():
        row = int(np.argmax(moves))
        numbers = {
            "count": float(far.sum()),
            "times": float(moves[row] / usual),
            "episode": float(data.episode[row]),
            "time": float(data.time[row]),
        }
        yield DataFinding("jumps", numbers)


def step_lengths(data: Dataset) -> Float[np.ndarray, " rows"]:
    """The length of each step in scaled states, `‖(s' − s) / scale‖`, `[rows]`."""
    wide = data.next_state.astype(np.float64) - data.state
    return np.linalg.norm(wide / state_scale(data.state), axis=1)


def _gaps(data: Dataset, episodes: _Episodes) -> Iterator[DataFinding]:
    """Steps that are missing within episodes, and episodes whose start is not there."""
    skipped = np.where(np.diff(data.episode) == 0, np.diff(data.time) - 1, 0)
    if skipped.any():
        numbers = {"count": float(skipped.sum()), "places": float((skipped > 0).sum())}
        yield DataFinding("missing steps", numbers)
    late = data.time[episodes.first] > 0
    if late.any():
        numbers = {"count": float(late.sum()), "episodes": float(len(late))}
        yield DataFinding("unknown starts", numbers)


def _constant(data: Dataset) -> Iterator[DataFinding]:
    """Columns that never change."""
    if data.state.dtype != np.uint8 and (still := _still(data.state)):
        numbers = {"size": float(data.state.shape[1])}
        yield DataFinding("constant states", numbers, still)
    if still := _still(data.action.reshape(len(data.action), -1)):
        numbers = {"size": float(data.action.shape[1] if data.action.ndim == 2 else 0)}
        yield DataFinding("constant actions", numbers, still)
    reward = data.reward[data.has_label]
    if len(reward) > 1 and (reward == reward[0]).all():
        yield DataFinding("constant reward", {"reward": float(reward[0])})


def _still(values: np.ndarray) -> tuple[int, ...]:
    if len(values) < 2:
        return ()
    return tuple(int(i) for i in np.flatnonzero((values == values[0]).all(axis=0)))
