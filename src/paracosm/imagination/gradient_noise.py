"""What noise in reward labels does to a policy gradient, measured on imagined rollouts.

One rollout's REINFORCE gradient is linear in its rewards: `g = Σ_t r_t v_t` with `v_t = γ v_{t-1} +
c_t w_t`, `w_t = ∇ log π(a_t|s_t)` and `c_t` the time weight. Independent errors of variance `σ_t²`
in the rewards therefore add exactly `E Σ_t σ_t² ‖v_t‖²` to the trace of its covariance, and one
error shared by the whole rollout adds `σ² E ‖Σ_t v_t‖²`. K independent rollouts divide everything
by K.

λ-returns, which training uses, are linear in the rewards too: `G_t = Σ_{k≥t} (γλ)^{k-t} (r_k + γ
(1-λ) V(s_{k+1}))`. So the same holds with `v_t = γ λ v_{t-1} + c_t w_t` and `r_k + γ (1-λ)
V(s_{k+1})` in place of the reward.
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
from paracosm.core.devices import map_over_devices
from paracosm.core.mdp import MDP
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import StochasticPolicy
from paracosm.core.records import Estimate
from paracosm.core.records.decisions import GradientNoise
from paracosm.core.rollout import returns_to_go, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination.policy_gradient import (
    BASELINES,
    WEIGHTINGS,
    Baseline,
    Weighting,
    leave_one_out,
    time_weights,
)
from paracosm.imagination.value import Value, values_at_states

_CHUNK = 64  # rollouts side by side: what bounds the memory, at four times the parameters each


class _NoiseSamples(NamedTuple):
    """What each rollout contributes, `[rollout]`.

    Attributes:
        intrinsic: To the gradient's variance without noise, `Var₁`.
        coefficient: To `Q`, `Σ_t ‖v_t‖²`.
        shared: To the form of `Q` for an error shared by the whole rollout, `‖Σ_t v_t‖²`.
        largest: The largest `‖w_t‖²`.
        added: The variance that labels add, `Σ_t σ_t² ‖v_t‖²`.
    """

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
    value: Value | None = None,
    baseline: Baseline = "value",
    trace: float = 1.0,
) -> GradientNoise:
    """Measure `Var₁`, the exact coefficient `Q`, its shared form and Theorem 2's bound on imagined
    rollouts.

    All are of one rollout's gradient with respect to all parameters of the policy, as
    `policy_gradient` computes it, in squared units of gradient (`intrinsic`) and of gradient over
    reward (the others). Intervals are over rollouts.

    Args:
        world: The world of the rollouts; its rewards are taken as free of noise.
        policy: The policy whose gradient it is.
        states: Rollouts start in one of these, chosen at random.
        key: Randomness.
        horizon: Steps of a rollout.
        weighting: Time weighting of REINFORCE.
        rollouts: How many rollouts; rounded up to whole chunks of 64.
        value: The learned value that training has: it completes the returns of rollouts shorter
            than an episode, and λ-returns at every step. As in training it knows the time if
            rollouts are whole episodes. None unless given: returns are then those of the rollout
            alone.
        baseline: What is subtracted from the returns: `value` if one is given, `leave-one-out` the
            mean of the chunk's other rollouts, or `none`. It changes `Var₁` and leaves the rest.
        trace: λ of the returns; 1 for plain ones.

    Raises:
        BadArgument: fewer than 2 rollouts, a horizon below 1, an unknown weighting or baseline, a
            trace outside [0, 1] or below 1 without a value.
        BadData: rewards or gradients that are not finite.
    """
    checks.one_of("baseline", baseline, BASELINES)
    checks.in_unit_interval("trace", trace)
    if value is None and trace < 1:
        raise checks.BadArgument(f"trace is {trace:g} and no value is given; λ-returns need one.")
    _check(horizon, weighting, rollouts, states)
    measurement = _NoiseMeasurement(
        world=world,
        policy=policy,
        value=value,
        noise=None,
        horizon=horizon,
        weighting=weighting,
        baseline=baseline,
        lambda_=trace,
    )
    samples = _measure(measurement, states, key, rollouts)
    bound = _bound(samples.largest, horizon, world.discount)
    intrinsic, coefficient, shared = map(
        estimators.mean, (samples.intrinsic, samples.coefficient, samples.shared)
    )
    return GradientNoise(
        intrinsic=intrinsic,
        coefficient=coefficient,
        shared=shared,
        bound=bound,
        weighting=weighting,
        horizon=horizon,
    )


def _bound(largest: Float[Array, " rollout"], horizon: int, discount: float) -> float:
    """Theorem 2's bound on `E Σ_t ‖v_t‖²`, with W the mean of each rollout's largest `‖w_t‖²`:
    `H W / (1 - γ)²`, or `H W H²` where that is less, as at γ = 1.

    Time weights and λ are at most 1, so `‖v_t‖ ≤ Σ_{k≤t} γ^k max‖w‖`, a sum that is neither above
    its limit `1 / (1 - γ)` nor above its number of terms, H at most.
    """
    reach = horizon if horizon * (1 - discount) <= 1 else 1 / (1 - discount)
    return horizon * float(np.mean(largest)) * reach**2


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
    """The variance that independent labels of `noise` add to one rollout's gradient: `E Σ_t σ²(r,
    s, a, s') ‖v_t‖²`.

    For noise of mean zero that is all it does; a mean shift moves the gradient besides.

    Args:
        noise: The noise of the labels.
        world, policy, states, key, horizon, weighting, rollouts: As for `gradient_noise`, which
            raises the same errors.
    """
    _check(horizon, weighting, rollouts, states)
    measurement = _NoiseMeasurement(
        world=world,
        policy=policy,
        value=None,
        noise=noise,
        horizon=horizon,
        weighting=weighting,
        baseline="none",
        lambda_=1.0,
    )
    return estimators.mean(_measure(measurement, states, key, rollouts).added)


def _check(
    horizon: int, weighting: str, rollouts: int, states: Float[Array, "starts state"]
) -> None:
    """Require what can be measured.

    Args:
        horizon, weighting, rollouts, states: As for `gradient_noise`.

    Raises:
        BadArgument: an unknown weighting, a horizon below 1, fewer than 2 rollouts, or no state to
            start from.
    """
    checks.one_of("weighting", weighting, WEIGHTINGS)
    checks.at_least("horizon", horizon, 1)
    checks.at_least("the number of rollouts for a variance", rollouts, 2)
    checks.at_least("the number of states to start from", len(states), 1)


class _NoiseMeasurement(eqx.Module):
    """The measurement of a chunk of rollouts, to be traced."""

    world: MDP
    policy: StochasticPolicy
    value: Value | None
    noise: LabelNoise | None
    horizon: int = eqx.field(static=True)
    weighting: Weighting = eqx.field(static=True)
    baseline: Baseline = eqx.field(static=True)
    lambda_: float = eqx.field(static=True)

    def __call__(self, states: Array, key: Array, numbers: Int[Array, " width"]) -> _NoiseSamples:
        start_keys, play_keys = jax.vmap(
            lambda number: jax.random.split(jax.random.fold_in(key, number)), out_axes=1
        )(numbers)
        first = jax.vmap(lambda key: jax.random.randint(key, (), 0, len(states)))(start_keys)
        episodes = unroll(self.world, self.policy, states[first], play_keys, self.horizon)
        gradient, coefficient, shared, largest, added = jax.vmap(self.measure_rollout)(
            episodes, *self.rewards(episodes)
        )
        off = gradient - jnp.mean(gradient, axis=0)  # its square has the mean (1 - 1/width) Var₁
        return _NoiseSamples(
            intrinsic=jnp.sum(off**2, axis=1) * len(off) / (len(off) - 1),
            coefficient=coefficient,
            shared=shared,
            largest=largest,
            added=added,
        )

    def rewards(self, episodes: Trajectory) -> tuple[Array, Array]:
        """What a return sums of each step, and the baseline there, both `[rollout, time]`."""
        current = later = jnp.zeros_like(episodes.reward)
        if self.value is not None:
            whole_episodes = self.horizon >= self.world.spec.horizon
            current, later = values_at_states(self.value, episodes, whole_episodes)
        paid = jnp.asarray(episodes.reward + self.world.discount * (1 - self.lambda_) * later)
        paid = paid.at[:, -1].add(self.world.discount * self.lambda_ * later[:, -1])
        if self.baseline == "leave-one-out":
            to_go = returns_to_go(paid, self.world.discount * self.lambda_)
            return paid, leave_one_out(to_go, jnp.sum(to_go, axis=0), jnp.asarray(len(to_go)))
        return paid, current if self.baseline == "value" else jnp.zeros_like(current)

    def measure_rollout(
        self, episode: Trajectory, paid: Array, baselines: Array
    ) -> tuple[Array, Scalar, Scalar, Scalar, Scalar]:
        """One rollout's gradient, `[parameters]`, and its `Σ‖v‖²`, `‖Σv‖²`, `max‖w‖²`, `Σσ²‖v‖²`.

        Args:
            episode: The rollout, `[time, …]`.
            paid, baselines: What `rewards` gives of it, `[time]`.
        """
        parameters, still = eqx.partition(self.policy, eqx.is_inexact_array)
        flat, back = ravel_pytree(parameters)

        def log_prob(flat: jax.Array, state: Array, action: Array) -> Scalar:
            return eqx.combine(back(flat), still).log_prob(state, action)

        def step(
            carry: tuple[Array, ...], columns: tuple[Trajectory, Array, Array, Array, Array]
        ) -> tuple[Any, None]:
            v, sum_of_v, gradient, coefficient, largest, added = carry
            row, weight, reward, baseline, variance = columns
            w = jnp.where(row.alive, jax.grad(log_prob)(flat, row.state, row.action), 0)
            v = jnp.where(row.alive, self.world.discount * self.lambda_ * v + weight * w, 0)
            square = jnp.sum(v**2)
            return (
                v,
                sum_of_v + v,
                gradient + reward * v - weight * baseline * w,
                coefficient + square,
                jnp.maximum(largest, jnp.sum(w**2)),
                added + variance * square,
            ), None

        weights = time_weights(self.weighting, self.world.discount, self.horizon)
        none, zero = jnp.zeros_like(flat), jnp.zeros(())
        columns = (episode, weights, paid, baselines, self.variance(episode))
        end = jax.lax.scan(step, (none, none, none, zero, zero, zero), columns)[0]
        _, sum_of_v, gradient, coefficient, largest, added = end
        return gradient, coefficient, jnp.sum(sum_of_v**2), largest, added

    def variance(self, episode: Trajectory) -> Float[Array, " time"]:
        """The variance of each step's label."""
        if self.noise is None:
            return jnp.zeros(self.horizon)
        return jax.vmap(self.noise.variance)(
            episode.reward, episode.state, episode.action, episode.next_state
        )


def _measure(
    measurement: _NoiseMeasurement, states: Array, key: PRNGKey, rollouts: int
) -> _NoiseSamples:
    """What at least `rollouts` rollouts contribute.

    Args:
        measurement: What is measured of a chunk of them.
        states: Where rollouts start, `[starts, state]`.
        key: Randomness.
        rollouts: How many rollouts; rounded up to whole chunks.
    """
    width = min(_CHUNK, rollouts)
    numbers = jnp.arange(-(-rollouts // width) * width).reshape(-1, width)
    samples = _measure_all_chunks(measurement, jnp.asarray(states), key, numbers)
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64).reshape(-1), samples)


@eqx.filter_jit
def _measure_all_chunks(
    measurement: _NoiseMeasurement, states: Array, key: PRNGKey, numbers: Int[Array, "chunk width"]
) -> _NoiseSamples:
    """What the rollouts of all chunks contribute, spread over the host's devices.

    Args:
        measurement, states, key: As for `_measure`.
        numbers: The numbers of the rollouts, by chunk.
    """

    def local(shared: tuple[_NoiseMeasurement, Array, Array], numbers: Array) -> _NoiseSamples:
        measurement, states, key = shared
        return jax.lax.map(lambda row: measurement(states, key, row), jnp.asarray(numbers))

    return map_over_devices(local, len(numbers), shared=1)((measurement, states, key), numbers)
