"""The two small worlds of E4 to E6, and REINFORCE gradients of their rollouts under labels that are
wrong.

`linear` is linear-quadratic under a linear Gaussian policy, so that every expected gradient has a
closed form. `tanh` has smooth random dynamics and reward, and the library's own Gaussian policy on
a small network.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box
from paracosm.core.networks import MLP
from paracosm.core.noise import GaussianNoise, LabelNoise
from paracosm.core.policy import Gaussian, StochasticPolicy
from paracosm.core.rollout import returns_to_go, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.policy_gradient import (
    Weighting,
    leave_one_out,
    surrogate,
    time_weights,
)
from paracosm.real.systems import Gain, Linear, Quadratic, linear_quadratic, lipschitz_synthetic

WORLDS = ("linear", "tanh")
HORIZON, DISCOUNT = 10, 0.9  # so short that millions of rollouts take seconds
_CHUNK = 4096  # rollouts side by side
_AT_ONCE = 8  # chunks of one call, so that one program serves any number of rollouts

GroupBaseline = Literal["none", "leave-one-out", "batch mean"]


class LinearGaussian(StochasticPolicy):
    """Actions `-Ks + exp(log_std) ε`, without bounds."""

    K: Float[Array, "action state"]
    log_std: Float[Array, " action"]

    def mode(self, state: Array) -> Array:
        return -self.K @ state

    def sample(self, state: Array, key: PRNGKey) -> Array:
        return self.mode(state) + jnp.exp(self.log_std) * jax.random.normal(key, self.log_std.shape)

    def log_prob(self, state: Array, action: Array) -> Scalar:
        z = (action - self.mode(state)) / jnp.exp(self.log_std)
        return jnp.sum(-0.5 * z**2 - self.log_std)

    def entropy(self, state: Array) -> Scalar:
        return jnp.sum(self.log_std + 0.5 * math.log(2 * math.pi * math.e))


class Cheap(LabelNoise):
    """Labels off by `shift(s, a, s')`, and by normal noise of standard deviation `sd`."""

    shift: Callable[[Array, Array, Array], Scalar]
    sd: float

    def apply(
        self, reward: Scalar, state: Array, action: Array, next_state: Array, key: PRNGKey
    ) -> Scalar:
        """A wrong label.

        Args:
            reward, state, action, next_state: The step.
            key: of the noise.
        """
        return reward + self.shift(state, action, next_state) + self.sd * jax.random.normal(key)

    def mean_shift(self, reward: Scalar, state: Array, action: Array, next_state: Array) -> Scalar:
        """How far labels are off on average.

        Args:
            reward, state, action, next_state: The step.
        """
        return self.shift(state, action, next_state)

    def variance(self, reward: Scalar, state: Array, action: Array, next_state: Array) -> Scalar:
        """Of the noise.

        Args:
            reward, state, action, next_state: The step.
        """
        return jnp.asarray(self.sd**2, float)


class Small(NamedTuple):
    """A world and the policy whose gradient is estimated in it."""

    world: MDP
    policy: StochasticPolicy


@functools.cache
def small(name: str) -> Small:
    """The world of this name: three states, two actions, ten steps, discount 0.9."""
    sizes: dict[str, Any] = {
        "state_size": 3,
        "action_size": 2,
        "discount": DISCOUNT,
        "horizon": HORIZON,
    }
    if name == "linear":
        # γ(‖A‖ + ‖B‖‖K‖) = 0.9: what a step does is still felt at the last.
        world, policy = linear_quadratic(jax.random.key(4), norms=(0.8, 0.5, 0.4), **sizes)
        assert isinstance(policy.function, Gain)
        return Small(world, LinearGaussian(policy.function.K, jnp.full(2, math.log(0.5))))
    world, _ = lipschitz_synthetic(jax.random.key(4), dynamics=0.9, **sizes)
    box = Box(-jnp.ones(2), jnp.ones(2))
    return Small(
        world, Gaussian(MLP(3, 2, 4, 1, jax.random.key(5)), jnp.full(2, math.log(0.5)), box, True)
    )


@functools.cache
def tilt(name: str) -> Callable[[Array, Array, Array], Scalar]:
    """What biased labels add to the reward, a function of state and action: in either world of the
    rewards' kind.
    """
    if name == "linear":
        return Quadratic(jnp.diag(jnp.array([-0.6, 0.2, 0.4])), 0.3 * jnp.eye(2), jnp.zeros(3))
    reward_part = lipschitz_synthetic(jax.random.key(6), state_size=3, action_size=2)[0].reward
    return lambda s, a, t: 0.5 * reward_part(s, a, t)


def expected(name: str, reward: object, weighting: Weighting = "discounted") -> np.ndarray:
    """The expected gradient `[parameters]` in the linear world if labels are `reward`, quadratic,
    in closed form.

    Of `J(θ_0, …, θ_{H-1})`, a parameter for each step, it is `Σ_t ∂J/∂θ_t` with the weight γ^t and
    `Σ_t γ^{-t} ∂J/∂θ_t` without. `J` follows from `E s sᵀ`, `I/3` at first.
    """
    world, policy = small(name)
    f = world.dynamics
    assert isinstance(f, Linear)
    assert isinstance(reward, Quadratic)
    assert isinstance(policy, LinearGaussian)

    def total(policies: LinearGaussian) -> Scalar:
        def step(second: Array, at: tuple[LinearGaussian, Array]) -> tuple[Array, Array]:
            step_policy, weight = at
            noise = jnp.diag(jnp.exp(2 * step_policy.log_std))
            actions = step_policy.K @ second @ step_policy.K.T + noise
            reward_mean = -jnp.trace(reward.Q @ second) - jnp.trace(reward.R @ actions)
            closed = f.A - f.B @ step_policy.K
            return closed @ second @ closed.T + f.B @ noise @ f.B.T, weight * reward_mean

        weights = time_weights("discounted", world.discount, HORIZON)
        return jnp.sum(jax.lax.scan(step, jnp.eye(3) / 3, (policies, weights))[1])

    stacked = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (HORIZON, *leaf.shape)), policy)
    by_step = jax.vmap(lambda step_policy: ravel_pytree(step_policy)[0])(jax.grad(total)(stacked))
    reweighting = time_weights(weighting, world.discount, HORIZON) / time_weights(
        "discounted", world.discount, HORIZON
    )
    return np.asarray(reweighting @ by_step, np.float64)


@functools.cache
def truth(name: str, rollouts: int = 2**20) -> tuple[np.ndarray, float]:
    """The expected gradient under true labels and its squared error, 0 for a closed form.

    Where there is none it is the mean of so many rollouts.
    """
    if name == "linear":
        return expected(name, small(name).world.reward), 0.0
    true, _ = gradients(name, GaussianNoise(0.0), 2**31 - 1, groups=rollouts // 64, size=64)
    return true.mean(axis=0), float(true.var(axis=0, ddof=1).sum() / len(true))


def gradients(
    name: str,
    noise: LabelNoise,
    seed: int,
    *,
    groups: int,
    size: int = 1,
    weighting: Weighting = "discounted",
    baseline: GroupBaseline = "none",
    shared: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """REINFORCE gradients `[groups, parameters]` of groups of rollouts, under true and under wrong
    labels.

    Args:
        name: the world.
        noise: what is wrong with a label.
        seed: of the rollouts and the labels.
        groups: how many gradients; rounded up to whole chunks of 4,096 rollouts, or to eights of
            these.
        size: rollouts behind each.
        weighting: time weighting of REINFORCE.
        baseline: of returns-to-go, over the group; `batch mean` is the one that includes the
            rollout itself.
        shared: whether all labels of a rollout have the same error.
    """
    chunks = -(-groups * size // _CHUNK)
    at_once = min(chunks, _AT_ONCE)
    estimator, key = _Estimator(weighting, baseline, shared, size), jax.random.key(seed)
    batches = [
        _gradients(small(name), noise, key, jnp.arange(first, first + at_once), estimator)
        for first in range(0, chunks, at_once)
    ]
    true, noisy = (np.concatenate(parts).astype(np.float64) for parts in zip(*batches, strict=True))
    return true, noisy


class _Estimator(NamedTuple):
    weighting: Weighting
    baseline: GroupBaseline
    shared: bool
    size: int


@eqx.filter_jit
def _gradients(
    system: Small, noise: LabelNoise, key: PRNGKey, numbers: Array, estimator: _Estimator
) -> tuple[Array, ...]:
    """Gradients under true and under wrong labels, `[groups, parameters]` each.

    Args:
        system: the world and the policy.
        noise: what is wrong with a label.
        key: of all chunks.
        numbers: of the chunks to be drawn, `[chunk]`.
        estimator: which gradient, of how many rollouts.
    """
    weight = time_weights(estimator.weighting, system.world.discount, HORIZON)

    def of_group(episodes: Trajectory, reward: Array) -> Array:
        to_go = returns_to_go(reward, system.world.discount)
        advantage = _less_baseline(to_go, estimator.baseline)
        gradients = eqx.filter_grad(surrogate)(system.policy, episodes, advantage, weight)
        return ravel_pytree(eqx.filter(gradients, eqx.is_inexact_array))[0] / estimator.size

    def chunk(number: Array) -> tuple[Array, Array]:
        keys = jax.random.split(jax.random.fold_in(key, number), _CHUNK)
        first = jax.vmap(lambda key: system.world.initial(jax.random.fold_in(key, HORIZON)))(keys)
        episodes = unroll(system.world, system.policy, first, keys, HORIZON)
        labels = jax.vmap(lambda episode, key: _labels(episode, noise, key, estimator.shared))(
            episodes, keys
        )
        episodes, labels = jax.tree.map(
            lambda leaf: leaf.reshape(-1, estimator.size, *leaf.shape[1:]), (episodes, labels)
        )
        return jax.vmap(of_group)(episodes, episodes.reward), jax.vmap(of_group)(episodes, labels)

    gradients = jax.lax.map(chunk, numbers)
    return tuple(values.reshape(-1, values.shape[-1]) for values in gradients)


def _less_baseline(
    to_go: Float[Array, "episode time"], baseline: GroupBaseline
) -> Float[Array, "episode time"]:
    if baseline == "leave-one-out":
        return to_go - leave_one_out(to_go, jnp.sum(to_go, axis=0), jnp.asarray(len(to_go)))
    return to_go if baseline == "none" else to_go - jnp.mean(to_go, axis=0)


def _labels(
    episode: Trajectory, noise: LabelNoise, key: PRNGKey, shared: bool
) -> Float[Array, " time"]:
    """Labels of one rollout.

    Args:
        episode: its arrays are `[time, …]`.
        noise: what is wrong with a label.
        key: of the rollout.
        shared: whether all labels have the same error.
    """
    key = jax.random.fold_in(key, HORIZON + 1)  # beyond those of the rollout's steps
    keys = jnp.broadcast_to(key, (HORIZON,)) if shared else jax.random.split(key, HORIZON)
    return jax.vmap(noise.apply)(
        episode.reward, episode.state, episode.action, episode.next_state, keys
    )
