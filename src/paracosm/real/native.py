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
from paracosm.real.observing import BeliefPolicy, ObservedSystem
from paracosm.real.source import (
    BadStep,
    CollectionRequest,
    EvaluationRequest,
    Interrupted,
    PolicyLike,
    Source,
    StepProgress,
    remaining_by_lane,
    sort_rows,
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
        steps = mdp.spec.horizon if horizon is None else horizon
        self.horizon = spaces.choose_horizon(name, None, steps)
        _require_parts(mdp, name)

    @property
    def _observed_system(self) -> ObservedSystem | None:
        """The system of pairs of state and belief; None where there is no encoder."""
        return None if self.encoder is None else ObservedSystem(self.mdp, self.encoder)

    def _spec(self, states: Num[np.ndarray, "rows state"]) -> Spec:
        if self.encoder is not None:
            return Spec(
                self.state_size,
                action=self.action,
                state_scale=jnp.asarray(state_scale(states)),
                horizon=self.horizon,
            )
        return dataclasses.replace(self.mdp.spec, horizon=self.horizon)

    def _play(
        self, policy: Policy, keys: Key[jax.Array, " episode"], salt: int, horizon: int
    ) -> Any:
        """Whole episodes as NumPy, of pairs of state and belief where there is an encoder.

        Args:
            policy: What acts, on states or beliefs.
            keys: The keys of the episodes, `[episode]`; starts depend on them alone.
            salt: The noise after the start depends on it too.
            horizon: Steps of each episode.
        """
        if (observed := self._observed_system) is None:
            return _play(self.mdp, policy, keys, salt, horizon)
        return _play(observed.pairs(), BeliefPolicy(policy, observed.size), keys, salt, horizon)

    def _policy_view(self, played: Trajectory) -> Trajectory:
        """Episodes as the policy saw them: of beliefs where there is an encoder."""
        observed = self._observed_system
        return played if observed is None else observed.beliefs(played)

    def _collect(self, collection: CollectionRequest, progress: StepProgress) -> Dataset:
        policy = (
            Uniform(self.action)
            if collection.policy is None
            else self._as_policy(collection.policy)
        )
        parts = [] if collection.before is None else [collection.before]
        try:
            self._collect_into(parts, policy, collection, progress)
        except KeyboardInterrupt as error:
            raise Interrupted(_join(parts)) from error
        return sort_rows(stack(parts))

    def _collect_into(
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
        remainder = remaining_by_lane(collection)
        steps_left, episodes = remainder.steps, remainder.episode
        key = jax.random.key(collection.seed)
        failed = collection.failed
        while steps_left.any():
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, episodes)
            try:
                with callbacks.as_raised():
                    played = self._play(policy, keys, 0, self.horizon)
            except checks.ParacosmError as error:  # of a foreign function
                raise BadStep(str(error), _join(parts), failed) from error
            alive = np.asarray(played.alive)
            most = steps_left + collection.spare * (steps_left > 0)
            taken = alive & (np.cumsum(alive, axis=1) <= most[:, None])
            valid = np.logical_and.accumulate(~taken | _finite_steps(played), axis=1)
            self.steps += int((taken & valid).sum())
            if (taken & valid).any():
                parts.append(_dataset_rows(self._policy_view(played), taken & valid, episodes))
            if not valid.all():
                failed += tuple(episodes[~valid.all(axis=1)].tolist())
                message = self._describe_first_fault(played, valid, episodes)
                raise BadStep(message, _join(parts), failed)
            steps_left = np.maximum(steps_left - taken.sum(axis=1), 0)
            episodes = episodes + len(steps_left)
            progress(collection.steps - int(steps_left.sum()), collection.steps)

    def _evaluate(self, evaluation: EvaluationRequest, progress: StepProgress) -> Trajectory:
        policy = self._as_policy(evaluation.policy)
        policy = policy if evaluation.sampled else policy.greedy()
        seeds = evaluation.first_seed + np.arange(evaluation.episodes)
        keys = jax.vmap(jax.random.key)(seeds.astype(np.uint32))
        played = self._play(policy, keys, evaluation.seed, evaluation.horizon)
        self.steps += int(played.alive.sum())
        valid = np.logical_and.accumulate(_finite_steps(played), axis=1)
        if not valid.all():
            raise checks.BadData(self._describe_first_fault(played, valid, seeds))
        progress(evaluation.horizon, evaluation.horizon)
        reward = played.reward.astype(np.float64)
        return dataclasses.replace(self._policy_view(played), reward=reward)

    def _starts(self, seeds: Int[np.ndarray, " start"]) -> Num[np.ndarray, "start state"]:
        observed = self._observed_system
        mdp = self.mdp if observed is None else observed.pairs()
        keys = jax.vmap(jax.random.key)(seeds.astype(np.uint32))
        states = np.asarray(_first_states(mdp, keys))
        visible = states if observed is None else states[:, observed.size :]
        if len(bad := np.flatnonzero(~np.isfinite(states).all(axis=1))):
            raise checks.BadData(
                f"{self.name} starts at the state {states[bad[0]]} from the seed {seeds[bad[0]]};"
                " every entry must be finite."
            )
        return visible

    def _as_policy(self, policy: PolicyLike) -> Policy:
        """The policy itself; a plain function, which JAX must be able to trace, as one."""
        if isinstance(policy, Policy):
            return policy
        state = jax.ShapeDtypeStruct((self.state_size,), jnp.float32)
        expected = () if isinstance(self.action, Discrete) else (self.action.size,)
        _require_shape(
            f"the policy of {self.name}", lambda: jax.eval_shape(policy, state), expected
        )
        return Deterministic(cast("Callable[[Array], Array]", policy))

    def _describe_first_fault(
        self, played: Trajectory, valid: np.ndarray, episodes: np.ndarray
    ) -> str:
        """The sentence about the first step that is not finite, for which the system or its encoder
        is to blame.

        Args:
            played: Episodes of states, or of pairs of state and belief.
            valid: Which steps are finite, `[episode, time]`, none after the first that is not.
            episodes: The numbers of the episodes, `[episode]`.
        """
        lane = int(np.argmin(valid.all(axis=1)))
        time, episode = int(np.argmin(valid[lane])), episodes[lane]
        before, after = played.state[lane, time], played.next_state[lane, time]
        size, reward = self.mdp.spec.state_size, played.reward[lane, time]
        place, culprit = f"at step {time} of episode {episode}", self.name
        event = f"the state {after[:size]} and the reward {reward}"
        if self.encoder is not None and np.isfinite(before[:size]).all():
            if not np.isfinite(before).all():
                culprit = self.encoder.called("initial")
                event, place = f"the belief {before[size:]}", f"at the start of episode {episode}"
            elif np.isfinite([*after[:size], reward]).all():
                culprit = self.encoder.called("update")
                event = f"the belief {after[size:]}"
        return f"{culprit} gave {event} {place}; every entry must be finite."


class HiddenSource(SystemSource):
    """A JAX-native system whose states are hidden; policies see what it shows of them."""

    def __init__(self, system: POMDP, name: str, horizon: int | None = None) -> None:
        """Take a system and what it shows.

        Args:
            system: the system.
            name: what error messages call it.
            horizon: steps in a full episode; its spec's if None.
        """
        super().__init__(system.mdp, name, horizon)
        self._system, self._observation_encoder = system, system.through(None)
        self.state_size = belief_size(self._observation_encoder, self.state_size, self.action)
        self.encoder, self.components = self._observation_encoder, ()

    @property
    def _is_encoded(self) -> bool:
        return self.encoder is not self._observation_encoder

    def through(self, encoder: Encoder) -> Source:
        """As of `Source`: the encoder is handed what is shown."""
        if self.encoder is not self._observation_encoder:
            return super().through(encoder)  # which refuses a second one
        checks.of_kind("encoder", encoder, Encoder, "an Encoder")
        states = copy.copy(self)
        states.encoder, states.state_size = None, self.mdp.spec.state_size
        return super(HiddenSource, states).through(self._system.through(encoder))


def _require_parts(mdp: MDP, name: str) -> None:
    """Require that every part can be traced and answers in its shape, and that ends are flags,
    before anything is compiled.
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
    for part, (trace, expected) in parts.items():
        form = _require_shape(f"the {part} of {name}", trace, expected)
        if part == "termination" and form.dtype != bool:
            raise checks.BadArgument(
                f"the termination of {name} answers with the type {form.dtype}; bool is needed."
            )


def _require_shape(name: str, trace: Callable[[], Any], expected: tuple[int, ...]) -> Any:
    """What `trace` gives, for what messages call `name`, if it has the expected shape.

    Raises:
        BadArgument: it has another one, or cannot be traced.
    """
    try:
        form = trace()
    except checks.ParacosmError:
        raise
    except Exception as error:  # tracing runs the user's code
        raise checks.BadArgument(
            f"{name} cannot be traced by JAX: it {boundary.describe_exception(error)}."
        ) from error
    if (shape := getattr(form, "shape", None)) != expected:
        raise checks.BadArgument(f"{name} answers with the shape {shape}; {expected} is needed.")
    return form


def _play(
    mdp: MDP, policy: Policy, keys: Key[jax.Array, " episode"], salt: int, horizon: int
) -> Trajectory:
    """Whole episodes as NumPy; starts depend on the episodes' keys alone, the rest on `salt` too.

    Args:
        mdp, policy: What is played.
        keys: The keys of the episodes, `[episode]`.
        salt: A number on which the noise after the start depends.
        horizon: Steps of each episode.
    """
    return jax.tree.map(np.asarray, _play_jit(mdp, policy, keys, jnp.uint32(salt), horizon))


@eqx.filter_jit
def _play_jit(
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


def _join(parts: list[Dataset]) -> Dataset | None:
    """The rows of all parts in order; None if there is no part."""
    return sort_rows(stack(parts)) if parts else None


def _finite_steps(played: Trajectory) -> np.ndarray:
    """Which steps hold no NaN or infinity, `[episode, time]`."""
    return (
        np.isfinite(played.state).all(-1)
        & np.isfinite(played.next_state).all(-1)
        & np.isfinite(played.reward)
    )


def _dataset_rows(played: Trajectory, mask: np.ndarray, episodes: np.ndarray) -> Dataset:
    """The steps of `mask` as rows; an episode that does not terminate is truncated at its last one.

    Args:
        played: Episodes that start together.
        mask: Which steps are taken, the first ones of each episode, `[episode, time]`.
        episodes: The numbers of the episodes, `[episode]`.
    """
    stops = mask & ~np.append(mask[:, 1:], np.zeros((len(mask), 1), bool), axis=1)
    rows = Dataset.from_trajectory(
        dataclasses.replace(played, alive=mask, truncated=stops & ~played.terminated)
    )
    return dataclasses.replace(rows, episode=episodes[rows.episode])
