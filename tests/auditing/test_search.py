"""What other searches bound from below: never more than the truth, and most of it."""

import dataclasses
import inspect
import math
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import paracosm
from paracosm.auditing.search import Candidate, search_share
from paracosm.core import checks
from paracosm.core.mdp import Box, Discrete, Spec
from paracosm.core.policy import Deterministic
from paracosm.imagination.planners import MPPI, GradientPlanner
from paracosm.real.systems import Gain, linear_quadratic, pendulum
from paracosm.reporting import search_words
from tests.imagination.imagining import LABELLED, data_of

KEY = jax.random.key(0)
HORIZON, STARTS = 25, 256


def riccati(world, steps):
    """The cost of the best feedback with so many steps to go, and its last gain."""
    A, B = (np.asarray(part, np.float64) for part in (world.dynamics.A, world.dynamics.B))
    Q, R = (np.asarray(part, np.float64) for part in (world.reward.Q, world.reward.R))
    cost, gain = np.zeros_like(Q), np.zeros(B.T.shape)
    for _ in range(steps):
        gain = np.linalg.solve(R + B.T @ cost @ B, B.T @ cost @ A)
        cost = Q + A.T @ cost @ (A - B @ gain)
    return cost, gain


def best_returns(world, starts):
    """The largest return of any policy, `[start]`."""
    return -np.einsum("ni,ij,nj->n", starts, riccati(world, HORIZON)[0], starts)


def system(seed):
    """A system, a random feedback in it, and starts."""
    norms = (0.9, 0.5, 0.38)
    world, policy = linear_quadratic(
        jax.random.fold_in(KEY, seed), norms=norms, discount=1.0, horizon=HORIZON
    )
    keys = jax.random.split(jax.random.fold_in(KEY, 100 + seed), STARTS)
    return world, policy, np.asarray(jax.vmap(world.initial)(keys))


@pytest.mark.parametrize("systems", [1, pytest.param(20, marks=pytest.mark.full)])
def test_the_bound_is_never_above_the_true_share_and_most_of_it(systems):
    shares = []
    for seed in range(systems):
        world, policy, starts = system(seed)
        planners = {"mppi": MPPI(world), "gradient": GradientPlanner(world)}
        share = search_share(
            world,
            policy,
            {name: Candidate(way, way.imagined_steps) for name, way in planners.items()},
            starts,
            horizon=HORIZON,
            discount=1.0,
            key=KEY,
            real=world,
        )
        true = best_returns(world, starts).mean() - share.imagined.mean
        assert 0 <= share.least <= true
        assert share.leads
        assert share.best in planners
        assert share.regret is not None
        np.testing.assert_allclose(share.regret.model.mean, 0, atol=1e-5)
        np.testing.assert_allclose(share.regret.gap.mean, 0, atol=1e-5)
        np.testing.assert_allclose(share.regret.total.mean, share.regret.search.mean, rtol=1e-5)
        shares.append(share.least / true)
    assert np.median(shares) >= 0.7


def audited(world, policy, searches):
    """The audit of a policy in an exact world."""
    episodes = paracosm.evaluate(world, policy, episodes=16)
    options = {"certify": False, "dimensions": False, "most_search_steps": math.inf}
    return paracosm.audit(world, policy, episodes, searches=searches, **options)


def test_a_poor_policy_in_an_exact_world_is_a_failure_of_its_search():
    world, policy, _ = system(2)
    diagnosis = audited(world, policy, {"mppi": MPPI(world)})
    assert diagnosis.decision.kind == "rounding"
    assert diagnosis.search is not None
    assert diagnosis.search.leads
    assert diagnosis.verdict.startswith("In imagination the search left more")


@pytest.mark.full
def test_policies_stopped_early_in_an_exact_world_are_failures_of_their_search():
    world = pendulum()
    starts = np.asarray(jax.vmap(world.initial)(jax.random.split(KEY, 64)))
    learned = paracosm.Learned(world, {"reward": LABELLED})
    settings = paracosm.ImagineSettings(rollouts=32, check=2, most_steps=4)
    blamed = 0
    for seed in range(20):
        early = paracosm.imagine(
            learned, data_of(world, starts, starts, -16.3), seed=seed, settings=settings
        )
        diagnosis = audited(world, early.policy, {"mppi": MPPI(world)})
        assert diagnosis.search is not None
        blamed += diagnosis.search.leads
    assert blamed >= 19


def test_no_search_is_blamed_where_none_is_better():
    world, _, _ = system(0)
    best = Deterministic(Gain(jnp.asarray(riccati(world, HORIZON)[1], jnp.float32)))
    diagnosis = audited(world, best, {"mppi": MPPI(world), "itself": best})
    share = diagnosis.search
    assert share is not None
    assert share.best is None
    assert not share.leads
    assert "the search left" not in diagnosis.verdict
    assert "nothing says that its search is to blame" in diagnosis.explanation
    assert share.trials[1].better_by.mean == 0
    assert share.imagined_steps == 16 * HORIZON * (MPPI(world).imagined_steps + 2)
    assert paracosm.Diagnosis.from_json(diagnosis.to_json()) == diagnosis


def _without_derivative(state, action, after):
    return jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct((), jnp.float32), after[0])


def _paying(state, action, after):
    """1 for the action 1, nothing for any other."""
    return jnp.where(action[0] == 1, 1.0, 0.0)


@pytest.mark.parametrize(("starts", "least"), [(20, 0.5), (4, 0)])
def test_a_search_that_fails_from_every_start_is_blamed_where_starts_are_enough(starts, least):
    spec = Spec(1, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(1), 1)
    world = paracosm.MDP(spec, lambda s, a, key: s, _paying, paracosm.never, jnp.zeros, 1.0)
    idle, best = (Deterministic(lambda state, to=to: jnp.full(1, to)) for to in (0.0, 1.0))
    share = search_share(
        world,
        idle,
        {"best": Candidate(best), "itself": Candidate(idle)},
        np.arange(starts, dtype=np.float32)[:, None],
        horizon=1,
        discount=1.0,
        key=KEY,
        real=world,
    )
    assert least <= share.least < 1
    assert share.leads is (least > 0)
    assert [trial.alike for trial in share.trials] == [True, False]
    assert ("if no start is worth more or less" in search_words.sentence(share)) is (least > 0)
    assert share.trials[1].better_by.low == -math.inf, "nothing was ever paid: no range is known"
    assert share.regret is not None
    assert share.regret.search == share.regret.total == share.trials[0].better_by


def _asleep(state, action, key):
    return state


def _rarely_one(state, action, key):
    return (jax.random.uniform(key, (1,)) < 1e-6) * 1.0


@pytest.mark.parametrize(
    ("dynamics", "starts", "exact"),
    [(_asleep, 1, False), (_asleep, 8, True), (_rarely_one, 8, False)],
)
def test_only_several_equal_starts_without_a_draw_leave_nothing_to_chance(dynamics, starts, exact):
    """One start was taken for all, and an event that was not drawn for one that there is not."""
    spec = Spec(1, Box(-jnp.ones(1), jnp.ones(1)), jnp.ones(1), 2)
    world = paracosm.MDP(spec, dynamics, _product, paracosm.never, jnp.zeros, 1.0)
    idle, other = (Deterministic(lambda state, to=to: jnp.full(1, to)) for to in (0.0, 1.0))
    share = search_share(
        world,
        idle,
        {"other": Candidate(other)},
        np.full((starts, 1), 1.5, np.float32),
        horizon=2,
        discount=1.0,
        key=KEY,
    )
    (trial,) = share.trials
    assert (share.imagined.low == share.imagined.high == 0) is exact
    assert (trial.better_by.low == trial.better_by.high) is exact
    assert share.leads is (starts > 1)
    assert (share.least > 0) is (starts > 1)


def _product(state, action, after):
    return state[0] * action[0]


def test_what_cannot_be_searched_is_said():
    world, policy, starts = system(0)
    options = {"horizon": HORIZON, "discount": 1.0, "key": KEY}
    with pytest.raises(checks.BadArgument, match="no other search is given"):
        search_share(world, policy, {}, starts, **options)
    grows = world.replace(dynamics=lambda s, a, key: 1e30 * s)
    with pytest.raises(checks.BadData, match="a return of the policy in the learned world is"):
        search_share(grows, policy, {"itself": Candidate(policy)}, starts, **options)
    unlike = dataclasses.replace(world.spec, action=Discrete(3))
    discrete = world.replace(spec=unlike, dynamics=lambda s, a, key: s, reward=_without_derivative)
    with pytest.raises(checks.BadArgument, match="gradient planning needs continuous ones"):
        GradientPlanner(discrete)
    steep = world.replace(reward=_without_derivative)
    for planner, sentence in (
        (MPPI(discrete), r"has the shape \(\) for one step; \(2,\) is needed"),
        (GradientPlanner(steep), r"cannot be had for one step: ValueError, Pure callbacks"),
    ):
        with pytest.raises(checks.BadData, match=rf"the action of mine {sentence}"):
            search_share(world, policy, {"mine": Candidate(planner)}, starts, **options)
    episodes = paracosm.evaluate(world, policy, episodes=4)
    searches = {"mppi": MPPI(world)}
    with pytest.raises(checks.BadArgument, match="cost more imagined steps than the 1,000"):
        paracosm.audit(world, policy, episodes, searches=searches, most_search_steps=1000)
    with pytest.raises(checks.BadArgument, match="beside episodes of samples"):
        paracosm.audit(world, policy, episodes, searches=searches, sampled=True)
    with pytest.raises(checks.BadArgument, match=r"searches\['none'\] is None"):
        inspect.unwrap(paracosm.audit)(world, policy, episodes, searches=cast(Any, {"none": None}))
