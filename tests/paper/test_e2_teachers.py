"""E2's teachers: how far their states saturate, and both precisions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from paracosm.paper.e2_teachers import random_teacher
from paracosm.real.verbs import collect


def test_the_teacher_saturates_as_theory_measured():
    mdp = random_teacher(jax.random.key(0))
    data = collect(mdp, 2000, seed=0)
    assert data.state.shape == (2000, 12)
    assert 0.8 < (np.abs(data.next_state) > 0.99).mean() < 0.95
    first, second = mdp.reward.first, mdp.reward.second
    by_hand = np.maximum(np.concatenate([data.state, data.action], 1) @ first, 0) @ second / 8
    np.testing.assert_allclose(data.reward, by_hand, rtol=1e-3, atol=1e-3)


def test_the_teacher_runs_in_both_precisions():
    mdp = random_teacher(jax.random.key(0))
    state, action = mdp.initial(jax.random.key(1)), jnp.full(4, 0.1)
    narrow = mdp.dynamics(state, action, jax.random.key(2))
    assert narrow.dtype == state.dtype == jnp.float32
    with jax.enable_x64(True):
        copy, state, action = jax.tree.map(
            lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf,
            (mdp, state, action),
        )
        after = copy.dynamics(state, action, jax.random.key(2))
        reward = copy.reward(state, action, after)
        start = copy.initial(jax.random.key(0))
        assert after.dtype == reward.dtype == start.dtype == jnp.float64
        assert after.shape == start.shape == (12,)
        np.testing.assert_allclose(after, narrow, atol=1e-4)
