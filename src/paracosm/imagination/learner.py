"""One gradient step: imagined rollouts, REINFORCE for the policy, regression for the value."""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS
from paracosm.core.mdp import MDP
from paracosm.core.networks import MLP
from paracosm.core.policy import StochasticPolicy, initial_policy
from paracosm.core.rollout import lambda_returns, returns_to_go, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.reinforce import Value, surrogate, time_weights, without_baseline
from paracosm.imagination.settings import ImagineSettings

UNIT_ROLLOUTS = 64


class Starts(NamedTuple):
    """Real states in which imagined rollouts start; looks start in the first of each."""

    initial: Float[Array, "starts state"]
    visited: Float[Array, "rows state"]


class Task(eqx.Module):
    """What is trained for: the world, its guarded copy that rollouts run in, their starts and their length."""

    world: MDP
    guarded: MDP
    starts: Starts
    horizon: int = eqx.field(static=True)
    settings: ImagineSettings = eqx.field(static=True)

    @property
    def bootstrap(self) -> bool:
        """Whether rollouts are shorter than an episode, so that a learned value completes them."""
        return self.horizon < self.world.spec.horizon

    @property
    def progress(self) -> Float[Array, " _"]:
        """Share of the rollout that is over at each of its `horizon + 1` states.

        A rollout completed by a value is a window onto an endless one: its value does not know the time.
        """
        return jnp.zeros(self.horizon + 1) if self.bootstrap else jnp.arange(self.horizon + 1) / self.horizon


class Learner(NamedTuple):
    """What training changes: a policy, its value, and the state of their optimisers."""

    policy: StochasticPolicy
    value: Value
    policy_state: optax.OptState
    value_state: optax.OptState


class Along(NamedTuple):
    """The value at the states of rollouts and, 0 after an end, at the next ones; `[episode, time]` each."""

    here: Float[Array, "episode time"]
    after: Float[Array, "episode time"]


def _adam(settings: ImagineSettings) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(settings.clip), optax.scale_by_adam())


def new_policy(task: Task, key: PRNGKey) -> StochasticPolicy:
    """An untrained policy that sees states in units of the visited ones."""
    center, scale = _units(task.starts)
    settings = task.settings
    return initial_policy(
        task.world.spec,
        key,
        width=settings.width,
        depth=settings.depth,
        squash=settings.squash,
        center=center,
        scale=scale,
    )


def new_learner(task: Task, policy: StochasticPolicy, key: PRNGKey) -> Learner:
    """`policy` beside an untrained value whose units are that policy's returns."""
    for_value, for_returns = jax.random.split(key)
    first = task.starts.visited[:UNIT_ROLLOUTS]
    episodes = unroll(task.guarded, policy, first, jax.random.split(for_returns, len(first)), task.horizon)
    to_go = returns_to_go(episodes.reward, task.world.discount)
    settings = task.settings
    center, scale = (jnp.append(a, b) for a, b in zip(_units(task.starts), (0.5, 0.3), strict=True))
    network = MLP(len(center), 1, settings.width, settings.depth, for_value, center=center, scale=scale, last=0.01)
    value = Value(network, jnp.mean(to_go), jnp.maximum(jnp.std(to_go), 1e-3))
    trained: tuple[Any, Any] = eqx.filter((policy, network), eqx.is_inexact_array)
    return Learner(policy, value, _adam(settings).init(trained[0]), _adam(settings).init(trained[1]))


def _units(starts: Starts) -> tuple[Array, Array]:
    """Mean and standard deviation of visited states; a component that does not vary keeps its unit."""
    center, scale = jnp.mean(starts.visited, axis=0), jnp.std(starts.visited, axis=0)
    return center, jnp.where(scale > 1e-6, scale, 1.0)


def gradient_step(
    learner: Learner, task: Task, key: PRNGKey, rate: Scalar, lanes: Int[Array, " episode"]
) -> tuple[Learner, Scalar]:
    """One step of policy and value on this device's rollouts, numbered `lanes`; gradients are summed over devices.

    Returns the learner and the share of imagined steps that reached the edge of the world's domain.
    """
    world, settings = task.guarded, task.settings
    keys = jax.vmap(lambda lane: jax.random.fold_in(key, lane))(lanes)
    episodes = unroll(world, learner.policy, _draw_starts(task.starts, keys, settings.visited), keys, task.horizon)
    along = _along(learner.value, episodes, task)
    to_go = lambda_returns(episodes.reward, along.after, world.discount, settings.trace, along.after[:, -1])
    advantage = without_baseline(to_go, settings.baseline, along.here)
    policy, policy_state = _step_policy(learner, episodes, advantage, task, rate)
    value, value_state = _step_value(learner, episodes, to_go, task, rate)
    edge = jnp.zeros(()) if world.domain is None else _mean_alive(world.domain.at_edge(episodes.next_state), episodes)
    return Learner(policy, value, policy_state, value_state), edge


def _draw_starts(starts: Starts, keys: Array, share: float) -> Float[Array, "episode state"]:
    def draw(key: Array) -> Array:
        choice, first, second = jax.random.split(jax.random.fold_in(key, 1), 3)
        initial = starts.initial[jax.random.randint(first, (), 0, len(starts.initial))]
        visited = starts.visited[jax.random.randint(second, (), 0, len(starts.visited))]
        return jnp.where(jax.random.bernoulli(choice, share), visited, initial)

    return jax.vmap(draw)(keys)


def _along(value: Value, episodes: Trajectory, task: Task) -> Along:
    states = jnp.concatenate([episodes.state, episodes.next_state[:, -1:]], axis=1)
    found = jax.vmap(jax.vmap(value), (0, None))(states, task.progress)
    after = jnp.where(episodes.alive & ~episodes.terminated, found[:, 1:], 0)
    return Along(found[:, :-1], after if task.bootstrap else after.at[:, -1].set(0))


def _mean_alive(values: Array, episodes: Trajectory) -> Scalar:
    """Mean over the steps taken on all devices."""
    total, count = jax.lax.psum((jnp.sum(jnp.where(episodes.alive, values, 0)), jnp.sum(episodes.alive)), AXIS)
    return total / count


def _step_policy(
    learner: Learner,
    episodes: Trajectory,
    advantage: Float[Array, "episode time"],
    task: Task,
    rate: Scalar,
) -> tuple[StochasticPolicy, optax.OptState]:
    """A step up `Σ c_t A_t log π(a_t|s_t) / unit + entropy bonus`, per step taken; `unit` is the size of `A`."""
    settings = task.settings
    unit = jnp.sqrt(_mean_alive(advantage**2, episodes)) + 1e-8
    weight = time_weights(settings.weighting, task.world.discount, task.horizon)
    taken = jax.lax.psum(jnp.sum(episodes.alive), AXIS)

    def loss(policy: StochasticPolicy) -> Scalar:
        entropy = jnp.sum(jnp.where(episodes.alive, jax.vmap(jax.vmap(policy.entropy))(episodes.state), 0))
        return -(surrogate(policy, episodes, advantage / unit, weight) + settings.entropy * entropy) / taken

    gradient = jax.lax.psum(eqx.filter_grad(loss)(learner.policy), AXIS)
    update, state = _adam(settings).update(gradient, learner.policy_state)
    return _descend(learner.policy, update, rate), state


def _descend(tree: Any, update: Any, rate: Scalar) -> Any:
    return eqx.apply_updates(tree, jax.tree.map(lambda u: -rate * u, update))


def _step_value(
    learner: Learner,
    episodes: Trajectory,
    to_go: Float[Array, "episode time"],
    task: Task,
    rate: Scalar,
) -> tuple[Value, optax.OptState]:
    """Regression of the value on returns-to-go, an interleaved share of the time steps at a time."""
    center, scale = learner.value.center, learner.value.scale
    parts = task.settings.value_steps

    def loss(network: MLP, times: Array) -> Scalar:
        value = Value(network, center, scale)
        state, target, progress = episodes.state[:, times], to_go[:, times], task.progress[times]
        counts = episodes.alive[:, times] & (jnp.arange(len(times)) * parts + times[0] < task.horizon)
        off = jnp.where(counts, (jax.vmap(jax.vmap(value), (0, None))(state, progress) - target) / scale, 0)
        return jnp.sum(off**2) / jnp.maximum(jax.lax.psum(jnp.sum(counts), AXIS), 1)

    def step(carry: tuple[MLP, optax.OptState], first: Array) -> tuple[tuple[MLP, optax.OptState], None]:
        network, state = carry
        times = jnp.minimum(first + parts * jnp.arange(-(-task.horizon // parts)), task.horizon - 1)
        gradient = jax.lax.psum(eqx.filter_grad(loss)(network, times), AXIS)
        update, state = _adam(task.settings).update(gradient, state)
        return (_descend(network, update, rate), state), None

    firsts = jnp.arange(min(parts, task.horizon))
    network, state = jax.lax.scan(step, (learner.value.network, learner.value_state), firsts)[0]
    return Value(network, center, scale), state
