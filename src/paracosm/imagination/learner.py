"""One gradient step: imagined rollouts, REINFORCE for the policy, regression for the value."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS
from paracosm.core.networks import MLP
from paracosm.core.policy import StochasticPolicy, initial_policy
from paracosm.core.rollout import returns_to_go, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.debias import Count, pick
from paracosm.imagination.lesson import (
    Learner,
    Lesson,
    Starts,
    Task,
    lesson,
    mean_alive,
    with_noise,
)
from paracosm.imagination.reinforce import Value, surrogate
from paracosm.imagination.settings import ImagineSettings

UNIT_ROLLOUTS = 64


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


def new_learner(task: Task, policy: StochasticPolicy, key: PRNGKey) -> tuple[Learner, Count | None]:
    """`policy` beside an untrained value whose units are that policy's returns, and the gold labels
    asked for them.
    """
    for_network, for_returns = jax.random.split(key)
    episodes = first_rollouts(task, policy, for_returns)
    asked = None
    if task.gold is not None:
        episodes = pick(task.gold, episodes, jnp.arange(UNIT_ROLLOUTS), UNIT_ROLLOUTS).episodes
        asked = jnp.sum(episodes.alive)
    to_go = returns_to_go(episodes.reward, task.world.discount)
    settings = task.settings
    center, scale = (jnp.append(a, b) for a, b in zip(_units(task.starts), (0.5, 0.3), strict=True))
    network = MLP(
        len(center),
        1,
        settings.width,
        settings.depth,
        for_network,
        center=center,
        scale=scale,
        last=0.01,
    )
    value = Value(network, jnp.mean(to_go), jnp.maximum(jnp.std(to_go), 1e-3))
    trained: tuple[Any, Any] = eqx.filter((policy, network), eqx.is_inexact_array)
    for_policy, for_value = (_adam(settings).init(each) for each in trained)
    return Learner(
        policy, value, for_policy, for_value, None if asked is None else jnp.zeros(4)
    ), asked


def first_rollouts(task: Task, policy: StochasticPolicy, key: PRNGKey) -> Trajectory:
    """The rollouts whose returns are the units of the value."""
    states = task.starts.visited[:UNIT_ROLLOUTS]
    return unroll(task.guarded, policy, states, jax.random.split(key, len(states)), task.horizon)


def play(
    task: Task, policy: StochasticPolicy, key: PRNGKey, lanes: Int[Array, " episode"]
) -> tuple[Trajectory, Array]:
    """A gradient step's rollouts, numbered `lanes`, without label noise; and the key of each."""
    keys = jax.vmap(lambda lane: jax.random.fold_in(key, lane))(lanes)
    states = _draw_starts(task.starts, keys, task.settings.visited)
    return unroll(task.guarded, policy, states, keys, task.horizon), keys


def _units(starts: Starts) -> tuple[Array, Array]:
    """Mean and standard deviation of visited states; a component that does not vary keeps
    its unit.
    """
    center, scale = jnp.mean(starts.visited, axis=0), jnp.std(starts.visited, axis=0)
    return center, jnp.where(scale > 1e-6, scale, 1.0)


def gradient_step(
    learner: Learner, task: Task, key: PRNGKey, rate: Scalar, lanes: Int[Array, " episode"]
) -> tuple[Learner, tuple[Scalar, Count | None]]:
    """One step of policy and value on this device's rollouts, numbered `lanes`; gradients are
    summed over devices.

    Returns the learner, the share of imagined steps that reached the edge of the world's domain,
    and the number of gold labels asked for.
    """
    world = task.guarded
    episodes, keys = play(task, learner.policy, key, lanes)
    if task.noise is not None:
        episodes = with_noise(task.noise, task.world, episodes, keys)
    found = lesson(learner, episodes, task, lanes)
    policy, policy_state = _step_policy(learner, episodes, found, task, rate)
    value, value_state = _step_value(learner, found.taught, found.to_go, task, rate)
    edge = (
        jnp.zeros(())
        if world.domain is None
        else mean_alive(world.domain.at_edge(episodes.next_state), episodes)
    )
    return Learner(policy, value, policy_state, value_state, found.agreement), (edge, found.asked)


def _draw_starts(starts: Starts, keys: Array, share: float) -> Float[Array, "episode state"]:
    def draw(key: Array) -> Array:
        choice, first, second = jax.random.split(jax.random.fold_in(key, 1), 3)
        initial = starts.initial[jax.random.randint(first, (), 0, len(starts.initial))]
        visited = starts.visited[jax.random.randint(second, (), 0, len(starts.visited))]
        return jnp.where(jax.random.bernoulli(choice, share), visited, initial)

    return jax.vmap(draw)(keys)


def _step_policy(
    learner: Learner,
    episodes: Trajectory,
    found: Lesson,
    task: Task,
    rate: Scalar,
) -> tuple[StochasticPolicy, optax.OptState]:
    """A step up `Σ c_t A_t log π(a_t|s_t) / unit + entropy bonus`, per step taken; `unit` is the
    size of `A`.
    """
    settings = task.settings
    weight = task.weight
    taken = jax.lax.psum(jnp.sum(episodes.alive), AXIS)

    def loss(policy: StochasticPolicy) -> Scalar:
        entropy = jnp.sum(
            jnp.where(episodes.alive, jax.vmap(jax.vmap(policy.entropy))(episodes.state), 0)
        )
        return (
            -(
                surrogate(policy, episodes, found.advantage / found.unit, weight)
                + settings.entropy * entropy
            )
            / taken
        )

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
    """Regression of the value on returns-to-go, an interleaved share of the time steps at a
    time.
    """
    center, scale = learner.value.center, learner.value.scale
    parts = task.settings.value_steps

    def loss(network: MLP, times: Array) -> Scalar:
        value = Value(network, center, scale)
        state, target, progress = episodes.state[:, times], to_go[:, times], task.progress[times]
        counts = episodes.alive[:, times] & (
            jnp.arange(len(times)) * parts + times[0] < task.horizon
        )
        off = jnp.where(
            counts, (jax.vmap(jax.vmap(value), (0, None))(state, progress) - target) / scale, 0
        )
        return jnp.sum(off**2) / jnp.maximum(jax.lax.psum(jnp.sum(counts), AXIS), 1)

    def step(
        carry: tuple[MLP, optax.OptState], first: Array
    ) -> tuple[tuple[MLP, optax.OptState], None]:
        network, state = carry
        times = jnp.minimum(first + parts * jnp.arange(-(-task.horizon // parts)), task.horizon - 1)
        gradient = jax.lax.psum(eqx.filter_grad(loss)(network, times), AXIS)
        update, state = _adam(task.settings).update(gradient, state)
        return (_descend(network, update, rate), state), None

    firsts = jnp.arange(min(parts, task.horizon))
    network, state = jax.lax.scan(step, (learner.value.network, learner.value_state), firsts)[0]
    return Value(network, center, scale), state
