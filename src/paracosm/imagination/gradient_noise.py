"""What noise in reward labels does to a policy gradient, measured on imagined rollouts (theory, section 6).

One rollout's REINFORCE gradient is linear in its rewards: `g = Σ_t r_t v_t` with `v_t = γ v_{t-1} + c_t w_t`,
`w_t = ∇ log π(a_t|s_t)` and `c_t` the time weight. Independent errors of variance `σ_t²` in the rewards therefore add
exactly `E Σ_t σ_t² ‖v_t‖²` to the trace of its covariance, and one error shared by the whole rollout adds
`σ² E ‖Σ_t v_t‖²`. K independent rollouts divide everything by K.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Int

from paracosm.core import checks, estimators
from paracosm.core.data import Trajectory
from paracosm.core.decisions import GradientNoise
from paracosm.core.devices import spread
from paracosm.core.mdp import MDP
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import StochasticPolicy
from paracosm.core.records import Estimate
from paracosm.core.rollout import unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.reinforce import WEIGHTINGS, Value, Weighting, time_weights

_CHUNK = 64  # rollouts side by side: what bounds the memory, at four times the parameters each


class _Measured(NamedTuple):
    """Of every rollout, `[rollout]` each: variance, Q, shared form, largest score, and the variance labels add."""

    intrinsic: Array
    coefficient: Array
    shared: Array
    largest: Array
    added: Array


def gradient_noise(
    world: MDP,
    policy: StochasticPolicy,
    states: Float[Array, "starts state"],
    key: PRNGKey,
    *,
    horizon: int,
    weighting: Weighting = "discounted",
    rollouts: int = 2048,
    baseline: Value | None = None,
) -> GradientNoise:
    """Measure `Var₁`, the exact coefficient `Q`, its shared form and Theorem 2's bound on imagined rollouts.

    All are of one rollout's gradient with respect to all parameters of the policy, as `policy_gradient` computes it, in
    squared units of gradient (`intrinsic`) and of gradient over reward (the others). Intervals are over rollouts.

    Args:
        world: The world of the rollouts; its rewards are taken as free of noise.
        policy: Whose gradient.
        states: Rollouts start in one of these, chosen at random.
        key: Randomness.
        horizon: Steps of a rollout.
        weighting: Time weighting of REINFORCE.
        rollouts: How many; rounded up to whole chunks of 64.
        baseline: A value that is subtracted from the returns-to-go; it changes `Var₁` and leaves the rest. As in
            training it is told the time if rollouts are whole episodes; if they are shorter it also completes their
            returns. None unless given.

    Raises:
        BadArgument: fewer than 2 rollouts, a horizon below 1, an unknown weighting.
        BadData: rewards or gradients that are not finite.
    """
    found = _measure(_Chunk(world, policy, baseline, None, horizon, weighting), states, key, rollouts)
    bound = horizon * float(np.mean(found.largest)) / (1 - world.discount) ** 2
    intrinsic, coefficient, shared = map(estimators.mean, (found.intrinsic, found.coefficient, found.shared))
    return GradientNoise(intrinsic, coefficient, shared, bound, weighting, horizon)


def added_variance(
    noise: LabelNoise,
    world: MDP,
    policy: StochasticPolicy,
    states: Float[Array, "starts state"],
    key: PRNGKey,
    *,
    horizon: int,
    weighting: Weighting = "discounted",
    rollouts: int = 2048,
) -> Estimate:
    """The variance that independent labels of `noise` add to one rollout's gradient: `E Σ_t σ²(r, s, a, s') ‖v_t‖²`.

    For noise of mean zero that is all it does; a mean shift moves the gradient besides. Arguments and errors are those
    of `gradient_noise`.
    """
    found = _measure(_Chunk(world, policy, None, noise, horizon, weighting), states, key, rollouts)
    return estimators.mean(found.added)


class _Chunk(eqx.Module):
    """The measurement of a chunk of rollouts, to be traced."""

    world: MDP
    policy: StochasticPolicy
    baseline: Value | None
    noise: LabelNoise | None
    horizon: int = eqx.field(static=True)
    weighting: Weighting = eqx.field(static=True)

    def __call__(self, states: Array, key: Array, numbers: Int[Array, " width"]) -> _Measured:
        keys = jax.vmap(lambda number: jax.random.fold_in(key, number))(numbers)
        first = jax.vmap(lambda key: jax.random.randint(jax.random.fold_in(key, 1), (), 0, len(states)))(keys)
        episodes = unroll(self.world, self.policy, states[first], keys, self.horizon)
        gradient, *rest = jax.vmap(self.along)(episodes)
        off = gradient - jnp.mean(gradient, axis=0)  # its square has the mean (1 - 1/width) Var₁
        return _Measured(jnp.sum(off**2, axis=1) * len(off) / (len(off) - 1), *rest)

    def along(self, episode: Trajectory) -> tuple[Array, Scalar, Scalar, Scalar, Scalar]:
        """Of one rollout `[time, …]`: its gradient `[parameters]`, `Σ‖v‖²`, `‖Σv‖²`, `max‖w‖²`, `Σσ²‖v‖²`."""
        parameters, still = eqx.partition(self.policy, eqx.is_inexact_array)
        flat, back = ravel_pytree(parameters)

        def log_prob(flat: jax.Array, state: Array, action: Array) -> Scalar:
            return eqx.combine(back(flat), still).log_prob(state, action)

        def step(carry: tuple[Array, ...], now: tuple[Trajectory, Array, Array, Array]) -> tuple[Any, None]:
            v, total, gradient, coefficient, largest, added = carry
            row, weight, below, variance = now
            w = jnp.where(row.alive, jax.grad(log_prob)(flat, row.state, row.action), 0)
            v = jnp.where(row.alive, self.world.discount * v + weight * w, 0)
            gradient = gradient + row.reward * v - weight * below * w
            size = jnp.sum(v**2)
            largest = jnp.maximum(largest, jnp.sum(w**2))
            return (v, total + v, gradient, coefficient + size, largest, added + variance * size), None

        weights = time_weights(self.weighting, self.world.discount, self.horizon)
        none, zero = jnp.zeros_like(flat), jnp.zeros(())
        columns = (episode, weights, self.below(episode.state), self.variance(episode))
        end = jax.lax.scan(step, (none, none, none, zero, zero, zero), columns)[0]
        return end[2] + self.rest(episode) * end[0], end[3], jnp.sum(end[1] ** 2), end[4], end[5]

    def below(self, state: Float[Array, "time state"]) -> Float[Array, " time"]:
        """The baseline at each step."""
        if self.baseline is None:
            return jnp.zeros(self.horizon)
        over = jnp.arange(self.horizon) / self.horizon if self.whole else jnp.zeros(self.horizon)
        return jax.vmap(self.baseline)(state, over)

    @property
    def whole(self) -> bool:
        """Whether rollouts are whole episodes."""
        return self.horizon >= self.world.spec.horizon

    def rest(self, episode: Trajectory) -> Scalar:
        """What a rollout that the horizon cut off is worth from there on, as of its last step."""
        if self.baseline is None or self.whole:
            return jnp.zeros(())
        lives = episode.alive[-1] & ~episode.terminated[-1]
        return self.world.discount * jnp.where(lives, self.baseline(episode.next_state[-1], jnp.zeros(())), 0.0)

    def variance(self, episode: Trajectory) -> Float[Array, " time"]:
        """The variance of each step's label."""
        if self.noise is None:
            return jnp.zeros(self.horizon)
        return jax.vmap(self.noise.variance)(episode.reward, episode.state, episode.action, episode.next_state)


def _measure(chunk: _Chunk, states: Array, key: PRNGKey, rollouts: int) -> _Measured:
    checks.one_of("weighting", chunk.weighting, WEIGHTINGS)
    checks.at_least("horizon", chunk.horizon, 1)
    checks.at_least("the number of rollouts for a variance", rollouts, 2)
    checks.at_least("the number of states to start from", len(states), 1)
    width = min(_CHUNK, rollouts)
    numbers = jnp.arange(-(-rollouts // width) * width).reshape(-1, width)
    found = _program(chunk, jnp.asarray(states), key, numbers)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64).reshape(-1), found)


@eqx.filter_jit
def _program(chunk: _Chunk, states: Array, key: PRNGKey, numbers: Int[Array, "chunk width"]) -> _Measured:
    def local(chunk: _Chunk, states: Array, key: Array, numbers: Array) -> _Measured:
        return jax.lax.map(lambda some: chunk(states, key, some), jnp.asarray(numbers))

    return spread(local, len(numbers), shared=3)(chunk, states, key, numbers)
