"""Replay buffers of others as data sets."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from paracosm.adapters.tensordicts import tensordict_steps
from paracosm.adapters.written import WrittenSteps, as_dataset, flatten_columns
from paracosm.core import checks
from paracosm.core.data import Dataset

_SB3, _TORCHRL = "the Stable-Baselines3 buffer", "the TorchRL buffer"
_SLACK = 1e-5  # of rounding, by which a scaled action may leave [-1, 1]


def dataset(buffer: Any, *, scaled_actions: bool = True) -> Dataset:
    """The steps in a replay buffer, transition and label both owned.

    A buffer says where episodes end, and seldom where they began: a stretch of steps of which the
    first was overwritten, or is not known to follow a reset, is an episode whose times begin at 1,
    so that its first state is not taken for one that episodes start in. Steps are cut apart, too,
    where a next state is not the state of the step after it.

    Args:
        buffer: TorchRL's `ReplayBuffer` or a `TensorDict` of steps (`observation`, `action`,
            `("next", "observation")`, `("next", "reward")`, `("next", "terminated")`), or
            Stable-Baselines3's `ReplayBuffer`, such as `model.replay_buffer`.
        scaled_actions: Whether a buffer of Stable-Baselines3 stores continuous actions between -1
            and 1, as its algorithms do, which are then brought to the bounds of the action space;
            False for a buffer that you filled with an environment's own actions.

    Raises:
        Unsupported: it is something else, or holds dictionaries or images.
        BadData: it is empty, or holds what cannot be used.
    """
    if all(hasattr(buffer, name) for name in ("pos", "full", "observations", "action_space")):
        return as_dataset(_sb3_steps(buffer, scaled_actions=scaled_actions), _SB3)
    if hasattr(buffer, "storage") or all(hasattr(buffer, name) for name in ("batch_size", "get")):
        return as_dataset(tensordict_steps(buffer, _TORCHRL), _TORCHRL)
    if hasattr(buffer, "replay_buffer"):
        raise checks.Unsupported(
            f"the buffer is {checks.described(buffer)}, which has one: give its replay_buffer."
        )
    raise checks.Unsupported(
        f"the buffer is {checks.described(buffer)}; a replay buffer of TorchRL or of"
        " Stable-Baselines3 is needed (files and data frames are read by paracosm.load_data)."
    )


class _Ring(NamedTuple):
    """Where a ring's rows are: the oldest at `oldest`, and `size` of them from there on."""

    oldest: int
    size: int

    def oldest_first(self, values: np.ndarray) -> np.ndarray:
        """The rows in the order in which they were written."""
        return np.roll(values, -self.oldest, axis=0)[: self.size]


def _sb3_steps(buffer: Any, *, scaled_actions: bool) -> WrittenSteps:
    """The steps of a Stable-Baselines3 buffer, arrays `[row, environment, …]` written in a ring.

    Raises:
        Unsupported: observations are dictionaries or images, or it keeps no next observations.
        BadData: it is empty, or its actions are not scaled.
    """
    _require_vectors(buffer)
    rows = len(buffer.observations)
    ring = _Ring(oldest=buffer.pos, size=rows) if buffer.full else _Ring(oldest=0, size=buffer.pos)
    if not ring.size:
        raise checks.BadData(f"{_SB3} is empty; at least one step is needed.")
    done, limit = (
        ring.oldest_first(np.asarray(flag)).astype(bool) for flag in (buffer.dones, buffer.timeouts)
    )
    if done.any() and not buffer.handle_timeout_termination:
        warnings.warn(
            f"{_SB3} was made with handle_timeout_termination=False, so that time limits are"
            " recorded in it as terminations.",
            stacklevel=3,
        )
    known_first = np.append(np.full((1, done.shape[1]), not buffer.full), done[:-1], axis=0)
    columns = {
        "state": ring.oldest_first(buffer.observations),
        "action": _sb3_actions(buffer, ring.oldest_first(buffer.actions), scaled=scaled_actions),
        "reward": ring.oldest_first(buffer.rewards),
        "terminated": done & ~limit,
        "done": done,
        "known_first": known_first,
    }
    if not buffer.optimize_memory_usage:
        columns["next_state"] = ring.oldest_first(buffer.next_observations)
        return flatten_columns(columns)
    columns["next_state"] = _next_observations(buffer, ring)
    return _drop_overwritten(flatten_columns(columns), buffer, ring)


def _next_observations(buffer: Any, ring: _Ring) -> np.ndarray:
    """Next observations of a buffer that keeps each observation once: those of the row after."""
    return ring.oldest_first(np.roll(buffer.observations, -1, axis=0))


def _drop_overwritten(steps: WrittenSteps, buffer: Any, ring: _Ring) -> WrittenSteps:
    """The steps whose observations are still there, where a buffer keeps each observation once.

    At the end of an episode the first observation of the next one took the place of the last; and
    the newest next observation took that of the oldest observation, where the ring is full.
    """
    row = np.tile(np.arange(ring.size), buffer.n_envs)
    overwritten = steps.done & (row < ring.size - 1)
    if buffer.full:
        overwritten |= row == 0
    if count := int((overwritten & steps.terminated).sum()):
        warnings.warn(
            f"{_SB3}: {count} terminations are not read, because optimize_memory_usage overwrites"
            " the last observation of an episode, so that nothing learns from them; a buffer"
            " without it keeps them.",
            stacklevel=2,
        )
    return steps.select(~overwritten)


def _require_vectors(buffer: Any) -> None:
    if isinstance(buffer.observations, Mapping):
        raise checks.Unsupported(
            f"{_SB3} holds dictionaries of observations ({', '.join(buffer.observations)}); one"
            " vector a step is needed: flatten them with gymnasium.wrappers.FlattenObservation"
            " before training."
        )
    if not hasattr(buffer, "dones"):
        raise checks.Unsupported(
            f"{_SB3} is a {type(buffer).__name__}, which keeps no next observations; a ReplayBuffer"
            " is needed."
        )
    if np.ndim(buffer.observations) != 3:
        raise checks.Unsupported(
            f"{_SB3} holds observations of the shape {np.shape(buffer.observations)[2:]}; one"
            " vector a step is needed."
        )


def _sb3_actions(buffer: Any, actions: np.ndarray, *, scaled: bool) -> np.ndarray:
    """Actions of the environment, `[row, environment, action]`, or `[row, environment]` of a
    discrete space, counted from 0.

    Raises:
        Unsupported: several discrete actions a step.
        BadData: actions that are said to be scaled are not.
    """
    space = buffer.action_space
    if actions.dtype.kind in "biu":
        if not hasattr(space, "n") or actions.shape[2] != 1:
            raise checks.Unsupported(
                f"{_SB3} holds actions of {space}; those of a Box or a Discrete space are needed."
            )
        return actions[..., 0].astype(np.int64) - int(getattr(space, "start", 0))
    if not scaled:
        return actions
    if np.abs(actions).max() > 1 + _SLACK:
        raise checks.BadData(
            f"{_SB3} holds the action {actions.reshape(-1)[np.abs(actions).argmax()]}; scaled"
            " actions lie in [-1, 1], and scaled_actions=False is for others."
        )
    low, high = space.low.reshape(-1), space.high.reshape(-1)
    return low + (actions + 1) * (high - low) / 2
