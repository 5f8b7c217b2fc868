"""Cautions: where a policy is not to go in imagination, or pays for it; and no other change."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paracosm.core import checks
from paracosm.core.learner import Problem, RecordedRewards
from paracosm.core.mdp import Domain
from paracosm.core.members import draw_members, end_probability
from paracosm.core.networks import MLP
from paracosm.core.policy import Deterministic, SquashedGaussian
from paracosm.core.rollout import returns, rollout
from paracosm.imagination.branches import value_bounds
from paracosm.imagination.caution import (
    Caution,
    EndAtEdge,
    EndInDoubt,
    NoCaution,
    PayForDoubt,
    Priced,
    least_price,
    priced_reward,
)
from paracosm.imagination.evaluation import rewards_in
from paracosm.imagination.training_world import make_training_world
from tests.imagination.imagining import data_of
from tests.imagination.test_branches import STARTS, played
from tests.imagination.test_imagine import HORIZON, INITIAL, KEYS, VISITED, integrator

DATA = data_of(integrator(), INITIAL, VISITED)
REWARDS = RecordedRewards(jnp.asarray(-2.0), jnp.asarray(0.0), jnp.asarray(0.5))
EDGE = Domain(jnp.array([-1.5]), jnp.array([1.5]))
BOUNDED = integrator(dynamics=lambda s, a, key: EDGE.clip(s + 0.5 * a), domain=EDGE)
NOTHING = jnp.zeros(1)


class Apart(eqx.Module):
    """Two integrators that agree within `[-1, 1]`, up to a hair, and go apart beyond."""

    sign: float | None = None

    def members(self, state, action):
        apart = 0.01 + 2 * jax.nn.relu(jnp.abs(state) - 1)
        return jnp.stack([state + 0.5 * action + sign * apart for sign in (-1, 1)])

    def __call__(self, state, action, key):
        members = self.members(state, action)
        return jnp.mean(members, axis=0) if self.sign is None else members[int(self.sign > 0)]

    def draw(self, key):
        return Apart(1.0)


class LogitRule(eqx.Module):
    """Ends where the next state is far, softly; its members are one."""

    center: float = 3.0

    def logit(self, state, action, next_state):
        return next_state[0] - self.center

    def __call__(self, state, action, next_state):
        return self.logit(state, action, next_state) > 0

    def draw(self, key):
        return LogitRule(4.0)


UNSURE = integrator(dynamics=Apart(), reward=lambda s, a, t: 0.1 * t[0], termination=LogitRule())


class Push(eqx.Module):
    """The same action everywhere."""

    action: jax.Array

    def __call__(self, state):
        return self.action


# The edge of the data.


@given(st.floats(-1, 1, width=32), st.floats(0, 3, width=32))
def test_leaving_the_domain_never_pays(push, extra):
    """It is worth no more than staying at the edge, where every reward is at least the worst."""
    world, worst = BOUNDED, -(1.5**2) - 0.01 - extra
    policy = Deterministic(Push(jnp.full(1, push)))
    free = rollout(world, policy, INITIAL, KEYS, HORIZON)
    caught = rollout(at_edge(worst), policy, INITIAL, KEYS, HORIZON)
    left = np.asarray(caught.terminated).any(axis=1)
    free_return, caught_return = (
        np.asarray(returns(episodes.reward, world.discount)) for episodes in (free, caught)
    )
    assert (caught_return[left] <= free_return[left] + 1e-4).all()
    np.testing.assert_allclose(caught_return[~left], free_return[~left], rtol=1e-5)
    np.testing.assert_array_equal(left, np.asarray(EDGE.at_edge(free.next_state)).any(axis=1))


@pytest.mark.parametrize("worst", [-3.0, 2.0])
def test_an_evaluation_scores_episodes_of_the_world_as_the_careful_one_would(worst):
    policy = Deterministic(lambda s: 0.4 * jnp.sign(s))
    free = rollout(BOUNDED, policy, INITIAL, KEYS, HORIZON)
    caught = rollout(at_edge(worst), policy, INITIAL, KEYS, HORIZON)
    assert np.asarray(caught.terminated).any()
    np.testing.assert_allclose(rewards_in(at_edge(worst), free), caught.reward, rtol=1e-5)


def test_a_world_without_a_domain_has_no_edge():
    world = integrator()
    assert EndAtEdge()(world, DATA, REWARDS) is world
    assert NoCaution()(UNSURE, DATA, REWARDS) is UNSURE


def at_edge(worst: float):
    return EndAtEdge()(BOUNDED, DATA, RecordedRewards(least=worst))


# The members' doubt; all recorded states lie where they agree.


@pytest.mark.parametrize(
    ("state", "ends"),
    [(-1.021, True), (-1.019, False), (0.9, False), (1.019, False), (1.021, True)],
)
def test_it_ends_and_pays_where_the_members_disagree_and_nowhere_else(state, ends):
    careful = EndInDoubt()(UNSURE, DATA, REWARDS)
    step = jnp.full(1, state), NOTHING, jnp.full(1, state)
    assert bool(careful.termination(*step)) is ends
    paid = float(careful.reward(*step) - UNSURE.reward(*step))
    np.testing.assert_allclose(paid, 0.9 * 10 * -2.0 if ends else 0, atol=1e-5)


def test_the_price_of_doubt_is_its_weight_in_rewards_at_what_is_usual_and_levels_off():
    careful = PayForDoubt(0.3)(UNSURE, DATA, REWARDS)

    def price(state):
        step = jnp.full(1, state), NOTHING, jnp.full(1, state)
        return float(careful.reward(*step) - UNSURE.reward(*step))

    np.testing.assert_allclose(price(0.5), -0.3 * 0.5 / 1.05, rtol=1e-3)
    assert price(0.5) > price(1.01) > price(1.1) > price(9.0) > -0.3 * 0.5 * 20
    slope = jax.grad(lambda s: careful.reward(s, NOTHING, s))(jnp.full(1, 1.2))
    assert float(slope[0]) < -1, "leaving costs more than it brings"


@pytest.mark.parametrize("caution", [EndInDoubt(), PayForDoubt()])
def test_a_drawn_member_is_still_judged_by_all_of_them(caution):
    careful = draw_members(caution(UNSURE, DATA, REWARDS), KEYS[0])
    assert isinstance(careful.dynamics, Apart)
    assert careful.dynamics.sign == 1.0
    far = jnp.full(1, 2.0), NOTHING, jnp.full(1, 2.0)
    assert float(careful.reward(*far)) < float(UNSURE.reward(*far)) - 0.5
    chance = float(end_probability(careful.termination, jnp.zeros(1), NOTHING, jnp.full(1, 3.5)))
    np.testing.assert_allclose(chance, 1 / (1 + np.exp(0.5)), rtol=1e-5)
    surely = end_probability(careful.termination, *far)
    assert (float(surely) > 0.999) is isinstance(caution, EndInDoubt)


def test_branches_earn_clipped_rewards_and_pay_the_whole_price():
    careful = PayForDoubt(0.3)(UNSURE, DATA, REWARDS)
    task = Problem(UNSURE, careful, STARTS, 3, jnp.asarray(1e-2), REWARDS)
    network = MLP(1, 2, 8, 1, KEYS[0])
    branches = played(SquashedGaussian(network, UNSURE.spec.action), task, steps=2)
    before, after = (
        np.asarray(leaf)[..., 0] for leaf in (branches.state, branches.steps.next_state)
    )
    apart = np.sqrt((0.01 + 2 * np.maximum(np.abs(before) - 1, 0)) ** 2 + 1e-12)
    price = 0.3 * 0.5 * apart / (0.01 + apart / 20)
    expected = (np.clip(0.1 * after, -2, 0) - price) / 0.5
    np.testing.assert_allclose(branches.steps.reward, expected, rtol=1e-3, atol=1e-4)
    longest = np.sum(0.9 ** np.arange(HORIZON))
    low, high = value_bounds(task)
    np.testing.assert_allclose(low, -(2.0 + 0.3 * 0.5 * 20) / 0.5 * longest, rtol=1e-5)
    assert float(high) == 0.0


def test_a_caution_of_ones_own_may_be_two_of_them():
    bounded = UNSURE.replace(domain=Domain(-jnp.ones(1), jnp.ones(1)))
    careful = PayForDoubt(0.3)(EndAtEdge()(bounded, DATA, REWARDS), DATA, REWARDS)
    step = jnp.full(1, 2.0), NOTHING, jnp.full(1, 2.0)
    reward, price = priced_reward(careful.reward, *step)
    np.testing.assert_allclose(reward, 0.2, rtol=1e-5)
    alone = [caution(bounded, DATA, REWARDS) for caution in (EndAtEdge(), PayForDoubt(0.3))]
    expected = sum(priced_reward(world.reward, *step)[1] for world in alone)
    np.testing.assert_allclose(price, expected, rtol=1e-5)
    np.testing.assert_allclose(least_price(careful.reward), -0.3 * 0.5 * 20, rtol=1e-6)
    assert bool(careful.termination(*step))


class Given(Caution):
    """A caution of one's own: it makes of the world what a function makes of it."""

    change: object

    def __call__(self, world, data, rewards):
        return self.change(world)


def made_by(change):
    return make_training_world(Given(change), UNSURE, DATA, REWARDS)


def test_a_reward_of_a_cautions_own_is_clipped_from_above_alone():
    """The recorded rewards end at 0 and -2; what is taken off is far below and is kept."""

    def far(state, action, next_state):
        return UNSURE.reward(state, action, next_state) - 10.0 * (next_state[0] < 0.5)

    world = made_by(lambda world: world.replace(reward=far))
    task = Problem(UNSURE, world, STARTS, 6, jnp.asarray(1e-2), REWARDS, explore=jnp.asarray(0.0))
    network = MLP(1, 2, 8, 1, KEYS[0])
    branches = played(SquashedGaussian(network, UNSURE.spec.action), task, steps=2)
    after = np.asarray(branches.steps.next_state)[..., 0]
    expected = np.minimum(0.1 * after - 10.0 * (after < 0.5), 0) / 0.5
    assert (after < 0.5).any()
    np.testing.assert_allclose(branches.steps.reward, expected, rtol=1e-4, atol=1e-4)
    low, high = value_bounds(task)
    assert (float(low), float(high)) == (-np.inf, 0)
    step = jnp.full(1, 0.2), NOTHING, jnp.full(1, 0.3)
    np.testing.assert_allclose(world.reward(*step), far(*step), rtol=1e-6)
    exploring = eqx.tree_at(lambda task: task.explore, task, jnp.asarray(1.0))
    assert float(value_bounds(exploring)[0]) == 0


@pytest.mark.parametrize("reward", [-20.0, -1.0, 1.5, 20.0])
@pytest.mark.parametrize(
    "change",
    [lambda reward: jnp.clip(reward, -2, 0), lambda reward: 0.5 * reward],
    ids=["clip", "half"],
)
def test_what_a_caution_makes_of_a_reward_is_never_paid_more_than_it_says(reward, change):
    rule = made_by(lambda world: world.replace(reward=lambda s, a, t: change(jnp.asarray(reward))))
    step = jnp.full(1, 0.2), NOTHING, jnp.full(1, 0.3)
    earned, price = priced_reward(rule.reward, *step)
    paid = np.clip(earned, REWARDS.least, REWARDS.most) + price
    np.testing.assert_allclose(paid, min(float(change(reward)), 0.0))
    assert float(rule.reward(*step)) == float(change(reward))


def test_a_member_of_a_reward_of_a_cautions_own_is_drawn():
    class Both(eqx.Module):
        def __call__(self, state, action, next_state):
            return jnp.asarray(-2.0)

        def draw(self, key):
            return lambda state, action, next_state: jnp.asarray(-5.0)

    world = draw_members(made_by(lambda world: world.replace(reward=Both())), KEYS[0])
    step = jnp.full(1, 0.2), NOTHING, jnp.full(1, 0.3)
    assert tuple(map(float, priced_reward(world.reward, *step))) == (-5.0, -3.0)


def test_a_reward_that_is_priced_or_left_as_it_is_stays_so():
    assert make_training_world(NoCaution(), UNSURE, DATA, REWARDS) is UNSURE
    price = Priced(UNSURE.reward, lambda s, a, t: -0.1 * a[0] ** 2, jnp.asarray(-0.1))
    assert made_by(lambda world: world.replace(reward=price)).reward is price


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda world: None, r"what the caution Given gives is None; an MDP is needed"),
        (lambda world: world.replace(discount=0.1), r"discount is 0\.1; .*0\.9"),
        (
            lambda world: world.replace(spec=dataclasses.replace(world.spec, horizon=3)),
            rf"horizon is 3; that of the learned world, {HORIZON}, is needed",
        ),
        (
            lambda world: world.replace(reward=lambda s, a, t: t),
            r"the world of the caution Given's reward has the shape \(1,\)",
        ),
    ],
)
def test_what_a_caution_of_ones_own_gives_is_checked_with_its_name(change, message):
    with pytest.raises(checks.ParacosmError, match=message):
        made_by(change)


def test_a_learned_part_that_fails_is_not_blamed_on_the_caution():
    broken = BOUNDED.replace(reward=lambda s, a, t: t)
    with pytest.raises(checks.BadData, match=r"^the world's reward has the shape"):
        make_training_world(EndAtEdge(), broken, DATA, REWARDS)


def test_doubt_needs_members():
    for caution in (EndInDoubt(), PayForDoubt()):
        with pytest.raises(checks.BadArgument, match="of no members"):
            caution(integrator(), DATA, REWARDS)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(checks.BadArgument, match="it must"):
            EndInDoubt(wrong)
        with pytest.raises(checks.BadArgument, match="it must"):
            PayForDoubt(wrong)
