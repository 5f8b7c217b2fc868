"""A world as a Gymnasium environment, so that any library trains in it.

    env = as_env(learned.world)                          # a gymnasium.Env
    model = PPO("MlpPolicy", env).learn(100_000)
    policy = foreign.policy(model, learned.world.spec)   # and the audit takes it back

An observation is a state of the world, in the environment's units. A step of the world whose end
rule holds is *terminated*; the step at the horizon is *truncated* where it did not end.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Float, Int, UInt32

from paracosm.adapters.worlds import raise_no_start
from paracosm.core import callbacks, checks
from paracosm.core.data import Dataset, Trajectory
from paracosm.core.forms import require_form, require_shape
from paracosm.core.mdp import MDP, Box, Discrete
from paracosm.core.types import Action, Array, PRNGKey, State

_NAME = "paracosm/World-v0"  # what a world's environments are called; it is not in the registry
_SEEDS = 2**32  # JAX keys tell no others apart

GivenStarts = Dataset | Trajectory | np.ndarray | jax.Array


def as_env(
    world: MDP, *, starts: GivenStarts | None = None, horizon: int | None = None
) -> WorldEnv:
    """The world as a `gymnasium.Env`.

    Args:
        world: A learned world (`learned.world`, `run.world`), one of `paracosm.foreign`, or any
            other `MDP`.
        starts: Where episodes start: recorded data or episodes, whose first states are drawn from,
            or states `[start, state]`. The world's own starts if None; a learned world has those of
            its data.
        horizon: Steps after which an episode is truncated; those of the world's spec if None.

    Raises:
        BadArgument: `world` is no `MDP` or has no starts, or `starts` holds none, or states of
            another size.
        BadData: the starts are not finite, or a part of the world answers in another form, such as
            an end that is a number.
    """
    return WorldEnv(_with_starts(world, starts), _episode_steps(world, horizon))


def as_vector_env(
    world: MDP, num_envs: int, *, starts: GivenStarts | None = None, horizon: int | None = None
) -> WorldVectorEnv:
    """`num_envs` copies of the world as a `gymnasium.vector.VectorEnv`, all of which one compiled
    program steps.

    A copy whose episode ended starts anew at its next step, whatever its action (Gymnasium's
    `AutoresetMode.NEXT_STEP`). Copy `i` of those that `reset(seed=s)` seeded plays the episodes
    of `as_env(world)` after `reset(seed=s + i)`, whatever the others do.

    Args:
        world, starts, horizon: As for `as_env`.
        num_envs: How many copies.

    Raises:
        BadArgument, BadData: as for `as_env`.
    """
    checks.count("num_envs", num_envs)
    return WorldVectorEnv(_with_starts(world, starts), _episode_steps(world, horizon), num_envs)


class Lane(NamedTuple):
    """An episode that is being played, or several `[lane, …]`.

    Attributes:
        state: Where it is.
        seed: That of all episodes of its copy, 32 bits.
        episode: How many episodes the copy has played before.
        time: Steps taken in the episode.
    """

    state: Float[Array, "*lane state"]
    seed: UInt32[Array, "*lane"]
    episode: Int[Array, "*lane"]
    time: Int[Array, "*lane"]


class LaneStep(NamedTuple):
    """What a step of a lane came to, `[*lane]` each."""

    reward: Float[Array, "*lane"]
    terminated: Array
    truncated: Array


class WorldEnv(gymnasium.Env):
    """A world as a `gymnasium.Env`; see `as_env`."""

    metadata = {"render_modes": []}  # noqa: RUF012 (as Gymnasium declares it)

    def __init__(self, world: MDP, horizon: int, render_mode: None = None) -> None:
        """The world, an episode of which has at most `horizon` steps; nothing is rendered."""
        self.world, self.horizon, self.render_mode = world, horizon, render_mode
        self._most_steps = np.asarray(horizon)
        self.observation_space = _observation_space(world)
        self.action_space = _action_space(world.spec.action)
        rebuild: Any = functools.partial(WorldEnv, world, horizon)
        self.spec = EnvSpec(_NAME, rebuild, max_episode_steps=horizon)
        self._lane: Lane | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; a `seed` settles the chance of this one and of all that follow."""
        super().reset(seed=seed)
        if seed is not None or self._lane is None:
            number = int(self.np_random.integers(_SEEDS)) if seed is None else seed % _SEEDS
            lane_seed, episode = np.asarray(number, np.uint32), np.zeros((), np.int32)
        else:
            lane_seed, episode = self._lane.seed, self._lane.episode + 1
        with callbacks.as_raised():
            self._lane = lane = _begin_jit(self.world, lane_seed, episode)
        return _finite_copy("starts at", lane.state), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Take a step.

        Raises:
            BadArgument: no episode was begun, or the action is not of the action space; continuous
                ones are brought to their bounds.
            BadData: the world gives a state or a reward that is not finite.
        """
        if self._lane is None:
            raise checks.BadArgument("step is called before reset, which starts an episode.")
        world_action = _as_world_actions(self.world.spec.action, action, ())
        with callbacks.as_raised():
            lane, step = jax.block_until_ready(
                _advance_jit(self.world, self._most_steps, self._lane, world_action)
            )
        self._lane = lane
        reward = float(_finite_copy("gives the reward", step.reward))
        state = _finite_copy("goes to", lane.state)
        return state, reward, bool(step.terminated), bool(step.truncated), {}


class WorldVectorEnv(VectorEnv):
    """Copies of a world as a `gymnasium.vector.VectorEnv`; see `as_vector_env`."""

    def __init__(self, world: MDP, horizon: int, num_envs: int) -> None:
        """So many copies of the world, an episode of which has at most `horizon` steps."""
        self.world, self.horizon, self.num_envs = world, horizon, num_envs
        self._most_steps = np.asarray(horizon)
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_observation_space = _observation_space(world)
        self.single_action_space = _action_space(world.spec.action)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._lanes: Lane | None = None
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode of every copy; copy `i` has the seed `seed + i`, or `seed[i]`, which is
        drawn where it is None.
        """
        if isinstance(seed, int) or seed is None:
            super().reset(seed=seed)
        if seed is not None or self._lanes is None:
            seeds, episode = self._seeds(seed), np.zeros(self.num_envs, np.int32)
        else:
            seeds, episode = self._lanes.seed, self._lanes.episode + 1
        with callbacks.as_raised():
            self._lanes = lanes = _begin_all_jit(self.world, seeds, episode)
        self._ended = np.zeros(self.num_envs, bool)
        return _finite_copy("starts at", lanes.state), {}

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Take a step in every copy; those whose episodes ended at the last one start anew.

        Raises:
            BadArgument, BadData: as for `WorldEnv.step`.
        """
        if self._lanes is None:
            raise checks.BadArgument("step is called before reset, which starts an episode.")
        world_action = _as_world_actions(self.world.spec.action, actions, (self.num_envs,))
        with callbacks.as_raised():
            lanes, step = jax.block_until_ready(
                _advance_all_jit(
                    self.world, self._most_steps, self._lanes, world_action, self._ended
                )
            )
        self._lanes = lanes
        reward = _finite_copy("gives the reward", step.reward).astype(np.float64)
        terminated, truncated = np.array(step.terminated), np.array(step.truncated)
        self._ended = terminated | truncated
        return _finite_copy("goes to", lanes.state), reward, terminated, truncated, {}

    def _seeds(self, seed: int | list[int | None] | None) -> np.ndarray:
        """A seed of 32 bits for each copy, `[lane]`."""
        drawn = self.np_random.integers(_SEEDS, size=self.num_envs, dtype=np.uint32)
        if seed is None:
            return drawn
        if isinstance(seed, int):
            seeds = seed + np.arange(self.num_envs)
        else:
            checks.shape("seed", np.asarray(seed), (self.num_envs,))
            pairs = zip(drawn, seed, strict=True)
            seeds = np.array([other if given is None else given for other, given in pairs])
        return (seeds % _SEEDS).astype(np.uint32)


class RecordedStarts(eqx.Module):
    """Initial states drawn from recorded ones, `[start, state]`."""

    states: Float[Array, "start state"]

    def __call__(self, key: PRNGKey) -> State:
        return self.states[jax.random.randint(key, (), 0, len(self.states))]


def _begin(world: MDP, seed: Array, episode: Array) -> Lane:
    """The start of an episode of a copy with this seed."""
    for_start, _ = jax.random.split(_episode_key(seed, episode))
    state = jnp.asarray(world.initial(for_start), jnp.float32)
    return Lane(
        state=state,
        seed=jnp.asarray(seed),
        episode=jnp.asarray(episode),
        time=jnp.zeros((), jnp.int32),
    )


def _advance(world: MDP, horizon: Array, lane: Lane, action: Action) -> tuple[Lane, LaneStep]:
    """One step of a lane.

    Args:
        world: What is played.
        horizon: Steps of an episode at most.
        lane: Where it is.
        action: As the world's parts take it.
    """
    _, for_steps = jax.random.split(_episode_key(lane.seed, lane.episode))
    key = jax.random.fold_in(for_steps, lane.time)
    state = jnp.asarray(world.dynamics(lane.state, action, key), jnp.float32)
    reward = world.reward(lane.state, action, state)
    terminated = jnp.asarray(world.termination(lane.state, action, state), bool)
    time = lane.time + 1
    step = LaneStep(
        reward=jnp.asarray(reward, jnp.float32),
        terminated=terminated,
        truncated=~terminated & (time >= horizon),
    )
    return lane._replace(state=state, time=time), step


def _advance_or_begin(
    world: MDP, horizon: Array, lane: Lane, action: Action, ended: Array
) -> tuple[Lane, LaneStep]:
    """One step of a lane, or the start of its next episode where the last one is over.

    Args:
        world, horizon, lane, action: As for `_advance`.
        ended: Whether the last step ended its episode.
    """
    no = jnp.zeros((), bool)
    no_step = LaneStep(reward=jnp.zeros((), jnp.float32), terminated=no, truncated=no)
    next_episode = _begin(world, lane.seed, lane.episode + 1), no_step
    next_step = _advance(world, horizon, lane, action)
    return jax.tree.map(lambda new, old: jnp.where(ended, new, old), next_episode, next_step)


def _episode_key(seed: Array, episode: Array) -> PRNGKey:
    """The random key of an episode of the copy with this seed."""
    return jax.random.fold_in(jax.random.key(seed), episode)


_begin_jit = eqx.filter_jit(_begin)
_advance_jit = eqx.filter_jit(_advance)


@eqx.filter_jit
def _begin_all_jit(world: MDP, seeds: Array, episodes: Array) -> Lane:
    return jax.vmap(functools.partial(_begin, world))(seeds, episodes)


@eqx.filter_jit
def _advance_all_jit(
    world: MDP, horizon: Array, lanes: Lane, actions: Array, ended: Array
) -> tuple[Lane, LaneStep]:
    """`_advance_or_begin` of every lane.

    Args:
        world, horizon: The same of all.
        lanes, actions, ended: `[lane, …]`.
    """
    return jax.vmap(functools.partial(_advance_or_begin, world, horizon))(lanes, actions, ended)


def _with_starts(world: Any, starts: GivenStarts | None) -> MDP:
    """The world with these starts, if they are given."""
    needed = (
        "an MDP, such as learned.world, run.world or one that paracosm.foreign.world makes"
        " (a latent or recurrent model's world is model.on(episodes).world),"
    )
    checks.of_kind("world", world, MDP, needed)
    if starts is not None:
        world = world.replace(initial=RecordedStarts(_start_states(starts, world.spec.state_size)))
    elif world.initial is raise_no_start:
        raise checks.BadArgument(
            "the world has no starts of its own; give starts=…, recorded data or episodes of the"
            " real environment, or states [start, state]."
        )
    _require_parts(world)
    return world


def _require_parts(world: MDP) -> None:
    """Require every part to answer one step in the right shape, and ends to be flags.

    Raises:
        BadData: one does not.
    """
    space, key = world.spec.action, jax.random.key(0)
    action = jnp.zeros((), jnp.int32) if isinstance(space, Discrete) else jnp.zeros(space.size)
    state, flag = jnp.zeros(world.spec.state_size), jnp.zeros((), bool)
    shapes = {
        "start": (lambda: world.initial(key), state.shape),
        "dynamics": (lambda: world.dynamics(state, action, key), state.shape),
        "reward": (lambda: world.reward(state, action, state), ()),
    }
    for name, (answer, needed) in shapes.items():
        require_shape(f"the world's {name}", answer, needed)
    require_form("the world's termination", lambda: world.termination(state, action, state), flag)


def _start_states(starts: Any, size: int) -> Array:
    """The starts' states, `[start, state]`."""
    if isinstance(starts, Trajectory):
        starts = starts.state[:, 0]
    states = np.asarray(starts.initial if isinstance(starts, Dataset) else starts, np.float32)
    if states.ndim != 2 or states.shape[1] != size or not len(states):
        raise checks.BadArgument(
            f"the starts are an array of shape {states.shape}; at least one state of {size} numbers"
            f" is needed, [start, {size}]."
        )
    checks.finite("the starts", states, "start")
    return jnp.asarray(states)


def _episode_steps(world: MDP, horizon: int | None) -> int:
    """Steps of an episode at most."""
    return world.spec.horizon if horizon is None else checks.count("horizon", horizon)


def _observation_space(world: MDP) -> spaces.Box:
    """Any finite state of 32 bits: what bounds a world has, its steps may still come to lie on."""
    most = np.full(world.spec.state_size, np.finfo(np.float32).max, np.float32)
    return spaces.Box(-most, most)


def _action_space(action: Box | Discrete) -> spaces.Box | spaces.Discrete:
    if isinstance(action, Discrete):
        return spaces.Discrete(action.n, start=action.start)
    return spaces.Box(np.asarray(action.low, np.float32), np.asarray(action.high, np.float32))


def _as_world_actions(space: Box | Discrete, action: Any, lanes: tuple[int, ...]) -> np.ndarray:
    """Actions as the world's parts take them: within their bounds, or counted from 0.

    Raises:
        BadArgument: they are of another shape, not finite, or no actions of the space.
    """
    try:
        values = np.asarray(action, np.float32)
    except (TypeError, ValueError):
        raise checks.BadArgument(
            f"the action is {checks.described(action)}; numbers are needed."
        ) from None
    discrete = isinstance(space, Discrete)
    needed = lanes if discrete else (*lanes, space.size)
    if values.shape != needed or not np.isfinite(values).all():
        raise checks.BadArgument(
            f"the action is {checks.described(action)}; finite numbers of shape {needed} are"
            " needed."
        )
    if not discrete:
        return np.clip(values, np.asarray(space.low), np.asarray(space.high))
    numbers = values - space.start
    if ((numbers < 0) | (numbers >= space.n) | (numbers % 1 != 0)).any():
        last = space.start + space.n - 1
        raise checks.BadArgument(
            f"the action is {checks.described(action)}; a whole number from {space.start} to {last}"
            " is needed."
        )
    return np.asarray(numbers, np.int32)


def _finite_copy(what: str, values: Array) -> np.ndarray:
    """A copy of the world's answer as NumPy.

    Raises:
        BadData: it is not finite; the sentence says that the world did `what`.
    """
    answer = np.array(values)
    if not np.isfinite(answer).all():
        raise checks.BadData(f"the world {what} {checks.described(answer)}; it must be finite.")
    return answer
