"""JAX-native systems against closed forms, Gymnasium, and the constants that they claim."""

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_lyapunov

from paracosm.core import checks
from paracosm.core.rollout import returns, rollout
from paracosm.real.systems import (
    linear_quadratic,
    lipschitz_synthetic,
    pendulum,
    perturbed,
)
from tests.statistical import assert_distribution

SYSTEMS = {
    "linear-quadratic": lambda key: linear_quadratic(key)[0],
    "pendulum": lambda key: pendulum(),
    "tanh": lambda key: lipschitz_synthetic(key, end=0.4)[0],
    "sin": lambda key: lipschitz_synthetic(key, activation="sin")[0],
}


def wide(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float64) if eqx.is_inexact_array(x) else x, tree)


def value_matrix(mdp, policy, horizon):
    """Of the value -sᵀPs over `horizon` steps: P_0 = 0, P_{k+1} = Q + KᵀRK + γ (A-BK)ᵀ P_k
    (A-BK).
    """
    K = policy.function.K
    closed, cost = mdp.dynamics.A - mdp.dynamics.B @ K, mdp.reward.Q + K.T @ mdp.reward.R @ K
    P = np.zeros_like(closed)
    for _ in range(horizon):
        P = cost + mdp.discount * closed.T @ P @ closed
    infinite = solve_discrete_lyapunov(np.sqrt(mdp.discount) * closed.T, cost)
    return P, infinite


@settings(max_examples=8)
@given(seed=st.integers(0, 100))
def test_linear_quadratic_returns_are_the_closed_form(seed):
    with jax.enable_x64(True):
        mdp, policy = linear_quadratic(jax.random.key(seed))
        keys = jax.random.split(jax.random.key(seed + 1), 3)
        starts = jax.vmap(mdp.initial)(keys)
        trajectory = rollout(mdp, policy, starts, keys, 200)
        P, infinite = value_matrix(mdp, policy, 200)
        np.testing.assert_allclose(P, infinite, atol=1e-14)
        exact = -np.einsum("ni,ij,nj->n", starts, P, starts)
        np.testing.assert_allclose(returns(trajectory.reward, mdp.discount), exact, rtol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1, rtol=1e-14)
        norms = [np.linalg.norm(x, 2) for x in (mdp.dynamics.A, mdp.dynamics.B, policy.function.K)]
        np.testing.assert_allclose(norms, [0.2, 0.2, 0.38], rtol=1e-12)


def test_perturbed_moves_what_theory_says_and_nothing_else():
    mdp, _ = linear_quadratic(jax.random.key(0))
    wrong = eqx.filter_jit(eqx.filter_vmap(lambda key: perturbed(mdp, key)))(
        jax.random.split(jax.random.key(1), 100)
    )
    for after, before in ((wrong.dynamics.B, mdp.dynamics.B), (wrong.reward.Q, mdp.reward.Q)):
        np.testing.assert_array_equal(after, np.broadcast_to(before, after.shape))
    errors = wrong.dynamics.A - mdp.dynamics.A, wrong.dynamics.b, wrong.reward.q
    sizes = [np.sqrt(np.mean(np.square(error).reshape(100, -1), axis=1)) for error in errors]
    exponents = np.log10(sizes)
    assert -3.8 < exponents.min() < -2.9 < -1.1 < exponents.max() < -0.6
    assert np.abs(np.corrcoef(exponents) - np.eye(3)).max() < 0.5
    with pytest.raises(checks.Unsupported, match="linear-quadratic"):
        perturbed(pendulum(), jax.random.key(0))


def test_pendulum_is_gymnasiums_step_for_step():
    env, rng, key = gymnasium.make("Pendulum-v1"), np.random.default_rng(0), jax.random.key(0)
    observation, _ = env.reset(seed=1)
    with jax.enable_x64(True):
        mdp = wide(pendulum())
        th, speed = env.unwrapped.state
        free = jnp.array([np.cos(th), np.sin(th), speed])
        for _ in range(200):
            action = rng.uniform(-2.5, 2.5, 1)
            following, reward, _, truncated, _ = env.step(action)
            state = jnp.asarray(observation, jnp.float64)
            np.testing.assert_allclose(mdp.dynamics(state, action, key), following, atol=2e-6)
            np.testing.assert_allclose(mdp.reward(state, action, key), reward, atol=1e-5)
            free = mdp.dynamics(free, action, key)
            observation = following
        th, speed = env.unwrapped.state
        np.testing.assert_allclose(free, [np.cos(th), np.sin(th), speed], atol=1e-9)
    assert truncated
    assert mdp.spec.horizon == 200


def test_pendulum_starts_as_gymnasium_does():
    starts = np.asarray(jax.vmap(pendulum().initial)(jax.random.split(jax.random.key(0), 2000)))
    angle = np.arctan2(starts[:, 1], starts[:, 0])
    assert_distribution(angle / np.pi / 2 + 0.5, "uniform")
    assert_distribution(starts[:, 2] / 2 + 0.5, "uniform")


@eqx.filter_jit
def jacobians(map, states, actions):
    return jax.vmap(jax.jacobian(map, (0, 1)))(states, actions)


@pytest.mark.parametrize("activation", ["tanh", "sin"])
@settings(max_examples=6)
@given(seed=st.integers(0, 50), sizes=st.sampled_from([(4, 2), (1, 3)]))
def test_lipschitz_constants_bound_every_jacobian_and_are_attained(activation, seed, sizes):
    key = jax.random.key(seed)
    mdp, policy = lipschitz_synthetic(
        key, activation=activation, state_size=sizes[0], action_size=sizes[1], reward=2.0
    )
    maps = mdp.dynamics.map, mdp.reward.map
    assert [m.lipschitz for m in (*maps, policy.function.map)] == [0.5, 2.0, 0.5]
    states, actions = (
        3 * jax.random.normal(k, (20, n)) for k, n in zip(jax.random.split(key), sizes, strict=True)
    )
    for map in maps:
        for jacobian in jacobians(map, states, actions):
            assert np.linalg.norm(jacobian, 2, axis=(1, 2)).max() <= map.lipschitz * (1 + 1e-5)
        flat = jnp.linalg.lstsq(map.W, -map.b)[0][None], jnp.zeros((1, sizes[1]))
        for jacobian in jacobians(map, *flat):
            np.testing.assert_allclose(np.linalg.norm(jacobian[0], 2), map.lipschitz, rtol=1e-2)
    slopes = jax.vmap(jax.jacobian(policy.function))(states)
    assert np.linalg.norm(slopes, 2, axis=(1, 2)).max() <= 0.5 * (1 + 1e-5)
    played = jax.vmap(policy.mode)(states)
    assert ((mdp.spec.action.low <= played) & (played <= mdp.spec.action.high)).all()


def test_synthetic_episodes_end_beyond_the_threshold_only():
    mdp, policy = lipschitz_synthetic(jax.random.key(3), end=0.2)
    keys = jax.random.split(jax.random.key(0), 50)
    trajectory = rollout(mdp, policy, jax.vmap(mdp.initial)(keys), keys, 20)
    np.testing.assert_array_equal(
        trajectory.terminated, trajectory.alive & (trajectory.next_state[..., 0] > np.float32(0.2))
    )
    with pytest.raises(checks.BadArgument, match="policy is 0; it must be a positive number"):
        lipschitz_synthetic(jax.random.key(0), policy=0.0)
    with pytest.raises(
        checks.BadArgument, match="activation is 'relu'; it must be one of 'tanh', 'sin'"
    ):
        lipschitz_synthetic(jax.random.key(0), activation="relu")


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_system_is_a_pytree_that_runs_in_both_precisions(system):
    mdp = system(jax.random.key(0))
    state, action = (
        mdp.initial(jax.random.key(1)),
        (mdp.spec.action.low + mdp.spec.action.high) / 3 + 0.1,
    )
    narrow = mdp.dynamics(state, action, jax.random.key(2))
    assert narrow.dtype == mdp.initial(jax.random.key(0)).dtype == jnp.float32
    assert all(eqx.is_array(leaf) or callable(leaf) for leaf in jax.tree.leaves(mdp))
    with jax.enable_x64(True):
        copy = wide(mdp)
        next_state = copy.dynamics(
            state.astype(jnp.float64), action.astype(jnp.float64), jax.random.key(2)
        )
        reward = copy.reward(state.astype(jnp.float64), action.astype(jnp.float64), next_state)
        start = copy.initial(jax.random.key(0))
        assert next_state.dtype == reward.dtype == start.dtype == jnp.float64
        assert next_state.shape == start.shape == (mdp.spec.state_size,)
        assert not copy.termination(start, action, start * 0).item()
        np.testing.assert_allclose(next_state, narrow, atol=1e-4)
