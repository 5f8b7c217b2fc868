"""Real environments that are reset and stepped, many copies of one side by side: its lanes."""

from __future__ import annotations

import abc
import contextlib
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
from paracosm.core.policy import Policy
from paracosm.core.recordings import state_scale
from paracosm.core.types import Array
from paracosm.real import boundary, spaces
from paracosm.real.actors import (
    START,
    BatchActor,
    CarriedPolicy,
    RandomActions,
    greedy_actor,
    sampling_actor,
    seed_of,
)
from paracosm.real.boundary import Fault
from paracosm.real.checked_lanes import CheckedLanes
from paracosm.real.recording import Recording
from paracosm.real.source import (
    LANES,
    BadStep,
    CollectionRequest,
    EvaluationRequest,
    Interrupted,
    PolicyLike,
    Source,
    StepProgress,
    remaining_by_lane,
    shares,
)
from paracosm.real.workers import Answers, LaneColumns, Lanes

_SHOWN = 8  # numbers of a belief that a sentence shows
# Steps for which a policy is still asked after all episodes ended: an audit looks ahead at what it
# carries and does. At least 1: `_pad_with_last_step` copies a dead step.
_STEPS_AFTER_ALL_ENDED = 2


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

    def require_independent_copies(self, count: int, workers: int) -> None:
        """Require copies that can be stepped side by side, before any of them is.

        Args:
            count, workers: As of `open`.

        Raises:
            BadData: what one does changes the episodes of another.
        """

    @contextlib.contextmanager
    def open_state_lanes(self, count: int, workers: int) -> Iterator[Lanes]:
        """Copies as of `open` whose observations are states: beliefs where there is an encoder.

        What they answer is checked.
        """
        with self.open(count, workers) as opened:
            lanes = CheckedLanes(opened, self)
            yield lanes if self.encoder is None else BeliefLanes(lanes, self.encoder, count)

    def _spec(self, states: Num[np.ndarray, "rows state"]) -> Spec:
        scale = jnp.asarray(state_scale(states))
        return Spec(
            self.state_size,
            action=self.action,
            state_scale=scale,
            horizon=self.horizon,
            components=self.components,
        )

    def _collect(self, collection: CollectionRequest, progress: StepProgress) -> Dataset:
        seed = collection.seed
        act = (
            RandomActions(self.action, self.horizon, seed)
            if collection.policy is None
            else sampling_actor(collection.policy, seed)
        )
        count = len(shares(collection.steps, collection.lanes))
        self.require_independent_copies(count, collection.workers)
        with self.open_state_lanes(count, collection.workers) as lanes:
            collector = _LaneCollector(self, lanes, collection)
            while collector.steps_left:
                try:
                    collector.step_lanes(act)
                    progress(max(0, collection.steps - collector.steps_left), collection.steps)
                except KeyboardInterrupt as error:
                    raise Interrupted(collector.rows.partial()) from error
        return collector.rows.dataset()

    def _evaluate(self, evaluation: EvaluationRequest, progress: StepProgress) -> Trajectory:
        policy, episodes, horizon = evaluation.policy, evaluation.episodes, evaluation.horizon
        act = (
            sampling_actor(policy, evaluation.seed) if evaluation.sampled else greedy_actor(policy)
        )
        seeds = evaluation.first_seed + np.arange(episodes)
        alive, steps, carries = np.ones(episodes, bool), [], []
        steps_after_all_ended = 0
        self.require_independent_copies(episodes, 1)
        with self.open_state_lanes(episodes, 1) as lanes:
            which = np.arange(episodes)
            starts = lanes.reset(which, seeds)
            state = self._require_answers(starts, which, "at the start of").columns[0]
            for time in range(horizon):
                steps_after_all_ended += not alive.any()
                if steps_after_all_ended > _STEPS_AFTER_ALL_ENDED:
                    progress(horizon, horizon)
                    break
                action = self.as_recorded(
                    act(state, seeds, np.full(episodes, time), alive),
                    alive,
                    lambda lane, time=time: f"at step {time} of evaluation episode {lane}",
                )
                carries.append(act.last_carries() if isinstance(act, CarriedPolicy) else None)
                next_state, reward, terminated, truncated = self._advance(
                    lanes, state, action, alive, time
                )
                truncated = alive & ~terminated & (truncated | (time == horizon - 1))
                steps.append(
                    {
                        "state": state,
                        "action": action,
                        "next_state": next_state,
                        "reward": reward,
                        "terminated": terminated,
                        "truncated": truncated,
                        "alive": alive,
                    }
                )
                state, alive = next_state, alive & ~terminated & ~truncated
                progress(time + 1, horizon)
        columns = {
            name: _pad_with_last_step([step[name] for step in steps], horizon) for name in steps[0]
        }
        carry = None if carries[0] is None else _pad_with_last_step(carries, horizon)
        return Trajectory(**columns, carry=carry)

    def _starts(self, seeds: Int[np.ndarray, " start"]) -> Num[np.ndarray, "start state"]:
        """As of `Source`; a few copies are reset again and again, for some are slow to build."""
        count = min(LANES, len(seeds))
        blocks = []
        with self.open_state_lanes(count, 1) as lanes:
            for first in range(0, len(seeds), count):
                block = seeds[first : first + count]
                which = np.arange(len(block))
                answers = self._require_answers(lanes.reset(which, block), which, "at the start of")
                blocks.append(answers.columns[0])
        return np.concatenate(blocks)

    def step(self, lanes: Lanes, which: np.ndarray, action: np.ndarray) -> Answers:
        """Step the lanes `which` with their rows of `action`, and count the steps."""
        self.steps += len(which)
        return lanes.step(which, action[which])

    def _require_policy_shape(self, policy: PolicyLike) -> None:
        """As of `Source`.

        Raises:
            BadArgument: the policy is a plain function, and the environment counts its actions from
                another number than 0: which of the two the function means is not known.
        """
        super()._require_policy_shape(policy)
        if isinstance(policy, Policy) or not isinstance(self.action, Discrete):
            return
        first = self.action.values(0)
        if np.any(first):
            raise checks.BadArgument(
                f"the policy is a plain function, and {self.name} counts its actions from {first},"
                " a Policy from 0; paracosm.foreign.policy makes a policy of a function that gives"
                " the environment's own."
            )

    def as_recorded(
        self, action: Any, alive: np.ndarray, place: Callable[[int], str]
    ) -> np.ndarray:
        """Actions as they are recorded: finite float32 `[lane, action]`, or int32 `[lane]` from 0;
        what a lane that is not alive has instead becomes 0.

        Args:
            action: What a policy gave.
            alive: The lanes whose actions are needed, `[lane]`.
            place: Says of a lane where it is, for the error message.

        Raises:
            BadData: the actions have another shape or kind, or one that is needed is not finite or
                not in the space.
        """
        what, count = "A batch of the policy's actions", len(alive)
        form = (count,) if isinstance(self.action, Discrete) else (count, self.action.size)
        values = spaces.as_numbers(what, action)
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
            return spaces.as_discrete_actions(self.name, values, alive, self.action)
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
            after = self._require_answers(
                self.step(lanes, which, action), which, f"at step {time} of"
            )
            next_state[which], reward[which], terminated[which], truncated[which] = after.columns
        return next_state, reward, terminated, truncated

    def _require_answers(self, answers: Answers, which: np.ndarray, place: str) -> Answers:
        """The answers of the lanes `which`.

        Raises:
            BadData: an environment cannot go on; the sentence says at which `place` of an episode.
        """
        for row, fault in answers.faults.items():
            boundary.raise_if_stopped(fault)
            raise checks.BadData(
                fault.sentence(self.name, f"{place} evaluation episode {which[row]}")
            )
        return answers


class BeliefLanes(Lanes):
    """Lanes whose observations become beliefs."""

    def __init__(self, lanes: Lanes, encoder: Encoder, count: int) -> None:
        self._lanes, self._encoder, self._count = lanes, encoder, count
        self._beliefs: np.ndarray | None = None  # `[lane, state]`

    def reset(self, which: np.ndarray, seeds: np.ndarray) -> Answers:
        answers = self._lanes.reset(which, seeds)
        beliefs = _first_beliefs(self._encoder, self._scatter(which, answers.columns[0]))
        return self._with_beliefs("initial", which, answers, np.asarray(beliefs, np.float32))

    def step(self, which: np.ndarray, actions: np.ndarray) -> Answers:
        answers = self._lanes.step(which, actions)
        rows = self._scatter(which, actions), self._scatter(which, answers.columns[0])
        beliefs = _next_beliefs(self._encoder, self._beliefs, *rows)
        return self._with_beliefs("update", which, answers, np.asarray(beliefs, np.float32))

    def close(self) -> None:
        self._lanes.close()

    def _scatter(self, which: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Rows at the places of the lanes `which`, `[count, …]`: one program serves any lanes."""
        full = np.zeros((self._count, *rows.shape[1:]), rows.dtype)
        full[which] = rows
        return full

    def _with_beliefs(
        self, stage: str, which: np.ndarray, answers: Answers, beliefs: np.ndarray
    ) -> Answers:
        """The answers with beliefs in place of observations; a belief that is not finite is a fault
        of the encoder.

        Args:
            stage: The encoder's method that gave the beliefs.
            which: The lanes that answered, `[lane]` numbers.
            answers: What they answered, a row each.
            beliefs: The beliefs of all lanes, `[lane, state]`.
        """
        if self._beliefs is None:
            self._beliefs = np.zeros_like(beliefs)
        self._beliefs[which] = beliefs[which]
        rows, faults = beliefs[which], dict(answers.faults)
        for row in np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist():
            faults.setdefault(row, _belief_fault(self._encoder, stage, rows[row]))
        return Answers((rows, *answers.columns[1:]), faults)


def _belief_fault(encoder: Encoder, stage: str, belief: np.ndarray) -> Fault:
    """The fault of an encoder whose method `stage` gave a belief `[state]` that is not finite."""
    shown = str(belief)
    if len(belief) > _SHOWN:
        first = int(np.argmin(np.isfinite(belief)))
        shown = f"of {len(belief)} numbers whose entry {first} is {belief[first]}"
    return Fault(
        event=f"gave the belief {shown}",
        needed="every entry must be finite",
        culprit=encoder.called(stage),
    )


def _pad_with_last_step(rows: Sequence[np.ndarray], horizon: int) -> np.ndarray:
    """The rows `[lane, …]` of every step side by side, `[lane, horizon, …]`; the last one stands
    for the steps after it.
    """
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
        encoder: Makes the beliefs.
        beliefs: The beliefs before the step, `[lane, state]`.
        actions: The actions of the step, `[lane, action]` or `[lane]`.
        observations: The observations after it, `[lane, observation]`.
    """
    return jax.vmap(encoder.update)(beliefs, actions, observations)


class _LaneCollector:
    """Collects from lanes, each of which plays its episodes until its share of the steps is taken.

    Attributes:
        rows: The steps so far.
    """

    def __init__(self, source: StepSource, lanes: Lanes, collection: CollectionRequest) -> None:
        self._source, self._lanes, self._seed = source, lanes, collection.seed
        self._failed = collection.failed
        remainder = remaining_by_lane(collection)
        self._steps_left, self._episode = remainder.steps, remainder.episode  # `[lane]`, as below
        self._spare = np.full(len(self._steps_left), collection.spare)
        self._time = np.zeros(len(self._steps_left), np.int64)
        self._state = np.zeros((len(self._steps_left), source.state_size), source.state_type)
        self.rows = Recording(collection.before, int((self._steps_left + self._spare).sum()))
        self._begin_episodes(np.flatnonzero(self._steps_left))

    @property
    def steps_left(self) -> int:
        """Steps that all lanes have yet to take."""
        return int(self._steps_left.sum())

    def step_lanes(self, act: BatchActor) -> None:
        """Take one step in every lane that has steps left."""
        live = np.flatnonzero(self._steps_left)
        action = self._choose_actions(act)
        columns, faults = self._source.step(self._lanes, live, action)
        before = self._episode[live], self._time[live], self._state[live], action[live]
        valid = ~np.isin(np.arange(len(live)), list(faults))
        next_state, reward, terminated, truncated = columns
        self.rows.add(*(column[valid] for column in (*before, next_state, reward, terminated)))
        self._raise_first_fault(faults, live, "at step {time} of episode {episode}")
        self._state[live] = next_state
        self._time[live] += 1
        self._steps_left[live] -= 1
        ended = terminated | truncated | (self._time[live] == self._source.horizon)
        unfinished = live[~ended & (self._steps_left[live] == 0) & (self._spare[live] > 0)]
        self._steps_left[unfinished] += 1
        self._spare[unfinished] -= 1
        next_episode = live[ended & (self._steps_left[live] > 0)]
        self._episode[next_episode] += len(self._steps_left)
        self._begin_episodes(next_episode)

    def _choose_actions(self, act: BatchActor) -> np.ndarray:
        """The actions of all lanes, as they are recorded.

        Raises:
            BadStep: there are none; the policy failed, and no episode.
        """
        alive = self._steps_left > 0
        try:
            with callbacks.as_raised():
                return self._source.as_recorded(
                    act(self._state, self._episode, self._time, alive),
                    alive,
                    lambda lane: f"at step {self._time[lane]} of episode {self._episode[lane]}",
                )
        except checks.ParacosmError as error:
            raise self._bad_step(str(error), np.empty(0, int)) from error

    def _begin_episodes(self, which: np.ndarray) -> None:
        """Start the present episodes of the lanes `which`.

        Raises:
            BadStep: an environment cannot start.
        """
        if not which.size:
            return
        sequences = [
            seed_of(self._seed, episode, START) for episode in self._episode[which].tolist()
        ]
        seeds = np.array([sequence.generate_state(1)[0] for sequence in sequences])
        self._time[which] = 0
        (state,), faults = self._lanes.reset(which, seeds)
        self._raise_first_fault(faults, which, "at the start of episode {episode}")
        self._state[which] = state

    def _raise_first_fault(self, faults: dict[int, Fault], which: np.ndarray, place: str) -> None:
        """Raise a BadStep about the first fault, if there is one, with what was recorded before.

        Args:
            faults: By place in `which`.
            which: The lanes that were asked, `[lane]` numbers.
            place: Where in an episode, with `{time}` and `{episode}`.
        """
        for row, fault in faults.items():
            boundary.raise_if_stopped(fault)
            where = place.format(time=self._time[which[row]], episode=self._episode[which[row]])
            raise self._bad_step(fault.sentence(self._source.name, where), which[list(faults)])

    def _bad_step(self, message: str, which: np.ndarray) -> BadStep:
        """The error with what was recorded; the lanes `which` failed in their present episodes."""
        failed = (*self._failed, *self._episode[which].tolist())
        return BadStep(message, self.rows.partial(), failed)
