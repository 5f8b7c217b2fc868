"""Policies: densities that integrate to one, samples that follow them, scores that vanish in the
mean.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree
from scipy import stats

from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.networks import MLP
from paracosm.core.policy import (
    Categorical,
    Deterministic,
    Gaussian,
    Mode,
    Noisy,
    Policy,
    SquashedGaussian,
    Uniform,
    acts,
    flat_carries,
    initial_policy,
    modes,
)
from tests.statistical import assert_distribution, assert_frequencies, assert_mean, assert_share

DRAWS = 20_000
HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)
STATE = jnp.array([0.3, -0.7])
SQUASH = pytest.mark.parametrize("squash", [True, False], ids=["squashed", "clipped"])

means = st.floats(-2, 2, width=32, allow_subnormal=False)
spreads = st.floats(0.125, 0.75, width=32, allow_subnormal=False)
lows = st.floats(-8, 8, width=32, allow_subnormal=False)
widths = st.floats(0.25, 16, width=32, allow_subnormal=False)


@functools.cache
def zero_network(outputs: int) -> MLP:
    return MLP(2, outputs, 4, 1, jax.random.key(0), last=0.0)


def constant(output: np.ndarray) -> MLP:
    return eqx.tree_at(
        lambda network: network.biases[-1], zero_network(len(output)), jnp.asarray(output)
    )


def constant_gaussian(mean, std, low, high, squash: bool) -> Gaussian:
    """A Gaussian whose network gives `mean` everywhere, arrays `[action]`."""
    mean, std, low, high = (
        np.atleast_1d(np.asarray(x, np.float32)) for x in (mean, std, low, high)
    )
    return Gaussian(constant(mean), jnp.log(std), Box(low, high), squash)


def categorical(logits) -> Categorical:
    """A categorical whose network gives `logits` everywhere."""
    return Categorical(constant(np.asarray(logits, np.float32)))


@functools.cache
def states_and_keys(seed: int):
    """One size for all draws, so that a kind of policy is compiled once."""
    return jnp.broadcast_to(STATE, (DRAWS, 2)), jax.random.split(jax.random.key(seed), DRAWS)


def draw(policy: Policy, n: int = DRAWS, seed: int = 0) -> np.ndarray:
    states, keys = states_and_keys(seed)
    return np.asarray(acts(policy, None, states, keys)[0])[:n]


@eqx.filter_jit
def log_probs(policy, actions):
    return jax.vmap(lambda action: policy.log_prob(STATE, action))(actions)


def latent_mean(policy: Gaussian) -> np.ndarray:
    bias = np.asarray(policy.network.biases[-1])
    reach = 4.0 if policy.squash else 1.25
    return reach * np.tanh(bias / reach)


# densities


@given(means, spreads, lows, widths)
def test_a_squashed_density_integrates_to_one(mean, std, low, width):
    """In the latent variable, which is what the log-density is of (its Jacobian moves with no
    parameter).
    """
    policy = constant_gaussian(mean, std, low, low + width, squash=True)
    latent = np.linspace(-5, 5, 1001)
    unit = np.tanh(latent)
    actions = (low + width / 2 + unit * width / 2).astype(np.float32)[:, None]
    density = np.exp(np.asarray(log_probs(policy, actions), np.float64) - HALF_LOG_2PI)
    assert abs(np.trapezoid(density, latent) - 1) < 5e-3


@given(means, spreads, lows, widths)
def test_a_clipped_density_and_its_two_atoms_add_to_one(mean, std, low, width):
    high = np.float32(low) + np.float32(width)
    policy = constant_gaussian(mean, std, low, high, squash=False)
    unit = np.linspace(-1, 1, 2001)[1:-1]
    inside = (low + width / 2 + unit * width / 2).astype(np.float32)
    actions = np.concatenate([[np.float32(low)], inside, [high]])[:, None]
    density = np.exp(np.asarray(log_probs(policy, actions), np.float64) - HALF_LOG_2PI)
    mean, std = latent_mean(policy)[0], float(std)
    edge = [stats.norm.pdf(x, mean, std) for x in (-1, 1)]
    interior = np.trapezoid([edge[0], *density[1:-1], edge[1]], np.linspace(-1, 1, 2001))
    assert abs(interior + density[0] + density[-1] - 1) < 1e-3
    np.testing.assert_allclose(density[0], stats.norm.cdf(-1, mean, std), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(density[-1], stats.norm.sf(1, mean, std), rtol=1e-3, atol=1e-6)


@SQUASH
@given(st.lists(means, min_size=2, max_size=2), st.lists(spreads, min_size=2, max_size=2))
def test_components_are_independent(squash, mean, std):
    low, high = np.float32([-1, 0]), np.float32([1, 5])
    joint = constant_gaussian(mean, std, low, high, squash)
    actions = draw(joint, 8)
    parts = [
        log_probs(constant_gaussian(m, s, lo, hi, squash), a[:, None])
        for m, s, lo, hi, a in zip(mean, std, low, high, actions.T, strict=True)
    ]
    np.testing.assert_allclose(log_probs(joint, actions), sum(parts), rtol=1e-4, atol=1e-3)


@given(st.lists(st.floats(-5, 5, width=32, allow_subnormal=False), min_size=4, max_size=4))
def test_categorical_masses_add_to_one_and_entropy_is_theirs(logits):
    policy = categorical(logits)
    masses = np.exp(log_probs(policy, jnp.arange(4)))
    assert abs(masses.sum() - 1) < 1e-5
    np.testing.assert_allclose(policy.entropy(STATE), -(masses * np.log(masses)).sum(), atol=1e-5)
    assert policy(np.asarray(STATE)) == np.argmax(masses)


def test_uniform_logits_have_the_largest_entropy():
    np.testing.assert_allclose(categorical([0.5] * 5).entropy(STATE), np.log(5), rtol=1e-6)


@given(means, spreads)
def test_the_entropy_is_that_of_the_underlying_gaussian(mean, std):
    for squash in (True, False):
        policy = constant_gaussian(mean, std, -1, 1, squash)
        np.testing.assert_allclose(
            policy.entropy(STATE), stats.norm(mean, std).entropy(), rtol=1e-5, atol=1e-6
        )


# samples


@given(lows.map(lambda x: 50 * x), widths)
@example(-56.12996, 622.70288)
@example(245.81776, 0.1733)
def test_samples_at_a_bound_are_read_as_the_atom_wherever_the_box_lies(low, width):
    """With all mass beyond a bound, the log-mass there is 0."""
    low, high = np.float32(low), np.float32(low) + np.float32(width)
    for mean, bound in ((3.0, high), (-3.0, low)):
        policy = constant_gaussian(mean, 0.03, low, high, squash=False)
        actions = draw(policy, 8)
        assert (actions == bound).all()
        np.testing.assert_allclose(log_probs(policy, actions) - HALF_LOG_2PI, 0, atol=1e-5)


def test_clipped_samples_follow_the_density_and_its_atoms():
    std = 0.75
    policy = constant_gaussian(0.4, std, 2, 6, squash=False)
    mean = latent_mean(policy)[0]
    unit = (draw(policy)[:, 0] - 4) / 2
    edges = np.linspace(-1, 1, 9)
    inside = np.diff(stats.norm.cdf(edges, mean, std))
    counts = np.histogram(unit[np.abs(unit) < 1], edges)[0]
    probabilities = [stats.norm.cdf(-1, mean, std), *inside, stats.norm.sf(1, mean, std)]
    assert_frequencies([(unit <= -1).sum(), *counts, (unit >= 1).sum()], probabilities)


def test_squashed_samples_are_the_drawn_latents_squashed():
    policy = constant_gaussian([0.4, -1.5], [0.5, 0.75], [2, -1], [6, 1], squash=True)
    actions = draw(policy)
    latent = np.arctanh(np.asarray(jax.vmap(policy.space.encode)(jnp.asarray(actions)), np.float64))
    for i, (mean, std) in enumerate(zip(latent_mean(policy), [0.5, 0.75], strict=True)):
        assert_distribution(latent[:, i], stats.norm(mean, std).cdf)
    exact = (
        stats.norm(latent_mean(policy), [0.5, 0.75]).logpdf(latent).sum(axis=1) + 2 * HALF_LOG_2PI
    )
    usual = (np.abs(latent) < 4).all(axis=1)
    np.testing.assert_allclose(
        np.asarray(log_probs(policy, actions))[usual], exact[usual], atol=1e-2
    )


def test_the_latent_is_recovered_from_the_action():
    """Inversion against the latent that was drawn: the key's own normal, at both ends of
    the box.
    """
    policy = constant_gaussian([1.0, -3.0], [1.0, 0.5], [0, -5], [1, 9], squash=True)
    normal = np.asarray(jax.vmap(lambda key: jax.random.normal(key, (2,)))(states_and_keys(0)[1]))
    drawn = latent_mean(policy) + np.array([1, 0.5]) * normal
    exact = stats.norm(latent_mean(policy), [1, 0.5]).logpdf(drawn).sum(axis=1) + 2 * HALF_LOG_2PI
    log_densities = np.asarray(log_probs(policy, draw(policy)))
    usual = (np.abs(drawn) < 4.5).all(axis=1)
    assert usual.mean() > 0.95
    np.testing.assert_allclose(log_densities[usual], exact[usual], atol=2e-2)
    assert np.isfinite(log_densities).all()


def test_categorical_samples_follow_their_masses():
    policy = categorical([0.0, 1.0, -2.0, 0.5])
    masses = np.exp([policy.log_prob(STATE, jnp.asarray(a)) for a in range(4)])
    assert_frequencies(np.bincount(draw(policy), minlength=4), masses)


@given(
    means.map(lambda m: m * 50),
    st.floats(0.015625, 2, width=32, allow_subnormal=False),
    lows,
    widths,
)
def test_modes_and_samples_stay_in_the_box_to_the_last_bit(mean, std, low, width):
    low, high = np.float32(low), np.float32(low) + np.float32(width)
    for squash in (True, False):
        policy = constant_gaussian(mean, std, low, high, squash)
        actions = np.append(draw(policy, 50), policy(np.asarray(STATE)))
        assert (actions >= low).all()
        assert (actions <= high).all()


# scores


def score_samples(policy, n: int):
    """Scores `[n, parameters]` and Hessians `[n, parameters, parameters]` of log-densities at
    sampled actions.
    """
    weights, rest = eqx.partition(policy, eqx.is_inexact_array)
    if isinstance(policy, Gaussian):
        moving = lambda w: (w.network.biases[-1], w.log_std)  # noqa: E731
    else:
        moving = lambda w: (w.network.biases[-1],)  # noqa: E731
    flat, unflatten = ravel_pytree(moving(weights))

    def log_prob(flat, action):
        moved = eqx.tree_at(moving, weights, unflatten(flat))
        return eqx.combine(moved, rest).log_prob(STATE, action)

    actions = draw(policy, n)
    score = jax.jit(jax.vmap(jax.grad(log_prob), (None, 0)))(flat, actions)
    hessian = jax.jit(jax.vmap(jax.hessian(log_prob), (None, 0)))(flat, actions)
    return np.asarray(score, np.float64), np.asarray(hessian, np.float64)


STOCHASTIC = {
    "squashed": constant_gaussian([0.4, -1.5], [0.5, 0.7], [2, -1], [6, 1], squash=True),
    "clipped": constant_gaussian([0.4, -1.2], [0.5, 0.7], [2, -1], [6, 1], squash=False),
    "clipped, far from the origin": constant_gaussian(
        [0.4, -1.2], [0.5, 0.7], [500, -1], [500.5, 1], squash=False
    ),
    "categorical": categorical([0.0, 1.0, -2.0, 0.5]),
}


@pytest.mark.parametrize("policy", STOCHASTIC.values(), ids=STOCHASTIC.keys())
def test_the_score_has_mean_zero_and_its_square_is_minus_the_curvature(policy):
    """`E ∇log π = 0` and `E[∇log π ∇log πᵀ + ∇²log π] = 0`: what an expectation under a true
    density obeys.
    """
    score, hessian = score_samples(policy, DRAWS)
    rounding = 1e-3  # of 32-bit actions, through the inverse of the squashing
    assert_mean(score, np.zeros(score.shape[1]), rounding)
    outer = score[:, :, None] * score[:, None, :]
    assert_mean(outer + hessian, np.zeros(outer.shape[1:]), 5 * rounding)


@SQUASH
def test_the_entropy_gradient_moves_only_the_spread(squash):
    policy = constant_gaussian([0.4, -1.2], [0.5, 0.7], [2, -1], [6, 1], squash)
    gradient = eqx.filter_grad(lambda p: p.entropy(STATE))(policy)
    np.testing.assert_allclose(gradient.log_std, 1)
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(gradient.network))


# other policies


def test_uniform_actions_are_uniform():
    box = Uniform(Box(jnp.array([-1.0, 5.0]), jnp.array([1.0, 7.0])))
    actions = draw(box)
    for i, low in enumerate([-1, 5]):
        assert_distribution(actions[:, i], stats.uniform(low, 2).cdf)
    np.testing.assert_array_equal(box.mode(STATE), [0, 6])
    choice = Uniform(Discrete(4))
    assert_frequencies(np.bincount(draw(choice), minlength=4), np.full(4, 1 / 4))
    assert choice.mode(STATE) == 0


def test_the_mode_plays_the_mode_and_a_function_plays_itself():
    policy = STOCHASTIC["squashed"]
    for wrapped in (Mode(policy), Deterministic(policy.mode)):
        np.testing.assert_array_equal(wrapped.sample(STATE, jax.random.key(5)), policy.mode(STATE))
        np.testing.assert_array_equal(wrapped.mode(STATE), policy.mode(STATE))


def test_without_noise_a_noisy_policy_is_the_policy():
    squashed = STOCHASTIC["squashed"]
    quiet = Noisy(Mode(squashed), squashed.space, 0.0)
    np.testing.assert_array_equal(quiet.greedy().mode(STATE), squashed.mode(STATE))
    np.testing.assert_allclose(
        draw(quiet, 4), np.broadcast_to(squashed.mode(STATE), (4, 2)), rtol=1e-6
    )
    policy = Noisy(Mode(categorical([0.0, 3.0, 1.0, 0.0])), Discrete(4), 0.0)
    assert (draw(policy, 100) == 1).all()


def test_exploration_noise_has_the_size_asked_for():
    box = Box(jnp.array([-2.0]), jnp.array([6.0]))
    for mean in (0.0, 0.9):
        policy = constant_gaussian(mean, 1.0, -2, 6, squash=False)
        centre = 2 + 4 * latent_mean(policy)[0]
        noisy = draw(Noisy(Mode(policy), box, 0.1))[:, 0]
        assert_distribution(
            noisy[noisy < 6], stats.truncnorm(-np.inf, (6 - centre) / 0.4, centre, 0.4).cdf
        )
        assert_share(
            int((noisy == 6).sum()), DRAWS, stats.norm.sf(6, centre, 0.4)
        )  # a tenth of a half-box of 4
    choice = draw(Noisy(Mode(categorical([0.0, 9.0, 0.0, 0.0])), Discrete(4), 0.2))
    assert_share(int((choice == 1).sum()), DRAWS, 0.8 + 0.2 / 4)
    assert_frequencies(np.bincount(choice, minlength=4)[[0, 2, 3]], np.full(3, 1 / 3))


@pytest.mark.parametrize("batch", [(), (1,), (5,), (2, 3)])
def test_called_on_observations_of_any_shape_a_policy_gives_modes_as_numpy(batch):
    spec = Spec(2, Box(jnp.array([-1.0]), jnp.array([3.0])), jnp.ones(2), 10)
    observations = np.random.default_rng(0).normal(
        size=(*batch, 2)
    )  # 64-bit, as environments give them
    for space, shape in ((spec.action, (*batch, 1)), (Discrete(4), batch)):
        policy = initial_policy(Spec(2, space, spec.state_scale, 10), jax.random.key(0))
        action = policy(observations)
        assert isinstance(action, np.ndarray)
        assert action.shape == shape
        flat = modes(policy, observations.reshape(-1, 2).astype(np.float32))
        np.testing.assert_array_equal(action.reshape(flat.shape), flat)
    assert np.issubdtype(action.dtype, np.integer)


@SQUASH
def test_an_untrained_policy_is_near_the_centre_with_the_spread_asked_for(squash):
    spec = Spec(2, Box(jnp.array([-1.0, 0.0]), jnp.array([3.0, 1.0])), jnp.array([10.0, 0.1]), 10)
    policy = initial_policy(spec, jax.random.key(0), squash=squash, std=0.3)
    np.testing.assert_allclose(policy.mode(STATE), [1, 0.5], atol=0.1)
    np.testing.assert_allclose(np.exp(policy.log_std), 0.3, rtol=1e-6)
    choice = initial_policy(Spec(2, Discrete(4), spec.state_scale, 10), jax.random.key(0))
    np.testing.assert_allclose(choice.entropy(STATE), np.log(4), atol=1e-2)


def test_observations_enter_the_network_standardised():
    spec = Spec(2, Box(jnp.array([-1.0]), jnp.array([1.0])), jnp.array([10.0, 0.1]), 10)
    key, center = jax.random.key(0), jnp.array([100.0, -3.0])
    policy = initial_policy(spec, key, center=center)
    plain = initial_policy(Spec(2, spec.action, jnp.ones(2), 10), key)
    np.testing.assert_allclose(
        policy.mode(center + STATE * spec.state_scale), plain.mode(STATE), atol=1e-5
    )


def test_a_squashed_gaussian_is_the_density_of_its_samples():
    """The log-density of a sample by both routes, and its integral over the box, which is 1."""
    box = Box(jnp.array([-2.0]), jnp.array([3.0]))
    policy = SquashedGaussian(MLP(2, 2, 8, 1, jax.random.key(0)), box)
    state = jnp.array([0.3, -0.2])
    for i in range(5):
        action, log_prob = policy.sample_with_log_prob(state, jax.random.key(i))
        np.testing.assert_allclose(policy.log_prob(state, action), log_prob, rtol=1e-3, atol=1e-3)
    grid = jnp.linspace(-1 + 1e-5, 1 - 1e-5, 20_001)
    actions = (0.5 + 2.5 * grid)[:, None]
    density = jnp.exp(jax.vmap(lambda a: policy.log_prob(state, a))(actions))
    np.testing.assert_allclose(jnp.trapezoid(density, grid), 1, rtol=1e-3)
    assert abs(float(jnp.exp(policy.mean_and_log_std(state)[1])[0]) - 0.5) < 0.4


def test_carries_may_hold_random_keys():
    keys = jax.random.split(jax.random.key(3), 4)
    flat = flat_carries((jnp.arange(4), keys), 1)
    np.testing.assert_array_equal(flat[:, 1:], jax.random.key_data(keys))
