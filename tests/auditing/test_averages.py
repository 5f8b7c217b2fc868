"""Intervals of an audit's returns and terms: sparse episodes, constants, worlds that cannot end."""

import numpy as np
import pytest

from paracosm.auditing.averages import averages, mean_without_range, rare_bounds, return_limits
from paracosm.auditing.one_step import OneStep, StepOutcome
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.estimators import mean, student_mean, varied_mean
from paracosm.core.mdp import MDP, Box, Spec, never

STEPS = 10


def ends_sometimes(state, action, next_state):
    return next_state[0] > 1


def of(real, imagined=None, *, termination=ends_sometimes, steps=STEPS, **options):
    """Averages of episodes `[episode]` that are paid once, at their last step."""
    real, imagined = (
        recorded(returns, steps) for returns in (real, real if imagined is None else imagined)
    )
    return averages(
        world(termination, steps), real, predictions(real), imagined, discount=1.0, **options
    )


def world(termination, steps):
    spec = Spec(1, Box(-np.ones(1), np.ones(1)), np.ones(1), steps)
    return MDP(
        spec, lambda s, a, k: s, lambda s, a, after: s[0], termination, lambda key: np.zeros(1), 1.0
    )


def recorded(returns, steps):
    reward = np.zeros((len(returns), steps))
    reward[:, -1] = returns
    return trajectory(reward)


def trajectory(reward):
    states, no = np.zeros((*reward.shape, 1)), np.zeros(reward.shape, bool)
    return Trajectory(states, states, states, reward, no, no, ~no)


def predictions(real):
    """An exact reward model."""
    no = np.zeros(real.reward.shape, bool)
    after = StepOutcome(real.reward, no)
    return OneStep(real.state, after, after, real.action, no, no)


PAID = np.repeat([0.0, 1.0], [19, 1])
VARIED = np.random.default_rng(0).normal(-150, 40, 20)


def test_unpaid_episodes_say_what_they_can_exclude():
    """The row of the trials: 5% of episodes are paid, none of 20 was; imagination paid one."""
    averaging = of(np.zeros(20), PAID)
    assert averaging.rare_may_decide
    real, term = averaging.mean_return(np.zeros(20)), averaging.mean_term(np.zeros(20), "dynamics")
    assert (real.mean, real.low) == (0, 0)
    assert 0.13 <= real.high <= 0.22
    assert (term.low, term.high) == pytest.approx((-real.high, real.high), abs=1e-6)
    lower = averaging.mean_term(-PAID, "dynamics")
    assert lower.low < -0.05 < 0 <= lower.high


def test_where_nothing_was_ever_paid_rewards_known_from_elsewhere_are_the_range():
    nothing, known = of(np.zeros(20)), of(np.zeros(20), extra_rewards=(0.0, 10.0))
    assert nothing.mean_return(np.zeros(20)).high == np.inf
    assert "17% of others" in nothing.mean_term(np.zeros(20), "dynamics").method
    assert 1.3 <= known.mean_return(np.zeros(20)).high <= 2.2


@pytest.mark.parametrize("spread", [0.0, 0.002])
def test_sparse_terms_cover_also_where_a_learned_reward_trembles(spread):
    """800 audits of 20 episodes, 5% paid, by a world that pays none; at a coverage of 95% 730 or
    fewer have 1e-5.
    """
    rng, covered = np.random.default_rng(1), 0
    for _ in range(800):
        real, trembles = (rng.random(20) < 0.05) * 1.0, spread * rng.normal(size=20)
        term = of(real, trembles, extra_rewards=(0.0, 1.0), steps=1).mean_term(
            real - trembles, "dynamics"
        )
        covered += term.low <= 0.05 <= term.high
    assert covered > 730


def test_an_exact_part_has_the_term_zero_where_returns_vary():
    averaging = of(VARIED)
    assert not averaging.rare_may_decide
    exact = averaging.mean_term(np.zeros(20), "reward")
    assert (exact.low, exact.high) == (0, 0)
    assert "constant" in exact.method
    assert "skew" in averaging.mean_return(VARIED).method


def test_an_end_rule_has_no_term_where_nothing_can_end():
    ends, endless = of(np.zeros(20), PAID), of(np.zeros(20), PAID, termination=never)
    assert ends.mean_term(np.zeros(20), "termination").high > 0
    assert endless.mean_term(np.zeros(20), "termination").high == 0
    assert endless.mean_term(np.zeros(20), "dynamics").high > 0


def test_episodes_that_all_survive_do_not_prove_that_all_do():
    """CartPole at its limit: rewards are 1 at every step, so the reward model is known where
    episodes are shorter.
    """
    real = trajectory(np.ones((20, 500)))
    averaging = averages(world(ends_sometimes, 500), real, predictions(real), real, discount=1.0)
    survived = averaging.mean_return(np.full(20, 500.0))
    assert 390 <= survived.low <= 420
    assert survived.high == 500
    reward = averaging.mean_term(np.zeros(20), "reward")
    assert (reward.low, reward.high) == (0, 0)
    assert averaging.mean_term(np.zeros(20), "dynamics").high > 75
    varied = averaging.mean_term(20 + 20 * np.random.default_rng(2).normal(size=20), "dynamics")
    assert "skew" in varied.method  # what varies says how sure it is


@pytest.mark.parametrize("steps_paid", [1, STEPS])
def test_a_control_cost_does_not_hide_the_goal_that_no_episode_reached(steps_paid):
    """5% of the starts are paid 1, once or at every step, less a little: 400 sets of 20.

    At a coverage of 95%, 360 or fewer have 1e-5.
    """
    rng, covered, cost = np.random.default_rng(4), 0, (-0.01, 1.0)
    for _ in range(400):
        lucky = (rng.random(20) < 0.05)[:, None] & (np.arange(STEPS) < steps_paid)
        costs = -0.01 * rng.random((20, STEPS)) ** 2
        real, imagined = trajectory(costs + lucky), trajectory(costs)
        averaging = averages(
            world(never, STEPS), real, predictions(real), imagined, discount=1.0, extra_rewards=cost
        )
        total = averaging.mean_term(real.reward.sum(axis=1) - imagined.reward.sum(axis=1))
        value = averaging.mean_return(real.reward.sum(axis=1))
        truth, spent = 0.05 * steps_paid, 0.01 * STEPS / 3
        covered += total.low <= truth <= total.high and value.low <= truth - spent <= value.high
    assert covered > 360


def test_an_end_rule_that_nothing_tested_may_be_wrong_where_returns_vary():
    untested = of(VARIED)
    assert not untested.rare_may_decide
    term = untested.mean_term(np.zeros(20), "termination")
    assert term.low < -20 < 20 < term.high
    assert of(VARIED, termination=never).mean_term(np.zeros(20), "termination").high == 0


def test_an_end_rule_is_known_where_it_was_right_about_an_end():
    real = recorded(VARIED, STEPS)
    real.terminated[3, -1] = True
    wrong = averages(world(ends_sometimes, STEPS), real, predictions(real), real, discount=1.0)
    right = predictions(real)
    right = right._replace(at_real=right.at_real._replace(ended=real.terminated))
    right = averages(world(ends_sometimes, STEPS), real, right, real, discount=1.0)
    assert not wrong.ends_known
    assert right.mean_term(np.zeros(20), "termination").high == 0


def test_returns_that_vary_stay_within_what_the_rewards_allow():
    steps = np.array([175, 180, 200, 185, 260, 195, 205, 217, 300, 500])
    real = trajectory(-1.0 * (np.arange(500) < steps[:, None]))
    averaging = averages(world(ends_sometimes, 500), real, predictions(real), real, discount=1.0)
    value = averaging.mean_return(-1.0 * steps)
    assert -500 <= value.low < -260


@pytest.mark.parametrize(("steps", "discount"), [(1, 1.0), (STEPS, 0.0), (3, 1.0)])
def test_the_rewards_of_a_step_or_a_few_are_no_bounds_of_returns(steps, discount):
    """Log-normal rewards: the largest of ten is not the largest there is."""
    returns = np.random.default_rng(0).lognormal(0, 1.5, 10)
    reward = np.zeros((10, steps))
    reward[:, 0] = returns
    real = trajectory(reward)
    averaging = averages(
        world(ends_sometimes, steps), real, predictions(real), real, discount=discount
    )
    assert averaging.mean_return(returns) == varied_mean(returns)
    assert return_limits(real, discount=discount) is None


def test_many_costly_steps_do_not_make_a_pendulum_sparse():
    """Half of the episodes swing once and cost nearly the same, and recorded steps cost more than
    any of theirs.
    """
    returns = -np.concatenate(
        [np.random.default_rng(5).normal(125, 3, 12), [1, 2, 3, 5, 230, 240, 250, 340]]
    )
    real = trajectory(np.repeat(returns[:, None] / 200, 200, axis=1))
    real.reward[:, 0] -= 11
    returns = real.reward.sum(axis=1)
    averaging = averages(
        world(never, 200), real, predictions(real), real, discount=1.0, extra_rewards=(-16.3, 0.0)
    )
    assert not averaging.rare_may_decide
    value, student = averaging.mean_return(returns), student_mean(returns)
    assert value.high - value.low <= 1.6 * (student.high - student.low)
    assert averaging.mean_term(np.zeros(20), "reward").high == 0


def test_a_world_that_left_all_bounds_does_not_widen_the_real_return():
    sane, wild = of(VARIED), of(VARIED, 1e6 * VARIED)
    assert not wild.rare_may_decide
    assert wild.mean_return(VARIED) == sane.mean_return(VARIED)


def test_reweighted_returns_have_no_known_range():
    reweighted = of(np.zeros(20), PAID, reweighted=True)
    assert not reweighted.rare_may_decide
    assert reweighted.mean_term(np.zeros(20), "termination").high == 0


def test_one_episode_has_no_interval():
    assert of(np.ones(1)).mean_term(np.zeros(1), "dynamics").high == np.inf


def test_a_better_policy_may_fail_where_a_known_failure_was_not_seen():
    """Twenty equal gains of 1, beside recorded rewards of which one is a failure of -1,000."""
    old, new = (recorded(np.full(20, paid), STEPS) for paid in (0.0, 1.0))
    worlds, discount = [world(ends_sometimes, STEPS)] * 2, 1.0
    low, high = rare_bounds([old, new], [np.array([-1000.0])] * 2, worlds, discount=discount)
    assert low <= -1000
    gain = mean(np.ones(20), 0.95, (low - high, high - low))
    assert gain.low < 0 < gain.high
    varied = recorded(VARIED, STEPS)
    assert rare_bounds([varied, varied], [VARIED] * 2, worlds, discount=discount) is None


def test_two_different_returns_are_not_all_that_returns_can_be():
    def bounds_of(returns):
        own = recorded(np.array(returns), STEPS)
        return rare_bounds([own] * 2, [VARIED] * 2, [world(never, STEPS)] * 2, discount=1.0)

    assert bounds_of([-150.0, -230.0]) is None
    assert bounds_of([-150.0, -150.0]) is not None
    assert not of(VARIED[:2]).rare_may_decide


def test_the_known_reward_that_makes_intervals_wide_is_named():
    assert of(VARIED, extra_rewards=(-1e5, 0.0)).unseen_reward == -1e5
    assert of(VARIED / 100, extra_rewards=(-5.0, 1e3)).unseen_reward == 1e3
    assert of(VARIED).unseen_reward is None
    assert of(np.repeat([0.0, 10.0], [12, 8]), extra_rewards=(-1e-3, 0.0)).unseen_reward is None
    assert of(np.zeros(20)).unseen_reward is None


def test_a_given_part_that_was_right_has_no_term_however_rare_episodes_are():
    rare = of(np.zeros(20), PAID)
    assert rare.mean_term(np.zeros(20), "reward").high > 0
    given_parts = of(np.zeros(20), PAID, given=("reward", "termination"))
    assert given_parts.mean_term(np.zeros(20), "reward").high == 0
    assert given_parts.mean_term(np.zeros(20), "termination").high == 0
    assert given_parts.mean_term(np.zeros(20), "dynamics").high > 0
    wrong = np.append(np.zeros(19), 0.5)
    assert given_parts.mean_term(wrong, "reward") == rare.mean_term(wrong, "reward")
    shifted = np.full(20, -0.5)
    assert given_parts.mean_term(shifted, "reward") == rare.mean_term(shifted, "reward")


def test_returns_may_lie_wherever_the_rewards_that_were_recorded_allow():
    episodes = recorded(np.array([2.0, 3.0]), STEPS)
    assert return_limits(episodes, discount=1.0) == (0.0, 3.0 * STEPS)
    assert return_limits(episodes, (-1.0, 5.0), discount=1.0) == (-1.0 * STEPS, 5.0 * STEPS)
    assert return_limits(recorded(np.zeros(2), STEPS), discount=1.0) is None


@pytest.mark.parametrize("average", [mean_without_range, of(np.ones(3)).mean_term])
def test_a_difference_that_is_not_finite_is_no_constant(average):
    with pytest.raises(checks.BadData, match="average: nan at episode 1"):
        average([1.0, np.nan, 1.0])


def test_terms_that_must_hold_together_have_wider_intervals():
    noise = np.random.default_rng(0).normal(size=20)
    for averaging in (of(VARIED), of(VARIED, reweighted=True), of(np.zeros(20), PAID)):
        alone, together = averaging.mean_term(noise), averaging.mean_term(noise, level=0.999)
        assert together.low < alone.low
        assert together.high > alone.high
