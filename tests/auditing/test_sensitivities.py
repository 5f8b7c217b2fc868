"""Directional derivatives and gradients of imagined return: by two routes each, and the weights
they give.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.sensitivities import by_step, directional, error_weights
from paracosm.auditing.subject import AuditSubject
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.policy import Deterministic
from paracosm.core.rollout import rollout
from tests.auditing.worlds import HORIZON, Case, Shifted

STEP = 1e-5


@pytest.fixture(autouse=True)
def sixty_four_bits():
    with jax.enable_x64(True):
        yield


def error(state, action):
    return jnp.sin(state) + 0.3 * jnp.sum(action)


def missed(state, action, after):
    return jnp.cos(after[0]) - state[1]


def moved(world, dynamics, reward):
    return world.replace(
        dynamics=lambda s, a, key: world.dynamics(s, a, key) + dynamics * error(s, a),
        reward=lambda s, a, t: world.reward(s, a, t) + reward * missed(s, a, t),
    )


@pytest.mark.parametrize("kind", ["linear", "smooth", "ending"])
def test_a_directional_derivative_is_the_finite_difference(kind):
    case = Case(kind, 2)
    derivatives = directional(
        case.world,
        case.policy,
        case.start,
        case.keys,
        dynamics_error=error,
        reward_error=missed,
        horizon=HORIZON,
    )
    for derivative, (by_dynamics, by_reward) in zip(
        derivatives, [(STEP, 0.0), (0.0, STEP)], strict=True
    ):
        above = case.returns(moved(case.world, by_dynamics, by_reward))
        below = case.returns(moved(case.world, -by_dynamics, -by_reward))
        np.testing.assert_allclose(derivative, (above - below) / (2 * STEP), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["linear", "smooth", "ending"])
def test_one_reverse_pass_gives_every_step_and_sums_to_the_direction(kind):
    """An error that is the same at every step costs what the steps' gradients sum to: reverse
    against forward mode.
    """
    case = Case(kind, 4)
    steps = np.full(len(case.start), HORIZON)
    gradients = by_step(
        case.world, case.policy, np.asarray(case.start), steps, case.key, horizon=HORIZON
    )
    push = jnp.array([0.3, -0.1, 0.2, 0.5])
    by_dynamics, by_reward = directional(
        case.world,
        case.policy,
        case.start,
        case.keys,
        dynamics_error=lambda s, a: push,
        reward_error=lambda s, a, t: jnp.ones(()),
        horizon=HORIZON,
    )
    np.testing.assert_allclose(
        gradients.dynamics.sum(axis=1) @ np.asarray(push), by_dynamics, rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(gradients.reward.sum(axis=1), by_reward, rtol=1e-12)


def test_a_step_after_the_end_of_its_episode_weighs_nothing():
    case = Case("smooth", 4)
    steps = np.array([1, 3, 7, 12])
    gradients = by_step(
        case.world, case.policy, np.asarray(case.start), steps, case.key, horizon=HORIZON
    )
    later = np.arange(HORIZON) >= steps[:, None]
    assert not gradients.reward[later].any()
    assert not gradients.dynamics[later].any()
    np.testing.assert_allclose(
        gradients.reward[~later], (case.world.discount ** np.arange(HORIZON))[np.nonzero(~later)[1]]
    )


def subject_of(world, policy, episodes, key):
    predictions = predict_steps(world, policy, episodes, key)
    return AuditSubject(world, policy, episodes, predictions, key, (world.discount,))


def test_realised_weights_times_the_errors_are_the_gap_to_first_order():
    """On small errors of one part the weight times its root mean square error is that
    part's term.
    """
    case = Case("linear", 1, episodes=64)
    by = 1e-4 * jnp.array([1.0, 0.5, -0.5, 1.0])
    for part in ("dynamics", "reward"):
        world = case.real.replace(**{part: Shifted(getattr(case.real, part), by)})
        subject = subject_of(world, case.policy, case.episodes, case.key)
        realised, steepest = error_weights(subject)
        gap = abs(np.mean(case.returns(case.real) - case.returns(world)))
        off = subject.predictions.imagined_state - case.episodes.next_state
        size = {
            "dynamics": np.sqrt(np.mean(np.sum(off**2, axis=-1))),
            "reward": np.sqrt(
                np.mean((subject.predictions.at_real.reward - case.episodes.reward) ** 2)
            ),
        }[part]
        np.testing.assert_allclose(getattr(realised, part) * size, gap, rtol=0.02)
        assert getattr(realised, part) <= getattr(steepest, part) * np.sqrt(HORIZON)


def test_where_rollouts_fork_no_error_costs_more_than_the_rewards_allow():
    """`s' = sin 4s` is chaotic: derivatives grow without limit, returns do not."""
    horizon, discount = 100, 0.9
    spec = Spec(1, Box(-np.ones(1), np.ones(1)), np.ones(1), horizon)

    def world_of(push):
        return MDP(
            spec,
            lambda s, a, key: jnp.sin(4 * s) + push,
            lambda s, a, after: after[0],
            never,
            lambda key: jnp.ones(1),
            discount,
        )

    policy, key = Deterministic(lambda s: jnp.zeros(1)), jax.random.key(0)
    start = np.linspace(0.1, 0.9, 8)[:, None]
    episodes = rollout(world_of(0.0), policy, jnp.asarray(start), jax.random.split(key, 8), horizon)
    episodes = jax.tree.map(np.asarray, episodes)
    slopes = by_step(world_of(1e-4), policy, start, np.full(8, horizon), key, horizon=horizon)
    realised, steepest = error_weights(subject_of(world_of(1e-4), policy, episodes, key))
    most = 2 * np.sum(discount ** np.arange(horizon))
    assert np.abs(slopes.dynamics).max() * 1e-4 > 1e6 * most
    assert realised.dynamics * 1e-4 <= steepest.dynamics * 1e-4 <= most
    assert steepest.dynamics * 1e-4 > most / 10


def test_the_steepest_weight_of_the_reward_is_the_sum_of_discounts():
    case = Case("smooth", 1)
    steepest = error_weights(subject_of(case.world, case.policy, case.episodes, case.key))[1]
    assert steepest.reward == pytest.approx(np.sum(case.real.discount ** np.arange(HORIZON)))
