"""JAX-native systems as a source of real steps."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Key, Num, UInt

from paracosm.core import callbacks, checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.encoder import Encoder, belief_size
from paracosm.core.mdp import MDP, Discrete, Spec
from paracosm.core.policy import Deterministic, Policy, Uniform
from paracosm.core.pomdp import POMDP
from paracosm.core.recordings import state_scale
from paracosm.core.rollout import unroll
from paracosm.core.types import Array
from paracosm.real import boundary, spaces
from paracosm.real.observing import ObservedSystem, OnBeliefs
from paracosm.real.source import (
    Acting,
    BadStep,
    CollectionRequest,
    EvaluationRequest,
    Interrupted,
    Source,
    StepProgress,
    ordered,
    remaining,
    stack,
)


class SystemSource(Source):
    """A JAX-native MDP that plays the real environment.

    Its own spec, state scale included, is the task's. An evaluation keeps the precision of its
    states.
    """

    def __init__(self, mdp: MDP, name: str, horizon: int | None = None) -> None:
        """Take an MDP as the real world.

        Args:
            mdp: the system.
            name: what error messages call it.
            horizon: steps in a full episode; its spec's if None.
        """
        self.name, self.steps, self.mdp = name, 0, mdp
        self.state_size, self.action = mdp.spec.state_size, mdp.spec.action
        self.components = mdp.spec.components
        self.limit = None  # of an MDP the horizon is a matter of choice
        self.horizon = spaces.horizon(name, None, mdp.spec.horizon if horizon is None else horizon)
        _demand_parts(mdp, name)

    @property
    def _observed(self) -> ObservedSystem | None:
        """The system of its states and an encoder's beliefs, None where states are shown."""
        return None if self.encoder is None else ObservedSystem(self.mdp, self.encoder)

    def _spec(self, states: Num[np.ndarray, "rows state"]) -> Spec:
        if self.encoder is not None:
            return Spec(
                self.state_size, self.action, jnp.asarray(state_scale(states)), self.horizon
            )
        return dataclasses.replace(self.mdp.spec, horizon=self.horizon)

    def _play(
        self, policy: Policy, keys: Key[jax.Array, " episode"], salt: int, horizon: int
    ) -> Any:
        """Whole episodes as NumPy, of pairs of state and belief where there is an encoder; the
        start hangs on an episode's key alone.

        Args:
            policy: What acts, on states or beliefs.
            keys: Of the episodes.
            salt: What follows the start hangs on it too.
            horizon: Steps.
        """
        if (observed := self._observed) is None:
            return _play(self.mdp, policy, keys, salt, horizon)
        return _play(observed.pairs(), OnBeliefs(policy, observed.size), keys, salt, horizon)

    def _shown(self, lived: Trajectory) -> Trajectory:
        """What a policy saw of episodes that were played."""
        observed = self._observed
        return lived if observed is None else observed.beliefs(lived)

    def _collect(self, collection: CollectionRequest, progress: StepProgress) -> Dataset:
        policy = (
            Uniform(self.action) if collection.policy is None else self._traced(collection.policy)
        )
        parts = [] if collection.before is None else [collection.before]
        try:
            self._fill(parts, policy, collection, progress)
        except KeyboardInterrupt as error:
            raise Interrupted(_joined(parts)) from error
        return ordered(stack(parts))

    def _fill(
        self,
        parts: list[Dataset],
        policy: Policy,
        collection: CollectionRequest,
        progress: StepProgress,
    ) -> None:
        """Take what is left of a collection, one episode a lane at a time.

        Args:
            parts: Where the rows go, as soon as they are lived.
            policy: What acts.
            collection: What is to be collected.
            progress: Called with the number of steps taken and of all.
        """
        left, episodes = remaining(collection)
        key = jax.random.key(collection.seed)
        failed = collection.failed
        while left.any():
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, episodes)
            try:
                with callbacks.as_raised():
                    lived = self._play(policy, keys, 0, self.horizon)
            except checks.ParacosmError as error:  # of a foreign function
                raise BadStep(str(error), _joined(parts), failed) from error
            alive = np.asarray(lived.alive)
            wanted = alive & (
                np.cumsum(alive, axis=1) <= (left + collection.spare * (left > 0))[:, None]
            )
            sound = np.logical_and.accumulate(~wanted | _finite(lived), axis=1)
            self.steps += int((wanted & sound).sum())
            if (wanted & sound).any():
                parts.append(_rows(self._shown(lived), wanted & sound, episodes))
            if not sound.all():
                failed += tuple(episodes[~sound.all(axis=1)].tolist())
                raise BadStep(self._complaint(lived, sound, episodes), _joined(parts), failed)
            left = np.maximum(left - wanted.sum(axis=1), 0)
            episodes = episodes + len(left)
            progress(collection.steps - int(left.sum()), collection.steps)

    def _evaluate(self, evaluation: EvaluationRequest, progress: StepProgress) -> Trajectory:
        policy = self._traced(evaluation.policy)
        policy = policy if evaluation.sampled else policy.greedy()
        seeds = evaluation.first_seed + np.arange(evaluation.episodes)
        keys = jax.vmap(jax.random.key)(seeds.astype(np.uint32))
        lived = self._play(policy, keys, evaluation.seed, evaluation.horizon)
        self.steps += int(lived.alive.sum())
        sound = np.logical_and.accumulate(_finite(lived), axis=1)
        if not sound.all():
            raise checks.BadData(self._complaint(lived, sound, seeds))
        progress(evaluation.horizon, evaluation.horizon)
        return dataclasses.replace(self._shown(lived), reward=lived.reward.astype(np.float64))

    def _starts(self, seeds: Int[np.ndarray, " start"]) -> Num[np.ndarray, "start state"]:
        observed = self._observed
        mdp = self.mdp if observed is None else observed.pairs()
        keys = jax.vmap(jax.random.key)(seeds.astype(np.uint32))
        states = np.asarray(_first_states(mdp, keys))
        shown = states if observed is None else states[:, observed.size :]
        if len(bad := np.flatnonzero(~np.isfinite(states).all(axis=1))):
            raise checks.BadData(
                f"{self.name} starts at the state {states[bad[0]]} from the seed {seeds[bad[0]]};"
                " every entry must be finite."
            )
        return shown

    def _traced(self, policy: Acting) -> Policy:
        """A plain function as a policy, if JAX can trace it."""
        if isinstance(policy, Policy):
            return policy
        state = jax.ShapeDtypeStruct((self.state_size,), jnp.float32)
        expected = () if isinstance(self.action, Discrete) else (self.action.size,)
        _demand_shape(f"the policy of {self.name}", lambda: jax.eval_shape(policy, state), expected)
        return Deterministic(cast("Callable[[Array], Array]", policy))

    def _complaint(self, lived: Trajectory, sound: np.ndarray, episodes: np.ndarray) -> str:
        """The sentence about the first step that is not sound, of the system or its encoder."""
        lane = int(np.argmin(sound.all(axis=1)))
        time, episode = int(np.argmin(sound[lane])), episodes[lane]
        before, after = lived.state[lane, time], lived.next_state[lane, time]
        size, reward = self.mdp.spec.state_size, lived.reward[lane, time]
        place, culprit = f"at step {time} of episode {episode}", self.name
        came = f"the state {after[:size]} and the reward {reward}"
        if self.encoder is not None and np.isfinite(before[:size]).all():
            if not np.isfinite(before).all():
                culprit = self.encoder.called("initial")
                came, place = f"the belief {before[size:]}", f"at the start of episode {episode}"
            elif np.isfinite([*after[:size], reward]).all():
                culprit = self.encoder.called("update")
                came = f"the belief {after[size:]}"
        return f"{culprit} gave {came} {place}; every entry must be finite."


class HiddenSource(SystemSource):
    """A JAX-native system whose states are hidden: what it shows of them is observed."""

    def __init__(self, system: POMDP, name: str, horizon: int | None = None) -> None:
        """Take a system and what it shows.

        Args:
            system: the system.
            name: what error messages call it.
            horizon: steps in a full episode; its spec's if None.
        """
        super().__init__(system.mdp, name, horizon)
        self._system, self._shown_by = system, system.through(None)
        self.state_size = belief_size(self._shown_by, self.state_size, self.action)
        self.encoder, self.components = self._shown_by, ()

    def through(self, encoder: Encoder) -> Source:
        """As of `Source`: the encoder is handed what is shown."""
        if self.encoder is not self._shown_by:
            return super().through(encoder)  # which refuses a second one
        checks.of_kind("encoder", encoder, Encoder, "an Encoder")
        states = copy.copy(self)
        states.encoder, states.state_size = None, self.mdp.spec.state_size
        return super(HiddenSource, states).through(self._system.through(encoder))


def _demand_parts(mdp: MDP, name: str) -> None:
    """Require that every part can be traced and answers in its shape, before anything is
    compiled.
    """
    size, key = mdp.spec.state_size, jax.random.key(0)
    state = jax.ShapeDtypeStruct((size,), jnp.float32)
    space = mdp.spec.action
    action = jax.ShapeDtypeStruct((), jnp.int32) if isinstance(space, Discrete) else space.low
    parts = {
        "initial": (lambda: jax.eval_shape(mdp.initial, key), (size,)),
        "dynamics": (lambda: jax.eval_shape(mdp.dynamics, state, action, key), (size,)),
        "reward": (lambda: jax.eval_shape(mdp.reward, state, action, state), ()),
        "termination": (lambda: jax.eval_shape(mdp.termination, state, action, state), ()),
    }
    for part, (traced, expected) in parts.items():
        _demand_shape(f"the {part} of {name}", traced, expected)


def _demand_shape(name: str, traced: Callable[[], Any], expected: tuple[int, ...]) -> None:
    try:
        shape = getattr(traced(), "shape", None)
    except checks.ParacosmError:
        raise
    except Exception as error:  # tracing runs the user's code
        raise checks.BadArgument(
            f"{name} cannot be traced by JAX: it {boundary.happened(error)}."
        ) from error
    if shape != expected:
        raise checks.BadArgument(f"{name} answers with the shape {shape}; {expected} is needed.")


def _play(
    mdp: MDP, policy: Policy, keys: Key[jax.Array, " episode"], salt: int, horizon: int
) -> Trajectory:
    """Whole episodes as NumPy; starts hang on the episodes' keys alone, the rest on `salt` too.

    Args:
        mdp, policy: What is played.
        keys: Of the episodes, `[episode]`.
        salt: Of the noise after the start.
        horizon: Steps of each episode.
    """
    return jax.tree.map(np.asarray, _compiled(mdp, policy, keys, jnp.uint32(salt), horizon))


@eqx.filter_jit
def _compiled(
    mdp: MDP, policy: Policy, keys: Key[jax.Array, " episode"], salt: UInt[Array, ""], horizon: int
) -> Trajectory:
    """`_play` in one compiled program.

    Args:
        mdp, policy, keys, salt, horizon: As for `_play`.
    """
    starts, noise = jax.vmap(jax.random.split, out_axes=1)(keys)
    noise = jax.vmap(jax.random.fold_in, (0, None))(noise, salt)
    return unroll(mdp, policy, jax.vmap(mdp.initial)(starts), noise, horizon)


@eqx.filter_jit
def _first_states(mdp: MDP, keys: Key[jax.Array, " episode"]) -> Float[Array, "episode state"]:
    """The first states of the episodes that `_play` plays."""
    starts, _ = jax.vmap(jax.random.split, out_axes=1)(keys)
    return jax.vmap(mdp.initial)(starts)


def _joined(parts: list[Dataset]) -> Dataset | None:
    """The rows of all parts in order, None if there are none."""
    return ordered(stack(parts)) if parts else None


def _finite(lived: Trajectory) -> np.ndarray:
    """Which steps hold no NaN or infinity, `[episode, time]`."""
    return (
        np.isfinite(lived.state).all(-1)
        & np.isfinite(lived.next_state).all(-1)
        & np.isfinite(lived.reward)
    )


def _rows(lived: Trajectory, mask: np.ndarray, episodes: np.ndarray) -> Dataset:
    """The steps of `mask`, the first ones of each episode; where the record stops it is
    truncated.
    """
    stops = mask & ~np.append(mask[:, 1:], np.zeros((len(mask), 1), bool), axis=1)
    rows = Dataset.from_trajectory(
        dataclasses.replace(lived, alive=mask, truncated=stops & ~lived.terminated)
    )
    return dataclasses.replace(rows, episode=episodes[rows.episode])
