"""The improvement loop: a policy trained by REINFORCE on imagined rollouts only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS, spread
from paracosm.core.keys import stage_key
from paracosm.core.mdp import MDP, Domain
from paracosm.core.networks import MLP
from paracosm.core.policy import Mode, StochasticPolicy, initial_policy
from paracosm.core.records import Training
from paracosm.core.rollout import lambda_returns, returns, returns_to_go, unroll
from paracosm.core.types import Action, Array, Flag, PRNGKey, Scalar, State
from paracosm.imagination.reinforce import Baseline, Value, Weighting, advantages, surrogate, time_weights


@dataclasses.dataclass(frozen=True)
class ImagineSettings:
    """How a policy is trained in imagination.

    Attributes:
        rollouts: Imagined rollouts a gradient step.
        horizon: Steps of a rollout; shorter than an episode, it ends in a bootstrapped value.
        visited: Share of rollouts that start in visited states, the rest in initial ones.
        weighting: Time weighting of REINFORCE, `plain` or `discounted` (theory, section 6).
        baseline: `value`, `leave-one-out` or `none`.
        trace: λ of the returns that the value baseline completes; 1 for plain returns.
        rates: Adam's learning rates, used one after the other, each until the imagined return stalls.
        entropy: Weight of the entropy bonus beside advantages of unit spread.
        clip: Largest global norm of the gradient per step taken.
        value_steps: Steps of the value's regression a gradient step.
        check: Gradient steps between two looks at the imagined return.
        patience: Looks without a better imagined return before training stops.
        most_steps: Gradient steps at the most.
        width, depth: Hidden layers of policy and value.
        squash: Gaussian policies are squashed by tanh, else clipped.
    """

    rollouts: int = 512
    horizon: int = 200
    visited: float = 0.5
    weighting: Weighting = "plain"
    baseline: Baseline = "value"
    trace: float = 0.95
    rates: tuple[float, ...] = (5e-3, 1.5e-3, 5e-4)
    entropy: float = 1e-3
    clip: float = 0.5
    value_steps: int = 4
    check: int = 10
    patience: int = 6
    most_steps: int = 600
    width: int = 64
    depth: int = 2
    squash: bool = False


class Imagined(NamedTuple):
    """The policy that imagination found, its value, the world it was trained in and how training went."""

    policy: StochasticPolicy
    value: Value
    trained_in: MDP
    training: Training


class _EndAtEdge(eqx.Module):
    """A termination rule that also ends where the data do."""

    rule: Callable
    domain: Domain

    def __call__(self, state: State, action: Action, next_state: State) -> Flag:
        return self.rule(state, action, next_state) | self.domain.at_edge(next_state)


class _PayAtEdge(eqx.Module):
    """A reward that adds, where the data end, the value of the worst reward for ever after."""

    reward: Callable
    domain: Domain
    worst: Scalar

    def __call__(self, state: State, action: Action, next_state: State) -> Scalar:
        return self.reward(state, action, next_state) + jnp.where(self.domain.at_edge(next_state), self.worst, 0.0)


def guarded(world: MDP, worst_reward: float) -> MDP:
    """`world`, except that a rollout that leaves its domain ends there as if it earned the worst reward for ever.

    A policy that is rewarded by imagination beyond the data exploits the model's mistakes; here it cannot gain
    by leaving (compare MOReL, Kidambi et al. 2020). `worst_reward` counts only if negative: ending is worth 0.
    """
    if world.domain is None:
        return world
    worst = jnp.asarray(world.discount * min(worst_reward, 0.0) / (1 - world.discount))
    return world.replace(
        reward=_PayAtEdge(world.reward, world.domain, worst), termination=_EndAtEdge(world.termination, world.domain)
    )


class _Learner(NamedTuple):
    policy: StochasticPolicy
    value: Value
    policy_state: optax.OptState
    value_state: optax.OptState


class _Starts(NamedTuple):
    initial: Float[Array, "starts state"]
    visited: Float[Array, "rows state"]


class _Look(NamedTuple):
    """One look at the training: returns of the mode from fixed initial states, entropy, share of steps at the edge."""

    score: Array
    imagined_return: Array
    entropy: Array
    edge_share: Array


def imagine(
    world: MDP,
    initial: Float[Array, "starts state"],
    visited: Float[Array, "rows state"],
    *,
    worst_reward: float = 0.0,
    seed: int = 0,
    round: int = 0,
    policy: StochasticPolicy | None = None,
    settings: ImagineSettings = ImagineSettings(),
    progress: Callable[[int, int, float], None] | None = None,
) -> Imagined:
    """Train a policy on imagined rollouts of `world` from real initial and visited states.

    Training stops when the imagined return of the policy's mode stops rising; the real environment is never
    asked. The policy returned is the one with the highest imagined return seen.

    Args:
        world: A learned (or any) MDP.
        initial, visited: Real states, `[n, state]`.
        worst_reward: Lowest reward label, the price of leaving the domain of the data (see `guarded`).
        seed, round: Randomness.
        policy: Where to start; a new policy if none.
        settings: See `ImagineSettings`.
        progress: Called with gradient steps done, at the most, and the imagined return.

    Raises:
        BadData: if the imagined return stops being finite.
    """
    key = stage_key(seed, "imagine", round)
    horizon = min(settings.horizon, world.spec.horizon)
    trained_in = guarded(world, worst_reward)
    starts = _Starts(jnp.asarray(initial), jnp.asarray(visited))
    learner = _start(world, trained_in, starts, policy, key, horizon, settings)
    best, best_score, stale, looks, rates = learner, -np.inf, 0, [], list(settings.rates)
    stop = f"{settings.most_steps} gradient steps, the most allowed"
    for number in range(settings.most_steps // settings.check):
        learner, look = _improve(
            learner, world, trained_in, starts, jax.random.fold_in(key, number), rates[0], horizon, settings
        )
        looks.append(_Look(*map(float, look)))
        if not np.isfinite(looks[-1].score):
            raise checks.BadData(
                f"the imagined return is {looks[-1].score} after {(number + 1) * settings.check} gradient steps;"
                " the learned world must give finite states and rewards."
            )
        if progress is not None:
            progress((number + 1) * settings.check, settings.most_steps, looks[-1].imagined_return)
        stale = 0 if looks[-1].score > best_score + _least_gain(looks) else stale + 1
        if looks[-1].score > best_score:
            best, best_score = learner, looks[-1].score
        if stale >= settings.patience:
            learner, stale = best, 0
            rates.pop(0)
        if not rates:
            stop = f"no better imagined return in {settings.patience * settings.check} gradient steps"
            break
    steps = tuple((i + 1) * settings.check for i in range(len(looks)))
    training = Training(
        steps,
        tuple(look.imagined_return for look in looks),
        tuple(look.entropy for look in looks),
        steps[-1] * settings.rollouts * horizon,
        looks[-1].edge_share,
        horizon,
        settings.weighting,
        settings.baseline,
        stop,
    )
    return Imagined(best.policy, best.value, trained_in, training)


def _least_gain(looks: list[_Look]) -> float:
    """A gain smaller than this is no progress: a hundredth of the range seen so far."""
    scores = [look.score for look in looks]
    return 0.01 * (max(scores) - min(scores))


def _adam(settings: ImagineSettings) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(settings.clip), optax.scale_by_adam())


@eqx.filter_jit
def _start(
    world: MDP,
    trained_in: MDP,
    starts: _Starts,
    policy: StochasticPolicy | None,
    key: PRNGKey,
    horizon: int,
    settings: ImagineSettings,
) -> _Learner:
    """An untrained value whose units are the returns of the first policy."""
    for_policy, for_value, for_returns = jax.random.split(jax.random.fold_in(key, 0xFFFF), 3)
    center, scale = jnp.mean(starts.visited, axis=0), jnp.std(starts.visited, axis=0)
    scale = jnp.where(scale > 1e-6, scale, 1.0)
    if policy is None:
        policy = initial_policy(
            world.spec,
            for_policy,
            width=settings.width,
            depth=settings.depth,
            squash=settings.squash,
            center=center,
            scale=scale,
        )
    episodes = unroll(
        trained_in, policy, starts.visited[:64], jax.random.split(for_returns, len(starts.visited[:64])), horizon
    )
    to_go = returns_to_go(episodes.reward, world.discount)
    network = MLP(
        world.spec.state_size + 1,
        1,
        settings.width,
        settings.depth,
        for_value,
        center=jnp.append(center, 0.5),
        scale=jnp.append(scale, 0.3),
        last=0.01,
    )
    value = Value(network, jnp.mean(to_go), jnp.maximum(jnp.std(to_go), 1e-3))
    adam = _adam(settings)
    trained = eqx.filter(policy, eqx.is_inexact_array), eqx.filter(value.network, eqx.is_inexact_array)
    return _Learner(policy, value, adam.init(trained[0]), adam.init(trained[1]))


@eqx.filter_jit
def _improve(
    learner: _Learner,
    world: MDP,
    trained_in: MDP,
    starts: _Starts,
    key: PRNGKey,
    rate: float,
    horizon: int,
    settings: ImagineSettings,
) -> tuple[_Learner, _Look]:
    """`settings.check` gradient steps and a look at where they led; one compiled program over all devices."""
    arrays, rest = eqx.partition(learner, eqx.is_array)

    def local(arrays: Any, world: MDP, trained_in: MDP, starts: _Starts, key: PRNGKey, rate: Array, lane: Array) -> Any:
        def step(arrays: Any, number: Array) -> tuple[Any, Array]:
            learner = eqx.combine(arrays, rest)
            learner, edge = _gradient_step(
                learner, trained_in, starts, jax.random.fold_in(key, number), rate, lane, horizon, settings
            )
            return eqx.filter(learner, eqx.is_array), edge

        arrays, edges = jax.lax.scan(step, arrays, jnp.arange(settings.check))
        return arrays, jnp.mean(edges)

    lanes = jnp.arange(settings.rollouts)
    arrays, edge_share = spread(local, settings.rollouts, shared=6, total=True)(
        arrays, world, trained_in, starts, key, jnp.asarray(rate), lanes
    )
    learner = eqx.combine(arrays, rest)
    fixed = starts.initial[:32]
    keys = jax.random.split(key, len(fixed))
    mode = Mode(learner.policy)
    horizon = world.spec.horizon
    score = jnp.mean(returns(unroll(trained_in, mode, fixed, keys, horizon).reward, 1.0))
    imagined = unroll(world, mode, fixed, keys, horizon)
    entropy = jnp.mean(jax.vmap(learner.policy.entropy)(fixed))
    return learner, _Look(score, jnp.mean(returns(imagined.reward, 1.0)), entropy, edge_share)


def _draw_starts(starts: _Starts, keys: Array, settings: ImagineSettings) -> Float[Array, "episode state"]:
    def draw(key: Array) -> Array:
        choice, first, second = jax.random.split(key, 3)
        initial = starts.initial[jax.random.randint(first, (), 0, len(starts.initial))]
        visited = starts.visited[jax.random.randint(second, (), 0, len(starts.visited))]
        return jnp.where(jax.random.bernoulli(choice, settings.visited), visited, initial)

    return jax.vmap(draw)(keys)


def _gradient_step(
    learner: _Learner,
    world: MDP,
    starts: _Starts,
    key: PRNGKey,
    rate: Array,
    lanes: Array,
    horizon: int,
    settings: ImagineSettings,
) -> tuple[_Learner, Array]:
    """One REINFORCE step and the value's regression on this device's rollouts, numbered `lanes`; sums over devices."""
    keys = jax.vmap(lambda lane: jax.random.fold_in(key, lane))(lanes)
    states = _draw_starts(starts, jax.vmap(lambda k: jax.random.fold_in(k, 1))(keys), settings)
    episodes = unroll(world, learner.policy, states, keys, horizon)
    last, alive = episodes.next_state[:, -1], episodes.alive[:, -1] & ~episodes.terminated[:, -1]
    final = jnp.zeros(len(last))
    if horizon < world.spec.horizon:
        final = jnp.where(alive, jax.vmap(learner.value, (0, None))(last, 0.0), 0.0)
    prog = jnp.arange(1, horizon) / horizon
    nv = jax.vmap(jax.vmap(learner.value), (0, None))(episodes.next_state[:, :-1], prog)
    nv = jnp.where((episodes.alive & ~episodes.terminated)[:, :-1], nv, 0)
    nv = jnp.concatenate([nv, final[:, None]], axis=1)
    to_go = lambda_returns(episodes.reward, nv, world.discount, settings.trace, final)
    advantage = advantages(to_go, episodes, settings.baseline, learner.value)
    policy, policy_state = _step_policy(learner, episodes, advantage, rate, world.discount, settings)
    value, value_state = _step_value(learner, episodes, to_go, rate, settings)
    edge = jnp.zeros(()) if world.domain is None else _mean_alive(world.domain.at_edge(episodes.next_state), episodes)
    return _Learner(policy, value, policy_state, value_state), edge


def _mean_alive(values: Float[Array, "episode time"] | Array, episodes: Trajectory) -> Scalar:
    """Mean over the steps taken on all devices."""
    total, count = jax.lax.psum((jnp.sum(jnp.where(episodes.alive, values, 0)), jnp.sum(episodes.alive)), AXIS)
    return total / count


def _step_policy(
    learner: _Learner, episodes: Trajectory, advantage: Array, rate: Array, discount: float, settings: ImagineSettings
) -> tuple[StochasticPolicy, optax.OptState]:
    unit = jnp.sqrt(_mean_alive(advantage**2, episodes)) + 1e-8
    weight = time_weights(settings.weighting, discount, advantage.shape[1])
    taken = jax.lax.psum(jnp.sum(episodes.alive), AXIS)

    def loss(policy: StochasticPolicy) -> Scalar:
        entropy = jnp.sum(jnp.where(episodes.alive, jax.vmap(jax.vmap(policy.entropy))(episodes.state), 0))
        return -(surrogate(policy, episodes, advantage / unit, weight) + settings.entropy * entropy) / taken

    gradient = jax.lax.psum(eqx.filter_grad(loss)(learner.policy), AXIS)
    update, state = _adam(settings).update(gradient, learner.policy_state)
    return _descend(learner.policy, update, rate), state


def _descend(tree: Any, update: Any, rate: Array) -> Any:
    return eqx.apply_updates(tree, jax.tree.map(lambda u: -rate * u, update))


def _step_value(
    learner: _Learner, episodes: Trajectory, to_go: Array, rate: Array, settings: ImagineSettings
) -> tuple[Value, optax.OptState]:
    """Regression of the value on returns-to-go, an interleaved share of the time steps at a time."""
    horizon = to_go.shape[1]
    progress = jnp.arange(horizon) / horizon
    center, scale = learner.value.center, learner.value.scale

    def loss(network: MLP, part: slice) -> Scalar:
        value = Value(network, center, scale)
        found = jax.vmap(jax.vmap(value), (0, None))(episodes.state[:, part], progress[part])
        off = jnp.where(episodes.alive[:, part], (found - to_go[:, part]) / scale, 0)
        return jnp.sum(off**2) / jax.lax.psum(jnp.sum(episodes.alive[:, part]), AXIS)

    network, state = learner.value.network, learner.value_state
    for first in range(settings.value_steps):
        part = slice(first, None, settings.value_steps)
        gradient = jax.lax.psum(eqx.filter_grad(loss)(network, part), AXIS)
        update, state = _adam(settings).update(gradient, state)
        network = _descend(network, update, rate)
    return Value(network, center, scale), state
