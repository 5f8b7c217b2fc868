"""One rollout: a plain loop, step by step; ends that absorb; returns and what sums to them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.policy import Noisy, initial_policy
from paracosm.core.rollout import lambda_returns, returns, returns_to_go, rollout

HORIZON = 12
EPISODES = 64
SPEC = Spec(2, Box(jnp.array([-1.0]), jnp.array([1.0])), jnp.ones(2), HORIZON)
TURN = jnp.array([[0.9, -0.5], [0.5, 0.9]])


def spiral(termination=never, noise: float = 0.1) -> MDP:
    """A noisy outward spiral, pushed by the action; it ends beyond a circle."""
    return MDP(
        spec=SPEC,
        dynamics=lambda s, a, key: (
            TURN @ s + jnp.array([0.0, 0.3]) * a + noise * jax.random.normal(key, (2,))
        ),
        reward=lambda s, a, t: s[0] - 0.1 * a[0] ** 2 + 2 * t[1],
        termination=termination,
        initial=lambda key: jax.random.normal(key, (2,)),
        discount=0.9,
    )


def beyond(state, action, next_state):
    return jnp.sum(next_state**2) > 4


POLICY = Noisy(initial_policy(SPEC, jax.random.key(1)), SPEC.action, 0.3)
ENDLESS, ENDING = spiral(), spiral(beyond)
WORLDS = pytest.mark.parametrize("world", [ENDLESS, ENDING], ids=["endless", "ending"])
INITIAL = np.asarray(jax.random.normal(jax.random.key(0), (EPISODES, 2)))
KEYS = jax.random.split(jax.random.key(1), EPISODES)


def play(world: MDP, order=slice(None)) -> Trajectory:
    """All episodes, as NumPy; one shape for every test, so that a world is compiled once."""
    return jax.tree.map(np.asarray, rollout(world, POLICY, INITIAL[order], KEYS[order], HORIZON))


@eqx.filter_jit
def one_step(world: MDP, state, key):
    for_action, for_dynamics = jax.random.split(key)
    action = POLICY.act(None, state, for_action)[0]
    after = world.dynamics(state, action, for_dynamics)
    return (
        action,
        after,
        world.reward(state, action, after),
        world.termination(state, action, after),
    )


def plain_loop(world: MDP, state, key) -> list[dict[str, np.ndarray]]:
    """One episode as one would write it in Python."""
    rows = []
    for step_key in jax.random.split(key, HORIZON):
        action, after, reward, ended = one_step(world, state, step_key)
        rows.append(
            {
                "state": state,
                "action": action,
                "next_state": after,
                "reward": reward,
                "terminated": ended,
            }
        )
        if ended:
            break
        state = after
    return [{name: np.asarray(value) for name, value in row.items()} for row in rows]


@WORLDS
def test_a_rollout_is_the_plain_loop_step_by_step(world):
    episodes = play(world)
    lengths = episodes.alive.sum(axis=1)[:6]
    for i in range(6):
        rows = plain_loop(world, INITIAL[i], KEYS[i])
        assert len(rows) == lengths[i]
        for t, row in enumerate(rows):
            for name, value in row.items():
                np.testing.assert_allclose(
                    getattr(episodes, name)[i, t], value, rtol=1e-5, atol=1e-6, err_msg=name
                )
    if world is ENDING:
        assert len(set(lengths)) > 1, "episodes of different lengths are what this test is about"


def test_an_end_absorbs():
    episodes = play(ENDING)
    dead = ~episodes.alive
    assert 0.2 < dead.any(axis=1).mean() < 0.8, "both kinds of episode are what this test is about"
    assert (episodes.reward[dead] == 0).all()
    assert not episodes.terminated[dead].any()
    assert not episodes.truncated[dead].any()
    for i, length in enumerate(episodes.alive.sum(axis=1)):
        final = episodes.next_state[i, length - 1]
        np.testing.assert_array_equal(
            episodes.state[i, length:], np.broadcast_to(final, (HORIZON - length, 2))
        )
        np.testing.assert_array_equal(
            episodes.next_state[i, length:], np.broadcast_to(final, (HORIZON - length, 2))
        )


@WORLDS
def test_each_episode_is_a_run_of_live_steps_that_terminates_or_is_truncated_once(world):
    episodes = play(world)
    length = episodes.alive.sum(axis=1)
    np.testing.assert_array_equal(episodes.alive, np.arange(HORIZON) < length[:, None])
    last = np.arange(HORIZON) == length[:, None] - 1
    np.testing.assert_array_equal(episodes.terminated | episodes.truncated, last)
    assert not (episodes.terminated & episodes.truncated).any()
    assert (length[episodes.truncated.any(axis=1)] == HORIZON).all()
    np.testing.assert_array_equal(episodes.state[:, 1:], episodes.next_state[:, :-1])
    np.testing.assert_array_equal(episodes.state[:, 0], INITIAL)


def test_what_the_parts_say_about_absorbed_states_does_not_matter():
    """A reward that is NaN, and an end rule that fires again, where no episode is."""

    def poison(s, a, t):
        return jnp.where(jnp.sum(s**2) > 4, jnp.nan, ENDING.reward(s, a, t))

    clean, poisoned = play(ENDING), play(ENDING.replace(reward=poison))
    inside = (INITIAL**2).sum(axis=1) <= 4
    for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(poisoned), strict=True):
        np.testing.assert_array_equal(a[inside], b[inside])


def test_an_episode_does_not_depend_on_its_neighbours():
    together, backwards, alone = (
        play(ENDING),
        play(ENDING, slice(None, None, -1)),
        play(ENDING, slice(2, 3)),
    )
    for a, b, c in zip(*map(jax.tree.leaves, (together, backwards, alone)), strict=True):
        np.testing.assert_allclose(a, b[::-1], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(a[2:3], c, rtol=1e-5, atol=1e-5)


def test_a_swapped_reward_leaves_the_trajectory_alone_and_splits_the_return():
    full, part = (
        play(ENDING),
        play(ENDING.replace(reward=lambda s, a, t: ENDING.reward(s, a, t) - s[0])),
    )
    np.testing.assert_array_equal(full.next_state, part.next_state)
    rest = np.where(full.alive, full.state[:, :, 0], 0)
    total = returns(part.reward, 0.9) + returns(rest, 0.9)
    np.testing.assert_allclose(returns(full.reward, 0.9), total, rtol=1e-5, atol=1e-5)


# What is summed from rewards.

to_go_of = jax.jit(returns_to_go, static_argnums=1)
traced_of = jax.jit(lambda_returns, static_argnums=(2, 3))
zeros = np.zeros(3, np.float32)
rewards = hnp.arrays(np.float32, (3, 5), elements=st.floats(-8, 8, width=32, allow_subnormal=False))
discounts = st.sampled_from([0.75, 1.0])  # each is compiled
finals = hnp.arrays(np.float32, 3, elements=st.floats(-8, 8, width=32, allow_subnormal=False))


@given(rewards, discounts)
def test_a_return_is_the_discounted_sum(reward, discount):
    exact = (reward.astype(float) * discount ** np.arange(5)).sum(axis=1)
    np.testing.assert_allclose(returns(reward, discount), exact, rtol=1e-5, atol=1e-5)


@given(rewards)
def test_undiscounted_and_myopic_returns(reward):
    np.testing.assert_allclose(returns(reward, 1), reward.sum(axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(returns(reward, 0), reward[:, 0])


def test_nothing_follows_the_last_step_unless_said():
    reward = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(returns_to_go(reward, 0.5), [[1.75, 1.5, 1]] * 2)
    np.testing.assert_allclose(
        lambda_returns(reward, reward, 0.5, 0.5, 8.0), [[1.765625, 2.0625, 3.25]] * 2
    )


def test_far_discounts_keep_their_precision():
    reward = np.ones((1, 1000), np.float32)
    np.testing.assert_allclose(returns(reward, 0.99), [(1 - 0.99**1000) / 0.01], rtol=1e-5)


@given(rewards, discounts, finals)
def test_returns_to_go_start_at_the_return_and_obey_the_recursion(reward, discount, final):
    to_go = np.asarray(to_go_of(reward, discount, final))
    np.testing.assert_allclose(
        to_go[:, 0], returns(reward, discount) + discount**5 * final, rtol=1e-4, atol=1e-4
    )
    later = np.concatenate([to_go[:, 1:], final[:, None]], axis=1)
    np.testing.assert_allclose(to_go, reward + discount * later, rtol=1e-5, atol=1e-5)


@given(rewards, rewards, discounts, finals)
def test_the_trace_goes_from_one_step_to_the_return(reward, value, discount, final):
    full = traced_of(reward, value, discount, 1.0, final)
    np.testing.assert_allclose(full, to_go_of(reward, discount, final), rtol=1e-6, atol=1e-6)
    one_step = traced_of(reward, value, discount, 0.0, final)
    np.testing.assert_allclose(one_step, reward + discount * value, rtol=1e-5, atol=1e-5)


@given(rewards, discounts, st.just(0.5))
def test_values_that_agree_with_the_return_make_the_trace_irrelevant(reward, discount, trace):
    to_go = np.asarray(to_go_of(reward, discount, zeros))
    next_value = np.concatenate([to_go[:, 1:], np.zeros((3, 1), np.float32)], axis=1)
    np.testing.assert_allclose(
        traced_of(reward, next_value, discount, trace, zeros), to_go, rtol=1e-4, atol=1e-4
    )
