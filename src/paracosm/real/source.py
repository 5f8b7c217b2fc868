"""What a real environment can be asked for, whether Gymnasium hosts it or JAX traces it."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Policy

Progress = Callable[[int, int], None]

LANES = 8  # part of what a seed means: another number is another data set

_CONSTANT = 1e-6  # a spread below this share of the largest magnitude is float32 rounding


class BadStep(checks.BadData):
    """The real environment gave NaN or infinity; `partial` holds the steps before it (None if there are none)."""

    def __init__(self, message: str, partial: Dataset | None) -> None:
        super().__init__(message)
        self.partial = partial


class Collection(NamedTuple):
    """What is to be collected: see `Source.collect`."""

    steps: int
    seed: int
    policy: Policy | None
    first_episode: int
    workers: int


class Evaluation(NamedTuple):
    """What is to be played: see `Source.evaluate`."""

    policy: Policy
    episodes: int
    first_seed: int
    horizon: int
    sampled: bool
    seed: int


class Source(abc.ABC):
    """A real environment: collected from, evaluated on, and counting every step that it takes.

    Attributes:
        name: what the user called it.
        state_size: number of state components.
        action: the action space, in the environment's units.
        horizon: steps in a full episode.
        steps: real steps taken since this object was made, evaluation included.
    """

    name: str
    state_size: int
    action: Box | Discrete
    horizon: int
    steps: int

    def spec(self, data: Dataset) -> Spec:
        """What is fixed about the task; its state scale is that of the bought rows of the first collection, `data`.

        Raises:
            BadData: nothing was bought, or of states of another size than the task's.
        """
        checks.of_kind("data", data, Dataset, "a Dataset, which collect gives,")
        states = data.bought_states
        if not len(states):
            raise checks.BadData("no row of the data was bought; the scale of the states is taken from bought rows.")
        if states.shape[1] != self.state_size:
            raise checks.BadData(
                f"the data's states have {states.shape[1]} components; those of {self.name} have {self.state_size}."
            )
        return self._spec(states)

    @abc.abstractmethod
    def _spec(self, states: Float[np.ndarray, "rows state"]) -> Spec:
        """`spec`, of the bought states."""

    def collect(
        self,
        steps: int,
        *,
        seed: int,
        policy: Policy | None = None,
        first_episode: int = 0,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> Dataset:
        """Take exactly `steps` real steps; every transition and reward label is observed.

        The steps are shared out to eight logical lanes (fewer if `steps` are fewer). Lane j plays the episodes
        `first_episode + j`, `first_episode + j + lanes`, … whole, and its last one until its share is spent. What
        happens in an episode depends on `(seed, episode)` only, so `workers` changes nothing but the time.

        Args:
            steps: number of real steps.
            seed: non-negative; with the episode's number it fixes the start, the actions and the noise.
            policy: whose samples act; uniformly random actions if None.
            first_episode: the number of the first episode; later rounds go on where the last one ended.
            workers: processes that host environments; 1 stays in this one.
            progress: called with the number of steps taken and `steps`.

        Returns:
            Rows in the order of (episode, time).

        Raises:
            BadStep: an observation or reward is NaN or infinite.
        """
        for name, value, least in (("steps", steps, 1), ("first_episode", first_episode, 0), ("workers", workers, 1)):
            checks.at_least(name, value, least)
        _check_seed("seed", seed)
        return self._collect(Collection(steps, seed, policy, first_episode, workers), progress or _silent)

    def evaluate(
        self,
        policy: Policy,
        *,
        episodes: int = 20,
        first_seed: int = 10_000,
        horizon: int | None = None,
        sampled: bool = False,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Trajectory:
        """Play whole episodes, episode i started from the seed `first_seed + i`.

        Args:
            policy: its mode acts, or its samples with `sampled`.
            episodes: number of episodes, played side by side.
            first_seed: the first episode's seed.
            horizon: steps after which an episode is cut; the environment's own limit if None.
            sampled: whether actions are sampled; the start states stay the same.
            seed: of the sampled actions.
            progress: called with the number of time steps played and `horizon`.

        Returns:
            NumPy arrays `[episodes, horizon, …]`; after its end an episode's state stays and its rewards are 0.

        Raises:
            BadData: an observation or reward is NaN or infinite.
        """
        horizon = self.horizon if horizon is None else horizon
        checks.at_least("episodes", episodes, 1)
        checks.at_least("horizon", horizon, 1)
        _check_seed("first_seed", first_seed)
        _check_seed("seed", seed)
        return self._evaluate(Evaluation(policy, episodes, first_seed, horizon, sampled, seed), progress or _silent)

    @abc.abstractmethod
    def _collect(self, asked: Collection, progress: Progress) -> Dataset:
        """`collect`, of what was checked."""

    @abc.abstractmethod
    def _evaluate(self, asked: Evaluation, progress: Progress) -> Trajectory:
        """`evaluate`, of what was checked."""


def _silent(done: int, total: int) -> None:
    """Tell nothing."""


def state_scale(states: Float[np.ndarray, "rows state"]) -> Float[np.ndarray, " state"]:
    """Standard deviation of each state component; 1 for a component that does not vary.

    A component counts as constant when its standard deviation is at most 1e-6 of its largest magnitude:
    float32 cannot tell such a spread from rounding. Its errors are then measured in the environment's units.
    """
    wide = states.astype(np.float64)
    spread, magnitude = wide.std(axis=0), np.abs(wide).max(axis=0, initial=0)
    return np.where(spread > _CONSTANT * magnitude, spread, 1).astype(np.float32)


def shares(steps: int) -> Int[np.ndarray, " lanes"]:
    """How many of `steps` each lane takes; they differ by one at most."""
    lanes = min(LANES, steps)
    return steps // lanes + (np.arange(lanes) < steps % lanes)


def _check_seed(name: str, seed: int) -> None:
    """Refuse seeds outside 0 … 2³² - 1: JAX keys tell no others apart."""
    checks.at_least(name, seed, 0)
    if seed >= 2**32:
        raise checks.BadArgument(f"{name} is {seed}; it must be below 2**32.")


def stack(parts: Sequence[Dataset]) -> Dataset:
    """Rows of all parts, one after another, each keeping its episode numbers."""
    names = [field.name for field in dataclasses.fields(Dataset)]
    return Dataset(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
