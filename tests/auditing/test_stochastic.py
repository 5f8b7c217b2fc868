"""Stochastic worlds and policies, other policies' episodes, both orders: unbiased against the known
truth.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm.auditing.attribution import attribute
from paracosm.auditing.importance import importance
from paracosm.auditing.one_step import predict_steps
from paracosm.auditing.subject import AuditSubject
from paracosm.core import checks
from paracosm.core.data import Trajectory
from paracosm.core.mdp import MDP, Box, Spec, never
from paracosm.core.policy import Deterministic, StochasticPolicy
from paracosm.core.rollout import rollout
from paracosm.loop.auditing import audit
from tests.auditing.worlds import Case
from tests.statistical import assert_mean

HORIZON, DISCOUNT, NOISE = 8, 0.9, 0.3


class Drift(eqx.Module):
    """`s' = 0.8 s + a + b + 0.3 z`: its return in a linear reward is known."""

    push: jax.Array

    def __call__(self, state, action, key):
        return 0.8 * state + action + self.push + NOISE * jax.random.normal(key, state.shape)


class Paid(eqx.Module):
    """`r = w s' + b`."""

    bonus: jax.Array

    def __call__(self, state, action, next_state):
        return next_state[0] + self.bonus


class Spread(StochasticPolicy):
    """`a = -0.2 s + m + 0.5 z`."""

    mean: jax.Array

    def sample(self, state, key):
        return self.mode(state) + 0.5 * jax.random.normal(key, state.shape)

    def mode(self, state):
        return -0.2 * state + self.mean

    def log_prob(self, state, action):
        return jnp.sum(-0.5 * ((action - self.mode(state)) / 0.5) ** 2)

    def entropy(self, state):
        return jnp.zeros(())


def task(push, bonus):
    spec = Spec(1, Box(-np.ones(1) * 9, np.ones(1) * 9), np.ones(1), HORIZON)
    return MDP(
        spec,
        Drift(np.float64(push)),
        Paid(np.float64(bonus)),
        never,
        lambda key: jax.random.normal(key, (1,)),
        DISCOUNT,
    )


def expected_return(push, bonus, mean, start=0.0):
    """`E Σ γ^t (s_{t+1} + b)` with `E s' = 0.6 E s + m + push`."""
    state, total = start, 0.0
    for t in range(HORIZON):
        state = 0.6 * state + mean + push
        total += DISCOUNT**t * (state + bonus)
    return total


REAL, WORLD, POLICY = (0.1, 0.0), (0.25, -0.2), 0.3
TRUTH = {
    "reward": expected_return(*REAL, POLICY) - expected_return(REAL[0], WORLD[1], POLICY),
    "dynamics": expected_return(REAL[0], WORLD[1], POLICY) - expected_return(*WORLD, POLICY),
    "total": expected_return(*REAL, POLICY) - expected_return(*WORLD, POLICY),
}


def episodes_of(mdp, policy, key, count):
    starts, keys = jax.random.split(key), jax.random.split(jax.random.fold_in(key, 1), count)
    initial = jax.vmap(mdp.initial)(jax.random.split(starts[0], count))
    return jax.tree.map(np.asarray, rollout(mdp, policy, initial, keys, HORIZON))


def replications(count, episodes=20):
    """`[count, episodes]` of every term, each replication's episodes and noise its own."""
    with jax.enable_x64(True):
        real, world, policy = task(*REAL), task(*WORLD), Spread(np.full(1, POLICY))
        lived = episodes_of(real, policy, jax.random.key(0), count * episodes)
        key = jax.random.key(1)
        predictions = predict_steps(world, policy, lived, key, mode=False)
        terms = attribute(AuditSubject(world, policy, lived, predictions, key, (DISCOUNT,)))
    sums = {
        cause: getattr(terms, cause).sum(axis=1) for cause in ("reward", "termination", "dynamics")
    }
    sums["total"] = sum(sums.values())
    return {cause: term.reshape(count, episodes) for cause, term in sums.items()}


@pytest.mark.parametrize("count", [400, pytest.param(4000, marks=pytest.mark.full)])
def test_terms_are_unbiased_and_intervals_cover(count):
    """Nominal 95% covers between 93% and 97% over 4,000 replications (and between 92% and 98% over
    400).
    """
    terms = replications(count)
    assert not terms["termination"].any()
    for cause, truth in TRUTH.items():
        assert_mean(terms[cause].reshape(-1), truth, rounding=1e-9)
    for cause in ("dynamics", "total"):
        mean, spread = terms[cause].mean(axis=1), terms[cause].std(axis=1, ddof=1)
        covered = np.abs(mean - TRUTH[cause]) <= 2.093024 * spread / np.sqrt(
            20
        )  # Student t, 19 degrees of freedom
        low, high = (0.93, 0.97) if count == 4000 else (0.92, 0.98)
        assert low <= covered.mean() <= high


def test_the_audit_of_a_stochastic_policy_covers_the_truth():
    with jax.enable_x64(True):
        real, world, policy = task(*REAL), task(*WORLD), Spread(np.full(1, POLICY))
        lived = episodes_of(real, policy, jax.random.key(4), 400)
    diagnosis = audit(world, policy, lived, discount=DISCOUNT, sampled=True)
    for cause, truth in TRUTH.items():
        term = getattr(diagnosis.gap, cause)
        assert abs(term.mean - truth) <= 2.5 * (term.high - term.low) / 2 + 1e-9, (
            cause
        )  # 4.9 standard errors
    assert "on average" in diagnosis.precision
    with pytest.raises(checks.BadData, match="are not those of the policy to be audited"):
        audit(world, policy, lived)


@pytest.mark.full
def test_episodes_of_another_policy_stand_for_ours():
    with jax.enable_x64(True):
        real, world, policy = task(*REAL), task(*WORLD), Spread(np.full(1, POLICY))
        recorder = Spread(np.full(1, POLICY - 0.1))
        lived = episodes_of(real, recorder, jax.random.key(5), 2000)
        weighted = importance(policy, recorder, lived, DISCOUNT)
        assert_mean(weighted.weights, np.ones(HORIZON))
        assert 200 < weighted.effective < 2000
        same = importance(recorder, recorder, lived, DISCOUNT)
        assert same.effective == pytest.approx(2000)
    diagnosis = audit(world, policy, lived, discount=DISCOUNT, recorded_by=recorder)
    assert diagnosis.effective_episodes == pytest.approx(weighted.effective)
    for cause, truth in TRUTH.items():
        term = getattr(diagnosis.gap, cause)
        assert abs(term.mean - truth) <= 2.5 * (term.high - term.low) / 2 + 1e-9, cause
    share = diagnosis.dynamics_by_dimension.dimensions[0]
    assert abs(share.mean - TRUTH["dynamics"]) <= 2.5 * (share.high - share.low) / 2
    assert diagnosis.informative_horizon is None
    assert diagnosis.closure < 1e-12
    assert "their sum says nothing" in diagnosis.precision
    unweighted = audit(world, recorder, lived, discount=DISCOUNT, sampled=True)
    assert unweighted.gap.real.mean < diagnosis.gap.real.mean


def test_the_effective_number_sees_late_steps_that_are_worthless():
    """Log-ratios of spread 0.6 a step: at step t about `N e^{-0.36 t}` episodes are left."""
    with jax.enable_x64(True):
        policy, recorder = Spread(np.full(1, 0.0)), Spread(np.full(1, 0.3))
        real = task(*REAL)
        starts = jax.vmap(real.initial)(jax.random.split(jax.random.key(0), 400))
        keys = jax.random.split(jax.random.key(1), 400)
        lived = jax.tree.map(np.asarray, rollout(real, recorder, starts, keys, 100))
        with pytest.raises(checks.BadData, match="are worth"):
            importance(policy, recorder, lived, 0.99)


def test_weights_that_lack_the_large_ones_are_refused_however_many_episodes_they_are_worth():
    """Log-ratios of spread 0.3 a step: after 100 steps a few weights make the mean, and of 200
    episodes that hold none of them more than ten seem to be left.
    """
    policy, recorder = Spread(np.zeros(1)), Spread(np.full(1, 0.15))
    noise = np.random.default_rng(11).normal(size=(200, 100, 1))
    no = np.zeros(noise.shape[:2], bool)
    state = np.zeros_like(noise)
    lived = Trajectory(state, 0.15 + 0.5 * noise, state, np.zeros(no.shape), no, no, ~no)
    with jax.enable_x64(True), pytest.raises(checks.BadData, match="1 is known to be right"):
        importance(policy, recorder, lived, 1.0)


def test_policies_that_are_nearly_the_same_are_never_refused():
    """The mean weight is within rounding of 1, and beyond its interval in one set of ten."""
    policy, recorder = Spread(np.zeros(1)), Spread(np.full(1, 1e-3))
    for seed in range(30):
        noise = np.random.default_rng(seed).normal(size=(20, 10, 1))
        no, state = np.zeros((20, 10), bool), np.zeros_like(noise)
        lived = Trajectory(state, 1e-3 + 0.5 * noise, state, np.zeros(no.shape), no, no, ~no)
        with jax.enable_x64(True):
            assert importance(policy, recorder, lived, 1.0).effective > 19


def test_too_few_episodes_worth_are_refused():
    with jax.enable_x64(True):
        real, world = task(*REAL), task(*WORLD)
        far = Spread(np.full(1, POLICY - 1.5))
        lived = episodes_of(real, far, jax.random.key(6), 50)
    with pytest.raises(
        checks.BadData,
        match=r"the 50 episodes of the other policy are worth .* at least 10 are needed",
    ):
        audit(world, Spread(np.full(1, POLICY)), lived, recorded_by=far)
    with pytest.raises(
        checks.BadArgument, match="the policy is a Deterministic, which has no density"
    ):
        audit(world, Deterministic(lambda s: s), lived, recorded_by=far)


@pytest.mark.parametrize("kind", ["linear", "smooth", "ending"])
def test_both_orders_are_the_swaps_and_their_mean(kind):
    with jax.enable_x64(True):
        case = Case(kind, 2, episodes=12)
        real, world = case.real, case.world
        diagnosis = audit(
            world,
            case.policy,
            case.episodes,
            discount=world.discount,
            reward=real.reward,
            certify=False,
        )
        corners = {
            name: case.returns(mdp).mean()
            for name, mdp in {
                "real": real,
                "world": world,
                "real, learned reward": real.replace(reward=world.reward),
                "world, real reward": world.replace(reward=real.reward),
            }.items()
        }
    orders = diagnosis.orders
    expected = {
        "reward_at_real": corners["real"] - corners["real, learned reward"],
        "reward_at_imagined": corners["world, real reward"] - corners["world"],
        "model_at_imagined": corners["real, learned reward"] - corners["world"],
        "model_at_real": corners["real"] - corners["world, real reward"],
    }
    for name, value in expected.items():
        assert getattr(orders, name).mean == pytest.approx(value, rel=1e-9, abs=1e-12)
    total = orders.reward_shapley.mean + orders.model_shapley.mean
    assert total == pytest.approx(corners["real"] - corners["world"], rel=1e-9, abs=1e-12)
    assert orders.reward_shapley.mean == pytest.approx(
        (expected["reward_at_real"] + expected["reward_at_imagined"]) / 2
    )


def test_noise_of_the_world_differs_by_step():
    with jax.enable_x64(True):
        world, policy = task(*WORLD), Spread(np.full(1, POLICY))
        lived = episodes_of(world, policy, jax.random.key(7), 30)
        predictions = predict_steps(world, policy, lived, jax.random.key(8), mode=False)
    noise = predictions.imagined_state - (0.8 * lived.state + lived.action + WORLD[0])
    assert len(np.unique(noise.round(12))) == noise.size
    assert abs(noise.std() - NOISE) < NOISE * 5 / np.sqrt(2 * noise.size)
