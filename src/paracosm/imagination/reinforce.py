"""REINFORCE on imagined rollouts (Williams 1992); a learned value completes their returns.

The policy climbs `Σ_t c_t A_t log π(a_t|s_t) + entropy bonus`. With the value `v`, the targets are
the λ-returns

    G_t = r_t + γ ((1-λ) v(s_{t+1}) + λ G_{t+1})

and the advantage is `A_t = G_t - b_t`. The baseline `b_t` is the value, the mean of the other
rollouts' `G_t`, or nothing; `c_t` is `γ^t` or 1. The value learns the targets by regression. The
kernels are in `policy_gradient` and `value`, true labels in `gradient_estimators`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from paracosm.core.data import Trajectory
from paracosm.core.devices import AXIS, on_all, step_on_all
from paracosm.core.learner import ExplainingLearner, Metrics, Problem
from paracosm.core.mdp import MDP
from paracosm.core.networks import MLP
from paracosm.core.noise import LabelNoise
from paracosm.core.policy import Mode, StochasticPolicy, initial_policy
from paracosm.core.predicted import Bootstrapped
from paracosm.core.rollout import lambda_returns, returns_to_go, unroll
from paracosm.core.types import Array, PRNGKey, Scalar
from paracosm.imagination import failure
from paracosm.imagination.arguments import check_action_form, check_density_form
from paracosm.imagination.descent import clipped_adam, descend
from paracosm.imagination.gradient_estimators import (
    GradientEstimator,
    Plain,
    Rollouts,
    TrainingSignal,
    mean_alive,
)
from paracosm.imagination.policy_gradient import advantages, surrogate, time_weights
from paracosm.imagination.settings import ImagineSettings
from paracosm.imagination.value import Value, elapsed_shares, values_at_states

UNIT_ROLLOUTS = 64  # enough for a mean and a spread of returns within some 10%
_LEAST_SPREAD = 1e-3  # of returns, in units of reward: below it they are taken not to vary


class ReinforceState(NamedTuple):
    """What training changes: a policy, its value, the state of their optimisers and that of the
    gradient estimator.

    `unreported` is what `init` spent, which the first step's metrics add to their own.
    """

    policy: StochasticPolicy
    value: Value
    policy_optimiser: optax.OptState
    value_optimiser: optax.OptState
    estimator: Any
    unreported: Metrics


class _InitKeys(NamedTuple):
    """Randomness of a first state: of the policy, of the value's network, and of the rollouts whose
    returns are the value's units.
    """

    policy: PRNGKey
    network: PRNGKey
    rollouts: PRNGKey

    @classmethod
    def split(cls, key: PRNGKey) -> _InitKeys:
        """The keys that are made of the one that `init` gets."""
        policy, for_value = jax.random.split(key)
        network, rollouts = jax.random.split(for_value)
        return cls(policy=policy, network=network, rollouts=rollouts)


class REINFORCE(ExplainingLearner):
    """Score-function policy gradients of imagined rollouts. It is final: `imagine` takes what it
    predicts from its value, and a learner of one's own has another class.

    Attributes:
        settings: Rollouts, weighting, baseline, λ, networks and optimisers; the training loop's
            are left to it.
        estimator: From returns to advantages: `Plain`, or `Debiased` with gold labels.
        noise: Put on the world's rewards in every step, but not on the price of caution.
        first_policy: Where training starts; an untrained policy if none.
    """

    settings: ImagineSettings = eqx.field(static=True, default_factory=ImagineSettings)
    estimator: GradientEstimator = dataclasses.field(default_factory=Plain)
    noise: LabelNoise | None = None
    first_policy: StochasticPolicy | None = None

    def init(self, problem: Problem, key: PRNGKey) -> ReinforceState:
        """A policy beside an untrained value in units of that policy's returns."""
        keys = _InitKeys.split(key)
        policy = self._new_policy(problem, keys.policy)
        check_action_form(problem.world, policy)
        check_density_form(problem.world, policy)
        self.estimator.check(problem)
        rollouts = self.first_rollouts(policy, problem, keys.rollouts)
        episodes, estimator, labels = self.estimator.init(rollouts)
        to_go = returns_to_go(episodes.reward, problem.world.discount)
        network = self._new_network(problem, keys.network)
        spread_of_returns = jnp.maximum(jnp.std(to_go), _LEAST_SPREAD)
        policy_parameters, value_parameters = eqx.filter((policy, network), eqx.is_inexact_array)
        state = ReinforceState(
            policy=policy,
            value=Value(network, center=jnp.mean(to_go), scale=spread_of_returns),
            policy_optimiser=self._adam.init(policy_parameters),
            value_optimiser=self._adam.init(value_parameters),
            estimator=estimator,
            unreported=_count_spent(labels, UNIT_ROLLOUTS * problem.horizon),
        )
        return on_all(state, self.settings.rollouts)

    def step(
        self, state: ReinforceState, problem: Problem, key: PRNGKey
    ) -> tuple[ReinforceState, Metrics]:
        """One step of policy and value, its rollouts spread over the host's devices."""

        def on_device(state: Any, shared: tuple[Any, ...], numbers: Array) -> tuple[Any, Metrics]:
            learner, problem, key = shared
            return learner._step_on_device(state, problem, key, numbers)

        return step_on_all(on_device, state, (self, problem, key), self.settings.rollouts)

    def _step_on_device(
        self, state: ReinforceState, problem: Problem, key: PRNGKey, numbers: Int[Array, " episode"]
    ) -> tuple[ReinforceState, Metrics]:
        """The step on this device's rollouts, `numbers` of all; gradients are summed over devices.

        Args:
            state, problem, key: As for `step`.
            numbers: The numbers of this device's rollouts, `[episode]`.
        """
        rollouts = self.rollouts(state.policy, problem, key, numbers)
        signal, estimator, labels = self.training_signal(state, problem, rollouts)
        policy, policy_optimiser = self._step_policy(state, rollouts.episodes, signal, problem)
        value, value_optimiser = self._step_value(state, signal, problem)
        spent = _count_spent(labels, self.settings.rollouts * problem.horizon)
        metrics = {name: spent[name] + state.unreported[name] for name in spent}
        metrics["edge_share"] = _edge_share(problem.training_world, rollouts.episodes)
        new = ReinforceState(
            policy=policy,
            value=value,
            policy_optimiser=policy_optimiser,
            value_optimiser=value_optimiser,
            estimator=estimator,
            unreported=jax.tree.map(jnp.zeros_like, state.unreported),
        )
        return new, metrics

    def policy(self, state: ReinforceState) -> StochasticPolicy:
        return state.policy

    def predicted_return(
        self,
        state: ReinforceState,
        problem: Problem,
        start: Float[Array, "episode state"],
        key: PRNGKey,
    ) -> Float[Array, " episode"]:
        """`Σ_{t<h} γ^t r_t + γ^h v(s_h)` of rollouts as training takes them.

        Args:
            state, problem, start, key: As `Learner` has them.
        """
        predict = Bootstrapped(problem.training_world, problem.horizon, state.value)
        return predict(Mode(state.policy), start, key)

    # Rollouts, and what they teach.

    def first_rollouts(self, policy: StochasticPolicy, problem: Problem, key: PRNGKey) -> Rollouts:
        """The rollouts whose returns normalise the value: their mean and spread become
        `Value.center` and `Value.scale`.
        """
        states = problem.starts.visited[:UNIT_ROLLOUTS]
        keys = jax.random.split(key, len(states))
        episodes = unroll(problem.training_world, policy, states, keys, problem.horizon)
        return Rollouts(episodes, jnp.arange(UNIT_ROLLOUTS), UNIT_ROLLOUTS)

    def rollouts(
        self,
        policy: StochasticPolicy,
        problem: Problem,
        key: PRNGKey,
        numbers: Int[Array, " episode"],
    ) -> Rollouts:
        """A step's rollouts, those of the given numbers, with the labels that training sees.

        Args:
            policy: Who acts.
            problem: Where rollouts start, and in which world.
            key: Randomness of the step.
            numbers: Which rollouts, `[episode]`; each has its own randomness.
        """
        # A key that is split for the steps of a rollout must not draw anything else.
        start_keys, play_keys, label_keys = jax.vmap(
            lambda number: jax.random.split(jax.random.fold_in(key, number), 3), out_axes=1
        )(numbers)
        states = problem.starts.draw(start_keys, self.settings.visited)
        episodes = unroll(problem.training_world, policy, states, play_keys, problem.horizon)
        if self.noise is not None:
            episodes = with_noise(self.noise, problem.world, episodes, label_keys)
        return Rollouts(episodes, numbers, self.settings.rollouts)

    def time_weights(self, problem: Problem) -> Float[Array, " time"]:
        """The time weights `c_t` of the policy gradient."""
        return time_weights(self.settings.weighting, problem.world.discount, problem.horizon)

    def training_signal(
        self, state: ReinforceState, problem: Problem, rollouts: Rollouts
    ) -> tuple[TrainingSignal, Any, Array]:
        """`G_t` and `A_t` of this device's rollouts as the estimator has them, its state after
        them, and the gold labels bought.

        Sums over devices with `psum`; call it inside `step_on_all` or `map_over_devices`.
        """
        settings, discount = self.settings, problem.world.discount

        def credit(episodes: Trajectory, count: int) -> tuple[Array, Array]:
            values = values_at_states(state.value, episodes, problem.whole_episodes)
            lambda_, final = settings.trace, values.later[:, -1]
            targets = lambda_returns(episodes.reward, values.later, discount, lambda_, final)
            return targets, advantages(targets, settings.baseline, values.current, count)

        weight = self.time_weights(problem)
        return self.estimator.training_signal(
            state.estimator, rollouts, credit, state.policy, weight
        )

    # Gradient steps.

    @property
    def _adam(self) -> optax.GradientTransformation:
        return clipped_adam(self.settings.clip)

    def _step_policy(
        self, state: ReinforceState, episodes: Trajectory, signal: TrainingSignal, problem: Problem
    ) -> tuple[StochasticPolicy, optax.OptState]:
        """A step up `Σ c_t A_t log π(a_t|s_t) / unit + entropy bonus`, per step taken.

        Args:
            state: Policy and optimiser before the step.
            episodes: All rollouts of this device.
            signal: Their advantages, and `unit`, the size of these.
            problem: The problem that they are rollouts of.
        """
        weight = self.time_weights(problem)
        steps = jax.lax.psum(jnp.sum(episodes.alive), AXIS)

        def loss(policy: StochasticPolicy) -> Scalar:
            entropy = jnp.sum(
                jnp.where(episodes.alive, jax.vmap(jax.vmap(policy.entropy))(episodes.state), 0)
            )
            scaled = surrogate(policy, episodes, signal.advantage / signal.unit, weight)
            return -(scaled + self.settings.entropy * entropy) / steps

        gradient = eqx.filter_grad(loss)(state.policy)
        optimiser = state.policy_optimiser
        return descend(self._adam, state.policy, gradient, optimiser, problem.rate)

    def _step_value(
        self, state: ReinforceState, signal: TrainingSignal, problem: Problem
    ) -> tuple[Value, optax.OptState]:
        """Regression of the value on the targets, by interleaved shares of the time steps."""
        center, scale = state.value.center, state.value.scale
        parts, episodes = self.settings.value_steps, signal.episodes
        elapsed = elapsed_shares(problem.horizon, problem.whole_episodes)

        def loss(network: MLP, times: Array) -> Scalar:
            value = Value(network, center, scale)
            states, targets = episodes.state[:, times], signal.returns[:, times]
            counts = episodes.alive[:, times] & (
                jnp.arange(len(times)) * parts + times[0] < problem.horizon
            )
            values = jax.vmap(jax.vmap(value), (0, None))(states, elapsed[times])
            off = jnp.where(counts, (values - targets) / scale, 0)
            return jnp.sum(off**2) / jnp.maximum(jax.lax.psum(jnp.sum(counts), AXIS), 1)

        def step(
            carry: tuple[MLP, optax.OptState], first: Array
        ) -> tuple[tuple[MLP, optax.OptState], None]:
            network, optimiser = carry
            times = first + parts * jnp.arange(-(-problem.horizon // parts))
            times = jnp.minimum(times, problem.horizon - 1)
            gradient = eqx.filter_grad(loss)(network, times)
            return descend(self._adam, network, gradient, optimiser, problem.rate), None

        firsts = jnp.arange(min(parts, problem.horizon))
        start = (state.value.network, state.value_optimiser)
        network, optimiser = jax.lax.scan(step, start, firsts)[0]
        return Value(network, center, scale), optimiser

    # What is new at the start.

    def _new_policy(self, problem: Problem, key: PRNGKey) -> StochasticPolicy:
        """The policy to start from; an untrained one sees states in units of the visited ones."""
        if self.first_policy is not None:
            return self.first_policy
        center, scale = problem.starts.units()
        return initial_policy(
            problem.world.spec,
            key,
            width=self.settings.width,
            depth=self.settings.depth,
            squash=self.settings.squash,
            center=center,
            scale=scale,
        )

    def _new_network(self, problem: Problem, key: PRNGKey) -> MLP:
        """An untrained network of the value: of a state, and of the elapsed share of a rollout,
        which is uniform on [0, 1].
        """
        center, scale = (
            jnp.append(of_states, of_elapsed)
            for of_states, of_elapsed in zip(problem.starts.units(), (0.5, 0.3), strict=True)
        )
        width, depth = self.settings.width, self.settings.depth
        return MLP(len(center), 1, width, depth, key, center=center, scale=scale, last=0.01)

    # Which number was the first that is not finite.

    def explain_init(self, state: ReinforceState, problem: Problem, key: PRNGKey) -> NoReturn:
        """See `ExplainingLearner`.

        Args:
            state, problem, key: As for `init`, with the state that it gave.
        """
        first_rollouts = eqx.filter_jit(self.first_rollouts)
        rollouts = first_rollouts(state.policy, problem, _InitKeys.split(key).rollouts)
        failure.raise_units_not_finite(self.estimator, rollouts)

    def explain_step(
        self,
        before: ReinforceState,
        after: ReinforceState,
        problem: Problem,
        key: PRNGKey,
        name: str,
    ) -> None:
        """See `ExplainingLearner`.

        Args:
            before, after, problem, key, name: As for `ExplainingLearner`.
        """
        numbers = jnp.arange(self.settings.rollouts)

        def replay(learner: REINFORCE) -> Rollouts:
            return eqx.filter_jit(learner.rollouts)(before.policy, problem, key, numbers)

        rollouts = replay(dataclasses.replace(self, noise=None))
        noisy = None if self.noise is None else replay(self).episodes
        failure.require_finite_rollouts(self.estimator, rollouts, noisy, name)
        elapsed = elapsed_shares(problem.horizon, problem.whole_episodes)[:-1]
        failure.require_finite_credit(before.policy, before.value, rollouts.episodes, elapsed, name)
        parts = {
            "policy": (after.policy, after.policy_optimiser),
            "value": (after.value, after.value_optimiser),
        }
        failure.require_finite_parameters(parts, float(problem.rate), name)


def with_noise(noise: LabelNoise, world: MDP, episodes: Trajectory, keys: Array) -> Trajectory:
    """Episodes of the training world with noise on the rewards of `world`, the learned one; the
    price of caution stays.

    Args:
        noise: What is put on the rewards.
        world: The learned world, whose rewards get it.
        episodes: Rollouts, arrays `[episode, time, …]`.
        keys: Randomness of each rollout, `[episode]`; not the keys that it was played with.
    """

    def shift(state: Array, action: Array, next_state: Array, key: PRNGKey) -> Scalar:
        """What noise adds to the label of one step.

        Args:
            state, action, next_state: The step.
            key: Randomness of the step's label.
        """
        reward = world.reward(state, action, next_state)
        return noise.apply(reward, state, action, next_state, key) - reward

    by_step = jax.vmap(lambda key: jax.random.split(key, episodes.reward.shape[1]))(keys)
    columns = (episodes.state, episodes.action, episodes.next_state, by_step)
    shifts = jax.vmap(jax.vmap(shift))(*columns)
    reward = jnp.where(episodes.alive, episodes.reward + shifts, 0)
    return dataclasses.replace(episodes, reward=reward)


def _count_spent(labels: Array, imagined_steps: int) -> dict[str, Array]:
    """What rollouts cost, by the names that metrics have for it."""
    return {"labels": labels, "imagined_steps": jnp.asarray(imagined_steps)}


def _edge_share(world: MDP, episodes: Trajectory) -> Scalar:
    """Share of imagined steps that reached the edge of the world's domain."""
    if world.domain is None:
        return jnp.zeros(())
    return mean_alive(world.domain.at_edge(episodes.next_state), episodes)
