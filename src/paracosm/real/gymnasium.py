"""Gymnasium environments as a source of real steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from paracosm.core import checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Policy, modes, samples
from paracosm.core.types import Array, PRNGKey
from paracosm.real import spaces
from paracosm.real.source import BadStep, Collection, Evaluation, Progress, Source, shares, state_scale
from paracosm.real.workers import Lanes, Rows, open_lanes

Act = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]  # (states, episodes, times) -> actions, a lane a row

_START, _ACTIONS = 0, 1  # what an episode's random numbers are for


class HostSource(Source):
    """A Gymnasium environment.

    Observations are its states, cast to float32. Discrete actions count from 0 whatever the space's `start`.
    """

    def __init__(self, factory: Callable[[], Any], name: str, horizon: int | None = None) -> None:
        """Look at one copy of the environment.

        Args:
            factory: builds a copy; cloudpickle must be able to send it if several workers are to be used.
            name: what error messages call it.
            horizon: steps in a full episode; the environment's own time limit if None.

        Raises:
            Unsupported: its spaces are not a one-dimensional Box observed and a bounded Box or Discrete acted on.
            BadArgument: it has no time limit and no horizon is given, or its limit is below the horizon.
        """
        self.name, self.steps, self._factory = name, 0, factory
        env = factory()
        try:
            self.state_size = spaces.state_size(name, env.observation_space)
            self.action = spaces.action_space(name, env.action_space)
            self.horizon = spaces.horizon(name, env, horizon)
            self._type, self._first = env.action_space.dtype, getattr(env.action_space, "start", 0)
        finally:
            env.close()

    def _spec(self, states: Float[np.ndarray, "rows state"]) -> Spec:
        return Spec(self.state_size, self.action, jnp.asarray(state_scale(states)), self.horizon)

    def _collect(self, asked: Collection, progress: Progress) -> Dataset:
        share, seed = shares(asked.steps), asked.seed
        act = _Random(self.action, self.horizon, seed) if asked.policy is None else _sampling(asked.policy, seed)
        with open_lanes(self._factory, len(share), asked.workers) as lanes:
            working = _Working(self, lanes, seed, share, asked.first_episode)
            while working.taken.sum() < asked.steps:
                working.tick(act)
                progress(int(working.taken.sum()), asked.steps)
        return working.dataset()

    def _evaluate(self, asked: Evaluation, progress: Progress) -> Trajectory:
        policy, episodes, horizon = asked.policy, asked.episodes, asked.horizon
        act = _sampling(policy, asked.seed) if asked.sampled else lambda states, *_: modes(policy, states)
        seeds, alive, columns = asked.first_seed + np.arange(episodes), np.ones(episodes, bool), []
        with open_lanes(self._factory, episodes, 1) as lanes:
            state = self.start(lanes, np.arange(episodes), seeds)
            self._demand_finite(state, np.zeros(episodes), 0)
            for time in range(horizon):
                action = self.recorded(act(state, seeds, np.full(episodes, time)))
                next_state, reward, terminated, truncated = self._advance(lanes, state, action, alive, time)
                truncated = alive & ~terminated & (truncated | (time == horizon - 1))
                columns.append((state, action, next_state, reward, terminated, truncated, alive))
                state, alive = next_state, alive & ~terminated & ~truncated
                progress(time + 1, horizon)
        return Trajectory(*(np.stack(column, axis=1) for column in zip(*columns, strict=True)))

    def start(self, lanes: Lanes, which: np.ndarray, seeds: np.ndarray) -> Float[np.ndarray, "lane state"]:
        """Start episodes in the lanes `which`."""
        states = lanes.reset(which, seeds)
        checks.shape(f"A batch of first observations of {self.name}", states, (len(which), self.state_size))
        return states

    def step(self, lanes: Lanes, which: np.ndarray, action: np.ndarray) -> Rows:
        """Step the lanes `which` with their rows of `action`, and count them."""
        self.steps += len(which)
        after = lanes.step(which, action[which].astype(self._type) + self._first)
        checks.shape(f"A batch of observations of {self.name}", after[0], (len(which), self.state_size))
        return after

    def recorded(self, action: Any) -> np.ndarray:
        """Actions as they are recorded: finite float32, or int32."""
        checks.finite("A batch of the policy's actions", action)
        return np.asarray(action, np.int32 if isinstance(self.action, Discrete) else np.float32)

    def complaint(self, next_state: np.ndarray, reward: np.float64, time: int, episode: str) -> str:
        """The sentence about a step that gave NaN or infinity."""
        what, value = ("reward", reward) if np.isfinite(next_state).all() else ("observation", next_state)
        return f"{self.name} gave the {what} {value} at step {time} of {episode}; every entry must be finite."

    def _advance(self, lanes: Lanes, state: np.ndarray, action: np.ndarray, alive: np.ndarray, time: int) -> Rows:
        """Step the living; the others' state stays and their reward is 0."""
        next_state, reward = state.copy(), np.zeros(len(state))
        terminated, truncated = np.zeros((2, len(state)), bool)
        if (which := np.flatnonzero(alive)).size:
            after = self.step(lanes, which, action)
            next_state[which], reward[which], terminated[which], truncated[which] = after
            self._demand_finite(next_state, reward, time)
        return next_state, reward, terminated, truncated

    def _demand_finite(self, state: np.ndarray, reward: np.ndarray, time: int) -> None:
        if not (sound := _sound(state, reward)).all():
            lane = int(np.argmin(sound))
            raise checks.BadData(self.complaint(state[lane], reward[lane], time, f"evaluation episode {lane}"))


class _Working:
    """Lanes at work: each lives through its episodes until its share of the steps is taken."""

    def __init__(self, source: HostSource, lanes: Lanes, seed: int, share: np.ndarray, first_episode: int) -> None:
        everyone = np.arange(len(share))
        self._source, self._lanes, self._seed, self._share = source, lanes, seed, share
        self.taken, self._time = np.zeros((2, len(share)), np.int64)
        self._episode = first_episode + everyone
        self._state = np.zeros((len(share), source.state_size), np.float32)
        self._rows: list[Rows] = []
        self._begin(everyone)

    def tick(self, act: Act) -> None:
        """Take one step in every lane that has steps left."""
        live = np.flatnonzero(self.taken < self._share)
        action = self._source.recorded(act(self._state, self._episode, self._time))
        next_state, reward, terminated, truncated = self._source.step(self._lanes, live, action)
        before = self._episode[live], self._time[live], self._state[live], action[live]
        sound = _sound(next_state, reward)
        self._rows.append(tuple(column[sound] for column in (*before, next_state, reward, terminated)))
        if not sound.all():
            bad = int(np.argmin(sound))
            self._stop(int(live[bad]), next_state[bad], reward[bad])
        self._state[live] = next_state
        self._time[live] += 1
        self.taken[live] += 1
        over = terminated | truncated | (self._time[live] == self._source.horizon)
        live = live[over & (self.taken < self._share)[live]]
        self._episode[live] += len(self._share)
        self._begin(live)

    def dataset(self) -> Dataset:
        """What was recorded, in the order of (episode, time); an episode that did not terminate is truncated."""
        columns = [np.concatenate(column) for column in zip(*self._rows, strict=True)]
        order = np.lexsort((columns[1], columns[0]))
        episode, time, state, action, next_state, reward, terminated = (column[order] for column in columns)
        last = np.append(episode[1:] != episode[:-1], True)
        bought = np.ones(len(episode), bool)
        truncated = last & ~terminated
        return Dataset(state, action, next_state, reward, terminated, truncated, episode, time, bought, bought.copy())

    def _begin(self, lanes: np.ndarray) -> None:
        if not lanes.size:
            return
        sequences = [_seed(self._seed, episode, _START) for episode in self._episode[lanes].tolist()]
        seeds = np.array([sequence.generate_state(1)[0] for sequence in sequences])
        self._time[lanes] = 0
        self._state[lanes] = self._source.start(self._lanes, lanes, seeds)
        nothing = np.zeros(len(lanes))
        if not (sound := _sound(self._state[lanes], nothing)).all():
            bad = int(lanes[np.argmin(sound)])
            self._stop(bad, self._state[bad], nothing[0])

    def _stop(self, lane: int, observation: np.ndarray, reward: np.float64) -> None:
        message = self._source.complaint(observation, reward, int(self._time[lane]), f"episode {self._episode[lane]}")
        raise BadStep(message, self.dataset() if sum(len(row[0]) for row in self._rows) else None)


def _sound(state: np.ndarray, reward: np.ndarray) -> np.ndarray:
    return np.isfinite(state).all(axis=1) & np.isfinite(reward)


class _Random:
    """Uniformly random actions, an episode's drawn all at once when it starts."""

    def __init__(self, space: Box | Discrete, horizon: int, seed: int) -> None:
        self._space, self._horizon, self._seed = space, horizon, seed
        self._episodes: dict[int, np.ndarray] = {}  # by lane: the actions of its present episode

    def __call__(self, states: np.ndarray, episodes: np.ndarray, times: np.ndarray) -> np.ndarray:
        for lane in np.flatnonzero(times == 0).tolist():
            self._episodes[lane] = self._draw(int(episodes[lane]))
        within = times % self._horizon  # a lane that has spent its share may stand one step past the end
        return np.stack([self._episodes[lane][time] for lane, time in enumerate(within)])

    def _draw(self, episode: int) -> np.ndarray:
        generator = np.random.default_rng(_seed(self._seed, episode, _ACTIONS))
        if isinstance(self._space, Discrete):
            return generator.integers(self._space.n, size=self._horizon)
        low, high = np.asarray(self._space.low), np.asarray(self._space.high)
        return low + (high - low) * generator.random((self._horizon, len(low)), np.float32)


def _sampling(policy: Policy, seed: int) -> Act:
    key = jax.random.key(seed)
    return lambda states, episodes, times: _sample(policy, states, key, episodes, times)


@eqx.filter_jit
def _sample(
    policy: Policy,
    states: Float[Array, "lane _"],
    key: PRNGKey,
    episodes: Int[Array, " lane"],
    times: Int[Array, " lane"],
) -> Array:
    keys = jax.vmap(lambda episode, time: jax.random.fold_in(jax.random.fold_in(key, episode), time))(episodes, times)
    return samples(policy, states, keys)


def _seed(seed: int, episode: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(episode, purpose))
