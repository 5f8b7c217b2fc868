"""Gymnasium environments as a source of real steps."""

from __future__ import annotations

import contextlib
import functools
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
from paracosm.core.recordings import state_scale
from paracosm.core.types import Array, PRNGKey
from paracosm.real import boundary, spaces
from paracosm.real.boundary import Fault
from paracosm.real.seeding import demand_working, repeats
from paracosm.real.source import (
    Acting,
    BadStep,
    Collection,
    Evaluation,
    Interrupted,
    Progress,
    Source,
    ordered,
    remaining,
    shares,
    stack,
)
from paracosm.real.workers import Answers, Lanes, Rows, open_lanes

Act = Callable[
    [np.ndarray, np.ndarray, np.ndarray], Any
]  # (states, episodes, times) -> actions, a lane a row

_LOOK = 300  # most steps of the first look at whether an episode repeats

_START, _ACTIONS = 0, 1  # what an episode's random numbers are for


class HostSource(Source):
    """A Gymnasium environment.

    Observations are its states, cast to float32. Discrete actions count from 0 whatever the space's
    `start`.
    """

    def __init__(self, factory: Callable[[], Any], name: str, horizon: int | None = None) -> None:
        """Look at one copy of the environment.

        Args:
            factory: builds a copy; cloudpickle must be able to send it if several workers are to be
                used.
            name: what error messages call it.
            horizon: steps in a full episode; the environment's own time limit if None.

        Raises:
            Unsupported: its spaces are not a one-dimensional Box observed and a bounded Box or
                Discrete acted on.
            BadArgument: it has no time limit and no horizon is given, or its limit is below the
                horizon.
        """
        self.name, self.steps, self._factory = (
            name,
            0,
            functools.partial(boundary.built, factory, name),
        )
        env = self._factory()
        try:
            observed, acted = spaces.of(name, env)
            self.state_size = spaces.state_size(name, observed)
            self.action = spaces.action_space(name, acted)
            limit = spaces.limit(env)
            self.limit, self.horizon = spaces.playable(limit), spaces.horizon(name, limit, horizon)
            self._type, self._first = acted.dtype, int(getattr(acted, "start", 0))
            demand_working(name, env, self._look(1)[0], self.state_size)
            self._of_limits = spaces.remarks(name, env)
        finally:
            with contextlib.suppress(Exception, SystemExit):
                env.close()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where its time limits differ, and whether an episode repeats: two copies play one, which
        is not counted.

        They play when this is first read: steps that were collected by then are safe from whatever
        happens to them.
        """
        return self._remarks

    @functools.cached_property
    def _remarks(self) -> tuple[str, ...]:
        if repeats(self._factory, self._look(min(_LOOK, self.horizon)), self.state_size):
            return self._of_limits
        return (
            *self._of_limits,
            f"{self.name} does not repeat an episode from the same seed and actions; its numbers"
            " cannot be had"
            " again, and --workers may change them.",
        )

    def _look(self, steps: int) -> Any:
        """Actions of a first look."""
        return self._typed(_Random(self.action, steps, 0).draw(0))

    def _spec(self, states: Float[np.ndarray, "rows state"]) -> Spec:
        return Spec(self.state_size, self.action, jnp.asarray(state_scale(states)), self.horizon)

    def _collect(self, asked: Collection, progress: Progress) -> Dataset:
        seed = asked.seed
        act = (
            _Random(self.action, self.horizon, seed)
            if asked.policy is None
            else _sampling(asked.policy, seed)
        )
        count = len(shares(asked.steps))
        with open_lanes(self._factory, count, self.state_size, asked.workers) as lanes:
            working = _Working(self, lanes, asked)
            while working.left:
                try:
                    working.tick(act)
                except KeyboardInterrupt as error:
                    raise Interrupted(working.partial()) from error
                progress(asked.steps - working.left, asked.steps)
        return working.dataset()

    def _evaluate(self, asked: Evaluation, progress: Progress) -> Trajectory:
        policy, episodes, horizon = asked.policy, asked.episodes, asked.horizon
        act = _sampling(policy, asked.seed) if asked.sampled else _mode(policy)
        seeds, alive, columns = asked.first_seed + np.arange(episodes), np.ones(episodes, bool), []
        with open_lanes(self._factory, episodes, self.state_size, 1) as lanes:
            everyone = np.arange(episodes)
            state = self._demand(lanes.reset(everyone, seeds), everyone, "at the start of").rows[0]
            for time in range(horizon):
                action = self.recorded(act(state, seeds, np.full(episodes, time)), episodes)
                next_state, reward, terminated, truncated = self._advance(
                    lanes, state, action, alive, time
                )
                truncated = alive & ~terminated & (truncated | (time == horizon - 1))
                columns.append((state, action, next_state, reward, terminated, truncated, alive))
                state, alive = next_state, alive & ~terminated & ~truncated
                progress(time + 1, horizon)
        return Trajectory(*(np.stack(column, axis=1) for column in zip(*columns, strict=True)))

    def step(self, lanes: Lanes, which: np.ndarray, action: np.ndarray) -> Answers:
        """Step the lanes `which` with their rows of `action`, and count them."""
        self.steps += len(which)
        return lanes.step(which, self._typed(action[which]))

    def recorded(self, action: Any, count: int) -> np.ndarray:
        """`count` actions as they are recorded: finite float32 `[count, action]`, or int32
        `[count]` from 0.

        Raises:
            BadData: they have another shape or kind, or a discrete one is not in the space.
        """
        values = spaces.numeric("A batch of the policy's actions", action)
        if isinstance(self.action, Discrete):
            return spaces.discrete(self.name, values, count, self.action, self._first)
        if self.action.size == 1 and values.shape == (count,):
            values = values[:, None]
        checks.shape("A batch of the policy's actions", values, (count, self.action.size))
        return values.astype(np.float32)

    def _typed(self, action: Any) -> Any:
        """Actions as the environment takes them."""
        return np.asarray(action).astype(self._type) + self._first

    def _advance(
        self, lanes: Lanes, state: np.ndarray, action: np.ndarray, alive: np.ndarray, time: int
    ) -> Rows:
        """Step the living; the others' state stays and their reward is 0."""
        next_state, reward = state.copy(), np.zeros(len(state))
        terminated, truncated = np.zeros((2, len(state)), bool)
        if (which := np.flatnonzero(alive)).size:
            after = self._demand(self.step(lanes, which, action), which, f"at step {time} of")
            next_state[which], reward[which], terminated[which], truncated[which] = after.rows
        return next_state, reward, terminated, truncated

    def _demand(self, answers: Answers, which: np.ndarray, place: str) -> Answers:
        for row, fault in answers.faults.items():
            boundary.demand_going(fault)
            raise checks.BadData(
                fault.sentence(self.name, f"{place} evaluation episode {which[row]}")
            )
        return answers


class _Working:
    """Lanes at work: each lives through its episodes until its share of the steps is taken."""

    def __init__(self, source: HostSource, lanes: Lanes, asked: Collection) -> None:
        self._source, self._lanes, self._seed = source, lanes, asked.seed
        self._share, self._episode = remaining(
            asked
        )  # steps that a lane has yet to take, and its present episode
        self._time = np.zeros(len(self._share), np.int64)
        self._state = np.zeros((len(self._share), source.state_size), np.float32)
        self._before, self._rows = asked.before, list[Rows]()
        self._begin(np.flatnonzero(self._share))

    @property
    def left(self) -> int:
        """Steps that all lanes have yet to take."""
        return int(self._share.sum())

    def tick(self, act: Act) -> None:
        """Take one step in every lane that has steps left."""
        live = np.flatnonzero(self._share)
        action = self._source.recorded(
            act(self._state, self._episode, self._time), len(self._share)
        )
        rows, faults = self._source.step(self._lanes, live, action)
        before = self._episode[live], self._time[live], self._state[live], action[live]
        sound = ~np.isin(np.arange(len(live)), list(faults))
        next_state, reward, terminated, truncated = rows
        self._rows.append(
            tuple(column[sound] for column in (*before, next_state, reward, terminated))
        )
        self._stop_at(faults, live, "at step {time} of episode {episode}")
        self._state[live] = next_state
        self._time[live] += 1
        self._share[live] -= 1
        over = terminated | truncated | (self._time[live] == self._source.horizon)
        ready = live[over & (self._share[live] > 0)]
        self._episode[ready] += len(self._share)
        self._begin(ready)

    def dataset(self) -> Dataset:
        """What was recorded, in the order of (episode, time); an episode that did not terminate is
        truncated.
        """
        columns = [np.concatenate(column) for column in zip(*self._rows, strict=True)]
        order = np.lexsort((columns[1], columns[0]))
        episode, time, state, action, next_state, reward, terminated = (
            column[order] for column in columns
        )
        last = np.append(episode[1:] != episode[:-1], True)
        bought = np.ones(len(episode), bool)
        ends = terminated, last & ~terminated
        rows = Dataset(
            state, action, next_state, reward, *ends, episode, time, bought, bought.copy()
        )
        return rows if self._before is None else ordered(stack([self._before, rows]))

    def partial(self) -> Dataset | None:
        """The steps of this collection so far, None if there are none."""
        return self.dataset() if any(len(rows[0]) for rows in self._rows) else self._before

    def _begin(self, lanes: np.ndarray) -> None:
        if not lanes.size:
            return
        sequences = [
            _seed(self._seed, episode, _START) for episode in self._episode[lanes].tolist()
        ]
        seeds = np.array([sequence.generate_state(1)[0] for sequence in sequences])
        self._time[lanes] = 0
        (state,), faults = self._lanes.reset(lanes, seeds)
        self._stop_at(faults, lanes, "at the start of episode {episode}")
        self._state[lanes] = state

    def _stop_at(self, faults: dict[int, Fault], lanes: np.ndarray, place: str) -> None:
        """Stop at the first fault, if there is one, with what was recorded until then."""
        for row, fault in faults.items():
            boundary.demand_going(fault)
            where = place.format(time=self._time[lanes[row]], episode=self._episode[lanes[row]])
            raise BadStep(fault.sentence(self._source.name, where), self.partial())


class _Random:
    """Uniformly random actions, an episode's drawn all at once when it starts."""

    def __init__(self, space: Box | Discrete, horizon: int, seed: int) -> None:
        self._space, self._horizon, self._seed = space, horizon, seed
        self._episodes: dict[int, np.ndarray] = {}  # by lane: the actions of its present episode

    def __call__(self, states: np.ndarray, episodes: np.ndarray, times: np.ndarray) -> np.ndarray:
        for lane in np.flatnonzero(times == 0).tolist():
            self._episodes[lane] = self.draw(int(episodes[lane]))
        within = (
            times % self._horizon
        )  # a lane that has spent its share may stand one step past the end
        return np.stack([self._episodes[lane][time] for lane, time in enumerate(within)])

    def draw(self, episode: int) -> np.ndarray:
        """The actions of a whole episode, `[horizon, ...]`."""
        generator = np.random.default_rng(_seed(self._seed, episode, _ACTIONS))
        if isinstance(self._space, Discrete):
            return generator.integers(self._space.n, size=self._horizon)
        low, high = np.asarray(self._space.low), np.asarray(self._space.high)
        return low + (high - low) * generator.random((self._horizon, len(low)), np.float32)


def _sampling(policy: Acting, seed: int) -> Act:
    if not isinstance(policy, Policy):
        return _mode(policy)
    key = jax.random.key(seed)
    return lambda states, episodes, times: _sample(policy, states, key, episodes, times)


def _mode(policy: Acting) -> Act:
    """A policy's mode; a plain function takes one observation after the other, each its own
    copy.
    """
    if isinstance(policy, Policy):
        return lambda states, *_: modes(policy, states)
    return lambda states, *_: [boundary.acted(policy, state.copy()) for state in states]


@eqx.filter_jit
def _sample(
    policy: Policy,
    states: Float[Array, "lane _"],
    key: PRNGKey,
    episodes: Int[Array, " lane"],
    times: Int[Array, " lane"],
) -> Array:
    keys = jax.vmap(
        lambda episode, time: jax.random.fold_in(jax.random.fold_in(key, episode), time)
    )(episodes, times)
    return samples(policy, states, keys)


def _seed(seed: int, episode: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(episode, purpose))
