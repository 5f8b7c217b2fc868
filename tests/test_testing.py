"""The public checks pass what is right and name what is wrong; the toys earn what they say."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from paracosm import testing
from paracosm.core.checks import ParacosmError
from paracosm.core.policy import Deterministic, MarkovPolicy, Policy, initial_policy
from paracosm.core.rollout import returns, rollout
from tests.statistical import assert_mean

TOYS = {toy.__name__: toy() for toy in (testing.linear_quadratic, testing.chain, testing.walk)}
EPISODES = 2000


@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS)
def test_the_toys_pass_the_checks(toy):
    testing.check_world(toy.world)
    testing.check_policy(toy.policy, toy.world.spec)
    testing.check_policy(initial_policy(toy.world.spec, jax.random.key(0)), toy.world.spec)


@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS)
def test_the_toys_earn_what_their_values_say(toy):
    keys = jax.random.split(jax.random.key(1), EPISODES)
    start = np.asarray(jax.vmap(toy.world.initial)(keys))
    for steps in (1, toy.world.spec.horizon):
        played = rollout(toy.world, toy.policy, start, keys, steps)
        earned = np.asarray(returns(played.reward, toy.world.discount), np.float64)
        expected = np.array([toy.value(state, steps) for state in start.astype(np.float64)])
        if toy is TOYS["chain"]:
            assert_mean(earned - expected, 0.0, rounding=1e-6)
        else:
            np.testing.assert_allclose(earned, expected, rtol=1e-5, atol=1e-5)


def test_the_walk_ends_and_the_chain_does_now_and_then():
    for name, least in (("walk", 0.9), ("chain", 0.3), ("linear_quadratic", 0.0)):
        world, policy, _ = TOYS[name]
        keys = jax.random.split(jax.random.key(2), 64)
        start = jax.vmap(world.initial)(keys)
        ended = rollout(world, policy, start, keys, world.spec.horizon).terminated.any(axis=1)
        assert least <= ended.mean() <= (1.0 if least else 0.0)


WALK, counter = TOYS["walk"].world, itertools.count()
WORLDS = {
    "a reward of two numbers": (
        {"reward": lambda s, a, n: n * jnp.ones(2)},
        r"reward .* shape \(2,\)",
    ),
    "dynamics of one number": (
        {"dynamics": lambda s, a, key: s[0]},
        r"dynamics .* shape \(\); \(1,\)",
    ),
    "an end that is a number": (
        {"termination": lambda s, a, n: n[0]},
        r"termination answers .* with float32; bool is needed",
    ),
    "a part of NumPy": (
        {"reward": lambda s, a, n: float(n[0])},
        "reward cannot be traced by JAX: ConcretizationTypeError",
    ),
    "a part of another form": (
        {"initial": lambda: jnp.zeros(1)},
        "initial cannot be traced by JAX: TypeError",
    ),
    "a start of whole numbers": (
        {"initial": lambda key: jnp.zeros(1, int)},
        "initial answers .* with int32; floating is needed",
    ),
    "32 bits inside": (
        {"dynamics": lambda s, a, key: (s + a).astype(jnp.float32)},
        r"dynamics answers \(float64, float64, .* with float32; float64 is needed",
    ),
    "chance of its own": (
        {"dynamics": lambda s, a, key: s + a + next(counter)},
        "dynamics answers the same question with .* all chance must come from the key",
    ),
    "a reward that is not finite": (
        {"reward": lambda s, a, n: jnp.where(n[0] > 1, jnp.nan, n[0])},
        "the reward is nan at step .* of random episode",
    ),
}


@pytest.mark.parametrize("case", WORLDS)
def test_a_world_that_cannot_be_used_is_one_sentence(case):
    parts, sentence = WORLDS[case]
    with pytest.raises(ParacosmError, match=sentence) as refusal:
        testing.check_world(WALK.replace(**parts))
    assert "\n" not in str(refusal.value)


class Drawing(MarkovPolicy):
    """It draws without its key."""

    def sample(self, state, key):
        return jnp.clip(state * 0 + next(counter) / 1000, -1, 1)

    def mode(self, state):
        return state * 0


class Truth(Policy):
    """A choice of two as a truth value."""

    def initial(self):
        return None

    def act(self, carry, state, key):
        return state[0] > 0, carry

    def greedy(self):
        return self


POLICIES = {
    "another shape": (
        Deterministic(lambda s: jnp.zeros(3)),
        r"act .* the shape \(3,\)",
    ),
    "outside": (
        Deterministic(lambda s: s * 0 + 2),
        r"greedy gives the action \[2.0\] at row 0 .* between \[-1.0\] and \[1.0\]",
    ),
    "not finite": (Deterministic(lambda s: s / 0), "the actions of greedy: .* must be finite"),
    "chance of its own": (Drawing(), "act answers the same question with"),
}


@pytest.mark.parametrize("case", POLICIES)
def test_a_policy_that_cannot_be_used_is_one_sentence(case):
    policy, sentence = POLICIES[case]
    with pytest.raises(ParacosmError, match=sentence) as refusal:
        testing.check_policy(policy, WALK.spec)
    assert "\n" not in str(refusal.value)


def test_a_policy_is_asked_at_the_states_that_are_given():
    policy = Deterministic(lambda s: jnp.where(s > 5, 2.0, 0.0))
    testing.check_policy(policy, WALK.spec)
    with pytest.raises(ParacosmError, match="at row 1 of the states"):
        testing.check_policy(policy, WALK.spec, states=np.array([[0.0], [6.0]], np.float32))


def test_an_action_at_its_bound_to_rounding_is_inside():
    beyond = np.nextafter(np.float32(1), np.float32(2))
    testing.check_policy(Deterministic(lambda s: jnp.where(s > 0, 1.0, beyond)), WALK.spec)


def test_actions_of_a_discrete_space_are_whole_numbers_within_it():
    spec = TOYS["chain"].world.spec
    with pytest.raises(ParacosmError, match=r"act answers .* with bool; integer is needed"):
        testing.check_policy(Truth(), spec)
    with pytest.raises(ParacosmError, match="greedy gives the action 2 at row 0"):
        testing.check_policy(Deterministic(lambda s: jnp.int32(2)), spec)
