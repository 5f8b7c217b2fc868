"""What is no environment, policy, horizon or part of a system is refused in one sentence."""

import inspect

import numpy as np
import pytest
from gymnasium import spaces

from paracosm.core import checks
from paracosm.core.policy import Deterministic
from paracosm.real.verbs import collect, connect, evaluate
from tests.real.misbehaving import World, world
from tests.real.worlds import walk


@pytest.mark.parametrize("env", [3, None, [world], 2.5, {"env": "Pendulum-v1"}])
def test_what_is_no_environment_is_one_sentence(env):
    with pytest.raises(
        checks.BadArgument, match=r"^env is .*; a Gymnasium id, module:function, an environment or"
    ):
        inspect.unwrap(connect)(env)  # without the types that tests check


FUNCTIONS = {
    "an array": lambda s: np.array([-0.5]),
    "a list": lambda s: [-0.5],
    "a number": lambda s: -0.5,
    "a number of NumPy": lambda s: np.float64(-0.5),
    "changes its observation": lambda s: s.fill(0) or [-0.5],
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_plain_function_of_an_observation_is_a_policy(function):
    episodes = evaluate(world, function, episodes=3)
    expected = evaluate(world, Deterministic(lambda s: s[:1] * 0 - 0.5), episodes=3)
    np.testing.assert_array_equal(episodes.next_state, expected.next_state)
    np.testing.assert_array_equal(episodes.action, expected.action)
    assert (collect(world, 16, seed=0, policy=function).action == -0.5).all()


def test_a_function_may_answer_with_a_buffer_of_its_own():
    buffer = np.zeros(1)

    def act(state):
        buffer[0] = -state[0]
        return buffer

    played = evaluate(world, act, episodes=3)
    expected = evaluate(world, lambda state: [-state[0]], episodes=3)
    np.testing.assert_array_equal(played.action, expected.action)


def test_what_is_no_policy_or_gives_no_action_is_one_sentence():
    discrete, shifted = spaces.Discrete(3), spaces.Discrete(3, start=5)
    cases = [
        (world, 5, r"^policy is 5; a Policy or a function of one observation is needed\.$"),
        (world, World, "^policy is "),
        (world, lambda s: None, "the policy's actions is .*; real numbers are needed"),
        (world, lambda s: "left", "the policy's actions is .*; real numbers are needed"),
        (world, lambda s: [np.nan], r"action is \[nan\] at step 0 of evaluation episode 0"),
        (world, lambda s: [1, 2], r"has shape \(3, 2\); \(3, 1\) is needed"),
        (world, lambda s: 1 / 0, "the policy raised ZeroDivisionError"),
        (
            lambda: world(action_space=shifted),
            Deterministic(lambda s: 3),
            "hold 3; .* 0 to 2, counted from 0 although .* at 5",
        ),
        (
            lambda: world(action_space=shifted),
            lambda s: 1,
            "plain function, and .* counts its actions from 5, a Policy from 0; paracosm.foreign",
        ),
        (
            lambda: world(action_space=spaces.MultiDiscrete([2, 2], start=[0, 1])),
            lambda s: 1,
            r"counts its actions from \[0 1\]",
        ),
        (world, lambda s: (np.zeros(1), None), "a pair of an action and None.*foreign.policy"),
        (lambda: world(action_space=discrete), lambda s: -1, "hold -1; "),
        (
            lambda: world(action_space=discrete),
            lambda s: 0.5,
            r"hold 0\.5; .* takes the whole numbers 0 to 2",
        ),
    ]
    for env, policy, sentence in cases:
        source = connect(env)
        with pytest.raises(checks.ParacosmError, match=sentence):
            inspect.unwrap(type(source).evaluate)(source, policy, episodes=3)
    with pytest.raises(checks.BadArgument, match="only a Policy can be sampled"):
        evaluate(world, lambda s: [0.0], episodes=3, sampled=True)


@pytest.mark.parametrize("wanted", [0, -3, 10**7])
def test_a_horizon_that_cannot_be_played_is_refused(wanted):
    with pytest.raises(checks.BadArgument, match=r"^horizon is "):
        connect(World, horizon=wanted)
    assert connect(World, horizon=9).horizon == 9


def test_a_function_of_a_system_is_traced(tmp_path):
    episodes = evaluate(walk(), lambda s: s * 0 + 0.5, episodes=2)
    assert (np.asarray(episodes.action) == 0.5).all()
    with pytest.raises(
        checks.BadArgument,
        match=r"the policy of the system answers with the shape \(3,\); \(2,\) is",
    ):
        evaluate(walk(), lambda s: np.zeros(3, np.float32), episodes=2)


PARTS = {
    "reward": (
        lambda s, a, n: n,
        r"the reward of the system answers with the shape \(2,\); \(\) is needed",
    ),
    "dynamics": (
        lambda s, a, key: s[0],
        r"the dynamics of the system answers with the shape \(\); \(2,\)",
    ),
    "termination": (
        lambda s, a, n: bool(n[0] > 1),
        "the termination of the system cannot be traced by JAX: it raised",
    ),
    "termination ": (
        lambda s, a, n: n[0] * 0.001,
        "the termination of the system answers with the type float32; bool is needed",
    ),
    "initial": (lambda key: [0.0, 0.0], "the initial of the system answers with the shape None"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_system_that_cannot_be_traced_is_one_sentence(part):
    function, sentence = PARTS[part]
    with pytest.raises(checks.BadArgument, match=sentence) as caught:
        connect(walk().replace(**{part.strip(): function}))
    assert "\n" not in str(caught.value)
