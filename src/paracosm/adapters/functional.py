"""Functional environments, gymnax's and Brax's, as real ones.

Their state is a pytree, which becomes a flat vector: the hidden state of an MDP, of which policies
see the observation. What a step paid, and whether it ended, is part of the state that it leads to,
so that one step is one draw of its noise.
"""

from __future__ import annotations

import abc
import dataclasses
import inspect
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from paracosm.adapters.answers import exception_text
from paracosm.adapters.fitting import fitting
from paracosm.adapters.packing import Packing, packing_of
from paracosm.core import checks
from paracosm.core.mdp import MDP, Box, Discrete, Spec
from paracosm.core.pomdp import POMDP
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State

_AUTO_RESETS = ("first_obs", "first_state", "first_pipeline_state")  # what Brax's wrapper remembers
_LIMIT = "max_steps_in_episode"
_REWARD, _ENDED = (
    -2,
    -1,
)  # places in a flat state, behind the state and the observation: `_pack_step`
_OUTCOME = 2  # components that they take


class FunctionalStep(NamedTuple):
    """What a step of a functional environment gives.

    Attributes:
        state, observation: Those after the step.
        reward: A number.
        ended: Whether the episode ended, for another reason than a time limit.
    """

    state: Any
    observation: Any
    reward: Any
    ended: Any


class FunctionalEnvironment(eqx.Module):
    """What gymnax's and Brax's environments have in common.

    Attributes:
        env: The environment itself.
        limit: Its time limit in steps, None if it has none.
    """

    env: eqx.AbstractVar[Any]
    limit: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def reset(self, key: PRNGKey) -> tuple[Any, Any]:
        """Its state and observation at the start of an episode."""

    @abc.abstractmethod
    def step(self, key: PRNGKey, state: Any, action: Action) -> FunctionalStep:
        """A step from one of its states."""

    @abc.abstractmethod
    def space(self) -> tuple[Box | Discrete, tuple[int, ...]]:
        """Its actions, and the shape that it takes them in."""


class GymnaxEnvironment(FunctionalEnvironment):
    """An environment with gymnax's `reset(key, params)` and `step(key, state, action, params)`.

    `reset_env` and `step_env` are used where there are any: `step` starts anew by itself.
    """

    env: Any = eqx.field(static=True)
    limit: int | None = eqx.field(static=True)
    params: Any
    action_range: tuple[float, float] | None = eqx.field(static=True, default=None)

    def reset(self, key: PRNGKey) -> tuple[Any, Any]:
        observation, state = getattr(self.env, "reset_env", self.env.reset)(
            _raw_key(key), self.params
        )
        return state, observation

    def step(self, key: PRNGKey, state: Any, action: Action) -> FunctionalStep:
        step = getattr(self.env, "step_env", self.env.step)
        observation, after, reward, done, _ = step(_raw_key(key), state, action, self.params)
        if self.limit is not None and not hasattr(self.env, "is_truncated"):
            # Older ones mix the limit into `done`: the same step without a limit tells them apart.
            done = step(_raw_key(key), state, action, self._unlimited())[3]
        return FunctionalStep(after, observation=observation, reward=reward, ended=done)

    def space(self) -> tuple[Box | Discrete, tuple[int, ...]]:
        space = self.env.action_space(self.params)
        if hasattr(space, "n"):
            _require_no_range(self.env, self.action_range)
            return Discrete(int(space.n)), ()
        if not hasattr(space, "low"):
            raise checks.Unsupported(
                f"{_name(self.env)} has actions in a {type(space).__name__}; a Box or a Discrete is"
                " supported."
            )
        action_shape = tuple(space.shape)
        low, high = (
            jnp.broadcast_to(jnp.asarray(bound, jnp.float32), action_shape).ravel()
            for bound in (space.low, space.high)
        )
        return Box(*self._bounds_in_range(low, high)), action_shape

    def _bounds_in_range(self, low: Array, high: Array) -> tuple[Array, Array]:
        """The bounds, with those of `action_range` on the sides that have none."""
        # What is as good as infinite: the width of a box must be finite in 32 bits
        open_low, open_high = low < -checks.LARGEST_32 / 2, high > checks.LARGEST_32 / 2
        bounded = not bool((open_low | open_high).any())
        if bounded:
            _require_no_range(self.env, self.action_range)
        if not bounded and self.action_range is None:
            raise checks.BadArgument(
                f"{_name(self.env)} has actions without a bound on some side; give"
                " action_range=(LOW, HIGH), within which actions are then chosen."
            )
        least, most = self.action_range or (-math.inf, math.inf)
        return jnp.where(open_low, least, low), jnp.where(open_high, most, high)

    def _unlimited(self) -> Any:
        return dataclasses.replace(self.params, **{_LIMIT: checks.MOST})


class BraxEnvironment(FunctionalEnvironment):
    """An environment with Brax's `reset(key) -> State` and `step(state, action) -> State`.

    A State has `obs`, `reward` and `done`; `info["truncation"]` says where a time limit was it.
    """

    env: Any = eqx.field(static=True)
    limit: int | None = eqx.field(static=True)

    def reset(self, key: PRNGKey) -> tuple[Any, Any]:
        state = self.env.reset(_raw_key(key))
        return state, state.obs

    def step(self, key: PRNGKey, state: Any, action: Action) -> FunctionalStep:
        after = self.env.step(state, action)
        cut = jnp.asarray(_info(after).get("truncation", 0)) > 0
        ended = (after.done > 0) & ~cut
        return FunctionalStep(after, observation=after.obs, reward=after.reward, ended=ended)

    def space(self) -> tuple[Box | Discrete, tuple[int, ...]]:
        size = int(self.env.action_size)
        return Box(-jnp.ones(size), jnp.ones(size)), (size,)


class FunctionalSystem(eqx.Module):
    """A functional environment on flat states `(state, observation, reward, ended)`.

    Attributes:
        environment: The environment.
        packing: The form of its own state.
        observation_size: Components of an observation.
        action_shape: In which it takes an action.
    """

    environment: FunctionalEnvironment
    packing: Packing
    observation_size: int = eqx.field(static=True)
    action_shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def size(self) -> int:
        """Components of a state."""
        return self.packing.size + self.observation_size + _OUTCOME

    def initial(self, key: PRNGKey) -> State:
        """The state at the start of an episode."""
        state, observation = self.environment.reset(key)
        return self._pack_step(FunctionalStep(state, observation, reward=0.0, ended=False))

    def dynamics(self, state: State, action: Action, key: PRNGKey) -> State:
        """The state after a step; which other parts read what it paid, and whether it ended."""
        shaped = jnp.reshape(action, self.action_shape)
        before = self.packing.unpack(state[: self.packing.size])
        return self._pack_step(self.environment.step(key, before, shaped))

    def show(self, state: State) -> Array:
        """The observation in a state."""
        return state[self.packing.size : self.packing.size + self.observation_size]

    def _pack_step(self, step: FunctionalStep) -> State:
        """The flat state after a step; reward and end are at `_REWARD` and `_ENDED`."""
        outcome = [jnp.reshape(jnp.asarray(x, float), 1) for x in (step.reward, step.ended)]
        return jnp.concatenate([self.packing.pack(step.state), _ravel(step.observation), *outcome])


class PaidOnArrival(eqx.Module):
    """The reward of a step, which the state after it holds."""

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return next_state[_REWARD]


class EndedOnArrival(eqx.Module):
    """Whether a step ended the episode, which the state after it holds."""

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return next_state[_ENDED] > 0


def gymnax(
    env: Any,
    params: Any = None,
    *,
    horizon: int | None = None,
    action_range: tuple[float, float] | None = None,
) -> POMDP:
    """A functional environment, gymnax's or Brax's, as a real one for `paracosm.connect`.

    Its own state is hidden, and survives each step exactly, counters and random keys too. It does
    not start anew within an episode, and a time limit cuts an episode without ending it.

    Args:
        env: Has gymnax's `reset(key, params)` and `step(key, state, action, params)`, of which
            `reset_env` and `step_env` are used if it has them; or Brax's `reset(key)` and
            `step(state, action)`, without the wrapper that starts anew.
        params: The parameters of gymnax's; its `default_params` if None.
        horizon: Steps in a full episode; its own time limit if None.
        action_range: Lowest and highest action of gymnax's, on the sides where its Box has no
            bound.

    Raises:
        BadArgument: it is no such environment, it starts anew by itself, it has no time limit
            and `horizon` is not given, or actions without a bound and no `action_range`.
        Unsupported: its actions are neither in a box nor discrete, or its state holds complex
            numbers.
    """
    if action_range is not None:
        action_range = checks.interval("action_range", action_range)
    environment = _environment(env, params, action_range)
    steps = environment.limit if horizon is None else checks.count("horizon", horizon)
    if steps is None:
        raise checks.BadArgument(
            f"{_name(env)} has no time limit; give horizon=N, the number of steps of a full"
            " episode."
        )
    system, space = _system(environment)
    spec = Spec(system.size, action=space, state_scale=jnp.ones(system.size), horizon=steps)
    mdp = MDP(
        spec,
        dynamics=system.dynamics,
        reward=PaidOnArrival(),
        termination=EndedOnArrival(),
        initial=system.initial,
        discount=1.0,
    )
    return POMDP(mdp, system.show)


def _environment(
    env: Any, params: Any, action_range: tuple[float, float] | None
) -> FunctionalEnvironment:
    """The environment by its interface; Brax's actions are bounded."""
    argument_count = _count_step_arguments(env)
    if argument_count is None or isinstance(env, type):
        raise checks.BadArgument(
            f"the functional environment is {checks.described(env)}; gymnax's reset(key, params)"
            " and step(key, state, action, params), or Brax's reset(key) and step(state, action),"
            f" are needed{fitting(env)}."
        )
    if argument_count == 2:
        if params is not None:
            raise checks.BadArgument(
                f"params are given for {_name(env)}, whose step(state, action) takes none."
            )
        _require_no_range(env, action_range)
        return BraxEnvironment(env, _as_steps(getattr(env, "episode_length", None)))
    if params is None and not hasattr(env, "default_params"):
        raise checks.BadArgument(
            f"params is None and {_name(env)} has no default_params; give its params."
        )
    params = env.default_params if params is None else params
    _require_own_steps(env)
    _require_leaves(params)
    # Parameters may be arrays, which nothing can be read of once they are traced
    return GymnaxEnvironment(
        env,
        limit=_as_steps(getattr(params, _LIMIT, None)),
        params=params,
        action_range=action_range,
    )


def _require_leaves(params: Any) -> None:
    """Require JAX to see the entries of the parameters: what it cannot see it must tell apart.

    Raises:
        BadArgument: a leaf is neither an array nor hashable.
    """
    for leaf in jax.tree.leaves(params):
        if eqx.is_array(leaf):
            continue
        try:
            hash(leaf)
        except TypeError as error:
            kind = type(leaf).__name__
            raise checks.BadArgument(
                f"params holds a {kind}, whose entries JAX cannot see; a pytree is needed, such as"
                " a flax.struct.dataclass or one of jax.tree_util.register_dataclass."
            ) from error


def _require_own_steps(env: Any) -> None:
    """Refuse a wrapper that would not be asked: one with its own `reset` or `step`, of which
    `reset_env` and `step_env`, which are used instead, are those of what it wraps.

    Raises:
        BadArgument: the environment is such a wrapper.
    """
    for name, used in (("reset", "reset_env"), ("step", "step_env")):
        holder = getattr(getattr(env, name, None), "__self__", env)
        if hasattr(env, used) and _has_own(holder, name) and not _has_own(holder, used):
            raise checks.BadArgument(
                f"{type(holder).__name__} has a {name} of its own and hands {used}, which is used"
                " instead, through to what it wraps; wrap step_env and reset_env, or give the"
                " environment without its wrapper."
            )


def _has_own(env: Any, name: str) -> bool:
    """Whether an attribute is an object's own or its class's, and not handed through."""
    try:
        inspect.getattr_static(env, name)
    except AttributeError:
        return False
    return True


def _as_steps(limit: Any) -> int | None:
    """A time limit as a Python number; None where there is none."""
    return None if limit is None else int(limit)


def _require_no_range(env: Any, action_range: tuple[float, float] | None) -> None:
    """Require that no range of actions is given for an environment that needs none.

    Raises:
        BadArgument: `action_range` is given.
    """
    if action_range is not None:
        raise checks.BadArgument(
            f"action_range is {action_range}, and the actions of {_name(env)} need none; None is"
            " needed."
        )


def _count_step_arguments(env: Any) -> int | None:
    """How many arguments a step takes, 4 as gymnax's or 2 as Brax's; None if it has no such
    methods.
    """
    if not (callable(getattr(env, "reset", None)) and callable(getattr(env, "step", None))):
        return None
    try:
        count = len(inspect.signature(env.step).parameters)
    except (TypeError, ValueError):
        return None
    return count if count in (2, 4) else None


def _system(environment: FunctionalEnvironment) -> tuple[FunctionalSystem, Box | Discrete]:
    """The environment on flat states, and its actions.

    Raises:
        BadArgument: it fails when it is traced, starts anew, or its state changes its form.
    """
    name = _name(environment.env)
    key = jax.random.key(0)
    state, observation = _trace(f"the reset of {name}", environment.reset, key)
    if any(entry in _info(state) for entry in _AUTO_RESETS):
        raise checks.BadArgument(
            f"{name} starts anew by itself at the end of an episode, whose last state is then lost;"
            " give the environment without its auto-reset wrapper."
        )
    space, action_shape = environment.space()
    action = jax.ShapeDtypeStruct(
        action_shape, jnp.int32 if isinstance(space, Discrete) else jnp.float32
    )
    after = _trace(f"the step of {name}", environment.step, key, state, action).state
    packing = packing_of(state, f"the state of {name}")
    _require_form(name, state, after)
    observation_size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(observation))
    return FunctionalSystem(
        environment=environment,
        packing=packing,
        observation_size=observation_size,
        action_shape=action_shape,
    ), space


def _trace(what: str, function: Any, *arguments: Any) -> Any:
    """Shapes and types of what a function gives; `what` names it in messages.

    Raises:
        BadArgument: it fails when it is traced.
    """
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:  # tracing runs the user's code
        raise checks.BadArgument(
            f"{what} cannot be traced by JAX: {exception_text(error)}"
        ) from error


def _require_form(name: str, state: Any, after: Any) -> None:
    """Require the state after a step to have the structure and shapes of that before it."""
    structures = [jax.tree.structure(tree) for tree in (state, after)]
    shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (state, after)]
    if structures[0] != structures[1] or shapes[0] != shapes[1]:
        raise checks.BadArgument(
            f"the state of {name} has another form after a step than after a reset; the same arrays"
            " are needed."
        )


def _ravel(observation: Any) -> Array:
    """An observation, a pytree, as one vector of floats."""
    leaves = [jnp.ravel(leaf).astype(float) for leaf in jax.tree.leaves(observation)]
    return jnp.concatenate([jnp.zeros(0), *leaves])


def _raw_key(key: PRNGKey) -> Array:
    """The key as the plain numbers that older functions expect, and newer ones take too."""
    return jax.random.key_data(key)


def _info(state: Any) -> dict[str, Any]:
    """What a Brax state says besides; empty of other states."""
    info = getattr(state, "info", None)
    return info if isinstance(info, dict) else {}


def _name(env: Any) -> str:
    """What messages call an environment."""
    name = getattr(env, "name", None)
    return name if isinstance(name, str) else type(env).__name__
