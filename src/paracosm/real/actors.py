"""What chooses actions in the lanes of a real environment: chance, policies, plain functions."""

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
from paracosm.real.source import PolicyLike

BatchActor = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Any]
"""Chooses the actions of lanes, `(states, episodes, times, alive) -> actions`, a row for each lane.

`states` are where the lanes are, `episodes` and `times` the numbers of their episodes and steps,
`alive` which of them play; the action of a lane that does not play is passed over.
"""

START, ACTIONS = 0, 1  # purposes of an episode's random numbers: see `seed_of`


class RandomActions:
    """Uniformly random actions, an episode's drawn all at once when it starts."""

    def __init__(self, space: Box | Discrete, horizon: int, seed: int) -> None:
        self._space, self._horizon, self._seed = space, horizon, seed
        self._episodes: dict[int, np.ndarray] = {}  # by lane: the actions of its present episode

    def __call__(
        self, states: np.ndarray, episodes: np.ndarray, times: np.ndarray, alive: np.ndarray
    ) -> np.ndarray:
        """See `BatchActor`.

        Args:
            states, episodes, times, alive: What `BatchActor` says of the lanes, `[lane, …]`.
        """
        for lane in np.flatnonzero(times == 0).tolist():
            self._episodes[lane] = self.draw(int(episodes[lane]))
        # A lane that has no steps left may stand one step past the end of its episode
        within = times % self._horizon
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
        """See `BatchActor`.

        Args:
            states, episodes, times, alive: What `BatchActor` says of the lanes, `[lane, …]`.
        """
        first = initial_carries(self._policy, len(states))
        carries = first if self._carries is None else self._carries
        action, self._carries, self._before = _act_with_carries(
            self._policy,
            (first, carries),
            states,
            _step_keys(self._key, episodes, times),
            times == 0,
        )
        return action

    def last_carries(self) -> np.ndarray | None:
        """The carries before the last step, `[lane, carry]`; None if the policy carries nothing."""
        return flat_carries(self._before, 1) if jax.tree.leaves(self._before) else None


class PlainFunction:
    """A function of one observation, called for one lane after the other with copies of them."""

    def __init__(self, function: Callable[[np.ndarray], Any]) -> None:
        self._function = function
        self._last_action: dict[int, Any] = {}  # by lane

    def __call__(
        self, states: np.ndarray, episodes: np.ndarray, times: np.ndarray, alive: np.ndarray
    ) -> list[Any]:
        """See `BatchActor`.

        Args:
            states, episodes, times, alive: What `BatchActor` says of the lanes, `[lane, …]`.
        """
        for lane in np.flatnonzero(alive).tolist():
            observation = states[lane].copy()
            self._last_action[lane] = boundary.call_policy_function(self._function, observation)
        any_action = next(iter(self._last_action.values()))
        return [self._last_action.get(lane, any_action) for lane in range(len(states))]


@eqx.filter_jit
def _act_with_carries(
    policy: Policy,
    carries: tuple[Any, Any],
    states: Num[Array, "lane _"],
    keys: Key[jax.Array, " lane"],
    starts: Bool[Array, " lane"],
) -> tuple[Array, Any, Any]:
    """Actions, the carries after them and the carries before them.

    Args:
        policy: What acts.
        carries: The first carry and the present one, `[lane, …]` in every leaf.
        states: Where the lanes are, `[lane, state]`.
        keys: Keys of the noise, `[lane]`.
        starts: Which lanes are at the first step of an episode, `[lane]`.
    """

    def restart(first: Array, present: Array) -> Array:
        start = jnp.reshape(starts, (-1, *[1] * (first.ndim - 1)))
        return jnp.where(start, first, present)

    before = jax.tree.map(restart, *carries)
    return *acts(policy, before, states, keys), before


def sampling_actor(policy: PolicyLike, seed: int) -> BatchActor:
    """The actor of a policy's samples; a plain function acts as in `greedy_actor`."""
    if not isinstance(policy, Policy):
        return greedy_actor(policy)
    if not isinstance(policy, MarkovPolicy):
        return CarriedPolicy(policy, seed)
    key = jax.random.key(seed)
    return lambda states, episodes, times, _: _sample_actions(policy, states, key, episodes, times)


def greedy_actor(policy: PolicyLike) -> BatchActor:
    """The actor of a policy's greedy play, or of a plain function."""
    if isinstance(policy, MarkovPolicy):
        return lambda states, *_: modes(policy, states)
    if isinstance(policy, Policy):
        return CarriedPolicy(policy.greedy(), 0)
    return PlainFunction(policy)


@eqx.filter_jit
def _sample_actions(
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
        key: The key of all noise, from which every step of every episode has its own.
        episodes, times: The episode that a lane plays, and the step that it is at, `[lane]`.
    """
    return samples(policy, states, _step_keys(key, episodes, times))


@eqx.filter_jit
def _step_keys(
    key: PRNGKey, episodes: Int[Array, " lane"], times: Int[Array, " lane"]
) -> Key[jax.Array, " lane"]:
    """The key of each lane's step."""
    return jax.vmap(
        lambda episode, time: jax.random.fold_in(jax.random.fold_in(key, episode), time)
    )(episodes, times)


def seed_of(seed: int, episode: int, purpose: int) -> np.random.SeedSequence:
    """The seed of an episode's random numbers for one purpose, `START` or `ACTIONS`."""
    return np.random.SeedSequence(seed, spawn_key=(episode, purpose))
