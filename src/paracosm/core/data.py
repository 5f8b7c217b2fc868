"""Trajectories, and the table of real steps from which transitions and reward labels are bought.

A *terminated* step ended the MDP; a *truncated* one was only where the record stops.

States are float vectors. Where an environment shows images they are uint8, each the flat row of an
image `[height, width, channels]` in row-major order: a quarter of the memory of float32.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Bool, Float, Int, UInt8

from paracosm.core import checks
from paracosm.core.types import Array


def _flags(name: str, values: np.ndarray) -> np.ndarray:
    """A column of booleans, or of numbers that are all 0 or 1, as booleans: `~` of an int is
    another thing.
    """
    if values.dtype != bool and (wrong := ~np.isin(values, (0, 1))).any():
        row = int(np.argmax(wrong))
        raise checks.BadData(
            f"the data set's {name} is {values[row]} in row {row}; 0 or 1 (false or true) is"
            " needed."
        )
    return values.astype(bool, copy=False)


def _as_flags(values: Any) -> Any:
    """Flags of a Trajectory, numbers that are all 0 or 1 too, as booleans; what is no array, or one
    whose values are not there, as it is.

    Raises:
        BadData: one is another number, or none.
    """
    kind = getattr(values, "dtype", None)
    if kind is None or kind == np.bool_ or isinstance(values, Tracer | jax.ShapeDtypeStruct):
        return values
    if not jnp.issubdtype(kind, jnp.number):
        raise checks.BadData(f"flags of a Trajectory are {kind}; false and true are needed.")
    numbers = np.asarray(values, np.float64)
    if (wrong := ~np.isin(numbers, (0, 1))).any():
        raise checks.BadData(
            f"a flag of a Trajectory is {numbers[wrong][0]:g}; 0 or 1 (false or true) is needed."
        )
    return values.astype(bool)


class Trajectory(eqx.Module):
    """Episodes side by side, arrays `[episode, time, …]`.

    `alive[i, t]` says whether step t was taken; after the end, states stay and rewards are 0.
    `carry` is what a policy carried to each step, flat and in 64 bits, None where it is not
    recorded: a search that is done again in another program may come to another plan.
    """

    state: Float[Array, "episode time state"] | UInt8[Array, "episode time state"]
    action: Float[Array, "episode time action"] | Int[Array, "episode time"]
    next_state: Float[Array, "episode time state"] | UInt8[Array, "episode time state"]
    reward: Float[Array, "episode time"]
    terminated: Bool[Array, "episode time"] = eqx.field(converter=_as_flags)
    truncated: Bool[Array, "episode time"] = eqx.field(converter=_as_flags)
    alive: Bool[Array, "episode time"] = eqx.field(converter=_as_flags)
    carry: Float[Array, "episode time carry"] | None = None

    def __check_init__(self) -> None:
        _columns(self, self.alive, 2)

    @property
    def horizons(self) -> Int[np.ndarray, " episode"]:
        """The horizon H of each episode: the steps that it could take, not those that it took.

        An ended episode could go on to the last step of the record; one whose record stops without
        an end could take as many steps as are recorded.
        """
        alive = np.asarray(self.alive)
        ended = np.any(np.asarray(self.terminated) & alive, axis=1)
        return np.where(ended, alive.shape[1], alive.sum(axis=1))

    def returns(self, discount: float) -> Float[np.ndarray, " episode"]:
        """The return `Σ_t γ^t r_t` of each episode."""
        return np.asarray(self.reward) @ discount ** np.arange(self.alive.shape[1])

    @property
    def remaining_steps(self) -> Int[np.ndarray, "episode time"]:
        """Steps `H - t - 1` that follow step t, `[episode, time]`."""
        return np.maximum(self.horizons[:, None] - 1 - np.arange(self.alive.shape[1]), 0)


class Transitions(eqx.Module):
    """Bought transitions `(s, a, s', ended)`, one a row; `ended` means terminated."""

    state: Float[Array, "rows state"] | UInt8[Array, "rows state"]
    action: Float[Array, "rows action"] | Int[Array, " rows"]
    next_state: Float[Array, "rows state"] | UInt8[Array, "rows state"]
    ended: Bool[Array, " rows"]

    def __check_init__(self) -> None:
        _columns(self, self.ended, 1)

    def __len__(self) -> int:
        return len(self.state)


class RewardLabels(eqx.Module):
    """Bought reward labels `(s, a, s', r)`, one a row; they own their states and never enter the
    dynamics fit.
    """

    state: Float[Array, "rows state"] | UInt8[Array, "rows state"]
    action: Float[Array, "rows action"] | Int[Array, " rows"]
    next_state: Float[Array, "rows state"] | UInt8[Array, "rows state"]
    reward: Float[Array, " rows"]

    def __check_init__(self) -> None:
        _columns(self, self.reward, 1)

    def __len__(self) -> int:
        return len(self.state)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Real steps, and what was bought of each: the transition, the reward label, or both.

    Rows are in the order of `(episode, time)`. An unbought reward is stored as NaN and an unbought
    end as not ended: what was not paid for is not there. States are float32, or uint8 where they
    are images, rewards float64, actions float32 or int32.

    Attributes:
        state, next_state: `[rows, state]`.
        action: `[rows, action]`, or `[rows]` for discrete actions.
        reward: `[rows]`, NaN where no label was bought.
        terminated, truncated: `[rows]`.
        episode, time: `[rows]`, the episode a step belongs to and its place in it.
        has_transition, has_label: `[rows]`, what was bought.
    """

    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    episode: np.ndarray
    time: np.ndarray
    has_transition: np.ndarray
    has_label: np.ndarray

    def __post_init__(self) -> None:
        rows = len(self.state)
        for field in dataclasses.fields(self):
            values = getattr(self, field.name)
            if len(values) != rows:
                raise checks.BadData(
                    f"the data set's {field.name} has {len(values)} rows; its states have {rows}."
                )
        for name in ("terminated", "truncated", "has_transition", "has_label"):
            object.__setattr__(self, name, _flags(name, getattr(self, name)))
        checks.shape("the data set's next states", self.next_state, self.state.shape)
        checks.finite("the data set's states", self.state, "step")
        checks.finite("the data set's next states", self.next_state, "step")
        checks.finite("the data set's actions", self.action, "step")
        bad = self.has_label & ~np.isfinite(self.reward)
        if bad.any():
            row = int(np.argmax(bad))
            raise checks.BadData(
                f"the reward label of step {row} is {self.reward[row]}; it must be finite."
            )

    @property
    def real_steps(self) -> int:
        """Steps taken in the real environment."""
        return len(self.state)

    @property
    def transitions(self) -> Transitions:
        """The bought transitions."""
        columns = self.state, self.action, self.next_state, self.terminated
        return Transitions(*_rows_of(self.has_transition, columns))

    @property
    def labels(self) -> RewardLabels:
        """The bought reward labels."""
        columns = self.state, self.action, self.next_state, self.reward
        return RewardLabels(*_rows_of(self.has_label, columns))

    @property
    def initial(self) -> np.ndarray:
        """States in which episodes started, of the bought rows, `[episodes, state]`."""
        return self.state[(self.time == 0) & (self.has_transition | self.has_label)]

    @property
    def episode_starts(self) -> np.ndarray:
        """The first row of each episode, `[episodes]`, of a data set that has rows."""
        return np.flatnonzero(np.append(True, np.diff(self.episode) != 0))

    @property
    def bought_states(self) -> np.ndarray:
        """States of the rows of which anything was bought, `[rows, state]`."""
        (states,) = _rows_of(self.has_transition | self.has_label, (self.state,))
        return states

    def join(self, other: Dataset) -> Dataset:
        """Both data sets as one; `other`'s episodes are numbered after ours.

        Raises:
            BadData: states or actions of another size, or images and vectors.
        """
        checks.of_kind("other", other, Dataset, "a Dataset")
        for name, ours, theirs in (
            ("states", self.state, other.state),
            ("actions", self.action, other.action),
        ):
            if ours.shape[1:] != theirs.shape[1:]:
                raise checks.BadData(
                    f"the {name} of the data to join have the shape {theirs.shape[1:]};"
                    f" {ours.shape[1:]} is needed."
                )
        checks.one_kind_of_states("the data to join", other.state, self.state)
        if not len(self.episode):
            return other
        columns = {
            field.name: np.concatenate([getattr(self, field.name), getattr(other, field.name)])
            for field in dataclasses.fields(self)
        }
        columns["episode"][len(self.episode) :] += (
            self.episode.max() + 1 - min(other.episode, default=0)
        )
        return Dataset(**columns)

    def first(self, rows: int) -> Dataset:
        """A copy of the first `rows` rows."""
        columns = (field.name for field in dataclasses.fields(self))
        return Dataset(**{name: getattr(self, name)[:rows].copy() for name in columns})

    @classmethod
    def from_trajectory(cls, episodes: Trajectory) -> Dataset:
        """Every step that was taken, transition and label both bought."""
        checks.of_kind("episodes", episodes, Trajectory, "a Trajectory, which evaluate gives,")
        alive = np.asarray(episodes.alive)
        episode, time = np.nonzero(alive)
        action = np.asarray(episodes.action)[alive]
        rows = np.ones(len(episode), bool)
        return cls(
            state=_narrow(episodes.state)[alive],
            action=action.astype(
                np.int32 if np.issubdtype(action.dtype, np.integer) else np.float32
            ),
            next_state=_narrow(episodes.next_state)[alive],
            reward=np.asarray(episodes.reward)[alive].astype(np.float64),
            terminated=np.asarray(episodes.terminated)[alive],
            truncated=np.asarray(episodes.truncated)[alive],
            episode=episode.astype(np.int64),
            time=time.astype(np.int64),
            has_transition=rows,
            has_label=rows.copy(),
        )

    def buy(self, transitions: int, labels: int, seed: int) -> Dataset:
        """Of fully observed steps, keep `transitions` random transitions and `labels` random reward
        labels.

        The smaller purchase is a subset of the larger (a joint sample owns both); steps of which
        nothing is bought keep their place but tell nothing, so `real_steps` still counts them.

        Raises:
            BadArgument: for fewer than 0 or more than there are, or if part of a step was left
                unbought before.
        """
        for name, value in (("transitions", transitions), ("labels", labels)):
            checks.Range(0, self.real_steps, integer=True).check(name, value)
        checks.seed("seed", seed)
        if not (self.has_transition.all() and self.has_label.all()):
            raise checks.BadArgument(
                "the data set was bought from before; buy from the fully observed one."
            )
        order = np.random.default_rng([seed, 0xB0]).permutation(self.real_steps)
        has_transition, has_label = np.zeros((2, self.real_steps), bool)
        has_transition[order[:transitions]] = True
        has_label[order[:labels]] = True
        return dataclasses.replace(
            self,
            reward=np.where(has_label, self.reward, np.nan),
            terminated=self.terminated & has_transition,
            has_transition=has_transition,
            has_label=has_label,
        )


def _rows_of(chosen: np.ndarray, columns: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """The chosen rows of columns; the columns themselves, not a copy, where every row is."""
    return columns if chosen.all() else tuple(column[chosen] for column in columns)


def _narrow(states: Array) -> np.ndarray:
    """States in the type of a data set: images stay bytes."""
    states = np.asarray(states)
    return states if states.dtype == np.uint8 else states.astype(np.float32, copy=False)


def _columns(record: Trajectory | Transitions | RewardLabels, plain: Any, axes: int) -> None:
    """Require every column to be an array with the `axes` axes of `plain`.

    States have one more axis and both one shape; actions may have one more.
    """
    kind = type(record).__name__
    if len(np.shape(plain)) != axes or not hasattr(plain, "shape"):
        raise checks.BadData(
            f"a column of a {kind} is {checks.described(plain)}; an array of {axes} axes is needed."
        )
    for field in dataclasses.fields(record):
        column = getattr(record, field.name)
        wide = field.name in ("state", "next_state", "carry")
        if field.name == "carry" and column is None:
            continue
        tail = getattr(column, "shape", (None,))[axes:]
        tails = (1,) if wide else (0, 1) if field.name == "action" else (0,)
        if getattr(column, "shape", ())[:axes] != plain.shape or len(tail) not in tails:
            raise checks.BadData(
                f"the {field.name} of a {kind} is {checks.described(column)}; an array of shape"
                f" {plain.shape}{' and one more axis' if wide else ''} is needed."
            )
    if record.state.shape != record.next_state.shape:
        raise checks.BadData(
            f"the states of a {kind} have shape {record.state.shape}, its next states"
            f" {record.next_state.shape}; one"
            " shape is needed."
        )
