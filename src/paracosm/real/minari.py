"""Minari's data sets: one of its episodes for each stretch of consecutive steps, what was bought in
its infos.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import minari
import numpy as np
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_dataset import parse_dataset_id

from paracosm.core import checks
from paracosm.core.columns import flags, from_columns, require_within, single
from paracosm.core.data import Dataset
from paracosm.core.extras import needs
from paracosm.core.files import reading
from paracosm.core.mdp import Discrete
from paracosm.real import flattening
from paracosm.real.flattening import PartMismatch
from paracosm.real.spaces import action_space, observation_form, playable_steps

# Columns that Minari has no place for, and their prefix in its infos.
_KEPT_IN_INFOS = ("truncated", "episode", "time", "has_transition", "has_label")
_PREFIX = "paracosm_"


def load(name: str, components: tuple[str, ...] = ()) -> Dataset:
    """Minari's data set `name`, every step bought unless we saved it and marked otherwise.

    Observations of several parts are flattened in the order of `components`, if they are given, or
    else in that of Minari, which sorts the keys of a Dict.

    Raises:
        Missing: Minari does not have it on this machine.
        BadData: it is damaged, or its observations have other components.
        Unsupported: its observations or actions are of spaces that an environment cannot have.
    """
    where = f"minari:{name}"
    try:
        recorded = reading(
            lambda: minari.load_dataset(name), where, "a data set that Minari can read"
        )
    except checks.BadData as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise checks.Missing(
                f"Minari has no data set {name!r} on this machine: minari download {name}."
            ) from error
        raise
    observation_space, limit = recorded.observation_space, _time_limit(recorded)
    episodes = reading(
        lambda: list(recorded.iterate_episodes()), where, "a data set that Minari can read"
    )
    parts = [
        _columns(episode, recorded, limit, f"{where}, episode {episode.id},")
        for episode in episodes
    ]
    if not parts:
        raise checks.BadData(f"{where} holds no episodes.")

    def join() -> dict[str, np.ndarray]:
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    data = from_columns(reading(join, where, "a data set of episodes of one shape"), where)
    if not components or not isinstance(observation_space, (spaces.Dict, spaces.Tuple)):
        return data
    order = _column_order(observation_form(where, observation_space).components, components, where)
    return dataclasses.replace(
        data, state=data.state[:, order], next_state=data.next_state[:, order]
    )


def _column_order(names: tuple[str, ...], wanted: tuple[str, ...], where: str) -> list[int]:
    """The places of the `wanted` names among `names`.

    Raises:
        BadData: they are not the same names.
    """
    if unshared := sorted({*names} ^ {*wanted}):
        raise checks.BadData(
            f"{where} and the environment do not observe the same: one of them alone has"
            f" {unshared[0]}."
        )
    return [names.index(name) for name in wanted]


def save(dataset: Dataset, name: str) -> None:
    """Record `dataset` as Minari's data set `name`, such as `pendulum/bought-v0`.

    Raises:
        BadArgument: the name is not one that Minari takes, or is taken, or there are no steps.
        Missing: Minari's `create` and `hdf5` extras are not installed.
    """
    try:
        parse_dataset_id(name)
    except (TypeError, ValueError) as error:
        raise checks.BadArgument(
            f"minari:{name} is not a name such as minari:pendulum/bought-v0."
        ) from error
    if not dataset.real_steps:
        raise checks.BadArgument(
            f"The data set for minari:{name} has no steps; at least one is needed."
        )
    if name in minari.list_local_datasets():
        raise checks.BadArgument(f"minari:{name} exists already; choose another name or version.")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*(is set to None|env_spec is None)")
        try:
            minari.create_dataset_from_buffers(
                name,
                [_buffer(dataset, rows) for rows in _consecutive_rows(dataset)],
                observation_space=_state_space(dataset.state),
                action_space=_action_space(dataset.action),
            )
        except ImportError as error:
            sentence = needs(f"recording minari:{name}", "minari", "minari")
            raise checks.Missing(f"{sentence} ({error}).") from error


def _columns(episode: Any, recorded: Any, limit: int | None, where: str) -> dict[str, np.ndarray]:
    """The columns of one recorded episode, `[steps, …]` each.

    Args:
        episode: Minari's record of the episode.
        recorded: Minari's data set, which has the spaces of observations and of actions.
        limit: Steps after which the recorded environment ends episodes; None if that is not known.
        where: What error messages call the episode.

    Raises:
        Unsupported: observations cannot be flattened, or actions are no arrays.
        BadData: columns of different lengths, actions outside their space, or more steps than
            `limit`.
    """
    space, actions = recorded.action_space, episode.actions
    observations = _rows(episode.observations, recorded.observation_space, where)
    arrays = isinstance(observations, np.ndarray) and isinstance(actions, np.ndarray)
    if not arrays or observations.ndim != 2:
        raise checks.Unsupported(
            f"{where} holds other things than arrays of its spaces; only they are supported."
        )
    rewards = single(np.asarray(episode.rewards), "rewards", where)
    steps = len(rewards)
    lengths = {
        "observations": len(observations) - 1,
        "actions": len(actions),
        "terminations": np.size(episode.terminations),
        "truncations": np.size(episode.truncations),
    }
    for name, length in lengths.items():
        if length != steps:
            extra = " (one more than steps)" if name == "observations" else ""
            count = length + 1 if extra else length
            needed = steps + 1 if extra else steps
            raise checks.BadData(
                f"{where} has {count} {name} and {steps} rewards; {needed} are needed{extra}."
            )
    if limit is not None and steps > limit:
        raise checks.BadData(
            f"{where} has {steps} steps, and its environment ends episodes at {limit}; several"
            " were recorded as one."
        )
    _require_actions(actions, space, where)
    return {
        "state": observations[:-1],
        "action": _recorded_actions(actions, space, where),
        "next_state": observations[1:],
        "reward": rewards,
        "terminated": flags(np.asarray(episode.terminations), "terminations", where),
        **_columns_beside(episode),
    }


def _rows(observations: Any, space: Any, where: str) -> Any:
    """Observations as flat rows `[steps + 1, state]`, as a source has those of an environment with
    this space; vectors stay as they are.

    Raises:
        BadData: they are not what the space says.
        Unsupported: the space is none that an environment can have.
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return observations
    form = observation_form(where, space)
    if form.image is not None:
        return np.reshape(observations, (-1, form.size))
    try:
        return flattening.flat_rows(observations, form.leaves)
    except PartMismatch as error:
        raise checks.BadData(
            f"{where} has observations whose part {error.leaf.name} is not what their space says;"
            f" at each step {error.leaf.requirement} is needed."
        ) from error


def _recorded_actions(actions: np.ndarray, space: Any, where: str) -> np.ndarray:
    """Actions as they are recorded: discrete ones from 0, several choices at once as one."""
    if isinstance(space, spaces.Box):
        return actions.reshape(len(actions), -1)
    own_space = action_space(where, space)
    is_joint = isinstance(own_space, Discrete) and own_space.counts
    rows = actions.reshape(len(actions), -1) if is_joint else actions
    return own_space.number(rows) if isinstance(own_space, Discrete) else rows


def _require_actions(actions: np.ndarray, space: Any, where: str) -> None:
    """Require actions to lie in the data set's own action space.

    Raises:
        BadData: naming the row of the first that does not.
    """
    if isinstance(space, spaces.Discrete):
        low, high = int(space.start), int(space.start + space.n - 1)
    elif isinstance(space, spaces.MultiDiscrete):
        low, high = space.start, space.start + space.nvec - 1
    elif isinstance(space, spaces.MultiBinary):
        low, high = np.zeros(space.shape), np.ones(space.shape)
    elif isinstance(space, spaces.Box):
        low, high = space.low, space.high
    else:
        return
    require_within(actions, low, high, "actions", where)


def _time_limit(recorded: Any) -> int | None:
    """The time limit of the environment that was recorded; None where the data set has none."""
    try:
        return playable_steps(recorded.spec.env_spec.max_episode_steps)
    except AttributeError:
        return None


def _columns_beside(episode: Any) -> dict[str, np.ndarray]:
    """The columns that Minari has no place for: those that `save` kept, or else of an episode that
    was bought whole.
    """
    steps, infos = len(episode.rewards), episode.infos or {}
    if _PREFIX + "time" in infos:
        return {name: infos[_PREFIX + name][:steps] for name in _KEPT_IN_INFOS}
    last, bought = np.arange(steps) == steps - 1, np.ones(steps, bool)
    return {
        "truncated": last & ~episode.terminations,
        "episode": np.full(steps, episode.id),
        "time": np.arange(steps),
        "has_transition": bought,
        "has_label": bought,
    }


def _consecutive_rows(dataset: Dataset) -> list[np.ndarray]:
    """The numbers of rows, parted where a next state is not the state of the row after it."""
    follows = (np.diff(dataset.episode) == 0) & (np.diff(dataset.time) == 1)
    follows &= (dataset.next_state[:-1] == dataset.state[1:]).all(axis=1)
    return np.split(np.arange(len(dataset.state)), np.flatnonzero(~follows) + 1)


def _buffer(dataset: Dataset, rows: np.ndarray) -> EpisodeBuffer:
    """Consecutive rows as an episode of Minari's."""
    # Minari keeps infos beside observations, of which there is one more than steps
    padded = np.append(rows, rows[-1])
    return EpisodeBuffer(
        observations=[*dataset.state[rows], dataset.next_state[rows[-1]]],
        actions=list(dataset.action[rows]),
        rewards=list(dataset.reward[rows]),
        terminations=list(dataset.terminated[rows]),
        truncations=list(dataset.truncated[rows]),
        infos={_PREFIX + name: getattr(dataset, name)[padded] for name in _KEPT_IN_INFOS},
    )


def _state_space(state: np.ndarray) -> spaces.Box:
    """A space of all recorded states `[rows, state]`."""
    bounds = (0, 255) if state.dtype == np.uint8 else (-np.inf, np.inf)
    return spaces.Box(*bounds, state.shape[1:], state.dtype.type)


def _action_space(action: np.ndarray) -> spaces.Space[Any]:
    """A space of all recorded actions `[rows, …]`."""
    if np.issubdtype(action.dtype, np.integer):
        return spaces.Discrete(int(action.max()) + 1)
    return spaces.Box(-np.inf, np.inf, action.shape[1:], np.float32)
