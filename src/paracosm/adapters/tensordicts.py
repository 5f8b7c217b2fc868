"""TorchRL's steps: tensordicts, and buffers whose storage holds them."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np

from paracosm.adapters.written import WrittenSteps
from paracosm.core import checks
from paracosm.core.recordings import jumps, rounding

_STATE, _ACTION = "observation", "action"
_NEXT, _REWARD = ("next", "observation"), ("next", "reward")
_TERMINATED, _DONE, _TRUNCATED = ("next", "terminated"), ("next", "done"), ("next", "truncated")
_TRAJECTORY = ("collector", "traj_ids")
_INIT, _COUNT = "is_init", "step_count"  # of TorchRL's InitTracker and StepCounter
_KEYS = (_STATE, _ACTION, _NEXT, _REWARD, _TERMINATED, _DONE, _TRUNCATED, _TRAJECTORY)


def tensordict_steps(buffer: Any, where: str) -> WrittenSteps:
    """The steps in a TorchRL buffer, or in a tensordict of steps.

    Of several batch dimensions one is time: the one along which most next observations are the
    observation after them. A collector's trajectory ids are used where they are, and `is_init` or
    `step_count`, which say where episodes begin.

    Args:
        buffer: The buffer or the tensordict.
        where: What error messages call it.

    Raises:
        Unsupported: it holds other things than tensordicts, or observations that are no vectors.
        BadData: it is empty, or lacks a column.
    """
    stored = _read_storage(buffer, where)
    steps = stored.steps
    batch = tuple(steps.batch_size)
    columns = {
        key: np.roll(values, -stored.oldest, axis=0)
        for key in (*_KEYS, _INIT, _COUNT)
        if (values := _array(steps, key)) is not None
    }
    for key in (_STATE, _ACTION, _NEXT, _REWARD):
        if key not in columns:
            raise checks.BadData(
                f"{where} has no {_key_name(key)}; its columns are"
                f" {', '.join(map(_key_name, steps.keys(True, True)))}."
            )
    for key in (_STATE, _NEXT):
        if columns[key].ndim != len(batch) + 1:
            raise checks.Unsupported(
                f"{where} holds {_key_name(key)} of the shape {columns[key].shape[len(batch) :]};"
                " one vector a step is needed."
            )
    flat = _flatten_batch(columns, len(batch))
    return _written_steps(flat, overwritten=stored.overwritten, where=where)


class _StoredSteps(NamedTuple):
    """A tensordict of steps, where the oldest row of its ring is, and whether rows were
    overwritten.
    """

    steps: Any
    oldest: int
    overwritten: bool


def _read_storage(buffer: Any, where: str) -> _StoredSteps:
    """What a buffer stores; a tensordict is its own storage.

    Raises:
        BadData: nothing is stored.
        Unsupported: other things than tensordicts are.
    """
    storage = getattr(buffer, "storage", None)
    if storage is None:
        return _StoredSteps(buffer, oldest=0, overwritten=False)
    if not len(storage):
        raise checks.BadData(f"{where} is empty; at least one step is needed.")
    steps = storage[:]
    if isinstance(steps, list) and hasattr(steps[0], "batch_size"):
        import torch  # a buffer of lists comes with it

        steps = torch.stack(steps)
    if not hasattr(steps, "batch_size"):
        raise checks.Unsupported(
            f"{where} stores {type(steps).__name__}; tensordicts of steps are needed."
        )
    rows, written = len(steps), int(getattr(buffer, "write_count", 0))
    overwritten = len(storage) >= storage.max_size and written > rows
    return _StoredSteps(steps, oldest=written % rows if overwritten else 0, overwritten=overwritten)


def _key_name(key: Any) -> str:
    """What messages call a column."""
    return ".".join(key) if isinstance(key, tuple) else str(key)


def _array(steps: Any, key: Any) -> np.ndarray | None:
    """A column as an array; None if there is none."""
    values = steps.get(key, None)
    return None if values is None else np.asarray(values.detach().cpu().numpy())


def _flatten_batch(columns: dict[Any, np.ndarray], axes: int) -> dict[Any, np.ndarray]:
    """Columns `[*batch, …]`, whose batches have so many `axes`, as `[rows, …]`: one stream after
    another, with the number of the stream as the column `stream`.
    """
    time_axis = max(range(axes), key=lambda axis: _count_followed(columns, axis, axes))
    flat = {
        key: np.moveaxis(values, time_axis, axes - 1).reshape(-1, *values.shape[axes:])
        for key, values in columns.items()
    }
    time = columns[_STATE].shape[time_axis]
    flat["stream"] = np.arange(len(flat[_STATE])) // time
    return flat


def _count_followed(columns: dict[Any, np.ndarray], axis: int, axes: int) -> int:
    """How many steps lead to the step after them along an axis."""
    state, after = (
        np.moveaxis(columns[key], axis, axes - 1).reshape(-1, columns[key].shape[-1])
        for key in (_STATE, _NEXT)
    )
    return int((~jumps(state, after, rounding(state, after))).sum())


def _written_steps(flat: dict[Any, np.ndarray], *, overwritten: bool, where: str) -> WrittenSteps:
    """The steps of flat columns, one trajectory after another where trajectories have numbers."""
    done, terminated = _done_and_terminated(flat, where)
    stream = flat["stream"]
    new = np.append(True, np.diff(stream) != 0)
    known_first = np.where(new, not overwritten, np.append(True, done[:-1]))
    if _TRAJECTORY in flat:
        stream = flat[_TRAJECTORY].reshape(-1)
        known_first = _known_first_steps(stream, known_first, overwritten=overwritten)
    if _INIT in flat or _COUNT in flat:
        known_first = flat[_INIT] if _INIT in flat else flat[_COUNT] == 0
        known_first = known_first.reshape(-1).astype(bool)
    steps = WrittenSteps(
        state=flat[_STATE],
        action=_actions(flat[_ACTION], where),
        next_state=flat[_NEXT],
        reward=flat[_REWARD].reshape(len(done), -1),
        terminated=terminated,
        done=done,
        known_first=known_first,
        stream=stream,
    )
    order = np.argsort(stream, kind="stable")
    return steps.select(order)


def _known_first_steps(
    number: np.ndarray, after_end: np.ndarray, *, overwritten: bool
) -> np.ndarray:
    """Which rows are known to be the first steps of trajectories, `[rows]`.

    Where a ring overwrote some, a trajectory's first row need not be its first step. Batches of
    several environments, one after another, put each trajectory's next row that much further on;
    what appears for the first time when each environment has had its turn has begun there.

    Args:
        number: The number of each row's trajectory.
        after_end: Whether the row before, if it is of the same environment, ended an episode.
        overwritten: Whether rows were overwritten.
    """
    first = np.zeros(len(number), bool)
    first[np.unique(number, return_index=True)[1]] = True
    if not overwritten:
        return first
    row = np.argsort(number, kind="stable")
    widest = np.diff(row)[np.diff(number[row]) == 0].max(initial=1)
    if widest == 1:
        return first & after_end
    return first & (np.arange(len(number)) >= 2 * widest)


def _done_and_terminated(flat: dict[Any, np.ndarray], where: str) -> tuple[np.ndarray, np.ndarray]:
    """Which steps end an episode, and which of them terminate, `[rows]` each."""
    rows = len(flat[_STATE])
    flags = {
        key: flat[key].reshape(rows).astype(bool)
        for key in (_TERMINATED, _DONE, _TRUNCATED)
        if key in flat
    }
    done = np.any(list(flags.values()), axis=0) if flags else np.zeros(rows, bool)
    if _TERMINATED in flags:
        return done, flags[_TERMINATED]
    if _DONE in flags and _TRUNCATED in flags:
        return done, flags[_DONE] & ~flags[_TRUNCATED]
    if done.any():
        warnings.warn(
            f"{where} has next.done and no next.terminated, which says whether an episode"
            " terminated or was cut; its ends are read as cuts.",
            stacklevel=5,
        )
    return done, np.zeros(rows, bool)


def _actions(actions: np.ndarray, where: str) -> np.ndarray:
    """Continuous actions `[rows, action]`, or discrete ones `[rows]`, of which TorchRL keeps the
    number or its one-hot code.

    Raises:
        Unsupported: several discrete actions a step.
    """
    flat = actions.reshape(len(actions), -1)
    if actions.dtype.kind == "f":
        return flat
    if flat.shape[1] == 1:
        return flat[:, 0].astype(np.int64)
    if not (np.isin(flat, (0, 1)).all() and (flat.sum(axis=1) == 1).all()):
        raise checks.Unsupported(
            f"{where} holds {flat.shape[1]} whole numbers an action; one, or its one-hot code, is"
            " needed."
        )
    return flat.argmax(axis=1)
