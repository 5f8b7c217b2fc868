"""What acts in the lanes of a real environment: random actions, policies, plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int, Key, Num

from paracosm.core.mdp import Box, Discrete
from paracosm.core.policy import (
    MarkovPolicy,
    Policy,
    acts,
    flat_carries,
    initial_carries,
    modes,
    samples,
)
from paracosm.core.types import Array, PRNGKey
from paracosm.real import boundary
from paracosm.real.source import Acting

Act = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Any]
"""`(states, episodes, times, alive) -> actions`, a lane a row; of a lane that is not alive it may
be any action.
"""

START, ACTIONS = 0, 1  # what an episode's random numbers are for


class RandomActions:
    """Uniformly random actions, an episode's drawn all at once when it starts."""

    def __init__(self, space: Box | Discrete, horizon: int, seed: int) -> None:
        self._space, self._horizon, self._seed = space, horizon, seed
        self._episodes: dict[int, np.ndarray] = {}  # by lane: the actions of its present episode

    def __call__(
        self, states: np.ndarray, episodes: np.ndarray, times: np.ndarray, alive: np.ndarray
    ) -> np.ndarray:
        """See `Act`.

        Args:
            states, episodes, times, alive: Of the lanes, `[lane, …]`.
        """
        for lane in np.flatnonzero(times == 0).tolist():
            self._episodes[lane] = self.draw(int(episodes[lane]))
        within = (
            times % self._horizon
        )  # a lane that has spent its share may stand one step past the end
        return np.stack([self._episodes[lane][time] for lane, time in enumerate(within)])

    def draw(self, episode: int) -> np.ndarray:
        """The actions of a whole episode, `[horizon, ...]`."""
        generator = np.random.default_rng(seed_of(self._seed, episode, ACTIONS))
        if isinstance(self._space, Discrete):
            return generator.integers(self._space.n, size=self._horizon)
        low, high = np.asarray(self._space.low), np.asarray(self._space.high)
        return low + (high - low) * generator.random((self._horizon, len(low)), np.float32)


class CarriedPolicy:
    """A policy with a carry, played in lanes; at an episode's first step it starts anew."""

    def __init__(self, policy: Policy, seed: int) -> None:
        self._policy, self._key = policy, jax.random.key(seed)
        self._carries: Any = None
        self._before: Any = None

    def __call__(
        self, states: np.ndarray, episodes: np.ndarray, times: np.ndarray, alive: np.ndarray
    ) -> Array:
        """See `Act`.

        Args:
            states, episodes, times, alive: Of the lanes, `[lane, …]`.
        """
        first = initial_carries(self._policy, len(states))
        carries = first if self._carries is None else self._carries
        action, self._carries, self._before = _carried(
            self._policy, (first, carries), states, _keys(self._key, episodes, times), times == 0
        )
        return action

    def carried(self) -> np.ndarray | None:
        """What was carried to the last step, `[lane, carry]`, None if nothing is."""
        return flat_carries(self._before, 1) if jax.tree.leaves(self._before) else None


class PlainFunction:
    """A function that takes copies of one observation after the other, of living lanes alone."""

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        self._function = function
        self._last: dict[int, Any] = {}  # by lane: its last action

    def __call__(
        self, states: np.ndarray, episodes: np.ndarray, times: np.ndarray, alive: np.ndarray
    ) -> list[Any]:
        """See `Act`.

        Args:
            states, episodes, times, alive: Of the lanes, `[lane, …]`.
        """
        for lane in np.flatnonzero(alive).tolist():
            self._last[lane] = boundary.acted(self._function, states[lane].copy())
        some = next(iter(self._last.values()))
        return [self._last.get(lane, some) for lane in range(len(states))]


@eqx.filter_jit
def _carried(
    policy: Policy,
    carries: tuple[Any, Any],
    states: Num[Array, "lane _"],
    keys: Key[jax.Array, " lane"],
    starts: Bool[Array, " lane"],
) -> tuple[Array, Any, Any]:
    """Actions, next carries and those before them.

    Args:
        policy: What acts.
        carries: The first carry and the present one, `[lane, …]` in every leaf.
        states: Where the lanes are, `[lane, state]`.
        keys: Of the noise, `[lane]`.
        starts: Which lanes are at the first step of an episode, `[lane]`.
    """

    def begun(first: Array, present: Array) -> Array:
        start = jnp.reshape(starts, (-1, *[1] * (first.ndim - 1)))
        return jnp.where(start, first, present)

    before = jax.tree.map(begun, *carries)
    return *acts(policy, before, states, keys), before


def sampling(policy: Acting, seed: int) -> Act:
    """A policy's samples; a plain function has none but its actions."""
    if not isinstance(policy, Policy):
        return greedy(policy)
    if not isinstance(policy, MarkovPolicy):
        return CarriedPolicy(policy, seed)
    key = jax.random.key(seed)
    return lambda states, episodes, times, _: _sample(policy, states, key, episodes, times)


def greedy(policy: Acting) -> Act:
    """A policy's greedy play; a plain function has no other."""
    if isinstance(policy, MarkovPolicy):
        return lambda states, *_: modes(policy, states)
    if isinstance(policy, Policy):
        return CarriedPolicy(policy.greedy(), 0)
    return PlainFunction(policy)


@eqx.filter_jit
def _sample(
    policy: MarkovPolicy,
    states: Num[Array, "lane _"],
    key: PRNGKey,
    episodes: Int[Array, " lane"],
    times: Int[Array, " lane"],
) -> Array:
    """One action a lane.

    Args:
        policy: What acts.
        states: Where the lanes are, `[lane, state]`.
        key: Of all noise; an episode's and a step's numbers make it theirs.
        episodes, times: Which episode a lane plays, and the step it is at, `[lane]`.
    """
    return samples(policy, states, _keys(key, episodes, times))


@eqx.filter_jit
def _keys(
    key: PRNGKey, episodes: Int[Array, " lane"], times: Int[Array, " lane"]
) -> Key[jax.Array, " lane"]:
    """The key of each lane's step."""
    return jax.vmap(
        lambda episode, time: jax.random.fold_in(jax.random.fold_in(key, episode), time)
    )(episodes, times)


def seed_of(seed: int, episode: int, purpose: int) -> np.random.SeedSequence:
    """The seed of an episode's random numbers for one purpose, `START` or `ACTIONS`."""
    return np.random.SeedSequence(seed, spawn_key=(episode, purpose))
