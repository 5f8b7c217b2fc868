"""Noise and bias of reward labels in a policy gradient: theory, section 6, against enumeration and
simulation.
"""

import dataclasses
import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy import stats

from paracosm.core import checks
from paracosm.core.devices import map_over_devices
from paracosm.core.learner import Problem, StartStates
from paracosm.core.noise import (
    Bias,
    Flips,
    GaussianNoise,
    HeavyTailedNoise,
    LocalNoise,
    ProportionalNoise,
)
from paracosm.core.rollout import returns_to_go, unroll
from paracosm.imagination.gradient_estimators import Rollouts
from paracosm.imagination.gradient_noise import added_variance, gradient_noise
from paracosm.imagination.policy_gradient import leave_one_out, surrogate, time_weights
from paracosm.imagination.reinforce import REINFORCE, ReinforceState
from paracosm.imagination.settings import ImagineSettings
from tests.imagination import chain
from tests.imagination.test_policy_gradient import VALUE, flat
from tests.statistical import FALSE_ALARM, assert_mean

H, GAMMA = chain.HORIZON, chain.DISCOUNT
STARTS = chain.START[None]
WEIGHTINGS = ["discounted", "plain"]
SMALL, ISSUE = 40_000, 1_000_000
SD = 1.5


def local_sd(s, a, t):
    return 0.5 + jnp.argmax(s) + 0.7 * a


def local_shift(s, a, t):
    return 0.8 * jnp.argmax(s) - 0.6 * a


NOISES = {
    "Gaussian": GaussianNoise(SD),
    "heavy-tailed": HeavyTailedNoise(SD, 8.0),
    "proportional": ProportionalNoise(0.3, 1.2),
    "local": LocalNoise(local_sd),
}
FEW = [
    ("Gaussian", "discounted"),
    ("heavy-tailed", "plain"),
    ("proportional", "discounted"),
    ("local", "plain"),
]


# By enumeration: every path, its probability, and its v.


class Exact(NamedTuple):
    """Of every path `[path, …]`: probability, and `v` `[path, time, parameters]`, 0 where the
    episode is over.
    """

    probability: np.ndarray
    v: np.ndarray
    gradient: np.ndarray
    largest: np.ndarray

    def mean(self, values) -> float:
        return float(self.probability @ values)


@functools.cache
def exact(weighting: str) -> Exact:
    paths = chain.every_path()
    probability = paths.chance * np.exp(
        np.asarray(chain.log_probs(chain.POLICY, paths), float).sum(axis=1)
    )
    score = _scores()[paths.state, paths.action]
    w = score * paths.alive[..., None]
    c = GAMMA ** np.arange(H) if weighting == "discounted" else np.ones(H)
    v = np.stack(
        [sum(GAMMA ** (k - t) * c[t] * w[:, t] for t in range(k + 1)) for k in range(H)], axis=1
    )
    v *= paths.alive[..., None]
    return Exact(
        probability, v, np.einsum("pt,ptd->pd", paths.reward, v), (w**2).sum(axis=2).max(axis=1)
    )


def _scores() -> np.ndarray:
    """`∇ log π(a|s)`, `[state, action, parameters]`."""
    score = eqx.filter_grad(lambda policy, s, a: policy.log_prob(s, a))
    states = np.repeat(np.eye(chain.STATES, dtype=np.float32), chain.ACTIONS, axis=0)
    scores = jax.vmap(score, (None, 0, 0))(
        chain.POLICY, states, np.tile(np.arange(chain.ACTIONS), chain.STATES)
    )
    rows = [
        leaf.reshape(len(states), -1)
        for leaf in jax.tree.leaves(eqx.filter(scores, eqx.is_inexact_array))
    ]
    return np.concatenate(rows, axis=1).reshape(chain.STATES, chain.ACTIONS, -1)


def exact_variance(truth: Exact) -> float:
    return truth.mean((truth.gradient**2).sum(axis=1)) - float(
        ((truth.probability @ truth.gradient) ** 2).sum()
    )


def exact_added(truth: Exact, noise) -> float:
    """`E Σ σ²(r, s, a) ‖v‖²`."""
    paths = chain.every_path()
    one_hot = jnp.eye(chain.STATES)[paths.state]
    variance = jax.vmap(jax.vmap(lambda r, s, a: noise.variance(r, s, a, s)))(
        paths.reward, one_hot, paths.action
    )
    return truth.mean((np.asarray(variance, float) * (truth.v**2).sum(axis=2)).sum(axis=1))


def assert_estimate(estimate, expected: float) -> None:
    error = (estimate.high - estimate.low) / 2 / stats.t.ppf(0.975, estimate.n - 1)
    assert abs(estimate.mean - expected) <= stats.norm.isf(FALSE_ALARM / 2) * error + 1e-6


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_every_number_is_the_enumerated_one(weighting):
    noise = gradient_noise(
        chain.CHAIN,
        chain.POLICY,
        STARTS,
        jax.random.key(1),
        horizon=H,
        weighting=weighting,
        rollouts=20_000,
    )
    truth = exact(weighting)
    assert_estimate(noise.intrinsic, exact_variance(truth))
    assert_estimate(noise.coefficient, truth.mean((truth.v**2).sum(axis=(1, 2))))
    assert_estimate(noise.shared, truth.mean((truth.v.sum(axis=1) ** 2).sum(axis=1)))
    np.testing.assert_allclose(
        noise.bound, H * truth.mean(truth.largest) / (1 - GAMMA) ** 2, rtol=0.02
    )
    assert noise.coefficient.high < noise.bound
    assert (noise.weighting, noise.horizon) == (weighting, H)
    assert noise.intrinsic.n == noise.coefficient.n == 20_032  # whole chunks of 64


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("discount", [0.3, 0.9, 1.0])
def test_the_bound_is_above_the_coefficient_at_any_discount(discount, weighting):
    world = chain.CHAIN.replace(discount=discount)
    choices = {"horizon": H, "weighting": weighting, "rollouts": 4096}
    noise = gradient_noise(world, chain.POLICY, STARTS, jax.random.key(1), **choices)
    assert noise.coefficient.high < noise.bound
    assert noise.bound <= H**3 * exact(weighting).largest.max()


@pytest.mark.parametrize(("name", "weighting"), FEW)
def test_the_variance_a_model_adds_is_the_enumerated_one(name, weighting):
    estimate = added_variance(
        NOISES[name],
        chain.CHAIN,
        chain.POLICY,
        STARTS,
        jax.random.key(2),
        horizon=H,
        weighting=weighting,
    )
    assert_estimate(estimate, exact_added(exact(weighting), NOISES[name]))


def test_a_value_lowers_the_variance_and_leaves_the_rest():
    choices = {"horizon": H, "rollouts": 8192}
    key = jax.random.key(3)
    without = gradient_noise(chain.CHAIN, chain.POLICY, STARTS, key, **choices)
    known = chain.CHAIN.replace(
        reward=lambda s, a, t: jnp.ones(()), termination=lambda s, a, t: jnp.zeros((), bool)
    )

    class Known(type(VALUE)):
        def __call__(self, state, elapsed):
            return (1 - GAMMA ** (H * (1 - elapsed))) / (1 - GAMMA)

    value = Known(VALUE.network, VALUE.center, VALUE.scale)
    nothing_left = gradient_noise(known, chain.POLICY, STARTS, key, value=value, **choices)
    assert nothing_left.intrinsic.mean < 1e-9
    longer = known.replace(spec=dataclasses.replace(known.spec, horizon=H + 1))

    class Endless(type(VALUE)):
        def __call__(self, state, elapsed):
            return (
                1 / (1 - GAMMA) + elapsed
            )  # told no time, it completes the returns of rollouts that are cut off

    value = Endless(VALUE.network, VALUE.center, VALUE.scale)
    assert (
        gradient_noise(longer, chain.POLICY, STARTS, key, value=value, **choices).intrinsic.mean
        < 1e-9
    )
    with_value = gradient_noise(chain.CHAIN, chain.POLICY, STARTS, key, value=VALUE, **choices)
    assert (with_value.coefficient, with_value.shared, with_value.bound) == (
        without.coefficient,
        without.shared,
        without.bound,
    )
    assert with_value.intrinsic != without.intrinsic


# Training's own gradient, as its gradient step takes it: λ-returns that a value completes, less a
# baseline.


TRAINED = [
    ("value", 0.8, False), ("none", 0.95, True), ("leave-one-out", 0.9, True),
    ("value", 0.95, True), ("value", 1.0, True),
]  # fmt: skip


def trained(
    baseline: str, trace: float, cut: bool, rollouts: int, batches: int
) -> tuple[Problem, np.ndarray]:
    """What is trained for and its policy gradients `[batch, parameters]`, of `rollouts` each."""
    spec = dataclasses.replace(chain.CHAIN.spec, horizon=H + cut)
    world = chain.CHAIN.replace(spec=spec)
    settings = ImagineSettings(
        rollouts=rollouts, horizon=H, baseline=baseline, trace=trace, weighting="plain"
    )
    learner, numbers = REINFORCE(settings), jnp.arange(rollouts)
    problem = Problem(world, world, StartStates(STARTS, STARTS), H, jnp.ones(()))
    state = ReinforceState(chain.POLICY, VALUE, (), (), (), {})

    def batch(key):
        episodes = unroll(
            world,
            chain.POLICY,
            jnp.tile(chain.START, (rollouts, 1)),
            jax.random.split(key, rollouts),
            H,
        )
        signal, *_ = learner.training_signal(state, problem, Rollouts(episodes, numbers, rollouts))
        advantage, weight = signal.advantage / rollouts, learner.time_weights(problem)
        gradient = eqx.filter_grad(surrogate)(chain.POLICY, episodes, advantage, weight)
        return ravel_pytree(eqx.filter(gradient, eqx.is_inexact_array))[0]

    def local(keys):
        return jax.lax.map(batch, keys)

    gradients = eqx.filter_jit(map_over_devices(local, 1, shared=1, total=True))(
        jax.random.split(jax.random.key(11), batches)
    )
    return problem, np.asarray(gradients, np.float64)


@pytest.mark.parametrize(
    ("batches", "relative"), [(1500, None), pytest.param(20_000, 0.05, marks=pytest.mark.full)]
)
@pytest.mark.parametrize(
    ("baseline", "trace", "cut"),
    [*TRAINED[:3], *(pytest.param(*case, marks=pytest.mark.full) for case in TRAINED[3:])],
)
def test_the_variance_is_that_of_trainings_own_gradient(baseline, trace, cut, batches, relative):
    """Over independent batches `‖g - E g‖²` has mean `Var₁/K`; at full size within 5%."""
    rollouts = 64
    problem, gradients = trained(baseline, trace, cut, rollouts, batches)
    noise = gradient_noise(
        problem.world, chain.POLICY, STARTS, jax.random.key(12), horizon=H, weighting="plain",
        rollouts=40_000,
        value=VALUE, baseline=baseline, trace=trace,
    )  # fmt: skip
    squares = ((gradients - gradients.mean(axis=0)) ** 2).sum(axis=1) * batches / (batches - 1)
    predicted = noise.intrinsic.mean / rollouts
    assert_mean(
        squares,
        predicted,
        rounding=3 * (noise.intrinsic.high - noise.intrinsic.low) / rollouts + 2e-2 * predicted,
    )
    if relative is not None:
        np.testing.assert_allclose(squares.mean(), predicted, rtol=relative)


def test_a_shorter_trace_counts_less_label_noise():
    """With λ = 0 only a step's own label moves its score: Q = E Σ ‖w_t‖²."""
    choices = {"horizon": H, "weighting": "plain", "rollouts": 20_000, "value": VALUE}
    plain, own = (
        gradient_noise(
            chain.CHAIN, chain.POLICY, STARTS, jax.random.key(13), trace=trace, **choices
        ).coefficient
        for trace in (1.0, 0.0)
    )
    truth, paths = exact("plain"), chain.every_path()
    score = _scores()[paths.state, paths.action] * paths.alive[..., None]
    assert_estimate(own, truth.mean((score**2).sum(axis=(1, 2))))
    assert own.high < plain.low


# By simulation: the same rollouts with true and with noisy labels, through returns and automatic
# differentiation.


class Simulated(NamedTuple):
    """Of every rollout: `‖g̃‖² - ‖g‖²` and the shift `g̃ - g` `[rollout, parameters]`; and mean
    gradients.
    """

    squares: np.ndarray
    shift: np.ndarray
    true: np.ndarray
    noisy: np.ndarray

    @property
    def added(self) -> float:
        """The difference of the two traces of covariance."""
        return float(self.squares.mean() - (self.noisy**2).sum() + (self.true**2).sum())


def simulate(
    noise, weighting: str, rollouts: int, shared: bool = False, world=chain.CHAIN
) -> Simulated:
    arrays = _simulate((noise, world), weighting, rollouts // 4000, shared, jax.random.key(0))
    squares, shift, true, noisy = (np.asarray(array, np.float64) for array in arrays)
    return Simulated(
        squares.reshape(-1),
        shift.reshape(-1, shift.shape[-1]),
        true.mean(axis=0),
        noisy.mean(axis=0),
    )


@eqx.filter_jit
def _simulate(parts, weighting, chunks, shared, key):
    noise, world = parts
    weight = time_weights(weighting, GAMMA, H)

    def gradient(episode, reward):
        batch = jax.tree.map(lambda leaf: leaf[None], episode)
        to_go = returns_to_go(reward[None], GAMMA)
        tree = eqx.filter_grad(lambda policy: surrogate(policy, batch, to_go, weight))(chain.POLICY)
        return ravel_pytree(eqx.filter(tree, eqx.is_inexact_array))[0]

    def labels(e, key):
        keys = jnp.broadcast_to(key, (H,)) if shared else jax.random.split(key, H)
        rewards = jax.vmap(noise.apply)(e.reward, e.state, e.action, e.next_state, keys)
        return jnp.where(e.alive, rewards, 0)

    def chunk(number):
        keys = jax.random.split(jax.random.fold_in(key, number), 4000)
        episodes = unroll(world, chain.POLICY, jnp.tile(chain.START, (4000, 1)), keys, H)
        noisy_rewards = jax.vmap(labels)(
            episodes, jax.vmap(lambda key: jax.random.fold_in(key, 9))(keys)
        )
        true, noisy = (
            jax.vmap(gradient)(episodes, reward) for reward in (episodes.reward, noisy_rewards)
        )
        squares = jnp.sum(noisy**2, axis=1) - jnp.sum(true**2, axis=1)
        return squares, noisy - true, jnp.mean(true, axis=0), jnp.mean(noisy, axis=0)

    return jax.lax.map(chunk, jnp.arange(chunks))


def assert_shift(simulated: Simulated, expected) -> None:
    """The mean gradient moved by `expected`, within 4 standard errors in every component; P(false
    alarm) < 0.2%.
    """
    error = simulated.shift.std(axis=0) / np.sqrt(len(simulated.shift))
    off = np.abs(simulated.shift.mean(axis=0) - expected)
    assert (off <= 4 * error + 1e-6).all(), (
        f"off by {np.max(off / (error + 1e-12)):.2f} standard errors"
    )


def assert_adds(simulated: Simulated, expected: float, relative: float | None) -> None:
    assert_mean(
        simulated.squares,
        expected + (simulated.noisy**2).sum() - (simulated.true**2).sum(),
        rounding=1e-4,
    )
    if relative is not None:
        np.testing.assert_allclose(simulated.added, expected, rtol=relative)


ISSUE_SIZE = pytest.mark.full
CASES = [(*case, SMALL, None) for case in FEW]
CASES += [
    pytest.param(name, w, ISSUE, 0.02, marks=ISSUE_SIZE) for name in NOISES for w in WEIGHTINGS
]


@pytest.mark.parametrize(("name", "weighting", "rollouts", "relative"), CASES)
def test_noise_of_mean_zero_adds_the_exact_variance_and_no_shift(
    name, weighting, rollouts, relative
):
    simulated = simulate(NOISES[name], weighting, rollouts)
    assert_shift(simulated, 0.0)
    assert_adds(simulated, exact_added(exact(weighting), NOISES[name]), relative)


@pytest.mark.parametrize(
    ("weighting", "rollouts", "relative"),
    [("plain", SMALL, None), *(pytest.param(w, ISSUE, 0.02, marks=ISSUE_SIZE) for w in WEIGHTINGS)],
)
def test_one_error_for_a_whole_rollout_adds_its_own_form(weighting, rollouts, relative):
    simulated = simulate(GaussianNoise(SD), weighting, rollouts, shared=True)
    truth = exact(weighting)
    assert_shift(simulated, 0.0)
    shared = truth.mean((truth.v.sum(axis=1) ** 2).sum(axis=1))
    assert_adds(simulated, SD**2 * shared, relative)
    assert shared > 1.5 * truth.mean((truth.v**2).sum(axis=(1, 2)))


# Proposition 2.


def bias_return(policy) -> jax.Array:
    """`B_H`, by enumeration."""
    paths = chain.every_path()
    probability = paths.chance * jnp.exp(jnp.sum(chain.log_probs(policy, paths), axis=1))
    bias = (0.8 * paths.state - 0.6 * paths.action) * paths.alive
    return jnp.sum(probability * (bias @ GAMMA ** np.arange(H)))


@pytest.mark.parametrize("rollouts", [SMALL, pytest.param(ISSUE, marks=pytest.mark.full)])
def test_biased_labels_leave_an_error_that_more_rollouts_do_not_remove(rollouts):
    """`E‖g̃ - g‖² = Var₁[r + b]/K + ‖∇B_H‖²`."""
    simulated = simulate(Bias(local_shift), "discounted", rollouts)
    floor_vector = flat(eqx.filter_grad(bias_return)(chain.POLICY)).astype(float)
    assert_shift(simulated, floor_vector)
    floor, truth = float((floor_vector**2).sum()), exact("discounted")
    paths = chain.every_path()
    biased = np.einsum(
        "pt,ptd->pd", (paths.reward + 0.8 * paths.state - 0.6 * paths.action) * paths.alive, truth.v
    )
    variance = exact_variance(truth._replace(gradient=biased))
    gradients = _noisy_gradients(rollouts) - truth.probability @ truth.gradient
    for batch in (4, 40, 400):
        errors = (gradients.reshape(-1, batch, gradients.shape[1]).mean(axis=1) ** 2).sum(axis=1)
        assert_mean(errors, variance / batch + floor, rounding=1e-5)
    assert errors.mean() > floor > variance / 400


def _noisy_gradients(rollouts: int) -> np.ndarray:
    """Gradients from biased labels, `[rollout, parameters]`: their shift from those of a world that
    pays nothing.
    """
    biased = chain.CHAIN.replace(
        reward=lambda s, a, t: chain.CHAIN.reward(s, a, t) + local_shift(s, a, t)
    )
    nil = chain.CHAIN.replace(reward=lambda s, a, t: jnp.zeros(()))
    return simulate(Bias(biased.reward), "discounted", rollouts, world=nil).shift


def test_flips_scale_the_gradient_and_undoing_them_brings_it_back():
    """Where no episode ends early a constant moves nothing: `E g̃ = (1 - 2p) g`."""
    flips = Flips(0.0, 1.0, 0.3)
    world = chain.CHAIN.replace(
        reward=lambda s, a, t: (jnp.argmax(t) == a).astype(float),
        termination=lambda s, a, t: jnp.zeros((), bool),
    )
    simulated = simulate(flips, "discounted", SMALL, world=world)
    assert_shift(simulated, -0.6 * simulated.true)

    class Undone(Flips):
        def apply(self, reward, state, action, next_state, key):
            return self.undone(super().apply(reward, state, action, next_state, key))

    assert_shift(simulate(Undone(0.0, 1.0, 0.3), "discounted", SMALL, world=world), 0.0)


def test_a_batch_mean_with_the_rollout_itself_scales_the_noisy_gradient():
    """By (K-1)/K against leave-one-out, whatever the labels."""
    keys = jax.random.split(jax.random.key(7), 5)
    episodes = unroll(chain.CHAIN, chain.POLICY, jnp.tile(chain.START, (5, 1)), keys, H)
    noisy = jnp.where(episodes.alive, episodes.reward + jax.random.normal(keys[0], (5, H)), 0)
    to_go, weight = returns_to_go(noisy, GAMMA), time_weights("plain", GAMMA, H)

    def gradient(advantage):
        return flat(eqx.filter_grad(surrogate)(chain.POLICY, episodes, advantage, weight))

    loo_gradient = gradient(to_go - leave_one_out(to_go, to_go.sum(axis=0), jnp.asarray(5)))
    np.testing.assert_allclose(
        gradient(to_go - to_go.mean(axis=0)), 0.8 * loo_gradient, rtol=1e-4, atol=1e-5
    )


# What is refused.


@pytest.mark.parametrize("wrong", [{"rollouts": 1}, {"horizon": 0}, {"trace": 1.5}, {"trace": 0.5}])
def test_what_cannot_be_measured_is_refused(wrong):
    choices = {"horizon": H, **wrong}
    with pytest.raises(checks.BadArgument):
        gradient_noise(chain.CHAIN, chain.POLICY, STARTS, jax.random.key(0), **choices)


def test_rewards_that_are_not_finite_are_refused():
    broken = chain.CHAIN.replace(reward=lambda s, a, t: jnp.full((), jnp.inf))
    with pytest.raises(checks.BadData):
        gradient_noise(broken, chain.POLICY, STARTS, jax.random.key(0), horizon=H, rollouts=64)
