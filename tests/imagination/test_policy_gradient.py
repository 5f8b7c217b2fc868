"""REINFORCE against enumeration and against loops that one can read."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.flatten_util import ravel_pytree

from paracosm.core import checks
from paracosm.core.networks import MLP
from paracosm.core.rollout import returns_to_go, rollout
from paracosm.imagination.policy_gradient import (
    leave_one_out,
    policy_gradient,
    surrogate,
    time_weights,
)
from paracosm.imagination.value import Value
from tests.imagination import chain
from tests.statistical import assert_mean

K = 32
STARTS = np.tile(chain.START, (K, 1))
VALUE = Value(MLP(chain.STATES + 1, 1, 4, 1, jax.random.key(8)), jnp.array(0.3), jnp.array(2.0))


def keys_of(number: int) -> jax.Array:
    return jax.random.split(jax.random.key(number), K)


def flat(gradient) -> np.ndarray:
    return np.asarray(ravel_pytree(eqx.filter(gradient, eqx.is_inexact_array))[0])


def estimates(calls: int, **choices) -> np.ndarray:
    """Independent estimates of the gradient, `[calls, parameters]`."""
    value = VALUE if choices.get("baseline") == "value" else None
    return np.stack(
        [
            flat(
                policy_gradient(
                    chain.CHAIN,
                    chain.POLICY,
                    STARTS,
                    keys_of(i),
                    horizon=chain.HORIZON,
                    value=value,
                    **choices,
                )
            )
            for i in range(calls)
        ]
    )


def exact(weighting: str) -> np.ndarray:
    if weighting == "discounted":
        return flat(eqx.filter_grad(chain.expected_return)(chain.POLICY))
    return flat(eqx.filter_grad(chain.plain_objective)(chain.POLICY, chain.POLICY))


def assert_unbiased(samples: np.ndarray, expected: np.ndarray) -> None:
    moves = samples.std(axis=0) > 0
    np.testing.assert_allclose(expected[~moves], 0, atol=1e-6)
    assert_mean(samples[:, moves], expected[moves], rounding=1e-5)


def test_the_paths_are_all_there_are():
    paths = chain.every_path()
    probability = paths.chance * np.exp(
        np.asarray(chain.log_probs(chain.POLICY, paths)).sum(axis=1)
    )
    np.testing.assert_allclose(probability.sum(), 1, rtol=1e-5)
    assert 0.05 < 1 - (probability * paths.alive[:, -1]).sum() < 0.95, (
        "ends are part of what is tested"
    )


@pytest.mark.parametrize("weighting", ["discounted", "plain"])
@pytest.mark.parametrize("baseline", ["leave-one-out", "value", "none"])
def test_the_gradient_is_unbiased(weighting, baseline):
    """The discounted one estimates the gradient of `J_H`, the plain one its own expression."""
    assert_unbiased(estimates(300, weighting=weighting, baseline=baseline), exact(weighting))


@pytest.mark.full
@pytest.mark.parametrize("weighting", ["discounted", "plain"])
def test_the_gradient_is_unbiased_to_a_percent(weighting):
    assert_unbiased(
        estimates(10_000, weighting=weighting, baseline="leave-one-out"), exact(weighting)
    )


def test_the_weightings_differ_by_more_than_the_test_could_miss():
    samples = estimates(300, weighting="plain", baseline="leave-one-out")
    with pytest.raises(AssertionError, match="is off by"):
        assert_unbiased(samples, exact("discounted"))


def test_leave_one_out_is_worth_having():
    spread = {b: estimates(300, baseline=b).var(axis=0).sum() for b in ("leave-one-out", "none")}
    assert spread["leave-one-out"] < spread["none"]


tables = hnp.arrays(np.float32, (5, 4), elements=st.floats(-8, 8, width=32))


@given(tables)
def test_leave_one_out_is_the_naive_loop(to_go):
    baseline = np.asarray(leave_one_out(to_go, to_go.sum(axis=0), np.asarray(5)))
    for i in range(5):
        np.testing.assert_allclose(
            baseline[i], np.delete(to_go, i, axis=0).mean(axis=0), rtol=1e-4, atol=1e-4
        )


@given(tables)
def test_a_mean_that_includes_the_rollout_itself_shrinks_the_advantage(to_go):
    """By (K-1)/K, hence the gradient too (theory, section 6)."""
    own = to_go - leave_one_out(to_go, to_go.sum(axis=0), np.asarray(5))
    np.testing.assert_allclose(
        to_go - to_go.mean(axis=0), 0.8 * np.asarray(own), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("weighting", ["discounted", "plain"])
def test_the_gradient_is_the_sum_written_by_hand(weighting):
    """One batch, leave-one-out: `(1/K) Σ_i Σ_t c_t ∇ log π (G_t - mean of the others')`, a term at
    a time.
    """
    keys = keys_of(0)
    episodes = jax.tree.map(
        np.asarray, rollout(chain.CHAIN, chain.POLICY, STARTS, keys, chain.HORIZON)
    )
    score = eqx.filter_jit(eqx.filter_grad(lambda policy, s, a: policy.log_prob(s, a)))
    total = 0.0
    for i in range(K):
        for t in np.flatnonzero(episodes.alive[i]):
            to_go = episodes.reward[:, t:] @ chain.DISCOUNT ** np.arange(chain.HORIZON - t)
            advantage = to_go[i] - np.delete(to_go, i).mean()
            weight = chain.DISCOUNT**t if weighting == "discounted" else 1.0
            total += (
                weight
                * advantage
                * flat(score(chain.POLICY, episodes.state[i, t], episodes.action[i, t]))
                / K
            )
    gradient = policy_gradient(
        chain.CHAIN, chain.POLICY, STARTS, keys, horizon=chain.HORIZON, weighting=weighting
    )
    np.testing.assert_allclose(flat(gradient), total, rtol=1e-4, atol=1e-5)


def test_without_weights_the_surrogate_is_the_log_probability_of_what_was_done():
    episodes = rollout(chain.CHAIN, chain.POLICY, STARTS, keys_of(0), chain.HORIZON)
    ones = jnp.ones((K, chain.HORIZON))
    objective = surrogate(chain.POLICY, episodes, ones, jnp.ones(chain.HORIZON))
    table = jax.vmap(jax.vmap(chain.POLICY.log_prob))(episodes.state, episodes.action)
    np.testing.assert_allclose(
        objective, np.asarray(table)[np.asarray(episodes.alive)].sum(), rtol=1e-5
    )


def test_time_weights():
    np.testing.assert_allclose(time_weights("discounted", 0.5, 4), [1, 0.5, 0.25, 0.125])
    np.testing.assert_array_equal(time_weights("plain", 0.5, 4), np.ones(4))
    np.testing.assert_array_equal(time_weights("discounted", 1.0, 4), time_weights("plain", 1.0, 4))


def test_with_one_step_the_weightings_are_one():
    gradients = [
        policy_gradient(chain.CHAIN, chain.POLICY, STARTS, keys_of(1), horizon=1, weighting=w)
        for w in ("plain", "discounted")
    ]
    np.testing.assert_array_equal(flat(gradients[0]), flat(gradients[1]))


def test_a_value_baseline_of_the_true_returns_leaves_nothing():
    """Where the return is no surprise there is no gradient: a reward of 1 a step and the value that
    knows it.
    """
    known = chain.CHAIN.replace(
        reward=lambda s, a, t: jnp.ones(()), termination=lambda s, a, t: jnp.zeros((), bool)
    )

    class Known(Value):
        def __call__(self, state, elapsed):
            left = chain.HORIZON * (1 - elapsed)
            return (1 - chain.DISCOUNT**left) / (1 - chain.DISCOUNT)

    value = Known(VALUE.network, VALUE.center, VALUE.scale)
    gradient = policy_gradient(
        known,
        chain.POLICY,
        STARTS,
        keys_of(0),
        horizon=chain.HORIZON,
        baseline="value",
        value=value,
    )
    np.testing.assert_allclose(flat(gradient), 0, atol=1e-5)


def test_returns_of_the_chain_have_the_enumerated_mean():
    episodes = rollout(
        chain.CHAIN,
        chain.POLICY,
        np.tile(chain.START, (4096, 1)),
        jax.random.split(jax.random.key(4), 4096),
        3,
    )
    to_go = returns_to_go(episodes.reward, chain.DISCOUNT)[:, 0]
    assert_mean(np.asarray(to_go), np.asarray(chain.expected_return(chain.POLICY)), rounding=1e-5)


def test_what_cannot_be_asked_for_is_refused():
    with pytest.raises(checks.BadArgument, match="rollouts"):
        policy_gradient(chain.CHAIN, chain.POLICY, STARTS[:1], keys_of(0)[:1], horizon=2)
    with pytest.raises(checks.BadArgument, match="no value was given"):
        policy_gradient(chain.CHAIN, chain.POLICY, STARTS, keys_of(0), horizon=2, baseline="value")
    for name in ("weighting", "baseline"):
        options: dict[str, Any] = {name: "Discounted"}
        with pytest.raises(checks.BadArgument, match=f"{name} is 'Discounted'"):
            policy_gradient(chain.CHAIN, chain.POLICY, STARTS, keys_of(0), horizon=2, **options)


def test_a_value_is_asked_at_no_elapsed_share_where_rollouts_are_shorter_than_an_episode():
    """As in training and in `gradient_noise`: a value that is right there leaves no gradient."""
    paid = chain.CHAIN.replace(
        reward=lambda s, a, t: jnp.ones(()), termination=lambda s, a, t: jnp.zeros((), bool)
    )
    longer = paid.replace(spec=dataclasses.replace(chain.SPEC, horizon=100))

    class Window(Value):
        def __call__(self, state, elapsed):
            return jnp.where(elapsed == 0, 1.0, 1e3)

    value = Window(VALUE.network, VALUE.center, VALUE.scale)
    options: dict[str, Any] = {"horizon": 1, "baseline": "value", "value": value}
    gradient = policy_gradient(longer, chain.POLICY, STARTS, keys_of(0), **options)
    np.testing.assert_allclose(flat(gradient), 0, atol=1e-5)
    options = {"horizon": 3, "weighting": "plain", "baseline": "value", "value": value}
    none = {"horizon": 3, "weighting": "plain", "baseline": "none"}
    with_value, without = (
        flat(policy_gradient(longer, chain.POLICY, STARTS, keys_of(0), **how))
        for how in (options, none)
    )
    assert np.abs(with_value - without).max() < 1, "1e3 was subtracted nowhere"
