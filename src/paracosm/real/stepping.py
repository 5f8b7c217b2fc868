"""Real environments that are reset and stepped, many copies of one side by side: its lanes."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Num

from paracosm.core import callbacks, checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.encoder import Encoder
from paracosm.core.mdp import Discrete, Spec
from paracosm.core.recordings import state_scale
from paracosm.core.types import Array
from paracosm.real import boundary, spaces
from paracosm.real.acting import START, Act, CarriedPolicy, RandomActions, greedy, sampling, seed_of
from paracosm.real.boundary import Fault
from paracosm.real.recording import Recording
from paracosm.real.source import (
    LANES,
    BadStep,
    CollectionRequest,
    EvaluationRequest,
    Interrupted,
    Source,
    StepProgress,
    remaining,
    shares,
)
from paracosm.real.workers import Answers, LaneColumns, Lanes

_SHOWN = 8  # numbers of a belief that a sentence shows
# Steps that a policy is asked after the last end: an audit looks ahead at what it carries and does.
_AFTER = 2


class StepSource(Source):
    """A real environment whose copies are reset and stepped.

    A final class sets the attributes of `Source`, and opens lanes. Recorded are float32 actions
    `[action]`, or int32 ones that count from 0, whatever the environment calls them.
    """

    @abc.abstractmethod
    def open(self, count: int, workers: int) -> AbstractContextManager[Lanes]:
        """`count` copies of the environment, hosted by up to `workers` processes, closed on exit.

        They take recorded actions.
        """

    @contextlib.contextmanager
    def opened(self, count: int, workers: int) -> Iterator[Lanes]:
        """Lanes whose observations are states: beliefs where there is an encoder."""
        with self.open(count, workers) as lanes:
            yield lanes if self.encoder is None else Believing(lanes, self.encoder, count)

    def _spec(self, states: Num[np.ndarray, "rows state"]) -> Spec:
        scale = jnp.asarray(state_scale(states))
        return Spec(self.state_size, self.action, scale, self.horizon, self.components)

    def _collect(self, collection: CollectionRequest, progress: StepProgress) -> Dataset:
        seed = collection.seed
        act = (
            RandomActions(self.action, self.horizon, seed)
            if collection.policy is None
            else sampling(collection.policy, seed)
        )
        count = len(shares(collection.steps, collection.lanes))
        with self.opened(count, collection.workers) as lanes:
            working = _Working(self, lanes, collection)
            while working.left:
                try:
                    working.tick(act)
                    progress(max(0, collection.steps - working.left), collection.steps)
                except KeyboardInterrupt as error:
                    raise Interrupted(working.rows.partial()) from error
        return working.rows.dataset()

    def _evaluate(self, evaluation: EvaluationRequest, progress: StepProgress) -> Trajectory:
        policy, episodes, horizon = evaluation.policy, evaluation.episodes, evaluation.horizon
        act = sampling(policy, evaluation.seed) if evaluation.sampled else greedy(policy)
        seeds = evaluation.first_seed + np.arange(episodes)
        alive, columns, carries, over = np.ones(episodes, bool), [], [], 0
        with self.opened(episodes, 1) as lanes:
            lane_numbers = np.arange(episodes)
            starts = lanes.reset(lane_numbers, seeds)
            state = self._demand(starts, lane_numbers, "at the start of").rows[0]
            for time in range(horizon):
                over += not alive.any()
                if over > _AFTER:
                    progress(horizon, horizon)
                    break
                action = self.recorded(
                    act(state, seeds, np.full(episodes, time), alive),
                    alive,
                    lambda lane, time=time: f"at step {time} of evaluation episode {lane}",
                )
                carries.append(act.carried() if isinstance(act, CarriedPolicy) else None)
                next_state, reward, terminated, truncated = self._advance(
                    lanes, state, action, alive, time
                )
                truncated = alive & ~terminated & (truncated | (time == horizon - 1))
                columns.append((state, action, next_state, reward, terminated, truncated, alive))
                state, alive = next_state, alive & ~terminated & ~truncated
                progress(time + 1, horizon)
        carried = None if carries[0] is None else _whole(carries, horizon)
        whole = (_whole(column, horizon) for column in zip(*columns, strict=True))
        return dataclasses.replace(Trajectory(*whole), carry=carried)

    def _starts(self, seeds: Int[np.ndarray, " start"]) -> Num[np.ndarray, "start state"]:
        """As of `Source`; a few copies are reset again and again, for some are slow to build."""
        lanes = np.arange(min(LANES, len(seeds)))
        blocks = []
        with self.opened(len(lanes), 1) as opened:
            for first in range(0, len(seeds), len(lanes)):
                block = seeds[first : first + len(lanes)]
                which = lanes[: len(block)]
                answers = self._demand(opened.reset(which, block), which, "at the start of")
                blocks.append(answers.rows[0])
        return np.concatenate(blocks)

    def step(self, lanes: Lanes, which: np.ndarray, action: np.ndarray) -> Answers:
        """Step the lanes `which` with their rows of `action`, and count them."""
        self.steps += len(which)
        return lanes.step(which, action[which])

    def recorded(self, action: Any, alive: np.ndarray, place: Callable[[int], str]) -> np.ndarray:
        """Actions as they are recorded: finite float32 `[lane, action]`, or int32 `[lane]` from 0;
        of lanes that are not alive what cannot be used becomes 0.

        Args:
            action: What a policy gave.
            alive: Whose actions are needed, `[lane]`.
            place: Where a lane is, for the error message.

        Raises:
            BadData: they have another shape or kind, or one is not finite or not in the space.
        """
        what, count = "A batch of the policy's actions", len(alive)
        form = (count,) if isinstance(self.action, Discrete) else (count, self.action.size)
        values = spaces.numeric(what, action)
        if values.shape in ((count,), (count, 1)) and form in ((count,), (count, 1)):
            values = values.reshape(form)
        checks.shape(what, values, form)
        finite = np.isfinite(values)
        if (wrong := alive & ~finite.reshape(count, -1).all(axis=1)).any():
            lane = int(np.argmax(wrong))
            raise checks.BadData(
                f"the policy's action is {values[lane]} {place(lane)}; it must be finite."
            )
        values = np.where(finite, values, 0)
        if isinstance(self.action, Discrete):
            return spaces.discrete(self.name, values, alive, self.action)
        return values.astype(np.float32)

    def _advance(
        self, lanes: Lanes, state: np.ndarray, action: np.ndarray, alive: np.ndarray, time: int
    ) -> LaneColumns:
        """Step the living lanes; the state of the others stays and their reward is 0.

        Args:
            lanes: The environments.
            state: Their states, `[lane, state]`.
            action: What is done, `[lane, action]` or `[lane]`.
            alive: Which lanes live, `[lane]`.
            time: The step, for the error message.

        Returns:
            Next states `[lane, state]`, rewards, terminations and truncations `[lane]`.
        """
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


class Believing(Lanes):
    """Lanes whose observations become beliefs."""

    def __init__(self, lanes: Lanes, encoder: Encoder, count: int) -> None:
        self._lanes, self._encoder, self._count = lanes, encoder, count
        self._beliefs: np.ndarray | None = None  # `[lane, state]`

    def reset(self, lanes: np.ndarray, seeds: np.ndarray) -> Answers:
        answers = self._lanes.reset(lanes, seeds)
        beliefs = _first_beliefs(self._encoder, self._spread(lanes, answers.rows[0]))
        return self._known("initial", lanes, answers, np.asarray(beliefs, np.float32))

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> Answers:
        answers = self._lanes.step(lanes, actions)
        rows = self._spread(lanes, actions), self._spread(lanes, answers.rows[0])
        beliefs = _next_beliefs(self._encoder, self._beliefs, *rows)
        return self._known("update", lanes, answers, np.asarray(beliefs, np.float32))

    def close(self) -> None:
        self._lanes.close()

    def _spread(self, lanes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Rows at the places of their lanes, `[count, …]`: one program serves any lanes."""
        full = np.zeros((self._count, *rows.shape[1:]), rows.dtype)
        full[lanes] = rows
        return full

    def _known(
        self, stage: str, lanes: np.ndarray, answers: Answers, beliefs: np.ndarray
    ) -> Answers:
        """Answers with beliefs for observations; one that is not finite is the encoder's fault.

        Args:
            stage: The encoder's method that gave them.
            lanes: Which lanes answered.
            answers: What they answered, a row each.
            beliefs: Of all lanes, `[lane, state]`.
        """
        if self._beliefs is None:
            self._beliefs = np.zeros_like(beliefs)
        self._beliefs[lanes] = beliefs[lanes]
        rows, faults = beliefs[lanes], dict(answers.faults)
        for row in np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist():
            faults.setdefault(row, _no_belief(self._encoder, stage, rows[row]))
        return Answers((rows, *answers.rows[1:]), faults)


def _no_belief(encoder: Encoder, stage: str, belief: np.ndarray) -> Fault:
    needed, shown = "every entry must be finite", str(belief)
    if len(belief) > _SHOWN:
        first = int(np.argmin(np.isfinite(belief)))
        shown = f"of {len(belief)} numbers whose entry {first} is {belief[first]}"
    return Fault(f"gave the belief {shown}", needed, encoder.called(stage))


def _whole(rows: Sequence[np.ndarray], horizon: int) -> np.ndarray:
    """Steps of all lanes, `[lane, horizon, …]`: after the last one that there is, it stays."""
    column = np.stack(rows, axis=1)
    after = [(0, 0), (0, horizon - len(rows)), *[(0, 0)] * (column.ndim - 2)]
    return np.pad(column, after, mode="edge")


@eqx.filter_jit
def _first_beliefs(
    encoder: Encoder, observations: Num[Array, "lane _"]
) -> Float[Array, "lane state"]:
    return jax.vmap(encoder.initial)(observations)


@eqx.filter_jit
def _next_beliefs(
    encoder: Encoder, beliefs: Any, actions: Any, observations: Num[Array, "lane _"]
) -> Float[Array, "lane state"]:
    """The beliefs after a step.

    Args:
        encoder: What makes them.
        beliefs: Those before it, `[lane, state]`.
        actions: What was done, `[lane, action]` or `[lane]`.
        observations: What was then seen, `[lane, observation]`.
    """
    return jax.vmap(encoder.update)(beliefs, actions, observations)


class _Working:
    """Lanes at work: each lives through its episodes until its share of the steps is taken."""

    def __init__(self, source: StepSource, lanes: Lanes, collection: CollectionRequest) -> None:
        self._source, self._lanes, self._seed = source, lanes, collection.seed
        self._failed = collection.failed
        self._share, self._episode = remaining(
            collection
        )  # steps that a lane has yet to take, and its present episode
        self._spare = np.full(len(self._share), collection.spare)
        self._time = np.zeros(len(self._share), np.int64)
        self._state = np.zeros((len(self._share), source.state_size), source.state_type)
        self.rows = Recording(collection.before, int((self._share + self._spare).sum()))
        self._begin(np.flatnonzero(self._share))

    @property
    def left(self) -> int:
        """Steps that all lanes have yet to take."""
        return int(self._share.sum())

    def tick(self, act: Act) -> None:
        """Take one step in every lane that has steps left."""
        live = np.flatnonzero(self._share)
        action = self._acted(act)
        rows, faults = self._source.step(self._lanes, live, action)
        before = self._episode[live], self._time[live], self._state[live], action[live]
        sound = ~np.isin(np.arange(len(live)), list(faults))
        next_state, reward, terminated, truncated = rows
        self.rows.add(*(column[sound] for column in (*before, next_state, reward, terminated)))
        self._stop_at(faults, live, "at step {time} of episode {episode}")
        self._state[live] = next_state
        self._time[live] += 1
        self._share[live] -= 1
        over = terminated | truncated | (self._time[live] == self._source.horizon)
        goes_on = live[~over & (self._share[live] == 0) & (self._spare[live] > 0)]
        self._share[goes_on] += 1
        self._spare[goes_on] -= 1
        ready = live[over & (self._share[live] > 0)]
        self._episode[ready] += len(self._share)
        self._begin(ready)

    def _acted(self, act: Act) -> np.ndarray:
        """What is done in every lane; where that cannot be had, it is the policy that failed, and
        no episode.
        """
        alive = self._share > 0
        try:
            with callbacks.as_raised():
                return self._source.recorded(
                    act(self._state, self._episode, self._time, alive),
                    alive,
                    lambda lane: f"at step {self._time[lane]} of episode {self._episode[lane]}",
                )
        except checks.ParacosmError as error:
            raise self._stopped(str(error), np.empty(0, int)) from error

    def _begin(self, lanes: np.ndarray) -> None:
        if not lanes.size:
            return
        sequences = [
            seed_of(self._seed, episode, START) for episode in self._episode[lanes].tolist()
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
            raise self._stopped(fault.sentence(self._source.name, where), lanes[list(faults)])

    def _stopped(self, message: str, lanes: np.ndarray) -> BadStep:
        """The error that says so, with what was recorded; the episodes in `lanes` have failed."""
        failed = (*self._failed, *self._episode[lanes].tolist())
        return BadStep(message, self.rows.partial(), failed)
