"""Planners: what they search is worth what a rollout returns, and they find what is known best."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.core import checks
from paracosm.core.mdp import MDP, Box, Discrete, Spec, never
from paracosm.core.policy import Policy
from paracosm.core.precision import in_double
from paracosm.core.rollout import returns, rollout
from paracosm.imagination.planners import CEM, MPPI, GradientPlanner, Planner
from paracosm.real.systems import pendulum

KEY = jax.random.key(0)
A, B, Q, R = 1.0, 0.5, 1.0, 0.1
HORIZON = 12
LINE = MDP(
    spec=Spec(1, Box(-3 * jnp.ones(1), 3 * jnp.ones(1)), jnp.ones(1), HORIZON),
    dynamics=lambda s, a, key: A * s + B * a,
    reward=lambda s, a, t: -Q * s[0] ** 2 - R * a[0] ** 2,
    termination=never,
    initial=lambda key: jax.random.uniform(key, (1,), minval=-2.0, maxval=2.0),
    discount=1.0,
)
STARTS = jnp.linspace(-2, 2, 9)[:, None]


class Corridor(eqx.Module):
    """Cells 0 to 9: left, stay, right; a step into cell 9 ends with a reward of 10, each other one
    costs 1, and cell 0 pays 1 for staying: the nearer reward is a trap.
    """

    def dynamics(self, state, action, key):
        return jnp.clip(state + action - 1, 0, 9).astype(state.dtype)

    def reward(self, state, action, after):
        return jnp.where(after[0] >= 9, 10.0, jnp.where(after[0] <= 0, 0.5, -1.0))

    def termination(self, state, action, after):
        return after[0] >= 9


CORRIDOR = MDP(
    spec=Spec(1, Discrete(3), jnp.ones(1), 15),
    dynamics=Corridor().dynamics,
    reward=Corridor().reward,
    termination=Corridor().termination,
    initial=lambda key: jnp.full(1, 3.0),
    discount=1.0,
)
PLANNERS = {
    "cem": CEM,
    "mppi": MPPI,
    "gradient": GradientPlanner,
}


def riccati(steps: int) -> list[float]:
    """The best linear feedback with so many steps to go, 1 first."""
    cost, gains = 0.0, []
    for _ in range(steps):
        gains.append(A * B * cost / (R + B * B * cost))
        cost = Q + A * A * cost - A * B * cost * gains[-1]
    return gains


@pytest.mark.parametrize("name", PLANNERS)
def test_the_first_action_is_that_of_riccatis_equation(name):
    options = {"iterations": 40} if name == "gradient" else {"iterations": 8, "plans": 256}
    planner = PLANNERS[name](LINE, steps=6, **options).greedy()
    gain = riccati(6)[-1]
    plans = jax.jit(jax.vmap(lambda s: planner.search(planner.initial(), s, KEY)))(STARTS)
    action = jax.vmap(planner.action)(plans.plan[:, 0])
    off = np.abs(np.asarray(action)[:, 0] + gain * np.asarray(STARTS)[:, 0])
    assert off.max() < {"gradient": 0.1, "cem": 0.15, "mppi": 0.3}[name], "of actions up to 3"
    assert (plans.value >= plans.values[:, 0].max(axis=-1) - 0.02).all(), "it got better"


@pytest.mark.parametrize("space", [Box(-jnp.ones(1), jnp.ones(1)), Discrete(3)])
@pytest.mark.parametrize("name", ["cem", "mppi"])
def test_of_two_ways_past_an_obstacle_one_is_gone_and_not_their_mean(name, space):
    step = lambda a: a[0] if isinstance(space, Box) else a - 1.0  # noqa: E731
    world = LINE.replace(
        spec=Spec(1, space, jnp.ones(1), HORIZON),
        dynamics=lambda s, a, key: s + step(a),
        reward=lambda s, a, t: jnp.minimum(jnp.abs(t[0]), 2.0),
    )
    planner = PLANNERS[name](world, steps=6)
    keys = jax.random.split(KEY, 50)
    search = jax.vmap(lambda key: planner.search(planner.initial(), jnp.zeros(1), key))(keys)
    assert (search.value >= search.values.max(axis=(1, 2))).all()
    assert (search.value > 6).all(), "of at most 11; what the middle pays is 0"


@pytest.mark.parametrize("name", ["cem", "mppi"])
def test_plans_whose_rewards_are_not_numbers_are_left_alone(name):
    world = LINE.replace(reward=lambda s, a, t: jnp.where(jnp.abs(t[0]) > 1.2, jnp.nan, t[0]))
    planner = PLANNERS[name](world, steps=6)
    search = planner.search(planner.initial(), jnp.zeros(1), KEY)
    assert search.value >= search.values.max()
    assert search.value > 5, "of at most 7.2"
    assert jnp.isfinite(search.plan).all()


def test_slopes_that_are_not_numbers_move_no_plan():
    """The best reward is beside where the root has no value; from there on only NaN comes."""
    world = LINE.replace(reward=lambda s, a, t: jnp.sqrt(t[0] + 1.5) - 2 * t[0])
    for iterations in (1, 10, 40):
        planner = GradientPlanner(world, steps=6, iterations=iterations)
        search = planner.search(planner.initial(), jnp.zeros(1), KEY)
        finite = jnp.isfinite(search.values)
        assert finite.any()
        assert jnp.isfinite(search.plan).all()
        assert search.value >= jnp.max(search.values[-1], where=finite[-1], initial=-jnp.inf)
    cliff = LINE.replace(reward=lambda s, a, t: jnp.where(t[0] > 0.5, jnp.nan, t[0]))
    search = GradientPlanner(cliff, steps=1, plans=1, rate=0.5).search(
        jnp.zeros((1, 1)), jnp.zeros(1), KEY
    )
    assert not jnp.isfinite(search.values[-1]).any()
    assert (search.plan, search.value) == (0, 0)


def test_a_choice_that_was_settled_on_is_looked_at_again():
    planner = MPPI(CORRIDOR, steps=12)
    left = jax.nn.one_hot(jnp.zeros(12, int), 3)
    first = planner._draw_choices(left, jnp.full_like(left, 0.5), KEY)[1:, 0]
    assert 0.15 < float(jnp.mean(jnp.argmax(first, axis=1) != 0)) < 0.5, "a third is expected"


@pytest.mark.parametrize("name", PLANNERS)
def test_a_plan_is_worth_what_a_rollout_of_it_returns(name):
    world = pendulum().replace(discount=0.9)
    value = lambda state: 3.0 * state[0]  # noqa: E731
    planner = PLANNERS[name](world, value=value, steps=7)
    plan = jax.random.uniform(KEY, (7, 1), minval=-1.0)
    state = world.initial(KEY)

    class Recorded(Policy):
        def initial(self):
            return jnp.zeros((), int)

        def act(self, carry, state, key):
            return planner.action(plan[carry]), carry + 1

        def greedy(self):
            return self

    played = rollout(world, Recorded(), state[None], jax.random.split(KEY, 1), 7)
    expected = returns(played.reward, 0.9)[0] + 0.9**7 * value(played.next_state[0, -1])
    np.testing.assert_allclose(planner.worth(plan, state), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["cem", "mppi"])
def test_among_discrete_actions_it_goes_for_the_goal_past_a_nearer_reward(name):
    planner = PLANNERS[name](CORRIDOR, steps=12, plans=256, iterations=4).greedy()
    played = rollout(CORRIDOR, planner, jnp.full((1, 1), 3.0), jax.random.split(KEY, 1), 15)
    assert bool(np.asarray(played.terminated).any())
    assert float(returns(played.reward, 1.0)[0]) == 10.0 - 5


@pytest.mark.parametrize("name", PLANNERS)
def test_the_last_plan_is_where_the_next_search_starts(name):
    planner: Planner = PLANNERS[name](LINE, steps=4).greedy()
    plan = planner.search(planner.initial(), STARTS[0], KEY).plan
    action, carry = planner.act(planner.initial(), STARTS[0], KEY)
    np.testing.assert_allclose(action, planner.action(plan[0]), rtol=1e-6)
    np.testing.assert_allclose(carry[:-1], plan[1:], rtol=1e-6)
    assert not np.asarray(carry[-1]).any()


@pytest.mark.parametrize("name", PLANNERS)
def test_greedy_searches_alike_at_every_key_and_in_64_bits(name):
    planner: Planner = PLANNERS[name](LINE, steps=4).greedy()
    other_key = jax.random.key(7)
    first, second = (planner.act(planner.initial(), STARTS[1], key)[0] for key in (KEY, other_key))
    np.testing.assert_array_equal(first, second)
    drawn = dataclasses.replace(planner, deterministic=False)
    assert not np.array_equal(
        *(drawn.act(drawn.initial(), STARTS[1], key)[0] for key in (KEY, other_key))
    )
    with jax.enable_x64(True):
        exact = in_double(planner)
        twice = exact.act(exact.initial(), np.asarray(STARTS[1], np.float64), other_key)[0]
    np.testing.assert_allclose(first, twice, rtol=1e-3)


def test_what_no_planner_can_do_is_refused():
    with pytest.raises(checks.BadArgument, match="needs continuous ones"):
        GradientPlanner(CORRIDOR)
    with pytest.raises(checks.BadArgument, match="elites is 9"):
        CEM(LINE, plans=8, elites=9)
    with pytest.raises(checks.BadArgument, match="world is"):
        MPPI("pendulum")
    for wrong in ({"steps": 0}, {"plans": 1}, {"iterations": 0}, {"temperature": 0.0}):
        with pytest.raises(checks.BadArgument, match=f"{next(iter(wrong))} is"):
            MPPI(LINE, **wrong)
